"""A robustness test tells one bar over its parts, each as long as what it runs through the models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.contracts import ModelSource, Progress
from analysis.contracts.plan import RobustnessRequest
from analysis.contracts.robustness import RobustnessSettings
from analysis.models.load import describe_model, load_model
from analysis.models.stack import LoadedModel
from analysis.profiling.whole import SCALE
from analysis.verification.robustness import run_robustness
from tests.verification import tiny_verification as tv

DISTURBING, ATTACKING = "Running both models on disturbed prompts", "Attacking both models"
SETTINGS = RobustnessSettings(
    device="cpu", replicates=200, noises=("keyboard",), levels=(0.05, 0.3), attacks=("fgsm", "pgd"), epsilons=(0.1, 0.2), pgd_steps=3
)


Passes = list[tuple[str, int]]


def told_by(folder: Path, settings: RobustnessSettings) -> tuple[list[Progress], Passes]:
    """What was told, and of every pass through the model: the stage it was in, and its tokens, three times where gradients flow."""
    saved = tv.save(tv.tiny_llama(planted=(2,)), folder / "model")
    path, info = tv.write(folder, tv.rows()), describe_model(saved).info
    told: list[Progress] = []
    passes: Passes = []

    tokens = [0]

    def asked(_: object, __: object, inputs: dict[str, Any]) -> None:
        mask = inputs.get("attention_mask")
        tokens[0] = inputs["input_ids"].numel() if mask is None else int(mask.sum())

    def ran(*_: object) -> None:  # the head asks too, but runs no layer
        passes.append((told[-1].stage.id, tokens[0] * (3 if torch.is_grad_enabled() else 1)))

    def load(source: ModelSource, **how: Any) -> LoadedModel:
        loaded = load_model(source, **how)
        loaded.stack().root.register_forward_pre_hook(asked, with_kwargs=True)
        loaded.stack().blocks[0].register_forward_pre_hook(ran)
        return loaded

    request = RobustnessRequest(model=info.source, workload_paths=(path,), plan=tv.plan_for(info, [1]), settings=settings)
    run_robustness(request, load=load, on_progress=told.append)
    return [progress for progress in told if progress.total], passes


def test_one_bar_from_the_first_part_to_the_last(tmp_path: Path) -> None:
    told, _ = told_by(tmp_path, SETTINGS.model_copy(update={"energy": True, "watts": 65.0}))
    shares = [progress.fraction for progress in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    stages = list(dict.fromkeys(progress.stage.id for progress in told))
    assert stages == [DISTURBING, ATTACKING, "Measuring the energy of both models"]
    assert all(progress.fraction < 1 for progress in told if progress.stage.id != stages[-1]), "full only at the very end"
    assert all(progress.eta_seconds is not None for progress in told if progress.done)


def test_what_was_not_asked_for_is_not_told_of(tmp_path: Path) -> None:
    told, _ = told_by(tmp_path, SETTINGS.model_copy(update={"attacks": (), "energy": False}))
    assert {progress.stage.id for progress in told} == {DISTURBING}
    assert told[-1].fraction == 1.0


def test_energy_that_nothing_tells_takes_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("robustness", "energy_use"):
        monkeypatch.setattr(f"analysis.verification.{room}.energy_meter", lambda _device: None)
    told, _ = told_by(tmp_path, SETTINGS.model_copy(update={"attacks": (), "energy": True, "watts": None}))
    assert {progress.stage.id for progress in told} == {DISTURBING}
    assert told[-1].fraction == 1.0


@pytest.mark.parametrize("attacks", [("fgsm",), ("pgd",), ("fgsm", "pgd")])
def test_parts_count_what_they_run(tmp_path: Path, attacks: tuple[str, ...]) -> None:
    """A pass there and back counts three times one without gradients; a mistyped word may be more tokens."""
    told, passes = told_by(tmp_path, SETTINGS.model_copy(update={"attacks": attacks, "energy": False}))
    ran = {stage: sum(tokens for where, tokens in passes if where == stage) for stage in (DISTURBING, ATTACKING)}
    disturbing = max(progress.done for progress in told if progress.stage.id == DISTURBING) / SCALE
    assert disturbing == pytest.approx(ran[DISTURBING], rel=0.1)
    assert told[-1].total / SCALE - disturbing == pytest.approx(ran[ATTACKING])
