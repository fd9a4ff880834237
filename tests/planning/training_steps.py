"""Tiny models, and one training step of them with the first blocks frozen, as planning's arithmetic says it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import transformers as tf
from torch import Tensor, nn
from transformers import PreTrainedModel

SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}
PLAIN = {name: value for name, value in SIZES.items() if name != "num_key_value_heads"} | {"bos_token_id": 1, "eos_token_id": 2}
QUIET = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
MODELS: Mapping[str, Callable[..., PreTrainedModel]] = {
    "llama": lambda **more: tf.LlamaForCausalLM(tf.LlamaConfig(**SIZES, **more)),
    "llama_tied": lambda **more: tf.LlamaForCausalLM(
        tf.LlamaConfig(**SIZES | {"num_key_value_heads": 4}, tie_word_embeddings=True, **more)
    ),
    "qwen2": lambda **more: tf.Qwen2ForCausalLM(tf.Qwen2Config(**SIZES, **more)),
    "qwen3": lambda **more: tf.Qwen3ForCausalLM(tf.Qwen3Config(**SIZES, head_dim=16, **more)),
    "gpt2": lambda **more: tf.GPT2LMHeadModel(
        tf.GPT2Config(vocab_size=300, n_embd=64, n_layer=4, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2, **QUIET, **more)
    ),
    "gpt_neox": lambda **more: tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**PLAIN, **more)),
    "opt": lambda **more: tf.OPTForCausalLM(
        tf.OPTConfig(
            vocab_size=300,
            hidden_size=64,
            ffn_dim=256,
            num_hidden_layers=4,
            num_attention_heads=4,
            word_embed_proj_dim=64,
            dropout=0.0,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            **more,
        )
    ),
    "phi3": lambda **more: tf.Phi3ForCausalLM(tf.Phi3Config(**SIZES, bos_token_id=1, eos_token_id=2, **more)),
    "gemma3": lambda **more: tf.Gemma3ForCausalLM(tf.Gemma3TextConfig(**SIZES, head_dim=16, sliding_window=64, **more)),
    "gemma2": lambda **more: tf.Gemma2ForCausalLM(tf.Gemma2Config(**SIZES, head_dim=16, sliding_window=8, **more)),
}


def made(name: str, attention: str) -> PreTrainedModel:
    """A tiny model whose blocks and final norm could train; embeddings and head stay as they are."""
    torch.manual_seed(0)
    return MODELS[name](attn_implementation=attention).train()


def frozen(model: PreTrainedModel, blocks: Sequence[nn.Module], eof_layer: int) -> None:
    """Only blocks after the boundary, and norms outside the blocks, train."""
    inside = {id(p) for block in blocks for p in block.parameters()}
    tables = {id(p) for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
    tables |= {id(p) for p in model.get_output_embeddings().parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) not in inside and id(parameter) not in tables)
    for block in blocks[eof_layer + 1 :]:
        block.requires_grad_(True)


def loss_of(model: PreTrainedModel, ids: Tensor, answers: int, autocast: bool = False, mask: Tensor | None = None) -> Tensor:
    """Loss of the last tokens of every sequence; only those states go through the head."""
    context: AbstractContextManager[Any] = torch.autocast("cpu", dtype=torch.bfloat16) if autocast else nullcontext()
    with context:
        states = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)[0][:, -answers:].flatten(0, 1)
        scores = model.get_output_embeddings()(states)
    return nn.functional.cross_entropy(scores.float(), ids[:, -answers:].flatten())


def matrices(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Path and module of every matrix of the blocks."""
    found = [
        (name, module) for name, module in model.named_modules() if getattr(module, "weight", None) is not None and module.weight.dim() == 2
    ]  # type: ignore[union-attr, operator]
    return [
        (name, module) for name, module in found if not isinstance(module, nn.Embedding) and any(part.isdigit() for part in name.split("."))
    ]
