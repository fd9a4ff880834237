"""What was projected beside what was measured: how wrong the projection is, in the same run.

Counted quantities are projected anew for the very sizes that were measured (the stored projection may be for another
length); times and quality are taken from the projection as it was made, times where it speaks of a size that was
measured on this device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.contracts import CostPoint, Estimate, Message, ModelInfo, Plan, ProjectedLatency, Projection, ProjectionError, Prune, Skip
from analysis.planning.project_more import projected_costs


def projection_errors(
    projection: Projection | None,
    plan: Plan,
    info: ModelInfo,
    *,
    stack: str,
    width: int,
    cost: Sequence[CostPoint],
    perplexity_ratio: Estimate,
    device_name: str,
) -> tuple[ProjectionError, ...]:
    """Every projected figure that has a measurement beside it; one row for each size measured.

    Args:
        projection: what was promised; None: nothing is compared.
        plan: what was carried out.
        info: the model as it was loaded.
        stack: the stack that was measured.
        width: bytes of one number while running.
        cost: measured costs.
        perplexity_ratio: measured on the verification half.
        device_name: where it was measured.
    """
    if projection is None:
        return ()
    rows = [row for point in cost for row in _counted(plan, info, stack, width, point)]
    rows += [row for point in cost for row in _timed(projection.latency, point, device_name)]
    if projection.quality is not None and perplexity_ratio.value is not None:
        low, high = projection.quality.perplexity_ratio_interval
        rows += _row("perplexity_ratio", projection.quality.perplexity_ratio, perplexity_ratio.value, low, high)
    return tuple(rows)


def was_edited(plan: Plan) -> Message | None:
    """Why the plan's own projection and reasons do not belong to what it does now; None: they do."""
    named = {(reason.unit, reason.block) for reason in plan.provenance.reasons}
    does = {(unit, block) for unit, blocks in plan.removed.items() for block in blocks}
    if not named or named == does:
        return None
    return Message(
        id="The plan was changed after it was made: its reasons and its projection belong to other layers, so they are not compared. "
        "What is verified is the plan as it is now."
    )


def _row(
    quantity: str, projected: float, measured: float, low: float | None = None, high: float | None = None
) -> Iterator[ProjectionError]:
    if measured == 0:
        return
    inside = None if low is None or high is None else low <= measured <= high
    yield ProjectionError(
        quantity=quantity,
        projected=projected,
        low=low,
        high=high,
        measured=measured,
        error_share=(projected - measured) / measured,
        inside=inside,
    )


def _counted(plan: Plan, info: ModelInfo, stack: str, width: int, point: CostPoint) -> Iterator[ProjectionError]:
    """Bytes and FLOPs of this size, in the number format that was run, counted the way the measurement counts."""
    exact = projected_costs(
        info, plan.operations, context_tokens=point.prompt_tokens, batch_size=point.batch_size, width=width, stack=stack
    )
    if point.prefill_flops is not None:
        yield from _row("prefill_flops", exact.prefill_flops, point.prefill_flops[1])
    if point.kv_cache_bytes is not None:
        yield from _row("kv_cache_bytes", exact.kv_cache_bytes, point.kv_cache_bytes[1])
    if point.peak_memory_bytes is not None:
        yield from _row("peak_memory_bytes", exact.peak_memory_bytes, point.peak_memory_bytes[1])
    if _frees_weights(plan):
        yield from _row("weight_bytes", exact.weight_bytes, point.weight_bytes[1])
        yield from _row("parameters", exact.n_parameters, point.weight_bytes[1] / width)


def _frees_weights(plan: Plan) -> bool:
    """A skipped layer's weights stay, while the measurement counts only those that run: nothing to compare."""
    return any(isinstance(o, Prune) for o in plan.operations) and not any(isinstance(o, Skip) for o in plan.operations)


def _timed(latency: Sequence[ProjectedLatency], point: CostPoint, device_name: str) -> Iterator[ProjectionError]:
    for promised in latency:
        if promised.device_name != device_name or promised.batch_size != point.batch_size or promised.context_tokens != point.prompt_tokens:
            continue
        if promised.phase == "prefill":
            yield from _time_and_share("prefill", promised, point.prefill_ms.original.p50, point.prefill_ms.plan.p50)
        elif (speed := point.decode_tokens_per_second) is not None and min(speed.original.p50, speed.plan.p50) > 0:
            per_token = 1e3 * point.batch_size
            yield from _time_and_share("decode", promised, per_token / speed.original.p50, per_token / speed.plan.p50)


def _time_and_share(phase: str, promised: ProjectedLatency, original_ms: float, plan_ms: float) -> Iterator[ProjectionError]:
    """The time itself, and against the original's, which was timed in turns with the plan.

    The points behind a projection were measured earlier, and a device's pace drifts: that shows in the time itself and
    leaves the share alone, on which a promised speed-up rests.
    """
    yield from _row(f"{phase}_ms", promised.ms.after, plan_ms)
    if promised.ms.before > 0 and original_ms > 0:
        yield from _row(f"{phase}_ratio", promised.ms.after / promised.ms.before, plan_ms / original_ms)
