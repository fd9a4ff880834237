"""How sure a comparison of two models on the same prompts is: intervals, paired tests, bounds for rare events.

A prompt is the unit of chance, because tokens of one prompt are not independent. All functions are deterministic: chance
is drawn from a seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from analysis.contracts import Estimate
from analysis.planning.binomial import LEVEL, at_most, paired_change, share, upper_bound
from analysis.planning.student_t import student_t

__all__ = [
    "Bootstrap",
    "Floats",
    "at_most",
    "mcnemar",
    "paired_change",
    "replicate_sums",
    "share",
    "sign_flip_test",
    "tail_share",
    "upper_bound",
]

Floats = NDArray[np.float64]
_CHUNK = 4_000_000
_EXACT_UP_TO = 12


def replicate_sums(values: Floats, replicates: int, seed: int) -> Floats:
    """Column sums of `replicates` resamples of the rows of `values` [n, k], drawn with replacement.

    The same seed and n draw the same rows, so that sums of different columns, and of different calls, belong together.

    Returns:
        [replicates, k].

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    n = len(values)
    random = np.random.default_rng(seed)
    counts = (random.multinomial(n, np.full(n, 1.0 / n), size=size).astype(np.float64) for size in _chunks(replicates, n))
    return np.concatenate([drawn @ values for drawn in counts])


class Bootstrap:
    """Resampled column sums of some prompts, from which any statistic gets its 95 % interval.

    The percentiles are moved outwards for few prompts (`tail_share`): of 8, plain ones hold the truth in 89 of 100 cases, these in 94.

    Args:
        values: [n, k], one row per prompt.
        replicates: resamples to draw.
        seed: of the draw.
    """

    def __init__(self, values: Floats, *, replicates: int, seed: int) -> None:
        self._n = len(values)
        self._sums = values.sum(axis=0)
        self._drawn = replicate_sums(values, replicates, seed) if self._n > 1 else None

    def estimate(self, statistic: Callable[[Floats], Floats]) -> Estimate:
        """A statistic of column sums ([..., k] -> [...]); no interval from a single prompt, no value where undefined."""
        if self._n == 0:
            return Estimate(value=None)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = float(statistic(self._sums))
            drawn = None if self._drawn is None else statistic(self._drawn)
        if not math.isfinite(value):
            return Estimate(value=None)
        drawn = None if drawn is None else drawn[np.isfinite(drawn)]
        if drawn is None or len(drawn) == 0:
            return Estimate(value=value)
        tail = tail_share(self._n)
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return Estimate(value=value, low=min(float(low), value), high=max(float(high), value))


def tail_share(n: int) -> float:
    """Share of resamples on either side of a 95 % interval from n prompts; 0.025 for many.

    Resamples of n prompts spread by sqrt((n - 1) / n) too little, and as a normal variable where the mean of few prompts
    spreads as Student's t: both are made good by looking further out.

    >>> round(tail_share(8), 4), round(tail_share(1000), 4)
    (0.0057, 0.0248)

    Source: Hesterberg (2015), What Teachers Should Know About the Bootstrap, The American Statistician 69, section 4.1.
    """
    if n < 2:
        return (1 - LEVEL) / 2
    return 0.5 * math.erfc(math.sqrt(n / (n - 1)) * student_t(n - 1) / math.sqrt(2))


def sign_flip_test(differences: Floats, *, replicates: int, seed: int) -> float | None:
    """Paired permutation test: how often chance signs give a total difference as large as the one seen; two-sided.

    Up to 12 prompts all signs are tried; beyond that `replicates` random ones, the one seen among them.

    >>> sign_flip_test(np.ones(5), replicates=100, seed=0)
    0.0625

    Source: Fisher (1935), The Design of Experiments, section 21.
    """
    n = len(differences)
    if n == 0 or not np.isfinite(differences).all():
        return None
    seen = abs(float(differences.sum())) * (1 - 1e-12)
    if n <= _EXACT_UP_TO:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float(np.mean(np.abs(signs @ differences) >= seen))
    random = np.random.default_rng(seed)
    reached = 1
    for size in _chunks(replicates, n):
        signs = 1.0 - 2.0 * random.integers(0, 2, size=(size, n))
        reached += int(np.count_nonzero(np.abs(signs @ differences) >= seen))
    return reached / (replicates + 1)


def mcnemar(lost: int, won: int) -> float:
    """Exact McNemar test: whether right answers lost and won could both be chance; two-sided.

    >>> mcnemar(5, 0)
    0.0625

    Source: McNemar (1947), Psychometrika 12; exact form by the binomial distribution.
    """
    return min(1.0, 2.0 * at_most(min(lost, won), lost + won, 0.5))


def _chunks(replicates: int, n: int) -> Iterator[int]:
    """Sizes that add up to `replicates` and keep [size, n] small."""
    size = max(1, min(replicates, _CHUNK // max(1, n)))
    for start in range(0, replicates, size):
        yield min(size, replicates - start)
