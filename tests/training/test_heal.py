"""From a request to a healing: bad input first, then what it holds, and that nothing is chosen by or learnt from what judges."""

from __future__ import annotations

import errno
import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.contracts import Freeze, ModelInfo, Plan, Prune, Skip
from analysis.contracts.healing import Healing, HealObjective
from analysis.contracts.model import ModelSource
from analysis.contracts.plan import HealRequest
from analysis.errors import Cancelled, InputError, ModelError, PlanError, ResourceError, WorkloadError
from analysis.models.load import describe_model, load_model
from analysis.models.stack import LoadedModel
from analysis.training import heal as room
from analysis.training import heal_arm, heal_arms, heal_prepare, heal_save
from analysis.training.callbacks import StepTrainer
from analysis.training.evaluate import judge
from analysis.training.heal import run_heal
from analysis.training.heal_arm import Ground
from analysis.training.heal_loss import HealTrainee
from analysis.workload import read_workload, scored
from tests.training import tiny_heal as th
from tests.training.tiny_training import weights_of


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> Iterator[None]:
    """Every training collects garbage twice: what the libraries hold for good is looked at once, not each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("healings")


@pytest.fixture(scope="module")
def path(folder: Path) -> str:
    return th.write(folder, th.rows(90))


@pytest.fixture(scope="module")
def info(folder: Path, path: str) -> ModelInfo:
    return describe_model(th.save_learnt(folder / "model", path)).info


@pytest.fixture(scope="module")
def memory(info: ModelInfo) -> LoadedModel:
    """One model for all healings: each has to leave it as it was."""
    return load_model(info.source, device="cpu")


@pytest.fixture(scope="module")
def healing(info: ModelInfo, path: str, memory: LoadedModel) -> Healing:
    return heal(th.request(th.plan_for(info), path, compare=("distillation", "next_token")), memory)


def heal(request: HealRequest, memory: LoadedModel, **more: Any) -> Healing:
    return run_heal(request, load=lambda *_, **__: memory, **more)


def never(*_: object, **__: object) -> LoadedModel:
    pytest.fail("no weight is read for a request that cannot be used")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_a_plan_that_only_freezes_is_refused(info: ModelInfo, path: str) -> None:
    plan = th.plan_for(info).model_copy(update={"operations": (Freeze(eof_layer=1),)})
    with pytest.raises(PlanError, match="takes nothing out of the model, so there is nothing to heal"):
        run_heal(th.request(plan, path), load=never)


def test_a_plan_for_another_model_is_refused(info: ModelInfo, path: str) -> None:
    plan = th.plan_for(info.model_copy(update={"name": "another"}))
    other = plan.model_copy(update={"model": plan.model.model_copy(update={"commit": "0" * 64})})
    with pytest.raises(PlanError, match="The plan is for the model another, not for model"):
        run_heal(th.request(other, path), load=never)


def test_a_plan_that_takes_out_every_layer_is_refused(info: ModelInfo, path: str) -> None:
    with pytest.raises(PlanError, match="all"):
        run_heal(th.request(th.plan_for(info, range(4)), path), load=never)


def test_learning_rates_that_cannot_be_meant_are_named(info: ModelInfo, path: str) -> None:
    with pytest.raises(InputError, match=r"cannot be meant: 3"):
        run_heal(th.request(th.plan_for(info), path, learning_rates=(1e-3, 3.0)), load=never)


def test_a_save_folder_that_holds_something_else_is_refused_before_anything_is_read(info: ModelInfo, path: str, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="is not empty"):
        run_heal(th.request(th.plan_for(info), path, save_folder=str(tmp_path)), load=never)


def test_the_models_own_folder_is_no_place_to_save_to(info: ModelInfo, path: str) -> None:
    inside = str(Path(info.source.location or "") / "healed")
    with pytest.raises(InputError, match="folder of the model itself"):
        run_heal(th.request(th.plan_for(info), path, save_folder=inside), load=never)


def test_the_sample_does_not_lie_where_one_stands(info: ModelInfo, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: object, **__: object) -> LoadedModel:
        raise Cancelled("Stopped.")

    monkeypatch.chdir(tmp_path)
    card = describe_model(info.source)
    monkeypatch.setattr(heal_prepare, "describe_model", lambda *_, **__: card)
    asked = th.request(th.plan_for(info), path, save_folder="healed").model_copy(update={"model": ModelSource(kind="sample")})
    with pytest.raises(Cancelled):
        run_heal(asked, load=reached)


def test_a_folder_cannot_hold_layers_without_their_attention(info: ModelInfo, path: str, tmp_path: Path) -> None:
    plan = th.plan_for(info, unit="attention")
    with pytest.raises(PlanError, match="cannot hold layers without their attention or MLP"):
        run_heal(th.request(plan, path, save_folder=str(tmp_path / "out")), load=never)


def test_too_few_prompts_for_three_parts_are_refused(info: ModelInfo, memory: LoadedModel, tmp_path: Path) -> None:
    few = th.write(tmp_path, th.rows(6))
    with pytest.raises(WorkloadError, match="too few different prompts for three parts"):
        heal(th.request(th.plan_for(info), few), memory)


def test_a_single_long_line_of_text_is_refused_in_words(info: ModelInfo, memory: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("bolt gear " * 400)
    with pytest.raises(WorkloadError, match="decides its half"):
        heal(th.request(th.plan_for(info), str(tmp_path / "text.txt")), memory)


def test_a_model_that_writes_no_words_is_refused(folder: Path, path: str) -> None:
    from tests.models.tiny import build
    from tests.verification.tiny_verification import save

    found = describe_model(save(build("bert"), folder / "bert")).info
    with pytest.raises(ModelError, match="does not write word after word"):
        run_heal(th.request(th.plan_for(found), path), load=never)


def test_training_that_diverges_is_said_with_its_rates(
    info: ModelInfo, path: str, memory: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StepTrainer, "_passes", lambda self, model, members: torch.tensor(float("nan")))
    before = weights_of(memory)
    with pytest.raises(InputError, match=r"diverged with every learning rate that was tried \(0.01, 0.03\)"):
        heal(th.request(th.plan_for(info), path, learning_rates=(1e-2, 3e-2)), memory)
    assert same(before, weights_of(memory))


def test_memory_that_runs_out_is_said_and_the_model_stays_what_it_was(
    info: ModelInfo, path: str, memory: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Ground, "trainee", full)
    before = weights_of(memory)
    with pytest.raises(ResourceError, match="Memory ran out while healing"):
        heal(th.request(th.plan_for(info), path), memory)
    assert same(before, weights_of(memory))


def test_a_step_that_does_not_fit_is_done_again_in_smaller_passes(
    info: ModelInfo, path: str, memory: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, failed = HealTrainee.forward, []

    def full_once(self: HealTrainee, **inputs: Any) -> torch.Tensor:
        if not failed:
            failed.append(True)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, **inputs)

    plain = heal(th.request(th.plan_for(info), path, control=False, steps=2), memory)
    monkeypatch.setattr(HealTrainee, "forward", full_once)
    found = heal(th.request(th.plan_for(info), path, control=False, steps=2), memory)
    assert any("memory ran out" in note.in_english() for note in found.healed.notes)
    assert found.healed.loss_after.value == pytest.approx(plain.healed.loss_after.value, abs=1e-4)


def test_a_full_disk_is_said(info: ModelInfo, path: str, memory: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(heal_save, "write_shards", full)
    with pytest.raises(ResourceError, match="became full"):
        heal(th.request(th.plan_for(info), path, control=False, steps=4, save_folder=str(tmp_path / "out")), memory)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(heal_arms, "save_file", full)
    with pytest.raises(ResourceError, match="could not be kept"):
        heal(th.request(th.plan_for(info), path, control=False, steps=4), memory, folder=tmp_path / "job")


# -- what it holds -----------------------------------------------------------------------------------------------------


def test_healing_wins_back_what_the_cut_had_cost(healing: Healing) -> None:
    base, cut, healed = healing.base_loss.value, healing.cut_loss.value, healing.healed.loss_after.value
    assert base is not None
    assert cut is not None
    assert healed is not None
    assert cut > base + 0.5, "the cut has to cost something for this test to say anything"
    assert healed < cut
    assert healing.recovered.value == pytest.approx((cut - healed) / (cut - base))
    assert healing.recovered.low is not None
    assert healing.recovered.high is not None
    assert healing.recovered.low <= healing.recovered.value <= healing.recovered.high
    assert healing.recovered.value > 0.3


def test_what_training_gives_the_uncut_model_is_taken_off(healing: Healing) -> None:
    assert healing.control is not None
    assert healing.recovered_against_control is not None
    base, cut = (float(found.value or 0) for found in (healing.base_loss, healing.cut_loss))
    healed, control = (float(arm.loss_after.value or 0) for arm in (healing.healed, healing.control))
    assert healing.recovered_against_control.value == pytest.approx(1 - (healed - control) / (cut - base))
    assert healing.control.removed == ()
    assert (healing.control.objective, healing.control.learning_rate) == (healing.healed.objective, healing.healed.learning_rate)


def test_further_objectives_are_arms_of_their_own(healing: Healing) -> None:
    assert [(arm.name, arm.objective) for arm in healing.others] == [("distillation", "distillation"), ("next_token", "next_token")]
    assert all(arm.removed == healing.removed for arm in healing.others)
    assert healing.others[0].teacher_seconds is not None
    assert healing.others[1].teacher_seconds is None
    assert any("No second model was held" in note.in_english() for note in healing.notes)


def test_losses_are_those_of_the_models_run_outright(healing: Healing, memory: LoadedModel) -> None:
    outcomes = healing.example_losses
    assert len(outcomes) == healing.n_report
    calibration = {one.id for one in read_workload([Path(healing.workload.files[0].path)]).examples if one.part == "calibration"}
    assert not calibration & outcomes.keys(), "nothing that was learnt from is reported on"


def test_the_three_parts_are_the_whole_workload(healing: Healing) -> None:
    assert healing.n_train + healing.n_selection == healing.workload.n_calibration
    assert healing.n_report == healing.workload.n_verification
    assert healing.counts.n_examples == healing.n_train


def test_slices_sum_up_to_the_whole(healing: Healing) -> None:
    assert sum(one.n_examples for one in healing.slices.values()) == healing.n_report
    assert all(one.control is not None for one in healing.slices.values())
    total = sum(one.n_tokens * float(one.cut.value or 0) for one in healing.slices.values())
    assert total / sum(one.n_tokens for one in healing.slices.values()) == pytest.approx(healing.cut_loss.value)


def test_the_best_look_is_the_one_that_is_judged(healing: Healing) -> None:
    for arm in (healing.healed, *healing.others):
        losses = {point.step: point.selection_loss for point in arm.points}
        assert losses[arm.best_step] == pytest.approx(min(loss for loss in losses.values() if loss is not None), abs=2e-4)
        assert arm.points[0].step == 0
        assert arm.points[0].tokens == 0


def test_a_cut_layer_trains_nothing(healing: Healing) -> None:
    assert healing.control is not None
    assert healing.healed.n_trainable * 4 == healing.control.n_trainable * 3, "three of four equal layers"


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_saved_folder_is_the_healed_model_and_the_original_is_bit_for_bit_what_it_was(
    method: str, info: ModelInfo, path: str, memory: LoadedModel, tmp_path: Path
) -> None:
    before, modules = weights_of(memory), [name for name, _ in memory.model.named_modules()]
    flags = [parameter.requires_grad for parameter in memory.model.parameters()]
    rate = 1e-2 if method == "lora" else 1e-3
    plan = th.plan_for(info).model_copy(update={"operations": (Prune(blocks=(th.MATTERS,)),)})
    asked = th.request(plan, path, method=method, steps=12, learning_rates=(rate,), save_folder=str(tmp_path / "out"))
    found = heal(asked, memory)
    assert found.healed.best_step > 0
    assert same(before, weights_of(memory))
    assert modules == [name for name, _ in memory.model.named_modules()]
    assert flags == [parameter.requires_grad for parameter in memory.model.parameters()]
    assert all(parameter.grad is None for parameter in memory.model.parameters())
    assert found.folder == str(tmp_path / "out")
    assert found.reload_difference is not None
    assert found.reload_difference < 1e-3
    reloaded = load_model(info.source.model_copy(update={"location": found.folder}), device="cpu", dtype="float32")
    assert reloaded.stack().info.n_blocks == 3
    verification = [one for one in encoded(path, info) if one.example_id in found.example_losses]
    losses = judge(reloaded, reloaded.stack(), verification, 512, learned=scored)
    assert losses.loss == pytest.approx(found.healed.loss_after.value, abs=1e-4)


def encoded(path: str, info: ModelInfo) -> Sequence[Any]:
    from analysis.workload import Encoder, encode_workload

    encoder = Encoder.from_folder(Path(info.source.location or ""))
    return encode_workload(read_workload([Path(path)]), encoder, max_tokens=64, chat_template=True, part="all").examples


def test_attention_and_mlp_alone_can_be_healed(info: ModelInfo, path: str, memory: LoadedModel) -> None:
    stack = info.stacks[0].name
    operations = (Skip(unit="mlp", blocks=(0, 2), stack=stack), Skip(unit="attention", blocks=(3,), stack=stack))
    plan = th.plan_for(info).model_copy(update={"operations": operations})
    for method in ("lora", "full"):
        found = heal(th.request(plan, path, method=method, steps=4, learning_rates=(1e-3,), control=False), memory)
        assert found.removed == (("mlp", 0), ("mlp", 2), ("attention", 3))
        assert found.healed.loss_after.value is not None


def test_a_cut_that_costs_nothing_has_no_share_to_recover(folder: Path, path: str) -> None:
    from tests.verification.tiny_verification import save, tiny_llama

    planted = describe_model(save(tiny_llama(4, planted=(2,)), folder / "planted")).info
    found = run_heal(th.request(th.plan_for(planted, (2,)), path, steps=4, control=False))
    assert found.cut_loss.value == pytest.approx(found.base_loss.value)
    assert found.recovered.value is None
    assert any("did not lose anything" in note.in_english() for note in found.notes)


def test_a_control_of_distillation_alone_learns_from_the_text(info: ModelInfo, path: str, memory: LoadedModel) -> None:
    found = heal(th.request(th.plan_for(info), path, objective="distillation", steps=4), memory)
    assert found.control is not None
    assert found.control.objective == "next_token"
    assert any("nothing to learn from itself" in note.in_english() for note in found.control.notes)


def test_patience_ends_a_training_that_gains_nothing(info: ModelInfo, path: str, memory: LoadedModel) -> None:
    found = heal(th.request(th.plan_for(info), path, control=False, steps=40, evaluate_every=2, patience=2, learning_rates=(0.5,)), memory)
    arm = found.healed
    assert arm.stop == "no_gain"
    assert arm.points[-1].step < 40
    assert sum(point.step > arm.best_step for point in arm.points) == 2


def test_where_no_step_is_better_than_none_the_untouched_weights_are_judged(
    info: ModelInfo, path: str, memory: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heal_arms, "check_rates", lambda _: None)
    found = heal(th.request(th.plan_for(info), path, control=False, steps=6, evaluate_every=3, learning_rates=(1e-9,)), memory)
    assert found.healed.best_step == 0
    assert found.healed.loss_after == found.cut_loss
    assert any("no training step was better than none" in note.in_english() for note in found.healed.notes)


def test_the_selection_part_chooses_the_learning_rate(info: ModelInfo, path: str, memory: LoadedModel) -> None:
    found = heal(th.request(th.plan_for(info), path, control=False, steps=10, learning_rates=(1e-6, 1e-2)), memory)
    assert found.healed.learning_rate == 1e-2
    assert {float(rate) for rate in found.healed.tried} == {1e-6, 1e-2}
    assert found.healed.all_seconds > found.healed.seconds


def test_a_budget_ends_training_and_says_so(info: ModelInfo, path: str, memory: LoadedModel) -> None:
    found = heal(th.request(th.plan_for(info), path, steps=4000, evaluate_every=1000, max_minutes=0.018, control=False), memory)
    assert found.healed.stop == "budget"
    assert any("the budget ended the training" in note.in_english() for note in found.healed.notes)


def test_a_learning_rate_for_which_no_time_was_left_did_not_diverge(info: ModelInfo, path: str, memory: LoadedModel) -> None:
    asked = th.request(
        th.plan_for(info), path, steps=4000, evaluate_every=1000, max_minutes=0.018, control=False, learning_rates=(1e-3, 1e-2)
    )
    arm = heal(asked, memory).healed
    assert [float(rate) for rate in arm.tried] == [1e-3]
    assert any("no time was left: 0.01" in note.in_english() for note in arm.notes)


def test_long_lines_of_plain_text_train_window_by_window(info: ModelInfo, memory: LoadedModel, tmp_path: Path) -> None:
    lines = [" ".join(str(row["prompt"]) for row in th.rows(30 + n)[n:]) for n in range(24)]
    (tmp_path / "text.txt").write_text("\n".join(lines))
    found = heal(th.request(th.plan_for(info), str(tmp_path / "text.txt"), max_tokens=16, steps=4, control=False), memory)
    assert found.counts.n_tokens > 16 * found.n_train
    assert any("windows of that length" in note.in_english() for note in found.notes)


def test_lines_of_plain_text_that_are_put_together_make_texts_of_about_a_window(
    info: ModelInfo, memory: LoadedModel, tmp_path: Path
) -> None:
    lines = [f"{row['prompt']} {number}" for number, row in enumerate(th.rows(120))]
    (tmp_path / "text.txt").write_text("\n\n".join(lines))
    asked = th.request(th.plan_for(info), str(tmp_path / "text.txt"), steps=2, control=False, chat_template=False, max_tokens=16)
    asked = asked.model_copy(update={"joined_characters": 150})
    found = heal(asked, memory)
    n_pieces = found.n_train + found.n_selection + found.n_report
    assert n_pieces == found.workload.n_examples < len(lines) / 2
    assert found.counts.n_tokens / found.n_train > 16
    assert any("lines that follow each other were read as one text" in note.in_english() for note in found.workload.notes)


def test_lines_that_the_plan_was_chosen_from_are_not_reported_on_in_a_piece_of_text(info: ModelInfo, tmp_path: Path) -> None:
    from analysis.contracts import WorkloadRef

    path = tmp_path / "text.txt"
    path.write_text("\n".join(f"{row['prompt']} {number}" for number, row in enumerate(th.rows(60))))
    known = WorkloadRef(name="text", content_hash=read_workload([path]).info.content_hash, paths=(str(path),))
    plan = th.plan_for(info).model_copy(update={"workload": known})
    asked = th.request(plan, str(path), chat_template=False).model_copy(update={"joined_characters": 200})
    with pytest.raises(PlanError, match=r"hold lines that the plan was chosen from. Read the file line by line \(--lines\)"):
        run_heal(asked, load=never)


# -- progress and going on ---------------------------------------------------------------------------------------------


def test_curves_grow_while_it_trains(info: ModelInfo, path: str, memory: LoadedModel) -> None:
    told: list[Any] = []
    heal(th.request(th.plan_for(info), path, steps=8, evaluate_every=4), memory, on_progress=told.append)
    assert {name for progress in told for name in progress.curves} == {"healed", "control"}
    assert max(len(progress.curves.get("healed", ())) for progress in told) == 3
    fractions = [progress.fraction for progress in told if progress.total]
    assert fractions == sorted(fractions)
    assert all(progress.stage.id for progress in told)


@pytest.fixture(scope="module")
def whole(info: ModelInfo, path: str, memory: LoadedModel) -> Healing:
    """Four trainings that nobody stopped."""
    return heal(in_four_trainings(info, path), memory)


def in_four_trainings(info: ModelInfo, path: str) -> HealRequest:
    return th.request(th.plan_for(info), path, steps=6, evaluate_every=2, learning_rates=(1e-2, 2e-2))


@pytest.mark.parametrize("stop_at", [3, 16])
def test_a_stopped_healing_goes_on_to_the_same_numbers(
    stop_at: int, whole: Healing, info: ModelInfo, path: str, memory: LoadedModel, tmp_path: Path
) -> None:
    asked = in_four_trainings(info, path)
    steps: list[int] = []
    before = weights_of(memory)

    def stop() -> bool:
        return len(steps) > stop_at

    def count(progress: Any) -> None:
        if progress.stage.id.startswith("Healing"):
            steps.append(progress.done)

    with pytest.raises(Cancelled):
        heal(asked, memory, folder=tmp_path / "job", should_stop=stop, on_progress=count)
    assert same(before, weights_of(memory))
    found = heal(asked, memory, folder=tmp_path / "job")
    assert found.example_losses == whole.example_losses
    assert found.recovered_against_control == whole.recovered_against_control
    assert [point.selection_loss for point in found.healed.points] == [point.selection_loss for point in whole.healed.points]


def test_a_stop_without_room_for_the_weights_is_a_plain_stop(
    info: ModelInfo, path: str, memory: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    told: list[Any] = []
    monkeypatch.setattr(heal_arm, "save_file", full)
    asked = th.request(th.plan_for(info), path, steps=20, evaluate_every=2)
    with pytest.raises(Cancelled, match=r"^Stopped at your request\.$"):
        heal(asked, memory, folder=tmp_path, should_stop=lambda: len(told) > 30, on_progress=told.append)


def test_a_finished_training_is_not_done_again(
    info: ModelInfo, path: str, memory: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = th.request(th.plan_for(info), path, steps=3)
    first = heal(asked, memory, folder=tmp_path)
    monkeypatch.setattr(heal_arms, "heal_once", lambda *_: pytest.fail("it is known"))
    again = heal(asked, memory, folder=tmp_path)
    assert again.example_losses == first.example_losses
    assert again.healed.model_dump(exclude={"seconds", "all_seconds", "teacher_seconds"}) == first.healed.model_dump(
        exclude={"seconds", "all_seconds", "teacher_seconds"}
    )


def test_what_the_plan_was_chosen_from_is_said_where_it_is_another_workload(info: ModelInfo, path: str, memory: LoadedModel) -> None:
    from analysis.contracts import WorkloadRef

    plan: Plan = th.plan_for(info).model_copy(update={"workload": WorkloadRef(name="other", content_hash="1" * 64)})
    found = heal(th.request(plan, path, steps=4, control=False), memory)
    assert any('chosen on the workload "other"' in note.in_english() for note in found.notes)


def test_no_time_at_all_is_refused(info: ModelInfo, path: str, memory: LoadedModel) -> None:
    with pytest.raises(PlanError, match="no time to train the cut model"):
        heal(th.request(th.plan_for(info), path, max_minutes=0.001), memory)


@pytest.mark.parametrize(("objective", "weight"), [("distillation", 0.5), ("both", 1.0)])
def test_a_control_never_has_only_itself_to_learn_from(objective: HealObjective, weight: float) -> None:
    settings = th.QUICK.model_copy(update={"objective": objective, "distillation_weight": weight})
    assert room.arms_of(settings, (("block", 1),))[1].objective == "next_token"


def test_arms_are_trained_in_a_stated_order() -> None:
    settings = th.QUICK.model_copy(update={"compare": ("next_token",)})
    assert [arm.name for arm in room.arms_of(settings, (("block", 1),))] == ["healed", "control", "next_token"]
