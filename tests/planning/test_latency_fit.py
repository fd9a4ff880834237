from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.contracts import StackInfo
from analysis.contracts.latency import LatencyModel, LatencyPoint, LatencyShape
from analysis.contracts.search import UnitSet
from analysis.errors import InputError, PlanError
from analysis.planning.latency import (
    fit_latency,
    kinds_of_blocks,
    non_negative_least_squares,
    points_to_check,
    points_to_fit,
    predict_ms,
    project_latency,
)
from tests.builders import make_model


def two_kinds(n_blocks: int = 12) -> StackInfo:
    """Every third block looks at everything, the others through a window."""
    full, sliding = make_model(n_blocks).stacks[0], make_model(n_blocks, window=64).stacks[0]
    blocks = tuple(full.blocks[i] if i % 3 == 2 else sliding.blocks[i] for i in range(n_blocks))
    return full.model_copy(update={"blocks": blocks})


def planted(stack: StackInfo, *, seed: int = 0) -> LatencyShape:
    generator = random.Random(seed)
    times: dict[str, list[float]] = {part: [0.0] * stack.n_blocks for part in ("block", "attention", "mlp")}
    for group in kinds_of_blocks(stack):
        for part in times.values():
            value = generator.uniform(0.1, 2.0)
            for block in group:
                part[block] = value
    return LatencyShape(
        phase="prefill",
        batch_size=1,
        context_tokens=256,
        rest_ms=generator.uniform(0.5, 3.0),
        block_ms=tuple(times["block"]),
        attention_ms=tuple(times["attention"]),
        mlp_ms=tuple(times["mlp"]),
    )


def measured(shape: LatencyShape, removed: UnitSet, *, factor: float = 1.0) -> LatencyPoint:
    ms = factor * predict_ms(shape, removed)
    return LatencyPoint(phase="prefill", batch_size=1, context_tokens=256, removed=removed, p50_ms=ms, p95_ms=ms, repeats=7)


@pytest.mark.parametrize("stack", [make_model(30).stacks[0], two_kinds(), make_model(4).stacks[0], make_model(2).stacks[0]])
def test_the_fit_finds_planted_times_exactly(stack: StackInfo) -> None:
    truth = planted(stack)
    fitted = fit_latency([measured(truth, removed) for removed in points_to_fit(stack)], stack)
    assert fitted.rest_ms == pytest.approx(truth.rest_ms, rel=1e-9)
    for part in ("block_ms", "attention_ms", "mlp_ms"):
        assert getattr(fitted, part) == pytest.approx(getattr(truth, part), rel=1e-9)


def test_held_out_points_tell_the_error_and_do_not_steer_the_fit() -> None:
    stack = make_model(30).stacks[0]
    truth = planted(stack)
    points = [measured(truth, removed) for removed in points_to_fit(stack)]
    checks = [measured(truth, removed, factor=factor) for removed, factor in zip(points_to_check(stack), (1.0, 1.25), strict=True)]
    fitted = fit_latency(points, stack, check=checks)
    assert fitted.error_share == pytest.approx(0.2, rel=1e-6)
    assert fitted.block_ms == fit_latency(points, stack).block_ms
    assert fit_latency(points, stack).error_share is None


def test_noise_of_two_percent_leaves_random_plans_within_five() -> None:
    stack, noise = make_model(30).stacks[0], np.random.default_rng(3)
    truth = planted(stack)
    points = [measured(truth, removed, factor=1 + noise.normal(0, 0.02)) for removed in points_to_fit(stack)]
    fitted = fit_latency(points, stack)
    for seed in range(20):
        for removed in points_to_check(stack, seed=seed):
            assert predict_ms(fitted, removed) == pytest.approx(predict_ms(truth, removed), rel=0.05)


def test_a_half_that_was_never_left_out_alone_is_part_of_its_block() -> None:
    stack = make_model(8).stacks[0]
    truth = planted(stack)
    points = [measured(truth, removed) for removed in points_to_fit(stack) if all(unit == "block" for unit, _ in removed)]
    fitted = fit_latency(points, stack)
    assert set(fitted.attention_ms) == set(fitted.mlp_ms) == {0.0}
    assert predict_ms(fitted, (("block", 3),)) == pytest.approx(predict_ms(truth, (("block", 3),)))


def test_no_time_is_below_zero_whatever_was_measured() -> None:
    stack = make_model(8).stacks[0]
    points = [measured(planted(stack), removed, factor=1 + 0.8 * (number % 2)) for number, removed in enumerate(points_to_fit(stack))]
    fitted = fit_latency(points, stack)
    assert min(fitted.rest_ms, *fitted.block_ms, *fitted.attention_ms, *fitted.mlp_ms) >= 0.0


@given(st.lists(st.tuples(st.sampled_from(["block", "attention", "mlp"]), st.integers(0, 11)), max_size=20))
def test_leaving_out_more_never_takes_longer(units: list[tuple[Any, int]]) -> None:
    shape = planted(two_kinds())
    times = [predict_ms(shape, units[:n]) for n in range(len(units) + 1)]
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(times))


def test_a_block_takes_its_halves_along_and_both_halves_leave_its_norms() -> None:
    shape = planted(make_model(4).stacks[0])
    whole = predict_ms(shape, (("block", 1), ("mlp", 1)))
    halves = predict_ms(shape, (("attention", 1), ("mlp", 1)))
    assert whole == pytest.approx(predict_ms(shape, (("block", 1),)))
    assert halves == pytest.approx(whole + shape.block_ms[1])


def test_a_layer_beyond_the_model_is_refused_in_words() -> None:
    with pytest.raises(PlanError, match="Layer 9 is not in this model: it has 4 layers"):
        predict_ms(planted(make_model(4).stacks[0]), (("mlp", 9),))


def test_points_of_two_kinds_or_none_are_refused_in_words() -> None:
    stack = make_model(4).stacks[0]
    point = measured(planted(stack), ())
    with pytest.raises(InputError, match="2 measured points of 2 kinds"):
        fit_latency([point, point.model_copy(update={"phase": "decode"})], stack)
    with pytest.raises(InputError, match="0 measured points"):
        fit_latency([], stack)


def test_a_projection_for_every_measured_size_names_its_device() -> None:
    shape = planted(make_model(4).stacks[0])
    model = LatencyModel(
        model_commit="c0ffee",
        stack="decoder",
        device="cuda",
        device_name="GPU of the test",
        dtype="bfloat16",
        n_blocks=4,
        shapes=(shape, shape.model_copy(update={"phase": "decode"})),
        points=(),
        measured_at="2026-01-01T00:00:00Z",
    )
    projected = project_latency(model, (("block", 0),))
    assert [one.phase for one in projected] == ["prefill", "decode"]
    assert {one.device_name for one in projected} == {"GPU of the test"}
    assert projected[0].ms.before == pytest.approx(predict_ms(shape, ()))
    assert projected[0].ms.after == pytest.approx(predict_ms(shape, (("block", 0),)))


@given(st.integers(0, 10_000))
def test_least_squares_without_negatives_meets_its_optimality_conditions(seed: int) -> None:
    generator = np.random.default_rng(seed)
    a, b = generator.normal(size=(9, 5)), generator.normal(size=9)
    x = non_negative_least_squares(a, b)
    slope = a.T @ (b - a @ x)
    assert (x >= 0).all()
    assert (slope <= 1e-8).all()
    assert np.abs(slope * x).max() <= 1e-8


def test_every_set_to_measure_leaves_something_running() -> None:
    for stack in (make_model(30).stacks[0], two_kinds(), make_model(2).stacks[0], make_model(1).stacks[0]):
        for removed in (*points_to_fit(stack), *points_to_check(stack)):
            assert len({block for unit, block in removed if unit == "block"}) < stack.n_blocks
