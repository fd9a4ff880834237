"""The loss of a training while it runs, in few enough points to be told with every step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

Point = tuple[float, float]
MOST = 24
"""Points of a curve that is told while it grows."""


@dataclass
class RunningCurve:
    """(tokens trained on, mean loss since the point before), a point every so many steps.

    Args:
        n_steps: of the whole training.
    """

    n_steps: int
    points: tuple[Point, ...] = ()
    _losses: list[float] = field(default_factory=list)

    @property
    def every(self) -> int:
        """Steps from one point to the next.

        >>> RunningCurve(10).every, RunningCurve(100).every
        (1, 5)
        """
        return -(-self.n_steps // MOST)

    def add(self, tokens: int, loss: float) -> None:
        """A step was done; a loss that is no number is left out."""
        if math.isfinite(loss):
            self._losses.append(loss)
        if len(self._losses) >= self.every:
            self.points += ((float(tokens), sum(self._losses) / len(self._losses)),)
            self._losses = []


def thinned(points: tuple[Point, ...], most: int = MOST) -> tuple[Point, ...]:
    """At most so many, the first and the last among them.

    >>> thinned(((0.0, 3.0), (1.0, 2.0), (2.0, 1.5), (3.0, 1.2)), 3)
    ((0.0, 3.0), (2.0, 1.5), (3.0, 1.2))
    """
    if len(points) <= most:
        return points
    places = {round(place * (len(points) - 1) / (most - 1)) for place in range(most)}
    return tuple(point for place, point in enumerate(points) if place in places)
