"""Reasons to stay at a stage, in words with their figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

from analysis.contracts.message import Message
from analysis.contracts.rollout import MonitoredLimit, MonitoringRow, Rollout, Stage
from analysis.contracts.verification import Guardrail
from analysis.economics import dates
from analysis.economics.watched import FEWEST_DAYS, NEWEST_DAYS, Seen, by_day, more_answers, newest_days, outside_on, see, verdict, worse
from analysis.planning.binomial import share
from analysis.planning.guardrails import figure
from analysis.planning.limits import CRITICAL

OLDEST_DAYS = 3
"""Data older than this say nothing about today."""
WEEKEND = 2
_LONGEST_GAP = 4
"""Days in a row without data that a long weekend explains."""
_RISE = 1.25
"""Requests fall back more often when the newest week is beyond chance and this many times what it was."""
_TRAFFIC_SLACK = 0.05


def reasons_to_hold(
    rollout: Rollout, stage: Stage, rows: Sequence[MonitoringRow], limits: Sequence[MonitoredLimit], wanted: int, today: date
) -> list[Message]:
    """Why a stage should not go on yet; empty: nothing speaks against it."""
    if stage.state == "planned":
        return [Message(id="Stage {k} has not begun.", values={"k": stage.number})]
    if not rows:
        return [Message(id="There are no monitoring data of stage {k} yet. Import the days since it began.", values={"k": stage.number})]
    found = [] if limits else [Message(id="Stage {k} has no limit to be held against. Set at least one.", values={"k": stage.number})]
    found += [limit.reason for limit in limits if limit.verdict == "undecided"]
    found += _time(stage, rows, wanted)
    if stage.state in ("running", "held"):
        found += _age(rows, today)
    found += _critical_days(limits, rows) + _worse(limits, rows) + _gaps(rollout, stage, rows)
    return found + _fallbacks(rows) + _too_much(stage, rows) + _elsewhere(rollout, stage, rows)


def undecided(guardrail: Guardrail, seen: Seen) -> Message:
    """Why the figures so far do not decide a limit, and what would."""
    estimate = seen.estimate
    assert estimate.value is not None
    values: dict[str, object] = {"limit": guardrail.text, "n": seen.n, "measured": figure(estimate.value, guardrail)}
    if seen.counted is None and seen.n < FEWEST_DAYS:
        return Message(
            id="Not enough data: {n} days decide nothing; at least {fewest} are needed. So far {measured}, limit {limit}.",
            values={**values, "fewest": FEWEST_DAYS},
        )
    assert estimate.low is not None
    assert estimate.high is not None
    values |= {"low": figure(estimate.low, guardrail), "high": figure(estimate.high, guardrail)}
    if seen.counted is None:
        return Message(
            id="Not enough data: {limit} lies between {low} and {high} (so far {measured}, days: {n}). Collect more days.", values=values
        )
    more = more_answers(guardrail, seen)
    if more is None:
        return Message(
            id="Not enough data: {limit} lies between {low} and {high} (so far {measured}, checked answers: {n}). "
            "At this rate more checked answers would not bring it within.",
            values=values,
        )
    return Message(
        id="Not enough data: {limit} lies between {low} and {high} (so far {measured}, checked answers: {n}). "
        "About {more} more checked answers would decide it at this rate.",
        values={**values, "more": more},
    )


def _time(stage: Stage, rows: Sequence[MonitoringRow], wanted: int) -> list[Message]:
    """Enough days with data, and the weeks over but for a weekend."""
    days = list(by_day(rows))
    if len(days) < wanted:
        return [
            Message(
                id="{days} of {wanted} days with data so far; {more} more are needed.",
                values={"days": len(days), "wanted": wanted, "more": wanted - len(days)},
            )
        ]
    first, last = dates.day(days[0]), dates.day(days[-1])
    whole = round(stage.weeks * dates.WEEK_DAYS)
    span = (last - first).days + 1 if first and last else whole
    if span < whole - WEEKEND:
        return [
            Message(
                id="The data span {span} of {whole} days; the stage takes {weeks} weeks.",
                values={"span": span, "whole": whole, "weeks": stage.weeks},
            )
        ]
    return []


def _age(rows: Sequence[MonitoringRow], today: date) -> list[Message]:
    newest = max(row.date for row in rows)
    last = dates.day(newest)
    age = (today - last).days if last else 0
    if age <= OLDEST_DAYS:
        return []
    return [
        Message(
            id="The newest data are of {date}, {age} days old; at most {most} are allowed. Import the days since.",
            values={"date": newest, "age": age, "most": OLDEST_DAYS},
        )
    ]


def _critical_days(limits: Sequence[MonitoredLimit], rows: Sequence[MonitoringRow]) -> list[Message]:
    """Days of the newest week on which critical answers changed beyond chance, however good the others were."""
    newest = list(by_day(rows))[-NEWEST_DAYS:]
    return [
        Message(
            id="On {date} {limit} was missed beyond chance: look at those answers before going on.",
            values={"date": date, "limit": limit.guardrail.text},
        )
        for limit in limits
        if limit.guardrail.slice == CRITICAL
        for date in outside_on(limit.guardrail, rows)
        if date in newest
    ]


def _worse(limits: Sequence[MonitoredLimit], rows: Sequence[MonitoringRow]) -> list[Message]:
    """Limits that the newest week alone no longer shows to be kept, where it is worse than the days before beyond chance."""
    before, newest = newest_days(rows)
    found = []
    for limit in limits if newest else ():
        was, now = see(limit.guardrail, before), see(limit.guardrail, newest)
        if limit.verdict != "undecided" and verdict(limit.guardrail, now) != "within" and worse(limit.guardrail, now, was):
            assert was.estimate.value is not None
            assert now.estimate.value is not None
            values = {
                "limit": limit.guardrail.text,
                "now": figure(now.estimate.value, limit.guardrail),
                "was": figure(was.estimate.value, limit.guardrail),
            }
            found.append(Message(id="Getting worse: {now} in the newest week, {was} before; the limit is {limit}.", values=values))
    return found


def _gaps(rollout: Rollout, stage: Stage, rows: Sequence[MonitoringRow]) -> list[Message]:
    """Slices that nobody sees, and days in the middle without data."""
    first, last = min(row.date for row in rows), max(row.date for row in rows)
    own = [row for row in rollout.monitoring if first <= row.date <= last and (not stage.slices or row.slice in stage.slices)]
    unseen = [name for name in stage.slices if all(row.slice != name for row in rows)]
    newest = newest_days(own)[1]
    silent = [name for name in stage.slices if newest and name not in unseen and all(row.slice != name for row in newest)]
    found = list[Message]()
    if unseen:
        values = {"k": stage.number, "slices": tuple(unseen)}
        found.append(
            Message(id="Stage {k} also serves {slices}, but no day shows the plan answering there. Import its days.", values=values)
        )
    if silent:
        values = {"slices": tuple(silent), "days": NEWEST_DAYS}
        found.append(
            Message(id="The newest {days} days have no line of {slices}. Import it, with 0 requests where there were none.", values=values)
        )
    return [*found, *_missing_days(sorted({row.date for row in own}))]


def _missing_days(days: Sequence[str]) -> list[Message]:
    """The longest stretch without data, where it is longer than a long weekend."""
    known = [found for text in days if (found := dates.day(text)) is not None]
    gap, after = max((((two - one).days - 1, one) for one, two in pairwise(known)), default=(0, None))
    if after is None or gap <= _LONGEST_GAP:
        return []
    first, last = after + timedelta(days=1), after + timedelta(days=gap)
    return [
        Message(
            id="There are no data from {first} to {last}, {days} days. Import them, with 0 requests where nothing ran.",
            values={"first": first.isoformat(), "last": last.isoformat(), "days": gap},
        )
    ]


def _fallbacks(rows: Sequence[MonitoringRow]) -> list[Message]:
    """The newest week against the days before it, by exact intervals that do not touch."""
    known = by_day(row for row in rows if row.fallbacks is not None)
    if len(known) < 2 * NEWEST_DAYS:
        return []
    days = list(known)
    before, newest = (_fallen([row for day in part for row in known[day]]) for part in (days[:-NEWEST_DAYS], days[-NEWEST_DAYS:]))
    was, now = share(*before), share(*newest)
    if now.low is None or was.high is None or now.low <= was.high or newest[0] * before[1] < _RISE * before[0] * newest[1]:
        return []
    return [
        Message(
            id="More requests fall back to the original: {now} of 100 in the newest week, {was} of 100 before.",
            values={"now": round(100 * (now.value or 0.0), 2), "was": round(100 * (was.value or 0.0), 2)},
        )
    ]


def _fallen(rows: Sequence[MonitoringRow]) -> tuple[int, int]:
    return sum(row.fallbacks or 0 for row in rows), sum(row.requests for row in rows)


def _too_much(stage: Stage, rows: Sequence[MonitoringRow]) -> list[Message]:
    requests, on_plan = sum(row.requests for row in rows), sum(row.on_plan for row in rows)
    if not requests or on_plan / requests <= stage.traffic + _TRAFFIC_SLACK:
        return []
    return [
        Message(
            id="The plan answered {share}% of the requests; stage {k} allows {traffic}%.",
            values={"share": round(100 * on_plan / requests, 1), "traffic": round(100 * stage.traffic, 1), "k": stage.number},
        )
    ]


def _elsewhere(rollout: Rollout, stage: Stage, rows: Sequence[MonitoringRow]) -> list[Message]:
    """Slices that the plan answered on the stage's days although the stage does not name them."""
    days = {row.date for row in rows}
    others = sorted(
        {row.slice for row in rollout.monitoring if row.date in days and row.on_plan > 0 and stage.slices and row.slice not in stage.slices}
    )
    if not others:
        return []
    return [
        Message(id="The plan answered slices that stage {k} does not serve: {slices}.", values={"k": stage.number, "slices": tuple(others)})
    ]
