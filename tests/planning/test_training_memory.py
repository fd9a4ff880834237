"""A training step's memory against what torch really keeps for the backward pass, and against closed forms."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch import nn

from analysis.contracts import StepPoint, TrainingShape
from analysis.planning.steps import fit_steps
from analysis.planning.training_memory import training_bytes
from tests.builders import make_model
from tests.planning.test_memory_projection import Live
from tests.planning.training_steps import frozen, loss_of, made, matrices
from tests.profiling.tiny import loaded

SAMPLE = make_model(30)


def kept_bytes(model: nn.Module, ids: torch.Tensor, answers: int, *, autocast: bool = False, mask: torch.Tensor | None = None) -> int:
    """Bytes of all storages that the backward pass needs, parameters aside."""
    storages: dict[int, int] = {}
    alive: list[Any] = []
    own = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and tensor.is_floating_point():
            storages[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss_of(model, ids, answers, autocast, mask)  # type: ignore[arg-type]
    return sum(storages.values())


NAMES = ("llama", "llama_tied", "qwen2", "qwen3", "gpt2", "gpt_neox", "opt", "phi3", "gemma3")
LAYER_NORMS = ("gpt2", "gpt_neox", "opt")
IDS = torch.arange(4 * 48).reshape(4, 48) % 290 + 5


def step(**changes: Any) -> TrainingShape:
    """The shape of the steps below."""
    return TrainingShape.model_validate({"batch_size": 4, "sequence_tokens": 48, "response_tokens": 12, "dtype": "float32", **changes})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("eof_layer", [-1, 2])
def test_projected_activations_are_what_torch_keeps(name: str, eof_layer: int) -> None:
    model = made(name, "sdpa")
    one = loaded(model)
    frozen(model, one.stacks[0].blocks, eof_layer)
    projected = training_bytes(one.info, eof_layer, step(), padded=False).activations
    assert projected == pytest.approx(kept_bytes(model, IDS, 12), rel=0.03)


# A GPU's autocast takes powers (in GPT-2's GELU) and LayerNorms in float32, a CPU's does not: those cannot be seen here.
@pytest.mark.parametrize(("name", "stored"), [(n, 32) for n in NAMES if n != "gpt2"] + [(n, 16) for n in NAMES if n not in LAYER_NORMS])
def test_projected_activations_hold_under_autocast(name: str, stored: int) -> None:
    model = made(name, "sdpa")
    if stored == 16:
        model.to(torch.bfloat16)
    one = loaded(model)
    frozen(model, one.stacks[0].blocks, 0)
    for parameter in model.parameters():
        parameter.data = parameter.data.float() if parameter.requires_grad else parameter.data
    projected = training_bytes(one.info, 0, step(dtype="bfloat16", weight_bits=stored), padded=False).activations
    real = kept_bytes(model, IDS, 12, autocast=True)
    assert projected == pytest.approx(real, rel=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_projected_activations_hold_where_everything_is_bfloat16(name: str) -> None:
    model = made(name, "sdpa").to(torch.bfloat16)
    one = loaded(model)
    frozen(model, one.stacks[0].blocks, 0)
    projected = training_bytes(one.info, 0, step(dtype="bfloat16", weight_bits=16, trained_bits=16), padded=False).activations
    real = kept_bytes(model, IDS, 12)
    assert projected == pytest.approx(real, rel=0.03)


@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_padding_makes_grouped_keys_and_values_be_repeated(name: str) -> None:
    model = made(name, "sdpa")
    one = loaded(model)
    frozen(model, one.stacks[0].blocks, 1)
    mask = torch.ones_like(IDS)
    mask[0, 40:] = 0
    projected = training_bytes(one.info, 1, step(), padded=True).activations
    real = kept_bytes(model, IDS, 12, mask=mask)
    assert projected == pytest.approx(real, rel=0.03)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
@pytest.mark.parametrize(("name", "autocast"), [("llama", False), ("llama", True), ("qwen3", True), ("gpt2", False), ("gpt_neox", False)])
def test_projected_activations_hold_with_adapters(name: str, autocast: bool) -> None:
    model = made(name, "sdpa")
    one = loaded(model)
    targets = sorted({path.rpartition(".")[2] for path, _ in matrices(model)})
    config = LoraConfig(r=4, target_modules=targets, layers_to_transform=[1, 2, 3], fan_in_fan_out=name == "gpt2")
    adapted = get_peft_model(model, config).get_base_model()
    projected = training_bytes(
        one.info, 0, step(method="lora", lora_rank=4, dtype="bfloat16" if autocast else "float32"), padded=False
    ).activations
    real = kept_bytes(adapted, IDS, 12, autocast=autocast)
    assert projected == pytest.approx(real, rel=0.03)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_every_part_falls_with_the_boundary(method: str) -> None:
    shape = TrainingShape.model_validate({"method": method})
    found = [training_bytes(SAMPLE, eof, shape) for eof in range(-1, 29)]
    for part in ("n_trainable", "gradients", "optimizer", "activations", "peak"):
        figures = [getattr(one, part) for one in found]
        assert all(later < earlier for earlier, later in pairwise(figures)), part


def test_the_sample_model_at_float32_has_closed_forms() -> None:
    shape = TrainingShape(batch_size=1, sequence_tokens=100, response_tokens=10, dtype="float32")
    found = training_bytes(SAMPLE, 28, shape)
    block = 3 * 576 * 1536 + 2 * 576 * 576 + 2 * 576 * 192 + 2 * 576
    assert found.n_trainable == block + 576
    assert (found.weights, found.gradients, found.optimizer) == (4 * SAMPLE.n_parameters, 4 * (block + 576), 8 * (block + 576))
    a_block = 4 * (5 * 576 + 2 * 576 + 384 + 4 * 1536) + 8 + 4 * 9  # the first block that trains keeps no stream of its own
    assert found.activations == 100 * (a_block + 8 * 576 + 4) + 4 * 10 * 49152


def test_weights_that_train_are_kept_in_their_own_format() -> None:
    half = TrainingShape(weight_bits=16)
    found = training_bytes(SAMPLE, 9, half)
    assert found.weights == 2 * (SAMPLE.n_parameters - found.n_trainable) + 4 * found.n_trainable


@pytest.mark.parametrize(("bits", "per_weight"), [(4, 4.25), (8, 8.25)])
def test_a_quantised_base_counts_its_scales_and_leaves_the_rest_in_16_bits(bits: int, per_weight: float) -> None:
    found = training_bytes(SAMPLE, 9, TrainingShape.model_validate({"method": "lora", "weight_bits": bits}))
    matrices_of = 30 * (3 * 576 * 1536 + 2 * 576 * 576 + 2 * 576 * 192)
    expected = matrices_of * per_weight / 8 + (SAMPLE.n_parameters - matrices_of) * 2 + found.n_trainable * 4
    assert found.weights == pytest.approx(expected, rel=1e-6)


def test_measured_steps_have_the_last_word_on_the_peak() -> None:
    shape = TrainingShape()
    points = [
        StepPoint(eof_layer=eof, p50_ms=50.0 - eof, p95_ms=60, repeats=5, peak_memory_bytes=1_000_000 * (40 - eof)) for eof in (-1, 14, 28)
    ]
    steps = fit_steps(
        points, model_commit="c0ffee", stack="decoder", device="cpu", device_name="a CPU", shape=shape, n_blocks=30, measured_at="now"
    )
    assert training_bytes(SAMPLE, 9, shape, steps=steps).peak == pytest.approx(31_000_000)


@given(st.integers(1, 16), st.integers(8, 1024), st.integers(1, 1024), st.sampled_from(["full", "lora"]))
@settings(max_examples=40, deadline=None)
def test_the_peak_holds_what_it_is_made_of(batch: int, length: int, answers: int, method: str) -> None:
    shape = TrainingShape.model_validate(
        {"batch_size": batch, "sequence_tokens": length, "response_tokens": min(answers, length), "method": method}
    )
    found = training_bytes(SAMPLE, 12, shape)
    assert found.weights + found.optimizer + max(found.activations, found.gradients) <= found.peak
    assert found.peak <= found.weights + found.optimizer + found.gradients + found.activations + 8 * batch * length * SAMPLE.vocab_size


@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt2", "gpt_neox", "opt"])
@pytest.mark.parametrize("answers", [2, 48])
@pytest.mark.parametrize("eof_layer", [-1, 2])
def test_the_widest_moment_is_within_three_percent_of_what_is_alive(name: str, answers: int, eof_layer: int) -> None:
    model = made(name, "sdpa")
    one = loaded(model)
    frozen(model, one.stacks[0].blocks, eof_layer)
    with Live() as live:
        live.ignore(IDS, *model.parameters(), *model.buffers())
        loss_of(model, IDS, answers).backward()  # type: ignore[no-untyped-call]
    found = training_bytes(one.info, eof_layer, step(response_tokens=answers), padded=False)
    assert found.peak - found.weights - found.optimizer == pytest.approx(live.most, rel=0.03)
