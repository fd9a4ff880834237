"""Intervals by a streaming Poisson bootstrap, and how many prompts are enough.

Every example draws its own 200 Poisson(1) weights from a generator seeded by its hash, so replicate sums do not
depend on order, batches or machines, and can be added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analysis.contracts import Interval, RankStability

Floats = npt.NDArray[np.float64]
LEVEL = 0.95
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_POISSON_CDF = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(18)])


def poisson_weights(hashes: Sequence[str], replicates: int) -> Floats:
    """How often each example is drawn in each replicate: [replicates, examples], whole numbers with mean 1.

    Args:
        hashes: content hashes (hexadecimal) that seed the draws.
    """
    seeds = np.array([int(one[:16], 16) for one in hashes], dtype=np.uint64)
    return _draws(seeds[None, :], np.arange(1, replicates + 1, dtype=np.uint64)[:, None])


def minibatch_weights(seed_hash: str, count: int, replicates: int) -> Floats:
    """[replicates, count] Poisson weights of a unit's minibatches, seeded by the unit's first example."""
    steps = np.arange(replicates + 1, (count + 1) * replicates + 1, dtype=np.uint64)
    return _draws(np.uint64(int(seed_hash[:16], 16)), steps.reshape(count, replicates).T)


def _draws(seeds: npt.NDArray[np.uint64] | np.uint64, steps: npt.NDArray[np.uint64]) -> Floats:
    with np.errstate(over="ignore"):
        uniform = (_mixed(seeds + steps * _GOLDEN) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.searchsorted(_POISSON_CDF, uniform, side="right").astype(np.float64)


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al. 2014): every bit of the seed reaches every bit of the draw."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def intervals(replicates: Floats) -> list[Interval | None]:
    """The middle 95 % of each column: [R, n] -> n pairs. None where fewer than half of the replicates are defined."""
    found: list[Interval | None] = []
    for column in replicates.T:
        defined = column[np.isfinite(column)]
        if len(defined) < max(2, len(column) / 2):
            found.append(None)
        else:
            low, high = np.quantile(defined, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
            found.append((float(low), float(high)))
    return found


def ranks(scores: Floats) -> Floats:
    """Ranks along the last axis, 1 = smallest, ties shared; undefined scores have no rank (NaN)."""
    less = (scores[..., :, None] > scores[..., None, :]).sum(-1)
    equal = (scores[..., :, None] == scores[..., None, :]).sum(-1)
    return np.where(np.isfinite(scores), less + (equal + 1) / 2, np.nan)


def rank_stability(example_scores: Floats, weights: Floats, *, draws: int = 200, seed: int = 0) -> tuple[RankStability, ...]:
    """How well the order of the blocks from n prompts agrees with the order from all of them, for growing n.

    Args:
        example_scores: [N, L] each prompt's own score of each block.
        weights: [N] what each prompt counts for (its tokens times its weight).
    """
    defined = np.isfinite(example_scores).all(axis=1) & (weights > 0)
    scores, weights = example_scores[defined], weights[defined]
    n_examples, n_blocks = scores.shape
    if n_examples < 6 or n_blocks < 2:
        return ()
    generator = np.random.default_rng(seed)
    full = weights @ scores / weights.sum()
    sizes = sorted({size for size in (3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 400, 800, 1600) if size < n_examples} | {n_examples})
    return tuple(_stability(scores, weights, full, size, draws, generator) for size in sizes)


def _stability(scores: Floats, weights: Floats, full: Floats, size: int, draws: int, generator: np.random.Generator) -> RankStability:
    keys = generator.random((draws, len(scores)))
    chosen = np.zeros_like(keys)
    np.put_along_axis(chosen, np.argpartition(keys, size - 1, axis=1)[:, :size], 1.0, axis=1)
    chosen *= weights
    means = chosen @ scores / chosen.sum(axis=1, keepdims=True)
    correlations = _spearman(ranks(means), ranks(full))
    fifth = max(1, len(full) // 5)
    best = set(np.argsort(full, kind="stable")[:fifth].tolist())
    overlap = [len(best & set(row.tolist())) / fifth for row in np.argsort(means, axis=1, kind="stable")[:, :fifth]]
    return RankStability(
        n_examples=size,
        spearman_median=float(np.median(correlations)),
        spearman_low=float(np.quantile(correlations, 0.05)),
        top_overlap=float(np.mean(overlap)),
    )


def _spearman(rows: Floats, reference: Floats) -> Floats:
    a, b = rows - rows.mean(-1, keepdims=True), reference - reference.mean()
    scale = np.sqrt((a**2).sum(-1) * (b**2).sum())
    correlation: Floats = np.divide(a @ b, scale, out=np.zeros(len(a)), where=scale > 0)
    return correlation
