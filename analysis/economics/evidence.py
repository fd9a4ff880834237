"""What is known of a plan when money is at stake: taken from its verification, its trial, or its projection alone."""

from __future__ import annotations

from analysis.contracts import (
    CaseEvidence,
    DeviceKind,
    FigureOrigin,
    Machine,
    Plan,
    ServingEvidence,
    Standing,
    TrainingEvidence,
    Trial,
    Verification,
)
from analysis.economics.evidence_words import evidence_notes, words_of
from analysis.economics.quality_evidence import quality_of
from analysis.economics.serving_evidence import projected_serving, serving_of
from analysis.economics.training_evidence import projected_share, projected_training, training_of
from analysis.errors import PlanError
from analysis.planning.sweep_front import WORTH_KEEPING


def evidence_of(plan: Plan, verification: Verification | None = None, trial: Trial | None = None) -> CaseEvidence:
    """What a business case may rest on.

    Measured times come from the verification (answering requests) and the trial (fine-tuning). Where neither measured any, the
    projection speaks, as a range from half of what it promises to all of it.

    Args:
        plan: the plan; its own verification and trial are taken where none is given.
        verification, trial: of this very plan.

    Raises:
        PlanError: a verification or trial is another plan's, or there is nothing to tell a cost from.
    """
    verification, trial = verification or plan.verification, trial or plan.trial
    _check_same(plan, verification, trial)
    serving = None if plan.only_freezes or verification is None else serving_of(verification)
    training = None if trial is None else training_of(plan, trial)
    if serving is None and training is None:
        return _rough(plan, verification, trial)
    assert verification is not None or trial is not None
    measured_by = (verification if serving is not None else trial) or verification
    assert measured_by is not None
    evidence = _common(plan, verification, trial, serving, training, "measured", measured_by.machine)
    return evidence.model_copy(update={"notes": evidence_notes(plan, evidence)})


def device_kind(device: str) -> DeviceKind:
    """Whether a device as torch names it computes on a processor or on an accelerator."""
    return "cpu" if device.split(":")[0] == "cpu" else "gpu"


def _check_same(plan: Plan, verification: Verification | None, trial: Trial | None) -> None:
    if verification is not None and verification.plan_id != plan.id:
        raise PlanError(
            "This verification is of plan {given}, not of plan {plan}. Choose the one that was made from this plan, or verify it.",
            given=verification.plan_id,
            plan=plan.id,
        )
    if trial is not None and trial.plan_id != plan.id:
        raise PlanError(
            "This trial is of plan {given}, not of plan {plan}. Choose the one that was made from this plan, or try it.",
            given=trial.plan_id,
            plan=plan.id,
        )


def _rough(plan: Plan, verification: Verification | None, trial: Trial | None) -> CaseEvidence:
    """No time was measured: the projection's share, from half of it to all of it."""
    saved = _projected_share(plan)
    if saved is None:
        raise PlanError(
            "Plan {plan} has no measured times and no projection, so nothing tells what it saves. Verify it, or make it again from a "
            "profile.",
            plan=plan.id,
        )
    serving = None if plan.only_freezes else projected_serving(plan)
    training = projected_training(plan) if plan.eof_layer is not None else None
    evidence = _common(plan, verification, trial, serving, training, "projected", None)
    saving = (min(saved / 2, saved), max(saved / 2, saved))
    standing: Standing = "outside" if evidence.standing == "outside" else "rough"
    evidence = evidence.model_copy(update={"standing": standing, "projected_saving": saving})
    return evidence.model_copy(update={"notes": evidence_notes(plan, evidence)})


def _projected_share(plan: Plan) -> float | None:
    """Share saved as projected: of a fine-tune where the plan freezes, else of an answer; by time where it is projected, else by FLOPs."""
    projection = plan.projection
    if projection is None:
        return None
    if plan.eof_layer is not None and projection.training is not None:
        return projected_share(projection.training)
    if plan.only_freezes:
        return None
    if projection.latency:
        before, after = (sum(getattr(each.ms, side) for each in projection.latency) for side in ("before", "after"))
        return 1 - after / before if before else None
    return projection.decode_flops_per_token.saved_share


def _common(
    plan: Plan,
    verification: Verification | None,
    trial: Trial | None,
    serving: ServingEvidence | None,
    training: TrainingEvidence | None,
    origin: FigureOrigin,
    machine: Machine | None,
) -> CaseEvidence:
    tested = verification or trial
    workload = None if tested is None else tested.workload
    counts = None if tested is None else (tested.counts if isinstance(tested, Verification) else tested.verification_counts)
    whole = tested.counts if tested is not None else None
    return CaseEvidence(
        plan_id=plan.id,
        plan_name=plan.name,
        model_name=plan.model.name,
        model_commit=plan.model.commit,
        n_blocks=plan.model.n_blocks,
        operations=plan.operations,
        words=words_of(plan.operations),
        eof_layer=plan.eof_layer,
        origin=origin,
        standing=_standing(verification, trial),
        verdict=None if verification is None else verification.verdict,
        guardrails=() if verification is None else verification.guardrails,
        verification_id=None if verification is None else verification.id,
        trial_id=None if trial is None else trial.id,
        device_name="" if machine is None else machine.device_name,
        device_kind=None if machine is None else device_kind(machine.device),
        measured_at="" if machine is None else machine.started_at,
        serving=serving,
        training=training,
        quality=quality_of(plan, verification, trial),
        projection_errors=() if tested is None else tested.projection_errors,
        workload_name=workload.name if workload is not None else (plan.workload.name if plan.workload else ""),
        n_prompts=0 if workload is None else workload.n_examples,
        n_judged=0 if counts is None else counts.n_examples,
        n_critical=_n_critical(verification, trial),
        slices=() if workload is None else tuple(found.name for found in workload.slices),
        mean_prompt_tokens=(whole.n_tokens - whole.n_response) / whole.n_examples if whole is not None and whole.n_examples else None,
        mean_new_tokens=(
            whole.n_response / whole.n_examples if whole and workload and whole.n_examples and workload.n_with_response else None
        ),
        seed=0 if tested is None else tested.settings.seed,
        is_sample=workload.is_sample if workload is not None else bool(plan.workload and plan.workload.is_sample),
    )


def _n_critical(verification: Verification | None, trial: Trial | None) -> int:
    if verification is not None:
        return verification.critical.n_examples if verification.critical else 0
    if trial is None:
        return 0
    return sum(found.n_critical for found in trial.workload.slices)


def _standing(verification: Verification | None, trial: Trial | None) -> Standing:
    """The worse of the two tests, where there were two."""
    found: set[Standing] = set()
    if verification is not None:
        found.add("outside" if verification.verdict == "outside" else "measured" if verification.verdict == "within" else "undecided")
    if trial is not None:
        own = trial.own
        kept = own.kept_at_tokens.value if own is not None and own.kept_at_tokens is not None else None
        found.add("undecided" if kept is None else "measured" if kept >= WORTH_KEEPING else "outside")
    order: tuple[Standing, ...] = ("outside", "undecided", "measured")
    return next((standing for standing in order if standing in found), "rough")
