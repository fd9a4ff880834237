"""What contradicts itself in a search or a verification: units that the model does not have, figures that cannot both be true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from analysis.contracts import (
    STRATEGIES,
    Estimate,
    Guardrail,
    GuardrailResult,
    MeasuredSet,
    QualityScores,
    Search,
    StackInfo,
    UnitRef,
    Verdict,
    Verification,
)
from analysis.errors import PlanError
from analysis.planning.guardrails import Parts, parse_guardrail
from analysis.planning.readings import read

_ROUNDING = 1e-3
"""How far figures that must agree may be apart: documents are rounded, and sums are taken in different orders."""
_WORST: tuple[Verdict, ...] = ("within", "undecided", "outside")


def search_odds(search: Search) -> Iterator[str]:
    """Places in a search that cannot be true."""
    stack = next((stack for stack in search.model.stacks if stack.name == search.stack), None)
    if stack is None or not stack.blocks:
        yield "stack"
        return
    if search.objective == "loss" and search.base_loss < 0:
        yield "base_loss"
    known = units_of(stack)
    for field, size in (("singles", 1), ("pairs", 2), ("sets", None)):
        yield from (f"{field}.{place}" for place in _wrong_sets(getattr(search, field), search, known, size))
    for strategy, sets in search.paths.items():
        if strategy not in STRATEGIES:
            yield f"paths.{strategy[:40]}"
        yield from (f"paths.{strategy[:40]}.{index}" for index, removed in enumerate(sets) if not set(removed) <= known)


def units_of(stack: StackInfo) -> set[UnitRef]:
    """Everything that could be left out of a stack."""
    found = set[UnitRef]()
    for block in stack.blocks:
        found.add(("block", block.index))
        found.update((unit, block.index) for unit in ("attention", "mlp") if getattr(block, unit) is not None)
    return found


def _wrong_sets(measured: Sequence[MeasuredSet], search: Search, known: set[UnitRef], size: int | None) -> Iterator[str]:
    seen = set[tuple[UnitRef, ...]]()
    for index, found in enumerate(measured):
        fits = bool(found.removed) and set(found.removed) <= known and size in (None, len(found.removed))
        if not fits or found.removed in seen:
            yield f"{index}.removed"
        seen.add(found.removed)
        if found.n_tokens > search.n_tokens:
            yield f"{index}.n_tokens"
        if found.interval is not None and found.interval[0] > found.interval[1]:
            yield f"{index}.interval"
        whole = found.n_tokens == search.n_tokens  # else over fewer tokens, of which the untouched model's loss is not kept
        if whole and not close(found.change, found.loss - search.base_loss, abs(found.loss)):
            yield f"{index}.change"


def verification_odds(verification: Verification) -> Iterator[str]:
    """Places in a verification that cannot be true: such a document is not to be trusted in anything."""
    parts = {f"slices.{name}": scores for name, scores in verification.slices.items()}
    if verification.critical is not None:
        parts["critical"] = verification.critical
    for name, scores in {"quality": verification.quality, **parts}.items():
        yield from (f"{name}.{place}" for place in _wrong_quality(scores))
        if scores.n_examples > len(verification.examples):
            yield f"{name}.n_examples"
    for index, point in enumerate(verification.cost):
        timed = (point.prefill_ms, point.first_token_ms, *filter(None, (point.decode_tokens_per_second,)))
        yield from (f"cost.{index}" for measured in timed if upside_down(measured.ratio))
    for index, result in enumerate(verification.guardrails):
        if not _as_written(result.guardrail):
            yield f"guardrails.{index}.guardrail"
        elif not _as_measured(result, Parts.of(verification)):
            yield f"guardrails.{index}.measured"
        if not _follows(result):
            yield f"guardrails.{index}.verdict"
    verdicts = [result.verdict for result in verification.guardrails]
    if verification.verdict != (max(verdicts, key=_WORST.index) if verdicts else None):
        yield "verdict"


def _wrong_quality(scores: QualityScores) -> Iterator[str]:
    for name in ("perplexity_original", "perplexity_plan", "perplexity_ratio", "loss_change", "kl", "top1_agreement", "similarity"):
        estimate: Estimate | None = getattr(scores, name)
        if estimate is not None and upside_down(estimate):
            yield name
    if beyond_share(scores.top1_agreement):
        yield "top1_agreement"
    before, after, ratio = (getattr(scores, f"perplexity_{name}").value for name in ("original", "plan", "ratio"))
    if before and after is not None and ratio is not None and not close(ratio, after / before, ratio):
        yield "perplexity_ratio"
    flips = scores.flips
    if flips is not None and (flips.changed > flips.n or beyond_share(flips.rate) or upside_down(flips.rate)):
        yield "flips"
    for index, task in enumerate(scores.tasks):
        if any(beyond_share(share) or upside_down(share) for share in (task.original, task.plan)) or upside_down(task.change):
            yield f"tasks.{index}"


def _as_written(limit: Guardrail) -> bool:
    """Whether a limit is what its own text says."""
    with suppress(PlanError):
        return parse_guardrail(limit.text) == limit
    return False


def _as_measured(result: GuardrailResult, parts: Parts) -> bool:
    """Whether the figure that a limit is held against is the one that stands among the measurements."""
    found, said = read(result.guardrail, parts).estimate.value, result.measured.value
    if found is None or said is None:
        return found is said
    return close(found, said, found)


def _follows(result: GuardrailResult) -> bool:
    """Whether a verdict follows from its own figure: the end that decides meets the limit, or misses it."""
    limit, measured = result.guardrail, result.measured
    if upside_down(measured):
        return False
    if result.verdict == "undecided":
        return True
    good, bad = (measured.high, measured.low) if limit.op == "<=" else (measured.low, measured.high)
    decides = good if result.verdict == "within" else bad
    if decides is None:
        return False
    slack = _ROUNDING * max(1.0, abs(limit.value))
    over = decides - limit.value if limit.op == "<=" else limit.value - decides
    return over <= slack if result.verdict == "within" else over >= -slack


def upside_down(estimate: Estimate) -> bool:
    """Whether an interval ends before it begins."""
    return estimate.low is not None and estimate.high is not None and estimate.low > estimate.high


def beyond_share(estimate: Estimate) -> bool:
    """Whether a share is below 0 or above 1."""
    figures = (estimate.value, estimate.low, estimate.high)
    return any(figure is not None and not -_ROUNDING <= figure <= 1 + _ROUNDING for figure in figures)


def close(first: float, second: float, size: float) -> bool:
    """Whether two figures that must agree do, as far as rounding lets them."""
    return abs(first - second) <= _ROUNDING * max(1.0, abs(size))
