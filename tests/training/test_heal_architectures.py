"""Healing on architectures that store their weights in ways of their own: transposed, tied, with experts, in half precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.contracts.healing import HealMethod
from analysis.contracts.search import UnitRef
from analysis.training.heal import heal_model
from analysis.workload import EncodedExample, EncodedWorkload
from tests.models.tiny import VOCAB
from tests.profiling.tiny import encoded
from tests.training.tiny_heal import QUICK, plan_for
from tests.training.tiny_training import model_named, weights_of


def counting(n: int, seed: int) -> EncodedWorkload:
    """Texts that count upwards: easily learnt."""
    draw = np.random.default_rng(seed)
    made = []
    for number in range(n):
        ids = (int(draw.integers(VOCAB - 3)) + np.arange(8 + number % 5)) % (VOCAB - 3) + 3
        made.append(EncodedExample(f"{seed}-{number:03}", "a", 1.0, False, ids.astype(np.int64), np.ones(len(ids), np.uint8), 0, ""))
    return encoded(made)


@pytest.mark.parametrize(
    ("name", "method", "dtype"),
    [
        ("gpt2", "lora", torch.float32),
        ("qwen2", "full", torch.float32),
        ("gemma2", "lora", torch.float32),
        ("mixtral", "lora", torch.float32),
        ("llama", "lora", torch.bfloat16),
        ("llama", "full", torch.bfloat16),
    ],
)
def test_it_heals_saves_and_leaves_the_model_as_it_was(name: str, method: HealMethod, dtype: torch.dtype, tmp_path: Path) -> None:
    model = replace(model_named(name, dtype=dtype), tokenizer_folder=None)
    before = weights_of(model)
    rate = 1e-2 if method == "lora" else 1e-3
    settings = QUICK.model_copy(update={"method": method, "steps": 16, "evaluate_every": 4, "learning_rates": (rate,), "control": False})
    found = heal_model(model, counting(40, 0), counting(12, 1), plan_for(model.info), settings, save_folder=str(tmp_path / "out"))
    assert found.healed.best_step > 0
    assert float(found.healed.loss_after.value or 0) < float(found.cut_loss.value or 0)
    assert found.reload_difference is not None
    assert found.reload_difference < (1e-4 if dtype == torch.float32 else 1e-2)  # bfloat16: the tiny model's rotary tables are rounded too
    assert any("That rounding moves a score" in note.in_english() for note in found.notes) == (dtype == torch.bfloat16)
    after = weights_of(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in before)


def test_a_whole_layer_and_a_half_of_another_are_left_untrained_together() -> None:
    model = model_named("llama")
    units: tuple[UnitRef, ...] = (("block", 0), ("mlp", 2))
    plan = plan_for(model.info).model_copy(
        update={"operations": (*plan_for(model.info, (0,)).operations, *plan_for(model.info, (2,), unit="mlp").operations)}
    )
    settings = QUICK.model_copy(update={"method": "full", "steps": 4, "learning_rates": (1e-3,), "control": False})
    found = heal_model(model, counting(40, 0), counting(12, 1), plan, settings)
    blocks = model.stack().blocks
    trained = sum(p.numel() for block in blocks[1:] for p in block.parameters()) - sum(p.numel() for p in blocks[2].mlp.parameters())  # type: ignore[union-attr]
    assert found.removed == units
    assert found.healed.n_trainable == trained + model.model.model.norm.weight.numel()
