"""What a ranking measured with units out: what is lost with one alone, and the change in loss of whole sets that it ran."""

from __future__ import annotations

import math
from collections.abc import Iterator

from analysis.contracts import LostWith, ProjectedQuality, Ranking, UnitRef
from analysis.contracts.search import ordered

UnitSet = tuple[UnitRef, ...]
_LARGEST = 30.0
"""Nats at which a perplexity ratio stops being written out (e^30)."""


def lost_alone(ranking: Ranking, ref: UnitRef) -> LostWith | None:
    """What is lost with one unit alone; None: not measured."""
    return next((lost for lost in ranking.lost if lost.removed == (ref,)), None)


def broken_without(ranking: Ranking) -> frozenset[UnitRef]:
    """Units without which the model gave no usable numbers: their loss was to be measured and is undefined."""
    step = ranking.steps[0]
    loss = step.vote("ablation_loss")
    votes = () if loss is None or not loss.votes else tuple(zip(step.candidates, loss.values, strict=True))
    undefined = (lost.removed[0] for lost in ranking.lost if len(lost.removed) == 1 and lost.change.value is None)
    return frozenset((*undefined, *(ref for ref, value in votes if value is None)))


def worst_slice_of(lost: LostWith | None) -> str | None:
    """The slice whose loss rises most, per token; None: no slice has a figure."""
    known = {name: part.change.value for name, part in lost.slices.items() if part.change.value is not None} if lost else {}
    return max(known, key=known.__getitem__) if known else None


def measured_quality(ranking: Ranking, chosen: UnitSet) -> ProjectedQuality | None:
    """The change in loss of exactly this set, where the ranking ran it; None: it did not, and nothing is guessed."""
    if ranking.objective != "loss":
        return None
    for change, interval, removed in _measured(ranking):
        if removed == chosen:
            low, high = interval or (change, change)
            return ProjectedQuality(
                loss_change=change,
                interval=(low, high),
                perplexity_ratio=_ratio(change),
                perplexity_ratio_interval=(_ratio(low), _ratio(high)),
                measured=True,
            )
    return None


def _measured(ranking: Ranking) -> Iterator[tuple[float, tuple[float, float] | None, UnitSet]]:
    """Every set that the ranking ran, with its change in loss."""
    for step in ranking.steps:
        if step.change is not None:
            yield step.change, step.interval, ordered((*step.removed, *step.chosen))
    for lost in (*ranking.lost_together, *ranking.lost):
        told = lost.change
        if told.value is not None:
            yield told.value, None if told.low is None or told.high is None else (told.low, told.high), lost.removed


def _ratio(change: float) -> float:
    return math.exp(min(change, _LARGEST))
