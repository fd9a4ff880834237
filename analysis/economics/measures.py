"""What a stream of money is worth: payback, net present value, internal rate of return, sums. One case or thousands of draws at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
_CHUNK = 1024
"""Draws worked on at a time, so that what belongs together stays in the cache."""
_LOWEST, _HIGHEST = -0.9999, 1e6
"""Monthly rates between which an internal rate of return is looked for."""
_LEAST_OF_A_YEAR = -0.9999
"""Yearly rates below this are none: all but nothing comes back."""


def cumulative(start: ArrayLike, net: ArrayLike) -> Floats:
    """[..., months + 1] money cumulated from month 0 on, the start-up cost first."""
    paid, months = -np.asarray(start, dtype=np.float64), np.asarray(net, dtype=np.float64)
    paid = np.broadcast_to(paid, months.shape[:-1])
    return np.cumsum(np.concatenate([paid[..., None], months], axis=-1), axis=-1)


def payback(start: ArrayLike, net: ArrayLike, horizon: ArrayLike | None = None) -> Floats:
    """Months until the cumulated money is back at zero for the first time, evenly inside a month; nan: not within the months given.

    Where the money falls below zero again (a purchase was only put off), the time from which on it stays there counts: to the end of
    the evaluation period, or, where it is short at that end, to the end of the months given. A case that costs nothing to begin pays
    back at once if its first month brings something.

    Args:
        start: paid in month 0.
        net: [..., months] counted cash.
        horizon: months of the evaluation period; None: the first time counts whatever comes later.

    >>> float(payback(100.0, [30.0, 30.0, 30.0, 20.0]))
    3.5
    >>> float(payback(10.0, [20.0, -20.0, 20.0, 20.0], 4))
    2.5
    """
    months = np.asarray(net, dtype=np.float64)
    begin = np.broadcast_to(np.asarray(start, dtype=np.float64), months.shape[:-1])
    ends = np.broadcast_to(np.asarray(0 if horizon is None else horizon, dtype=np.float64), months.shape[:-1])
    if months.ndim == 1:
        return np.asarray(_payback(begin[None], months[None], ends[None])[0])
    rows, costs, last = months.reshape(-1, months.shape[-1]), begin.reshape(-1), ends.reshape(-1)
    found = [_payback(*(each[at : at + _CHUNK] for each in (costs, rows, last))) for at in range(0, len(rows), _CHUNK)]
    return np.concatenate(found).reshape(begin.shape) if found else np.empty(begin.shape)


def _payback(start: Floats, net: Floats, horizon: Floats) -> Floats:
    """[n] of [n], [n, months] and [n]."""
    after = np.cumsum(net, axis=-1)
    back = after >= start[:, None]
    reached = back & (net > 0) & ~_lost_again(back, horizon)
    first = reached.argmax(axis=-1)
    rows = np.arange(len(net))
    found, gained, over = reached[rows, first], net[rows, first], after[rows, first] - start
    inside = np.divide(over, gained, out=np.zeros(len(net)), where=found & (over < gained))
    return np.where(found, first + np.where(over < gained, 1 - inside, 0.0), np.nan)


def _lost_again(back: NDArray[np.bool_], horizon: Floats) -> NDArray[np.bool_]:
    """[n, months] months after which the money is short again; a horizon of 0 asks for nothing."""
    n, looked_at = back.shape
    months, at_end = np.arange(1, looked_at + 1), np.clip(np.rint(horizon).astype(int), 1, looked_at)
    until = np.where(horizon <= 0, 0, np.where(back[np.arange(n), at_end - 1], at_end, looked_at))
    short = ~back & (months <= until[:, None])
    last_short = np.where(short.any(axis=-1), looked_at - short[:, ::-1].argmax(axis=-1), 0)
    return np.asarray(months < last_short[:, None])


def discount(rate_percent: ArrayLike, months: int) -> Floats:
    """[..., months] what one unit at the end of each month is worth today, at a yearly rate."""
    yearly = np.log1p(np.asarray(rate_percent, dtype=np.float64) / 100)
    return np.asarray(np.exp(-yearly[..., None] * (np.arange(1, months + 1) / 12)))


def within(horizon: ArrayLike, months: int) -> NDArray[np.bool_]:
    """[..., months] the months of the evaluation period."""
    return np.asarray(np.arange(1, months + 1) <= np.asarray(horizon)[..., None])


def npv(start: ArrayLike, net: ArrayLike, rate_percent: ArrayLike, horizon: ArrayLike) -> Floats:
    """Net present value: months 1 to the horizon, each discounted from its end by (1 + rate)^(1/12) a month, the start-up cost at full.

    >>> round(float(npv(1000.0, [100.0] * 12, 0.0, 12)), 6)
    200.0
    """
    months = np.asarray(net, dtype=np.float64)
    longest = min(months.shape[-1], int(np.max(horizon)))
    factors = discount(rate_percent, longest)
    if np.ndim(horizon) or int(np.max(horizon)) < longest:
        factors = factors * within(horizon, longest)
    worth = np.einsum("...i,...i->...", months[..., :longest], factors)
    return np.asarray(worth - np.asarray(start, dtype=np.float64))


def total(start: ArrayLike, net: ArrayLike, horizon: ArrayLike) -> Floats:
    """Cumulated net over the evaluation period, start-up cost taken off."""
    return npv(start, net, 0.0, horizon)


def full_use(rollout_months: ArrayLike, horizon: ArrayLike, months: int) -> Floats:
    """[..., months] 1 in the months of full use, else 0: after the rollout, up to the horizon; at least the last month."""
    last = np.minimum(np.asarray(horizon, dtype=np.float64), months)[..., None]
    first = np.minimum(np.ceil(np.maximum(np.asarray(rollout_months, dtype=np.float64), 1.0) - 1e-9)[..., None], last)
    number = np.arange(1, months + 1)
    return np.asarray((number >= first) & (number <= last), dtype=np.float64)


def mean(values: ArrayLike, weights: Floats) -> Floats:
    """Weighted mean over months; a single value stands for each of them."""
    months = np.asarray(values, dtype=np.float64)
    every = np.broadcast_to(months, np.broadcast_shapes(months.shape, weights.shape))
    return np.asarray(np.einsum("...i,...i->...", every, weights) / weights.sum(axis=-1))


def irr(start: float, net: ArrayLike, horizon: int) -> float | None:
    """Internal rate of return a year, as a share: the rate at which the net present value is nought.

    Returns:
        None where there is no such rate, or more than one (see `rates_of_return`).
    """
    found = rates_of_return(start, net, horizon)
    return found[0] if len(found) == 1 else None


def rates_of_return(start: float, net: ArrayLike, horizon: int) -> tuple[float, ...]:
    """Yearly rates at which the net present value is nought, smallest first: positive ones, and where there is none, negative ones.

    A last month of loss would add a rate near -100 % to any good case: it says nothing beside a positive one, and where there is none,
    nothing comes back, which is no rate either.
    """
    months = [-float(start), *(float(value) for value in np.asarray(net, dtype=np.float64)[:horizon])]
    if not min(months) < 0 < max(months):
        return ()
    found = _roots(months)
    return tuple(rate for rate in found if rate > 0) or tuple(rate for rate in found if rate > _LEAST_OF_A_YEAR)


def _roots(months: Sequence[float]) -> tuple[float, ...]:
    """Yearly rates above -100 % at which what the months bring is worth nothing today."""
    grid = _grid()
    values = [_present(months, rate) for rate in grid]
    found = []
    for low, high, at_low, at_high in zip(grid, grid[1:], values, values[1:], strict=False):
        if at_low == 0:
            found.append(low)
        elif at_low * at_high < 0:
            found.append(_root(months, low, high))
    return tuple(math.expm1(12 * math.log1p(rate)) for rate in found)


def _grid() -> list[float]:
    """Monthly rates, close together where real ones lie, so that two of them are not taken for none."""
    low = [math.expm1(value) for value in np.linspace(math.log1p(_LOWEST), math.log1p(-0.2), 40)]
    middle = [float(value) for value in np.linspace(-0.2, 0.5, 401)][1:]
    high = [float(value) for value in np.geomspace(0.5, _HIGHEST, 120)][1:]
    return [*low, *middle, *high]


def _present(months: Sequence[float], rate: float) -> float:
    """Value today, in units of the largest power so that long periods at very low rates do not overflow."""
    factor = 1 / (1 + rate)
    values = reversed(months) if factor <= 1 else iter(months)
    step = factor if factor <= 1 else 1 / factor
    worth = 0.0
    for value in values:
        worth = worth * step + value
    return worth


def _root(months: Sequence[float], low: float, high: float) -> float:
    """By bisection, to the last digit that counts."""
    rising = _present(months, low) < 0
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if (_present(months, middle) < 0) == rising else (low, middle)
    return (low + high) / 2
