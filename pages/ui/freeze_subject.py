"""What the Freeze page is about: the plan that freezes, what is known beside the run, and whether the boundary is stored already."""

from __future__ import annotations

from dataclasses import replace

from analysis.contracts import Plan, PlanSummary, Profile, Semantics, TrainingShape
from pages.ui.frame import Subject
from pages.ui.freeze_rule import Evidence
from pages.ui.session import client, profile, remember, stored_plan
from pages.ui.verify_picker import run_of


def of_its_run(about: Subject) -> Subject:
    """The page is about the run of the freeze plan in use: the one chosen where it is the same model's, else the one that is here."""
    if about.plan is None or about.plan.eof_layer is None:
        return replace(about, plan=None)
    plan = stored_plan(about.plan)
    if about.run is not None and _same_model(plan, profile(about.run.id)):
        return about
    run = run_of(plan)
    if run is not None:
        remember("run", run.id)
    return replace(about, run=run)


def freeze_plan(about: Subject, found: Profile) -> Plan | None:
    """The plan in use, where it freezes layers of this run's model; another kind of plan is none here."""
    if about.plan is None or about.plan.eof_layer is None or about.plan.eof_layer > found.n_blocks - 2:
        return None
    plan = stored_plan(about.plan)
    return plan if _same_model(plan, found) else None


def _same_model(plan: Plan, found: Profile) -> bool:
    return (plan.model.commit, plan.model.stack, plan.model.n_blocks) == (found.model.commit, found.stack, found.n_blocks)


def gathered(found: Profile, traces: Semantics | None, shape: TrainingShape) -> Evidence:
    """Everything stored that a boundary can be placed by: traces, a trial's gradients, training steps measured on this machine."""
    commit, stack = found.model.commit, found.stack
    trial = client().trial_for(commit, stack, found.workload.content_hash)
    return Evidence(found, traces, trial, client().step_model(commit, stack=stack, shape=shape))


def stored_twin(plan: Plan) -> PlanSummary | None:
    """The same boundary among the stored plans: two plans that freeze alike are one."""
    return next((one for one in client().plans() if one.id == plan.id), None)


def with_stored(plan: Plan, stored: PlanSummary | None) -> Plan:
    """The stored plan with what is projected for the training asked about now; a draft stays as it is."""
    if stored is None:
        return plan
    kept = stored_plan(stored)
    return kept.model_copy(update={"projection": plan.projection or kept.projection})
