"""What was promised stands beside what was measured, and the arithmetic beside a counter of operations."""

from __future__ import annotations

import pytest
import torch

from analysis.contracts import Change, Distribution, StepCost, StepModel, StepPoint, TrainingProjection, TrainingShape
from analysis.planning.training_flops import step_flops
from analysis.training.counted_flops import counted_step_flops
from analysis.training.promises import projection_errors
from tests.trained_builders import make_arm
from tests.training.tiny_training import model_named, weights_of

SHAPE = TrainingShape(batch_size=3, sequence_tokens=16, response_tokens=5, dtype="float32")


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3", "mixtral"])
@pytest.mark.parametrize("eof_layer", [-1, 0, 1])
def test_a_counter_finds_exactly_the_operations_that_were_worked_out(name: str, eof_layer: int) -> None:
    model = model_named(name)
    before = weights_of(model)
    counted = counted_step_flops(model, model.stack(), eof_layer, SHAPE)
    assert counted == pytest.approx(step_flops(model.info, eof_layer, SHAPE, counted=True), rel=1e-9)
    assert all(torch.equal(tensor, weights_of(model)[name]) for name, tensor in before.items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.model.parameters())


def _change(plan: float, cached: float | None = None) -> Change:
    return Change(full=2 * plan, plan=plan, cached=cached)


def _projection(**changes: Change | None) -> TrainingProjection:
    names = ("step_flops", "weight_bytes", "gradient_bytes", "optimizer_bytes", "activation_bytes")
    given = {"n_trainable": _change(10e6), "peak_memory_bytes": _change(900.0), **{name: _change(1.0) for name in names}, **changes}
    return TrainingProjection(shape=SHAPE, epochs=3, n_sequences=10, **given)  # type: ignore[arg-type]


def _cost(**changes: object) -> StepCost:
    first, later = Distribution(p50=40.0, p95=50.0, n=3), Distribution(p50=20.0, p95=25.0, n=6)
    given = {"first_epoch_ms": first, "later_epochs_ms": later, "n_steps": 9, "tokens_per_second": 1.0, "cache": "memory"}
    return StepCost.model_validate({**given, "peak_memory_bytes": 1000, **changes})


def test_times_memory_and_counts_are_compared_where_both_are_known() -> None:
    arm = make_arm("freeze", 19, cost=_cost())
    found = projection_errors(_projection(step_ms=_change(42.0, 19.0)), arm, step_flops=(5.0, 5.0))
    errors = {one.quantity: round(one.error_share, 3) for one in found}
    assert errors == {"n_trainable": 0.0, "step_flops": 0.0, "step_ms": 0.05, "cached_step_ms": -0.05, "peak_memory_bytes": -0.1}


def _steps(*points: StepPoint) -> StepModel:
    found = {"model_commit": "c", "stack": "s", "device": "cpu", "device_name": "CPU", "shape": SHAPE, "n_blocks": 30}
    times = {"fixed_ms": 1.0, "frozen_block_ms": 1.0, "trained_block_ms": 3.0, "points": points, "measured_at": "2026-01-01"}
    return StepModel.model_validate({**found, **times})


def test_times_are_compared_with_steps_that_took_turns_with_those_behind_the_projection() -> None:
    arm = make_arm("freeze", 19, cost=_cost())
    own = [StepPoint(eof_layer=19, cached=cached, p50_ms=ms, p95_ms=ms, repeats=9) for cached, ms in ((False, 42.0), (True, 20.0))]
    told = _projection(step_ms=_change(42.0, 19.0))

    def errors(*points: StepPoint) -> dict[str, float]:
        found = projection_errors(told, arm, steps=_steps(*points))
        return {one.quantity: round(one.error_share, 3) for one in found if one.quantity.endswith("ms")}

    assert errors(*(point.model_copy(update={"in_fit": False}) for point in own)) == {"step_ms": 0.0, "cached_step_ms": -0.05}
    assert errors(*own) == errors() == {"step_ms": 0.05, "cached_step_ms": -0.05}  # a fit does not judge itself: the arm does


def test_later_epochs_without_a_cache_are_no_cached_steps() -> None:
    arm = make_arm("freeze", 19, cost=_cost(cache="off", peak_memory_bytes=None))
    found = projection_errors(_projection(step_ms=_change(42.0, 19.0)), arm)
    assert [one.quantity for one in found] == ["n_trainable", "step_ms"]


def test_without_measured_steps_no_time_is_compared() -> None:
    found = projection_errors(_projection(), make_arm("freeze", 19, cost=_cost()))
    assert [one.quantity for one in found] == ["n_trainable", "peak_memory_bytes"]
    assert projection_errors(None, make_arm("freeze", 19)) == ()
