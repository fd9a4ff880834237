"""How alike the measures rank the candidates, and which of them is the odd one out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.contracts import Matrix, Series, UnitRef, Vote, Voter
from analysis.planning.consensus import rank_table
from analysis.planning.consensus_rules import mid_ranks, stretched

Floats = NDArray[np.float64]

ODD_BY = 0.15
"""How far a measure's mean correlation has to lie below the median of the others' to be called the odd one."""
_ENOUGH = 3
"""Candidates that two measures both rank, and measures that vote, from which agreement says something."""


@dataclass(frozen=True)
class Agreement:
    """How alike the measures rank.

    Attributes:
        voters: who voted, in the order of the votes.
        matrix: [V][V] Spearman's rank correlation, -1 to 1; None where two share fewer than three candidates or one ranks all alike.
        mean: [V] each one's mean correlation with the others; None where it has none.
        odd: the one with the lowest mean, if that lies at least ODD_BY below the median of the others' means; None: none does, or
            fewer than three vote.
        odd_unit: the candidate whose rank by the odd measure differs most from the others' mean rank; None: there is no odd one.
    """

    voters: tuple[Voter, ...]
    matrix: Matrix
    mean: Series
    odd: Voter | None
    odd_unit: UnitRef | None


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Rank correlation over what both rank; equal values share their mean rank; NaN where it is not defined.

    >>> round(spearman([1, 2, 2, 4], [10, 20, 30, 40]), 4)
    0.9487
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    both = ~(np.isnan(one) | np.isnan(other))
    if both.sum() < _ENOUGH:
        return float("nan")
    left, right = (ranks - ranks.mean() for ranks in (mid_ranks(one[both]), mid_ranks(other[both])))
    spread = float(np.sqrt((left @ left) * (right @ right)))
    return float(left @ right) / spread if spread else float("nan")


def agreement(votes: Sequence[Vote], candidates: Sequence[UnitRef] = ()) -> Agreement:
    """How alike those that vote rank the candidates, pair by pair, over the candidates that both rank.

    Args:
        votes: of one step; who abstained is left aside.
        candidates: what the votes are on; empty: `odd_unit` is not looked for.
    """
    counted = [vote for vote in votes if vote.votes]
    ranks = rank_table(counted, len(candidates) or max((len(vote.ranks) for vote in counted), default=0))
    matrix = np.array([[spearman(one, other) for other in ranks] for one in ranks]).reshape(len(ranks), len(ranks))
    means = _means_with_others(matrix)
    odd = _odd(means)
    return Agreement(
        voters=tuple(vote.voter for vote in counted),
        matrix=tuple(_series(row) for row in matrix),
        mean=_series(means),
        odd=None if odd is None else counted[odd].voter,
        odd_unit=None if odd is None or not candidates else _odd_unit(ranks, odd, candidates),
    )


def _means_with_others(matrix: Floats) -> Floats:
    others = np.where(np.eye(len(matrix), dtype=bool), np.nan, matrix)
    told = ~np.isnan(others)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(told, others, 0.0).sum(1) / told.sum(1), dtype=np.float64)


def _odd(means: Floats) -> int | None:
    known = [at for at, mean in enumerate(means) if not np.isnan(mean)]
    if len(known) < _ENOUGH:
        return None
    lowest = min(known, key=lambda at: means[at])
    usual = float(np.median([means[at] for at in known if at != lowest]))
    return lowest if means[lowest] <= usual - ODD_BY else None


def _odd_unit(ranks: Floats, odd: int, candidates: Sequence[UnitRef]) -> UnitRef | None:
    known = stretched(ranks)
    others = np.delete(known, odd, axis=0)
    told = ~np.isnan(others)
    with np.errstate(invalid="ignore"):
        apart = np.abs(known[odd] - np.where(told, others, 0.0).sum(0) / told.sum(0))
    return None if np.isnan(apart).all() else candidates[int(np.nanargmax(apart))]


def _series(values: Floats) -> Series:
    return tuple(None if np.isnan(value) else float(value) for value in values)


def n_agreeing(votes: Sequence[Vote], candidates: Sequence[UnitRef], removed: Collection[UnitRef], protect: Collection[int] = ()) -> int:
    """Voters for which at least half of the removed units are among the k most replaceable of theirs, k removed.

    That has to be more than lots would put there, k of all that might go, so that taking out most of a model is not agreed to by
    everybody; who has all of them there agrees in any case. Protected layers are passed over: nobody could have taken them. Who
    does not rank a removed unit does not agree to it.
    """
    free = [at for at, (_, block) in enumerate(candidates) if block not in protect]
    ranks = mid_ranks(rank_table([vote for vote in votes if vote.votes], len(candidates))[:, free])
    gone = [place for place, at in enumerate(free) if candidates[at] in removed]
    inside = (ranks[:, gone] <= len(removed)).sum(1)
    by_lots = len(gone) * len(removed) / len(free) if free else 0.0
    return int(((2 * inside >= len(removed)) & (inside > by_lots) | (inside == len(removed))).sum())
