"""One step of a ranking: every candidate looked at once, all voters asked, and what their consensus takes out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.contracts import FeatureInfo, MeasuredSet, Message, RankingCost, RankingSettings, RankingStep, UnitRef, UnitSet
from analysis.planning.consensus import consensus
from analysis.search.counterfactual import Counterfactual, Subject, look, look_at_sets
from analysis.search.losses import UNTOUCHED, Tally
from analysis.search.positions import Positions, affordable, draw_positions
from analysis.search.ranking_settings import members_of
from analysis.search.ranking_votes import Round, Said, replicate_ranks, vote_of
from analysis.search.steering import Steering, with_unit
from analysis.search.token_losses import TokenLosses

Floats = npt.NDArray[np.float64]
_CHOSEN = Message(id="What was chosen is measured together")


@dataclass(frozen=True, eq=False)
class Asked:
    """What a step is to do.

    Attributes:
        subject: model and examples, and who is told of progress.
        base: out already.
        candidates: every unit that is still in.
        settings: resolved.
        steering: how much may go; None: nothing is taken out.
        untouched: the untouched model's token losses; None at the first step, which measures them.
        draws: [R, E] how often each prompt is drawn in each resample; no rows after the first step.
        stage: what is said while the walk runs.
        between: told when the walk is over and the voters' arithmetic begins.
    """

    subject: Subject
    base: UnitSet
    candidates: tuple[UnitRef, ...]
    settings: RankingSettings
    steering: Steering | None
    untouched: TokenLosses | None
    draws: Floats
    stage: Message
    between: Callable[[], None] = lambda: None


@dataclass(frozen=True, eq=False)
class Taken:
    """A step, and what is only needed while a ranking runs.

    Attributes:
        losses: of the base and with each candidate out as well.
        together: of the untouched model and with everything out after this step; None: it took nothing.
        replicate_ranks: of all voters, [R][V][M].
    """

    step: RankingStep
    losses: TokenLosses
    together: TokenLosses | None
    features: FeatureInfo | None
    replicate_ranks: tuple[tuple[tuple[int, ...], ...], ...]
    notes: tuple[Message, ...]


@dataclass(frozen=True, eq=False)
class _Choice:
    """Units that go, what it costs with all of them out, and why no more go."""

    chosen: tuple[UnitRef, ...] = ()
    measured: MeasuredSet | None = None
    losses: Floats | None = None
    tally: Tally = field(default_factory=Tally)
    notes: tuple[Message, ...] = ()


def take_step(asked: Asked) -> Taken:
    """Walks once, asks every voter, and takes what the consensus puts first and the limits allow.

    Raises:
        PlanError: every voter abstained.
        ModelError, ResourceError, Cancelled: see `look`.
    """
    started = time.perf_counter()
    positions, notes = _positions(asked)
    seen = look(asked.subject, asked.base, asked.candidates, asked.stage, positions=positions, untouched=asked.untouched)
    asked.between()
    metrics_from = time.perf_counter()
    said, features = Round(asked.subject, seen, asked.settings, asked.draws, asked.subject.check).ask()
    ranks = replicate_ranks(list(said.values())) if len(asked.draws) else ()
    votes = tuple(vote_of(voter, one) for voter, one in said.items())
    agreed = consensus(votes, asked.candidates, rule=asked.settings.rule, weights=asked.settings.weights)
    metric_seconds = time.perf_counter() - metrics_from
    choice = _choose(asked, seen, agreed.order)
    step = RankingStep(
        removed=asked.base,
        candidates=asked.candidates,
        votes=votes,
        scores=agreed.scores,
        chosen=choice.chosen,
        loss=None if choice.measured is None else choice.measured.loss,
        change=None if choice.measured is None else choice.measured.change,
        interval=None if choice.measured is None else choice.measured.interval,
        cost=_cost(asked, (seen.tally, choice.tally), list(said.values()), metric_seconds),
        seconds=round(time.perf_counter() - started, 3),
    )
    return Taken(step, seen.losses, _together(asked, seen, choice), features, ranks, (*notes, *seen.notes, *choice.notes))


def _positions(asked: Asked) -> tuple[Positions | None, tuple[Message, ...]]:
    if not members_of(asked.settings.voters):
        return None, ()
    assert asked.settings.feature_tokens is not None  # resolved
    measurer, info = asked.subject.measurer(), asked.subject.loaded.info
    n, note = affordable(asked.settings.feature_tokens, len(asked.candidates), info.hidden_size, asked.subject.loaded.device)
    return draw_positions(measurer.examples, n, asked.settings.seed), () if note is None else (note,)


def _choose(asked: Asked, seen: Counterfactual, order: Sequence[UnitRef]) -> _Choice:
    """The first of the order that may go; fewer of them, or none, where the perplexity would rise too far."""
    if asked.steering is None:
        return _Choice()
    sound = {ref for ref, losses in zip(seen.candidates, seen.losses.losses[1:], strict=True) if np.isfinite(losses).all()}
    path = _path(asked, [ref for ref in order if ref in sound and ref[1] not in asked.settings.protect], asked.steering)
    if not path:
        return _Choice()
    sets = [removed for _, removed in path]
    measured, rows, tally = {sets[0]: seen.measured[sets[0]]}, {sets[0]: seen.losses.of(sets[0])}, Tally()
    if len(sets) > 1:
        untouched = asked.untouched if asked.untouched is not None else seen.losses
        more = look_at_sets(asked.subject, sets[1:], _CHOSEN, untouched)
        measured |= more.measured
        rows |= {removed: more.losses.of(removed) for removed in sets[1:]}
        tally = more.tally
    usable = [bool(np.isfinite(rows[removed]).all()) for removed in sets]
    allowed = [sound and _within(measured[removed], asked.settings) for sound, removed in zip(usable, sets, strict=True)]
    n = next((number for number, one in enumerate(allowed) if not one), len(sets))
    notes = () if n == len(sets) else (_stopped(asked.settings, len(asked.base) + n, overflowed=not usable[n]),)
    if not n:
        return _Choice(tally=tally, notes=notes)
    last = sets[n - 1]
    return _Choice(tuple(ref for ref, _ in path[:n]), measured[last], rows[last], tally, notes)


def _path(asked: Asked, order: Sequence[UnitRef], steering: Steering) -> list[tuple[UnitRef, UnitSet]]:
    """Units one after the other, each with the set that it makes, as many as a step takes; what does not fit is passed over."""
    path: list[tuple[UnitRef, UnitSet]] = []
    for ref in order:
        grown = with_unit(path[-1][1] if path else asked.base, ref)
        if len(path) < asked.settings.per_step and steering.allows(grown):
            path.append((ref, grown))
    return path


def _within(measured: MeasuredSet, settings: RankingSettings) -> bool:
    return settings.most_perplexity is None or measured.change <= math.log(settings.most_perplexity) + 1e-12


def _stopped(settings: RankingSettings, n: int, *, overflowed: bool) -> Message:
    if overflowed:
        return Message(id="Stopped with {n} taken out: with the next one out as well the model gives no usable numbers.", values={"n": n})
    return Message(
        id="Stopped with {n} taken out: with the next one the perplexity would be more than {times} times the untouched model's.",
        values={"n": n, "times": settings.most_perplexity},
    )


def _together(asked: Asked, seen: Counterfactual, choice: _Choice) -> TokenLosses | None:
    if choice.measured is None or choice.losses is None:
        return None
    whole = asked.untouched if asked.untouched is not None else seen.losses
    rows = np.stack([whole.of(UNTOUCHED), choice.losses])
    return TokenLosses(
        (UNTOUCHED, choice.measured.removed), rows, whole.owners, whole.targets, whole.positions, whole.weights, whole.examples
    )


def _cost(asked: Asked, tallies: Sequence[Tally], said: Sequence[Said], metric_seconds: float) -> RankingCost:
    """What was run; gradient voters' passes are passes, the rest of the voters' time is arithmetic."""
    gradient_seconds = sum(one.seconds for one in said if one.passes)
    n_blocks = len(asked.subject.walk.stack.blocks)
    left = [n_blocks - sum(1.0 if unit == "block" else 0.5 for unit, _ in with_unit(asked.base, ref)) for ref in asked.candidates]
    return RankingCost(
        block_calls=round(sum(tally.block_calls for tally in tallies), 3),
        head_passes=round(sum(tally.head_passes for tally in tallies), 3),
        naive_block_calls=max(1, len(members_of(asked.settings.voters))) * sum(left),
        backward_passes=round(sum(one.passes for one in said), 3),
        pass_seconds=round(sum(tally.seconds for tally in tallies) + gradient_seconds, 3),
        metric_seconds=round(max(0.0, metric_seconds - gradient_seconds), 3),
    )
