"""Tiny models and examples with responses, and an arm on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from analysis.contracts import TrialSettings
from analysis.models.stack import LoadedModel
from analysis.training.arm import ArmRun, ArmSpec, train_arm
from analysis.training.data import Parts
from analysis.workload import EncodedExample
from tests.models.tiny import VOCAB, build
from tests.profiling.tiny import loaded

SETTINGS = TrialSettings(epochs=2, batch_size=3, points=3, lora_rank=2, lora_alpha=4, cache="off")


def model_named(name: str, *, dtype: torch.dtype = torch.float32) -> LoadedModel:
    """One of the tiny architectures, as if it had been loaded."""
    return loaded(build(name).to(dtype))


def examples_with_responses(n: int = 8, *, seed: int = 0, longest: int = 14) -> tuple[EncodedExample, ...]:
    """Prompts of 2 to 6 tokens with responses of 2 tokens and more; never two of one length in a row, so that batches are padded."""
    draw = np.random.default_rng(seed)
    made = []
    for number in range(n):
        asked, answered = int(draw.integers(2, 7)), int(draw.integers(2, longest - 6))
        kinds = np.array([0, *[1] * asked, *[2] * answered, 0], dtype=np.uint8)
        ids = draw.integers(3, VOCAB, len(kinds)).astype(np.int64)
        made.append(EncodedExample(f"p{number:02}", "ab"[number % 2], 1.0 + number % 2, False, ids, kinds, 0, "question"))
    return tuple(made)


def parts(n: int = 8, **more: Any) -> Parts:
    """All of them to train on."""
    return Parts(examples_with_responses(n, **more), ())


def run_arm(model: LoadedModel, kind: str = "freeze", eof_layer: int = 0, *, settings: TrialSettings = SETTINGS, **more: Any) -> ArmRun:
    """An arm of two epochs over eight examples."""
    spec = {name: more.pop(name) for name in ("cache", "n_steps", "micro_batch", "max_seconds", "cache_bytes", "epochs") if name in more}
    made = ArmSpec(kind, eof_layer, more.pop("learning_rate", 1e-2), **{"cache": "off", "epochs": 2, **spec})  # type: ignore[arg-type]
    return train_arm(model, more.pop("parts", None) or parts(), made, settings, **more)


def weights_of(model: LoadedModel) -> dict[str, torch.Tensor]:
    """Copies of all weights and buffers."""
    return {name: tensor.detach().clone() for name, tensor in model.model.state_dict().items()}
