"""What several measures say together: one score for every candidate, the order, where it is tied, and what all agree on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contracts import VOTERS, Message, Rule, Series, UnitRef, Vote, Voter
from analysis.errors import PlanError
from analysis.planning.consensus_rules import checked_rule, consensus_scores, order_by, weights_of
from analysis.planning.kemeny import kemeny_order

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Consensus:
    """Several votes on the same candidates as one.

    Attributes:
        rule: how the ranks were added up.
        weights: of the rule borda, by voter; empty with any other rule.
        voters: whose ranks count, in the order of the votes.
        abstained: who was asked and did not vote, and why.
        candidates: [M] as they were given.
        scores: [M] low = taken out first; None where fewer than half of the voters say anything.
        order: candidates with a score, best first; equal scores by rank sum, then as given.
        ties: groups of candidates with the same score, each in the order above.
        worst_ranks: [M] the worst rank that any voter gives, on the scale of M; None where none does.
        k: how many count as "among the most replaceable" for `unanimous`.
        proved: with the rule kemeny, whether no other order contradicts the measures less; True with any other rule.
        unanimous: candidates that every voter that ranks them puts among its k most replaceable, in the order above.
    """

    rule: Rule
    weights: Mapping[Voter, float]
    voters: tuple[Voter, ...]
    abstained: Mapping[Voter, Message]
    candidates: tuple[UnitRef, ...]
    scores: Series
    order: tuple[UnitRef, ...]
    ties: tuple[tuple[UnitRef, ...], ...]
    worst_ranks: Series
    k: int
    unanimous: tuple[UnitRef, ...]
    proved: bool = True

    @property
    def unranked(self) -> tuple[UnitRef, ...]:
        """Candidates that fewer than half of the voters say anything about: they are never taken."""
        return tuple(ref for ref, score in zip(self.candidates, self.scores, strict=True) if score is None)

    def place(self, ref: UnitRef) -> int | None:
        """The candidate's place in the order, 1 = most replaceable; None: it has none."""
        return self.order.index(ref) + 1 if ref in self.order else None

    def unanimous_within(self, k: int) -> tuple[UnitRef, ...]:
        """Candidates that every voter puts among its k most replaceable, in the consensus' order."""
        worst = dict(zip(self.candidates, self.worst_ranks, strict=True))
        return tuple(ref for ref in self.order if (rank := worst[ref]) is not None and rank <= k)


def consensus(
    votes: Sequence[Vote],
    candidates: Sequence[UnitRef],
    *,
    rule: Rule = "rank_sum",
    weights: Mapping[Voter, float] | None = None,
    voters: Collection[Voter] | None = None,
    k: int | None = None,
) -> Consensus:
    """The votes as one, by a rule.

    Args:
        votes: of one step; who abstained is left aside and named.
        candidates: [M] what the votes are on.
        rule: one of RULES.
        weights: of the rule borda; voters not named: 1. Other rules take no notice of them.
        voters: only these; None: all that voted.
        k: how many are "among the most replaceable"; None: a fifth of the candidates, at least one.

    Raises:
        PlanError: nobody votes, the rule or a voter is unknown, or the weights leave nobody a say.
    """
    checked_rule(rule)
    asked = asked_votes(votes, voters)
    counted = [vote for vote in asked if vote.votes]
    names = tuple(vote.voter for vote in counted)
    if not counted:
        raise PlanError("No measure votes: all that were asked abstained. Ask other measures, or give them more prompts.")
    by_name = {} if rule != "borda" else dict(zip(names, weights_of(weights or {}, names), strict=True))
    ranks = rank_table(counted, len(candidates))
    scores = consensus_scores(ranks, rule, tuple(by_name.values()))
    places = [int(place) for place in order_by(scores, ranks) if not np.isnan(scores[place])]
    worst = consensus_scores(ranks, "unanimity")
    found = Consensus(
        rule=rule,
        weights=by_name,
        voters=names,
        abstained={vote.voter: vote.abstained for vote in asked if vote.abstained is not None},
        candidates=tuple(candidates),
        scores=_series(scores),
        order=tuple(candidates[place] for place in places),
        ties=_ties(scores, places, candidates),
        worst_ranks=_series(worst),
        k=k if k is not None else a_fifth(len(candidates)),
        unanimous=(),
        proved=rule != "kemeny" or kemeny_order(ranks).exact,
    )
    return _with_unanimous(found)


def a_fifth(n: int) -> int:
    """How many of n candidates count as the most replaceable where nobody said: a fifth, at least one."""
    return max(1, n // 5)


def asked_votes(votes: Sequence[Vote], voters: Collection[Voter] | None) -> list[Vote]:
    """The votes of these voters, in the order of the votes; None: all.

    Raises:
        PlanError: one of them is unknown or was not asked.
    """
    if voters is None:
        return list(votes)
    there = {vote.voter for vote in votes}
    for name in voters:
        if name not in VOTERS:
            raise PlanError('"{name}" is not a measure that can vote. Choose among: {allowed}.', name=name, allowed=VOTERS)
        if name not in there:
            raise PlanError(
                'The measure "{name}" was not asked in this ranking. It holds: {there}. Choose among these, or rank again with it.',
                name=name,
                there=tuple(vote.voter for vote in votes),
            )
    return [vote for vote in votes if vote.voter in voters]


def rank_table(votes: Sequence[Vote], n_candidates: int) -> Floats:
    """[V, M] the ranks of votes, NaN where a voter does not say.

    Raises:
        PlanError: a vote is on another number of candidates.
    """
    for vote in votes:
        if len(vote.ranks) != n_candidates:
            raise PlanError(
                "The measure {name} ranks {n} candidates where there are {n_candidates}. Rank the model again.",
                name=vote.voter,
                n=len(vote.ranks),
                n_candidates=n_candidates,
            )
    return np.array([vote.ranks for vote in votes], dtype=np.float64).reshape(len(votes), n_candidates)


def _series(values: Floats) -> Series:
    return tuple(None if np.isnan(value) else float(value) for value in values)


def _ties(scores: Floats, places: Sequence[int], candidates: Sequence[UnitRef]) -> tuple[tuple[UnitRef, ...], ...]:
    groups: dict[float, list[UnitRef]] = {}
    for place in places:
        groups.setdefault(round(float(scores[place]), 9), []).append(candidates[place])
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _with_unanimous(found: Consensus) -> Consensus:
    return Consensus(**{**vars(found), "unanimous": found.unanimous_within(found.k)})
