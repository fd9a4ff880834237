"""What a training step was promised to cost beside what the arm's steps did cost: how wrong the projection is, in the same job.

The step times behind the projection are measured at other boundaries than the plan's, on random tokens of the trial's own mean
shape. Steps at the plan's own boundary are measured in the same turns and kept out of the fit: times are compared with those, as the
arm trains minutes later, on a machine that may be slower or faster by then. Where there are none, the arm's own steps are taken.
All else is compared with what the arm took. Times are medians.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.contracts import ProjectionError, StepModel, TrainingProjection, TrialArm


def projection_errors(
    projection: TrainingProjection | None,
    arm: TrialArm,
    *,
    steps: StepModel | None = None,
    step_flops: tuple[float, float] | None = None,
    peak_bytes: float | None = None,
) -> tuple[ProjectionError, ...]:
    """Every projected figure of the plan's own arm that has a measurement beside it.

    Args:
        projection: what was worked out for the plan's boundary; None: nothing is compared.
        arm: what was trained at that boundary.
        steps: training steps measured beside the arms; None: there were none.
        step_flops: floating-point operations of a step, worked out as a counter sees them, and counted; None: they were not.
        peak_bytes: peak memory worked out for the largest pass; None: that of the mean one.
    """
    if projection is None:
        return ()
    return tuple(_rows(projection, arm, steps, step_flops, peak_bytes or projection.peak_memory_bytes.plan))


def _rows(
    projection: TrainingProjection,
    arm: TrialArm,
    steps: StepModel | None,
    step_flops: tuple[float, float] | None,
    peak_bytes: float,
) -> Iterator[ProjectionError]:
    yield from _row("n_trainable", projection.n_trainable.plan, float(arm.n_trainable))
    if step_flops is not None:
        yield from _row("step_flops", *step_flops)
    if projection.step_ms is not None:
        yield from _row("step_ms", projection.step_ms.plan, _measured_ms(arm, steps, cached=False))
        if projection.step_ms.cached is not None:
            yield from _row("cached_step_ms", projection.step_ms.cached, _measured_ms(arm, steps, cached=True))
    yield from _row("peak_memory_bytes", peak_bytes, arm.cost.peak_memory_bytes)


def _measured_ms(arm: TrialArm, steps: StepModel | None, *, cached: bool) -> float | None:
    """In turns with the steps that were fitted to, or else along the arm; None: it had no such steps."""
    point = None if steps is None else steps.measured(arm.eof_layer, cached)
    if point is not None and not point.in_fit:
        return point.p50_ms
    if not cached:
        return arm.cost.first_epoch_ms.p50
    later = arm.cost.later_epochs_ms
    return None if later is None or arm.cost.cache == "off" else later.p50


def _row(quantity: str, projected: float, measured: float | None) -> Iterator[ProjectionError]:
    if measured is None or measured <= 0:
        return
    yield ProjectionError(quantity=quantity, projected=projected, measured=measured, error_share=(projected - measured) / measured)
