"""What contradicts itself in a business case, its assumptions or a rollout: cheap enough to be asked of every file that is opened."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from datetime import date
from itertools import pairwise

from analysis.contracts import Assumptions, BusinessCase, MonitoringRow, Rollout
from analysis.economics.dates import day
from analysis.runs.rollout_history import moved

MOST_DRAWS = 100_000
MOST_ROWS = 100_000
MOST_NAMES = 2_000
_ID = re.compile(r"[A-Za-z0-9-]{6,48}")
_ADDRESS = re.compile(r"https?://[^\s<>\"'`]+")
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def case_odds(case: BusinessCase) -> Iterator[str]:
    """Places in a business case that cannot be true."""
    if not _ID.fullmatch(case.id):
        yield "id"
    result = case.result
    if result.simulation.draws > MOST_DRAWS:
        yield "result.simulation.draws"
    if (result.payback_months or 0.0) < 0:
        yield "result.payback_months"
    yield from (f"assumptions.{place}" for place in assumptions_odds(case.assumptions))
    if case.rollout is not None:
        if case.rollout.plan_id != case.evidence.plan_id:
            yield "rollout.plan_id"
        yield from (f"rollout.{place}" for place in rollout_odds(case.rollout))


def assumptions_odds(assumptions: Assumptions) -> Iterator[str]:
    """Places in assumptions that no form would have let in. Whether the figures make sense is asked where they are used."""
    yield from (f"{name}" for name in ("starts_on", "contract_ends_on") if not _is_date(getattr(assumptions, name)))
    yield from (
        f"values.{name[:60]}.source_url"
        for name, figure in assumptions.values.items()
        if figure.source_url and not _ADDRESS.fullmatch(figure.source_url)
    )
    if len(assumptions.values) > MOST_NAMES or len(assumptions.slices) > MOST_NAMES:
        yield "values"
    yield from (f"slices.{name}" for name in _twice(volume.name for volume in assumptions.slices))
    yield from (f"rates.{currency}" for currency in _twice(rate.currency for rate in assumptions.rates))


def rollout_odds(rollout: Rollout) -> Iterator[str]:
    """Places in a rollout that cannot be true."""
    if [stage.number for stage in rollout.stages] != list(range(1, len(rollout.stages) + 1)):
        yield "stages"
    yield from (name for name in ("starts_on", "decision_on", "review_on", "guardrails_set_on") if not _is_date(getattr(rollout, name)))
    yield from (f"stages.{index}.starts_on" for index, stage in enumerate(rollout.stages) if not _is_date(stage.starts_on))
    yield from (f"events.{index}.stage" for index, event in enumerate(rollout.events) if event.stage > len(rollout.stages))
    yield from (f"stages.{index}.state" for index, stage in enumerate(rollout.stages) if stage.state != moved(rollout.events, stage.number))
    yield from (f"events.{index}.at" for index, event in enumerate(rollout.events) if day(event.at) is None)
    yield from (f"checklist.{name}" for name in _twice(item.name for item in rollout.checklist))
    if max(len(rollout.monitoring), len(rollout.actuals), len(rollout.events)) > MOST_ROWS:
        yield "monitoring"
    yield from (f"monitoring.{index}.{place}" for index, row in enumerate(rollout.monitoring) for place in _wrong_day(row))
    if any(_twice((row.date, row.slice) for row in rollout.monitoring)):
        yield "monitoring"
    yield from (f"actuals.{index}.month" for index, row in enumerate(rollout.actuals) if not _MONTH.fullmatch(row.month))
    yield from (f"actuals.{month}" for month in _twice(row.month for row in rollout.actuals))
    yield from (f"actuals.{month}" for month in _behind_gaps([row.month for row in rollout.actuals if _MONTH.fullmatch(row.month)]))


def _behind_gaps(months: Iterable[str]) -> list[str]:
    """Months before which one is missing: they could not be compared with a plan."""
    numbers = sorted({12 * int(month[:4]) + int(month[5:]): month for month in months}.items())
    return [month for (before, _), (number, month) in pairwise(numbers) if number != before + 1]


def _wrong_day(row: MonitoringRow) -> Iterator[str]:
    if not row.date or not _is_date(row.date):
        yield "date"
    parts = {
        "on_plan": row.requests,
        "fallbacks": row.requests,
        "changed": row.checked,
        "wrong": row.checked,
        "wrong_original": row.checked,
        "critical": row.checked,
        "critical_changed": row.critical,
    }
    yield from (name for name, most in parts.items() if most is not None and (getattr(row, name) or 0) > most)


def _twice(names: Iterable[Hashable]) -> list[Hashable]:
    return [name for name, times in Counter(names).items() if times > 1]


def _is_date(text: str) -> bool:
    """Whether it is a day as ISO writes it, or empty."""
    try:
        return not text or date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
