"""Tiny models and encoded workloads for the profiling tests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from analysis.contracts import ModelSource, TokenCounts, WorkloadInfo
from analysis.models.stack import Identity, LoadedModel, assemble
from analysis.workload import PROMPT, RESPONSE, TEMPLATE, EncodedExample, EncodedWorkload

VOCABULARY = 96


def tiny_llama(n_blocks: int = 4, width: int = 32, seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=n_blocks,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


def loaded(model: PreTrainedModel) -> LoadedModel:
    info, stacks = assemble(model, Identity("tiny", ModelSource(kind="folder", location="tiny"), "c0ffee", model.dtype))
    return LoadedModel(model, info, stacks, Path("."), model.device, model.dtype)


def examples(n: int = 12, *, longest: int = 24, slices: tuple[str, ...] = ("a", "b"), seed: int = 0) -> list[EncodedExample]:
    generator = np.random.default_rng(seed)
    made = []
    for number in range(n):
        length = int(generator.integers(9, longest + 1))
        kinds = np.full(length, PROMPT, dtype=np.uint8)
        kinds[:3] = TEMPLATE
        kinds[length - 4 : length - 1] = RESPONSE
        kinds[-1] = TEMPLATE
        made.append(
            EncodedExample(
                example_id=hashlib.sha256(f"{seed}-{number}".encode()).hexdigest(),
                slice=slices[number % len(slices)],
                weight=1.0 + number % 3,
                critical=False,
                input_ids=generator.integers(1, VOCABULARY, length),
                kinds=kinds,
                n_cut=0,
                excerpt=f"prompt {number}",
            )
        )
    return sorted(made, key=lambda example: example.example_id)


def encoded(made: list[EncodedExample]) -> EncodedWorkload:
    tokens = sum(len(example.input_ids) for example in made)
    info = WorkloadInfo(
        name="tiny",
        content_hash="f" * 64,
        files=(),
        n_examples=len(made),
        n_calibration=len(made),
        n_verification=0,
        n_with_response=len(made),
        slices=(),
    )
    counts = TokenCounts(n_examples=len(made), n_tokens=tokens, n_prompt=tokens, n_response=0, n_template=0)
    return EncodedWorkload(info=info, examples=tuple(made), counts=counts, slice_tokens={})
