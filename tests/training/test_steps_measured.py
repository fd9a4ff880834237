"""Training steps are timed on the real thing, the model is what it was, and what cannot be timed is refused in words."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.contracts import Progress, StepsRequest, TrainingShape
from analysis.errors import Cancelled, InputError, ModelError, ResourceError
from analysis.models.load import describe_model, load_model
from analysis.models.stack import LoadedModel
from analysis.planning.steps import predict_step
from analysis.planning.training_memory import training_bytes
from analysis.profiling.stream import Watch
from analysis.training import measure_steps as room
from analysis.training.measure_steps import (
    boundaries_to_check,
    boundaries_to_fit,
    check_shape,
    measure_points,
    measure_steps,
    random_examples,
    run_steps,
    same_steps,
)
from tests.builders import make_model
from tests.profiling.tiny import loaded, tiny_llama
from tests.training.tiny_training import model_named, weights_of
from tests.verification import tiny_verification as tv

SHAPE = TrainingShape(batch_size=2, sequence_tokens=8, response_tokens=3, dtype="float32", lora_rank=2)


@pytest.mark.parametrize(("method", "dtype"), [("full", torch.bfloat16), ("lora", torch.float32)])
def test_steps_are_fitted_and_the_model_is_bit_for_bit_what_it_was(method: str, dtype: torch.dtype) -> None:
    model = loaded(tiny_llama(6).to(dtype))
    before, flags = weights_of(model), [p.requires_grad for p in model.model.parameters()]
    shape = SHAPE.model_copy(update={"method": method, "dtype": str(dtype).removeprefix("torch.")})
    found = measure_steps(model, shape, padded=True)
    after = weights_of(model)
    assert after.keys() == before.keys()
    assert all(torch.equal(tensor, after[name]) and tensor.dtype == after[name].dtype for name, tensor in before.items())
    assert [p.requires_grad for p in model.model.parameters()] == flags
    assert all(p.grad is None for p in model.model.parameters())
    measured = [(point.eof_layer, point.cached) for point in found.points]
    assert measured == [(-1, False), (2, False), (4, False), (2, True), (4, True), (3, False)]
    assert all(point.repeats == room.ROUNDS * room.STEPS_A_TURN >= 10 for point in found.points)
    assert found.error_share is not None
    assert found.n_blocks == 6


def test_the_boundary_that_is_tried_takes_turns_with_the_others_and_judges_the_fit() -> None:
    model = loaded(tiny_llama(6))
    found = measure_steps(model, SHAPE, avoid=(2,), beside=(0, 4))
    kept_out = [(point.eof_layer, point.cached) for point in found.points if not point.in_fit]
    assert kept_out == [(2, False), (2, True), (0, False)]
    assert [(p.eof_layer, p.cached) for p in found.points if p.in_fit] == [(-1, False), (1, False), (4, False), (1, True), (4, True)]
    errors = [abs(predict_step(found, p.eof_layer, p.cached) / p.p50_ms - 1) for p in found.points if not p.in_fit]
    assert found.error_share == pytest.approx(max(errors))
    same = partial(same_steps, found, model, model.stack())
    assert same(SHAPE, avoid=(2,), beside=(0, 4))
    assert same(SHAPE, avoid=(2,))
    assert not same(SHAPE, avoid=(3,))  # it was not measured
    assert not same(SHAPE, avoid=(4,))  # the fit was made from it
    assert not same(SHAPE, avoid=(2,), beside=(3,))
    assert not same(SHAPE.model_copy(update={"batch_size": 3}), avoid=(2,))


def test_two_layers_leave_no_boundary_to_judge_the_fit_by() -> None:
    model = loaded(tiny_llama(2))
    found = measure_steps(model, SHAPE, avoid=(0,))
    assert all(point.in_fit for point in found.points)
    assert found.error_share is None
    assert same_steps(found, model, model.stack(), SHAPE, avoid=(0,))


def test_less_is_kept_for_the_backward_pass_the_more_is_frozen() -> None:
    points, _ = measure_points(loaded(tiny_llama(4)), SHAPE, [(-1, False), (0, False), (2, False), (2, True)], rounds=1, steps=1)
    kept = [point.activation_bytes for point in points]
    assert None not in kept
    assert kept[0] > kept[1] > kept[2] == kept[3]  # type: ignore[operator]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("padded", [False, True])
def test_what_is_counted_is_what_the_projection_means_copies_of_weights_among_it(dtype: torch.dtype, padded: bool) -> None:
    model, name = loaded(tiny_llama(4).to(dtype)), str(dtype).removeprefix("torch.")
    shape = TrainingShape.model_validate({**SHAPE.model_dump(), "sequence_tokens": 32, "dtype": name, "weight_bits": 8 * dtype.itemsize})
    for point in measure_points(model, shape, [(-1, False), (2, False)], rounds=1, steps=1, padded=padded)[0]:
        projected = training_bytes(model.info, point.eof_layer, shape, padded=padded).activations
        assert point.activation_bytes == pytest.approx(projected, rel=0.02)


def test_a_cached_step_does_not_run_the_frozen_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(tiny_llama(4))
    runs: list[int] = []
    model.stack().blocks[0].mlp.register_forward_pre_hook(lambda *_: runs.append(1))
    monkeypatch.setattr(room, "saved_bytes", lambda *_: None)
    measure_points(model, SHAPE, [(1, True)], rounds=1, steps=1)  # that the prefix can be left out is proved once
    runs.clear()
    measure_points(model, SHAPE, [(1, True)], rounds=1, steps=2)
    of_two, runs[:] = len(runs), []
    measure_points(model, SHAPE, [(1, True)], rounds=1, steps=6)
    assert len(runs) == of_two
    runs.clear()
    measure_points(model, SHAPE, [(1, False)], rounds=1, steps=6)
    assert len(runs) > of_two


def test_an_architecture_that_needs_its_first_layers_has_no_cached_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.Prefix, "_proved", lambda _self: [])
    points, _ = measure_points(loaded(tiny_llama(3)), SHAPE, [(-1, False), (1, False), (1, True)], rounds=1, steps=1)
    assert [(point.eof_layer, point.cached) for point in points] == [(-1, False), (1, False)]


@pytest.mark.parametrize(
    ("n_blocks", "avoid", "found"), [(1, (), [-1]), (2, (), [-1, 0]), (3, (1,), [-1, 0]), (30, (14, 28), [-1, 13, 27])]
)
def test_boundaries_of_any_depth_are_told_apart(n_blocks: int, avoid: tuple[int, ...], found: list[int]) -> None:
    assert boundaries_to_fit(n_blocks, avoid) == found
    check = boundaries_to_check(n_blocks, [*found, *avoid])
    assert not set(check) & {*found, *avoid}


def test_a_model_of_two_layers_can_be_measured() -> None:
    found = measure_steps(loaded(tiny_llama(2)), SHAPE)
    assert found.error_share is None


def test_examples_have_exactly_the_shape() -> None:
    data = random_examples(SHAPE, 50)
    ((batch, weights),) = data.micro_batches(range(2), 2)
    assert batch.ids.shape == (2, 8)
    assert batch.mask.all()
    assert len(batch.rows) == 6
    assert weights.sum() == pytest.approx(1.0)
    assert not random_examples(SHAPE, 50, padded=True).micro_batches(range(2), 2)[0][0].mask.all()


def test_a_stop_is_heard_and_the_model_put_back() -> None:
    model = loaded(tiny_llama(4))
    before, told = weights_of(model), list[Progress]()
    with pytest.raises(Cancelled):
        measure_steps(model, SHAPE, watch=Watch(told.append, lambda: len(told) > 3))
    assert all(torch.equal(tensor, weights_of(model)[name]) for name, tensor in before.items())


def test_memory_that_holds_no_step_is_said_with_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(room._Bench, "_timed", full)
    with pytest.raises(ResourceError, match="2 sequences of 8 tokens do not fit"):
        measure_steps(loaded(tiny_llama(4)), SHAPE)


def test_steps_that_are_only_projected_are_refused() -> None:
    with pytest.raises(InputError, match="Steps on weights of 4 bits are projected"):
        check_shape(SHAPE.model_copy(update={"weight_bits": 4}), make_model(4))
    with pytest.raises(InputError, match="at most 64"):
        check_shape(SHAPE.model_copy(update={"sequence_tokens": 65}), make_model(4).model_copy(update={"max_context_tokens": 64}))


def test_a_request_is_measured_in_the_number_formats_it_names(tmp_path: Path) -> None:
    source = tv.save(tv.tiny_llama(3), tmp_path / "model")
    kept: list[torch.dtype] = []

    def load(*names: Any, **more: Any) -> LoadedModel:
        kept.append(load_model(*names, **more).dtype)
        return load_model(*names, **more)

    for weight_bits, trained_bits in ((32, 32), (16, 16)):
        shape = SHAPE.model_copy(update={"dtype": "bfloat16", "weight_bits": weight_bits, "trained_bits": trained_bits})
        found = run_steps(StepsRequest(model=source, device="cpu", shape=shape), load=load)
        assert found.shape == shape
        assert found.model_commit == describe_model(source).info.commit
    assert kept == [torch.float32, torch.bfloat16]


def test_narrow_weights_are_not_computed_in_float32() -> None:
    with pytest.raises(InputError, match="computed in float32 on weights of 16 bits"):
        check_shape(SHAPE.model_copy(update={"trained_bits": 16}), make_model(4))


def test_a_model_without_words_is_refused() -> None:
    with pytest.raises(ModelError, match="does not write word after word"):
        measure_steps(model_named("bert"), SHAPE)
