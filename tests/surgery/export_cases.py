"""Tiny models whose configs say something about single layers, so that a wrong cut shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import transformers as tf
from transformers import PreTrainedModel

from tests.models.tiny import VOCAB

N = 6
_ENDS: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_BASE: dict[str, Any] = {"vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": N, "num_attention_heads": 4}
_GROUPED: dict[str, Any] = {**_BASE, "num_key_value_heads": 2, **_ENDS}
_EXPERTS: dict[str, Any] = {"num_experts_per_tok": 2, "experts_implementation": "eager"}
_S, _F = "sliding_attention", "full_attention"


def _deepseek() -> PreTrainedModel:
    latent = {"q_lora_rank": 12, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 6, "v_head_dim": 10, "head_dim": 4}
    experts = {"n_routed_experts": 4, "n_shared_experts": 1, "moe_intermediate_size": 24, "n_group": 2, "topk_group": 1}
    config = tf.DeepseekV3Config(**_BASE, **_ENDS, num_key_value_heads=4, first_k_dense_replace=2, **latent, **experts, **_EXPERTS)
    return tf.DeepseekV3ForCausalLM(config)


def _qwen3_moe(**more: Any) -> PreTrainedModel:
    return tf.Qwen3MoeForCausalLM(tf.Qwen3MoeConfig(**_GROUPED, head_dim=8, num_experts=4, moe_intermediate_size=24, **_EXPERTS, **more))


def _llama4() -> PreTrainedModel:
    config = tf.Llama4TextConfig(
        **_GROUPED,
        head_dim=8,
        intermediate_size_mlp=40,
        num_local_experts=4,
        num_experts_per_tok=1,
        attention_chunk_size=4,
        no_rope_layers=[1, 0, 1, 1, 0, 1],
        moe_layers=[1, 2, 5],
    )
    return tf.Llama4ForCausalLM(config)


def _gemma3n() -> PreTrainedModel:
    config = tf.Gemma3nTextConfig(
        **{**_GROUPED, "intermediate_size": [48] * N},
        head_dim=8,
        sliding_window=4,
        vocab_size_per_layer_input=VOCAB,
        hidden_size_per_layer_input=4,
        num_kv_shared_layers=2,
        laurel_rank=4,
        layer_types=[_S, _F, _S, _F, _S, _F],
        activation_sparsity_pattern=[0.5, 0.0, 0.0, 0.5, 0.0, 0.0],
    )
    return tf.Gemma3nForCausalLM(config)


def _whole_gemma3() -> PreTrainedModel:
    text = {**_GROUPED, "head_dim": 16, "sliding_window": 4, "layer_types": [_S, _F, _S, _S, _F, _S]}
    vision = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 16,
        "patch_size": 8,
    }
    config = tf.Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=90, boi_token_index=91, eoi_token_index=92
    )
    return tf.Gemma3ForConditionalGeneration(config)


CASES: Mapping[str, Callable[[], PreTrainedModel]] = {
    "gemma3_irregular_windows": lambda: tf.Gemma3ForCausalLM(
        tf.Gemma3TextConfig(**_GROUPED, head_dim=16, sliding_window=4, layer_types=[_S, _F, _S, _S, _F, _S])
    ),
    "gemma3_with_images": _whole_gemma3,
    "qwen2_max_window_layers": lambda: tf.Qwen2ForCausalLM(
        tf.Qwen2Config(**_GROUPED, use_sliding_window=True, sliding_window=4, max_window_layers=3)
    ),
    "qwen3_moe_mlp_only_layers": lambda: _qwen3_moe(mlp_only_layers=[0, 3]),
    "qwen3_moe_sparse_step": lambda: _qwen3_moe(decoder_sparse_step=2),
    "deepseek_dense_first": _deepseek,
    "smollm3_no_rope_layers": lambda: tf.SmolLM3ForCausalLM(tf.SmolLM3Config(**_GROUPED, no_rope_layers=[1, 0, 1, 1, 0, 1])),
    "llama4_layers_of_three_kinds": _llama4,
    "gpt_oss_irregular_windows": lambda: tf.GptOssForCausalLM(
        tf.GptOssConfig(**_GROUPED, head_dim=8, num_local_experts=4, sliding_window=4, layer_types=[_S, _F, _F, _S, _F, _S], **_EXPERTS)
    ),
    "cohere2_pattern": lambda: tf.Cohere2ForCausalLM(tf.Cohere2Config(**_GROUPED, sliding_window=4)),
    "exaone4_pattern": lambda: tf.Exaone4ForCausalLM(tf.Exaone4Config(**_GROUPED, sliding_window=4, sliding_window_pattern=3)),
    "modernbert_every_third": lambda: tf.ModernBertForMaskedLM(
        tf.ModernBertConfig(**_BASE, **_ENDS, cls_token_id=1, sep_token_id=2, global_attn_every_n_layers=3, local_attention=4)
    ),
    "gpt_neo_kinds": lambda: tf.GPTNeoForCausalLM(
        tf.GPTNeoConfig(
            vocab_size=VOCAB,
            hidden_size=32,
            num_layers=N,
            num_heads=4,
            max_position_embeddings=96,
            attention_types=[[["global", "local"], 3]],
            window_size=4,
            **_ENDS,
        )
    ),
    "gpt2_scaled_by_depth": lambda: tf.GPT2LMHeadModel(
        tf.GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=N, n_head=4, n_positions=96, scale_attn_by_inverse_layer_idx=True, **_ENDS)
    ),
    "gemma3n_shared_caches": _gemma3n,
    "bert_model": lambda: tf.BertModel(tf.BertConfig(**_BASE, max_position_embeddings=96)),
    "bert_classifier": lambda: tf.BertForSequenceClassification(tf.BertConfig(**_BASE, max_position_embeddings=96, num_labels=N)),
    "llama_bare": lambda: tf.LlamaModel(tf.LlamaConfig(**_GROUPED)),
    "gptj": lambda: tf.GPTJForCausalLM(
        tf.GPTJConfig(vocab_size=VOCAB, n_embd=32, n_layer=N, n_head=4, n_positions=96, rotary_dim=4, **_ENDS)
    ),
    "mpt": lambda: tf.MptForCausalLM(tf.MptConfig(vocab_size=VOCAB, d_model=32, n_layers=N, n_heads=4, max_seq_len=96, **_ENDS)),
    "bart": lambda: tf.BartForConditionalGeneration(
        tf.BartConfig(
            vocab_size=VOCAB,
            d_model=32,
            encoder_layers=N,
            decoder_layers=4,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=48,
            decoder_ffn_dim=48,
            max_position_embeddings=96,
            decoder_start_token_id=1,
            forced_eos_token_id=None,
            **_ENDS,
        )
    ),
}
