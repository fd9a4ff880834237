"""How long a training step takes at any boundary, from steps measured at a few, on one device.

With e the last frozen layer and n = L - e - 1 blocks that train:

    step_ms(e)         = fixed + frozen (e + 1) + trained n
    step_ms(e, cached) = fixed + cached + trained n
    peak_bytes(e)      = fixed_bytes + trained_block_bytes n

Least squares on shares (every point weighted by its own length), nothing but the cache's own time below zero. Steps without the
cache alone cannot tell a frozen block's time from the fixed one, as e + 1 and n add up to L: two cached points settle it. Where
they are missing, a frozen block is taken to cost a third of a trained one (forward alone, of forward and twice that backward).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from analysis.contracts import StepModel, StepPoint, TrainingShape
from analysis.errors import InputError
from analysis.planning.latency import non_negative_least_squares
from analysis.planning.training_flops import check_boundary

LEANING = 1e-3
"""Weight of what is taken for granted where the points leave it open, beside 1 for a measured point."""


def fit_steps(
    points: Sequence[StepPoint],
    *,
    model_commit: str,
    stack: str,
    device: str,
    device_name: str,
    shape: TrainingShape,
    n_blocks: int,
    check: Sequence[StepPoint] = (),
    power_watts: float | None = None,
    measured_at: str = "",
) -> StepModel:
    """The times that explain measured steps best.

    Args:
        points: at two boundaries at least; with cached ones among them the frozen blocks' time is told apart.
        model_commit, stack, device, device_name, shape, n_blocks: what was measured where.
        check: further points, not fitted: they tell the error.
        power_watts: mean draw over the measured steps.
        measured_at: ISO time; empty: now.

    Raises:
        InputError: fewer than two boundaries were measured.
        PlanError: a boundary is not one of this model.
    """
    for point in (*points, *check):
        check_boundary(point.eof_layer, n_blocks)
    if len({point.eof_layer for point in points}) < min(2, n_blocks):
        raise InputError(
            "Training steps were measured at {n} boundaries. A fit needs two at least: measure one with all layers training, and "
            "one with few.",
            n=len({point.eof_layer for point in points}),
        )
    fixed, frozen, trained, cached = _times(points, n_blocks)
    fixed_bytes, block_bytes = _bytes(points, n_blocks)
    model = StepModel(
        model_commit=model_commit,
        stack=stack,
        device=device,
        device_name=device_name,
        shape=shape,
        n_blocks=n_blocks,
        fixed_ms=fixed,
        frozen_block_ms=frozen,
        trained_block_ms=trained,
        cached_ms=cached,
        fixed_bytes=fixed_bytes,
        trained_block_bytes=block_bytes,
        power_watts=power_watts,
        points=(*points, *(point.model_copy(update={"in_fit": False}) for point in check)),
        measured_at=measured_at or datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return model.model_copy(update={"error_share": _error(model, check)})


def predict_step(model: StepModel, eof_layer: int, cached: bool = False) -> float:
    """Milliseconds of a step.

    Raises:
        PlanError: the boundary is not one of this model.
    """
    check_boundary(eof_layer, model.n_blocks)
    trained = model.trained_block_ms * (model.n_blocks - 1 - eof_layer)
    below = model.cached_ms if cached else model.frozen_block_ms * (eof_layer + 1)
    return max(model.fixed_ms + below + trained, 0.0)


def predict_peak(model: StepModel, eof_layer: int, cached: bool = False) -> float | None:
    """Peak memory of a step in bytes; None: the device does not tell. The cache itself, where it lies in memory, is not in it.

    A cached step holds as much as one that computes the prefix: the frozen weights stay, and only its last output is kept.
    """
    check_boundary(eof_layer, model.n_blocks)
    if model.fixed_bytes is None or model.trained_block_bytes is None:
        return None
    return max(model.fixed_bytes + model.trained_block_bytes * (model.n_blocks - 1 - eof_layer), 0.0)


def _times(points: Sequence[StepPoint], n_blocks: int) -> tuple[float, float, float, float]:
    """fixed, frozen, trained, cached; the last may be below zero, so it stands as the difference of two."""
    rows = np.array([_row(point, n_blocks) for point in points])
    measured = np.array([point.p50_ms for point in points])
    weights = 1.0 / np.maximum(measured, 1e-9)
    typical = float(np.median(weights))
    leaning = LEANING * typical * np.array([[0.0, 3.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 1.0]])
    found = non_negative_least_squares(
        np.concatenate((rows * weights[:, None], leaning)), np.concatenate((measured * weights, np.zeros(len(leaning))))
    )
    fixed, frozen, trained, more, less = found.tolist()
    return fixed, frozen, trained, more - less


def _row(point: StepPoint, n_blocks: int) -> list[float]:
    trained = float(n_blocks - 1 - point.eof_layer)
    return [1.0, 0.0, trained, 1.0, -1.0] if point.cached else [1.0, float(point.eof_layer + 1), trained, 0.0, 0.0]


def _bytes(points: Sequence[StepPoint], n_blocks: int) -> tuple[float | None, float | None]:
    told = [
        (float(n_blocks - 1 - point.eof_layer), float(point.peak_memory_bytes)) for point in points if point.peak_memory_bytes is not None
    ]
    if len({trained for trained, _ in told}) < 2:
        return None, None
    rows, measured = np.array([[1.0, trained] for trained, _ in told]), np.array([size for _, size in told])
    weights = 1.0 / np.maximum(measured, 1.0)
    fixed, block = non_negative_least_squares(rows * weights[:, None], measured * weights).tolist()
    return fixed, block


def _error(model: StepModel, check: Sequence[StepPoint]) -> float | None:
    errors = (abs(predict_step(model, p.eof_layer, p.cached) - p.p50_ms) / p.p50_ms for p in check if p.p50_ms > 0)
    return max(errors, default=None)
