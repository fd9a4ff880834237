"""How units act together: a small Bayesian model of how far a set's loss is from the sum of its units' own losses.

For a set S with single changes s_u, e_u = |s_u| + c / 4, a = sum of s_u, and c the median size of a single change:

    rho(S) = asinh(change(S) / 2c) - asinh(a / 2c)              0: the losses simply add up; for large ones log(change / a)
    rho(S) ~ sum over pairs of blocks (i, j) of g_ij w_ij + h . beta + noise
    g_ij   = sum over units u in i, v in j of sqrt(e_u e_v) / (sum of e + c)
    h      = m (1, log(1 + a), n / 10) and log(1 + a / 6),      m = 1 - sum of e_u^2 / (sum of e_u)^2

The interactions w_ij have a normal prior around 0, fading with distance in depth and alike for neighbouring pairs, so
that a measured pair says something about the pairs beside it; beta has a narrow one (losses mostly add up, a little
more than that where the damage is shared). A set far from everything measured falls back on the sum, with the
prior's width; a set that differs by one unit from a measured one leans on that measurement. Both follow from the
posterior, and so does an interval that grows with the number of units. The prior's sizes were fitted once on sets of the
sample model; what a search measures moves everything else.

Source: Gaussian process regression (Rasmussen & Williams, 2006, chapters 2 and 5.4.2 for leave-one-out residuals).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contracts import UnitRef

Array = NDArray[np.float64]
UnitSet = tuple[UnitRef, ...]

PAIR_SD = 0.8
"""Prior spread of one pair's own interaction, in rho for a set of just that pair."""
NEAR_SD = 0.3
"""Prior spread of what neighbouring pairs have in common."""
RANGE = 0.27
"""Distance (share of the depth) over which interactions fade."""
ALIKE = 2.0
"""Distance, in steps of the coarse grid, over which neighbouring pairs are alike."""
NOISE = 0.32
"""Spread that no pair explains, where the damage is shared by many units; a set of two is all but its pair."""
FLOOR = 0.02
_GRID = 30
_BETA_MEAN = np.array([0.1, 0.0, 0.0, 0.0])
_BETA_SD = np.array([0.15, 0.1, 0.1, 0.1])
_MOST_SETS = 400


@dataclass(frozen=True)
class Features:
    """A set as the model sees it."""

    additive: float
    pairs: Array  # [pairs of blocks]
    grid: Array  # [pairs of cells of the coarse grid]
    trend: Array  # [4]
    noise: float  # variance of rho that no interaction explains


@dataclass(frozen=True)
class Interactions:
    """The model after it has seen a search's larger sets."""

    singles: Mapping[UnitRef, float]
    n_blocks: int
    scale: float
    seen: tuple[Features, ...]
    weights: Array
    inverse: Array
    residuals: Array
    """Leave-one-out residuals of the measured sets, each in units of its own predicted spread."""

    @classmethod
    def fit(cls, singles: Mapping[UnitRef, float], n_blocks: int, larger: Mapping[UnitSet, float]) -> Interactions:
        """The posterior given measured changes of larger sets; none leaves the prior."""
        scale = max(float(np.median(np.abs(list(singles.values())))) if singles else 0.05, 1e-6)
        empty = cls(singles, n_blocks, scale, (), np.zeros(0), np.zeros((0, 0)), np.zeros(0))
        sets = _thinned(list(larger))
        if not sets:
            return empty
        seen = tuple(empty.features(chosen) for chosen in sets)
        rho = np.array([empty.rho(larger[chosen], found.additive) for chosen, found in zip(sets, seen, strict=True)])
        covariance = empty.covariance(seen, seen) + np.diag([found.noise for found in seen])
        inverse: Array = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
        weights: Array = inverse @ (rho - np.array([found.trend for found in seen]) @ _BETA_MEAN)
        return cls(singles, n_blocks, scale, seen, weights, inverse, weights / np.sqrt(np.diag(inverse)))

    def predict(self, chosen: UnitSet) -> tuple[float, float, float]:
        """The sum of the single changes, and mean and spread of rho."""
        found = self.features(chosen)
        mean, variance = float(found.trend @ _BETA_MEAN), float(self.covariance((found,), (found,))[0, 0]) + found.noise
        if self.seen:
            shared = self.covariance((found,), self.seen)[0]
            mean += float(shared @ self.weights)
            variance -= float(shared @ self.inverse @ shared)
        return found.additive, mean, math.sqrt(max(variance, FLOOR**2))

    def rho(self, change: float, additive: float) -> float:
        """How far a change is from the sum, on the scale."""
        return math.asinh(change / (2 * self.scale)) - math.asinh(additive / (2 * self.scale))

    def change(self, rho: float, additive: float) -> float:
        """The change that `rho` stands for."""
        return 2 * self.scale * math.sinh(min(max(math.asinh(additive / (2 * self.scale)) + rho, -40.0), 40.0))

    def features(self, chosen: UnitSet) -> Features:
        """The set in numbers; both halves of a block count as the block."""
        refs, unknown = merged(chosen, self.singles), 0.0
        changes = []
        for ref in refs:
            alone = self.singles.get(ref)
            unknown += alone is None
            changes.append(self._guess(ref) if alone is None else alone)
        sizes = [abs(change) + self.scale / 4 for change in changes]
        whole, additive = sum(sizes), sum(changes)
        shared = 1.0 - sum(size * size for size in sizes) / whole**2
        pairs, grid = np.zeros(_n_pairs(self.n_blocks)), np.zeros(_n_pairs(self._cells))
        for place, (_, first) in enumerate(refs):
            for other in range(place + 1, len(refs)):
                low, high = sorted((first, refs[other][1]))
                joint = math.sqrt(sizes[place] * sizes[other]) / (whole + self.scale)
                near = math.sqrt(math.exp(-(high - low) / (RANGE * self.n_blocks)))
                pairs[_pair(low, high, self.n_blocks)] += joint * near
                grid[_pair(self._cell(low), self._cell(high), self._cells)] += joint * near
        growth = math.log1p(max(additive, 0.0))
        trend = np.array([shared, shared * growth, shared * len(refs) / 10, math.log1p(max(additive, 0.0) / 6)])
        small = 0.35 * self.scale / math.hypot(additive, 2 * self.scale)
        more_than_pairs = NOISE**2 * shared * max(0.0, 1.0 - 1.6 / max(len(refs), 1))
        # Gains and losses that cancel leave a small sum with the doubt of its large parts.
        cancelled = max(1.0, whole / math.hypot(additive, 2 * self.scale)) ** 2
        return Features(additive, pairs, grid, trend, small**2 + more_than_pairs * cancelled + FLOOR**2 + 0.5 * unknown)

    def covariance(self, first: Sequence[Features], second: Sequence[Features]) -> Array:
        """[first, second] prior covariance of rho."""
        pairs = np.array([found.pairs for found in first]) @ np.array([found.pairs for found in second]).T
        grid = np.array([found.grid for found in first]) @ _alike(self._cells) @ np.array([found.grid for found in second]).T
        trend = (np.array([found.trend for found in first]) * _BETA_SD**2) @ np.array([found.trend for found in second]).T
        return np.asarray(PAIR_SD**2 * pairs + NEAR_SD**2 * grid + trend)

    @property
    def _cells(self) -> int:
        return min(self.n_blocks, _GRID)

    def _cell(self, block: int) -> int:
        return block * self._cells // self.n_blocks

    def _guess(self, ref: UnitRef) -> float:
        """The change of a unit that was not measured alone: from its block or its halves, else what is usual for its kind."""
        unit, block = ref
        halves = [self.singles[half, block] for half in ("attention", "mlp") if (half, block) in self.singles]
        if unit == "block" and halves:
            return sum(halves)
        if ("block", block) in self.singles:
            return self.singles["block", block]
        alike = [change for (other, _), change in self.singles.items() if other == unit] or list(self.singles.values())
        return float(np.median(alike)) if alike else self.scale


def merged(chosen: UnitSet, singles: Mapping[UnitRef, float]) -> UnitSet:
    """The set with both halves of a block written as the block, where the block was measured."""
    units = {block: {unit for unit, other in chosen if other == block} for _, block in chosen}
    whole = {block for block, found in units.items() if {"attention", "mlp"} <= found and ("block", block) in singles}
    kept = [ref for ref in chosen if ref[1] not in whole]
    return tuple(sorted([*kept, *(("block", block) for block in whole)], key=lambda ref: (ref[1], ref[0])))


def _thinned(sets: list[UnitSet]) -> list[UnitSet]:
    """At most so many sets, evenly over all sizes, so that fitting stays instant."""
    if len(sets) <= _MOST_SETS:
        return sets
    ordered = sorted(sets, key=lambda chosen: (len(chosen), chosen))
    return [ordered[place * len(ordered) // _MOST_SETS] for place in range(_MOST_SETS)]


def _n_pairs(n: int) -> int:
    """Pairs of n blocks, a block with itself included."""
    return n * (n + 1) // 2


def _pair(low: int, high: int, n: int) -> int:
    """Place of a pair in a row-wise upper triangle."""
    return low * n - low * (low - 1) // 2 + high - low


_KERNELS: dict[int, Array] = {}


def _alike(cells: int) -> Array:
    """[pairs, pairs] how alike two pairs of cells are, by their distance in the plane of (first, second)."""
    if cells not in _KERNELS:
        at = np.array([(low, high) for low in range(cells) for high in range(low, cells)], dtype=float)
        squared = ((at[:, None, :] - at[None, :, :]) ** 2).sum(-1)
        _KERNELS[cells] = np.exp(-squared / (2 * ALIKE**2))
    return _KERNELS[cells]
