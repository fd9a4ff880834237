"""Which layer should be the last frozen one: every rule's answer, and how sure it is.

Rules R0 to R3 are `eof_rules`' formulas over the deviation curve of response tokens, by the mean curve or by the votes of prompts.
Certainty: 1,000 resamples of the prompts (multinomial, fixed seed; a prompt counts its weight times its tokens) choose again.
With at most B trainable layers, the answer is max(choice, L - 1 - B): the budget is filled from the output side inward. R0 alone
gives way to the budget where it only finds the end of where it may look, as a curve that falls all the way makes it do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.contracts import (
    EOF_STRATEGIES,
    Aggregate,
    DeviationCurve,
    EofChoice,
    EofStrategy,
    Message,
    Semantics,
    Series,
    TraceScores,
    Trial,
)
from analysis.contracts.semantics import CurveName
from analysis.errors import PlanError
from analysis.planning import eof_words as words
from analysis.planning.eof_rules import CURVE_RULES, Floats, chosen, prefix_below_median, resampled_means, resamples

DEFAULT_STRATEGY: EofStrategy = "train_last"
"""Until a sweep tells. In sweeps on the sample model (its own workload, and grade-school arithmetic) the curve rules kept 58 to 76 % of
full fine-tuning's gain at their choices, or froze next to nothing; training the later half kept 79 to 95 %."""
INTERPRETATIONS: frozenset[EofStrategy] = frozenset({"gain", "scaled_gain", "exponent", "lens", "gradient"})
"""Our readings: the paper gives no formula that could be checked; AutoFreeze's rule is meant for several passes, not for one."""
REPLICATES = 1000


def choose_eof(
    semantics: Semantics | None,
    strategy: EofStrategy,
    *,
    aggregate: Aggregate = "mean",
    trial: Trial | None = None,
    max_trainable: int | None = None,
    curve: CurveName | None = None,
    n_blocks: int | None = None,
) -> EofChoice:
    """One rule's answer, or the reason why it has none.

    Args:
        semantics: the traces; also holds the gradients of the rule `gradient`. Not needed for `plasticity` and `train_last`.
        strategy: the rule.
        aggregate: choose on the mean curve, or let every prompt choose and take what most (by weight) choose.
        trial: for `plasticity`: one whose full fine-tuning kept the gradients of two intervals or more; for `sweep`: one that recommends.
        max_trainable: at most so many layers may train; None: no budget (half of them for `train_last`).
        curve: the kind of deviation; None: the one whose basis names the right word most often.
        n_blocks: layers of the stack, where neither traces nor trial tell.

    Raises:
        PlanError: the rule is unknown, the budget lets nothing train, or nothing tells how many layers there are.
    """
    _check(strategy, max_trainable)
    layers = n_blocks or (semantics.n_blocks if semantics else 0) or (trial.n_blocks if trial else 0)
    if not layers:
        raise PlanError("Nothing tells how many layers the model has. Give the traces, a trial, or the model.")
    floor = -1 if max_trainable is None else max(-1, layers - 1 - max_trainable)
    if strategy == "train_last":
        answer = _last(floor, layers, max_trainable)
    elif strategy == "sweep":
        answer = _by_sweep(trial)
    elif strategy == "gradient":
        answer = _by_gradient(semantics)
    elif strategy == "plasticity":
        answer = _by_plasticity(trial)
    else:
        answer = _by_curve(semantics, strategy, aggregate, curve)
    return _limited(answer, strategy, aggregate, floor, layers)


def all_choices(
    semantics: Semantics | None,
    *,
    trial: Trial | None = None,
    max_trainable: int | None = None,
    n_blocks: int | None = None,
    aggregate: Aggregate = "mean",
) -> tuple[EofChoice, ...]:
    """Every rule's answer, in the order of EOF_STRATEGIES; those without one say why. `sweep` only where one recommends."""
    swept = trial is not None and trial.recommended is not None
    return tuple(
        choose_eof(semantics, strategy, aggregate=aggregate, trial=trial, max_trainable=max_trainable, n_blocks=n_blocks)
        for strategy in EOF_STRATEGIES
        if swept or strategy != "sweep"
    )


def default_rule(trial: Trial | None) -> EofStrategy:
    """What a sweep of this model on this workload recommends; until there is one, DEFAULT_STRATEGY."""
    return "sweep" if trial is not None and trial.recommended is not None else DEFAULT_STRATEGY


def virtual_curve(curve: DeviationCurve, *, nats: bool = False) -> Series:
    """The straight way to the right word: the angle to it falls evenly from what it is at the input to 0. Our reading.

    Args:
        curve: the actual way.
        nats: the curve counts nats (the logit lens), not 1 - cosine: then these fall evenly.

    Returns:
        [P] deviations; all undefined where the input's is.

    >>> right_angle = DeviationCurve(mean=(1.0, 0.9, 0.0), intervals=(None,) * 3, gain=(0.1, 0.9), gain_intervals=(None,) * 2)
    >>> [round(value, 3) for value in virtual_curve(right_angle)]
    [1.0, 0.293, 0.0]
    """
    start, n_blocks = curve.mean[0], len(curve.mean) - 1
    if start is None:
        return (None,) * (n_blocks + 1)
    left = 1.0 - np.arange(n_blocks + 1) / max(n_blocks, 1)
    way = start * left if nats else 1.0 - np.cos(np.arccos(np.clip(1.0 - start, -1.0, 1.0)) * left)
    return tuple(float(value) for value in way)


# -- the rules' answers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Answer:
    """A rule's answer before the budget. `places` scores every number of frozen layers, 0 to L."""

    reason: Message
    unlimited: int | None = None
    places: Floats | None = None
    agreement: float | None = None
    low: int | None = None
    high: int | None = None
    votes: Mapping[int, int] = field(default_factory=dict)
    by_slice: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Prompts:
    """What single prompts show: curves [n, P], weights of their votes, and of their share in the mean."""

    curves: Floats
    votes: Floats
    weights: Floats


def _by_curve(semantics: Semantics | None, strategy: EofStrategy, aggregate: Aggregate, curve: CurveName | None) -> _Answer:
    if semantics is None:
        return _Answer(words.NO_TRACES)
    name: CurveName = "lens" if strategy == "lens" else curve or semantics.default_curve
    mean = _mean_curve(semantics.overall, name)
    if mean is None:
        return _Answer(words.NO_LENS if name == "lens" else words.NO_TRACES)
    rule = CURVE_RULES[strategy]
    places = rule(mean)
    best = int(chosen(places)) - 1
    if best < -1:
        return _Answer(words.NO_SCORE, places=places)
    by_slice = {
        key: int(chosen(rule(part))) - 1 for key, scores in semantics.slices.items() if (part := _mean_curve(scores, name)) is not None
    }
    answer = _Answer(
        words.why_curve(strategy, best, [float(value) for value in mean], float(places[best + 1])),
        best,
        places,
        by_slice={key: eof for key, eof in by_slice.items() if eof >= -1},
    )
    prompts = _prompts(semantics, name)
    if prompts is None:
        return answer if aggregate == "mean" else replace(answer, reason=words.NO_VOTES, unlimited=None)
    return _with_prompts(answer, strategy, aggregate, prompts)


def _with_prompts(answer: _Answer, strategy: EofStrategy, aggregate: Aggregate, prompts: _Prompts) -> _Answer:
    """Votes, the choice by votes where that is asked for, and the stability of either over resamples."""
    rule, times = CURVE_RULES[strategy], resamples(len(prompts.curves), REPLICATES)
    own = chosen(rule(prompts.curves)) - 1
    voting = own >= -1
    votes = Counter(int(eof) for eof in own[voting])
    if aggregate == "mean":
        again = chosen(rule(resampled_means(prompts.curves, prompts.weights, times))) - 1
    else:
        n_places = prompts.curves.shape[1]
        ballots = (np.arange(n_places)[None] == own[:, None] + 1) * prompts.votes[:, None]
        total = ballots.sum(axis=0)
        if not total.any():
            return replace(answer, reason=words.NO_SCORE, unlimited=None)
        best = int(total.argmax()) - 1
        answer = replace(
            answer, unlimited=best, reason=words.why_vote(best, votes[best], int(voting.sum()), most=votes[best] == max(votes.values()))
        )
        again = (times @ ballots).argmax(axis=1) - 1
    again = again[again >= -1]
    if not len(again):
        return replace(answer, votes=votes)
    low, high = np.percentile(again, 5, method="lower"), np.percentile(again, 95, method="higher")
    agreement = float((again == answer.unlimited).mean())
    return replace(answer, votes=dict(sorted(votes.items())), agreement=agreement, low=int(low), high=int(high))


def _last(floor: int, n_blocks: int, max_trainable: int | None) -> _Answer:
    if max_trainable is not None:
        return _Answer(words.why_last(floor, n_blocks - 1 - floor, n_blocks), floor)
    half = n_blocks - 1 - (n_blocks + 1) // 2
    return _Answer(words.why_half(half, n_blocks), half)


def _by_sweep(trial: Trial | None) -> _Answer:
    if trial is None or trial.recommended is None:
        return _Answer(words.NO_SWEEP)
    return _Answer(words.why_sweep(trial.recommended, released=bool(trial.released)), trial.recommended)


def _by_gradient(semantics: Semantics | None) -> _Answer:
    if semantics is None or semantics.gradients is None:
        return _Answer(words.NO_TRACES if semantics is None else words.NO_GRADIENTS)
    return _by_prefix("gradient", _floats(semantics.gradients.per_parameter))


def _by_plasticity(trial: Trial | None) -> _Answer:
    history = (
        next((arm.block_gradients for arm in trial.arms if arm.kind == "full" and len(arm.block_gradients) > 1), None) if trial else None
    )
    if history is None:
        return _Answer(words.NO_HISTORY)
    before, now = _floats(history[-2]), _floats(history[-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        return _by_prefix("plasticity", np.abs(before - now) / before)


def _by_prefix(strategy: EofStrategy, values: Floats) -> _Answer:
    values = np.where(np.isfinite(values), values, np.nan)
    places = prefix_below_median(values)
    best = int(chosen(places)) - 1
    if best < -1:
        return _Answer(words.NO_SCORE, places=places)
    median = float(np.nanmedian(values))
    times = float(values[best + 1]) / median if median > 0 and np.isfinite(values[best + 1]) else 1.0
    return _Answer(words.why_prefix(strategy, best, times), best, places)


# -- the budget --------------------------------------------------------------------------------------------------------


def _limited(answer: _Answer, strategy: EofStrategy, aggregate: Aggregate, floor: int, n_blocks: int) -> EofChoice:
    """The answer once no more layers train than the budget lets."""
    eof, reason, n = answer.unlimited, answer.reason, n_blocks - 1 - floor
    if eof is not None and strategy == "smallest_deviation" and eof == n_blocks - 2 > floor >= 0:
        eof, reason = floor, words.why_budget_instead(floor, n, n_blocks)
    elif eof is not None and eof < floor:
        eof, reason = floor, words.why_budget(floor, eof, n, n_blocks)
    return EofChoice(
        strategy=strategy,
        aggregate=aggregate,
        eof_layer=eof,
        unlimited=answer.unlimited,
        scores=() if answer.places is None else _series(answer.places[1:]),
        agreement=answer.agreement,
        low=answer.low,
        high=answer.high,
        votes=answer.votes,
        by_slice=answer.by_slice,
        interpretation=strategy in INTERPRETATIONS,
        reason=reason,
    )


def _check(strategy: str, max_trainable: int | None) -> None:
    if strategy not in EOF_STRATEGIES:
        raise PlanError('The rule "{strategy}" is not one of: {known}.', strategy=strategy, known=tuple(EOF_STRATEGIES))
    if max_trainable is not None and max_trainable < 1:
        raise PlanError("At most {n} layers may train, so nothing would. Let at least one layer train.", n=max_trainable)


# -- reading the traces ------------------------------------------------------------------------------------------------


def _mean_curve(scores: TraceScores, name: CurveName) -> Floats | None:
    """[P] of one set of tokens; None: not measured, or undefined throughout."""
    if name == "lens" and scores.lens is not None:
        series: Series = scores.lens.loss
    elif name in scores.curves:
        series = scores.curves[name].mean
    else:
        return None
    values = _floats(series)
    return values if np.isfinite(values).any() else None


def _prompts(semantics: Semantics, name: CurveName) -> _Prompts | None:
    """Prompts whose own curve of that kind was kept and defined somewhere."""
    if name not in ("lens", semantics.default_curve):
        return None
    kept: dict[str, list[object]] = defaultdict(list)
    for example in semantics.examples:
        series = example.lens_loss if name == "lens" else example.deviation
        if series is not None and example.n_tokens and example.weight > 0:
            kept["curves"].append(_floats(series))
            kept["votes"].append(example.weight)
            kept["weights"].append(example.weight * example.n_tokens)
    if not kept:
        return None
    return _Prompts(np.array(kept["curves"]), np.array(kept["votes"]), np.array(kept["weights"]))


def _floats(series: Series) -> Floats:
    return np.array([np.nan if value is None else value for value in series], dtype=np.float64)


def _series(values: Floats) -> Series:
    return tuple(float(value) if np.isfinite(value) else None for value in values)
