"""Latency of any plan, from a few measured points of this very model on this very device.

The model: a run takes what lies outside the blocks, and of every block that runs its own part (norms, additions, the call
itself) and those of its attention and MLP. Blocks of equal shape and window share their three times, so a handful of points
with units left out settles them all: least squares with no time below zero, every point weighted by its own length.

Nothing is taken from a data sheet. What a framework takes to call a block is in the block's part, as it is left out with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from analysis.contracts import BlockInfo, ProjectedLatency, Quantity, StackInfo
from analysis.contracts.latency import LatencyModel, LatencyPoint, LatencyShape
from analysis.contracts.search import UnitRef, UnitSet, ordered
from analysis.errors import InputError, PlanError

Floats = npt.NDArray[np.float64]
Column = tuple[str, int]
"""("rest", 0), or a part ("block", "attention", "mlp") of a kind of block."""
HELD_OUT = 2
"""Random sets that are measured but not fitted, to know the error."""


# -- which points to measure -------------------------------------------------------------------------------------------


def kinds_of_blocks(stack: StackInfo) -> tuple[tuple[int, ...], ...]:
    """Blocks of equal shape and window, in order of their first."""
    groups: dict[BlockInfo, list[int]] = {}
    for block in stack.blocks:
        groups.setdefault(block.model_copy(update={"index": 0}), []).append(block.index)
    return tuple(tuple(group) for group in groups.values())


def points_to_fit(stack: StackInfo) -> tuple[UnitSet, ...]:
    """Sets whose times settle the fit: nothing; and of every kind of block, half the blocks, attentions and MLPs, and most blocks."""
    sets: list[UnitSet] = [()]
    for group in kinds_of_blocks(stack):
        half = group[::2] if len(group) > 1 or stack.n_blocks > 1 else ()
        most = tuple(block for place, block in enumerate(group) if place % 4) if len(group) > 3 else ()
        wanted = ("block", half), ("attention", group[1::2] or half), ("mlp", half), ("block", most)
        sets += [tuple((unit, block) for block in blocks if unit == "block" or _has(stack, unit, block)) for unit, blocks in wanted]  # type: ignore[misc]
    return tuple(dict.fromkeys(ordered(removed) for removed in sets))


def points_to_check(stack: StackInfo, *, seed: int = 0) -> tuple[UnitSet, ...]:
    """Random sets of all units, kept out of the fit: a fifth and two fifths of the blocks, touched in one way or another."""
    random, found = Random(seed), list[UnitSet]()
    for share in np.linspace(0.2, 0.4, HELD_OUT):
        blocks = random.sample(range(stack.n_blocks), min(max(1, round(share * stack.n_blocks)), stack.n_blocks - 1))
        units = [(random.choice([unit for unit in ("block", "attention", "mlp") if _has(stack, unit, block)]), block) for block in blocks]
        found.append(ordered(tuple(units)))  # type: ignore[arg-type]
    return tuple(found)


def _has(stack: StackInfo, unit: str, block: int) -> bool:
    return unit == "block" or getattr(stack.blocks[block], unit) is not None


# -- the fit -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fit:
    """The times that are told apart, and how often each counts in a run with units left out."""

    groups: tuple[tuple[int, ...], ...]
    columns: tuple[Column, ...]

    def row(self, removed: Iterable[UnitRef]) -> list[float]:
        gone = set(ordered(tuple(removed)))
        counts = {("rest", 0): 1.0}
        for number, group in enumerate(self.groups):
            for part in ("block", "attention", "mlp"):
                counts[part, number] = float(sum(("block", b) not in gone and (part, b) not in gone for b in group))
        return [counts[column] for column in self.columns]


def fit_latency(points: Sequence[LatencyPoint], stack: StackInfo, *, check: Sequence[LatencyPoint] = ()) -> LatencyShape:
    """The times of a model's parts that explain measured points best.

    Args:
        points: measured at one phase, batch size and length; the untouched model among them.
        stack: the blocks.
        check: further points of the same kind, not fitted: they tell the error.

    Returns:
        Milliseconds outside the blocks and of every block's parts. A half that no point left out alone is part of its block.

    Raises:
        InputError: no points, or points of several kinds.
    """
    kinds = {(point.phase, point.batch_size, point.context_tokens) for point in (*points, *check)}
    if len(kinds) != 1 or not points:
        raise InputError(
            "Latency was to be fitted to {n} measured points of {kinds} kinds. Give points of one phase, batch size and length.",
            n=len(points),
            kinds=len(kinds),
        )
    fit = _plan_fit(points, stack)
    measured = np.array([point.p50_ms for point in points])
    weights = 1.0 / np.maximum(measured, 1e-9)
    times = non_negative_least_squares(np.array([fit.row(p.removed) for p in points]) * weights[:, None], measured * weights)
    (phase, batch, context), found = kinds.pop(), dict(zip(fit.columns, times.tolist(), strict=True))
    shape = LatencyShape(
        phase=phase,
        batch_size=batch,
        context_tokens=context,
        rest_ms=found["rest", 0],
        block_ms=_spread(fit, found, "block", stack.n_blocks),
        attention_ms=_spread(fit, found, "attention", stack.n_blocks),
        mlp_ms=_spread(fit, found, "mlp", stack.n_blocks),
    )
    return shape.model_copy(update={"error_share": _error(shape, check)})


def _plan_fit(points: Sequence[LatencyPoint], stack: StackInfo) -> _Fit:
    """A half has a time of its own where some point left it out while its block ran."""
    groups = kinds_of_blocks(stack)
    alone = {ref for point in points for ref in point.removed}
    halves = [
        (part, number)
        for number, group in enumerate(groups)
        for part in ("attention", "mlp")
        if any((part, block) in alone for block in group)
    ]
    return _Fit(groups, (("rest", 0), *((("block", number)) for number in range(len(groups))), *halves))


def _spread(fit: _Fit, found: dict[Column, float], part: str, n_blocks: int) -> tuple[float, ...]:
    times = [0.0] * n_blocks
    for number, group in enumerate(fit.groups):
        for block in group:
            times[block] = found.get((part, number), 0.0)
    return tuple(times)


def _error(shape: LatencyShape, check: Sequence[LatencyPoint]) -> float | None:
    return max((abs(predict_ms(shape, p.removed) - p.p50_ms) / p.p50_ms for p in check if p.p50_ms > 0), default=None)


def non_negative_least_squares(a: Floats, b: Floats) -> Floats:
    """The x >= 0 for which |a x - b| is least.

    Args:
        a: [points, unknowns].
        b: [points].

    Source: Lawson and Hanson, "Solving Least Squares Problems", 1974, chapter 23.

    >>> non_negative_least_squares(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([2.0, 1.0])).round(3).tolist()
    [1.5, 0.0]
    """
    x, free = np.zeros(a.shape[1]), np.zeros(a.shape[1], dtype=bool)
    small = 1e-12 * max(float(np.abs(a.T @ b).max(initial=0.0)), 1.0)
    for _ in range(3 * a.shape[1]):
        slope = np.where(free, -np.inf, a.T @ (b - a @ x))
        if slope.max(initial=-np.inf) <= small:
            break
        free[int(slope.argmax())] = True
        while (tried := _solved(a, b, free))[free].min(initial=np.inf) <= 0.0:
            falling = free & (tried <= 0.0)
            step = float((x[falling] / np.maximum(x[falling] - tried[falling], 1e-300)).min())
            x = x + step * (tried - x)
            free &= x > small
            x[~free] = 0.0
        x = tried
    return x


def _solved(a: Floats, b: Floats, free: npt.NDArray[np.bool_]) -> Floats:
    solution = np.zeros(a.shape[1])
    if free.any():
        solution[free] = np.linalg.lstsq(a[:, free], b, rcond=None)[0]
    return solution


# -- projections -------------------------------------------------------------------------------------------------------


def predict_ms(shape: LatencyShape, removed: Iterable[UnitRef]) -> float:
    """Milliseconds of one prefill, or of one new token, with the units left out.

    Raises:
        PlanError: a unit's layer is not in the model.
    """
    n_blocks, gone = len(shape.block_ms), set(ordered(tuple(removed)))
    beyond = max((block for _, block in gone), default=-1)
    if beyond >= n_blocks:
        raise PlanError(
            "Layer {block} is not in this model: it has {n_blocks} layers (0 to {last}). Make the plan again for this model.",
            block=beyond,
            n_blocks=n_blocks,
            last=n_blocks - 1,
        )
    total = shape.rest_ms
    for block in range(n_blocks):
        if ("block", block) not in gone:
            total += shape.block_ms[block]
            total += shape.attention_ms[block] * (("attention", block) not in gone) + shape.mlp_ms[block] * (("mlp", block) not in gone)
    return total


def project_latency(model: LatencyModel, removed: Iterable[UnitRef]) -> tuple[ProjectedLatency, ...]:
    """Latency before and after leaving units out, at every phase, batch size and length that was measured."""
    gone = tuple(removed)
    return tuple(
        ProjectedLatency(
            phase=shape.phase,
            batch_size=shape.batch_size,
            context_tokens=shape.context_tokens,
            ms=Quantity(before=predict_ms(shape, ()), after=predict_ms(shape, gone)),
            device_name=model.device_name,
        )
        for shape in model.shapes
    )
