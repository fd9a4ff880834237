"""An arm: what it trains, what it leaves alone, what it costs, when it is judged, and what stops it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.contracts import Progress, TrainingShape
from analysis.contracts.trial import TrialPoint
from analysis.errors import ResourceError, WorkloadError
from analysis.models.stack import LoadedModel
from analysis.profiling.stream import Watch
from analysis.training import arm as arms
from analysis.training import callbacks, resuming
from analysis.training.callbacks import StepTrainer
from analysis.training.data import Parts
from analysis.training.trainee import Trainee
from tests.training.tiny_training import SETTINGS, examples_with_responses, model_named, parts, run_arm, weights_of


def changed_by(model: LoadedModel, kind: str, eof_layer: int, **more: Any) -> set[str]:
    """Names of what an arm changed while it trained."""
    seen: list[dict[str, torch.Tensor]] = []
    before = weights_of(model)
    run_arm(model, kind, eof_layer, evaluate=lambda point: (seen.append(weights_of(model)), point)[1], **more)
    assert all(torch.equal(tensor, before[name]) and tensor.dtype == before[name].dtype for name, tensor in weights_of(model).items())
    first, last = seen[0], seen[-1]
    return {name for name in last if not torch.equal(last[name], first[name])}


def layers_of(names: set[str]) -> set[str]:
    return {name.split(".layers.")[1].split(".")[0] if ".layers." in name else name for name in names}


def test_a_frozen_arm_changes_the_layers_behind_the_boundary_and_the_final_norm_alone() -> None:
    assert layers_of(changed_by(model_named("llama"), "freeze", 0)) == {"1", "2", "model.norm.weight"}


def test_the_final_norm_stays_when_it_was_not_to_train() -> None:
    settings = SETTINGS.model_copy(update={"train_norm": False})
    assert layers_of(changed_by(model_named("llama"), "freeze", 1, settings=settings)) == {"2"}


@pytest.mark.parametrize("name", ["qwen2", "gpt2", "gemma3"])  # with tied heads
def test_full_fine_tuning_leaves_embeddings_and_head_alone_so_that_arms_compare(name: str) -> None:
    model = model_named(name)
    changed = changed_by(model, "full", -1)
    embeddings = model.model.get_input_embeddings().weight
    shared = {path for path, tensor in model.model.state_dict().items() if tensor.data_ptr() == embeddings.data_ptr()}
    assert changed.isdisjoint(shared)
    blocks = {
        f"{path}.{name}"
        for path, module in model.model.named_modules()
        if module in model.stack().blocks
        for name in dict(module.named_parameters())
    }
    assert blocks <= changed


def test_adapters_train_and_the_weights_below_them_do_not() -> None:
    assert {name.split(".")[-3] for name in changed_by(model_named("llama"), "lora_freeze", 1)} == {"lora_A", "lora_B"}


@pytest.mark.parametrize(
    ("kind", "eof_layer", "proved"), [("full", -1, None), ("freeze", 1, True), ("lora", -1, True), ("lora_freeze", 0, True)]
)
def test_what_was_frozen_is_proved_to_be_bit_identical_and_free_of_gradients(kind: str, eof_layer: int, proved: bool | None) -> None:
    run = run_arm(model_named("llama"), kind, eof_layer)
    assert (run.frozen_identical, run.gradient_free) == (proved, proved)


def test_a_gradient_below_the_boundary_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_named("llama")
    step = StepTrainer._look_at_gradients

    def with_gradient(trainer: StepTrainer) -> None:
        weight = model.stack().blocks[0].self_attn.q_proj.weight  # type: ignore[union-attr]
        weight.grad = torch.zeros_like(weight)
        step(trainer)
        weight.grad = None

    monkeypatch.setattr(StepTrainer, "_look_at_gradients", with_gradient)
    run = run_arm(model, "freeze", 0)
    assert run.gradient_free is False
    assert run.frozen_identical is True


def test_a_frozen_weight_that_moved_is_told() -> None:
    model = model_named("llama")

    def moves(point: TrialPoint) -> TrialPoint:
        with torch.no_grad():
            model.stack().blocks[0].self_attn.q_proj.weight[0, 0] += 1e-3  # type: ignore[union-attr, index]
        return point

    assert run_arm(model, "freeze", 0, evaluate=moves).frozen_identical is False


def test_half_precision_trains_in_float32_masters_and_comes_back_as_it_was() -> None:
    model, seen = model_named("llama", dtype=torch.bfloat16), []

    def evaluate(point: TrialPoint) -> TrialPoint:
        seen.append({name: parameter.dtype for name, parameter in model.model.named_parameters()})
        assert not torch.is_grad_enabled()
        assert not any(module.training for module in model.model.modules())
        assert torch.is_autocast_enabled("cpu")
        return point

    before = weights_of(model)
    run = run_arm(model, "freeze", 0, cache="memory", evaluate=evaluate)
    assert {name for name, dtype in seen[0].items() if dtype == torch.float32} == {
        name for name in seen[0] if ".layers.1." in name or ".layers.2." in name or name == "model.norm.weight"
    }
    assert all(torch.equal(tensor, before[name]) and tensor.dtype == torch.bfloat16 for name, tensor in weights_of(model).items())
    assert run.points[-1].train_loss is not None
    assert run.cost.cache_bytes == 2 * 32 * parts().tokens


def test_the_loss_falls_and_points_stand_at_evenly_spaced_moments_start_and_end_included() -> None:
    told: list[TrialPoint] = []

    def evaluate(point: TrialPoint) -> TrialPoint:
        told.append(point)
        return point.model_copy(update={"verification_loss": 1.0})

    def flops(eof_layer: int, shape: TrainingShape, cached: bool) -> float:
        assert eof_layer == 0
        return 1.0 if cached else 100.0

    settings = SETTINGS.model_copy(update={"points": 4})
    run = run_arm(model_named("llama"), "freeze", 0, epochs=4, cache="memory", settings=settings, evaluate=evaluate, flops=flops)
    assert [point.step for point in run.points] == [0, 4, 8, 12]
    assert all(point.verification_loss == 1.0 for point in run.points)
    assert [point.flops for point in told] == [0.0, 301.0, 305.0, 309.0]  # the first epoch's three steps, and cached ones
    assert told[0].train_loss is None
    losses = [point.train_loss for point in told[1:]]
    assert losses == sorted(losses, reverse=True)  # type: ignore[type-var]
    assert [point.tokens for point in told][-1] == run.tokens == 4 * parts().tokens
    assert run.seconds == pytest.approx(sum((run.cost.first_epoch_ms.n, run.cost.later_epochs_ms.n)) and run.points[-1].seconds)  # type: ignore[union-attr]


def test_costs_are_counted_from_the_tensors() -> None:
    model = model_named("llama")
    run = run_arm(model, "freeze", 1, epochs=3)
    trained = sum(p.numel() for p in model.stack().blocks[2].parameters()) + 32
    every = sum(p.numel() for p in model.model.parameters())
    assert (run.n_trainable, run.n_frozen) == (trained, every - trained)
    assert run.cost.weight_bytes == 4 * every
    assert run.cost.gradient_bytes == 4 * trained
    assert run.cost.optimizer_bytes == 8 * trained
    assert run.cost.first_epoch_ms.n == 3
    assert run.cost.later_epochs_ms is not None
    assert run.cost.later_epochs_ms.n == 6
    assert run.cost.n_steps == 9
    assert run.cost.peak_memory_bytes is None
    assert run.cost.tokens_per_second == pytest.approx(run.tokens / run.seconds)


def test_each_frozen_layer_saves_the_same_activations() -> None:
    saved = [run_arm(model_named("llama"), "freeze", eof, n_steps=1).cost.activation_bytes for eof in (-1, 0, 1)]
    assert None not in saved
    first, second, third = (int(number or 0) for number in saved)
    assert first > second > third > 0
    assert first - second == pytest.approx(second - third, rel=0.1)


def test_gradient_norms_of_full_arms_are_told_in_six_parts() -> None:
    run = run_arm(model_named("llama"), "full", -1, epochs=4)
    assert np.array(run.block_gradients).shape == (6, 3)
    assert np.array(run.block_gradients).min() > 0
    assert run_arm(model_named("llama"), "freeze", 0).block_gradients == ()


def test_a_step_in_several_passes_gives_the_gradients_of_one() -> None:
    model, ends = model_named("llama"), []
    for size in (None, 1, 2):
        run = run_arm(model, "freeze", 0, micro_batch=size, evaluate=lambda point: (ends.append(weights_of(model)), point)[1])
        assert run.micro_batch == (size or 3)
    for other in (ends[5], ends[8]):
        for name, tensor in ends[2].items():
            torch.testing.assert_close(other[name], tensor, atol=2e-5, rtol=1e-3)


def test_a_pass_that_does_not_fit_the_memory_is_halved_and_the_result_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ends = model_named("llama"), []

    def evaluate(point: TrialPoint) -> TrialPoint:
        ends.append(weights_of(model))
        return point

    run_arm(model, "freeze", 0, micro_batch=1, evaluate=evaluate)
    forward = Trainee.forward

    def small(trainee: Trainee, input_ids: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if len(input_ids) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return forward(trainee, input_ids, *args, **kwargs)

    monkeypatch.setattr(Trainee, "forward", small)
    run = run_arm(model, "freeze", 0, evaluate=evaluate)
    assert run.micro_batch == 1
    assert "memory ran out, so a step was divided into passes of 1 examples" in run.notes[-1].in_english()
    assert run.cost.activation_bytes is None
    assert all(torch.equal(ends[2][name], ends[5][name]) for name in ends[2])


def test_an_example_that_does_not_fit_even_alone_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainee, "forward", full)
    model = model_named("llama")
    before = weights_of(model)
    with pytest.raises(ResourceError, match="does not fit the memory even on its own"):
        run_arm(model, "freeze", 0)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights_of(model).items())


def test_memory_that_runs_out_elsewhere_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(StepTrainer, "create_optimizer", full)
    with pytest.raises(ResourceError, match="Memory ran out while training freeze 0"):
        run_arm(model_named("llama"), "freeze", 0)


def test_a_loss_that_is_no_number_ends_the_arm_and_says_so() -> None:
    judged: list[int] = []
    model = model_named("llama")
    run = run_arm(model, "full", -1, learning_rate=1e30, epochs=4, evaluate=lambda point: (judged.append(point.step), point)[1])
    assert run.diverged
    assert run.n_steps < 12
    assert judged[-1] < 12
    assert "the loss was no number any more" in run.notes[-1].in_english()
    assert all(torch.isfinite(tensor).all() for tensor in weights_of(model).values())


def test_an_arm_stops_when_its_time_is_over_and_is_judged_then() -> None:
    run = run_arm(model_named("llama"), "freeze", 0, max_seconds=1e-9)
    assert run.stop == "budget"
    assert [point.step for point in run.points] == [0, 1]


def test_progress_is_told_step_by_step_with_the_time_left() -> None:
    told: list[Progress] = []
    run_arm(model_named("llama"), "freeze", 0, watch=Watch(told.append))
    assert [(progress.done, progress.total) for progress in told] == [(step, 6) for step in range(1, 7)]
    assert told[0].stage.in_english() == "Training: freeze 0"
    assert told[0].eta_seconds is not None
    assert told[0].eta_seconds > 0
    assert told[-1].eta_seconds == 0
    assert told[-1].tokens_per_second is not None


def test_nothing_is_printed_and_nothing_is_left_behind(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    run_arm(model_named("llama"), "freeze", 0, cache="memory")
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_chance_goes_on_where_it_stood_and_the_same_seed_gives_the_same_arm() -> None:
    losses = [run_arm(model_named("gpt2"), "freeze", 0).points[-1].train_loss for _ in range(2)]
    assert losses[0] == losses[1]
    model = model_named("llama")
    torch.manual_seed(5)
    stood = torch.get_rng_state()
    run_arm(model, "full", -1)
    assert torch.equal(torch.get_rng_state(), stood)


def test_energy_is_that_of_the_steps_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    used = [0.0]

    def meter() -> float:
        return used[0]

    def evaluate(point: TrialPoint) -> TrialPoint:
        used[0] += 1e9
        return point

    look = StepTrainer._look_at_gradients

    def costs(trainer: StepTrainer) -> None:
        used[0] += 3600.0
        look(trainer)

    monkeypatch.setattr(arms, "energy_meter", lambda _: meter)
    monkeypatch.setattr(StepTrainer, "_look_at_gradients", costs)
    run = run_arm(model_named("llama"), "freeze", 0, evaluate=evaluate)
    assert run.cost.energy_wh == pytest.approx(6 * 1e-3)


def test_without_examples_there_is_nothing_to_train_on() -> None:
    with pytest.raises(WorkloadError, match="no examples to train on"):
        run_arm(model_named("llama"), parts=Parts((), examples_with_responses(1)))


def test_a_cache_is_opened_only_where_a_second_epoch_uses_it() -> None:
    assert run_arm(model_named("llama"), "freeze", 0, cache="memory", epochs=1).cost.cache == "off"
    assert run_arm(model_named("llama"), "full", -1, cache="memory").cost.cache == "off"


def test_saving_is_left_when_the_disk_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
    calls = iter(range(100))
    with pytest.raises(Exception, match=r"^Stopped at your request\.$"):
        run_arm(model_named("llama"), folder=tmp_path, watch=Watch(should_stop=lambda: next(calls) > 2))
    assert not list(tmp_path.glob("checkpoint-*"))


def test_the_trainer_reports_to_nobody(tmp_path: Path) -> None:
    made = callbacks.arguments(
        tmp_path, steps=10, learning_rate=1e-3, warmup_share=0.2, weight_decay=0.0, seed=0, device=torch.device("cpu"), half=False
    )
    assert made.report_to in ([], ["none"])
    assert made.warmup_steps == 2
    assert not made.push_to_hub
    assert made.disable_tqdm
