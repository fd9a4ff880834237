"""What each stage costs and brings, and how much is at stake before the decision that ends it.

A stage brings its share of the saving of full use: its slices' share of the volume x its share of their requests x how light its
plan is beside the whole one. Where machines are whole, a small share may free none: the case's own notes say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from analysis.contracts.business import Assumptions, CaseEvidence
from analysis.contracts.case import StageMoney, StartCost
from analysis.contracts.rollout import Rollout, Stage
from analysis.economics.dates import MONTH_DAYS, add_months, add_weeks, day, first_of_next_month
from analysis.economics.plan_share import reach, share_of_full_use, volumes


@dataclass(frozen=True)
class FullUse:
    """What a case says of full use, in its currency.

    Attributes:
        saving: counted (cash, avoided, freed where it counts) in each month from the case's first, as if all work ran with the plan;
            running costs and errors not taken off. The last entry holds for every later month.
        start: start-up cost.
        running_per_month: people who watch and renew.
    """

    saving: Sequence[float]
    start: StartCost
    running_per_month: float

    def between(self, first: date, last: date, begins: date) -> float:
        """Saving from one day up to another, months of the case counted from `begins`; none before it."""
        total = 0.0
        for month in range(_months(begins, last) + 1):
            opens, closes = add_months(begins, month), add_months(begins, month + 1)
            days = (min(last, closes) - max(first, opens)).days
            if days > 0 and self.saving:
                total += self.saving[min(month, len(self.saving) - 1)] * days / (closes - opens).days
        return total


def stage_money(
    evidence: CaseEvidence, assumptions: Assumptions, rollout: Rollout, full_use: FullUse, *, today: date | None = None
) -> tuple[StageMoney, ...]:
    """Cost, saving and risk of each stage, in their order.

    Args:
        evidence: for the measured change of right answers, and for how light the whole plan is.
        assumptions: volumes by slice; first month of the case.
        rollout: with its stages.
        full_use: what the case says of full use.
        today: where neither the rollout nor the case has a first day, it is the first of the next month; None: this day.
    """
    slices = volumes(evidence, assumptions)
    begins = day(assumptions.starts_on) or first_of_next_month(today or date.today())
    found = list[StageMoney]()
    bound, opens = 0.0, day(rollout.starts_on) or begins
    for stage in rollout.stages:
        opens = day(stage.starts_on) or opens
        closes = add_weeks(opens, stage.weeks)
        months = (closes - opens).days / MONTH_DAYS
        cost = _cost(stage, rollout, full_use, months)
        bound += cost
        volume = sum(entry.requests_per_month for entry in assumptions.slices)
        requests = volume * reach(stage, slices) * months
        errors, most = _extra_errors(evidence, requests)
        found.append(
            StageMoney(
                stage=stage.number,
                starts_on=opens.isoformat(),
                months=months,
                cost=cost,
                saving=full_use.between(opens, closes, begins) * share_of_full_use(stage, evidence, slices),
                at_stake=bound,
                requests=requests,
                extra_errors=errors,
                extra_errors_high=most,
            )
        )
        opens = closes
    return tuple(found)


def _cost(stage: Stage, rollout: Rollout, full_use: FullUse, months: float) -> float:
    """Own people's days of the stage and who watches it meanwhile; what is paid to others falls into the first stage."""
    start = full_use.start
    a_day = start.internal / start.days if start.days else 0.0
    external = start.external if stage.number == rollout.stages[0].number else 0.0
    return stage.start_days * a_day + external + full_use.running_per_month * months


def _extra_errors(evidence: CaseEvidence, requests: float) -> tuple[float | None, float | None]:
    """At the measured change of right answers and at the bad end of its interval; fewer errors count as none."""
    change = evidence.quality.accuracy_change
    if change is None or change.value is None:
        return None, None
    most = None if change.low is None else max(0.0, -change.low) * requests
    return max(0.0, -change.value) * requests, most


def _months(first: date, last: date) -> int:
    return (last.year - first.year) * 12 + last.month - first.month
