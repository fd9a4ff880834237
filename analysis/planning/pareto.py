"""Saving against measured loss: every set that a search measured, and those that no other beats in both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from analysis.contracts import Interval, LatencyModel, ModelInfo, Search, Strategy, Unit, UnitRef
from analysis.planning.projection import DEFAULT_CONTEXT_TOKENS
from analysis.planning.spending import Cost, savings_of


@dataclass(frozen=True)
class ParetoPoint:
    """One set of units: what leaving it out saves and what it does to the loss.

    Attributes:
        removed: the units, as `contracts.search.ordered` writes them.
        saved_share: share of the chosen cost that is saved, 0 to 1.
        change: loss change on the calibration half, nats per token.
        interval: of `change`: 95 % where it was measured, 90 % where it was predicted.
        measured: whether the set was run.
        found_by: strategies whose answer for some amount it is.
        on_front: no other measured set saves as much for less change.
    """

    removed: tuple[UnitRef, ...]
    saved_share: float
    change: float
    interval: Interval | None
    measured: bool = True
    found_by: tuple[Strategy, ...] = ()
    on_front: bool = False


def pareto_front(
    search: Search,
    info: ModelInfo,
    *,
    cost: Cost = "flops",
    context_tokens: int = DEFAULT_CONTEXT_TOKENS,
    units: Iterable[Unit] | None = None,
    latency: LatencyModel | None = None,
) -> tuple[ParetoPoint, ...]:
    """All measured sets by saving, least first; `on_front` marks those that no other beats.

    Args:
        search: what was measured.
        info: the model, for what a set saves.
        cost: what is saved: FLOPs of a prompt token, parameters, weight bytes, layers, or latency.
        context_tokens: sequence length behind FLOPs and latency.
        units: only sets of these kinds; None: all.
        latency: needed for ``cost="latency"``.

    Raises:
        PlanError: latency is asked for and was not measured.
    """
    savings = savings_of(info, cost=cost, stack=search.stack, context_tokens=context_tokens, latency=latency)
    allowed = None if units is None else set(units)
    points = [
        ParetoPoint(found.removed, savings.share(found.removed), found.change, found.interval, found_by=found.found_by)
        for found in search.measured().values()
        if found.removed and (allowed is None or all(unit in allowed for unit, _ in found.removed))
    ]
    return tuple(_marked(points))


def front_only(points: Iterable[ParetoPoint]) -> tuple[ParetoPoint, ...]:
    """The points of the front, least saving first."""
    return tuple(point for point in points if point.on_front)


def _marked(points: list[ParetoPoint]) -> list[ParetoPoint]:
    """From the largest saving down, a point is on the front while it costs less than everything that saves more."""
    least = float("inf")
    marked = []
    for point in sorted(points, key=lambda point: (-round(point.saved_share, 12), point.change, len(point.removed), point.removed)):
        marked.append(replace(point, on_front=point.change < least))
        least = min(least, point.change)
    return marked[::-1]
