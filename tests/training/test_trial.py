"""From a request to a trial: bad input first, then what it holds, and that nothing is chosen by or learnt from what judges."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.contracts import ModelInfo, Progress, Skip, StepModel, StepPoint, TrainingShape, Trial
from analysis.errors import Cancelled, ModelError, PlanError, WorkloadError
from analysis.models.device import device_name
from analysis.models.load import describe_model, load_model
from analysis.models.stack import LoadedModel
from analysis.planning.steps import fit_steps
from analysis.reporting.step_times import step_times
from analysis.training import arms as arms_room
from analysis.training import trial as room
from analysis.training.arm import ArmRun, ArmSpec, train_arm
from analysis.training.data import Parts
from analysis.training.trial import arms_wanted, run_trial
from analysis.workload import EncodedExample, read_workload
from tests.models.tiny import build
from tests.trained_builders import make_semantics
from tests.training import tiny_trial as tt
from tests.verification import tiny_verification as tv


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trials")


@pytest.fixture(scope="module")
def info(folder: Path) -> ModelInfo:
    source = tv.save(tv.tiny_llama(4), folder / "model")
    load_model(source, device="cpu")
    return describe_model(source).info


@pytest.fixture(scope="module")
def path(folder: Path) -> str:
    return tt.write(folder, tt.rows())


@pytest.fixture(scope="module")
def memory(info: ModelInfo) -> LoadedModel:
    """One model for all trials: each has to leave it as it was."""
    return load_model(info.source, device="cpu")


@pytest.fixture(autouse=True)
def without_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are timed in tests of their own."""
    monkeypatch.setattr(room, "measure_steps", _no_steps)


def _no_steps(*_: object, **__: object) -> Any:
    raise room.ResourceError("No steps in this test.")


@dataclasses.dataclass
class Spied:
    """What went into training and judging."""

    trained: list[tuple[ArmSpec, Parts]] = dataclasses.field(default_factory=list)
    judged: list[tuple[str, ...]] = dataclasses.field(default_factory=list)


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> Spied:
    seen = Spied()
    judge = arms_room.judge

    def training(loaded: LoadedModel, parts: Parts, spec: ArmSpec, *rest: Any, **more: Any) -> ArmRun:
        seen.trained.append((spec, parts))
        return train_arm(loaded, parts, spec, *rest, **more)

    def judging(loaded: LoadedModel, stack: Any, examples: Sequence[EncodedExample], *rest: Any, **more: Any) -> Any:
        seen.judged.append(tuple(example.example_id for example in examples))
        return judge(loaded, stack, examples, *rest, **more)

    monkeypatch.setattr(arms_room, "train_arm", training)
    monkeypatch.setattr(arms_room, "judge", judging)
    return seen


def never(*_: object, **__: object) -> Any:
    raise AssertionError("the model was loaded")


# -- bad input, found out before the model is loaded -------------------------------------------------------------------


def test_a_plan_that_freezes_nothing_at_all_is_refused(info: ModelInfo, path: str) -> None:
    plan = tt.plan_for(info).model_copy(update={"operations": (Skip(blocks=(1,)),)})
    with pytest.raises(PlanError, match="freezes no layers"):
        run_trial(tt.request(plan, path), load=never)


def test_a_plan_that_also_takes_layers_out_is_refused(info: ModelInfo, path: str) -> None:
    plan = tt.plan_for(info)
    plan = plan.model_copy(update={"operations": (*plan.operations, Skip(blocks=(1,)))})
    with pytest.raises(PlanError, match="changes others as well"):
        run_trial(tt.request(plan, path), load=never)


def test_a_boundary_at_the_last_layer_is_refused(info: ModelInfo, path: str) -> None:
    with pytest.raises(PlanError, match=r"-1 \(none\) to 2: at least one layer must train"):
        run_trial(tt.request(tt.plan_for(info, 3), path), load=never)


def test_boundaries_out_of_range_are_each_named(info: ModelInfo, path: str) -> None:
    with pytest.raises(PlanError, match=r"3, 9.*-1 \(none\) to 2"):
        run_trial(tt.request(tt.plan_for(info), path, boundaries=(0, 9, 3)), load=never)


def test_a_learning_rate_that_cannot_be_meant_is_named(info: ModelInfo, path: str) -> None:
    with pytest.raises(PlanError, match=r"cannot be meant: 30\. Give numbers above 0 and at most 1"):
        run_trial(tt.request(tt.plan_for(info), path, learning_rates=(1e-5, 30.0)), load=never)


def test_a_plan_for_another_model_is_refused(info: ModelInfo, path: str) -> None:
    plan = tt.plan_for(info)
    other = plan.model_copy(update={"model": plan.model.model_copy(update={"name": "other", "commit": "feed"})})
    with pytest.raises(PlanError, match="The plan is for the model other"):
        run_trial(tt.request(other, path), load=never)


def test_a_workload_without_a_single_response_is_refused(info: ModelInfo, folder: Path) -> None:
    asked = tt.write(folder / "asked", [{"prompt": row["prompt"]} for row in tt.rows()])
    with pytest.raises(WorkloadError, match=r"None of the \d+ prompts has a response"):
        run_trial(tt.request(tt.plan_for(info), asked), load=never)


def test_responses_that_are_all_cut_away_are_refused_with_the_length_they_need(info: ModelInfo, folder: Path) -> None:
    long = [{**row, "prompt": "bolt " * 20 + row["prompt"]} for row in tt.rows()]
    with pytest.raises(WorkloadError, match=r"cut to 16 tokens.*takes 24.*longest 25.*--max-tokens 25"):
        run_trial(tt.request(tt.plan_for(info), tt.write(folder / "long", long), max_tokens=16), load=never)


def test_a_verification_half_without_prompts_is_refused(info: ModelInfo, folder: Path, path: str) -> None:
    made = tt.rows()
    parts = {example.prompt: example.part for example in read_workload([Path(path)]).examples}
    learnt = [row for row in made if parts[row["prompt"]] == "calibration"]
    with pytest.raises(WorkloadError, match="No example falls into the verification half"):
        run_trial(tt.request(tt.plan_for(info), tt.write(folder / "learnt", learnt)), load=never)


def test_a_verification_half_without_responses_is_refused(info: ModelInfo, folder: Path) -> None:
    def row(number: int, **more: str) -> dict[str, Any]:
        return {"prompt": " ".join(tv.WORDS[3 + (number >> shift) % 13] for shift in (0, 2, 4, 6)), **more}

    answered = [row(number, response="ok") for number in range(40)]
    whole = read_workload([Path(tt.write(folder / "whole", answered))])
    learnt = {example.prompt for example in whole.examples if example.part == "calibration"}
    mixed = [one for one in answered if one["prompt"] in learnt] + [row(number) for number in range(60, 140)]
    with pytest.raises(WorkloadError, match="No prompt of the verification half has a response"):
        run_trial(tt.request(tt.plan_for(info), tt.write(folder / "mixed", mixed)), load=never)


def test_a_model_that_does_not_write_is_refused_and_told_what_works(folder: Path, path: str) -> None:
    source = tv.save(build("bert"), folder / "bert")
    load_model(source, device="cpu")
    with pytest.raises(ModelError, match="does not write word after word.*Profiles, scans"):
        run_trial(tt.request(tt.plan_for(describe_model(source).info, 0), path), load=never)


def test_a_plan_whose_files_are_unknown_needs_a_workload(info: ModelInfo, path: str) -> None:
    from analysis.planning.propose import workload_ref

    workload = workload_ref(read_workload([Path(path)]).info).model_copy(update={"paths": ()})
    plan = tt.plan_for(info).model_copy(update={"workload": workload})
    with pytest.raises(PlanError, match="Give the workload file to train on"):
        run_trial(tt.request(plan, ()), load=never)


# -- what a trial holds ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sweep(info: ModelInfo, path: str, memory: LoadedModel) -> Trial:
    """Two more boundaries and two learning rates, with its weights checked afterwards."""
    patch = pytest.MonkeyPatch()
    patch.setattr(room, "measure_steps", _no_steps)
    before = {name: tensor.clone() for name, tensor in memory.model.state_dict().items()}
    request = tt.request(tt.plan_for(info, 1), path, boundaries=(0, 2), learning_rates=(1e-2, 3e-2))
    found = run_trial(request, load=lambda *_, **__: memory)
    patch.undo()
    after = memory.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    return found


def test_every_arm_sees_the_same_tokens_and_is_judged_alike(sweep: Trial) -> None:
    assert [arm.name for arm in sweep.arms] == ["freeze 1", "full", "lora", "freeze 0", "freeze 2"]
    assert {arm.points[-1].tokens for arm in sweep.arms} == {2 * sweep.counts.n_tokens}
    assert len({arm.loss_before.value for arm in sweep.arms}) == 1
    assert all(len(arm.points) == sweep.settings.points for arm in sweep.arms)
    judged = {tuple(arm.example_losses) for arm in sweep.arms}
    assert len(judged) == 1
    assert len(next(iter(judged))) == sweep.verification_counts.n_examples


def test_what_can_be_learnt_is_learnt_and_frozen_layers_stay(sweep: Trial) -> None:
    for arm in sweep.arms:
        assert arm.reduction.low is not None
        assert arm.reduction.low > 0, arm.name
        assert arm.points[-1].verification_loss == pytest.approx(arm.loss_after.value)
        assert arm.kind == "full" or (arm.frozen_identical and arm.gradient_free)
        assert set(arm.slices) == {"mail", "orders"}


def test_each_arm_has_a_learning_rate_of_its_own_and_all_losses_are_told(sweep: Trial) -> None:
    for arm in sweep.arms:
        if arm.kind == "lora":
            assert arm.tried == {}
            continue
        assert set(arm.tried) == {"0.01", "0.03"}
        assert arm.tried[str(arm.learning_rate)] == min(loss for loss in arm.tried.values() if loss is not None)


def test_the_last_tuning_loss_is_that_of_the_run_that_won(sweep: Trial) -> None:
    """The final run is the winning candidate once more: same seed, same examples, same steps."""
    for arm in sweep.arms:
        if arm.tried:
            assert arm.points[-1].tuning_loss == pytest.approx(arm.tried[str(arm.learning_rate)])


def test_shares_are_of_full_fine_tuning(sweep: Trial) -> None:
    full = sweep.arm("full")
    assert full is not None
    assert full.kept_at_tokens is None
    for arm in sweep.arms:
        if arm.kind != "full":
            assert arm.kept_at_tokens is not None
            assert arm.kept_at_tokens.value == pytest.approx((arm.reduction.value or 0) / (full.reduction.value or 1))
            assert arm.kept_at_cost is not None


def test_a_sweep_ends_in_a_front_with_the_rules_marked(sweep: Trial) -> None:
    assert sweep.is_sweep
    assert {point.arm for point in sweep.front} == {"freeze 0", "freeze 1", "freeze 2", "full"}
    assert any(point.on_front for point in sweep.front)
    plasticity = next(choice for choice in sweep.choices if choice.strategy == "plasticity")
    assert plasticity.eof_layer is not None
    assert any("traces" in note.in_english() for note in sweep.notes)


def test_a_trial_survives_its_file(sweep: Trial) -> None:
    assert Trial.model_validate_json(sweep.model_dump_json()).model_dump_json() == sweep.model_dump_json()


def test_the_counted_promise_is_kept_exactly(sweep: Trial) -> None:
    exact = {error.quantity: error.error_share for error in sweep.projection_errors}
    assert exact["n_trainable"] == 0.0


def test_nothing_is_learnt_from_or_chosen_by_the_verification_half(
    info: ModelInfo, path: str, memory: LoadedModel, spied: Spied, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_by = {example.id for example in read_workload([Path(path)]).examples if example.part == "verification"}
    asked: list[set[str]] = []

    def choosing(rates: Sequence[float], loss_after: Any, **how: Any) -> Any:
        def spying(rate: float) -> float | None:
            before = len(spied.judged)
            loss: float | None = loss_after(rate)
            asked.append({name for names in spied.judged[before:] for name in names})
            return loss

        return choose(rates, spying, **how)

    choose = arms_room.best_learning_rate
    monkeypatch.setattr(arms_room, "best_learning_rate", choosing)
    request = tt.request(tt.plan_for(info, 1), path, learning_rates=(1e-2, 3e-2), compare=("full",))
    run_trial(request, load=lambda *_, **__: memory)
    assert len(spied.trained) == 6
    for _, parts in spied.trained:
        trained, tuned = ({example.example_id for example in part} for part in (parts.train, parts.tuning))
        assert trained
        assert tuned
        assert not (trained | tuned) & judged_by
        assert not trained & tuned
    assert len(asked) == 4
    assert all(names and not names & judged_by for names in asked)
    assert any(set(names) <= judged_by for names in spied.judged)


def test_without_a_tuning_part_nothing_is_tried(info: ModelInfo, path: str, memory: LoadedModel, spied: Spied) -> None:
    settings = {"tuning_share": 0.0, "learning_rates": (1e-3, 1e-2, 1e-1), "compare": ()}
    found = run_trial(tt.request(tt.plan_for(info, 1), path, **settings), load=lambda *_, **__: memory)
    assert [spec.learning_rate for spec, _ in spied.trained] == [1e-2]
    assert (found.n_tuning, found.arms[0].tuning_reduction) == (0, None)
    said = [note.in_english() for note in (*found.arms[0].notes, *found.notes)]
    assert any("of 0.001, 0.01 and 0.1" in text or "middle one (0.01)" in text for text in said)
    assert any("Full fine-tuning was not trained" in text for text in said)


def test_a_plan_that_freezes_nothing_is_full_fine_tuning(info: ModelInfo, path: str, memory: LoadedModel, spied: Spied) -> None:
    found = run_trial(tt.request(tt.plan_for(info, -1), path, compare=("lora_freeze",)), load=lambda *_, **__: memory)
    assert [(spec.kind, spec.eof_layer) for spec, _ in spied.trained] == [("full", -1), ("lora", -1)]
    assert found.own is not None
    assert [arm.name for arm in found.arms] == ["freeze -1", "full", "lora"]


def test_a_boundary_asked_for_twice_is_trained_once() -> None:
    settings = tt.QUICK.model_copy(update={"boundaries": (-1, 0, 1), "compare": ("lora", "full", "lora_freeze")})
    assert [asked.name for asked in arms_wanted(1, settings)] == ["freeze 1", "lora", "full", "lora_freeze 1", "freeze 0"]


def test_an_arm_that_diverged_with_every_rate_is_left_out_and_said(
    info: ModelInfo, path: str, memory: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def training(loaded: LoadedModel, parts: Parts, spec: ArmSpec, *rest: Any, **more: Any) -> ArmRun:
        run = train_arm(loaded, parts, spec, *rest, **more)
        return dataclasses.replace(run, diverged=spec.kind == "full")

    monkeypatch.setattr(arms_room, "train_arm", training)
    found = run_trial(tt.request(tt.plan_for(info, 1), path, compare=("full",)), load=lambda *_, **__: memory)
    assert [arm.name for arm in found.arms] == ["freeze 1"]
    assert any("The arm full was left out: Training diverged" in note.in_english() for note in found.notes)


def test_a_budget_that_is_spent_leaves_arms_out_and_says_so(
    info: ModelInfo, path: str, memory: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def training(loaded: LoadedModel, parts: Parts, spec: ArmSpec, *rest: Any, **more: Any) -> ArmRun:
        assert spec.max_seconds is not None
        return dataclasses.replace(train_arm(loaded, parts, spec, *rest, **more), seconds=70.0)

    monkeypatch.setattr(arms_room, "train_arm", training)
    found = run_trial(tt.request(tt.plan_for(info, 1), path, max_minutes=1.0), load=lambda *_, **__: memory)
    assert [arm.name for arm in found.arms] == ["freeze 1"]
    said = [note.in_english() for note in found.notes]
    assert any("arm full was not trained: the budget of 1 minutes" in text for text in said)


def test_rates_tried_past_the_end_of_the_list_leave_the_last_run_its_share_of_the_budget(
    info: ModelInfo, path: str, memory: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def training(loaded: LoadedModel, parts: Parts, spec: ArmSpec, *rest: Any, **more: Any) -> ArmRun:
        assert spec.max_seconds is not None
        given.append(spec.max_seconds)
        return dataclasses.replace(train_arm(loaded, parts, spec, *rest, **more), seconds=spec.max_seconds)

    monkeypatch.setattr(arms_room, "train_arm", training)
    request = tt.request(tt.plan_for(info, 1), path, max_minutes=1.0, compare=(), epochs=1, learning_rates=())
    run_trial(request, load=lambda *_, **__: memory)
    assert len(given) > 4  # the default rates are too small for this model
    assert sum(given) <= 60.0 + 1e-6
    assert given[-1] >= given[0] > 8.0


def test_an_arm_that_the_budget_ended_is_not_compared_at_the_same_tokens(
    info: ModelInfo, path: str, memory: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def training(loaded: LoadedModel, parts: Parts, spec: ArmSpec, *rest: Any, **more: Any) -> ArmRun:
        limit = 1e-9 if spec.kind == "freeze" else None
        return train_arm(loaded, parts, dataclasses.replace(spec, max_seconds=limit), *rest, **more)

    monkeypatch.setattr(arms_room, "train_arm", training)
    found = run_trial(tt.request(tt.plan_for(info, 1), path, compare=("full",)), load=lambda *_, **__: memory)
    own = found.own
    assert own is not None
    assert (own.stop, own.kept_at_tokens) == ("budget", None)
    assert own.kept_at_cost is not None
    assert any("after 1 of 8 steps" in note.in_english() for note in own.notes)


def test_releasing_frees_layers_until_the_tuning_part_says_stop(info: ModelInfo, path: str, memory: LoadedModel, spied: Spied) -> None:
    told: list[str] = []
    request = tt.request(tt.plan_for(info, 1), path, release=True, compare=())
    found = run_trial(request, load=lambda *_, **__: memory, on_progress=lambda progress: told.append(progress.stage.in_english()))
    assert found.released[0] == "freeze 2"
    assert list(found.released) == ["freeze 2", "freeze 1", "freeze 0", "full"][: len(found.released)]
    assert found.recommended in (None, 2, 1, 0, -1)
    assert len({(spec.kind, spec.eof_layer) for spec, _ in spied.trained}) == len(spied.trained)
    assert found.front
    assert {stage for stage in told if stage.endswith("of 4)")} == {stage for stage in told if stage.endswith(")")}


def test_releasing_may_be_held_to_a_number_of_layers(info: ModelInfo, path: str, memory: LoadedModel) -> None:
    request = tt.request(tt.plan_for(info, 2), path, release=True, compare=(), max_trainable=1)
    found = run_trial(request, load=lambda *_, **__: memory)
    assert found.released == ("freeze 2",)


def test_releasing_needs_a_tuning_part(info: ModelInfo, path: str) -> None:
    with pytest.raises(PlanError, match="share kept back for it is 0"):
        run_trial(tt.request(tt.plan_for(info, 1), path, release=True, tuning_share=0.0), load=never)


def test_releasing_with_too_few_examples_to_keep_any_back_is_refused_before_training(
    info: ModelInfo, folder: Path, path: str, memory: LoadedModel, spied: Spied
) -> None:
    learnt = [example for example in read_workload([Path(path)]).examples if example.part == "calibration"]
    few = [row for row in tt.rows() if row["prompt"] not in {example.prompt for example in learnt[1:]}]
    with pytest.raises(PlanError, match="too few to keep any back"):
        run_trial(tt.request(tt.plan_for(info, 1), tt.write(folder / "few", few), release=True), load=lambda *_, **__: memory)
    assert not spied.trained


def test_traces_of_another_model_are_left_aside_and_said(info: ModelInfo, path: str, memory: LoadedModel) -> None:
    request = tt.request(tt.plan_for(info, 1), path, compare=())
    found = run_trial(request, load=lambda *_, **__: memory, semantics=make_semantics(4))
    assert any("another model" in note.in_english() for note in found.notes)


def test_traces_of_another_workload_are_used_and_said(info: ModelInfo, path: str, memory: LoadedModel) -> None:
    semantics = make_semantics(4, model=info)
    found = run_trial(tt.request(tt.plan_for(info, 1), path, compare=()), load=lambda *_, **__: memory, semantics=semantics)
    assert next(choice for choice in found.choices if choice.strategy == "gain").eof_layer is not None
    assert any("The rules chose by traces of the workload" in note.in_english() for note in found.notes)


def test_one_bar_runs_over_the_whole_trial_with_the_arm_in_words(info: ModelInfo, path: str, memory: LoadedModel) -> None:
    told: list[Progress] = []
    found = run_trial(tt.request(tt.plan_for(info, 1), path, compare=("full",)), load=lambda *_, **__: memory, on_progress=told.append)
    drawn = {arm.name: tuple((point.tokens, point.tuning_loss) for point in arm.points) for arm in found.arms}
    assert told[-1].curves == drawn  # live, and whole in the end
    assert {len(progress.curves) for progress in told} == {0, 1, 2}
    assert max(len(progress.training_curve) for progress in told) == found.arms[0].cost.n_steps
    shares = [progress.fraction for progress in told if progress.total]
    assert shares == sorted(shares)
    assert max(shares) <= 1.0
    said = {progress.stage.in_english() for progress in told}
    assert {"Training layers 2 to 3 (arm 1 of 2)", "Training layers 0 to 3 (arm 2 of 2)", "Judging the original model"} <= said
    assert any(progress.eta_seconds is not None for progress in told)


# -- stopping and going on ---------------------------------------------------------------------------------------------


def test_a_stopped_trial_goes_on_with_what_it_had(info: ModelInfo, path: str, memory: LoadedModel, tmp_path: Path, spied: Spied) -> None:
    request = tt.request(tt.plan_for(info, 1), path, learning_rates=(1e-2, 3e-2), compare=("full",))
    whole = run_trial(request, load=lambda *_, **__: memory)
    n_runs = len(spied.trained)
    spied.trained.clear()

    def stop() -> bool:
        return len(spied.trained) == 5

    with pytest.raises(Cancelled):
        run_trial(request, load=lambda *_, **__: memory, should_stop=stop, folder=tmp_path / "kept")
    spied.trained.clear()
    again = run_trial(request, load=lambda *_, **__: memory, folder=tmp_path / "kept")
    assert len(spied.trained) == n_runs - 4
    for one, other in zip(whole.arms, again.arms, strict=True):
        assert (one.name, one.learning_rate, one.tried) == (other.name, other.learning_rate, other.tried)
        assert one.reduction == other.reduction
        assert one.example_losses == other.example_losses


def test_steps_are_timed_before_any_arm_and_once_for_a_trial_that_goes_on(
    info: ModelInfo, path: str, memory: LoadedModel, tmp_path: Path, spied: Spied, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[int] = []

    def timing(loaded: LoadedModel, shape: TrainingShape, **more: Any) -> StepModel:
        timed.append(len(spied.trained))
        assert more["avoid"] == ((1,), (2,))[len(timed) - 1]
        points = [StepPoint(eof_layer=eof, p50_ms=ms, p95_ms=ms, repeats=1) for eof, ms in ((-1, 8.0), (0, 7.0), (2, 4.0), (1, 6.0))]
        names = {"model_commit": loaded.info.commit, "stack": loaded.stack().info.name, "device": "cpu"}
        return fit_steps(points[:3], check=points[3:], **names, device_name=device_name(loaded.device), shape=shape, n_blocks=4)

    monkeypatch.setattr(room, "measure_steps", timing)
    for _ in range(2):
        found = run_trial(tt.request(tt.plan_for(info, 1), path, compare=()), load=lambda *_, **__: memory, folder=tmp_path)
        assert found.steps is not None
        assert {error.quantity: error.measured for error in found.projection_errors}["step_ms"] == 6.0
        assert step_times(found, found.arms[0], found.arms[0]).full == 8.0
    assert timed == [0]
    steps, load = found.steps, lambda *_, **__: memory
    for eof, n_times in ((1, 1), (2, 2)):  # steps from elsewhere lack the other plan's boundary, and its fit may not hold it
        run_trial(tt.request(tt.plan_for(info, eof), path, compare=()), load=load, known_steps=steps)
        assert len(timed) == n_times


def test_what_another_trial_left_in_the_folder_is_not_taken(
    info: ModelInfo, path: str, memory: LoadedModel, tmp_path: Path, spied: Spied
) -> None:
    def run(**changes: Any) -> int:
        spied.trained.clear()
        run_trial(tt.request(tt.plan_for(info, 1), path, compare=(), **changes), load=lambda *_, **__: memory, folder=tmp_path)
        return len(spied.trained)

    assert (run(), run(), run(seed=1)) == (1, 0, 1)
    for file in tmp_path.glob("*.json"):
        file.write_text("{half a fi")
    assert run(seed=1) == 1
