"""Projections against closed forms."""

from __future__ import annotations

import pytest

from analysis.contracts import BlockInfo, Freeze, ModelInfo, Prune, Skip, SubBlockInfo
from analysis.planning import project
from analysis.planning.projection import mean_looked_at
from tests.builders import make_model

LLAMA_2_7B = make_model(32, hidden=4096, mlp=11008, heads=32, kv_heads=32, vocab=32000, name="Llama-2-7B", kind="hub")


def test_llama_2_7b_costs_what_the_literature_says() -> None:
    block = LLAMA_2_7B.stacks[0].blocks[0]
    assert block.attention is not None
    assert block.mlp is not None
    assert block.attention.linear_flops_per_token / 1e6 == pytest.approx(134.2, abs=0.05)
    assert block.mlp.linear_flops_per_token / 1e6 == pytest.approx(270.5, abs=0.05)
    saved = project(LLAMA_2_7B, (Prune(unit="mlp", blocks=(3,)),), 1).decode_flops_per_token
    assert (saved.before - saved.after) / 1e6 == pytest.approx(270.5, abs=0.05)


def test_one_pruned_layer_takes_its_parameters_flops_and_cache_with_it() -> None:
    length, block = 2048, LLAMA_2_7B.stacks[0].blocks[5]
    projection = project(LLAMA_2_7B, (Prune(blocks=(5,)),), length)
    linear = 2 * (4 * 4096**2 + 3 * 4096 * 11008)
    assert projection.n_blocks.after == 31
    assert projection.n_parameters.before - projection.n_parameters.after == block.n_parameters
    assert projection.weight_bytes.before - projection.weight_bytes.after == block.weight_bytes
    assert projection.prefill_flops_per_token.before == pytest.approx(
        32 * (linear + 4 * 4096 * (length + 1) / 2) + 2 * 32000 * 4096 / length
    )
    assert projection.prefill_flops_per_token.before - projection.prefill_flops_per_token.after == pytest.approx(
        linear + 4 * 4096 * (length + 1) / 2
    )
    assert projection.decode_flops_per_token.before == 32 * (linear + 4 * 4096 * length) + 2 * 32000 * 4096
    assert projection.kv_bytes_per_token.before == 32 * 2 * 4096 * 2
    assert projection.kv_bytes_at_context.after == 31 * 2 * 4096 * 2 * length


def test_removing_attention_removes_its_cache_and_leaves_the_loose_norms() -> None:
    model = make_model(4, loose_norms=1000)
    both = project(model, (Prune(unit="attention", blocks=(1,)), Prune(unit="mlp", blocks=(1,))), 64)
    whole = project(model, (Prune(blocks=(1,)),), 64)
    assert whole.n_parameters.after == both.n_parameters.after - 1000
    assert both.kv_bytes_per_token.after == both.kv_bytes_per_token.before * 3 / 4
    assert both.n_blocks.after == 4
    assert both.prefill_flops_per_token == whole.prefill_flops_per_token


def test_a_unit_named_twice_is_counted_once() -> None:
    model = make_model(4)
    once = project(model, (Prune(blocks=(1,)),), 64)
    assert project(model, (Prune(blocks=(1,)), Prune(unit="attention", blocks=(1,)), Skip(blocks=(1,))), 64) == once


def test_skip_saves_compute_and_cache_but_no_weights() -> None:
    projection = project(make_model(4), (Skip(blocks=(0, 2)),), 64)
    assert projection.weight_bytes.saved_share == 0
    assert projection.n_parameters.saved_share == 0
    assert projection.kv_bytes_at_context.saved_share == 0.5
    assert projection.n_blocks.after == 2


def test_freezing_changes_nothing_when_the_model_runs() -> None:
    projection = project(make_model(4), (Freeze(eof_layer=1),), 64)
    assert projection.decode_flops_per_token.saved_share == 0
    assert projection.n_blocks.after == 4


@pytest.mark.parametrize(("length", "window"), [(1, None), (7, None), (7, 3), (7, 7), (7, 100)])
def test_mean_context_is_the_mean_over_the_prompt(length: int, window: int | None) -> None:
    seen = [min(place, window or place) for place in range(1, length + 1)]
    assert mean_looked_at(length, window, causal=True) == pytest.approx(sum(seen) / length)
    assert mean_looked_at(length, window, causal=False) == min(length, window or length)


def test_a_window_caps_the_cache_and_the_compute() -> None:
    windowed, full = (project(make_model(4, window=window), (Skip(blocks=(0,)),), 1000) for window in (100, None))
    assert windowed.kv_bytes_at_context.before * 1000 == full.kv_bytes_at_context.before * 99  # the new token is the hundredth
    assert windowed.kv_bytes_per_token == full.kv_bytes_per_token
    assert windowed.decode_flops_per_token.before < full.decode_flops_per_token.before


def test_an_encoder_looks_at_everything_and_writes_nothing() -> None:
    encoder = make_model(2, causal=False)
    causal = make_model(2)
    projection, other = (project(model, (Skip(blocks=(0,)),), 101) for model in (encoder, causal))
    assert projection.prefill_flops_per_token.before - other.prefill_flops_per_token.before == 2 * 4 * 9 * 64 * (101 - 51)
    assert projection.decode_flops_per_token.before == 0
    assert projection.kv_bytes_per_token.before == 0


def test_cross_attention_goes_with_its_layer_only() -> None:
    model = _with_cross_attention(make_model(2))
    whole, half = (project(model, (Prune(unit=unit, blocks=(0,)),), 10) for unit in ("block", "attention"))
    assert whole.kv_bytes_per_token.saved_share == 0.5
    assert half.kv_bytes_per_token.saved_share == pytest.approx(0.25, abs=0.25)
    assert half.kv_bytes_per_token.before - half.kv_bytes_per_token.after < whole.kv_bytes_per_token.before - whole.kv_bytes_per_token.after


def _with_cross_attention(model: ModelInfo) -> ModelInfo:
    cross = SubBlockInfo(n_parameters=10, weight_bytes=20, linear_flops_per_token=20, flops_per_token_per_context=4, kv_bytes_per_token=8)
    blocks: tuple[BlockInfo, ...] = tuple(block.model_copy(update={"cross_attention": cross}) for block in model.stacks[0].blocks)
    return model.model_copy(update={"stacks": (model.stacks[0].model_copy(update={"blocks": blocks}),)})
