"""Why a unit is in a plan, and what speaks against it.

A unit is called harmless only if the default tokens and the sink tokens (the first of a prompt) both say so: on real
models a layer can hardly change any token and yet build the sink that every later layer leans on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from analysis.contracts import AUTOMATIC_SLICES, Message, Profile, Scores, Unit, UnitReason
from analysis.planning.criteria import CRITERIA, Criterion, span_distances, unit_scores
from analysis.planning.rank import Order

SINK = "sink"


def reasons_for(profile: Profile, ranking: Order, blocks: tuple[int, ...]) -> tuple[UnitReason, ...]:
    """Score, interval, rank, sink score and worst slice of each block, with a warning where they contradict each other."""
    return tuple(_reason(profile, ranking, block) for block in blocks)


def says_harmless(score: float | None, sink_score: float | None, notable: float) -> bool:
    """Whether both the default tokens and the sink tokens change by less than `notable`; unknown is never harmless.

    >>> says_harmless(0.039, 0.823, 0.05), says_harmless(0.03, 0.01, 0.05), says_harmless(0.03, None, 0.05)
    (False, True, False)
    """
    return score is not None and sink_score is not None and score < notable and sink_score < notable


def worst_slice(profile: Profile, unit: Unit, criterion: Criterion, block: int) -> tuple[str, float] | None:
    """The workload slice that the unit changes most, and by how much; None where no slice has a score."""
    scored = ((name, _score(scores, unit, criterion, block)) for name, scores in own_slices(profile).items())
    known = [(name, score) for name, score in scored if score is not None]
    return max(known, key=lambda pair: pair[1], default=None)


def own_slices(profile: Profile) -> Mapping[str, Scores]:
    """The workload's own slices, without the automatic ones by kind of token."""
    return {name: scores for name, scores in profile.slices.items() if name not in AUTOMATIC_SLICES}


def span_notes(profile: Profile, ranking: Order, blocks: tuple[int, ...]) -> Iterator[Message]:
    """For a contiguous criterion: how far the run as a whole turns the tokens, and the sink tokens."""
    criterion = ranking.criterion
    if not criterion.contiguous:
        return
    start, end = blocks[0], blocks[-1] + 1
    distances = span_distances(profile.overall, criterion)
    whole = distances[start][end] if distances else None
    if len(blocks) == 1:
        return
    yield Message(
        id="Layers {first} to {last} together turn the tokens by {distance} (angular distance): the least of all allowed runs of {n}.",
        values={"first": start, "last": end - 1, "n": len(blocks), "distance": _text(whole)},
    )
    sink = span_distances(profile.slices[SINK], criterion) if SINK in profile.slices else None
    on_sink = sink[start][end] if sink else None
    if on_sink is not None and _contradicts(whole, on_sink, criterion):
        yield Message(
            id="Together these layers turn the first tokens of a prompt by {sink}: removing them may do more harm than {distance} shows.",
            values={"sink": _text(on_sink), "distance": _text(whole)},
        )


def _reason(profile: Profile, ranking: Order, block: int) -> UnitReason:
    ranked = ranking.of(block)
    scores = unit_scores(profile.overall, ranking.unit, ranking.criterion)
    score = ranked.score if ranked else (scores[block] if scores else None)
    sink = _score(profile.slices[SINK], ranking.unit, ranking.criterion, block) if SINK in profile.slices else None
    worst = worst_slice(profile, ranking.unit, ranking.criterion, block)
    return UnitReason(
        block=block,
        unit=ranking.unit,
        score=score,
        interval=ranked.interval if ranked else None,
        rank=ranked.rank if ranked else None,
        sink_score=sink,
        worst_slice=worst[0] if worst else None,
        worst_slice_score=worst[1] if worst else None,
        warning=_warning(block, score, sink, worst, ranking.criterion) or _warning_by_influence(profile, ranking, block, sink),
    )


def _warning(block: int, score: float | None, sink: float | None, worst: tuple[str, float] | None, criterion: Criterion) -> Message | None:
    if sink is not None and _contradicts(score, sink, criterion):
        return Message(
            id="Layer {block}: {score} on ordinary tokens, but {sink} on the first tokens of prompts. "
            "Removing it may do more harm than it seems.",
            values={"block": block, "score": _text(score), "sink": _text(sink)},
        )
    if worst and _contradicts(score, worst[1], criterion):
        return Message(
            id="Layer {block}: {score} on the whole, but {slice_score} on the slice {slice}. Look at that slice first when you verify.",
            values={"block": block, "score": _text(score), "slice": worst[0], "slice_score": _text(worst[1])},
        )
    return None


def _warning_by_influence(profile: Profile, ranking: Order, block: int, sink: float | None) -> Message | None:
    """Where the measure itself is not defined on sink tokens (CKA is never pooled over them), their Block Influence speaks."""
    if sink is not None or SINK not in profile.slices:
        return None
    by_influence = CRITERIA["block_influence"]
    ordinary, on_sink = (_score(scores, ranking.unit, by_influence, block) for scores in (profile.overall, profile.slices[SINK]))
    if on_sink is None or not _contradicts(ordinary, on_sink, by_influence):
        return None
    return Message(
        id="Layer {block}: this measure is not defined on the first tokens of prompts, and there the Block Influence is {sink}. "
        "Removing it may do more harm than it seems.",
        values={"block": block, "sink": _text(on_sink)},
    )


def _contradicts(score: float | None, other: float, criterion: Criterion) -> bool:
    """A change that is notable in itself and at least twice what the score says."""
    return other >= criterion.notable and other >= 2 * (score or 0.0)


def _score(scores: Scores, unit: Unit, criterion: Criterion, block: int) -> float | None:
    series = unit_scores(scores, unit, criterion)
    return series[block] if series else None


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
