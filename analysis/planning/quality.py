"""What leaving out any set of units does to the loss, with an interval, worked out from what a search measured.

A set that was run is answered by its measurement. Any other is the sum of its units' own changes, corrected for what is
known of how units act together (`planning.interactions`). The 90 % interval takes the model's own spread, widened
where the measured sets, each predicted without itself, lie further out than that spread says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.contracts import Interval, MeasuredSet, ProjectedQuality, Search, UnitRef
from analysis.contracts.search import ordered
from analysis.planning.interactions import Interactions, UnitSet, merged

_LARGEST = 30.0
"""Nats at which a perplexity ratio stops being written out (e^30)."""
_LOW, _HIGH = -1.645, 1.9
"""Ends of a 90 % interval in spreads of rho before anything was learned; units that need each other make the upper tail longer."""
_WIDEST = 4.0
_ENOUGH = 20
"""Measured larger sets from which their own residuals speak about the width."""


@dataclass(frozen=True)
class QualityModel:
    """Predicts the change in loss of any set of units of one model on one workload."""

    search_id: str
    n_blocks: int
    measured: Mapping[UnitSet, MeasuredSet]

    @classmethod
    def fit(cls, search: Search) -> QualityModel:
        """The model that a search's measurements allow; an ablation scan alone is enough."""
        return cls(search.id, search.model.stack(search.stack).n_blocks, search.measured())

    @cached_property
    def singles(self) -> Mapping[UnitRef, float]:
        """The change of every unit that was left out alone."""
        return {removed[0]: found.change for removed, found in self.measured.items() if len(removed) == 1}

    @cached_property
    def interactions(self) -> Interactions:
        """How units act together; fitted when the first set comes that was not measured."""
        larger = {removed: found.change for removed, found in self.measured.items() if len(removed) > 1}
        return Interactions.fit(self.singles, self.n_blocks, larger)

    def predict(self, removed: Iterable[tuple[str, int]]) -> ProjectedQuality:
        """The change in loss, nats per token, with a 90 % interval (95 % where the very set was run)."""
        chosen = ordered(tuple(removed))  # type: ignore[arg-type]
        found = self.measured.get(chosen)
        if found is not None:
            return self._answer(found.change, found.interval or (found.change, found.change), measured=True)
        if not chosen:
            return self._answer(0.0, (0.0, 0.0), measured=True)
        as_blocks = self.measured.get(ordered(merged(chosen, self.singles)))
        if as_blocks is not None:  # both halves of a block are the block but for its loose norms
            return self._answer(as_blocks.change, as_blocks.interval or (as_blocks.change,) * 2, measured=False)
        additive, mean, spread = self.interactions.predict(chosen)
        ends = _ends(self.interactions)
        low, middle, high = (self.interactions.change(mean + at * spread, additive) for at in (ends[0], 0.0, ends[1]))
        return self._answer(middle, (low, high), measured=False)

    def _answer(self, change: float, interval: Interval, *, measured: bool) -> ProjectedQuality:
        low, high = sorted(interval)
        return ProjectedQuality(
            loss_change=change,
            interval=(low, high),
            perplexity_ratio=_ratio(change),
            perplexity_ratio_interval=(_ratio(low), _ratio(high)),
            measured=measured,
            search_id=self.search_id,
        )


def _ends(interactions: Interactions) -> tuple[float, float]:
    """Where the 90 % interval ends, in spreads: at least the prior's ends, further where the residuals lie further out."""
    residuals = interactions.residuals
    if len(residuals) < _ENOUGH:
        return _LOW, _HIGH
    low, high = (float(end) for end in np.quantile(residuals, (0.05, 0.95)))
    return max(min(_LOW, low), -_WIDEST), min(max(_HIGH, high), _WIDEST)


def _ratio(change: float) -> float:
    return math.exp(min(change, _LARGEST))
