"""The first sentence of Consensus: what the measures agree on, who objects, and when the answer is that nothing is replaceable."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.contracts import Message, Ranking, Rule, Unit, UnitRef, Voter
from analysis.i18n import N_
from analysis.planning.agreement import agreement
from analysis.planning.consensus import Consensus, a_fifth, asked_votes, consensus, rank_table
from analysis.planning.consensus_rules import mid_ranks, stretched
from analysis.planning.ranking_losses import broken_without, lost_alone, worst_slice_of
from analysis.planning.voters import VOTER_WORDS
from analysis.reporting.figures import percent_figure

LARGE = math.log(1.25)
"""Nats per token from which what is lost without a single layer is called large: perplexity a quarter higher."""

_MANY = 10.0
"""Perplexity ratio from which it is told as a multiple, not as a percentage."""

UNIT_OF_LAYER: Mapping[Unit, str] = {
    "block": N_("layer {i}"),
    "attention": N_("the attention of layer {i}"),
    "mlp": N_("the MLP of layer {i}"),
}
"""One unit, to stand inside a sentence."""


def consensus_headline(
    ranking: Ranking,
    *,
    rule: Rule | None = None,
    weights: Mapping[Voter, float] | None = None,
    voters: Collection[Voter] | None = None,
    k: int | None = None,
    large: float = LARGE,
) -> Message:
    """What the first step's votes say of the unit that the consensus takes first, in one sentence; who abstained in a second.

    A measure agrees when the unit is among its k most replaceable of those that may go. If even the unit whose loss rises least
    costs `large`, the answer is that nothing is replaceable, whatever the measures agree on.

    Args:
        ranking: what was voted.
        rule, weights, voters: of the consensus; None: those of the ranking's settings.
        k: how many count as "replaceable"; None: as many as were taken step by step, else a fifth of the candidates.
        large: nats per token.

    Raises:
        PlanError: nobody votes, or the rule, a weight or a voter cannot be used.
    """
    settings, step = ranking.settings, ranking.steps[0]
    found = consensus(
        step.votes,
        step.candidates,
        rule=rule or settings.rule,
        weights=settings.weights if weights is None else weights,
        voters=voters,
    )
    says = _finding(_View(ranking, found, k or len(ranking.taken) or a_fifth(len(step.candidates))), large)
    silent = _abstained(found)
    return says if silent is None else Message(id="{first} {second}", values={"first": says, "second": silent})


def unit_in_words(ref: UnitRef) -> Message:
    """One unit, to stand inside a sentence."""
    return Message(id=UNIT_OF_LAYER[ref[0]], values={"i": ref[1]})


@dataclass(frozen=True)
class _View:
    """A ranking as it is voted now."""

    ranking: Ranking
    found: Consensus
    k: int

    @cached_property
    def free(self) -> tuple[UnitRef, ...]:
        """What may go, best first."""
        broken, protected = broken_without(self.ranking), self.ranking.settings.protect
        return tuple(ref for ref in self.found.order if ref[1] not in protected and ref not in broken)

    def ranks_of(self, ref: UnitRef) -> dict[Voter, float]:
        """Each voter's rank of one unit among those that may go; who does not rank it is missing."""
        step = self.ranking.steps[0]
        places = [at for at, candidate in enumerate(step.candidates) if candidate in self.free]
        table = rank_table(asked_votes(step.votes, self.found.voters), len(step.candidates))[:, places]
        column = stretched(mid_ranks(table))[:, [step.candidates[at] for at in places].index(ref)]
        return {voter: float(rank) for voter, rank in zip(self.found.voters, column, strict=True) if not np.isnan(rank)}

    def least_loss(self) -> tuple[UnitRef, float] | None:
        """The unit that may go whose loss rises least without it, and by how much; None: not measured."""
        if self.ranking.objective != "loss":
            return None
        told = ((ref, lost.change.value) for ref in self.free if (lost := lost_alone(self.ranking, ref)) is not None)
        return min(((ref, value) for ref, value in told if value is not None), key=lambda pair: pair[1], default=None)


def _finding(view: _View, large: float) -> Message:
    if not view.free:
        return Message(id="No layer may go: all are protected, or too few measures say anything about them.")
    least = view.least_loss()
    if least is not None and least[1] >= large:
        return _nothing(*least)
    first = view.free[0]
    if len(view.found.voters) == 1:
        return Message(
            id="Only one measure voted, {voter}, so there is no consensus: it finds {what} most replaceable.",
            values={"voter": _title(view.found.voters[0]), "what": unit_in_words(first)},
        )
    return _agreed(view, first)


def _nothing(ref: UnitRef, change: float) -> Message:
    ratio, what = math.exp(min(change, 30.0)), unit_in_words(ref)
    if ratio >= _MANY:
        return Message(
            id="Nothing here is replaceable: even without {what}, where least is lost, perplexity is {x} times as high.",
            values={"what": what, "x": round(ratio)},
        )
    return Message(
        id="Nothing here is replaceable: even without {what}, where least is lost, perplexity is {p}% higher.",
        values={"what": what, "p": percent_figure(ratio - 1)},
    )


def _agreed(view: _View, first: UnitRef) -> Message:
    """How many measures count the first unit among their most replaceable, and who objects most."""
    ranks = view.ranks_of(first)
    agree = [voter for voter, rank in ranks.items() if rank <= view.k]
    values: dict[str, object] = {"n": len(agree), "m": len(view.found.voters), "what": unit_in_words(first)}
    if len(agree) == len(view.found.voters):
        return Message(id="All {m} measures agree that {what} is replaceable. Verification decides.", values=values)
    if 2 * len(agree) <= len(view.found.voters) and view.k == 1:
        return Message(id="The measures disagree: only {n} of {m} put {what} first, as their consensus does.", values=values)
    if 2 * len(agree) <= len(view.found.voters):
        return Message(
            id="The measures disagree: only {n} of {m} count {what}, first by their consensus, among the {k} most replaceable.",
            values={**values, "k": view.k},
        )
    against = _who_objects(view, ranks)
    if against is None:
        return Message(id="{n} of {m} measures agree that {what} is replaceable; the others say nothing about it.", values=values)
    values["odd"] = _title(against)
    worst = worst_slice_of(lost_alone(view.ranking, first))
    if worst is None:
        return Message(id="{n} of {m} measures agree that {what} is replaceable; {odd} disagrees.", values=values)
    values["slice"] = worst
    if first[0] == "block":
        values = {name: value for name, value in values.items() if name != "what"} | {"i": first[1]}
        return Message(
            id="{n} of {m} measures agree that layer {i} is replaceable; {odd} disagrees. Most is lost on {slice}.", values=values
        )
    return Message(id="{n} of {m} measures agree that {what} is replaceable; {odd} disagrees. Most is lost on {slice}.", values=values)


def _who_objects(view: _View, ranks: Mapping[Voter, float]) -> Voter | None:
    """The odd one of all if it objects to the unit, else whoever ranks it highest; None: nobody ranks it beyond k."""
    against = {voter: rank for voter, rank in ranks.items() if rank > view.k}
    odd = agreement(asked_votes(view.ranking.steps[0].votes, view.found.voters)).odd
    if odd in against or not against:
        return odd if odd in against else None
    most: Voter = max(against, key=against.__getitem__)
    return most


def _abstained(found: Consensus) -> Message | None:
    if not found.abstained:
        return None
    return Message(
        id="{n} of {m} measures could not vote: {names}.",
        values={
            "n": len(found.abstained),
            "m": len(found.abstained) + len(found.voters),
            "names": tuple(_title(voter) for voter in found.abstained),
        },
    )


def _title(voter: Voter) -> Message:
    return Message(id=VOTER_WORDS[voter].title)
