"""Text is generated with units left out: every kind of cache gives what a run without a cache gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import DynamicCache, StaticCache

from analysis.contracts.search import UnitRef
from analysis.surgery.skip import left_out
from tests.surgery.tiny_surgery import DECODERS, build, tokens

NAMED = ("llama", "qwen2", "gemma2", "gemma3", "mistral", "gpt2", "gpt_neox", "falcon", "opt", "bloom", "mixtral", "gpt_oss", "deepseek_v3")
SLIDING = ("gemma2", "gemma3", "mistral", "gpt_oss")
SETS: dict[str, tuple[UnitRef, ...]] = {
    "first block": (("block", 0), ("attention", 2)),
    "mixed": (("attention", 0), ("mlp", 1), ("block", 2)),
    "all attention": (("attention", 0), ("attention", 1), ("attention", 2)),
}
GREEDY: dict[str, Any] = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "max_new_tokens": 5}
CLOSE = {"atol": 1e-4, "rtol": 0.0}  # a right cache differs by rounding, a wrong one by whole numbers


def scores(loaded, ids, **more):
    """The logits behind every generated token: [new tokens, batch, V]."""
    made = loaded.model.generate(ids, output_logits=True, return_dict_in_generate=True, **(GREEDY | more))
    return torch.stack(made.logits)


@pytest.mark.parametrize("removed", SETS.values(), ids=SETS)
@pytest.mark.parametrize("name", DECODERS)
def test_a_cache_gives_what_no_cache_gives(name, removed):
    loaded = build(name)
    with left_out(loaded.stack(), removed):
        without = scores(loaded, tokens(), use_cache=False)
        for more in ({}, {"cache_implementation": "static"}):
            assert torch.allclose(scores(loaded, tokens(), use_cache=True, **more), without, **CLOSE)


def test_the_models_of_the_issue_are_among_the_decoders():
    assert {*NAMED, "smollm3"} <= set(DECODERS)


@pytest.mark.parametrize("removed", SETS.values(), ids=SETS)
@pytest.mark.parametrize("name", SLIDING)
def test_windows_slide_on_far_beyond_their_width(name, removed):
    loaded = build(name)
    assert loaded.model.config.sliding_window == 4
    with left_out(loaded.stack(), removed):
        without = scores(loaded, tokens(14), use_cache=False, max_new_tokens=12)
        for more in ({}, {"cache_implementation": "static"}):
            assert torch.allclose(scores(loaded, tokens(14), max_new_tokens=12, **more), without, **CLOSE)


@pytest.mark.parametrize("name", DECODERS)
def test_a_left_padded_batch_gives_what_each_prompt_gives_alone(name):
    loaded = build(name)
    short, long = tokens(5, first=40), tokens(9)
    batch = torch.cat([torch.nn.functional.pad(short, (4, 0)), long])
    mask = torch.cat([torch.nn.functional.pad(torch.ones_like(short), (4, 0)), torch.ones_like(long)])
    with left_out(loaded.stack(), SETS["mixed"]):
        together = scores(loaded, batch, attention_mask=mask)
        alone = torch.cat([scores(loaded, short), scores(loaded, long)], dim=1)
    assert torch.allclose(together, alone, **CLOSE)


@pytest.mark.parametrize("name", DECODERS)
def test_beam_search_finds_the_same_with_and_without_a_cache(name):
    loaded = build(name, torch.float64)
    with left_out(loaded.stack(), SETS["mixed"]):
        found = [loaded.model.generate(tokens(), num_beams=3, num_return_sequences=3, use_cache=cache, **GREEDY) for cache in (True, False)]
    assert torch.equal(*found)


def test_sampling_with_a_seed_repeats_itself():
    loaded = build("gemma3")
    drawn = []
    for cache in (True, True, False):
        torch.manual_seed(7)
        with left_out(loaded.stack(), SETS["mixed"]):
            drawn.append(loaded.model.generate(tokens(), use_cache=cache, **(GREEDY | {"do_sample": True, "top_k": 20})))
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("removed", SETS.values(), ids=SETS)
@pytest.mark.parametrize("name", ["t5", "whisper"])
def test_an_encoder_decoder_generates_with_its_two_caches(name, removed):
    loaded = build(name)
    stack = loaded.stack("decoder")
    removed = [(unit, min(block, len(stack.blocks) - 1)) for unit, block in removed]
    removed = [(unit, block) for unit, block in removed if name != "t5" or unit == "mlp" or block > 0]
    source: Any = tokens()
    if name == "whisper":
        config = loaded.model.config
        source = torch.randn(1, config.num_mel_bins, 2 * config.max_source_positions, generator=torch.Generator().manual_seed(3))
    start = torch.tensor([[1, 5, 6]])
    with left_out(stack, removed):
        for beams in (1, 3):
            more = GREEDY | {"decoder_input_ids": start, "num_beams": beams}
            assert torch.equal(*(loaded.model.generate(source, use_cache=cache, **more) for cache in (True, False)))


@torch.no_grad()
@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2"])
def test_a_cache_that_was_cropped_goes_on_as_if_nothing_had_been(name):
    loaded = build(name)
    with left_out(loaded.stack(), [("block", 0), ("attention", 2)]):
        cache = DynamicCache(config=loaded.model.config)
        loaded.model(input_ids=tokens(3), past_key_values=cache)
        cache.crop(-2)
        assert cache.get_seq_length() == 1
        after = loaded.model(input_ids=tokens(9)[:, 1:], past_key_values=cache).logits
        whole = loaded.model(input_ids=tokens(9)).logits[:, 1:]
    assert torch.allclose(after, whole, **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["dynamic", "static", "static from the start"])
@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_a_cache_that_the_whole_model_filled_can_be_used_on(name, kind):
    loaded = build(name)
    config = loaded.model.config
    cache = DynamicCache(config=config) if kind == "dynamic" else StaticCache(config=config, max_cache_len=16)
    if kind == "static from the start":
        cache.early_initialization(1, config.num_key_value_heads, config.head_dim, torch.float32, torch.device("cpu"))
    loaded.model(input_ids=tokens(6), past_key_values=cache)
    with left_out(loaded.stack(), [("attention", 0), ("block", 2)]):
        loaded.model(input_ids=tokens(2), past_key_values=cache)
        logits = loaded.model(input_ids=tokens(1), past_key_values=cache).logits
    assert int(cache.get_seq_length()) == 9
    assert logits.isfinite().all()


@torch.no_grad()
def test_what_a_left_out_attention_keeps_in_the_cache_is_next_to_nothing():
    loaded = build("llama")
    cache = DynamicCache(config=loaded.model.config)
    with left_out(loaded.stack(), [("block", 0), ("attention", 1)]):
        loaded.model(input_ids=tokens(9), past_key_values=cache)
    assert [layer.keys.numel() + layer.values.numel() for layer in cache.layers] == [2 * 9, 2 * 9, 2 * 9 * 2 * 8]
