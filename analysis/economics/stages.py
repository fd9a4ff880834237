"""A staged rollout to begin with: who is served first, by how much, under which limits; for people to change.

The order is: slices that are not critical and have little volume, then all that are not critical, critical ones last.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import get_args

from analysis.contracts.business import Assumptions, CaseEvidence, SliceVolume
from analysis.contracts.rollout import ChecklistItem, CheckName, Rollout, Stage
from analysis.economics.advice import days_wanted
from analysis.economics.dates import add_months, add_weeks, day, first_of_next_month
from analysis.economics.plan_share import planned_share, volumes
from analysis.economics.runbook import runbook
from analysis.economics.stage_language import in_language
from analysis.economics.stage_limits import critical_cases_needed, limits_of_stage, starting_limits
from analysis.economics.stage_rules import act, check_item, check_rollout, rehearse
from analysis.economics.stage_words import StepWords, entry, exit_words, stop_words
from analysis.i18n import Language

__all__ = ["act", "check_item", "check_rollout", "default_rollout", "in_language", "rehearse", "runbook"]

_FIRST_VOLUME = 1 / 3
"""The first stage takes the smallest slices up to this share of what is not critical."""
_REVIEW_MONTHS = 6
_LAST_WEEKS = 4
_FEWEST_WEEKS = 2
_WEEKS_A_MONTH = 365.25 / 12 / 7


def default_rollout(evidence: CaseEvidence, assumptions: Assumptions, *, today: date, language: Language = "en") -> Rollout:
    """Three stages, or four where there are critical slices, from the figures that are known.

    Args:
        evidence: what is known of the plan; its limits become the stages' limits.
        assumptions: volumes, critical slices, people's days, months until full use, first day.
        today: of the making; nothing begins before it.
        language: of the words in it, which people edit.
    """
    slices = volumes(evidence, assumptions)
    steps = _steps(slices)
    starts = _starts_on(assumptions, today)
    limits, set_on = starting_limits(evidence, today)
    stages = list[Stage]()
    begins = starts
    for number, ((names, traffic), weeks) in enumerate(zip(steps, _weeks(assumptions, len(steps)), strict=True), start=1):
        own = limits_of_stage(limits, names, slices, evidence)
        words = StepWords(number, len(steps), planned_share(evidence), days_wanted(weeks), critical_cases_needed(own))
        stages.append(
            Stage(
                number=number,
                compression=round(words.share, 3),
                slices=names,
                traffic=traffic,
                weeks=weeks,
                entry=entry(words, evidence, language),
                exit=exit_words(words, language),
                guardrails=own,
                stop_rule=stop_words(language),
                starts_on=begins.isoformat(),
                start_days=_start_days(assumptions, number, len(steps)),
            )
        )
        begins = add_weeks(begins, weeks)
    return Rollout(
        plan_id=evidence.plan_id,
        plan_name=evidence.plan_name,
        stages=tuple(stages),
        checklist=tuple(ChecklistItem(name=name) for name in get_args(CheckName)),
        starts_on=starts.isoformat(),
        decision_on=max(today, starts - timedelta(days=1)).isoformat(),
        review_on=add_months(starts, _REVIEW_MONTHS).isoformat(),
        guardrails_set_on=set_on,
        is_sample=evidence.is_sample,
    )


def _starts_on(assumptions: Assumptions, today: date) -> date:
    given = day(assumptions.starts_on)
    return given if given is not None and given >= today else first_of_next_month(today)


def _steps(slices: Sequence[SliceVolume]) -> list[tuple[tuple[str, ...], float]]:
    """Slices and share of their requests, step by step."""
    quiet = sorted((one for one in slices if not one.critical), key=lambda one: one.requests_per_month)
    critical = tuple(one.name for one in slices if one.critical)
    every = tuple(one.name for one in slices)
    if not quiet:
        smallest = sorted(slices, key=lambda one: one.requests_per_month)
        return [(_first(smallest), 0.2), (every, 0.5), (every, 1.0)]
    open_to_all = tuple(one.name for one in slices if not one.critical)
    steps: list[tuple[tuple[str, ...], float]] = [(_first(quiet), 0.2), (open_to_all, 0.5), (open_to_all, 1.0)]
    return [*steps, (every, 1.0)] if critical else steps


def _first(quiet: Sequence[SliceVolume]) -> tuple[str, ...]:
    """The smallest of these slices, at least one, up to a third of their volume; nothing where no slice is known: then all are served."""
    if not quiet:
        return ()
    most = _FIRST_VOLUME * sum(one.requests_per_month for one in quiet)
    names, so_far = [quiet[0].name], quiet[0].requests_per_month
    for more in quiet[1:]:
        so_far += more.requests_per_month
        if so_far > most:
            break
        names.append(more.name)
    return tuple(names)


def _weeks(assumptions: Assumptions, n_stages: int) -> list[float]:
    """All but the last share the months until full use evenly, in whole weeks."""
    months = _value(assumptions, "rollout_months", 3.0)
    each = max(_FEWEST_WEEKS, round(months * _WEEKS_A_MONTH / (n_stages - 1)))
    return [float(each)] * (n_stages - 1) + [float(_LAST_WEEKS)]


def _start_days(assumptions: Assumptions, number: int, n_stages: int) -> float:
    """Experts rate answers in every stage; all other days to begin fall into the first."""
    rating = _value(assumptions, "expert_days", 3.0) / n_stages
    others = _value(assumptions, "engineer_days", 10.0) + _value(assumptions, "legal_days", 2.0)
    return rating + others if number == 1 else rating


def _value(assumptions: Assumptions, name: str, otherwise: float) -> float:
    found = assumptions.values.get(name)
    return otherwise if found is None or found.value is None else found.value
