"""Digests that see every changed bit, weights put back, and what cannot be trained, in words."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from analysis.errors import ModelError, PlanError
from analysis.models.stack import LoadedModel
from analysis.training.checks import Frozen, check_trainable, digest, restored, unchanged
from tests.training.tiny_training import model_named, run_arm, weights_of


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 400), st.sampled_from([torch.float32, torch.bfloat16, torch.float64, torch.int64, torch.bool, torch.uint8]), st.data()
)
def test_any_single_changed_bit_changes_the_digest(n: int, dtype: torch.dtype, data: st.DataObject) -> None:
    tensor = torch.randint(0, 2, (n,), dtype=torch.uint8).to(dtype)
    before = digest(tensor)
    assert digest(tensor.clone()) == before
    raw = tensor.view(torch.uint8) if dtype is not torch.bool else tensor
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = ~raw[place] if dtype is torch.bool else raw[place] ^ (1 << data.draw(st.integers(0, 7)))
    assert digest(tensor) != before


def test_a_digest_goes_over_the_ends_of_its_chunks_and_tells_swapped_values_apart() -> None:
    tensor = torch.arange(100_000, dtype=torch.float64)
    before = digest(tensor)
    tensor[[0, 32_768]] = tensor[[32_768, 0]]
    assert digest(tensor) != before
    assert digest(torch.zeros(0)) == (0, 0)
    assert digest(torch.tensor(1.5)) != digest(torch.tensor(2.5))
    assert digest(torch.ones(4, 6).T) == digest(torch.ones(6, 4))


def test_frozen_tensors_that_changed_or_got_a_gradient_are_told() -> None:
    weight, buffer = nn.Parameter(torch.randn(3, 3)), torch.zeros(2)
    frozen = Frozen.of([weight], [buffer])
    assert frozen.identical()
    assert frozen.gradient_free()
    weight.sum().backward()
    assert not frozen.gradient_free()
    with torch.no_grad():
        weight[1, 1] = torch.nextafter(weight[1, 1], torch.tensor(9.0))
    assert not frozen.identical()
    other = Frozen.of([], [buffer])
    buffer += 1
    assert not other.identical()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_trained_weights_are_kept_in_float32_and_put_back_bit_for_bit_after_an_exception(dtype: torch.dtype) -> None:
    weight = nn.Parameter(torch.randn(5, 3).to(dtype))
    before, place = weight.detach().clone(), weight.data_ptr()

    @restored([weight])
    def trains_and_fails() -> None:
        assert weight.dtype == torch.float32
        with torch.no_grad():
            weight.add_(1.0)
        raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        trains_and_fails()
    assert weight.dtype == dtype
    assert torch.equal(weight, before)
    assert weight.data_ptr() == place or dtype != torch.float32


def test_modes_flags_and_gradients_are_put_back() -> None:
    model = model_named("gpt2")
    odd = next(model.model.parameters())
    odd.requires_grad_(False)

    @unchanged(model)
    def changes_and_fails() -> None:
        model.model.train()
        for parameter in model.model.parameters():
            parameter.requires_grad_(True)
            parameter.grad = torch.zeros_like(parameter)
        raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        changes_and_fails()
    assert not any(module.training for module in model.model.modules())
    assert [parameter is not odd for parameter in model.model.parameters()] == [p.requires_grad for p in model.model.parameters()]
    assert all(parameter.grad is None for parameter in model.model.parameters())


def refusal(model: LoadedModel, eof_layer: int = 0, stack: str | None = None) -> str:
    with pytest.raises((ModelError, PlanError)) as caught:
        check_trainable(model, model.stack(stack), eof_layer)
    return str(caught.value)


def test_a_boundary_at_the_last_layer_or_outside_is_refused_because_nothing_would_train() -> None:
    model = model_named("llama")
    assert "With layers 0 to 2 frozen nothing would train" in refusal(model, 2)
    assert "-1 (none) to 1" in refusal(model, 7)
    assert "nothing would train" in refusal(model, -2)


@pytest.mark.parametrize(
    ("name", "said"), [("bert", "no output head"), ("vit", "no output head"), ("t5", "encoder-decoder"), ("whisper", "encoder-decoder")]
)
def test_models_that_write_no_words_one_after_another_are_refused(name: str, said: str) -> None:
    assert said in refusal(model_named(name))


def test_quantised_weights_are_refused() -> None:
    model = model_named("llama")
    model.model.quantization_method = "awq"
    assert "are quantised" in refusal(model)


def test_whole_number_weights_are_refused() -> None:
    model = model_named("llama")
    model.stack().blocks[0].extra = nn.Parameter(torch.zeros(2, dtype=torch.int8), requires_grad=False)
    assert "are quantised" in refusal(model)


def test_float16_without_a_gpu_is_refused() -> None:
    assert "float16 needs a GPU" in refusal(model_named("llama", dtype=torch.float16))


def test_a_refused_model_is_untouched() -> None:
    model = model_named("llama")
    before = weights_of(model)
    with pytest.raises(PlanError):
        run_arm(model, "freeze", 2)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights_of(model).items())
