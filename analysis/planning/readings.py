"""What a verification measured, in the unit of a limit; or the sentence that says why there is no figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from analysis.contracts import (
    CostPoint,
    Estimate,
    ExampleOutcome,
    Guardrail,
    GuardrailUnit,
    Measured,
    Message,
    QualityScores,
    TaskScore,
    Verification,
)
from analysis.planning.limits import CRITICAL, METRICS

FEWEST_PROMPTS = 8
"""With fewer prompts an interval by bootstrap says nothing (the same number as `SliceInfo.verifiable`)."""


@dataclass(frozen=True)
class Parts:
    """The finished parts of a verification that limits are held against."""

    quality: QualityScores
    slices: Mapping[str, QualityScores] = field(default_factory=dict)
    critical: QualityScores | None = None
    cost: tuple[CostPoint, ...] = ()
    examples: tuple[ExampleOutcome, ...] = ()

    @classmethod
    def of(cls, verification: Verification) -> Parts:
        """Those of a stored verification, to hold other limits against it."""
        return cls(verification.quality, verification.slices, verification.critical, verification.cost, verification.examples)

    def scope(self, slice_name: str | None) -> QualityScores | None:
        """The scores a limit speaks of; None: no prompt falls under it."""
        if slice_name is None:
            return self.quality
        return self.critical if slice_name == CRITICAL else self.slices.get(slice_name)

    def outcomes(self, slice_name: str | None) -> list[ExampleOutcome]:
        """The prompts a limit speaks of."""
        if slice_name == CRITICAL:
            return [example for example in self.examples if example.critical]
        return [example for example in self.examples if slice_name in (None, example.slice)]


@dataclass(frozen=True)
class Reading:
    """One figure in a limit's unit.

    Attributes:
        estimate: the figure and the ends that decide.
        n: prompts or repeats behind it.
        exact: counted, not estimated: no interval is needed.
        bootstrap: its interval comes from a bootstrap over prompts, which needs `FEWEST_PROMPTS`.
        missing: why there is no figure.
    """

    estimate: Estimate
    n: int
    exact: bool = False
    bootstrap: bool = False
    missing: Message | None = None


def read(guardrail: Guardrail, parts: Parts) -> Reading:
    """What was measured for a limit. Of several cost points the one that is worst for the limit."""
    if METRICS[guardrail.metric].source == "cost":
        return _read_cost(guardrail, parts.cost)
    scores = parts.scope(guardrail.slice)
    if scores is None or scores.n_examples == 0:
        return _missing(_no_prompts(guardrail.slice))
    return read_quality(guardrail, scores)


def read_quality(guardrail: Guardrail, scores: QualityScores) -> Reading:
    """The figure of a quality metric over one set of prompts."""
    return _QUALITY[guardrail.metric](scores, guardrail.unit)


def _missing(why: Message) -> Reading:
    return Reading(Estimate(value=None), 0, missing=why)


def _no_prompts(slice_name: str | None) -> Message:
    if slice_name == CRITICAL:
        return Message(id="Not measured: no prompt of the verification half is marked as critical.")
    return Message(id='Not measured: the verification half has no prompt of the slice "{slice}".', values={"slice": slice_name})


def _perplexity(scores: QualityScores, unit: GuardrailUnit) -> Reading:
    own = scores.perplexity_plan if unit == "abs" else scores.perplexity_ratio
    found = own if unit != "%" else _mapped(own, lambda ratio: 100.0 * (ratio - 1.0))
    return _of_tokens(found, scores)


def _kl(scores: QualityScores, _unit: GuardrailUnit) -> Reading:
    return _of_tokens(scores.kl, scores)


def _agreement(scores: QualityScores, unit: GuardrailUnit) -> Reading:
    return _of_tokens(_share(scores.top1_agreement, unit), scores)


def _of_tokens(estimate: Estimate, scores: QualityScores) -> Reading:
    if estimate.value is not None:
        return Reading(estimate, scores.n_examples, bootstrap=True)
    if scores.similarity is not None:
        return _missing(
            Message(id="Not measured: this model does not write word after word. Set a limit on its similarity, such as similarity>=0.99.")
        )
    return _missing(Message(id="Not measured: no token of these prompts gave a usable number."))


def _similarity(scores: QualityScores, unit: GuardrailUnit) -> Reading:
    if scores.similarity is None or scores.similarity.value is None:
        return _missing(
            Message(id="Not measured: similarity is for models that do not write word after word. Set a limit on perplexity or kl.")
        )
    return Reading(_share(scores.similarity, unit), scores.n_examples, bootstrap=True)


def _flips(scores: QualityScores, unit: GuardrailUnit) -> Reading:
    """The upper end is the one-sided 95 % bound: the one that says what no change among n cases leaves open."""
    flips = scores.flips
    if flips is None or flips.n == 0:
        return _missing(
            Message(id="Not measured: none of these prompts was answered. Let more prompts be answered, or give prompts with choices.")
        )
    times = 100.0 if unit == "%" else float(flips.n)
    found = _mapped(Estimate(value=flips.changed / flips.n, low=flips.rate.low, high=flips.upper), lambda rate: rate * times)
    return Reading(found, flips.n)


def _accuracy(scores: QualityScores, unit: GuardrailUnit) -> Reading:
    task = judged_task(scores)
    if task is None:
        return _missing(
            Message(id="Not measured: no right answer is known for these prompts. Give choices with an answer, or short responses.")
        )
    found = task.plan if unit == "abs" else _mapped(task.change, lambda share: 100.0 * share)
    return Reading(found, task.n)


def judged_task(scores: QualityScores) -> TaskScore | None:
    """The task score that "accuracy" means: choices where there are any, else normalised text."""
    by_kind = {task.kind: task for task in scores.tasks if task.n}
    return by_kind.get("choices") or by_kind.get("normalised") or by_kind.get("exact")


_QUALITY: Mapping[str, Callable[[QualityScores, GuardrailUnit], Reading]] = {
    "perplexity": _perplexity,
    "flips": _flips,
    "accuracy": _accuracy,
    "kl": _kl,
    "top1_agreement": _agreement,
    "similarity": _similarity,
}


def _read_cost(guardrail: Guardrail, points: Sequence[CostPoint]) -> Reading:
    if not points:
        return _missing(Message(id="Not measured: no cost was measured in this run. Switch cost on, or ask for sizes that fit the memory."))
    found = [reading for point in points if (reading := _point(guardrail, point)) is not None]
    if not found:
        return _missing(Message(id="Not measured: this device cannot tell {metric} for this model.", values={"metric": guardrail.metric}))
    return max(found, key=lambda reading: _badness(guardrail, reading))


def _badness(guardrail: Guardrail, reading: Reading) -> float:
    """How bad the end that has to meet the limit is."""
    value = reading.estimate
    bound = value.high if guardrail.op == "<=" else value.low
    bound = value.value if bound is None else bound
    assert bound is not None
    return bound if guardrail.op == "<=" else -bound


_TIMED: Mapping[str, Callable[[CostPoint], Measured | None]] = {
    "latency_ms": lambda point: point.prefill_ms,
    "first_token_ms": lambda point: point.first_token_ms,
    "decode_tokens_per_second": lambda point: point.decode_tokens_per_second,
}
_COUNTED: Mapping[str, Callable[[CostPoint], tuple[float, float] | None]] = {
    "peak_memory_bytes": lambda point: point.peak_memory_bytes,
    "weight_bytes": lambda point: point.weight_bytes,
    "kv_cache_bytes": lambda point: point.kv_cache_bytes,
    "prefill_flops": lambda point: point.prefill_flops,
    "energy_mwh": lambda point: point.energy_mwh,
}


def _point(guardrail: Guardrail, point: CostPoint) -> Reading | None:
    if guardrail.metric in _TIMED:
        measured = _TIMED[guardrail.metric](point)
        return None if measured is None else _timed(measured, guardrail.unit)
    pair = _COUNTED[guardrail.metric](point)
    return None if pair is None else _counted(guardrail, pair)


def _timed(measured: Measured, unit: GuardrailUnit) -> Reading:
    """In abs the plan's median, between the ends of the ratio's interval times the original's median."""
    if unit == "abs":
        found = _mapped(measured.ratio, lambda ratio: ratio * measured.original.p50).model_copy(update={"value": measured.plan.p50})
    else:
        found = measured.ratio if unit == "x" else _mapped(measured.ratio, lambda ratio: 100.0 * (ratio - 1.0))
    return Reading(found, min(measured.original.n, measured.plan.n))


def _counted(guardrail: Guardrail, pair: tuple[float, float]) -> Reading | None:
    """Bytes and FLOPs are counted, so they are their own interval; energy is one reading of a meter and has none."""
    original, plan = pair
    if guardrail.unit != "abs" and original == 0:
        return None
    value = {"abs": plan, "x": plan / (original or 1), "%": 100.0 * (plan / (original or 1) - 1.0)}[guardrail.unit]
    if guardrail.metric == "energy_mwh":
        return Reading(Estimate(value=value), 1)
    return Reading(Estimate(value=value, low=value, high=value), 1, exact=True)


def _share(estimate: Estimate, unit: GuardrailUnit) -> Estimate:
    return _mapped(estimate, lambda share: 100.0 * share) if unit == "%" else estimate


def _mapped(estimate: Estimate, change: Callable[[float], float]) -> Estimate:
    def through(value: float | None) -> float | None:
        return None if value is None else change(value)

    return Estimate(value=through(estimate.value), low=through(estimate.low), high=through(estimate.high))
