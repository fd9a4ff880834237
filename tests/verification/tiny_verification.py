"""A tiny saved model, a small workload file and plans, for the verification tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from analysis.contracts import ModelInfo, ModelRef, ModelSource, Plan, Provenance, Skip, Unit, VerificationSettings, VerifyRequest

WORDS = ("<unk>", "<s>", "</s>", "pass", "fail", "bolt", "gear", "shaft", "valve", "ok", "late", "order", "ship", "price", "mail", "now")
QUICK = VerificationSettings(device="cpu", cost=False, generate=4, new_tokens=4, replicates=200)


def tiny_llama(n_blocks: int = 4, *, planted: Sequence[int] = (), seed: int = 0) -> PreTrainedModel:
    """A random Llama; the planted blocks pass their input on unchanged."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=n_blocks,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        max_position_embeddings=128,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for block in planted:
            model.model.layers[block].self_attn.o_proj.weight.zero_()
            model.model.layers[block].mlp.down_proj.weight.zero_()
    return model


def save(model: PreTrainedModel, folder: Path) -> ModelSource:
    """The model and a tokenizer of a few words, as a folder."""
    model.save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    fast = tf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<unk>")
    fast.save_pretrained(folder)
    return ModelSource(kind="folder", location=str(folder))


def rows(n: int = 48) -> list[dict[str, Any]]:
    """Prompts of three slices: choices, short responses, and none; every sixth critical."""
    made: list[dict[str, Any]] = []
    for number in range(n):
        words = [WORDS[3 + (number * step + step) % 13] for step in range(1, 6 + number % 4)]
        row: dict[str, Any] = {
            "prompt": " ".join(words) + f" {WORDS[3 + number % 13]}",
            "slice": ("inspection", "mail", "orders")[number % 3],
        }
        if number % 3 == 0:
            row |= {"choices": ["pass", "fail"], "answer": "pass" if number % 2 else "fail"}
        if number % 3 == 1:
            row |= {"response": f"{WORDS[3 + number % 13]} now"}
        made.append(row | ({"critical": True} if number % 6 == 0 else {}))
    return made


def write(folder: Path, records: Sequence[Mapping[str, Any]]) -> str:
    """The records as a workload file."""
    path = folder / "workload.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return str(path)


def plan_for(info: ModelInfo, blocks: Sequence[int], *, unit: Unit = "block") -> Plan:
    """A plan that skips these."""
    ref = ModelRef(
        name=info.name,
        source=info.source,
        commit=info.commit,
        architecture=info.architecture,
        n_blocks=info.stacks[0].n_blocks,
        stack=info.stacks[0].name,
    )
    return Plan(
        name="test", model=ref, operations=(Skip(unit=unit, blocks=tuple(blocks)),), provenance=Provenance(criterion="test", amount="1")
    )


def request(plan: Plan, path: str, *guardrails: str, settings: VerificationSettings = QUICK) -> VerifyRequest:
    """A request to verify it on a file."""
    return VerifyRequest(model=plan.model.source, workload_paths=(path,), plan=plan, settings=settings, guardrails=guardrails)
