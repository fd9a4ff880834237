"""`trial`, `sweep` and `steps`: what a person types, what comes of it, and every way it goes wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner, Result

from analysis.cli import app
from analysis.cli.figures import aligned
from analysis.cli.trying import arms_named, boundaries_of, bytes_of
from analysis.contracts import ProjectionError, Trial, TrialRequest
from analysis.errors import Cancelled, InputError, ResourceError
from analysis.runs.documents import parse_document
from analysis.runs.store import open_store
from tests.builders import make_profile
from tests.trained_builders import make_arm, make_freeze_plan, make_semantics, make_trial
from tests.workload.tokenizer_zoo import model_folder

WORDS = ("the valve leaks", "check the pump and the motor", "order four bearings", "why is the line down")
ENGLISH = re.compile(r"\b[A-Z][a-z]+ [a-z]+ [a-z]+ [a-z]+")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = model_folder(tmp_path_factory.mktemp("models") / "tiny", "byte level")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1}
    LlamaForCausalLM(LlamaConfig(vocab_size=300, initializer_range=0.2, **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    lines = [{"question": f"{WORDS[n % 4]}, number {n}", "answer": f"ok {n}"} for n in range(24)]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(make_freeze_plan().model_dump_json(), encoding="utf-8")
    return path


def invoke(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def _opened(path: Path) -> Any:
    return parse_document(path.read_bytes(), path.name)


def test_from_a_model_and_answers_to_a_sweep_a_trial_and_what_is_kept(model: Path, answers: Path, tmp_path: Path) -> None:
    plan, out = tmp_path / "plan.json", tmp_path / "trial.json"
    assert invoke("plan", "--op", "freeze", "--model", model, "--eof-layer", "1", "--out", plan).exit_code == 0
    data = ("--data", answers, "--map", "prompt=question", "--map", "response=answer", "--device", "cpu")
    short = ("--epochs", "1", "--batch-size", "4", "--learning-rate", "1e-3", "--compare", "full")
    tried = invoke("trial", "--plan", plan, *data, *short, "--out", out)
    assert tried.exit_code == 0, tried.output
    trial: Trial = _opened(out)
    assert [arm.name for arm in trial.arms] == ["freeze 1", "full"]
    assert trial.settings.epochs == 1
    assert "Checked: every frozen weight is bit for bit what it was" in tried.stderr
    assert "Checked: no weight below the boundary ever had a gradient." in tried.stderr
    kept = [one for one in open_store().trials.trials() if not one.is_sample]
    assert [one.id for one in kept] == [trial.id]
    assert next(one.state for one in open_store().plans.plans() if one.id == trial.plan_id) == "verified"
    assert not list((tmp_path / "home" / "checkpoints").glob("trial-*"))
    swept = invoke("sweep", "--plan", plan, *data, *short, "--boundaries", "0,2", "--no-store", "--out", tmp_path / "sweep.json")
    assert swept.exit_code == 0, swept.output
    assert {arm.name for arm in _opened(tmp_path / "sweep.json").arms} == {"freeze 0", "freeze 1", "freeze 2", "full"}
    assert "No run is both cheaper and better than these" in swept.stderr
    japanese = invoke("trial", "--plan", plan, *data, *short, "--no-store", "--lang", "ja")
    assert not ENGLISH.search(japanese.stderr.replace(str(answers), "")), japanese.stderr


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A trial without a model; what it was asked stands in "request"."""
    told: dict[str, Any] = {"folder": tmp_path / "checkpoint"}

    def run(request: TrialRequest, **given: Any) -> Trial:
        told["request"], told["given"] = request, given
        if told.get("error"):
            raise told["error"]
        return make_trial(request.plan.eof_layer or 0, plan=request.plan, boundaries=request.settings.boundaries, **told.get("changes", {}))

    here = SimpleNamespace(semantics=None, steps=None, folder=told["folder"])
    monkeypatch.setattr("analysis.training.trial.run_trial", run)
    monkeypatch.setattr("analysis.cli.trying._here", lambda *_: here)
    return told


def test_settings_reach_the_trial(plan_file: Path, trials: dict[str, Any], answers: Path) -> None:
    args = (
        *("--data", answers, "--map", "prompt=question", "--epochs", "2", "--batch-size", "4", "--micro-batch", "2"),
        *("--learning-rate", "1e-5", "--learning-rate", "3e-5", "--lora-learning-rate", "1e-4", "--compare", "lora_freeze"),
        *("--cache", "disk", "--cache-limit", "2GiB", "--seed", "7", "--max-minutes", "20", "--max-tokens", "256", "--lora-rank", "4"),
        *("--slice", "code", "--no-chat-template", "--no-train-norm", "--tuning-share", "0.3", "--device", "cpu", "--dtype", "float32"),
    )
    result = invoke("trial", "--plan", plan_file, *args)
    assert result.exit_code == 0, result.output
    request: TrialRequest = trials["request"]
    settings = request.settings
    assert (settings.epochs, settings.batch_size, settings.micro_batch, settings.seed, settings.lora_rank) == (2, 4, 2, 7, 4)
    assert (settings.learning_rates, settings.lora_learning_rates) == ((1e-5, 3e-5), (1e-4,))
    assert (settings.compare, settings.cache, settings.cache_bytes) == (("lora_freeze",), "disk", 2 * 2**30)
    assert (settings.max_minutes, settings.max_tokens, settings.tuning_share) == (20, 256, 0.3)
    assert (settings.slices, settings.chat_template, settings.train_norm) == (("code",), False, False)
    assert (settings.device, settings.dtype, settings.boundaries, settings.release) == ("cpu", "float32", (), False)
    assert request.workload_paths == (str(answers),)
    assert request.mapping == {"prompt": "question"}
    assert request.plan.trial is None
    assert invoke("trial", "--plan", plan_file, "--workload", answers, "--compare", "none").exit_code == 0
    assert trials["request"].settings.compare == ()


def test_a_row_for_each_run_says_what_it_cost_and_kept(plan_file: Path, trials: dict[str, Any]) -> None:
    said = invoke("trial", "--plan", plan_file).stderr
    rows = [line for line in said.splitlines() if re.search(r" ms .* \d\.\d{3} ", line)]
    assert len(rows) == 3
    assert re.search(r"freeze 0–19 +3e-05 .* ms .* ms .* \d\.\d{3} +9\d% \(\d+ to \d+%\) +\d+%", rows[0]), rows[0]
    assert "3.300 nats a token before training" in said
    assert "not known" not in said


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_table_fits_a_hundred_columns(plan_file: Path, trials: dict[str, Any], language: str) -> None:
    kinds = ("freeze", "full", "lora", "lora_freeze")
    trials["changes"] = {"arms": tuple(make_arm(kind, 19 if "freeze" in kind else -1) for kind in kinds)}
    said = invoke("trial", "--plan", plan_file, "--lang", language).stderr.splitlines()
    rows = [line for line in said if re.search(r" ms .* \d\.\d{3} ", line)]
    assert len(rows) == len(kinds)
    head = said[said.index(rows[0]) - 1]
    assert max(sum(2 if ord(sign) > 0x2E80 else 1 for sign in line) for line in (head, *rows)) <= 100, (head, *rows)


def test_a_projection_is_said_to_be_too_much_too_little_or_right(plan_file: Path, trials: dict[str, Any]) -> None:
    errors = (("step_ms", 110.0, 0.1), ("cached_step_ms", 90.0, -0.1), ("step_flops", 100.0, 0.0))
    trials["changes"] = {
        "projection_errors": tuple(
            ProjectionError(quantity=name, projected=projected, measured=100.0, error_share=share) for name, projected, share in errors
        )
    }
    said = invoke("trial", "--plan", plan_file).stderr
    assert "Time of a step: projected 110 ms, measured 100 ms: projected 10.0% too much" in said
    assert "Time of a step with the cache: projected 90 ms, measured 100 ms: projected 10.0% too little" in said
    assert "FLOPs of a step: projected 100, measured 100: as projected" in said


def test_what_was_not_as_it_should_be_is_said_and_not_hidden(plan_file: Path, trials: dict[str, Any]) -> None:
    trials["changes"] = {"arms": (make_arm("freeze", 19, frozen_identical=False, gradient_free=False), make_arm("full", -1))}
    said = invoke("trial", "--plan", plan_file).stderr
    assert said.count("Not as it should be") == 2
    assert "Checked" not in said


def test_the_file_is_written_before_a_store_that_is_full(
    plan_file: Path, trials: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ResourceError("The disk that holds {folder} is full.", folder="x")

    monkeypatch.setattr("analysis.runs.store.Store.keep_trial", full)
    assert invoke("trial", "--plan", plan_file, "--out", tmp_path / "t.json").exit_code == 4
    assert _opened(tmp_path / "t.json").plan_id == make_freeze_plan().id


def test_a_stop_keeps_what_can_be_taken_up_again_and_exits_130(plan_file: Path, trials: dict[str, Any]) -> None:
    trials["error"] = Cancelled("Stopped.")
    assert "kept" not in invoke("trial", "--plan", plan_file).stderr
    trials["folder"].mkdir()
    (trials["folder"] / "arm").touch()
    stopped = invoke("trial", "--plan", plan_file)
    assert stopped.exit_code == 130
    assert "the same command goes on from there" in stopped.stderr
    assert (trials["folder"] / "arm").exists()
    assert trials["given"]["folder"] == trials["folder"]
    trials["error"] = None
    assert invoke("trial", "--plan", plan_file, "--no-store").exit_code == 0
    assert not trials["folder"].exists()
    assert all(one.is_sample for one in open_store().trials.trials())


def test_a_sweep_says_the_front_and_every_rules_choice(plan_file: Path, trials: dict[str, Any], tmp_path: Path) -> None:
    from analysis.planning.eof import all_choices

    trials["changes"] = {"choices": all_choices(make_semantics(), n_blocks=30)}
    result = invoke("sweep", "--plan", plan_file, "--boundaries", "9,14,24", "--out", tmp_path / "s.json")
    assert result.exit_code == 0, result.output
    assert trials["request"].settings.boundaries == (9, 14, 24)
    assert "No run is both cheaper and better than these" in result.stderr
    assert re.search(r"largest gain \(our reading\): layers 0 to 22 frozen; not tried, the nearest run .* kept 9\d%", result.stderr)
    assert re.search(r"settled gradients.*: This rule watches", result.stderr)
    assert _opened(tmp_path / "s.json").is_sweep
    japanese = invoke("sweep", "--plan", plan_file, "--boundaries", "9,14,24", "--lang", "ja")
    assert not ENGLISH.search(japanese.stderr), japanese.stderr


def test_a_sweep_without_a_plan_makes_one_by_the_default_rule(trials: dict[str, Any], tmp_path: Path) -> None:
    traces = tmp_path / "semantics.json"
    traces.write_text(make_semantics().model_dump_json(), encoding="utf-8")
    result = invoke("sweep", "--semantics", traces, "--release", "--release-step", "2", "--max-trainable-layers", "10")
    assert result.exit_code == 0, result.output
    settings = trials["request"].settings
    assert (settings.release, settings.release_step, settings.max_trainable, settings.boundaries) == (True, 2, 10, ())
    assert trials["given"]["semantics"] == make_semantics()
    (kept,) = [plan for plan in open_store().plans.plans() if not plan.is_sample]
    assert kept.eof_layer == trials["request"].plan.eof_layer == 14
    assert f"Plan {kept.id}, by the default rule: 15 of 30 layers frozen" in result.stderr
    assert invoke("sweep", "--semantics", traces).exit_code == 0
    assert trials["request"].settings.boundaries == (5, 11, 17, 23)


def test_traces_that_a_sweep_needs_are_measured_first(trials: dict[str, Any], model: Path, answers: Path) -> None:
    data = ("--data", answers, "--map", "prompt=question", "--map", "response=answer", "--device", "cpu")
    first = invoke("sweep", "--model", model, *data)
    assert first.exit_code == 0, first.output
    assert "Measured first: the traces of this workload" in first.stderr
    assert trials["given"]["semantics"].workload.n_examples == 24
    again = invoke("sweep", "--model", model, *data)
    assert again.exit_code == 0, again.output
    assert "Measured first" not in again.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("trial",),
        ("trial", "--plan", "missing.json"),
        ("trial", "--plan", "PROFILE"),
        ("trial", "--plan", "PLAN", "--learning-rate", "0"),
        ("trial", "--plan", "PLAN", "--learning-rate", "-1e-5"),
        ("trial", "--plan", "PLAN", "--lora-learning-rate", "nan"),
        ("trial", "--plan", "PLAN", "--compare", "everything"),
        ("trial", "--plan", "PLAN", "--compare", "none", "--compare", "full"),
        ("trial", "--plan", "PLAN", "--cache", "cloud"),
        ("trial", "--plan", "PLAN", "--cache-limit", "a lot"),
        ("trial", "--plan", "PLAN", "--cache-limit", "0GiB"),
        ("trial", "--plan", "PLAN", "--epochs", "0"),
        ("trial", "--plan", "PLAN", "--batch-size", "0"),
        ("trial", "--plan", "PLAN", "--max-minutes", "0"),
        ("trial", "--plan", "PLAN", "--tuning-share", "0.9"),
        ("trial", "--plan", "PLAN", "--map", "prompt"),
        ("trial", "--plan", "PLAN", "--out", "/nowhere/at/all/t.json"),
        ("sweep", "--plan", "PLAN", "--boundaries", "29"),
        ("sweep", "--plan", "PLAN", "--boundaries", "nine"),
        ("sweep", "--plan", "PLAN", "--boundaries", ","),
        ("sweep", "--plan", "PLAN", "--release-step", "2"),
        ("sweep", "--plan", "PLAN", "--profile", "PROFILE"),
        ("sweep", "--profile", "PROFILE", "--model", "sample"),
        ("steps", "--batch-size", "0"),
        ("steps", "--model", "/no/such/folder"),
    ],
)
def test_a_request_that_makes_no_sense_exits_2_with_words(
    plan_file: Path, trials: dict[str, Any], tmp_path: Path, args: tuple[str, ...]
) -> None:
    files = {"PLAN": plan_file, "PROFILE": tmp_path / "profile.json"}
    files["PROFILE"].write_text(make_profile().model_dump_json(), encoding="utf-8")
    result = invoke(*(files.get(arg, arg) for arg in args))
    assert result.exit_code == 2, result.output
    assert result.stderr.strip()
    assert "request" not in trials


def test_a_workload_without_answers_is_refused_in_words(model: Path, tmp_path: Path) -> None:
    plan, mail = tmp_path / "plan.json", tmp_path / "mail.txt"
    assert invoke("plan", "--op", "freeze", "--model", model, "--eof-layer", "1", "--out", plan).exit_code == 0
    mail.write_text("\n".join(f"{WORDS[n % 4]} {n}" for n in range(24)), encoding="utf-8")
    result = invoke("trial", "--plan", plan, "--data", mail, "--device", "cpu")
    assert result.exit_code == 2, result.output
    assert "has a response" in result.stderr


def test_steps_measured_here_give_the_next_plan_its_times(model: Path, tmp_path: Path) -> None:
    plan, shape = tmp_path / "plan.json", ("--batch-size", "2", "--sequence-tokens", "16")
    measured = invoke("steps", "--model", model, *shape, "--device", "cpu")
    assert measured.exit_code == 0, measured.output
    assert "Steps of 2 sequences of 16 tokens (full, float32)" in measured.stderr
    made = invoke("plan", "--op", "freeze", "--model", model, "--eof-layer", "1", "--out", plan)
    assert made.exit_code == 0, made.output
    assert "Time of a step" in made.stderr
    assert _opened(plan).projection.training.step_ms is not None


def test_kept_traces_and_trials_are_listed_opened_and_deleted(tmp_path: Path) -> None:
    store, trial = open_store(), make_trial(boundaries=(9, 24))
    traces = store.semantics.add(make_semantics())
    tried = store.trials.add(trial)
    listed = invoke("runs")
    assert listed.exit_code == 0
    assert re.search(rf"{traces}.* traces .*812 response tokens", listed.stdout)
    assert re.search(rf"{tried}.* sweep .*kept \d+% of full fine-tuning's gain", listed.stdout)
    assert not ENGLISH.search(invoke("runs", "--lang", "ja").stdout.replace(trial.plan_name, ""))
    for id, kind in ((traces, "semantics"), (tried, "trial")):
        assert invoke("runs", "open", id, "--out", tmp_path / "x.json").exit_code == 0
        assert _opened(tmp_path / "x.json").kind == kind
        assert invoke("runs", "rename", id, "other").exit_code == 2
        assert invoke("runs", "delete", id, "--yes").exit_code == 0
        assert invoke("runs", "open", id).exit_code == 2


def test_sizes_ways_and_boundaries_are_read_as_people_write_them() -> None:
    assert (bytes_of("2GiB"), bytes_of("500 MB"), bytes_of(None)) == (2 * 2**30, 500 * 10**6, None)
    assert (arms_named(None), arms_named(["lora", "full", "lora"])) == (("full", "lora"), ("full", "lora"))
    assert (boundaries_of("9, 14", 30), boundaries_of("-1,0", 2), boundaries_of(None, 2)) == ((9, 14), (-1, 0), (-1, 0))
    for wrong in ("3", "-2", "1.5", ""):
        with pytest.raises(InputError):
            boundaries_of(wrong, 4)


def test_columns_stand_under_one_another_in_both_scripts() -> None:
    lines = aligned([["学習方法", "損失"], ["full", "3.1"]])
    assert lines == ["学習方法  損失", "full      3.1"]
