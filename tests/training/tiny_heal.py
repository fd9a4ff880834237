"""A small saved model that has learnt something, plans that cut layers out of it, and prompts that it can heal on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from analysis.contracts import ModelInfo, Plan
from analysis.contracts.healing import HealSettings
from analysis.contracts.plan import HealRequest
from analysis.workload import EncodedExample, Encoder, encode_workload, read_workload
from tests.training import tiny_trial as tt
from tests.verification import tiny_verification as tv

QUICK = HealSettings(
    device="cpu",
    steps=40,
    batch_size=8,
    learning_rates=(1e-2,),
    lora_rank=4,
    lora_alpha=8,
    evaluate_every=10,
    replicates=200,
    max_tokens=64,
)
MATTERS = 0
"""A layer without which the model forgets what it has learnt."""


def save_learnt(folder: Path, path: str, *, n_steps: int = 100) -> Any:
    """A model that answers the prompts of a workload file fairly well, as a folder."""
    model = tv.tiny_llama(4, seed=1)
    source = tv.save(model, folder)
    encoder = Encoder.from_folder(folder)
    examples = encode_workload(read_workload([Path(path)]), encoder, max_tokens=64, chat_template=True, part="all").examples
    _learn(model, [example.input_ids for example in examples], n_steps)
    tv.save(model, folder)
    return source


def _learn(model: PreTrainedModel, texts: Sequence[Any], n_steps: int) -> None:
    width = max(len(ids) for ids in texts)
    ids = torch.tensor(np.stack([np.pad(one, (0, width - len(one))) for one in texts]))
    labels = torch.tensor(np.stack([np.pad(one, (0, width - len(one)), constant_values=-100) for one in texts]))
    mask = (labels >= 0).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(n_steps):
        optimizer.zero_grad()
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        optimizer.step()
    model.eval()


def plan_for(info: ModelInfo, blocks: Sequence[int] = (MATTERS,), **more: Any) -> Plan:
    """A plan that takes layers out."""
    return tv.plan_for(info, blocks, **more)


def request(plan: Plan, path: str | Sequence[str], *, save_folder: str | None = None, **changes: Any) -> HealRequest:
    """A request to heal it on files."""
    paths = (path,) if isinstance(path, str) else tuple(path)
    settings = QUICK.model_copy(update=changes)
    return HealRequest(model=plan.model.source, workload_paths=paths, plan=plan, settings=settings, save_folder=save_folder)


def example(number: int, length: int, *, seed: int = 0, vocabulary: int = 13, answered: int = 0, weight: float = 1.0) -> EncodedExample:
    """A prompt of random tokens; the last so many are its response."""
    ids = np.random.default_rng([seed, number]).integers(3, 3 + vocabulary, length)
    kinds = np.ones(length, dtype=np.uint8)
    kinds[length - answered :] = 2 if answered else 1
    return EncodedExample(f"e{seed}-{number:03}", "ab"[number % 2], weight, False, ids.astype(np.int64), kinds, 0, "")


rows, write = tt.rows, tt.write
