"""What the Freeze page is about: the plan that freezes, what is known beside the run, and whether the boundary is stored already."""

from __future__ import annotations

from dataclasses import replace

from analysis.contracts import Plan, PlanSummary, Profile, Semantics, TrainingShape
from pages.ui.frame import Subject
from pages.ui.freeze_rule import Evidence
from pages.ui.session import client, stored_plan


def freeze_plan(about: Subject, found: Profile) -> tuple[Subject, Plan | None]:
    """The plan in use, where it freezes layers of this run's model; another kind of plan is none here."""
    if about.plan is None or about.plan.eof_layer is None:
        return replace(about, plan=None), None
    plan = stored_plan(about.plan)
    same = (plan.model.commit, plan.model.stack) == (found.model.commit, found.stack)
    fits = same and plan.eof_layer is not None and plan.eof_layer <= found.n_blocks - 2
    return (about, plan) if fits else (replace(about, plan=None), None)


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
