"""Which learning rate an arm trains with: the one after which the tuning part's loss is least. The verification half is not asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from analysis.contracts import Message, Value
from analysis.errors import InputError


@dataclass(frozen=True)
class Tuned:
    """A learning rate and how it was found.

    Attributes:
        rate: the chosen one.
        tried: learning rate -> loss on the tuning part; None: the training diverged, or the budget ended before it was tried.
        notes: what a reader should know of the choice.
    """

    rate: float
    tried: Mapping[str, float | None]
    notes: tuple[Message, ...] = ()


class AllDiverged(InputError):
    """No learning rate of the list led to finite numbers."""


def best_learning_rate(rates: Sequence[float], loss_after: Callable[[float], float | None]) -> Tuned:
    """Trains once with every rate and takes the best.

    Args:
        rates: to be tried; a single one is taken as it is.
        loss_after: trains with a rate and tells the loss on the tuning part; None or not finite: it diverged.

    Raises:
        AllDiverged: no rate led to a finite loss.
    """
    grid = sorted(set(rates))
    if len(grid) == 1:
        return Tuned(grid[0], {})
    losses = {rate: _finite(loss_after(rate)) for rate in grid}
    known = {rate: loss for rate, loss in losses.items() if loss is not None}
    if not known:
        raise AllDiverged(
            "Training diverged with every learning rate that was tried ({rates}). Give smaller ones.",
            rates=tuple(f"{rate:g}" for rate in grid),
        )
    best = min(known, key=lambda rate: (known[rate], rate))
    return Tuned(best, {str(rate): loss for rate, loss in losses.items()}, tuple(_remarks(grid, best)))


def _finite(loss: float | None) -> float | None:
    return loss if loss is not None and math.isfinite(loss) else None


def _remarks(grid: Sequence[float], best: float) -> list[Message]:
    """A best rate at the end of the list may not be the best there is."""
    if best == grid[0]:
        return [
            Message(id="The best learning rate ({rate}) is the smallest that was tried; a smaller one may do better.", values=_say(best))
        ]
    if best == grid[-1]:
        return [Message(id="The best learning rate ({rate}) is the largest that was tried; a larger one may do better.", values=_say(best))]
    return []


def _say(rate: float) -> dict[str, Value]:
    return {"rate": f"{rate:g}"}
