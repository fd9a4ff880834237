"""What a plan made from a ranking says of itself: why each unit goes, what speaks against it, how it was found."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.contracts import LostWith, Message, UnitReason, UnitRef
from analysis.planning.ranking_choice import Choice, uses_up
from analysis.planning.ranking_losses import lost_alone, measured_quality, worst_slice_of
from analysis.planning.voters import RULE_WORDS, VOTER_WORDS

_NOTABLE = 0.05
"""Nats per token from which a slice's loss is worth a warning."""
_SURE = 0.5
"""Share of resamples below which a unit's place is called unsure."""


def reason_of(choice: Choice, ref: UnitRef) -> UnitReason:
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


def _unsure_warning(choice: Choice, ref: UnitRef) -> Message | None:
    share = choice.odds[ref]
    if share is None or share >= _SURE:
        return None
    return Message(
        id="Layer {block}: with other prompts of this kind it might not go. In {p}% of the resamples it is among the {k} most replaceable.",
        values={"block": ref[1], "p": round(100 * share), "k": len(choice.chosen)},
    )


def notes_of(choice: Choice) -> Iterator[Message]:
    """What a reader should know of the choice: how it was found, what was left in and why, what was measured."""
    request, ranking, voted = choice.request, choice.request.ranking, choice.request.voted
    if choice.stepwise and request.held_back and not uses_up(choice.limit, choice.chosen):
        yield Message(
            id="The ranking stopped after {n}: one more would have raised perplexity beyond {times} times the untouched model's.",
            values={"n": len(choice.chosen), "times": ranking.settings.most_perplexity},
        )
    yield _how_found(choice)
    yield from _why_not_stepwise(choice)
    yield Message(
        id="Voted for by {n} measures, put together by: {rule}.",
        values={"n": len(voted.voters), "rule": Message(id=RULE_WORDS[voted.rule].title)},
    )
    if not voted.proved:
        yield Message(
            id="So many layers beat each other in a circle that their best order is not proved; it was improved until no move helped."
        )
    if voted.abstained:
        names = tuple(Message(id=VOTER_WORDS[voter].title) for voter in voted.abstained)
        yield Message(id="These measures could not vote: {names}.", values={"names": names})
    if voted.unranked:
        blocks = tuple(block for _, block in voted.unranked)
        yield Message(
            id="Layers about which fewer than half of the measures say anything were left in: {blocks}.", values={"blocks": blocks}
        )
    if request.broken:
        blocks = tuple(sorted(block for _, block in request.broken))
        yield Message(id="Layers without which the model gives no usable numbers were left in: {blocks}.", values={"blocks": blocks})
    yield from _about_quality(choice)
    if len(choice.chosen) == len(request.free(voted.order)) and not uses_up(choice.limit, choice.chosen):
        yield Message(
            id='"{amount}" was asked for, but only {n} could be taken: the others are protected, have no score, or must stay.',
            values={"amount": choice.amount, "n": len(choice.chosen)},
        )
    if not ranking.complete:
        yield Message(id="The ranking was stopped on the way; it can go on from there.")
    if ranking.settings.held_out:
        yield Message(id="Nothing was chosen by these slices: {slices}.", values={"slices": ranking.settings.held_out})
    if not ranking.replicate_ranks:
        yield Message(id="The prompts were not drawn again, so nothing tells how sure the choice is.")
    if ranking.workload.is_sample or ranking.model.source.kind == "sample":
        yield Message(id="This plan was made from the sample's figures: profile your own model on your own prompts before deciding.")


def _how_found(choice: Choice) -> Message:
    blocks = tuple(block for _, block in choice.order)
    if len(blocks) == 1:
        return Message(id="Taken as the most replaceable by the consensus: {blocks}.", values={"blocks": blocks})
    at_once = choice.request.ranking.settings.per_step
    if choice.stepwise and at_once > 1:
        return Message(
            id="Taken out {n} at a time, everything measured again in between; in this order: {blocks}.",
            values={"n": at_once, "blocks": blocks},
        )
    if choice.stepwise:
        return Message(
            id="Taken out one after the other, everything measured again in between; in this order: {blocks}.", values={"blocks": blocks}
        )
    return Message(
        id="Taken by one ranking, the most replaceable first: {blocks}. How they act together was not looked at.", values={"blocks": blocks}
    )


def _why_not_stepwise(choice: Choice) -> Iterator[Message]:
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


def _about_quality(choice: Choice) -> Iterator[Message]:
    ranking = choice.request.ranking
    if ranking.objective == "state_change":
        yield Message(id="This model writes no words: loss is how far its final states turn (1 - cosine), not perplexity.")
    elif measured_quality(ranking, choice.chosen) is not None:
        yield Message(
            id="The change in loss was measured on {n_tokens} calibration tokens; verification on other examples decides.",
            values={"n_tokens": ranking.n_tokens},
        )
    else:
        yield Message(id="This set was not run as a whole: what it does to quality is not known until it is verified.")
