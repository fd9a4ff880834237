"""Projected memory against the tensors that are really alive during a prefill, told by every operation's storages."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as tf
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import PreTrainedModel

from analysis.contracts.search import UnitSet
from analysis.errors import InputError
from analysis.planning import project
from analysis.planning.memory import kv_bytes, peak_memory, weight_bytes, working_bytes
from analysis.surgery.skip import left_out
from tests.builders import make_model
from tests.models.tiny import build
from tests.profiling.tiny import loaded

SIZES: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}
PLAIN = {name: value for name, value in SIZES.items() if name != "num_key_value_heads"} | {"bos_token_id": 1, "eos_token_id": 2}
MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**SIZES)),
    "llama_without_groups": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**SIZES | {"num_key_value_heads": 6})),
    "qwen3": lambda: tf.Qwen3ForCausalLM(tf.Qwen3Config(**SIZES, head_dim=16)),
    "sliding": lambda: tf.MistralForCausalLM(tf.MistralConfig(**SIZES, sliding_window=32)),
    "two_windows": lambda: tf.Gemma3ForCausalLM(tf.Gemma3TextConfig(**SIZES, head_dim=16, sliding_window=32)),
    "plain_mlp": lambda: tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**PLAIN | {"intermediate_size": 384})),
    "written_out_gelu": lambda: tf.PhiForCausalLM(tf.PhiConfig(**PLAIN | {"intermediate_size": 384})),
}


class Live(TorchDispatchMode):
    """Bytes of all storages that operations made and that are still held, now and at most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def ignore(self, *tensors: torch.Tensor) -> None:
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self._known[storage._cdata] = weakref.ref(storage)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._meet(tensor.untyped_storage())
        self.most = max(self.most, self.now)
        return out

    def _meet(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known and self._known[key]() is storage:
            return

        def gone(_: object) -> None:
            self.now -= size
            del self._known[key]

        self.now += size
        self._known[key] = weakref.ref(storage, gone)


@torch.no_grad()
def alive_in_a_prefill(model: PreTrainedModel, batch_size: int, length: int) -> int:
    ids = torch.randint(3, 400, (batch_size, length))
    model(input_ids=ids[:, :4])
    held = []
    with Live() as live:
        live.ignore(ids, *model.parameters(), *model.buffers())
        held.append(model(input_ids=ids, use_cache=True, logits_to_keep=1))
    return live.most + ids.nbytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", list(MODELS))
def test_cache_and_activations_are_within_three_percent_of_what_is_alive(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().to(dtype).eval()
    projected = working_bytes(loaded(model).info, context_tokens=128, batch_size=2)
    assert projected == pytest.approx(alive_in_a_prefill(model, 2, 128), rel=0.03)


@pytest.mark.parametrize(
    "removed",
    [
        (("block", 1), ("block", 4)),
        (("attention", 0), ("attention", 5)),
        tuple(("mlp", block) for block in range(6)),
        (("mlp", 5), ("block", 2)),
    ],
)
def test_the_same_with_units_left_out(removed: UnitSet) -> None:
    torch.manual_seed(0)
    model = loaded(MODELS["llama"]().to(torch.bfloat16).eval())
    with left_out(model.stack(), removed):
        alive = alive_in_a_prefill(model.model, 2, 128)
    assert working_bytes(model.info, removed, context_tokens=128, batch_size=2) == pytest.approx(alive, rel=0.03)


@pytest.mark.parametrize("name", ["llama", "mistral", "gemma3", "gpt_oss", "deepseek_v3", "gpt2"])
def test_cache_bytes_are_those_of_the_caches_tensors(name: str) -> None:
    from analysis.verification.passes import Requests, cache_bytes

    model = loaded(build(name))
    requests = Requests(model, model.stack())
    for removed in ((), (("block", 1),), (("attention", 2), ("mlp", 0))):
        for length in (2, 3, 4, 11):  # around the window of 4
            with left_out(model.stack(), removed):
                counted = cache_bytes(requests.read(requests.prompt(2, length))[1])
            assert counted == kv_bytes(model.info, removed, context_tokens=length, batch_size=2)


def test_a_number_format_other_than_the_checkpoints_scales_everything() -> None:
    info = make_model(6)
    for one in (weight_bytes, kv_bytes):
        sizes: dict[str, Any] = {} if one is weight_bytes else {"context_tokens": 64}
        assert one(info, width=4, **sizes) == 2 * one(info, **sizes)


def test_packed_weights_keep_their_bytes_in_any_format() -> None:
    info = make_model(6)
    packed = info.model_copy(update={"weight_bytes": info.n_parameters // 2})
    assert weight_bytes(packed, width=4) == packed.weight_bytes


def test_pruning_frees_what_the_exact_projection_says() -> None:
    info = make_model(6)
    removed: UnitSet = (("attention", 3), ("block", 1))
    kept, freed = (peak_memory(info, removed, context_tokens=64, pruned=pruned) for pruned in (False, True))
    attention = info.stacks[0].blocks[3].attention
    assert attention is not None
    assert kept - freed == info.stacks[0].blocks[1].weight_bytes + attention.weight_bytes
    assert project(info, (), 64).weight_bytes.before == weight_bytes(info)


def test_more_left_out_never_needs_more() -> None:
    info = make_model(6)
    units = [(unit, block) for block in range(6) for unit in ("attention", "mlp", "block")]
    peaks = [peak_memory(info, tuple(units[:n]), context_tokens=256, pruned=True) for n in range(len(units) + 1)]  # type: ignore[arg-type]
    assert peaks == sorted(peaks, reverse=True)


@pytest.mark.parametrize("wrong", [{"context_tokens": 0}, {"context_tokens": 8, "batch_size": 0}])
def test_a_prompt_of_nothing_is_refused_in_words(wrong: dict[str, int]) -> None:
    for one in (peak_memory, kv_bytes):
        with pytest.raises(InputError, match="Give at least one prompt of at least one token"):
            one(make_model(2), (), **wrong)
