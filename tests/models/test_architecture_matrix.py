"""Every supported architecture: its layers found, their halves proved, its numbers exact."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

sys.path.insert(0, str(Path(__file__).parent))
from tiny import TINY, VOCAB, build, save_tokenizer

from analysis.contracts import ModelSource, StackInfo
from analysis.errors import ModelError
from analysis.models.load import describe_model, load_model
from analysis.models.stack import EncoderThenDecoder, Identity, Stack, SubBlockTaps, Tap, assemble, find_stacks
from analysis.models.structure import parts_of

IDENTITY = Identity("tiny", ModelSource(kind="folder"), "c0ffee")
ENCODERS = {"bert", "distilbert", "modernbert", "vit"}
TWO_STACKS = {"t5", "whisper"}
NO_PROMPTS = {"whisper", "vit"}
LAYOUTS = {
    "phi": "parallel",
    "gpt_neox": "parallel",
    "falcon": "parallel",
    "falcon_new": "parallel",
    "gemma2": "sandwich_norm",
    "gemma3": "sandwich_norm",
    "olmo2": "post_norm",
    "opt_post_norm": "post_norm",
    "bert": "post_norm",
    "distilbert": "post_norm",
}
PLACES = {
    "gemma2": ["pre_feedforward_layernorm input"],
    "gemma3": ["pre_feedforward_layernorm input"],
    "phi": ["self_attn output", "mlp output"],
    "gpt_neox": ["attention output", "post_mlp_dropout output"],
    "falcon": ["self_attention output", "mlp output"],
    "falcon_new": ["self_attention output", "mlp output"],
    "gpt2": ["ln_2 input"],
    "opt": ["final_layer_norm input"],
    "opt_post_norm": ["self_attn_layer_norm output"],
    "bloom": ["self_attention output"],
    "olmo2": ["mlp input"],
    "bert": ["attention output"],
    "distilbert": ["sa_layer_norm output"],
    "modernbert": ["mlp_norm input"],
    "t5 encoder": ["layer.0 output"],
    "t5 decoder": ["layer.0 output", "layer.1 output"],
    "whisper encoder": ["final_layer_norm input"],
    "whisper decoder": ["encoder_attn_layer_norm input", "final_layer_norm input"],
    "vit": ["layernorm_after input"],
}
WINDOWS = {
    "gemma2": [4, None, 4],
    "gemma3": [4, 4, None],
    "mistral": [4, 4, 4],
    "gpt_oss": [4, None, 4],
    "modernbert": [None, 5, 5],
}
EXPANDED_CACHE = {"falcon_new"}  # repeats its two key-value heads for all four heads before caching them
N_TOKENS = 7


@pytest.fixture(scope="module", params=list(TINY))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(name: str) -> PreTrainedModel:
    return build(name)


def run(stack: Stack, **more: object) -> object:
    """A stack over a few random tokens, or over an image or a sound."""
    config, generator = stack.root.config, torch.Generator().manual_seed(1)
    with torch.no_grad():
        if stack.info.path == "vit.layers":
            return stack.root(torch.randn(1, 3, 16, 16, generator=generator))
        if stack.info.path == "model.encoder.layers":
            return stack.root(torch.randn(1, 8, 16, generator=generator))
        ids = torch.randint(3, VOCAB, (1, N_TOKENS), generator=generator)
        if isinstance(stack.root, EncoderThenDecoder):
            states = torch.randn(1, N_TOKENS, config.d_model, generator=generator)
            return stack.root.decoder(input_ids=ids, encoder_hidden_states=states, **more)
        return stack.root(input_ids=ids, **more)


def test_its_layers_are_found_in_order_and_named(name: str, model: PreTrainedModel) -> None:
    stacks = find_stacks(model)
    if name in TWO_STACKS:
        assert [stack.info.name for stack in stacks] == ["encoder", "decoder"]
        assert [stack.info.causal for stack in stacks] == [False, True]
    else:
        assert [stack.info.name for stack in stacks] == ["encoder" if name in ENCODERS else "decoder"]
        assert [stack.info.causal for stack in stacks] == [name not in ENCODERS]
        assert stacks[0].info.n_blocks == 3
    for stack in stacks:
        assert list(stack.blocks) == list(model.get_submodule(stack.info.path).children())


def test_causal_means_that_a_token_does_not_see_later_ones(name: str, model: PreTrainedModel) -> None:
    if name in NO_PROMPTS:
        pytest.skip("takes no tokens")
    stack = find_stacks(model)[0]
    ids = torch.randint(3, VOCAB, (1, N_TOKENS), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        first = stack.root(input_ids=ids)[0][0, 0]
        ids[0, 2] = (ids[0, 2] + 1) % VOCAB
        moved = not torch.allclose(first, stack.root(input_ids=ids)[0][0, 0], atol=1e-6)
    assert moved is not stack.info.causal


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_taps_split_every_block_into_attention_and_mlp(name: str, model: PreTrainedModel, dtype: torch.dtype) -> None:
    model.to(dtype)
    try:
        for stack in find_stacks(model):
            assert {tap.layout for tap in stack.taps} == {LAYOUTS.get(name, "pre_norm")}
            for block, taps in zip(stack.blocks, stack.taps, strict=True):
                assert (taps.mlp_start is not None) == (parts_of(block).cross_attention is not None)
                check_split(stack, block, taps, tolerance=1e-4 if dtype == torch.float32 else 0.1)
    finally:
        model.to(torch.float32)


def test_mid_stands_where_reading_the_code_puts_it(name: str, model: PreTrainedModel) -> None:
    """The proof knows no names; this table was read off the architectures' own code."""
    for stack in find_stacks(model):
        paths = {module: path for path, module in stack.blocks[1].named_modules()}
        seen = [f"{paths[tap.module]} {tap.side}" for tap in places(stack.taps[1])]
        assert seen == PLACES.get(f"{name} {stack.info.name}", PLACES.get(name, ["post_attention_layernorm input"]))


def places(taps: SubBlockTaps) -> list[Tap]:
    return [tap for tap in (taps.mid, taps.mlp_start, taps.attention, taps.mlp) if tap is not None]


def check_split(stack: Stack, block: nn.Module, taps: SubBlockTaps, tolerance: float) -> None:
    """On other tokens than the proof's: leaving the MLP out ends the block at `mid`, and parallel branches add up."""
    seen: dict[str, torch.Tensor] = {}
    handles = [
        watch(tap, name, seen) for name, tap in (("mid", taps.mid), ("attention", taps.attention), ("mlp", taps.mlp)) if tap is not None
    ]
    handles.append(
        block.register_forward_pre_hook(lambda _, a, k: seen.update(start=first(a or tuple(k.values())).clone()), with_kwargs=True)
    )
    handles.append(block.register_forward_hook(lambda _, __, output: seen.update(end=first(output).clone())))
    run_cast(stack)
    for handle in handles:
        handle.remove()
    start, end = seen["start"], seen["end"]
    if taps.layout == "parallel":
        total = start + seen["attention"].view_as(start) + seen["mlp"].view_as(start)
        assert torch.allclose(total, end, atol=tolerance * float(end.abs().max()))
    else:
        mid = seen["mid"].view_as(start)
        assert not torch.equal(mid, start)
        assert not torch.equal(mid, end)


def run_cast(stack: Stack) -> None:
    """Runs the stack in its own number format."""
    dtype = next(stack.root.parameters()).dtype
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        run(stack)
    finally:
        torch.set_default_dtype(before)


def watch(tap: Tap, name: str, seen: dict[str, torch.Tensor]) -> torch.utils.hooks.RemovableHandle:
    if tap.side == "output":
        return tap.module.register_forward_hook(lambda _, __, output: seen.update({name: first(output).clone()}))
    return tap.module.register_forward_pre_hook(
        lambda _, a, k: seen.update({name: first(a or tuple(k.values())).clone()}), with_kwargs=True
    )


def first(value: object) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else first(value[0])  # type: ignore[index]


def test_parameters_and_bytes_are_exact(name: str, model: PreTrainedModel) -> None:
    info, stacks = assemble(model, IDENTITY)
    assert info.n_parameters == sum(parameter.numel() for parameter in model.parameters())
    assert info.weight_bytes == 4 * info.n_parameters
    for stack in stacks:
        for block, blockinfo in zip(stack.blocks, stack.info.blocks, strict=True):
            assert blockinfo.n_parameters == sum(parameter.numel() for parameter in block.parameters())
            assert blockinfo.attention is not None
            assert blockinfo.mlp is not None
            halves = [half.n_parameters for half in (blockinfo.attention, blockinfo.mlp, blockinfo.cross_attention) if half]
            matrices = sum(parameter.numel() for parameter in block.parameters() if parameter.dim() > 1)
            assert matrices <= sum(halves) <= blockinfo.n_parameters
            assert blockinfo.attention.attention_window == WINDOWS.get(name, [None] * 3)[blockinfo.index]


def test_bytes_are_the_checkpoints_whatever_format_the_model_runs_in(model: PreTrainedModel) -> None:
    own = assemble(model, Identity("tiny", ModelSource(kind="folder"), "c0ffee", torch.bfloat16))[0]
    assert (own.dtype, own.weight_bytes) == ("bfloat16", 2 * own.n_parameters)
    assert own.stacks[0].blocks[0].weight_bytes == 2 * own.stacks[0].blocks[0].n_parameters


def test_a_description_without_weights_gives_the_same_numbers(model: PreTrainedModel) -> None:
    with torch.device("meta"):
        hollow = type(model)._from_config(model.config, dtype=torch.float32)
    described, stacks = assemble(hollow, IDENTITY)
    known = assemble(model, IDENTITY)[0]
    assert described == known.model_copy(update={"stacks": tuple(stack.model_copy(update={"layout": "unknown"}) for stack in known.stacks)})
    assert all(tap == SubBlockTaps("unknown") for stack in stacks for tap in stack.taps)


def test_flops_are_exact(name: str, model: PreTrainedModel) -> None:
    # eager, because the counter does not see fused attention on a CPU
    counted = type(model)._from_config(model.config, attn_implementation="eager", dtype=torch.float32).eval()
    for stack in find_stacks(counted):
        lengths: list[int] = []
        handle = stack.blocks[0].register_forward_pre_hook(
            lambda _, a, k, seen=lengths: seen.append(first(a or tuple(k.values())).shape[1]), with_kwargs=True
        )
        counter = FlopCounterMode(display=False)
        with counter:
            run(stack)
        handle.remove()
        flops, root = counter.get_flop_counts(), stack.root.decoder if isinstance(stack.root, EncoderThenDecoder) else stack.root
        paths = {module: path for path, module in root.named_modules()}
        for block, expected in zip(stack.blocks, flops_of(stack.info, lengths[0]), strict=True):
            assert sum(flops[f"{type(root).__name__}.{paths[block]}"].values()) == expected


def flops_of(stack: StackInfo, n: int) -> list[int]:
    """FLOPs of n tokens that all look at each other (and at n tokens of an encoder), block by block."""
    halves = [[half for half in (block.attention, block.mlp, block.cross_attention) if half] for block in stack.blocks]
    return [sum(n * half.linear_flops_per_token + n * n * half.flops_per_token_per_context for half in block) for block in halves]


def test_head_flops_are_exact(name: str, model: PreTrainedModel) -> None:
    info, stacks = assemble(model, IDENTITY)
    if name in NO_PROMPTS or name in TWO_STACKS:
        assert (info.head_flops_per_token > 0) == (name != "vit")
        return
    ids, counter, inner = torch.arange(3, 3 + N_TOKENS)[None], FlopCounterMode(display=False), FlopCounterMode(display=False)
    with torch.no_grad():
        with counter:
            model(input_ids=ids)
        with inner:
            stacks[0].root(input_ids=ids)
    assert counter.get_total_flops() - inner.get_total_flops() == N_TOKENS * info.head_flops_per_token


def test_cache_bytes_are_those_of_the_cache(name: str, model: PreTrainedModel) -> None:
    stack = find_stacks(model)[-1]
    if not stack.info.causal:
        assert all(block.attention and block.attention.kv_bytes_per_token == 0 for block in stack.info.blocks)
        return
    cache = run(stack, use_cache=True).past_key_values  # type: ignore[attr-defined]
    cache = getattr(cache, "self_attention_cache", cache)
    for layer, block in zip(cache.layers, stack.info.blocks, strict=True):
        cached = (layer.keys.nbytes + layer.values.nbytes) / layer.keys.shape[-2]
        assert block.attention is not None
        assert block.attention.kv_bytes_per_token == (cached / 2 if name in EXPANDED_CACHE else cached)


def test_what_reads_no_text_is_described_and_says_why_it_is_not_profiled(name: str, model: PreTrainedModel) -> None:
    refusal = assemble(model, IDENTITY)[0].refusal
    assert (refusal is not None) == (name in NO_PROMPTS)
    assert refusal is None or "not profiled on prompts" in refusal.in_english()


def test_it_loads_from_a_folder_and_is_described_alike(
    name: str, model: PreTrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    folder = tmp_path / name
    model.save_pretrained(folder)
    save_tokenizer(folder)
    source = ModelSource(kind="folder", location=str(folder))
    described, loaded = describe_model(source), load_model(source, device="cpu")
    assert described.info.n_parameters == loaded.info.n_parameters == sum(parameter.numel() for parameter in model.parameters())
    assert described.info.commit == loaded.info.commit
    assert (loaded.tokenizer_folder is None) == (name in NO_PROMPTS)
    weights = dict(loaded.model.named_parameters())
    assert all(torch.equal(parameter, weights[path]) for path, parameter in model.named_parameters())


def test_an_encoder_decoder_is_profiled_with_the_decoder_reading_the_encoder() -> None:
    encoder, decoder = find_stacks(build("t5"))
    assert isinstance(decoder.root, EncoderThenDecoder)
    calls: list[int] = []
    handles = [stack.blocks[0].register_forward_hook(lambda *_: calls.append(1)) for stack in (encoder, decoder)]
    with torch.no_grad():
        states = decoder.root(input_ids=torch.arange(3, 9)[None], attention_mask=torch.ones(1, 6, dtype=torch.long), use_cache=False)[0]
    for handle in handles:
        handle.remove()
    assert calls == [1, 1]
    assert states.shape == (1, 6, 32)


def test_a_block_whose_inside_is_not_plain_addition_is_declined_in_words() -> None:
    model = build("llama")
    for block in model.model.layers:
        block.mlp.register_forward_hook(lambda _, __, output: output * 1.5)
        block.register_forward_hook(lambda _, __, output: output * 0.5)
    taps = find_stacks(model)[0].taps
    assert all(tap.layout == "unknown" and tap.mid is None and tap.note is not None for tap in taps)
    assert assemble(model, IDENTITY)[0].notes[0].in_english().startswith("Inside LlamaDecoderLayer")


@pytest.mark.parametrize(("kind", "places"), [("Bert", 66), ("Roberta", 64)])
def test_the_longest_prompt_is_what_the_table_of_places_holds(kind: str, places: int) -> None:
    import transformers as tf

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    config = getattr(tf, f"{kind}Config")(vocab_size=96, max_position_embeddings=66, **sizes)
    model = getattr(tf, f"{kind}Model")(config).eval()
    assert assemble(model, IDENTITY)[0].max_context_tokens == places
    with torch.no_grad():
        assert model(input_ids=torch.full((1, places), 7)).last_hidden_state.shape == (1, places, 32)


def test_beside_an_image_tower_the_text_comes_first() -> None:
    import transformers as tf

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = tf.Gemma3TextConfig(vocab_size=VOCAB, num_key_value_heads=2, head_dim=8, bos_token_id=1, eos_token_id=2, **sizes)
    image = tf.SiglipVisionConfig(image_size=16, patch_size=4, **sizes)
    config = tf.Gemma3Config(text_config=text, vision_config=image, mm_tokens_per_image=4, image_token_index=95)
    stacks = find_stacks(tf.Gemma3ForConditionalGeneration(config).eval())
    assert [(stack.info.name, stack.info.layout) for stack in stacks] == [("decoder", "sandwich_norm"), ("encoder", "pre_norm")]


def test_blocks_that_change_nothing_do_not_confuse_the_proof() -> None:
    model = build("llama")
    for block in (model.model.layers[0], model.model.layers[1]):
        for matrix in (block.self_attn.o_proj, block.mlp.down_proj):
            nn.init.zeros_(matrix.weight)
    taps = find_stacks(model)[0].taps
    assert [tap.mid and tap.mid.module for tap in taps] == [block.post_attention_layernorm for block in model.model.layers]


def test_a_model_that_repeats_its_layers_is_refused() -> None:
    model = build("llama")
    block = model.model.layers[0]
    inner = block.forward

    def twice(*args: object, **kwargs: object) -> object:
        block.forward = inner
        block(*args, **kwargs)
        return inner(*args, **kwargs)

    block.forward = twice
    with pytest.raises(ModelError, match="does not run each of its layers once"):
        find_stacks(model)


def test_a_model_without_a_stack_is_refused_with_what_was_found() -> None:
    with pytest.raises(ModelError, match="not a transformers model"):
        find_stacks(nn.Linear(2, 2))
    from transformers import MobileNetV1Config, MobileNetV1Model

    config = MobileNetV1Config(depth_multiplier=0.25)
    with pytest.raises(ModelError, match=r"No stack of like layers was found in MobileNetV1Model.*MobileNet"):
        find_stacks(MobileNetV1Model(config))
