"""What a model is made of, in exact numbers: parameters, bytes, FLOPs and cache of every block and half.

Counted from the modules' shapes, so it works without weights (on the meta device) as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from transformers import PreTrainedModel

from analysis.contracts import BlockInfo, Layout, Message, ModelInfo, ModelSource, StackInfo, SubBlockInfo
from analysis.models.staged import ImageCost, image_cost, staged_stack
from analysis.models.structure import FoundStack, parts_of

_HEADS = ("num_heads", "n_heads", "num_attention_heads", "n_head")
_KV_HEADS = ("num_kv_heads", "num_key_value_heads", "n_kv_heads")
_QK_DIM = ("qk_head_dim", "head_dim", "attention_head_size", "key_value_proj_dim", "head_size")
_V_DIM = ("v_head_dim", *_QK_DIM[1:])
_TOP_K = ("top_k", "num_experts_per_tok", "moe_top_k", "moe_k")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


def describe(
    model: PreTrainedModel,
    stacks: Sequence[FoundStack],
    layouts: Sequence[Layout],
    *,
    name: str,
    source: ModelSource,
    commit: str,
    stored: torch.dtype,
    notes: tuple[Message, ...] = (),
) -> ModelInfo:
    """The anatomy of an instantiated model, with or without weights.

    Args:
        stored: the checkpoint's number format, in which bytes are counted whatever format the model runs in.
    """
    config, text = model.config, model.config.get_text_config()
    measure = partial(_Measure, computed=model.dtype, stored=stored)
    outside = _outside(model, stacks)
    head = _head(model)
    embeddings = list(_embeddings(outside))
    shared = {id(parameter) for parameter in embeddings}
    image = image_cost(model, stacks[0]) if stacks[0].stages else None
    return ModelInfo(
        name=name,
        source=source,
        commit=commit,
        architecture=type(model).__name__,
        hidden_size=text.hidden_sizes[-1] if image else text.hidden_size,
        vocab_size=getattr(text, "vocab_size", 0) or 0,
        max_context_tokens=_max_context(text, outside),
        dtype=str(stored).removeprefix("torch."),
        n_parameters=count(model),
        weight_bytes=measure(config).weigh(model),
        embedding_parameters=sum(p.numel() for p in embeddings),
        head_parameters=sum(p.numel() for p in _unique(head) if id(p) not in shared),
        head_flops_per_token=linear_flops(*head),
        tied_head=any(id(p) in shared for p in _unique(head)),
        image_size=image.image_size if image else None,
        flops_per_image=image.flops if image else 0,
        stacks=tuple(measure(stack.root.config).stack(stack, layout, image) for stack, layout in zip(stacks, layouts, strict=True)),
        refusal=refusal(model),
        notes=notes,
    )


def refusal(model: PreTrainedModel) -> Message | None:
    """Why a model cannot be profiled on prompts; None: it can."""
    if model.main_input_name == "input_ids":
        return None
    return Message(
        id="{architecture} reads {input}, not text. It can be described and planned, but not profiled on prompts.",
        values={"architecture": type(model).__name__, "input": model.main_input_name},
    )


def count(*modules: nn.Module) -> int:
    """Parameters, shared ones once."""
    return sum(parameter.numel() for parameter in _unique(modules))


def linear_flops(*modules: nn.Module) -> int:
    """FLOPs one token costs in weight products: 2 x in x out of each matrix, of experts only those it is sent to."""
    return sum(_linear_flops(module) for module in modules)


def _linear_flops(module: nn.Module, parent: nn.Module | None = None) -> int:
    """Walks down; a list or a stack of experts counts top_k of them."""
    if isinstance(module, nn.Embedding):
        return 0
    if isinstance(getattr(module, "in_features", None), int) and isinstance(getattr(module, "out_features", None), int):
        return 2 * int(module.in_features) * int(module.out_features)  # type: ignore[arg-type]  # also quantised kinds, whose weights are packed
    children = list(module.children())
    if (
        isinstance(module, nn.ModuleList)
        and parent is not None
        and len(children) == _number(parent, _EXPERTS)
        and (k := _number(parent, _TOP_K))
    ):
        return k * _linear_flops(children[0])
    own = sum(_product_flops(parameter, module, parent) for parameter in module.parameters(recurse=False))
    return own + sum(_linear_flops(child, module) for child in children)


def _product_flops(parameter: nn.Parameter, module: nn.Module, parent: nn.Module | None) -> int:
    if parameter.dim() == 2 and not _is_expert_bias(parameter, module):
        return 2 * parameter.numel()
    if parameter.dim() == 3 and parameter.shape[0] == _number(module, _EXPERTS):
        k = (
            _number(module, _TOP_K)
            or (_deep_number(parent, _TOP_K) if parent is not None else None)
            or _number_in_config(module, _TOP_K)
            or 1
        )
        return 2 * parameter.numel() // parameter.shape[0] * k
    return 0


def _is_expert_bias(parameter: nn.Parameter, module: nn.Module) -> bool:
    """gpt-oss keeps its experts' biases as one [experts, out] matrix, which is added, not multiplied."""
    return any(other.dim() == 3 and other.shape[0] == parameter.shape[0] for other in module.parameters(recurse=False))


# -- blocks ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Measure:
    """Counts one stack's blocks. `stored`: what the checkpoint keeps of weights that run in the model's `computed` dtype."""

    config: object
    computed: torch.dtype
    stored: torch.dtype

    def weigh(self, *modules: nn.Module) -> int:
        """Bytes of the parameters as the checkpoint stores them, shared ones once."""
        return sum(p.numel() * (self.stored.itemsize if p.dtype == self.computed else p.element_size()) for p in _unique(modules))

    def stack(self, stack: FoundStack, layout: Layout, image: ImageCost | None) -> StackInfo:
        """A stack with all its blocks; `image`: what one image costs in a stack of stages."""
        causal = stack.causal
        blocks = tuple(self.block(block, index, causal=causal) for index, block in enumerate(stack.blocks))
        counted = StackInfo(name=stack.name, path=stack.path, layout=layout, causal=causal, blocks=blocks)
        return counted if image is None else staged_stack(counted, stack.stages, image)

    def block(self, block: nn.Module, index: int, *, causal: bool) -> BlockInfo:
        """One block and its halves."""
        parts = parts_of(block)
        window = attention_window(self.config, index, parts.attention)
        if window is not None and not causal:
            window = 2 * window - 1  # it looks that far to either side
        return BlockInfo(
            index=index,
            n_parameters=count(block),
            weight_bytes=self.weigh(block),
            attention=None if parts.attention is None else self.attention(parts.attention, window=window, cached=causal),
            mlp=self.half(*parts.mlp) if parts.mlp else None,
            cross_attention=None if parts.cross_attention is None else self.attention(parts.cross_attention, window=None, cached=False),
        )

    def half(self, *modules: nn.Module) -> SubBlockInfo:
        """The weights of one half."""
        return SubBlockInfo(n_parameters=count(*modules), weight_bytes=self.weigh(*modules), linear_flops_per_token=linear_flops(*modules))

    def attention(self, attention: nn.Module, *, window: int | None, cached: bool) -> SubBlockInfo:
        """An attention with what its heads cost and cache. Scores take 2 x heads x qk, the weighted sum 2 x heads x v."""
        heads = _shape(attention, self.config, _HEADS) or 1
        qk = _shape(attention, self.config, _QK_DIM) or int(self.config.hidden_size) // heads  # type: ignore[attr-defined]
        value = _shape(attention, self.config, _V_DIM) or qk
        numbers = _cached_numbers(attention, heads, qk, value) if cached else 0
        return self.half(attention).model_copy(
            update={
                "flops_per_token_per_context": 2 * heads * (qk + value),
                "attention_window": window,
                "kv_bytes_per_token": numbers * self.stored.itemsize,
            }
        )


def _cached_numbers(attention: nn.Module, heads: int, qk: int, value: int) -> int:
    """Numbers a token leaves in the cache: keys and values of every key-value head, or the latent of MLA."""
    latent = next((module for module in attention.modules() if hasattr(module, "expand_kv")), None)
    if latent is not None:  # multi-head latent attention caches what keys and values are expanded from
        return int(latent.kv_lora_rank) + int(latent.qk_rope_head_dim)  # type: ignore[arg-type]
    groups = _deep_number(attention, ("num_key_value_groups",))
    kv_heads = _deep_number(attention, _KV_HEADS) or (heads // groups if groups else None) or heads
    return kv_heads * (qk + value)


def attention_window(config: object, index: int, attention: nn.Module | None) -> int | None:
    """Tokens a block's attention looks at when it is a sliding or chunked one; None: all."""
    kinds = getattr(config, "layer_types", None)
    own = _deep_number(attention, ("sliding_window",)) if attention is not None else None
    if kinds and index < len(kinds):
        if "sliding" in kinds[index]:
            return own or getattr(config, "sliding_window", None)
        return getattr(config, "attention_chunk_size", None) if "chunked" in kinds[index] else None
    if getattr(config, "use_sliding_window", True) is False:
        return None
    return own or getattr(config, "sliding_window", None)


# -- the rest of the model ---------------------------------------------------------------------------------------------


def _outside(model: nn.Module, stacks: Sequence[FoundStack]) -> list[nn.Module]:
    inside = {id(module) for stack in stacks for block in stack.blocks for module in block.modules()}
    return [module for module in model.modules() if id(module) not in inside]


def _head(model: PreTrainedModel) -> list[nn.Module]:
    """What turns states into words: the children beside the base model, when one of them holds the output matrix."""
    output = model.get_output_embeddings()
    if output is None:
        return []
    if model.base_model is model:
        return [output]
    return [child for child in model.children() if not any(module is model.base_model for module in child.modules())]


def _embeddings(outside: Iterable[nn.Module]) -> Iterator[nn.Parameter]:
    """Token, position and type tables, and what turns an image or a sound into tokens."""
    seen: set[int] = set()
    for module in outside:
        if isinstance(module, nn.Embedding) or "embed" in type(module).__name__.lower():
            for parameter in module.parameters():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield parameter


def _max_context(config: object, outside: Iterable[nn.Module]) -> int | None:
    names = ("max_position_embeddings", "n_positions", "max_target_positions", "max_sequence_length", "n_ctx")
    said = next((value for name in names if isinstance(value := getattr(config, name, None), int) and value > 0), None)
    # RoBERTa's kind counts positions from behind the padding's own, so its table holds fewer tokens than it has rows.
    tables = (module for module in outside if isinstance(module, nn.Embedding) and module.num_embeddings == said)
    unused = max((table.padding_idx + 1 for table in tables if table.padding_idx is not None), default=0)
    return None if said is None else said - unused


def _unique(modules: Iterable[nn.Module]) -> Iterator[nn.Parameter]:
    seen: set[int] = set()
    for module in modules:
        for parameter in module.parameters():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield parameter


def _shape(module: nn.Module, config: object, names: Sequence[str]) -> int | None:
    found = _deep_number(module, names)
    return found if found is not None else next((v for name in names if isinstance(v := getattr(config, name, None), int)), None)


def _number(module: nn.Module, names: Sequence[str]) -> int | None:
    """The module's first whole-number attribute of these names."""
    values = (getattr(module, name, None) for name in names)
    return next((value for value in values if isinstance(value, int) and not isinstance(value, bool)), None)


def _deep_number(module: nn.Module, names: Sequence[str]) -> int | None:
    """The same, in the module or anything inside it; earlier names win."""
    for name in names:
        for inner in module.modules():
            if (value := _number(inner, (name,))) is not None:
                return value
    return None


def _number_in_config(module: nn.Module, names: Sequence[str]) -> int | None:
    config = getattr(module, "config", None)
    return next((v for name in names if isinstance(v := getattr(config, name, None), int)), None)
