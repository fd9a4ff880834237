"""A limit held against days of real use: counted answers by exact intervals, ratios by their spread over days.

A limit is within when the end of the 95 % interval that decides meets it, outside when the other end misses it, and undecided
otherwise: the rule of a verification. A day is the unit of chance of quality loss and answer time, because answers of one day
share their load and their subjects; days are taken as independent. One day alone has no interval: its figure is outside when
it misses the limit by more than days scatter from one to the next, and only a second such day in a row says something.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from analysis.contracts.message import Message
from analysis.contracts.rollout import MonitoringRow
from analysis.contracts.verification import Estimate, Guardrail, Verdict
from analysis.planning.binomial import paired_change, share, upper_bound
from analysis.planning.limits import CRITICAL
from analysis.planning.student_t import student_t

NEWEST_DAYS = 7
"""Days with data that stand for what is so now: a plan that was good for weeks may be bad since Monday."""
FEWEST_DAYS = 5
"""With fewer days the spread between them is not known well enough to decide anything."""
MOST_SEARCHED = 20_000
"""Most checked answers that are asked for by number."""
_KEPT = 20_000
"""Intervals kept at a time: the same counts come again and again, day by day and at every look."""
_share = lru_cache(maxsize=_KEPT)(share)
_upper_bound = lru_cache(maxsize=_KEPT)(upper_bound)
_paired_change = lru_cache(maxsize=_KEPT)(paired_change)


@dataclass(frozen=True)
class Counted:
    """Checked answers: how many, how many count against the plan, and how many for it (right answers only)."""

    n: int
    against: int
    in_favour: int = 0

    def times(self, n: int) -> Counted:
        """The same shares among n answers."""
        return Counted(n, round(self.against * n / self.n), round(self.in_favour * n / self.n))


@dataclass(frozen=True)
class Seen:
    """One figure of some days, in its limit's unit.

    Attributes:
        estimate: the figure and the ends that decide.
        n: checked answers or days behind it.
        counted: the counts behind it; None: it comes from days.
        missing: why there is no figure.
    """

    estimate: Estimate
    n: int
    counted: Counted | None = None
    missing: Message | None = None


def see(guardrail: Guardrail, rows: Sequence[MonitoringRow]) -> Seen:
    """What these days say of a limit."""
    own = [row for row in rows if guardrail.slice in (None, CRITICAL, row.slice)]
    if not own and guardrail.slice is not None:
        return _missing(Message(id='The monitoring has no row of the slice "{slice}" in this stage.', values={"slice": guardrail.slice}))
    if guardrail.metric in ("flips", "accuracy"):
        return _of_answers(guardrail, own)
    if guardrail.metric in ("perplexity", "latency_ms"):
        return _of_days(guardrail, own)
    return _missing(
        Message(
            id="{metric} is not among the monitoring's columns. Watch {known} instead, or measure it in a verification.",
            values={"metric": guardrail.metric, "known": ("perplexity", "flips", "accuracy", "latency_ms")},
        )
    )


def verdict(guardrail: Guardrail, seen: Seen) -> Verdict:
    """Within, outside, or undecided by the ends of the interval."""
    low, high = seen.estimate.low, seen.estimate.high
    if seen.missing is not None or low is None or high is None or (seen.counted is None and seen.n < FEWEST_DAYS):
        return "undecided"
    good, bad = (high, low) if guardrail.op == "<=" else (low, high)
    if meets(guardrail, good):
        return "within"
    return "undecided" if meets(guardrail, bad) else "outside"


def meets(guardrail: Guardrail, value: float) -> bool:
    """Whether a figure keeps a limit. A figure that equals it but for the last digits of a float does."""
    if math.isclose(value, guardrail.value, rel_tol=1e-9, abs_tol=1e-12):
        return True
    return value < guardrail.value if guardrail.op == "<=" else value > guardrail.value


def outside_on(guardrail: Guardrail, rows: Sequence[MonitoringRow]) -> tuple[str, ...]:
    """The days that were outside on their own: counted answers beyond chance, a ratio beyond the scatter of its days."""
    if guardrail.metric in ("flips", "accuracy"):
        return tuple(date for date, own in by_day(rows).items() if verdict(guardrail, see(guardrail, own)) == "outside")
    if see(guardrail, rows).missing is not None:
        return ()
    own = [row for row in rows if guardrail.slice in (None, row.slice)]
    days = {date: math.log(value) for date, each in by_day(own).items() if (value := _day(guardrail, each)) is not None}
    end = _beyond(guardrail, list(days.values()))
    return tuple(date for date, value in days.items() if end is not None and (value > end if guardrail.op == "<=" else value < end))


def _beyond(guardrail: Guardrail, logs: Sequence[float]) -> float | None:
    """Where a day misses the limit by more than days scatter, on a log scale; None: one day tells no scatter.

    The scatter comes from the steps between neighbours, so that a level that moves once hardly widens it.
    """
    if len(logs) < 2:
        return None
    scatter = math.sqrt(float(np.mean(np.square(np.diff(logs)))) / 2)
    limit = 1 + guardrail.value / 100 if guardrail.unit == "%" else guardrail.value
    most = student_t(len(logs) - 1) * scatter + 1e-9
    return (math.log(limit) if limit > 0 else -math.inf) + (most if guardrail.op == "<=" else -most)


def worse(guardrail: Guardrail, now: Seen, before: Seen) -> bool:
    """Whether a figure became worse beyond chance: the two intervals do not touch."""
    was, found = before.estimate, now.estimate
    if was.low is None or was.high is None or found.low is None or found.high is None:
        return False
    return found.low > was.high if guardrail.op == "<=" else found.high < was.low


def by_day(rows: Iterable[MonitoringRow]) -> Mapping[str, list[MonitoringRow]]:
    """The rows by day, oldest first."""
    days: dict[str, list[MonitoringRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.date):
        days[row.date].append(row)
    return days


def newest_days(rows: Iterable[MonitoringRow], days: int = NEWEST_DAYS) -> tuple[list[MonitoringRow], list[MonitoringRow]]:
    """The rows before the newest days with data, and those of the newest ones; no newest ones where there are no more days."""
    found = by_day(rows)
    dates = list(found)
    if len(dates) <= days:
        return [row for own in found.values() for row in own], []
    return [row for date in dates[:-days] for row in found[date]], [row for date in dates[-days:] for row in found[date]]


def more_answers(guardrail: Guardrail, seen: Seen) -> int | None:
    """How many more checked answers with the same shares would bring a limit within; None: no number up to `MOST_SEARCHED` would.

    Found by halving: more answers of the same shares never widen the interval, but for the rounding of counts.
    """
    counted = seen.counted
    if counted is None or counted.n == 0 or not _kept(guardrail, counted.times(MOST_SEARCHED)):
        return None
    low, high = counted.n, MOST_SEARCHED
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _kept(guardrail, counted.times(middle)) else (middle, high)
    return max(1, high - counted.n)


def _kept(guardrail: Guardrail, counted: Counted) -> bool:
    estimate = _COUNTED[guardrail.metric](guardrail, counted)
    end = estimate.high if guardrail.op == "<=" else estimate.low
    return end is not None and meets(guardrail, end)


def _of_answers(guardrail: Guardrail, rows: Sequence[MonitoringRow]) -> Seen:
    if guardrail.metric == "accuracy" and guardrail.slice == CRITICAL:
        return _missing(Message(id="The monitoring's columns do not tell wrong critical answers apart. Limit flips@critical instead."))
    counted = _flips(guardrail, rows) if guardrail.metric == "flips" else _wrong(guardrail, rows)
    if counted.n == 0:
        return _missing(_unchecked(guardrail))
    return Seen(_COUNTED[guardrail.metric](guardrail, counted), counted.n, counted)


def _unchecked(guardrail: Guardrail) -> Message:
    if guardrail.slice == CRITICAL:
        return Message(id="No critical answer has been checked in this stage. Fill the columns critical and critical_changed.")
    if guardrail.metric == "flips":
        return Message(id="No answer has been checked in this stage. Fill the columns checked and changed.")
    if guardrail.unit == "abs":
        return Message(id="No answer has been checked in this stage. Fill the columns checked and wrong.")
    return Message(id="No answer has been checked beside the original's in this stage. Fill the columns checked, wrong and wrong_original.")


def _flips(guardrail: Guardrail, rows: Sequence[MonitoringRow]) -> Counted:
    pairs = [(row.critical, row.critical_changed) if guardrail.slice == CRITICAL else (row.checked, row.changed) for row in rows]
    known = [(n, changed) for n, changed in pairs if n is not None and changed is not None]
    return Counted(sum(n for n, _ in known), sum(changed for _, changed in known))


def _wrong(guardrail: Guardrail, rows: Sequence[MonitoringRow]) -> Counted:
    """Wrong answers of the plan; beside the original's, the most that can have been lost and won.

    The file tells how many were wrong on either side, not which. An answer that turned wrong or right has changed, so lost + won
    is at most the number changed: the most of both that fits gives the widest interval, which holds whichever answers they were.
    """
    if guardrail.unit == "abs":
        alone = [(row.checked, row.wrong) for row in rows if row.checked is not None and row.wrong is not None]
        return Counted(sum(n for n, _ in alone), sum(wrong for _, wrong in alone))
    n = lost = won = 0
    for row in rows:
        if row.checked is None or row.wrong is None or row.wrong_original is None:
            continue
        more = row.wrong - row.wrong_original
        most = min(row.wrong, row.checked - row.wrong_original)
        if row.changed is not None:
            most = max(more, 0, min(most, (row.changed + more) // 2))
        n, lost, won = n + row.checked, lost + most, won + most - more
    return Counted(n, lost, won)


def _rate_changed(guardrail: Guardrail, counted: Counted) -> Estimate:
    """Upper end: the one-sided bound that people know; an absolute limit is that number among as many answers."""
    times = 100.0 if guardrail.unit == "%" else float(counted.n)
    exact = _share(counted.against, counted.n)
    return Estimate(
        value=times * counted.against / counted.n,
        low=times * _known(exact.low),
        high=times * _known(_upper_bound(counted.against, counted.n)),
    )


def _rate_right(guardrail: Guardrail, counted: Counted) -> Estimate:
    if guardrail.unit == "abs":
        return _share(counted.n - counted.against, counted.n)
    change = _paired_change(counted.against, counted.in_favour, counted.n)
    return Estimate(value=100 * _known(change.value), low=100 * _known(change.low), high=100 * _known(change.high))


_COUNTED: Mapping[str, Callable[[Guardrail, Counted], Estimate]] = {"flips": _rate_changed, "accuracy": _rate_right}


def _known(value: float | None) -> float:
    assert value is not None
    return value


def _of_days(guardrail: Guardrail, rows: Sequence[MonitoringRow]) -> Seen:
    """The mean over days on a log scale, between the ends of Student's t over days."""
    if guardrail.slice == CRITICAL or (guardrail.metric == "perplexity" and guardrail.unit == "abs"):
        return _missing(
            Message(
                id="The monitoring's columns cannot show {limit}. Write it against the original, such as {example}.",
                values=_example(guardrail),
            )
        )
    daily = [value for own in by_day(rows).values() if (value := _day(guardrail, own)) is not None]
    if not daily:
        if guardrail.metric == "perplexity":
            return _missing(Message(id="No day of this stage has a perplexity. Fill the column perplexity_ratio."))
        return _missing(Message(id="No day of this stage has an answer time. Fill the columns latency_ms and latency_ms_original."))
    logs = np.log(daily)
    middle = float(logs.mean())
    if len(daily) == 1:
        return Seen(Estimate(value=_in_unit(guardrail, middle)), 1)
    half = student_t(len(daily) - 1) * float(logs.std(ddof=1)) / math.sqrt(len(daily))
    ends = [_in_unit(guardrail, end) for end in (middle - half, middle, middle + half)]
    return Seen(Estimate(value=ends[1], low=ends[0], high=ends[2]), len(daily))


def _example(guardrail: Guardrail) -> dict[str, object]:
    return {"limit": guardrail.text, "example": "perplexity<=+5%" if guardrail.metric == "perplexity" else "latency_ms<=1.1x"}


def _in_unit(guardrail: Guardrail, log_value: float) -> float:
    return 100.0 * math.expm1(log_value) if guardrail.unit == "%" else math.exp(log_value)


def _day(guardrail: Guardrail, rows: Sequence[MonitoringRow]) -> float | None:
    """One day's figure over its slices, each weighted by the requests that the plan answered; None: the day has none."""
    if guardrail.metric == "perplexity":
        found = [(row.on_plan, math.log(row.perplexity_ratio)) for row in rows if row.perplexity_ratio is not None and row.on_plan]
        return math.exp(_mean(found)) if found else None
    known = [row for row in rows if row.latency_ms and row.on_plan and (guardrail.unit == "abs" or row.latency_ms_original)]
    if not known:
        return None
    plan = _mean([(row.on_plan, row.latency_ms or 0.0) for row in known])
    return plan if guardrail.unit == "abs" else plan / _mean([(row.on_plan, row.latency_ms_original or 0.0) for row in known])


def _mean(weighted: Sequence[tuple[float, float]]) -> float:
    return sum(weight * value for weight, value in weighted) / sum(weight for weight, _ in weighted)


def _missing(why: Message) -> Seen:
    return Seen(Estimate(value=None), 0, missing=why)
