"""A stopped arm waits in its folder and goes on to the same weights; what is there is read only by the same arm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from analysis.contracts.trial import TrialPoint
from analysis.errors import Cancelled
from analysis.models.stack import LoadedModel
from analysis.profiling.stream import Watch
from analysis.training import resuming
from analysis.training.arm import ArmRun
from tests.training.tiny_training import model_named, run_arm, weights_of


class Stopper:
    """Says stop from the moment that a block of the model has been called so often."""

    def __init__(self, model: LoadedModel, calls: int) -> None:
        self.left, self.watch = calls, Watch(should_stop=lambda: self.left <= 0)
        self.handle = model.stack().blocks[-1].register_forward_pre_hook(self.called)

    def called(self, *_: object) -> None:
        self.left -= 1


def until_stopped(model: LoadedModel, calls: int, folder: Path, **more: Any) -> Cancelled:
    stopper = Stopper(model, calls)
    try:
        with pytest.raises(Cancelled) as caught:
            run_arm(model, watch=stopper.watch, folder=folder, epochs=3, **more)
    finally:
        stopper.handle.remove()
    return caught.value


def ends_of(model: LoadedModel, **more: Any) -> tuple[ArmRun, dict[str, Tensor]]:
    ends: list[dict[str, Tensor]] = []

    def evaluate(point: TrialPoint) -> TrialPoint:
        ends.append(weights_of(model))
        return point.model_copy(update={"tuning_loss": float(point.step)})

    return run_arm(model, evaluate=evaluate, epochs=3, **more), ends[-1]


@pytest.mark.parametrize("kind", ["freeze", "full"])
@pytest.mark.parametrize("name", ["llama", "gpt2"])  # gpt2: with dropout
def test_a_stopped_arm_goes_on_to_the_weights_that_it_would_have_had(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.training.callbacks._ASK_EVERY_SECONDS", 0.0)
    model, eof = model_named(name), 0 if kind == "freeze" else -1
    whole, expected = ends_of(model, kind=kind, eof_layer=eof)
    before = weights_of(model)
    stopped = until_stopped(model, 7, tmp_path / "arm", kind=kind, eof_layer=eof)
    assert "goes on from there" in str(stopped)
    assert all(torch.equal(tensor, before[key]) for key, tensor in weights_of(model).items())
    resumed, found = ends_of(model, kind=kind, eof_layer=eof, folder=tmp_path / "arm")
    assert resumed.resumed
    assert not whole.resumed
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert [point.step for point in resumed.points] == [point.step for point in whole.points]
    assert [point.train_loss for point in resumed.points] == [point.train_loss for point in whole.points]
    assert resumed.tokens == whole.tokens
    assert resumed.cost.n_steps == whole.cost.n_steps == 9
    for one, other in zip(resumed.block_gradients, whole.block_gradients, strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    assert not (tmp_path / "arm").exists()


def test_a_cached_arm_goes_on_after_its_cache_is_gone(tmp_path: Path) -> None:
    model = model_named("llama")
    _, expected = ends_of(model, cache="memory")
    until_stopped(model, 8, tmp_path, cache="memory")
    resumed, found = ends_of(model, cache="memory", folder=tmp_path)
    assert resumed.resumed
    assert resumed.cost.cache == "memory"
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=1e-4)


def test_an_arm_with_adapters_goes_on_too(tmp_path: Path) -> None:
    model = model_named("llama")
    _, expected = ends_of(model, kind="lora_freeze")
    until_stopped(model, 8, tmp_path, kind="lora_freeze")
    resumed, found = ends_of(model, kind="lora_freeze", folder=tmp_path)
    assert resumed.resumed
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_another_arm_starts_anew_and_does_not_read_what_is_there(tmp_path: Path) -> None:
    model = model_named("llama")
    until_stopped(model, 8, tmp_path)
    run, _ = ends_of(model, learning_rate=1e-3, folder=tmp_path)
    assert not run.resumed
    assert run.cost.n_steps == 9


def test_a_damaged_diary_is_not_gone_on_from(tmp_path: Path) -> None:
    model = model_named("llama")
    until_stopped(model, 8, tmp_path)
    (diary,) = tmp_path.glob("checkpoint-*/arm.json")
    for text in ("{", "[]", json.dumps({"key": 3})):
        diary.write_text(text, encoding="utf-8")
        assert resuming.read_diary(diary.parent, "key") is None
    run, _ = ends_of(model, folder=tmp_path)
    assert not run.resumed


def test_a_checkpoint_that_was_never_finished_gives_way_to_the_one_before(tmp_path: Path) -> None:
    model = model_named("llama")
    until_stopped(model, 8, tmp_path)
    (tmp_path / "checkpoint-99").mkdir()
    run, _ = ends_of(model, folder=tmp_path)
    assert run.resumed


def test_stopping_before_the_first_step_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    stopped = until_stopped(model_named("llama"), 1, tmp_path)
    assert str(stopped) == "Stopped at your request."
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_checkpoint_holds_what_trains_and_nothing_else(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model = model_named("llama")
    until_stopped(model, 8, tmp_path, eof_layer=1)
    (weights,) = tmp_path.glob("checkpoint-*/model.safetensors")
    names = list(load_file(weights))
    assert names
    assert all(".layers.2." in name or name.endswith(".norm.weight") for name in names)


def test_an_evaluation_that_was_stopped_is_made_up_for(tmp_path: Path) -> None:
    model, asked = model_named("llama"), []

    def evaluate(point: TrialPoint) -> TrialPoint:
        asked.append(point.step)
        if len(asked) == 2:
            raise Cancelled("Stopped at your request.")
        return point

    with pytest.raises(Cancelled):
        run_arm(model, evaluate=evaluate, epochs=3, folder=tmp_path)
    run = run_arm(model, evaluate=evaluate, epochs=3, folder=tmp_path)
    assert run.resumed
    assert asked == [0, 4, 4, 9]
    assert [point.step for point in run.points] == [0, 4, 9]


@pytest.mark.parametrize("way", ["forward", "back"])
def test_stopping_waits_for_no_whole_step(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every layer asks: a step is left at the layer where stopping was wished for, on the way forward and on the way back."""
    monkeypatch.setattr("analysis.training.callbacks._ASK_EVERY_SECONDS", 0.0)
    model = model_named("llama")
    asked: list[bool] = []
    passed: list[int] = []
    blocks = model.stack().blocks
    middle = len(blocks) // 2

    def noting(place: int) -> Any:
        def note(_: object, __: object, output: Tensor) -> None:
            if asked and way == "forward":  # before the first question it is sized up, not trained
                passed.append(place)
            elif asked:
                output.register_hook(lambda _: passed.append(place))

        return note

    def stop() -> bool:
        asked.append(middle in passed)
        return asked[-1]

    hooks = [block.register_forward_hook(noting(place)) for place, block in enumerate(blocks)]
    try:
        with pytest.raises(Cancelled):
            run_arm(model, "full", -1, watch=Watch(should_stop=stop), folder=tmp_path)
    finally:
        for hook in hooks:
            hook.remove()
    assert passed[-1] == middle
    assert len(passed) < len(blocks), "the first step already"
