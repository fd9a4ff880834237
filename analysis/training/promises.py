"""What a training step was promised to cost beside what the arm's steps did cost: how wrong the projection is, in the same job.

The step times behind the projection are measured at other boundaries than the plan's, on random tokens of the trial's own mean
shape; the arm trains on the user's examples. Times are medians.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.contracts import ProjectionError, TrainingProjection, TrialArm


def projection_errors(
    projection: TrainingProjection | None,
    arm: TrialArm,
    *,
    step_flops: tuple[float, float] | None = None,
    peak_bytes: float | None = None,
) -> tuple[ProjectionError, ...]:
    """Every projected figure of the plan's own arm that has a measurement beside it.

    Args:
        projection: what was worked out for the plan's boundary; None: nothing is compared.
        arm: what was trained at that boundary.
        step_flops: floating-point operations of a step, worked out as a counter sees them, and counted; None: they were not.
        peak_bytes: peak memory worked out for the largest pass; None: that of the mean one.
    """
    return () if projection is None else tuple(_rows(projection, arm, step_flops, peak_bytes or projection.peak_memory_bytes.plan))


def _rows(
    projection: TrainingProjection, arm: TrialArm, step_flops: tuple[float, float] | None, peak_bytes: float
) -> Iterator[ProjectionError]:
    cost = arm.cost
    yield from _row("n_trainable", projection.n_trainable.plan, float(arm.n_trainable))
    if step_flops is not None:
        yield from _row("step_flops", *step_flops)
    if projection.step_ms is not None:
        yield from _row("step_ms", projection.step_ms.plan, cost.first_epoch_ms.p50)
        if projection.step_ms.cached is not None and cost.later_epochs_ms is not None and cost.cache != "off":
            yield from _row("cached_step_ms", projection.step_ms.cached, cost.later_epochs_ms.p50)
    yield from _row("peak_memory_bytes", peak_bytes, cost.peak_memory_bytes)


def _row(quantity: str, projected: float, measured: float | None) -> Iterator[ProjectionError]:
    if measured is None or measured <= 0:
        return
    yield ProjectionError(quantity=quantity, projected=projected, measured=measured, error_share=(projected - measured) / measured)
