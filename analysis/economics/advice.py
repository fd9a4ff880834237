"""What the days of a stage advise: go on, hold, roll back, or stop; each with the figures that say so. A person decides.

Stop: critical answers are outside their limit. Roll back: another limit is outside on the stage's days together, on the newest
week, or on two days in a row. Hold: the days are not over, a limit is undecided or its figure is getting worse, data are old or
missing, requests fall back more and more often, or the plan answers more than the stage allows. Go: none of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from analysis.contracts.message import Message
from analysis.contracts.rollout import AdviceKind, MonitoredLimit, MonitoringRow, Rollout, Stage, StageAdvice
from analysis.contracts.verification import Guardrail, Verdict
from analysis.economics.advice_reasons import reasons_to_hold, undecided
from analysis.economics.watched import Seen, by_day, newest_days, outside_on, see, verdict
from analysis.errors import PlanError
from analysis.planning.guardrails import figure
from analysis.planning.limits import CRITICAL, parse_guardrail

DAYS_A_WEEK = 5
"""Days with data that a week is counted for: not every company works at weekends."""
FEWEST_DAYS_WANTED = 5


def days_wanted(weeks: float) -> int:
    """Days with data until a stage may pass."""
    return max(FEWEST_DAYS_WANTED, round(weeks * DAYS_A_WEEK))


def advise(rollout: Rollout, stage_number: int | None = None, *, today: date | None = None) -> StageAdvice:
    """What the monitoring of one stage says about it.

    Args:
        rollout: with its monitoring.
        stage_number: the stage; None: the one that runs or is held, else the newest that has begun, else the first.
        today: against which the data's age is counted; None: this day.

    Raises:
        PlanError: there is no such stage.
    """
    stage = _stage(rollout, stage_number)
    rows = stage_rows(rollout, stage)
    limits = tuple(_limit(parse_guardrail(text), rows) for text in stage.guardrails)
    days = list(by_day(rows))
    missed = {name: outside_on(limit.guardrail, rows) for name, limit in zip(stage.guardrails, limits, strict=True)}
    outside = {day for found in missed.values() for day in found}
    kind, reasons = _decide(rollout, stage, limits, missed, today or date.today())
    return StageAdvice(
        stage=stage.number,
        advice=kind,
        reasons=tuple(reasons),
        limits=limits,
        days=len(days),
        days_wanted=days_wanted(stage.weeks),
        days_held=next((place for place, day in enumerate(reversed(days)) if day in outside), len(days)),
        as_of=days[-1] if days else "",
    )


def _stage(rollout: Rollout, number: int | None) -> Stage:
    if number is None:
        begun = [stage for stage in rollout.stages if stage.state != "planned"]
        return rollout.current or (begun or list(rollout.stages[:1]))[-1]
    found = next((stage for stage in rollout.stages if stage.number == number), None)
    if found is None:
        raise PlanError("There is no stage {number}: this rollout has {n}. Name one of 1 to {n}.", number=number, n=len(rollout.stages))
    return found


def stage_rows(rollout: Rollout, stage: Stage) -> tuple[MonitoringRow, ...]:
    """The days of a stage: from its newest start (else its planned one) until it ended, its own slices, where the plan answered."""
    if stage.state == "planned":
        return ()
    first, last = stage_span(rollout, stage)
    return tuple(
        row
        for row in rollout.monitoring
        if first <= row.date <= last and row.on_plan > 0 and (not stage.slices or row.slice in stage.slices)
    )


def stage_span(rollout: Rollout, stage: Stage) -> tuple[str, str]:
    """First and last day that count for a stage; an open end is "9999"."""
    starts = [place for place, event in enumerate(rollout.events) if event.stage == stage.number and event.action == "start"]
    if not starts:
        return (stage.starts_on, "9999")
    later = rollout.events[starts[-1] + 1 :]
    ends = [event.at[:10] for event in later if event.stage == stage.number and event.action in ("pass", "roll_back", "stop")]
    return rollout.events[starts[-1]].at[:10], ends[0] if ends else "9999"


def _limit(guardrail: Guardrail, rows: Sequence[MonitoringRow]) -> MonitoredLimit:
    seen = see(guardrail, rows)
    found = verdict(guardrail, seen)
    days = outside_on(guardrail, rows)
    return MonitoredLimit(
        guardrail=guardrail,
        verdict=found,
        measured=seen.estimate,
        n=seen.n,
        first_missed_on=days[0] if days else _first_outside(guardrail, rows) if found == "outside" else None,
        reason=_reason(guardrail, seen, found),
    )


def _first_outside(guardrail: Guardrail, rows: Sequence[MonitoringRow]) -> str | None:
    """The day by which all days so far, taken together, were outside."""
    so_far: list[MonitoringRow] = []
    for day, own in by_day(rows).items():
        so_far += own
        if verdict(guardrail, see(guardrail, so_far)) == "outside":
            return day
    return None


def _reason(guardrail: Guardrail, seen: Seen, found: Verdict) -> Message:
    if seen.missing is not None:
        return seen.missing
    if found == "undecided":
        return undecided(guardrail, seen)
    values = _ends(guardrail, seen)
    if found == "within":
        return Message(id="Within limits: {measured} ({low} to {high}) meets {limit}.", values={**values, "limit": guardrail.text})
    return Message(id="Outside limits: {measured} ({low} to {high}) misses {limit}.", values={**values, "limit": guardrail.text})


def _ends(guardrail: Guardrail, seen: Seen) -> dict[str, object]:
    estimate = seen.estimate
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return {
        "measured": figure(estimate.value, guardrail),
        "low": figure(estimate.low, guardrail),
        "high": figure(estimate.high, guardrail),
    }


def _decide(
    rollout: Rollout, stage: Stage, limits: Sequence[MonitoredLimit], missed: dict[str, tuple[str, ...]], today: date
) -> tuple[AdviceKind, list[Message]]:
    rows = stage_rows(rollout, stage)
    broken = _broken(limits, missed, rows)
    if broken:
        critical = [reason for limit, reason in broken if limit.guardrail.slice == CRITICAL]
        if critical:
            return "stop", [
                Message(id="Critical answers are outside their limit: everything goes back to the original."),
                *critical,
                *(reason for limit, reason in broken if limit.guardrail.slice != CRITICAL),
            ]
        return "roll_back", [reason for _, reason in broken]
    hold = reasons_to_hold(rollout, stage, rows, limits, days_wanted(stage.weeks), today)
    if hold:
        return "hold", hold
    days = len(by_day(rows))
    return "go", [
        Message(id="All {n} limits are within after {days} days with data.", values={"n": len(limits), "days": days}),
        *(limit.reason for limit in limits),
    ]


def _broken(
    limits: Sequence[MonitoredLimit], missed: dict[str, tuple[str, ...]], rows: Sequence[MonitoringRow]
) -> list[tuple[MonitoredLimit, Message]]:
    """Limits that are outside on all days together, on the newest week, or were on two days in a row."""
    found = []
    days, newest = list(by_day(rows)), newest_days(rows)[1]
    for limit in limits:
        pair = _two_in_a_row(days, missed[limit.guardrail.text])
        if limit.verdict == "outside":
            found.append((limit, limit.reason))
        elif newest and verdict(limit.guardrail, seen := see(limit.guardrail, newest)) == "outside":
            found.append((limit, _newest_outside(limit.guardrail, seen, newest)))
        elif pair is not None:
            found.append(
                (
                    limit,
                    Message(
                        id="{limit} was missed on two days in a row: {first} and {second}.",
                        values={"limit": limit.guardrail.text, "first": pair[0], "second": pair[1]},
                    ),
                )
            )
    return found


def _newest_outside(guardrail: Guardrail, seen: Seen, newest: Sequence[MonitoringRow]) -> Message:
    values = {**_ends(guardrail, seen), "limit": guardrail.text, "first": min(row.date for row in newest)}
    return Message(
        id="Outside limits since {first}: {measured} ({low} to {high}) misses {limit}, though earlier days were better.", values=values
    )


def _two_in_a_row(days: Sequence[str], missed: Sequence[str]) -> tuple[str, str] | None:
    """The first two days with data, one after the other, that were both outside."""
    return next(((one, two) for one, two in pairwise(days) if one in missed and two in missed), None)
