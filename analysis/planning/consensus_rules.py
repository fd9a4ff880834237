"""How many rankings of the same candidates become one: ranks of equal values, and five rules that add them up.

Everything is written for arrays whose last two axes are voters and candidates, so that one ranking and hundreds of resampled
ones go through the same lines. Low values and low ranks mean "replaceable"; NaN means that a voter does not say.

What a voter does not say is taken as what the others say on average of that candidate. A voter that ranks K of M candidates
has its ranks stretched to the scale of M, (rank - 1/2) x M / K + 1/2, so that ranking few candidates gives it no louder voice.
Where every voter ranks every candidate nothing is filled or stretched. A candidate that fewer than half of the voters rank has no
score at all: what breaks so many measures (states that overflow without the layer) must not look replaceable to the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.contracts import RULES, VOTERS, Rule, Voter
from analysis.errors import PlanError
from analysis.planning.kemeny import kemeny_places

Floats = NDArray[np.float64]


def mid_ranks(values: ArrayLike) -> Floats:
    """Ranks from 1, lowest value first; equal values share their mean rank; NaN stays NaN and takes no rank.

    Args:
        values: [M], or [..., M] to rank every last axis on its own; None counts as NaN.

    >>> mid_ranks([0.3, 0.1, 0.3, float("nan")]).tolist()
    [2.5, 1.0, 2.5, nan]
    """
    given = np.asarray(values, dtype=np.float64)
    lower = (given[..., None, :] < given[..., :, None]).sum(-1)
    equal = (given[..., None, :] == given[..., :, None]).sum(-1)
    return np.where(np.isnan(given), np.nan, lower + (equal + 1) / 2)


def consensus_scores(ranks: ArrayLike, rule: Rule = "rank_sum", weights: Mapping[Voter, float] | Sequence[float] = ()) -> Floats:
    """The consensus over candidates by a rule; low = most replaceable; NaN where fewer than half of the voters say anything.

    * ``rank_sum``: sum of ranks, un-weighted, as released. Over candidates it adds up to V M (M + 1) / 2.
    * ``borda``: the same with weights, scaled so that they average 1: equal weights give the rank sum.
    * ``unanimity``: the worst rank that any voter gives.
    * ``median_rank``: the middle one of its ranks.
    * ``kemeny``: the place in the order that contradicts the voters over the fewest pairs (see `planning.kemeny`).

    Args:
        ranks: [V, M] or [..., V, M]; NaN where a voter does not say.
        rule: one of RULES.
        weights: [V] of the rule borda, in the order of the rows; empty: all 1. A mapping needs `weights_of` first.

    Raises:
        PlanError: the rule is unknown, or the weights are not [V] numbers from 0, one of them above.

    Source: C(i) = sum over metrics of r_m(i), Layer Pruning with Consensus (arXiv 2411.14345), `consensus.py`.

    >>> consensus_scores([[1, 2, 3], [2, 1, 3]]).tolist()
    [3.0, 3.0, 6.0]
    """
    given = np.asarray(ranks, dtype=np.float64)
    checked_rule(rule)
    return np.where(_heard(given), _scores(given, rule, weights), np.nan)


def _scores(given: Floats, rule: Rule, weights: Mapping[Voter, float] | Sequence[float]) -> Floats:
    if rule == "kemeny":
        return kemeny_places(given)
    known = stretched(given)
    if rule == "unanimity":
        return np.asarray(np.fmax.reduce(known, axis=-2), dtype=np.float64)
    if rule == "median_rank":
        return _median(known)
    return _weighted_sum(known, _factors(weights, given.shape[-2]) if rule == "borda" else np.ones(given.shape[-2]))


def _heard(ranks: Floats) -> NDArray[np.bool_]:
    """[..., M] whether at least half of those that vote, and at least one, rank a candidate."""
    told = ~np.isnan(ranks)
    n_told, n_voters = told.sum(-2), told.any(-1).sum(-1)[..., None]
    return np.asarray((2 * n_told >= n_voters) & (n_told > 0))


def stretched(ranks: Floats) -> Floats:
    """[..., V, M] each voter's ranks on the scale of all M candidates, whatever number of them it ranks."""
    n_known = (~np.isnan(ranks)).sum(-1, keepdims=True)
    n_all = ranks.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(n_known == n_all, ranks, (ranks - 0.5) * n_all / n_known + 0.5)


def order_by(scores: Floats, ranks: Floats) -> NDArray[np.int64]:
    """[..., M] places of the candidates, best first: by score, equal scores by rank sum, then by their own order; NaN last."""
    sums = _weighted_sum(stretched(ranks), np.ones(ranks.shape[-2]))
    own = np.broadcast_to(np.arange(ranks.shape[-1]), scores.shape)
    # Sums of the same terms in another order differ in the last digits; that is no difference between candidates.
    return np.lexsort((own, np.round(sums, 9), np.round(scores, 9)), axis=-1)


def weights_of(weights: Mapping[Voter, float], voters: Sequence[Voter]) -> tuple[float, ...]:
    """The weight of every voter in their order; voters not named: 1.

    Raises:
        PlanError: a name is no voter's.
    """
    for name in weights:
        if name not in VOTERS:
            raise PlanError('A weight was given to "{name}", which is not a measure. Choose among: {allowed}.', name=name, allowed=VOTERS)
    return tuple(float(weights.get(voter, 1.0)) for voter in voters)


def checked_rule(rule: str) -> None:
    """Complains about a rule that is not one of RULES."""
    if rule not in RULES:
        raise PlanError('The rule "{rule}" is not known. Choose one of: {allowed}.', rule=rule, allowed=RULES)


def _weighted_sum(known: Floats, factors: Floats) -> Floats:
    """Number of voters times the weighted mean of the ranks that are told: the sum, with the others' mean where one is silent."""
    told = ~np.isnan(known)
    column = factors[:, None]
    with np.errstate(invalid="ignore"):
        mean = (np.where(told, known, 0.0) * column).sum(-2) / (told * column).sum(-2)
    return np.asarray(told.any(-1).sum(-1)[..., None] * mean, dtype=np.float64)


def _median(known: Floats) -> Floats:
    """The middle of the ranks that are told; NaN sorts to the end, so the middle is looked up by how many there are."""
    ordered, n_told = np.sort(known, axis=-2), (~np.isnan(known)).sum(-2)
    upper, lower = np.maximum(n_told, 1) // 2, np.maximum(n_told - 1, 0) // 2
    ends = (np.take_along_axis(ordered, at[..., None, :], axis=-2)[..., 0, :] for at in (lower, upper))
    return np.asarray(sum(ends) / 2, dtype=np.float64)


def _factors(weights: Any, n_voters: int) -> Floats:
    if isinstance(weights, Mapping):
        raise TypeError("weights by name have no order: put them into that of the rows with weights_of(weights, voters)")
    factors = np.asarray(tuple(weights) or (1.0,) * n_voters, dtype=np.float64)
    if factors.shape != (n_voters,):
        raise PlanError("{n} weights were given for {n_voters} measures. Give one for each.", n=len(factors), n_voters=n_voters)
    if not all(math.isfinite(weight) and weight >= 0 for weight in factors):
        raise PlanError("A weight is below 0 or not a number. Give numbers from 0 upwards; 0 leaves a measure out.")
    if not factors.any():
        raise PlanError("All weights are 0, so no measure would have a say. Give at least one measure a weight above 0.")
    return np.asarray(factors / factors.mean(), dtype=np.float64)
