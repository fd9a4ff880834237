"""Weights for the measures, learned from what taking each layer out really cost, and an honest figure for how well they do.

Thirty layers are few and a dozen measures that say nearly the same are many, so weights may only bend away from "every measure
counts the same" as far as the layers insist: with r the ranks and t the ranks of the true losses, both from -1/2 to 1/2,

    minimise over w >= 0:   mean over layers (sum_v w_v r_v - t)^2  +  pull x sum_v (w_v - 1/V)^2

Ranks of a weighted sum are taken from it alone; its scale is free. How hard the pull to equal weights is, is itself chosen by
cross-validation among PULLS. The figure of merit is had by a second cross-validation around all of that: every layer is judged by
weights that never saw it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contracts import Series, Vote, Voter
from analysis.errors import PlanError
from analysis.planning.agreement import spearman
from analysis.planning.consensus import rank_table
from analysis.planning.consensus_rules import consensus_scores, mid_ranks, stretched

Floats = NDArray[np.float64]

PULLS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""From nearly free weights to nearly equal ones."""
LEAST = 10
"""Layers with a known loss from which weights may be fitted."""
_ROUNDS = 500
_STILL = 1e-10


@dataclass(frozen=True)
class FittedWeights:
    """Weights for the rule borda, and whether they are worth having.

    Attributes:
        weights: by voter; they average 1.
        cv_spearman: rank correlation with the truth of scores by weights that never saw the layer; None: not defined.
        unweighted_spearman: the same for the plain sum of ranks, which learns nothing; None: not defined.
        n: layers with a known truth.
        pull: how hard the weights are held to being equal; one of PULLS.
    """

    weights: Mapping[Voter, float]
    cv_spearman: float | None
    unweighted_spearman: float | None
    n: int
    pull: float

    @property
    def better(self) -> bool:
        """Whether weights promise more than the plain sum on layers they have not seen."""
        return self.cv_spearman is not None and self.unweighted_spearman is not None and self.cv_spearman > self.unweighted_spearman


def fit_weights(votes: Sequence[Vote], truth: Series, *, folds: int = 5, seed: int = 0) -> FittedWeights:
    """Weights by which the measures' ranks come nearest to the ranks of a truth, such as losses on the verification half.

    The measure `ablation_loss` is left aside: it is the loss itself, and would take all the weight.

    Args:
        votes: of one step; who abstained is left aside.
        truth: [M] what leaving each candidate out costs; None where that is not known.
        folds: parts of each cross-validation.
        seed: of the parts.

    Raises:
        PlanError: too few layers have a truth, fewer than two measures are left, or the folds are not 2 to the number of layers.
    """
    counted = [vote for vote in votes if vote.votes and vote.voter != "ablation_loss"]
    known = np.array([value is not None for value in truth], dtype=bool)
    n = int(known.sum())
    _check(n, len(counted), folds)
    ranks = rank_table(counted, len(truth))[:, known]
    wanted = np.array([value for value in truth if value is not None], dtype=np.float64)
    table, target = _centred(ranks), _scaled(mid_ranks(wanted))
    random = np.random.default_rng(seed)
    judged = _judged_unseen(table, target, folds, random)
    pull = _best_pull(table, target, folds, random)
    weights = _fitted(table, target, pull)
    return FittedWeights(
        weights={vote.voter: float(weight) for vote, weight in zip(counted, weights / weights.mean(), strict=True)},
        cv_spearman=_defined(spearman(judged, wanted)),
        unweighted_spearman=_defined(spearman(consensus_scores(ranks), wanted)),
        n=n,
        pull=pull,
    )


def _check(n: int, n_voters: int, folds: int) -> None:
    if n < LEAST:
        raise PlanError(
            "Weights were to be fitted to {n} layers with a known loss; at least {least} are needed. Use the plain sum of ranks.",
            n=n,
            least=LEAST,
        )
    if n_voters < 2:
        raise PlanError("Weights need at least two measures besides the loss itself; {n} voted. Ask more measures.", n=n_voters)
    if not 2 <= folds <= n:
        raise PlanError("{folds} folds were asked for. Give from 2 to {n}, the number of layers with a known loss.", folds=folds, n=n)


def _centred(ranks: Floats) -> Floats:
    """[M, V] ranks from -1/2 to 1/2; what a voter does not say is what the others say on average, else the middle."""
    table = _scaled(stretched(ranks))
    told = ~np.isnan(table)
    mean = np.where(told, table, 0.0).sum(0) / np.maximum(told.sum(0), 1)
    return np.where(told, table, mean).T


def _scaled(ranks: Floats) -> Floats:
    n = ranks.shape[-1]
    return np.asarray((ranks - (n + 1) / 2) / max(n - 1, 1), dtype=np.float64)


def _fitted(table: Floats, target: Floats, pull: float) -> Floats:
    """The weights of the module's formula, by going down one weight at a time until none moves; the problem has one minimum."""
    n, n_voters = table.shape
    equal = 1 / n_voters
    square = table.T @ table / n + pull * np.eye(n_voters)
    wanted = table.T @ target / n + pull * equal
    weights = np.full(n_voters, equal)
    for _ in range(_ROUNDS):
        before = weights.copy()
        for at in range(n_voters):
            rest = wanted[at] - square[at] @ weights + square[at, at] * weights[at]
            weights[at] = max(0.0, rest / square[at, at])
        if np.abs(weights - before).max() < _STILL:
            break
    return weights if weights.any() else np.full(n_voters, equal)


def _parts(n: int, folds: int, random: np.random.Generator) -> list[NDArray[np.int64]]:
    return np.array_split(random.permutation(n), folds)


def _best_pull(table: Floats, target: Floats, folds: int, random: np.random.Generator) -> float:
    """The pull whose weights miss unseen layers least; of equal ones the harder."""
    parts = _parts(len(target), min(folds, len(target)), random)

    def missed(pull: float) -> float:
        return sum(
            float(((table[part] @ _fitted(np.delete(table, part, 0), np.delete(target, part), pull) - target[part]) ** 2).sum())
            for part in parts
        )

    return min(reversed(PULLS), key=lambda pull: round(missed(pull), 12))


def _judged_unseen(table: Floats, target: Floats, folds: int, random: np.random.Generator) -> Floats:
    """[M] each layer's score by weights, and a pull, that were chosen without it; not even its place in the truth is seen."""
    scores = np.empty(len(target))
    for part in _parts(len(target), folds, random):
        seen, seen_target = np.delete(table, part, 0), _scaled(mid_ranks(np.delete(target, part)))
        weights = _fitted(seen, seen_target, _best_pull(seen, seen_target, folds, random))
        scores[part] = table[part] @ weights / weights.sum()
    return scores


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
