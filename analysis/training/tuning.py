"""Which learning rate an arm trains with: the one after which the tuning part's loss is least. The verification half is not asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from analysis.contracts import Message, Value
from analysis.errors import InputError

HIGHEST_TRIED = 1e-2


@dataclass(frozen=True)
class Tuned:
    """A learning rate and how it was found.

    Attributes:
        rate: the chosen one.
        tried: learning rate -> loss on the tuning part; None: the training diverged.
        notes: what a reader should know of the choice.
    """

    rate: float
    tried: Mapping[str, float | None]
    notes: tuple[Message, ...] = ()


class AllDiverged(InputError):
    """No learning rate of the list led to finite numbers."""


def best_learning_rate(rates: Sequence[float], loss_after: Callable[[float], float | None], *, further: int = 0) -> Tuned:
    """Trains once with every rate and takes the best.

    Args:
        rates: to be tried; a single one is taken as it is.
        loss_after: trains with a rate and tells the loss on the tuning part; None or not finite: it diverged.
        further: how many more may be tried, one step at a time, while the best lies at the end of those tried: the fewer layers
            train, the larger the rate they can do with.

    Raises:
        AllDiverged: no rate led to a finite loss.
    """
    grid = sorted(set(rates))
    if len(grid) == 1:
        return Tuned(grid[0], {})
    losses = {rate: _finite(loss_after(rate)) for rate in grid}
    for _ in range(further):
        beyond = _beyond(losses)
        if beyond is None:
            break
        losses[beyond] = _finite(loss_after(beyond))
    grid = sorted(losses)
    known = {rate: loss for rate, loss in losses.items() if loss is not None}
    if not known:
        raise AllDiverged(
            "Training diverged with every learning rate that was tried ({rates}). Give smaller ones.",
            rates=tuple(f"{rate:g}" for rate in grid),
        )
    best = min(known, key=lambda rate: (known[rate], rate))
    return Tuned(best, {str(rate): losses[rate] for rate in grid}, tuple(_remarks(grid, best)))


def _beyond(losses: Mapping[float, float | None]) -> float | None:
    """The next rate past the best of those tried, if that one lies at their end.

    >>> _beyond({3e-5: 2.0, 1e-4: 1.5, 3e-4: 1.2}), _beyond({3e-5: 1.0, 1e-4: 1.5}), _beyond({3e-5: 2.0, 1e-4: 1.5, 3e-4: 1.7})
    (0.001, 1e-05, None)
    """
    known = {rate: loss for rate, loss in losses.items() if loss is not None}
    if not known:
        return None
    best = min(known, key=lambda rate: (known[rate], rate))
    if best == max(losses):
        return next_rate(best) if next_rate(best) <= HIGHEST_TRIED else None
    return next_rate(best, up=False) if best == min(losses) else None


def next_rate(rate: float, *, up: bool = True) -> float:
    """The neighbour of a learning rate among 1, 3, 10, 30 ... times a power of ten.

    >>> next_rate(1e-4), next_rate(3e-4), next_rate(1e-4, up=False), next_rate(2e-4)
    (0.0003, 0.001, 3e-05, 0.0006)
    """
    digit, power = f"{rate:e}".split("e")
    steps = {(1.0, True): f"3e{power}", (3.0, True): f"1e{int(power) + 1}", (1.0, False): f"3e{int(power) - 1}", (3.0, False): f"1e{power}"}
    return float(steps.get((float(digit), up), f"{rate * (3 if up else 1 / 3):.6g}"))


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
