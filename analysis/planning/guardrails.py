"""Limits held against what was measured: within, outside, or not enough data, and which prompts decided it.

A limit ``metric <= v`` is within when the upper end of the 95 % interval meets v, outside when the lower end misses it,
and otherwise the data cannot decide. The ends are those of the two-sided interval that is shown beside the figure, so
"within" is wrong in at most 2.5 of 100 runs. Changed answers are the one exception: their upper end is the one-sided
95 % bound (1 - 0.05^(1/n) when none changed), because that is the bound people know; their lower end is two-sided too.
A limit on the number of changed answers among n is the limit number/n on their rate. Counted figures (bytes, FLOPs) have
no interval and decide by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from analysis.contracts import ExampleOutcome, Guardrail, GuardrailResult, GuardrailUnit, Message, QualityScores, Verdict
from analysis.planning.limits import CRITICAL, METRICS, Metric, parse_guardrail
from analysis.planning.readings import FEWEST_PROMPTS, Parts, Reading, read, read_quality

__all__ = ["CRITICAL", "METRICS", "Metric", "Parts", "figure", "judge", "parse_guardrail", "worst"]

_MOST_NAMED = 5
_ORDER: tuple[Verdict, ...] = ("within", "undecided", "outside")


def judge(guardrails: Sequence[Guardrail], parts: Parts) -> tuple[GuardrailResult, ...]:
    """Every limit's verdict, in their order."""
    return tuple(_judge(guardrail, parts) for guardrail in guardrails)


def worst(results: Iterable[GuardrailResult]) -> Verdict | None:
    """The verdict over all limits: one outside is outside, one undecided undecided; None: there was no limit."""
    return max((result.verdict for result in results), key=_ORDER.index, default=None)


def _judge(guardrail: Guardrail, parts: Parts) -> GuardrailResult:
    reading = read(guardrail, parts)
    verdict = _verdict(guardrail, reading)
    worst_slice = _worst_slice(guardrail, parts)
    return GuardrailResult(
        guardrail=guardrail,
        verdict=verdict,
        measured=reading.estimate,
        n=reading.n,
        reason=_reason(guardrail, reading, verdict, worst_slice),
        decided_by=_decided_by(guardrail, parts),
        worst_slice=worst_slice,
    )


def _verdict(guardrail: Guardrail, reading: Reading) -> Verdict:
    low, high = reading.estimate.low, reading.estimate.high
    if reading.missing is not None or low is None or high is None or _too_few(reading):
        return "undecided"
    good, bad = (high, low) if guardrail.op == "<=" else (low, high)
    if _meets(guardrail, good):
        return "within"
    return "undecided" if _meets(guardrail, bad) else "outside"


def _meets(guardrail: Guardrail, value: float) -> bool:
    """Whether a figure keeps a limit. A figure that equals it but for the last digits of a float does."""
    if math.isclose(value, guardrail.value, rel_tol=1e-9, abs_tol=1e-12):
        return True
    return value < guardrail.value if guardrail.op == "<=" else value > guardrail.value


def _too_few(reading: Reading) -> bool:
    return reading.bootstrap and reading.n < FEWEST_PROMPTS


def _reason(guardrail: Guardrail, reading: Reading, verdict: Verdict, worst_slice: str | None) -> Message:
    if reading.missing is not None:
        return reading.missing
    estimate = reading.estimate
    assert estimate.value is not None
    values: dict[str, object] = {"measured": figure(estimate.value, guardrail), "limit": guardrail.text, "n": reading.n}
    if estimate.low is None or estimate.high is None:
        return Message(id="Not enough data: {measured} is a single reading without an interval; the limit is {limit}.", values=values)
    values |= {"low": figure(estimate.low, guardrail), "high": figure(estimate.high, guardrail)}
    if verdict == "within":
        exact = reading.exact or values["low"] == values["high"]
        return Message(
            id="Within limits: {measured} meets {limit}." if exact else "Within limits: {measured} ({low} to {high}) meets {limit}.",
            values=values,
        )
    if verdict == "outside":
        return _missed(reading, values, worst_slice)
    return _open(guardrail, reading, values)


def _missed(reading: Reading, values: dict[str, object], worst_slice: str | None) -> Message:
    if reading.exact:
        return Message(id="Outside limits: {measured} misses {limit}.", values=values)
    if worst_slice is None:
        return Message(id="Outside limits: {measured} ({low} to {high}) misses {limit}.", values=values)
    return Message(
        id="Outside limits: {measured} ({low} to {high}) misses {limit}; {slice} decided it.", values={**values, "slice": worst_slice}
    )


def _open(guardrail: Guardrail, reading: Reading, values: dict[str, object]) -> Message:
    if _too_few(reading):
        return Message(
            id="Not enough data: {n} prompts decide nothing; at least {fewest} are needed. Measured: {measured}, limit {limit}.",
            values={**values, "fewest": FEWEST_PROMPTS},
        )
    if guardrail.metric == "flips" and reading.estimate.value == 0:
        return _none_changed(guardrail, reading, values)
    if METRICS[guardrail.metric].source == "cost":
        return Message(
            id="Not enough data: {limit} lies between {low} and {high} (measured: {measured}). Measure again with more repeats.",
            values=values,
        )
    return Message(
        id="Not enough data: {limit} lies between {low} and {high} (measured: {measured}, prompts: {n}). Give more prompts.", values=values
    )


def _none_changed(guardrail: Guardrail, reading: Reading, values: dict[str, object]) -> Message:
    """None of n answers changed, and still the limit cannot be called kept: what n could decide, and how many it takes."""
    assert reading.estimate.high is not None
    rate = guardrail.value / (100.0 if guardrail.unit == "%" else reading.n)
    upper = reading.estimate.high / (100.0 if guardrail.unit == "%" else reading.n)
    at = "" if guardrail.slice is None else f"@{guardrail.slice}"
    values = {**values, "upper": f"{100 * upper:.1f}%", "possible": f"flips{at}<={math.ceil(100 * upper)}%"}
    if rate <= 0:
        return Message(
            id="Not enough data: none of {n} answers changed, but no number of cases proves that none ever will: a true rate of up to "
            "{upper} cannot be ruled out. {n} cases can decide {possible}, and {more} unchanged cases {tighter}.",
            values={**values, "more": cases_needed(0.01), "tighter": f"flips{at}<=1%"},
        )
    return Message(
        id="Not enough data: none of {n} answers changed, but a true rate of up to {upper} cannot be ruled out, and the limit is {limit}. "
        "{n} cases can decide {possible}; this limit takes {more} unchanged cases.",
        values={**values, "more": cases_needed(rate)},
    )


def cases_needed(rate: float) -> int:
    """How many cases without a change it takes to say that the true rate is at most `rate`, one-sided 95 %.

    >>> cases_needed(0.05), cases_needed(0.01)
    (59, 299)
    """
    return 1 if rate >= 0.95 else math.ceil(math.log(0.05) / math.log1p(-rate))


def figure(value: float, guardrail: Guardrail) -> str:
    """A measured value as its limit would be written: 1.042x, +4.2%, 0.031."""
    unit: GuardrailUnit = guardrail.unit
    if unit == "x":
        return f"{value:.3f}x"
    if unit == "%":
        return f"{value:.1f}%" if METRICS[guardrail.metric].percent == "share" else f"{value:+.1f}%"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def _worst_slice(guardrail: Guardrail, parts: Parts) -> str | None:
    """The slice that measured worst against a limit over all prompts."""
    if guardrail.slice is not None or METRICS[guardrail.metric].source == "cost" or len(parts.slices) < 2:
        return None
    found = {name: _worth(guardrail, scores) for name, scores in sorted(parts.slices.items())}
    known = {name: value for name, value in found.items() if value is not None}
    if len(set(known.values())) < 2:
        return None
    return (max if guardrail.op == "<=" else min)(known, key=lambda name: known[name])


def _worth(guardrail: Guardrail, scores: QualityScores) -> float | None:
    """A slice's own figure; changed answers as their rate, so that large slices are not worse for being large."""
    by_rate = guardrail.model_copy(update={"unit": "%"}) if guardrail.metric == "flips" else guardrail
    return read_quality(by_rate, scores).estimate.value


def _lost(example: ExampleOutcome) -> float:
    if example.loss_plan is None or example.loss_original is None:
        return 0.0
    return example.n_tokens * (example.loss_plan - example.loss_original)


_MOVED: Mapping[str, Callable[[ExampleOutcome], float]] = {
    "perplexity": _lost,
    "kl": lambda example: example.n_tokens * (example.kl or 0.0),
    "top1_agreement": lambda example: 0.0 if example.top1_agreement is None else example.n_tokens * (1.0 - example.top1_agreement),
    "similarity": lambda example: 0.0 if example.similarity is None else example.n_tokens * (1.0 - example.similarity),
    "flips": lambda example: (1.0 + example.critical) if example.flipped else 0.0,
    "accuracy": lambda example: 1.0 if example.right_original and example.right_plan is False else 0.0,
}


def _decided_by(guardrail: Guardrail, parts: Parts) -> tuple[str, ...]:
    """The prompts that moved it most towards the wrong side, worst first."""
    moved = _MOVED.get(guardrail.metric)
    if moved is None:
        return ()
    ranked = sorted(parts.outcomes(guardrail.slice), key=lambda example: (-moved(example), -_lost(example), example.example_id))
    return tuple(example.example_id for example in ranked[:_MOST_NAMED] if moved(example) > 0)
