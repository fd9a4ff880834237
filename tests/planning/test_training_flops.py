"""A training step's FLOPs against closed forms, and against a counter of the operations that really run."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from analysis.contracts import TrainingShape
from analysis.errors import PlanError
from analysis.planning.training_flops import judged_tokens, step_flops
from analysis.planning.training_parts import adapter_parameters, parts_of
from tests.builders import make_model
from tests.planning.training_steps import frozen, loss_of, made, matrices
from tests.profiling.tiny import loaded

LLAMA_2_7B = make_model(32, hidden=4096, mlp=11008, heads=32, kv_heads=32, vocab=32000, name="Llama-2-7B", kind="hub")


def counted(model: nn.Module, ids: torch.Tensor, answers: int) -> int:
    """Forward and backward of one step, without the rotary tables, which are no part of the model's arithmetic."""
    counter = FlopCounterMode(display=False)
    with counter:
        loss_of(model, ids, answers).backward()  # type: ignore[arg-type]
    by_module = counter.get_flop_counts()
    tables = next((sum(counts.values()) for name, counts in by_module.items() if name.endswith(".rotary_emb")), 0)
    return int(counter.get_total_flops() - tables)


@pytest.mark.parametrize("name", ["llama", "llama_tied", "qwen2", "qwen3", "gpt2", "gpt_neox", "opt", "phi3", "gemma2"])
@pytest.mark.parametrize("eof_layer", [-1, 0, 2])
def test_projected_flops_are_those_a_counter_finds(name: str, eof_layer: int) -> None:
    model = made(name, "eager")
    one = loaded(model)
    frozen(model, one.stacks[0].blocks, eof_layer)
    shape = TrainingShape(batch_size=2, sequence_tokens=12, response_tokens=5, dtype="float32")
    ids = torch.randint(3, 300, (2, 12))
    assert step_flops(one.info, eof_layer, shape, counted=True) == counted(model, ids, 5)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
@pytest.mark.parametrize("name", ["llama", "qwen3", "gpt2", "gpt_neox"])
@pytest.mark.parametrize("eof_layer", [-1, 1])
def test_projected_flops_of_adapters_are_those_a_counter_finds(name: str, eof_layer: int) -> None:
    model = made(name, "eager")
    info, n_blocks = loaded(model).info, loaded(model).info.stacks[0].n_blocks
    targets = sorted({path.rpartition(".")[2] for path, _ in matrices(model)})
    config = LoraConfig(
        r=4, target_modules=targets, layers_to_transform=list(range(eof_layer + 1, n_blocks)), fan_in_fan_out=name == "gpt2"
    )
    adapted = get_peft_model(model, config)
    shape = TrainingShape(method="lora", batch_size=2, sequence_tokens=12, response_tokens=5, lora_rank=4, dtype="float32")
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    stack = info.stacks[0]
    assert trained == sum(adapter_parameters(parts_of(info, stack, block), 4) for block in stack.blocks[eof_layer + 1 :])
    assert step_flops(info, eof_layer, shape, counted=True) == counted(adapted.get_base_model(), torch.randint(3, 300, (2, 12)), 5)


def test_freezing_saves_what_the_cost_model_says() -> None:
    """Two thirds of a block's six N, and all of it but for the weights once the head and the scores are left aside."""
    shape = TrainingShape(batch_size=1, sequence_tokens=1, response_tokens=1)
    headless = LLAMA_2_7B.model_copy(update={"head_flops_per_token": 0})
    full, half = step_flops(headless, -1, shape), step_flops(headless, 15, shape)
    assert 1 - half / full == pytest.approx((4 / 6) * 0.5)
    assert step_flops(headless, 15, shape, cached=True) == pytest.approx(full / 2)


def test_adapters_alone_save_at_most_half() -> None:
    shape = TrainingShape(method="lora", batch_size=1, sequence_tokens=1, response_tokens=1, lora_rank=1)
    headless = LLAMA_2_7B.model_copy(update={"head_flops_per_token": 0})
    assert 1 - step_flops(headless, 30, shape) / step_flops(headless, -1, shape) == pytest.approx(0.5, abs=0.03)


def test_only_judged_tokens_go_through_the_head() -> None:
    all_tokens, few = TrainingShape(), TrainingShape(response_tokens=100)
    saved = step_flops(LLAMA_2_7B, 3, all_tokens) - step_flops(LLAMA_2_7B, 3, few)
    assert saved == 8 * 412 * 2 * LLAMA_2_7B.head_flops_per_token
    assert judged_tokens(TrainingShape(response_tokens=9999)) == 8 * 512


def test_a_window_and_a_causal_mask_make_attention_cheaper() -> None:
    model, shape = make_model(4, window=16), TrainingShape(sequence_tokens=256)
    assert step_flops(model, 0, shape) < step_flops(make_model(4), 0, shape) < step_flops(make_model(4), 0, shape, counted=True)


@given(st.integers(2, 12), st.sampled_from(["full", "lora"]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_every_further_frozen_layer_makes_a_step_cheaper(n_blocks: int, method: str, cached: bool) -> None:
    model, shape = make_model(n_blocks), TrainingShape.model_validate({"method": method})
    costs = [step_flops(model, eof, shape, cached=cached) for eof in range(-1, n_blocks - 1)]
    assert all(later < earlier for earlier, later in pairwise(costs))
    assert all(step_flops(model, eof, shape, cached=True) <= step_flops(model, eof, shape) for eof in range(-1, n_blocks - 1))


@pytest.mark.parametrize("eof_layer", [-2, 3, 4])
def test_a_step_in_which_nothing_trains_is_refused(eof_layer: int) -> None:
    with pytest.raises(PlanError, match="it is -1 \\(none\\) to 2"):
        step_flops(make_model(4), eof_layer, TrainingShape())
