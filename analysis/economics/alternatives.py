"""The other ways to go, in the same columns as the plan. What Strata did not measure says so, unless a person estimated it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from analysis.contracts.business import AlternativeInput, AlternativeKind, Assumptions, CaseEvidence
from analysis.contracts.case import Alternative
from analysis.contracts.message import Message
from analysis.i18n import N_

_OTHERS: tuple[tuple[AlternativeKind, str], ...] = (
    ("quantise", N_("Not measured: the same model with its weights in fewer digits.")),
    ("smaller_model", N_("Not measured: another, smaller model, judged on the same workload.")),
    ("more_machines", N_("Not estimated: more of the same machines; quality stays, the cost rises.")),
)


@dataclass(frozen=True)
class PlanFigures:
    """What this case came to, as far as the table of alternatives needs it. Money a month; savings positive."""

    today: float
    start_cost: float
    net_per_month: float
    payback_months: float | None


def alternatives(assumptions: Assumptions, evidence: CaseEvidence, plan: PlanFigures) -> tuple[Alternative, ...]:
    """Doing nothing, quantising, a smaller model, more machines, this plan; growing the model where somebody estimated it.

    Costs a month hold everything that comes back every month, and shares saved are of those costs, in every row.
    """
    typed = {one.kind: one for one in assumptions.alternatives}
    return tuple(_rows(evidence, plan, typed))


def _rows(evidence: CaseEvidence, plan: PlanFigures, typed: dict[AlternativeKind, AlternativeInput]) -> Iterator[Alternative]:
    yield Alternative(
        kind="nothing",
        origin="assumed",
        start_cost=0.0,
        cost_per_month=plan.today,
        saving_share=0.0,
        quality=Message(id="as today"),
        note=Message(id="Everything stays as it is; growth and purchases come as they come."),
    )
    for kind, unmeasured in _OTHERS:
        yield _estimated(typed[kind], plan) if kind in typed else Alternative(kind=kind, origin=None, note=Message(id=unmeasured))
    if "grow" in typed:
        yield _estimated(typed["grow"], plan)
    yield Alternative(
        kind="plan",
        origin="projected",  # money is worked out, whatever its evidence was measured by
        start_cost=plan.start_cost,
        cost_per_month=plan.today - plan.net_per_month,
        saving_share=plan.net_per_month / plan.today if plan.today else None,
        payback_months=plan.payback_months,
        quality=_quality(evidence),
        note=evidence.words,
    )


def _estimated(given: AlternativeInput, plan: PlanFigures) -> Alternative:
    """A person's estimate, worked out as far as it reaches."""
    saving = None if given.cost_per_month is None else plan.today - given.cost_per_month
    known = saving is not None and saving > 0 and given.start_cost is not None
    return Alternative(
        kind=given.kind,
        origin="assumed",
        start_cost=given.start_cost,
        cost_per_month=given.cost_per_month,
        saving_share=saving / plan.today if saving is not None and plan.today else None,
        payback_months=given.start_cost / saving if known and saving and given.start_cost is not None else None,
        quality=Message(id="as entered: {text}", values={"text": given.quality}) if given.quality else None,
        note=Message(id="Estimated by hand: {source}", values={"source": given.source})
        if given.source
        else Message(id="Estimated by hand, without a source."),
    )


def _quality(evidence: CaseEvidence) -> Message | None:
    change = evidence.quality.quality_change
    if change is None or change.value is None:
        return None
    value = f"{100 * change.value:.1f}%"
    if change.low is None or change.high is None:
        return Message(id="quality loss {value}", values={"value": value})
    ends = {"low": f"{100 * change.low:.1f}%", "high": f"{100 * change.high:.1f}%"}
    return Message(id="quality loss {value} ({low} to {high})", values={"value": value, **ends})
