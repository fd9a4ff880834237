"""In which order a criterion would take units out, and which unbroken run it would take."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from analysis.contracts import Interval, Message, Profile, StackInfo, Unit
from analysis.errors import PlanError
from analysis.planning.criteria import Criterion, criterion_named, span_distances, unit_interval, unit_scores
from analysis.planning.projection import half_of


@dataclass(frozen=True)
class RankedUnit:
    """One unit's place in the order. `rank` 1 goes first; `score` is None where the criterion measures nothing."""

    block: int
    rank: int
    score: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Order:
    """The order in which a criterion takes units out, and what it cannot rank (with the reason)."""

    unit: Unit
    criterion: Criterion
    units: tuple[RankedUnit, ...]
    excluded: tuple[tuple[int, Message], ...] = ()

    @property
    def order(self) -> tuple[int, ...]:
        """Blocks in the order of removal."""
        return tuple(unit.block for unit in self.units)

    def of(self, block: int) -> RankedUnit | None:
        """The place of one block, None when it was not ranked."""
        return next((unit for unit in self.units if unit.block == block), None)


@dataclass(frozen=True)
class Span:
    """An unbroken run of `n` blocks from `start`, and how far what leaves it is from what enters it."""

    start: int
    n: int
    distance: float

    @property
    def blocks(self) -> tuple[int, ...]:
        """The blocks of the run, ascending."""
        return tuple(range(self.start, self.start + self.n))


def rank_units(profile: Profile, unit: Unit, criterion: str) -> Order:
    """The order in which the criterion takes the model's layers, attentions or MLPs out: lowest score first.

    Undefined scores are left out and said. `last_layers` goes backwards from the last layer but one.

    Raises:
        PlanError: the criterion is unknown, cannot rank the unit, or was not measured in this profile.
    """
    chosen = criterion_named(criterion, unit)
    stack = profile.model.stack(profile.stack)
    scores = unit_scores(profile.overall, unit, chosen)
    if scores is None:
        raise PlanError(
            'This profile holds no values for the criterion "{name}". Choose another criterion or profile the model again.', name=criterion
        )
    excluded = dict(_without_unit(stack, unit))
    if chosen.name == "last_layers":
        last = stack.n_blocks - 1
        excluded.setdefault(last, Message(id="The last layer is kept: this baseline removes the layers before it."))
        order = [block for block in reversed(range(last)) if block not in excluded]
    else:
        for block, score in enumerate(scores):
            if score is None:
                excluded.setdefault(block, Message(id="Layer {block} has no score by this measure.", values={"block": block}))
        order = sorted((block for block in range(len(scores)) if block not in excluded), key=lambda block: (scores[block], block))
    units = tuple(
        RankedUnit(block, rank, scores[block], unit_interval(profile.overall.intervals, unit, chosen, block))
        for rank, block in enumerate(order, start=1)
    )
    return Order(unit, chosen, units, tuple(sorted(excluded.items())))


def best_span(profile: Profile, criterion: str, n: int, protect: Collection[int] = ()) -> Span | None:
    """The run of n layers that turns the tokens least and touches no protected layer; None: there is none.

    Source: l* = argmin over starts of d(l, n), Gromov et al. (arXiv 2403.17887).
    """
    spans = spans_of(profile, criterion, n, protect)
    return min(spans, key=lambda span: (span.distance, span.start), default=None)


def spans_of(profile: Profile, criterion: str, n: int, protect: Collection[int] = ()) -> tuple[Span, ...]:
    """All runs of n layers with a defined distance that touch no protected layer, by start."""
    chosen = criterion_named(criterion, "block")
    distances = span_distances(profile.overall, chosen) if chosen.contiguous else None
    if distances is None:
        raise PlanError(
            'This profile holds no values for the criterion "{name}". Choose another criterion or profile the model again.', name=criterion
        )
    kept = set(protect)
    found = []
    for start in range(profile.n_blocks - n + 1):
        distance = distances[start][start + n]
        if distance is not None and kept.isdisjoint(range(start, start + n)):
            found.append(Span(start, n, distance))
    return tuple(found)


def units_in(stack: StackInfo, unit: Unit) -> tuple[int, ...]:
    """Blocks of the stack that have the unit."""
    return tuple(block.index for block in stack.blocks if half_of(block, unit) is not None)


def _without_unit(stack: StackInfo, unit: Unit) -> tuple[tuple[int, Message], ...]:
    have = set(units_in(stack, unit))
    say = {
        "block": "Layer {block} is not in this model.",
        "attention": "Layer {block} has no attention of its own that could be removed.",
        "mlp": "Layer {block} has no MLP of its own that could be removed.",
    }[unit]
    return tuple((block.index, Message(id=say, values={"block": block.index})) for block in stack.blocks if block.index not in have)
