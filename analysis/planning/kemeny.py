"""The order that contradicts the voters over the fewest pairs of candidates (Kemeny), exact where that can be worked out.

Cost of placing i before j: the number of voters that rank j before i (a tie counts half for both; who does not rank one of the
two has no say). Groups of candidates that beat each other in a circle are the only ones in doubt: between groups the majority
decides, and any order of least cost keeps to it. Inside a group of up to EXACT_UP_TO candidates the best order is found by
dynamic programming over subsets; larger groups start from the rank order and are improved by moving one candidate at a time
until no such move helps, which is good but not proved best.

Sources: Kemeny 1959; extended Condorcet criterion and local Kemenization, Dwork et al. 2001 (Rank aggregation methods for the
web); dynamic programming over subsets, Betzler et al. 2009.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT_UP_TO = 14
"""Largest group in doubt whose best order is found exactly: 14 x 2^14 sums."""
_GAIN = 1e-9


@dataclass(frozen=True)
class KemenyOrder:
    """An order of least contradiction.

    Attributes:
        order: candidates by number, best first.
        cost: pairs of candidates that voters see the other way round, summed over voters.
        exact: no other order has a lower cost; False: a large group in doubt was ordered by improving steps.
    """

    order: tuple[int, ...]
    cost: float
    exact: bool


def pair_costs(ranks: Floats) -> Floats:
    """[..., M, M] how many voters object when candidate i is placed before j; ties object half.

    >>> pair_costs(np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 1.0]])).tolist()
    [[0.0, 1.0], [2.0, 0.0]]
    """
    first, second = ranks[..., :, None], ranks[..., None, :]
    against = (second < first).sum(-3) + (second == first).sum(-3) / 2
    return np.where(np.eye(ranks.shape[-1], dtype=bool), 0.0, against)


def kemeny_order(ranks: Floats) -> KemenyOrder:
    """The order of least contradiction of [V, M] ranks; equal ones are ordered by mean rank, then by number."""
    costs = pair_costs(ranks)
    start = _by_mean_rank(ranks)
    order, exact = list[int](), True
    for group in _groups(costs, start):
        best = _exactly(costs, group) if len(group) <= EXACT_UP_TO else _improved(costs, group)
        exact = exact and len(group) <= EXACT_UP_TO
        order += best
    return KemenyOrder(tuple(order), _cost(costs, order), exact)


def kemeny_places(ranks: Floats) -> Floats:
    """[..., M] place of each candidate, 1 = first; NaN where nobody ranks it.

    One table of ranks [V, M] is ordered by `kemeny_order`. Of many at once ([R, V, M], resamples) each is ordered by local
    Kemenization: from the mean rank, neighbours change places while a majority wants it. That keeps to every majority between
    groups and is fast enough to be asked for while a slider moves.
    """
    nobody = np.isnan(ranks).all(-2)
    if ranks.ndim == 2:
        places = np.empty(ranks.shape[-1])
        places[list(kemeny_order(ranks).order)] = np.arange(1, ranks.shape[-1] + 1)
        return np.where(nobody, np.nan, places)
    order = _locally(pair_costs(ranks), np.stack([_by_mean_rank(one) for one in ranks.reshape(-1, *ranks.shape[-2:])]))
    places = np.empty(order.shape)
    np.put_along_axis(places, order, np.broadcast_to(np.arange(1.0, order.shape[-1] + 1), order.shape), axis=-1)
    return np.where(nobody, np.nan, places.reshape(nobody.shape))


def _by_mean_rank(ranks: Floats) -> NDArray[np.int64]:
    """Candidates by mean rank over the voters that rank them; those that nobody ranks come last."""
    told = ~np.isnan(ranks)
    with np.errstate(invalid="ignore"):
        mean = np.where(told, ranks, 0.0).sum(-2) / told.sum(-2)
    return np.argsort(np.round(mean, 9), kind="stable")


def _groups(costs: Floats, start: NDArray[np.int64]) -> list[list[int]]:
    """Candidates that beat each other in a circle, in an order that no majority contradicts.

    Whoever beats a group reaches, over majorities, all that the group reaches and the group itself: so groups are ordered by how
    many they reach, most first, and where that is equal by mean rank.
    """
    n = len(costs)
    reach = (costs < costs.T - _GAIN) | np.eye(n, dtype=bool)
    for _ in range(n.bit_length()):
        reach = reach.astype(np.float64) @ reach.astype(np.float64) > 0
    place = {int(candidate): at for at, candidate in enumerate(start)}
    circles = {tuple(sorted(np.flatnonzero(row).tolist(), key=place.__getitem__)) for row in reach & reach.T}
    return [list(circle) for circle in sorted(circles, key=lambda circle: (-int(reach[circle[0]].sum()), place[circle[0]]))]


def _exactly(costs: Floats, group: list[int]) -> list[int]:
    """The best order of a group: least[S] = min over the last j of S of least[S - j] + cost of j after the rest."""
    n = len(group)
    if n == 1:
        return group
    inside = costs[np.ix_(group, group)]
    sets = np.arange(1 << n)
    members = ((sets[:, None] >> np.arange(n)) & 1).astype(np.float64)
    after = members @ inside  # [sets, n]: cost of placing j after all of the set
    least, last = np.zeros(1 << n), np.zeros(1 << n, dtype=np.int64)
    sizes = members.sum(1)
    for size in range(1, n + 1):
        now = sets[sizes == size]
        options = np.full((len(now), n), np.inf)
        for j in range(n):
            has = members[now, j] > 0
            rest = now[has] ^ (1 << j)
            options[has, j] = least[rest] + after[rest, j]
        # Of equal costs the candidate that comes last in the group's own order goes last.
        last[now] = n - 1 - np.argmin(np.round(options[:, ::-1], 9), axis=1)
        least[now] = options[np.arange(len(now)), last[now]]
    order, left = list[int](), (1 << n) - 1
    while left:
        order.append(group[int(last[left])])
        left ^= 1 << int(last[left])
    return order[::-1]


def _improved(costs: Floats, group: list[int]) -> list[int]:
    """A large group's order, improved by the best move of one candidate until no move lowers the cost."""
    order = [int(one) for one in _locally(costs[None], np.array([group]))[0]]
    while True:
        gain, moved = _best_move(costs, order)
        if gain <= _GAIN:
            return order
        order = moved


def _best_move(costs: Floats, order: list[int]) -> tuple[float, list[int]]:
    """How much the best move of one candidate to another place lowers the cost, and the order after it."""
    inside = costs[np.ix_(order, order)]
    gained = inside - inside.T  # [i, j] gained when i, now before j, goes behind it
    best, move = 0.0, (0, 0)
    for at in range(len(order)):
        behind, before = np.cumsum(gained[at, at + 1 :]), np.cumsum(gained[:at, at][::-1])
        if len(behind) and behind.max() > best + _GAIN:
            best, move = float(behind.max()), (at, at + 1 + int(behind.argmax()))
        if len(before) and before.max() > best + _GAIN:
            best, move = float(before.max()), (at, at - 1 - int(before.argmax()))
    moved = list(order)
    moved.insert(move[1], moved.pop(move[0]))
    return best, moved


def _locally(costs: Floats, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """[R, M] orders in which no majority wants two neighbours changed: each candidate in turn climbs while one does."""
    order, rows = order.copy(), np.arange(len(order))
    for placed in range(1, order.shape[1]):
        climbing = np.ones(len(order), dtype=bool)
        for at in range(placed, 0, -1):
            above, below = order[:, at - 1].copy(), order[:, at].copy()
            climbing &= costs[rows, above, below] > costs[rows, below, above] + _GAIN
            if not climbing.any():
                break
            order[:, at - 1], order[:, at] = np.where(climbing, below, above), np.where(climbing, above, below)
    return order


def _cost(costs: Floats, order: list[int]) -> float:
    return float(np.triu(costs[np.ix_(order, order)], 1).sum())
