"""What the measures of a ranking vote out for an amount: as far as it was taken step by step, else lowest first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from analysis.contracts import ConsensusChoice, Profile, Ranking, RankingStep, Rule, StackInfo, UnitRef, Voter
from analysis.contracts.search import ordered
from analysis.errors import PlanError
from analysis.planning.agreement import Agreement, agreement, n_agreeing
from analysis.planning.consensus import Consensus, asked_votes, consensus
from analysis.planning.consensus_odds import membership
from analysis.planning.rank import units_in
from analysis.planning.ranking_losses import UnitSet, broken_without, lost_alone, worst_slice_of
from analysis.planning.spending import Limit, limit_of

_AMOUNT = "20%"


@dataclass(frozen=True)
class Request:
    """What was asked for (see `plan_from_ranking`), and what follows from it at once."""

    ranking: Ranking
    amount: str | None
    rule: Rule | None
    weights: Mapping[Voter, float] | None
    voters: Collection[Voter] | None
    step_by_step: bool
    protect: frozenset[int]
    op: str
    context_tokens: int

    @property
    def first(self) -> RankingStep:
        return self.ranking.steps[0]

    @property
    def stack(self) -> StackInfo:
        return self.ranking.model.stack(self.ranking.stack)

    @property
    def protected(self) -> frozenset[int]:
        return self.protect | frozenset(self.ranking.settings.protect)

    @property
    def the_rule(self) -> Rule:
        return self.rule or self.ranking.settings.rule

    @property
    def the_weights(self) -> Mapping[Voter, float]:
        return self.ranking.settings.weights if self.weights is None else self.weights

    @cached_property
    def voted(self) -> Consensus:
        """The consensus of the first step, with nothing out."""
        return self.at(self.first)

    @property
    def as_ranked(self) -> bool:
        """Whether the ranking's own steps were decided in the same way."""
        settings, all_voters = self.ranking.settings, {vote.voter for vote in self.first.votes}
        same_weights = self.the_rule != "borda" or dict(self.the_weights) == dict(settings.weights)
        return self.the_rule == settings.rule and same_weights and (self.voters is None or all_voters <= set(self.voters))

    def at(self, step: RankingStep) -> Consensus:
        """The consensus of a step, as it is asked for now."""
        return consensus(step.votes, step.candidates, rule=self.the_rule, weights=self.the_weights, voters=self.voters)

    @cached_property
    def broken(self) -> frozenset[UnitRef]:
        """Units that are never taken, whatever the other measures say."""
        return broken_without(self.ranking)

    @cached_property
    def held_back(self) -> bool:
        """Whether the ranking's own limit of quality ended its steps, so that more was refused and not merely left undone."""
        ranking, amount = self.ranking, self.ranking.settings.amount
        if ranking.settings.most_perplexity is None or not (amount and ranking.complete and self.step_by_step):
            return False
        return self.taken == ranking.taken and not uses_up(self.limit_of(amount), self.taken)

    def limit_of(self, amount: str) -> Limit:
        """What an amount allows of this model's units of the ranking's kind."""
        ranking = self.ranking
        return limit_of(ranking.model, amount, units=(ranking.settings.unit,), stack=ranking.stack, context_tokens=self.context_tokens)

    def free(self, order: UnitSet) -> UnitSet:
        """What of an order may be taken; the last unit of the model stays."""
        may_go = tuple(ref for ref in order if ref[1] not in self.protected and ref not in self.broken)
        return may_go[: len(units_in(self.stack, self.ranking.settings.unit)) - 1]

    @property
    def as_taken(self) -> bool:
        """Whether just that is asked for which the ranking took out."""
        return self.amount is None and bool(self.taken) and self.taken == self.ranking.taken

    @cached_property
    def taken(self) -> UnitSet:
        """What was taken step by step, as far as it would be taken now."""
        found: list[UnitRef] = []
        for step in self.ranking.steps if self.step_by_step else ():
            if not any(vote.votes for vote in asked_votes(step.votes, self.voters)):
                break
            now = step.chosen if self.as_ranked else self.free(self.at(step).order)
            if set(now[: len(step.chosen)]) != set(step.chosen) or any(block in self.protected for _, block in step.chosen):
                break
            found += step.chosen
        return tuple(found)


@dataclass(frozen=True)
class Choice:
    """What is taken, how it was found, and what the measures say of it."""

    request: Request
    limit: Limit
    chosen: UnitSet
    order: UnitSet
    stepwise: bool
    agreed: Agreement
    odds: Mapping[UnitRef, float | None]

    @property
    def amount(self) -> str:
        return self.limit.asked.text

    @cached_property
    def contract(self) -> ConsensusChoice:
        """How it was voted for, as the plan carries it."""
        request, ranking, voted = self.request, self.request.ranking, self.request.voted
        votes = asked_votes(request.first.votes, request.voters)
        return ConsensusChoice(
            ranking_id=ranking.id,
            rule=voted.rule,
            weights=voted.weights,
            voters=voted.voters,
            step_by_step=self.stepwise,
            n_agree=n_agreeing(votes, voted.candidates, self.chosen, request.protected),
            odd=self.agreed.odd,
            odd_slice=worst_slice_of(lost_alone(ranking, self.agreed.odd_unit)) if self.agreed.odd_unit else None,
            probabilities=tuple(self.odds[ref] for ref in self.chosen),
            held_out=ranking.settings.held_out,
        )


def choose(request: Request, profile: Profile | None) -> Choice:
    """What goes, and what the measures say of it.

    Raises:
        PlanError: the request cannot be understood, the profile is another model's, or nothing can be taken.
    """
    _check(request, profile)
    ranking, limit = request.ranking, _limit(request)
    stepped = _within(limit, request.taken)
    lowest = _within(limit, request.free(request.voted.order))
    if request.held_back and not stepped:
        raise PlanError(
            "The ranking took nothing out: the first removal already raises perplexity beyond {times} times the untouched model's. "
            "Rank again with a higher limit, or take the lowest of the one ranking.",
            times=ranking.settings.most_perplexity,
        )
    stepwise = bool(stepped) and (uses_up(limit, stepped) or len(stepped) >= len(lowest) or request.held_back)
    order = stepped if stepwise else lowest
    if not order:
        raise _nothing_to_take(request, limit)
    shares = membership(
        ranking, len(order), rule=request.the_rule, weights=request.the_weights, voters=request.voters, protect=request.protected
    )
    votes = asked_votes(request.first.votes, request.voters)
    return Choice(
        request=request,
        limit=limit,
        chosen=ordered(order),
        order=order,
        stepwise=stepwise,
        agreed=agreement(votes, request.first.candidates),
        odds=dict(zip(request.first.candidates, shares, strict=True)),
    )


def _check(request: Request, profile: Profile | None) -> None:
    if request.op not in ("prune", "skip"):
        raise PlanError('The operation "{op}" is not one of: prune, skip.', op=request.op)
    n_blocks = request.stack.n_blocks
    for block in sorted(request.protect):
        if not 0 <= block < n_blocks:
            raise PlanError(
                "Layer {block} cannot be protected: this model has {n_blocks} layers (0 to {last}).",
                block=block,
                n_blocks=n_blocks,
                last=n_blocks - 1,
            )
    ranking = request.ranking
    if profile is not None and (profile.model.commit, profile.stack) != (ranking.model.commit, ranking.stack):
        raise PlanError(
            "The profile is of {given}, the ranking of {ranked}, or of another version of it. Give the profile of the ranked model.",
            given=profile.model.name,
            ranked=ranking.model.name,
        )


def _limit(request: Request) -> Limit:
    taken, settings = request.taken, request.ranking.settings
    return request.limit_of(request.amount or (f"{len(taken)} layers" if request.as_taken else settings.amount or _AMOUNT))


def _within(limit: Limit, order: UnitSet) -> UnitSet:
    """The longest beginning of an order that the limit allows."""
    n = 0
    while n < len(order) and limit.allows(order[: n + 1]):
        n += 1
    return order[:n]


def uses_up(limit: Limit, chosen: UnitSet) -> bool:
    """Whether one more unit of average size would exceed the limit."""
    return limit.used(chosen) * (len(chosen) + 1) > limit.most * (1 + 1e-9) * len(chosen)


def _nothing_to_take(request: Request, limit: Limit) -> PlanError:
    if not request.free(request.voted.order):
        return PlanError("Nothing can be removed: every layer that could go is protected, or too few measures say anything about it.")
    return PlanError(
        '"{amount}" is less than the first removal takes. Ask for more, or for a number of layers such as 1 layer.', amount=limit.asked.text
    )
