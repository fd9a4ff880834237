"""What leaving out any set of units does to the loss, worked out from what a search measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.contracts import Interval, MeasuredSet, ProjectedQuality, Search, UnitRef
from analysis.contracts.search import ordered

UnitSet = tuple[UnitRef, ...]
_LARGEST = 30.0
"""Nats at which a perplexity ratio stops being written out (e^30)."""


@dataclass(frozen=True)
class QualityModel:
    """Predicts the change in loss of any set of units of one model on one workload."""

    search_id: str
    measured: Mapping[UnitSet, MeasuredSet]
    singles: Mapping[UnitRef, float]
    spread: float

    @classmethod
    def fit(cls, search: Search) -> QualityModel:
        """The model that a search's measurements allow."""
        measured = search.measured()
        singles = {removed[0]: found.change for removed, found in measured.items() if len(removed) == 1}
        larger = [(removed, found) for removed, found in measured.items() if len(removed) > 1]
        ratios = [math.log(max(found.change, 1e-3) / max(_sum(singles, removed), 1e-3)) for removed, found in larger]
        return cls(search.id, measured, singles, float(np.std(ratios)) if len(ratios) > 3 else 0.7)

    def predict(self, removed: Iterable[UnitRef]) -> ProjectedQuality:
        """The change in loss, with a 90 % interval; a set that was measured itself is answered by its measurement."""
        chosen = ordered(tuple(removed))
        found = self.measured.get(chosen)
        if found is not None:
            return _answer(found.change, found.interval or (found.change, found.change), self.search_id, measured=True)
        change = _sum(self.singles, chosen)
        wide = 1.645 * self.spread * (abs(change) + 0.02)
        return _answer(change, (change - wide, change + wide), self.search_id, measured=False)


def _sum(singles: Mapping[UnitRef, float], removed: UnitSet) -> float:
    return sum(singles.get(ref, 0.0) for ref in removed)


def _answer(change: float, interval: Interval, search_id: str, *, measured: bool) -> ProjectedQuality:
    low, high = sorted(interval)
    return ProjectedQuality(
        loss_change=change,
        interval=(low, high),
        perplexity_ratio=_ratio(change),
        perplexity_ratio_interval=(_ratio(low), _ratio(high)),
        measured=measured,
        search_id=search_id,
    )


def _ratio(change: float) -> float:
    return math.exp(min(change, _LARGEST))
