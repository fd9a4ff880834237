"""The limits that a stage watches day by day: those of the verification that real use can show, else careful ones to begin with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from analysis.contracts.business import CaseEvidence, SliceVolume
from analysis.contracts.verification import Guardrail
from analysis.economics.dates import day
from analysis.economics.uses import serves
from analysis.errors import PlanError
from analysis.planning.guardrails import cases_needed
from analysis.planning.limits import CRITICAL, parse_guardrail

WATCHED = ("perplexity", "flips", "accuracy", "latency_ms")
"""What the monitoring's columns can show."""
_SERVING = ("perplexity<=+5%",)
_TRAINING = ("accuracy>=-5%", "latency_ms<=1.1x")
"""Wrong answers as far as a few hundred checked ones can decide them; a fine-tune leaves the time of an answer as it is."""
_CRITICAL = "flips@critical<=5%"


def can_be_watched(guardrail: Guardrail) -> bool:
    """Whether the monitoring's columns hold what the limit speaks of; perplexity comes as a ratio only."""
    return guardrail.metric in WATCHED and not (guardrail.metric == "perplexity" and guardrail.unit == "abs")


def read_limit(text: str) -> Guardrail | None:
    """A limit as people write it; None: it cannot be read."""
    try:
        return parse_guardrail(text)
    except PlanError:
        return None


def starting_limits(evidence: CaseEvidence, today: date) -> tuple[tuple[Guardrail, ...], str]:
    """The verification's limits that can be watched, and when they were set at the latest; else careful ones set today."""
    kept = tuple(result.guardrail for result in evidence.guardrails if can_be_watched(result.guardrail))
    if kept:
        return kept, (day(evidence.measured_at) or today).isoformat()
    texts = _SERVING if serves(evidence) else _TRAINING
    return tuple(parse_guardrail(text) for text in texts), today.isoformat()


def limits_of_stage(
    limits: Sequence[Guardrail], names: Sequence[str], slices: Sequence[SliceVolume], evidence: CaseEvidence
) -> tuple[str, ...]:
    """Those that speak of something the stage serves; where it serves critical work, one on critical answers is always among them."""
    critical = any(entry.critical and entry.name in names for entry in slices)
    marked = any(entry.critical for entry in slices)
    critical_too = critical or (not marked and evidence.n_critical > 0)
    own = [limit.text for limit in limits if limit.slice is None or limit.slice in names or (limit.slice == CRITICAL and critical_too)]
    if critical and not any(limit.slice == CRITICAL for limit in limits):
        own.append(_CRITICAL)
    if not any(limit.slice is None for limit in limits):
        own += _SERVING if serves(evidence) else _TRAINING
    return tuple(dict.fromkeys(own))


def critical_cases_needed(texts: Sequence[str]) -> int | None:
    """How many unchanged critical cases the limits on changed critical answers take at the least; None: there is no such limit."""
    rates = [
        limit.value / 100
        for text in texts
        if (limit := read_limit(text)) is not None
        and limit.metric == "flips"
        and limit.slice == CRITICAL
        and limit.unit == "%"
        and limit.value > 0
    ]
    return max(map(cases_needed, rates), default=None)
