"""What a trial's steps look like: how long its batches really are, and what a step weighs beside one of full fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from analysis.contracts import TokenCounts, TrainingShape, TrainMethod, TrialSettings
from analysis.models.stack import LoadedModel
from analysis.training.data import learned_tokens, schedule
from analysis.workload import PROMPT, RESPONSE, EncodedExample

_DTYPES: dict[torch.dtype, Literal["float32", "bfloat16", "float16"]] = {
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}


def step_weight(eof_layer: int, n_blocks: int, *, lora: bool = False) -> float:
    """A step's arithmetic as a share of one of full fine-tuning: forward 1, gradients of states 1, of weights 1, per layer.

    >>> step_weight(-1, 10), step_weight(9, 10), step_weight(-1, 10, lora=True)
    (1.0, 0.3333333333333333, 0.6666666666666666)
    """
    trained = (n_blocks - 1 - eof_layer) / n_blocks
    return (1 + (1 if lora else 2) * trained) / 3


def trial_shape(
    loaded: LoadedModel, examples: Sequence[EncodedExample], settings: TrialSettings, *, method: TrainMethod = "full"
) -> TrainingShape:
    """The mean step of this very training: as long as its whole batches are once they are padded."""
    steps = schedule(len(examples), settings.batch_size, settings.seed, epochs=settings.epochs)
    size = max(len(members) for members in steps)
    longest = [max(len(examples[member].input_ids) for member in members) for members in steps if len(members) == size]
    answers = [int(learned_tokens(example).sum()) for example in examples]
    return _shape(loaded, settings, method, size, float(np.mean(longest)), float(np.mean(answers)))


def largest_shape(
    loaded: LoadedModel, examples: Sequence[EncodedExample], settings: TrialSettings, *, method: TrainMethod = "full"
) -> TrainingShape:
    """The pass that takes most memory: the one with most padded tokens, and the most response tokens that any pass has."""
    most = settings.micro_batch or settings.batch_size
    steps = schedule(len(examples), settings.batch_size, settings.seed, epochs=settings.epochs)
    ordered = [sorted(members, key=lambda member: len(examples[member].input_ids)) for members in steps]  # as passes are made up
    passes = [members[start : start + most] for members in ordered for start in range(0, len(members), most)]
    longest = [max(len(examples[member].input_ids) for member in members) for members in passes]
    answers = [sum(int(learned_tokens(examples[member]).sum()) for member in members) for members in passes]
    widest = max(range(len(passes)), key=lambda number: len(passes[number]) * longest[number])
    size = len(passes[widest])
    return _shape(loaded, settings, method, size, longest[widest], max(answers) / size)


def _shape(loaded: LoadedModel, settings: TrialSettings, method: TrainMethod, size: int, length: float, answered: float) -> TrainingShape:
    return TrainingShape(
        method=method,
        batch_size=size,
        sequence_tokens=max(1, round(length)),
        response_tokens=max(1, round(answered)),
        lora_rank=settings.lora_rank,
        dtype=_DTYPES[loaded.dtype],
        weight_bits=32 if loaded.dtype.itemsize == 4 else 16,
        trained_bits=32,
    )


def counts_of(examples: Sequence[EncodedExample], like: TokenCounts) -> TokenCounts:
    """Tokens by kind over some of an encoded half's examples."""
    kinds = np.bincount(np.concatenate([example.kinds for example in examples]), minlength=3)
    return TokenCounts(
        n_examples=len(examples),
        n_tokens=int(kinds.sum()),
        n_prompt=int(kinds[PROMPT]),
        n_response=int(kinds[RESPONSE]),
        n_template=int(kinds[0]),
        n_truncated_examples=sum(1 for example in examples if example.n_cut),
        n_truncated_tokens=sum(example.n_cut for example in examples),
        n_empty=like.n_empty,
        chat_template=like.chat_template,
    )
