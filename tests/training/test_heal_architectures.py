"""Healing on architectures that store their weights in ways of their own: transposed, tied, with experts, in half precision."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from analysis.contracts import TrialPoint
from analysis.contracts.healing import HealMethod
from analysis.contracts.search import UnitRef
from analysis.errors import ResourceError
from analysis.training import heal_save
from analysis.training.heal import heal_model
from analysis.training.heal_arm import HealRun
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
    assert any("was written in" in note.in_english() for note in found.notes) == (dtype == torch.bfloat16)
    after = weights_of(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in before)


@pytest.mark.parametrize(("may_cost", "written"), [(100.0, torch.bfloat16), (-100.0, torch.float32)])
def test_a_healed_model_whose_rounding_would_cost_too_much_is_written_in_float32(
    may_cost: float, written: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heal_save, "may_cost", lambda _: may_cost)
    model = replace(model_named("llama", dtype=torch.bfloat16), tokenizer_folder=None)
    settings = QUICK.model_copy(update={"steps": 4, "evaluate_every": 2, "control": False})
    found = heal_model(model, counting(40, 0), counting(12, 1), plan_for(model.info), settings, save_folder=str(tmp_path / "out"))
    stored = [tensor for file in (tmp_path / "out").glob("*.safetensors") for tensor in load_file(file).values()]
    assert {tensor.dtype for tensor in stored} == {written}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == str(written).removeprefix("torch.")
    start = "The healed model was written in " + ("float32: in bfloat16" if written == torch.float32 else "bfloat16, as the original is")
    assert any(note.in_english().startswith(start) for note in found.notes)
    assert found.reload_difference is not None
    assert found.reload_difference < 1e-2


def test_rounding_may_cost_a_small_part_of_what_training_gained() -> None:
    def run(before: float, best: float) -> HealRun:
        points = tuple(TrialPoint(step=step, tokens=0, seconds=0.0, flops=0.0, tuning_loss=loss) for step, loss in ((0, before), (4, best)))
        return HealRun(points, 4, {}, 1, 4, 1.0, None, None, 8, 0, False, "done")

    assert heal_save.may_cost(run(3.0, 2.0)) == pytest.approx(0.01)
    assert heal_save.may_cost(run(3.0, 2.9)) == pytest.approx(0.005)
    assert heal_save.may_cost(run(3.0, 2.999)) == pytest.approx(0.001)


def test_a_training_without_a_single_number_has_no_best_loss() -> None:
    points = (TrialPoint(step=0, tokens=0, seconds=0.0, flops=0.0, tuning_loss=None),)
    assert HealRun(points, 0, {}, 1, 4, 1.0, None, None, 8, 0, True, "done").best_loss == math.inf


def test_memory_that_runs_out_while_writing_is_said_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(heal_save, "merged", full)
    model = replace(model_named("llama"), tokenizer_folder=None)
    before = weights_of(model)
    settings = QUICK.model_copy(update={"steps": 2, "control": False})
    with pytest.raises(ResourceError, match="Memory ran out while the healed model was written"):
        heal_model(model, counting(40, 0), counting(12, 1), plan_for(model.info), settings, save_folder=str(tmp_path / "out"))
    assert not list(tmp_path.iterdir())
    assert all(torch.equal(before[key], value) for key, value in weights_of(model).items())


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
