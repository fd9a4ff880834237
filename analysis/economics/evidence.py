"""What is known of a plan when money is at stake: taken from its verification, its trial, or its projection alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    tests = _Tests(plan, verification or plan.verification, trial or plan.trial)
    _check_same(tests)
    serving = None if plan.only_freezes or tests.verification is None else serving_of(tests.verification)
    training = None if tests.trial is None else training_of(plan, tests.trial)
    if serving is None and training is None:
        return _rough(tests)
    timed = tests.verification if serving is not None else tests.trial
    assert timed is not None
    return _noted(tests, _common(tests, _Times("measured", serving, training, timed.machine)))


def device_kind(device: str) -> DeviceKind:
    """Whether a device as torch names it computes on a processor or on an accelerator."""
    return "cpu" if device.split(":")[0] == "cpu" else "gpu"


@dataclass(frozen=True)
class _Tests:
    """A plan and what it went through."""

    plan: Plan
    verification: Verification | None
    trial: Trial | None

    @property
    def first(self) -> Verification | Trial | None:
        """The test that tells about workload and machine: the verification where there is one."""
        return self.verification or self.trial


@dataclass(frozen=True)
class _Times:
    """Times to price, and where they come from: measured on a machine, or projected from what a device did."""

    origin: FigureOrigin
    serving: ServingEvidence | None
    training: TrainingEvidence | None
    machine: Machine | None = None
    device: str = ""

    @property
    def device_name(self) -> str:
        """The device whose times they are; empty: there are no times."""
        return self.machine.device_name if self.machine else self.device

    @property
    def device_kind(self) -> DeviceKind | None:
        """Its kind; None: there are no times."""
        if self.machine is not None:
            return device_kind(self.machine.device)
        return device_kind(self.device.split(" ")[0].lower()) if self.device else None


def _check_same(tests: _Tests) -> None:
    plan, verification, trial = tests.plan, tests.verification, tests.trial
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


def _rough(tests: _Tests) -> CaseEvidence:
    """No time was measured: the projection's share, from half of it to all of it."""
    plan = tests.plan
    saved = _projected_share(plan)
    serving = None if plan.only_freezes else projected_serving(plan)
    training = projected_training(plan) if plan.eof_layer is not None else None
    if saved is None and serving is None:
        raise PlanError(
            "Plan {plan} has no measured times and no projection, so nothing tells what it saves. Verify it, or make it again from a "
            "profile.",
            plan=plan.id,
        )
    times = _Times("projected", serving, training, device=_projected_on(plan, serving is not None))
    evidence = _common(tests, times)
    saving = None if saved is None else (min(saved / 2, saved), max(saved / 2, saved))
    standing: Standing = "outside" if evidence.standing == "outside" else "rough"
    return _noted(tests, evidence.model_copy(update={"standing": standing, "projected_saving": saving}))


def _noted(tests: _Tests, evidence: CaseEvidence) -> CaseEvidence:
    return evidence.model_copy(update={"notes": evidence_notes(tests.plan, evidence)})


def _projected_on(plan: Plan, serves: bool) -> str:
    """The device whose measured points the projected times rest on, as it is called; empty: nothing is projected in time."""
    projection = plan.projection
    if projection is None:
        return ""
    if serves and projection.latency:
        return projection.latency[0].device_name
    return projection.training.device_name if projection.training and projection.training.hours else ""


def _projected_share(plan: Plan) -> float | None:
    """Share saved as projected: of a fine-tune where the plan freezes, else of an answer; by time where it is projected, else by FLOPs."""
    projection = plan.projection
    if projection is None:
        return None
    if plan.eof_layer is not None:
        return None if projection.training is None else projected_share(projection.training)
    if projection.latency:
        before, after = (sum(getattr(each.ms, side) for each in projection.latency) for side in ("before", "after"))
        return 1 - after / before if before else None
    return projection.decode_flops_per_token.saved_share


def _common(tests: _Tests, times: _Times) -> CaseEvidence:
    """All but what a projection alone adds, and the notes."""
    plan, verification, trial, machine = tests.plan, tests.verification, tests.trial, times.machine
    return CaseEvidence(
        plan_id=plan.id,
        plan_name=plan.name,
        model_name=plan.model.name,
        model_commit=plan.model.commit,
        n_blocks=plan.model.n_blocks,
        operations=plan.operations,
        words=words_of(plan.operations),
        eof_layer=plan.eof_layer,
        origin=times.origin,
        standing=_standing(verification, trial),
        verdict=None if verification is None else verification.verdict,
        guardrails=() if verification is None else verification.guardrails,
        verification_id=None if verification is None else verification.id,
        trial_id=None if trial is None else trial.id,
        device_name=times.device_name,
        device_kind=times.device_kind,
        measured_at="" if machine is None else machine.started_at,
        serving=times.serving,
        training=times.training,
        quality=quality_of(plan, verification, trial),
        n_critical=_n_critical(verification, trial),
        agreement=_agreement(plan),
        **_of_workload(tests),
    )


def _agreement(plan: Plan) -> tuple[int, int] | None:
    """How many measures agree to what the plan takes out, of how many that voted; None: nothing was voted."""
    voted = plan.provenance.consensus
    return None if voted is None or not voted.voters else (voted.n_agree, len(voted.voters))


def _of_workload(tests: _Tests) -> dict[str, Any]:
    """What the test's workload is like; without a test only its name is known."""
    tested, known = tests.first, tests.plan.workload
    if tested is None:
        return {"workload_name": known.name if known else "", "is_sample": bool(known and known.is_sample)}
    workload, counts = tested.workload, tested.counts
    judged = counts if isinstance(tested, Verification) else tested.verification_counts
    n = counts.n_examples
    return {
        "workload_name": workload.name,
        "is_sample": workload.is_sample,
        "projection_errors": tested.projection_errors,
        "n_prompts": workload.n_examples,
        "n_judged": judged.n_examples,
        "slices": tuple(found.name for found in workload.slices),
        "mean_prompt_tokens": (counts.n_tokens - counts.n_response) / n if n else None,
        "mean_new_tokens": counts.n_response / n if n and workload.n_with_response else None,
        "seed": tested.settings.seed,
    }


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
