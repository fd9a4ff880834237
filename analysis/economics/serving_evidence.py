"""What answering requests costs, from a verification's cost points or from projected latencies."""

from __future__ import annotations

from analysis.contracts import CostPoint, Measured, Pair, Plan, ServingEvidence, ServingPoint, Verification, VerificationSettings

WAITS = 1.3
"""Twice the batch writes more than this many times as much: the device waits for work."""


_ANSWER = VerificationSettings().new_tokens
"""Tokens that a projected answer is taken to have, as a test would write."""


def serving_of(verification: Verification) -> ServingEvidence | None:
    """The measured cost of answering; None: the verification looked at quality alone."""
    if not verification.cost:
        return None
    first = verification.cost[0]
    return ServingEvidence(
        points=tuple(_point(point) for point in verification.cost),
        weight_bytes=_pair(first.weight_bytes),
        kv_bytes_per_token=_kv(first),
    )


def projected_serving(plan: Plan) -> ServingEvidence | None:
    """Projected times of one batch, where latencies of this device were at hand; None: there are none, and no time can be priced."""
    projection = plan.projection
    if projection is None:
        return None
    times = {(each.phase, each.batch_size, each.context_tokens): each.ms for each in projection.latency}
    points = []
    for (phase, batch, context), ms in times.items():
        if phase != "prefill":
            continue
        decode = times.get(("decode", batch, context))
        points.append(
            ServingPoint(
                batch_size=max(1, batch),
                prompt_tokens=max(1, context),
                new_tokens=0 if decode is None else _ANSWER,
                prefill_ms=Pair(today=ms.before, plan=ms.after),
                decode_ms=None if decode is None else Pair(today=decode.before, plan=decode.after),
            )
        )
    if not points:
        return None
    weights, cache = projection.weight_bytes, projection.kv_bytes_per_token
    return ServingEvidence(
        points=tuple(points),
        weight_bytes=Pair(today=weights.before, plan=weights.after),
        kv_bytes_per_token=Pair(today=cache.before, plan=cache.after),
    )


def _point(point: CostPoint) -> ServingPoint:
    gain = point.tokens_per_second_gain_at_double_batch
    speed = point.decode_tokens_per_second
    return ServingPoint(
        batch_size=point.batch_size,
        prompt_tokens=point.prompt_tokens,
        new_tokens=point.new_tokens,
        prefill_ms=_timed(point.prefill_ms),
        decode_ms=None if speed is None else _per_token(speed, point.batch_size),
        peak_memory_bytes=None if point.peak_memory_bytes is None else _pair(point.peak_memory_bytes),
        prefill_energy_mwh=None if point.energy_mwh is None else _pair(point.energy_mwh),
        waits_for_work=gain is not None and gain >= WAITS,
    )


def _timed(measured: Measured) -> Pair:
    return Pair(today=measured.original.p50, plan=measured.plan.p50, ratio_low=measured.ratio.low, ratio_high=measured.ratio.high)


def _per_token(speed: Measured, batch_size: int) -> Pair | None:
    """Milliseconds of one token of every sequence: the inverse of a speed, so the ends of its interval change places."""
    if not speed.original.p50 or not speed.plan.p50:
        return None
    low, high = speed.ratio.low, speed.ratio.high
    return Pair(
        today=1000 * batch_size / speed.original.p50,
        plan=1000 * batch_size / speed.plan.p50,
        ratio_low=1 / high if high else None,
        ratio_high=1 / low if low else None,
    )


def _kv(point: CostPoint) -> Pair | None:
    if point.kv_cache_bytes is None:
        return None
    tokens = point.batch_size * point.prompt_tokens
    return Pair(today=point.kv_cache_bytes[0] / tokens, plan=point.kv_cache_bytes[1] / tokens)


def _pair(values: tuple[float, float]) -> Pair:
    return Pair(today=values[0], plan=values[1])
