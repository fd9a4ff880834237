"""Tiny models of every supported architecture, random weights, built from their configs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedModel

VOCAB = 96
_SMALL: dict[str, Any] = {"vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
_ENDS: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_GROUPED: dict[str, Any] = {**_SMALL, "num_key_value_heads": 2, **_ENDS}
_EXPERTS: dict[str, Any] = {"num_experts_per_tok": 2, "experts_implementation": "eager"}


def _deepseek() -> PreTrainedModel:
    latent = {"q_lora_rank": 12, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 6, "v_head_dim": 10, "head_dim": 4}
    experts = {
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "moe_intermediate_size": 24,
        "n_group": 2,
        "topk_group": 1,
        "first_k_dense_replace": 1,
    }
    return tf.DeepseekV3ForCausalLM(tf.DeepseekV3Config(**_SMALL, **_ENDS, num_key_value_heads=4, **latent, **experts, **_EXPERTS))


def _t5() -> PreTrainedModel:
    config = tf.T5Config(
        vocab_size=VOCAB,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=3,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        **(_ENDS | {"decoder_start_token_id": 0}),
    )
    return tf.T5ForConditionalGeneration(config)


def _whisper() -> PreTrainedModel:
    sizes = {"encoder_layers": 3, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    widths = {"encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_source_positions": 8, "max_target_positions": 16, "num_mel_bins": 8}
    return tf.WhisperForConditionalGeneration(
        tf.WhisperConfig(vocab_size=VOCAB, d_model=32, **sizes, **widths, **_ENDS, decoder_start_token_id=1)
    )


def _falcon(**more: Any) -> PreTrainedModel:
    return tf.FalconForCausalLM(
        tf.FalconConfig(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, alibi=False, **_ENDS, **more)
    )


TINY: Mapping[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**_GROUPED)),
    "qwen2": lambda: tf.Qwen2ForCausalLM(tf.Qwen2Config(**_GROUPED, tie_word_embeddings=True)),
    "qwen3": lambda: tf.Qwen3ForCausalLM(tf.Qwen3Config(**_GROUPED, head_dim=16)),
    "gemma2": lambda: tf.Gemma2ForCausalLM(tf.Gemma2Config(**_GROUPED, head_dim=16, sliding_window=4)),
    "gemma3": lambda: tf.Gemma3ForCausalLM(
        tf.Gemma3TextConfig(
            **_GROUPED, head_dim=16, sliding_window=4, layer_types=["sliding_attention", "sliding_attention", "full_attention"]
        )
    ),
    "mistral": lambda: tf.MistralForCausalLM(tf.MistralConfig(**_GROUPED, sliding_window=4)),
    "phi": lambda: tf.PhiForCausalLM(tf.PhiConfig(**_SMALL, **_ENDS)),
    "phi3": lambda: tf.Phi3ForCausalLM(tf.Phi3Config(**_GROUPED)),
    "gpt2": lambda: tf.GPT2LMHeadModel(tf.GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=3, n_head=4, n_positions=64, **_ENDS)),
    "gpt_neox": lambda: tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**_SMALL, **_ENDS)),
    "gpt_neox_sequential": lambda: tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**_SMALL, **_ENDS, use_parallel_residual=False)),
    "opt": lambda: tf.OPTForCausalLM(
        tf.OPTConfig(
            vocab_size=VOCAB, hidden_size=32, ffn_dim=48, num_hidden_layers=3, num_attention_heads=4, word_embed_proj_dim=32, **_ENDS
        )
    ),
    "opt_post_norm": lambda: tf.OPTForCausalLM(
        tf.OPTConfig(
            vocab_size=VOCAB,
            hidden_size=32,
            ffn_dim=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            word_embed_proj_dim=32,
            do_layer_norm_before=False,
            **_ENDS,
        )
    ),
    "falcon": lambda: _falcon(),
    "falcon_new": lambda: _falcon(new_decoder_architecture=True, num_kv_heads=2),
    "falcon_sequential": lambda: _falcon(parallel_attn=False, multi_query=False),
    "bloom": lambda: tf.BloomForCausalLM(tf.BloomConfig(vocab_size=VOCAB, hidden_size=32, n_layer=3, n_head=4, **_ENDS)),
    "olmo2": lambda: tf.Olmo2ForCausalLM(tf.Olmo2Config(**_GROUPED)),
    "smollm3": lambda: tf.SmolLM3ForCausalLM(tf.SmolLM3Config(**_GROUPED)),
    "gpt_oss": lambda: tf.GptOssForCausalLM(tf.GptOssConfig(**_GROUPED, head_dim=8, num_local_experts=4, sliding_window=4, **_EXPERTS)),
    "mixtral": lambda: tf.MixtralForCausalLM(tf.MixtralConfig(**_GROUPED, num_local_experts=4, **_EXPERTS)),
    "qwen3_moe": lambda: tf.Qwen3MoeForCausalLM(
        tf.Qwen3MoeConfig(**_GROUPED, head_dim=8, num_experts=4, moe_intermediate_size=24, mlp_only_layers=[0], **_EXPERTS)
    ),
    "deepseek_v3": _deepseek,
    "bert": lambda: tf.BertForMaskedLM(tf.BertConfig(**_SMALL, max_position_embeddings=64)),
    "distilbert": lambda: tf.DistilBertForMaskedLM(
        tf.DistilBertConfig(vocab_size=VOCAB, dim=32, hidden_dim=48, n_layers=3, n_heads=4, max_position_embeddings=64)
    ),
    "modernbert": lambda: tf.ModernBertForMaskedLM(
        tf.ModernBertConfig(**_SMALL, **_ENDS, cls_token_id=1, sep_token_id=2, global_attn_every_n_layers=3, local_attention=4)
    ),
    "t5": _t5,
    "whisper": _whisper,
    "vit": lambda: tf.ViTForImageClassification(
        tf.ViTConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=16, patch_size=8)
    ),
}


def build(name: str) -> PreTrainedModel:
    """One of them with weights large enough that every branch shows in the residual stream."""
    torch.manual_seed(0)
    model = TINY[name]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.15)
    return model


def save_tokenizer(folder: Path) -> None:
    """A tokenizer of a few words beside a saved model."""
    words = {word: index for index, word in enumerate(["<unk>", "a", "b", "c"])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder)
