"""From a ranking to a plan: what the consensus takes out for an amount, step by step or lowest first. No forward pass."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from analysis.contracts import (
    ConsensusChoice,
    LostWith,
    Message,
    Operation,
    Plan,
    Profile,
    ProjectedQuality,
    Projection,
    Provenance,
    Prune,
    Ranking,
    RankingStep,
    Rule,
    Skip,
    StackInfo,
    UnitReason,
    UnitRef,
    Voter,
)
from analysis.contracts.search import ordered
from analysis.errors import PlanError
from analysis.planning.agreement import Agreement, agreement, n_agreeing
from analysis.planning.consensus import Consensus, asked_votes, consensus
from analysis.planning.consensus_odds import membership
from analysis.planning.project_more import enriched
from analysis.planning.projection import DEFAULT_CONTEXT_TOKENS, project
from analysis.planning.propose import RemovalOp, model_ref, workload_ref
from analysis.planning.rank import units_in
from analysis.planning.spending import Limit, limit_of
from analysis.planning.voters import RULE_WORDS, VOTER_WORDS

CONSENSUS = "consensus"
"""The criterion of a plan that a ranking's measures voted for."""
_AMOUNT = "20%"
_NOTABLE = 0.05
"""Nats per token from which a slice's loss is worth a warning."""
_SURE = 0.5
"""Share of resamples below which a unit's place is called unsure."""
_LARGEST = 30.0

UnitSet = tuple[UnitRef, ...]


def plan_from_ranking(
    ranking: Ranking,
    *,
    amount: str | None = None,
    rule: Rule | None = None,
    weights: Mapping[Voter, float] | None = None,
    voters: Collection[Voter] | None = None,
    step_by_step: bool = True,
    op: RemovalOp = "prune",
    protect: Collection[int] = (),
    context_tokens: int = DEFAULT_CONTEXT_TOKENS,
    name: str = "",
    profile: Profile | None = None,
) -> Plan:
    """The plan that leaves out what the measures vote out, as much of it as the amount allows.

    Step by step, the units go that the ranking took out one after the other, all measured again in between. That holds for
    another rule, weights or measures only as far as they would have taken the same units. Where the ranking holds fewer than the
    amount allows, the lowest of its first step go, and a note says so.

    Args:
        ranking: what was voted.
        amount: how much to take out, such as 20%, 20%params, 6 layers; None: all that was taken step by step, else what the
            ranking was asked for, else 20%.
        rule, weights, voters: of the consensus; None: those of the ranking's settings.
        step_by_step: False: lowest first of the first step, whatever was taken.
        op: prune (gone from the saved model) or skip (left out while running).
        protect: layers that must stay, besides those that the ranking protected.
        context_tokens: sequence length behind the projected figures.
        name: the plan's name.
        profile: the same model's, to be named in the plan.

    Raises:
        PlanError: the request cannot be understood, the profile is another model's, or nothing can be removed.
    """
    choice = _choose(_Request(ranking, amount, rule, weights, voters, step_by_step, frozenset(protect), op, context_tokens), profile)
    request, chosen = choice.request, choice.chosen
    kind = Prune if op == "prune" else Skip
    operations: tuple[Operation, ...] = (kind(unit=ranking.settings.unit, blocks=tuple(block for _, block in chosen), stack=ranking.stack),)
    return Plan(
        name=name,
        model=model_ref(ranking),
        workload=workload_ref(ranking.workload),
        operations=operations,
        projection=_projected(ranking, operations, chosen, context_tokens),
        provenance=Provenance(
            profile_id=profile.id if profile else None,
            criterion=CONSENSUS,
            amount=choice.amount,
            protected=tuple(sorted(request.protected)),
            reasons=tuple(_reason(choice, ref) for ref in chosen),
            consensus=choice.contract,
            notes=tuple(_notes(choice)),
            versions=ranking.versions,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
    )


@dataclass(frozen=True)
class _Request:
    """What was asked for, and what follows from it at once."""

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

    def free(self, order: UnitSet) -> UnitSet:
        """What of an order may be taken; the last unit of the model stays."""
        may_go = tuple(ref for ref in order if ref[1] not in self.protected)
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
            now = step.chosen if self.as_ranked else tuple(ref for ref in self.at(step).order if ref[1] not in self.protected)
            if set(now[: len(step.chosen)]) != set(step.chosen) or any(block in self.protected for _, block in step.chosen):
                break
            found += step.chosen
        return tuple(found)


@dataclass(frozen=True)
class _Choice:
    """What is taken, how it was found, and what the measures say of it."""

    request: _Request
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


def lost_alone(ranking: Ranking, ref: UnitRef) -> LostWith | None:
    """What is lost with one unit alone; None: not measured."""
    return next((lost for lost in ranking.lost if lost.removed == (ref,)), None)


def worst_slice_of(lost: LostWith | None) -> str | None:
    """The slice whose loss rises most, per token; None: no slice has a figure."""
    known = {name: part.change.value for name, part in lost.slices.items() if part.change.value is not None} if lost else {}
    return max(known, key=known.__getitem__) if known else None


def _choose(request: _Request, profile: Profile | None) -> _Choice:
    _check(request, profile)
    ranking, limit = request.ranking, _limit(request)
    stepped = _within(limit, request.taken)
    lowest = _within(limit, request.free(request.voted.order))
    stepwise = bool(stepped) and (_uses_up(limit, stepped) or len(stepped) >= len(lowest))
    order = stepped if stepwise else lowest
    if not order:
        raise _nothing_to_take(request, limit)
    shares = membership(
        ranking, len(order), rule=request.the_rule, weights=request.the_weights, voters=request.voters, protect=request.protected
    )
    votes = asked_votes(request.first.votes, request.voters)
    return _Choice(
        request=request,
        limit=limit,
        chosen=ordered(order),
        order=order,
        stepwise=stepwise,
        agreed=agreement(votes, request.first.candidates),
        odds=dict(zip(request.first.candidates, shares, strict=True)),
    )


def _check(request: _Request, profile: Profile | None) -> None:
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


def _limit(request: _Request) -> Limit:
    ranking = request.ranking
    amount = request.amount or (f"{len(request.taken)} layers" if request.as_taken else ranking.settings.amount or _AMOUNT)
    return limit_of(ranking.model, amount, units=(ranking.settings.unit,), stack=ranking.stack, context_tokens=request.context_tokens)


def _within(limit: Limit, order: UnitSet) -> UnitSet:
    """The longest beginning of an order that the limit allows."""
    n = 0
    while n < len(order) and limit.allows(order[: n + 1]):
        n += 1
    return order[:n]


def _uses_up(limit: Limit, chosen: UnitSet) -> bool:
    """Whether one more unit of average size would exceed the limit."""
    return limit.used(chosen) * (len(chosen) + 1) > limit.most * (1 + 1e-9) * len(chosen)


def _nothing_to_take(request: _Request, limit: Limit) -> PlanError:
    if not request.free(request.voted.order):
        return PlanError("Nothing can be removed: every layer that could go is protected, or no measure says anything about it.")
    return PlanError(
        '"{amount}" is less than the first removal takes. Ask for more, or for a number of layers such as 1 layer.', amount=limit.asked.text
    )


def _projected(ranking: Ranking, operations: tuple[Operation, ...], chosen: UnitSet, context_tokens: int) -> Projection:
    plain = project(ranking.model, operations, context_tokens, ranking.stack)
    more = enriched(plain, ranking.model, operations, stack=ranking.stack)
    return more.model_copy(update={"quality": _quality(ranking, chosen)})


def _quality(ranking: Ranking, chosen: UnitSet) -> ProjectedQuality | None:
    """The change in loss of exactly this set, where the ranking ran it; None: it did not, and nothing is guessed."""
    if ranking.objective != "loss":
        return None
    for change, interval, removed in _measured(ranking):
        if removed == chosen:
            low, high = interval or (change, change)
            return ProjectedQuality(
                loss_change=change,
                interval=(low, high),
                perplexity_ratio=_ratio(change),
                perplexity_ratio_interval=(_ratio(low), _ratio(high)),
                measured=True,
            )
    return None


def _measured(ranking: Ranking) -> Iterator[tuple[float, tuple[float, float] | None, UnitSet]]:
    """Every set that the ranking ran, with its change in loss."""
    for step in ranking.steps:
        if step.change is not None:
            yield step.change, step.interval, ordered((*step.removed, *step.chosen))
    for lost in (*ranking.lost_together, *ranking.lost):
        told = lost.change
        if told.value is not None:
            yield told.value, None if told.low is None or told.high is None else (told.low, told.high), lost.removed


def _ratio(change: float) -> float:
    return math.exp(min(change, _LARGEST))


def _reason(choice: _Choice, ref: UnitRef) -> UnitReason:
    """Why one unit goes: its place by the consensus of the first step, and what is lost when it alone is left out."""
    ranking = choice.request.ranking
    lost = lost_alone(ranking, ref)
    worst = worst_slice_of(lost)
    change = lost.change if lost else None
    return UnitReason(
        block=ref[1],
        unit=ref[0],
        score=change.value if change else None,
        interval=None if change is None or change.low is None or change.high is None else (change.low, change.high),
        rank=choice.request.voted.place(ref),
        worst_slice=worst,
        worst_slice_score=lost.slices[worst].change.value if lost and worst else None,
        warning=_slice_warning(ref, lost, worst) or _unsure_warning(choice, ref),
    )


def _slice_warning(ref: UnitRef, lost: LostWith | None, worst: str | None) -> Message | None:
    """A slice that loses notably, and at least twice as much as the whole."""
    if lost is None or worst is None:
        return None
    on_slice, overall = lost.slices[worst].change.value, lost.change.value
    if on_slice is None or overall is None or on_slice < _NOTABLE or on_slice < 2 * overall:
        return None
    return Message(
        id="Layer {block}: {score} on the whole, but {slice_score} on the slice {slice}. Look at that slice first when you verify.",
        values={"block": ref[1], "score": f"{overall:.3f}", "slice": worst, "slice_score": f"{on_slice:.3f}"},
    )


def _unsure_warning(choice: _Choice, ref: UnitRef) -> Message | None:
    share = choice.odds[ref]
    if share is None or share >= _SURE:
        return None
    return Message(
        id="Layer {block}: with other prompts of this kind it might not go. In {p}% of the resamples it is among the {k} most replaceable.",
        values={"block": ref[1], "p": round(100 * share), "k": len(choice.chosen)},
    )


def _notes(choice: _Choice) -> Iterator[Message]:
    request, ranking, voted = choice.request, choice.request.ranking, choice.request.voted
    yield _how_found(choice)
    yield from _why_not_stepwise(choice)
    yield Message(
        id="Voted for by {n} measures, put together by: {rule}.",
        values={"n": len(voted.voters), "rule": Message(id=RULE_WORDS[voted.rule].title)},
    )
    if voted.abstained:
        names = tuple(Message(id=VOTER_WORDS[voter].title) for voter in voted.abstained)
        yield Message(id="These measures could not vote: {names}.", values={"names": names})
    if voted.unranked:
        blocks = tuple(block for _, block in voted.unranked)
        yield Message(id="Layers about which no measure says anything were left in: {blocks}.", values={"blocks": blocks})
    yield from _about_quality(choice)
    if len(choice.chosen) == len(request.free(voted.order)) and not _uses_up(choice.limit, choice.chosen):
        yield Message(
            id='"{amount}" was asked for, but only {n} could be taken: the others are protected, have no score, or must stay.',
            values={"amount": choice.amount, "n": len(choice.chosen)},
        )
    if ranking.settings.held_out:
        yield Message(id="Nothing was chosen by these slices: {slices}.", values={"slices": ranking.settings.held_out})
    if not ranking.replicate_ranks:
        yield Message(id="The prompts were not drawn again, so nothing tells how sure the choice is.")
    if ranking.workload.is_sample or ranking.model.source.kind == "sample":
        yield Message(id="This plan was made from the sample's figures: profile your own model on your own prompts before deciding.")


def _how_found(choice: _Choice) -> Message:
    blocks = tuple(block for _, block in choice.order)
    if len(blocks) == 1:
        return Message(id="Taken as the most replaceable by the consensus: {blocks}.", values={"blocks": blocks})
    if choice.stepwise:
        return Message(
            id="Taken out one after the other, everything measured again in between; in this order: {blocks}.", values={"blocks": blocks}
        )
    return Message(
        id="Taken by one ranking, the most replaceable first: {blocks}. How they act together was not looked at.", values={"blocks": blocks}
    )


def _why_not_stepwise(choice: _Choice) -> Iterator[Message]:
    """Said where the ranking went step by step and the plan does not."""
    request = choice.request
    if choice.stepwise or not request.step_by_step or not request.ranking.taken:
        return
    usable = len(request.taken)
    if usable < len(request.ranking.taken):
        yield Message(
            id="The ranking took out {n} step by step, but with this rule, these measures or these protected layers it would have gone "
            "another way after {usable}. Rank again with them to measure it step by step.",
            values={"n": len(request.ranking.taken), "usable": usable},
        )
    else:
        yield Message(
            id='The ranking took out {n} step by step, and "{amount}" allows more. Rank again with that amount to measure it step by step.',
            values={"n": usable, "amount": choice.amount},
        )


def _about_quality(choice: _Choice) -> Iterator[Message]:
    ranking = choice.request.ranking
    if ranking.objective == "state_change":
        yield Message(id="This model writes no words: loss is how far its final states turn (1 - cosine), not perplexity.")
    elif _quality(ranking, choice.chosen) is not None:
        yield Message(
            id="The change in loss was measured on {n_tokens} calibration tokens; verification on other examples decides.",
            values={"n_tokens": ranking.n_tokens},
        )
    else:
        yield Message(id="This set was not run as a whole: what it does to quality is not known until it is verified.")
