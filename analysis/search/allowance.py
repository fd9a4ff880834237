"""What a search may run, fixed beforehand as a share of what an unshared greedy search would."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.contracts import UnitSet
from analysis.search.steering import Steering

GREEDY_SHARE = 0.45
"""Greedy's head passes, the scan it starts from among them, as a share of one whole run for every candidate of every step."""
BEAM_SHARE = 0.49
"""The same for the beam, which contains greedy."""
LEAST_PASSES = 3.0
"""A step of greedy is never given less: two sets run to the end, and others are looked at. Where the scan alone is about half
of an unshared search (one or two steps), its share is therefore passed. The beam is given what greedy left, be it nothing."""


@dataclass
class Allowance:
    """Passes that are left for the steps to come; what one step does not need, the next may use.

    Attributes:
        candidates: sets to choose from at each step, the scan's first.
        share: of all of them.
        spent: passes so far.
    """

    candidates: tuple[int, ...]
    share: float
    spent: float

    def for_step(self, step: int) -> float:
        """What a step (1: the first after the scan) may run."""
        left = self.share * sum(self.candidates) - self.spent
        return left * self.candidates[step] / max(1, sum(self.candidates[step:]))


def expected_candidates(steering: Steering, path: tuple[UnitSet, ...]) -> tuple[int, ...]:
    """How many sets each step of a search has to choose from, when it goes as deep as a path."""
    return tuple(len(steering.children(base)) for base in ((), *path[:-1]))
