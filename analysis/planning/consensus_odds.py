"""How sure a place in the consensus is: over how many resamples of the prompts a candidate is among the most replaceable."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from analysis.contracts import Ranking, Rule, Voter
from analysis.planning.consensus import asked_votes
from analysis.planning.consensus_rules import checked_rule, consensus_scores, order_by, weights_of

Floats = NDArray[np.float64]


def membership(
    ranking: Ranking,
    k: int,
    *,
    rule: Rule | None = None,
    weights: Mapping[Voter, float] | None = None,
    voters: Collection[Voter] | None = None,
    protect: Collection[int] = (),
) -> tuple[float | None, ...]:
    """[M] share of resamples in which a candidate of the first step is among the k most replaceable.

    Only prompts are drawn again: the measures, their settings and the model stay, so the shares say nothing of other work.

    Args:
        ranking: its `replicate_ranks` are what was drawn.
        k: how many are taken.
        rule, weights, voters: of the consensus; None: those of the ranking's settings. With the rule kemeny each resample is
            ordered by local Kemenization (see `planning.kemeny`).
        protect: layers that cannot be taken; they are passed over when the k are counted, and have no share.

    Returns:
        None where a candidate is protected or ranked in no resample, and everywhere if nothing was resampled.

    Raises:
        PlanError: the rule or a voter is unknown, or the weights leave nobody a say.
    """
    candidates = ranking.steps[0].candidates
    chosen, ranks = _asked(ranking, voters)
    rule = checked(rule or ranking.settings.rule)
    if not ranks.size:
        return (None,) * len(candidates)
    factors = weights_of(ranking.settings.weights if weights is None else weights, chosen) if rule == "borda" else ()
    scores = consensus_scores(ranks, rule, factors)
    free = np.array([block not in protect for _, block in candidates])
    return _shares(scores, ranks, free, k)


def checked(rule: Rule) -> Rule:
    """The rule, if it is one."""
    checked_rule(rule)
    return rule


def _asked(ranking: Ranking, voters: Collection[Voter] | None) -> tuple[tuple[Voter, ...], Floats]:
    """Who votes, and [R, V, M] their resampled ranks."""
    votes = ranking.steps[0].votes
    counted = [vote for vote in asked_votes(votes, voters) if vote.votes]
    rows = [at for at, vote in enumerate(votes) if vote in counted]
    table = _table(ranking.replicate_ranks)
    return tuple(vote.voter for vote in counted), table[:, rows] if table.size else table


@lru_cache(maxsize=4)
def _table(replicate_ranks: tuple[tuple[tuple[int, ...], ...], ...]) -> Floats:
    """[R, V, M] with NaN for 0; kept for the sliders that ask again and again."""
    ranks = np.array(replicate_ranks, dtype=np.float64)
    return np.where(ranks == 0, np.nan, ranks)


def _shares(scores: Floats, ranks: Floats, free: NDArray[np.bool_], k: int) -> tuple[float | None, ...]:
    order = order_by(np.where(free, scores, np.nan), ranks)
    known = ~np.isnan(scores) & free
    # What has no score stands last, so the first k of the order are the k most replaceable as long as there are k.
    inside = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(inside, order[..., :k], True, axis=-1)
    hits, drawn = (inside & known).sum(0), known.sum(0)
    return tuple(float(hit / len(scores)) if any_drawn else None for hit, any_drawn in zip(hits, drawn, strict=True))
