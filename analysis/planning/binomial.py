"""Exact intervals of counted shares: answers that changed, answers that are wrong. No approximation for large n is used for small n."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from analysis.contracts import Estimate

LEVEL = 0.95
"""Of every interval that is shown."""
_MANY = 100_000
"""Above so many events the normal's ends are the exact ones to five digits, and the exact ones would take memory for every event."""


def at_most(changed: int, n: int, rate: float) -> float:
    """Probability of at most `changed` events among n, each with probability `rate`."""
    if changed >= n or rate <= 0:
        return 1.0
    if rate >= 1 or changed < 0:
        return 0.0
    k = np.arange(changed + 1)
    log_ways = np.concatenate([[0.0], np.cumsum(np.log((n - k[1:] + 1) / k[1:]))])  # of choosing k among n, each from the one before
    terms = log_ways + k * math.log(rate) + (n - k) * math.log1p(-rate)
    return float(min(1.0, np.exp(terms).sum()))


def share(changed: int, n: int, *, level: float = LEVEL) -> Estimate:
    """A share with its exact two-sided interval.

    >>> found = share(0, 12)
    >>> round(found.high, 4)
    0.2646

    Source: Clopper & Pearson (1934), Biometrika 26.
    """
    if n == 0:
        return Estimate(value=None)
    if changed > n // 2 and n > _MANY:
        other = share(n - changed, n, level=level)
        return Estimate(value=changed / n, low=1 - (other.high or 0.0), high=1 - (other.low or 0.0))
    tail = (1 - level) / 2
    if changed > _MANY:
        return Estimate(value=changed / n, low=_wilson(changed, n, -tail), high=_wilson(changed, n, tail))
    low = 0.0 if changed == 0 else _solve(lambda rate: 1 - at_most(changed - 1, n, rate), tail)
    high = 1.0 if changed == n else _solve(lambda rate: -at_most(changed, n, rate), -tail)
    return Estimate(value=changed / n, low=low, high=high)


def upper_bound(changed: int, n: int) -> float | None:
    """One-sided 95 % upper bound of a share; 1 - 0.05^(1/n) when nothing changed.

    >>> round(upper_bound(0, 12), 4)
    0.2209
    """
    if n == 0:
        return None
    if changed == 0:
        return float(1 - (1 - LEVEL) ** (1 / n))
    if changed == n:
        return 1.0
    if changed > _MANY:
        return _wilson(changed, n, 1 - LEVEL)
    return _solve(lambda rate: -at_most(changed, n, rate), -(1 - LEVEL))


def paired_change(lost: int, won: int, n: int) -> Estimate:
    """The change (won - lost) / n of a share of right answers, with an interval that holds for small n as well.

    Lost and won each get an exact 97.5 % interval, so both hold together in 95 of 100 cases; it is wider than need be,
    and never empty when no answer changed.
    """
    if n == 0:
        return Estimate(value=None)
    level = (1 + LEVEL) / 2
    down, up = share(lost, n, level=level), share(won, n, level=level)
    assert up.low is not None
    assert up.high is not None
    assert down.low is not None
    assert down.high is not None
    return Estimate(value=(won - lost) / n, low=up.low - down.high, high=up.high - down.low)


def _wilson(changed: int, n: int, tail: float) -> float:
    """The upper end of a share that leaves this much probability beyond it; a tail below 0 gives the lower end.

    Source: Wilson (1927), Journal of the American Statistical Association 22.
    """
    z = math.copysign(NormalDist().inv_cdf(1 - abs(tail)), tail)
    rate = changed / n
    middle, spread = rate + z * z / (2 * n), z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return min(1.0, max(0.0, (middle + spread) / (1 + z * z / n)))


def _solve(rising: Callable[[float], float], wanted: float) -> float:
    """Where a function of a rate that rises over 0 to 1 reaches `wanted`, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2
