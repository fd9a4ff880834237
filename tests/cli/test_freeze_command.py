"""`plan --op freeze`: from traces, a profile or a model alone to the layer, its reason, and what a step should cost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner, Result

from analysis.cli import app
from analysis.contracts import ModelInfo, Plan, StepModel, StepPoint, TrainingShape
from analysis.runs.documents import parse_document
from analysis.runs.store import open_store, this_host
from tests.builders import make_profile
from tests.trained_builders import make_semantics, make_trial
from tests.workload.tokenizer_zoo import model_folder


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {"SEMANTICS": make_semantics(), "PROFILE": make_profile(), "TRIAL": make_trial()}
    for name, document in made.items():
        (tmp_path / f"{name}.json").write_text(document.model_dump_json(), encoding="utf-8")
    return {name: tmp_path / f"{name}.json" for name in made}


def invoke(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def frozen(files: dict[str, Path], *args: str | Path) -> tuple[Plan, Result]:
    out = files["SEMANTICS"].parent / "plan.json"
    result = invoke("plan", "--op", "freeze", "--out", out, *(files.get(str(arg), arg) for arg in args))
    assert result.exit_code == 0, result.output
    plan = parse_document(out.read_bytes(), out.name)
    assert isinstance(plan, Plan)
    return plan, result


def measured_steps(info: ModelInfo, **shape: Any) -> StepModel:
    return StepModel(
        model_commit=info.commit,
        stack=info.stacks[0].name,
        device="cpu",
        device_name="a CPU",
        shape=TrainingShape(**{"batch_size": 4, "sequence_tokens": 256, "dtype": "float32", **shape}),
        n_blocks=30,
        fixed_ms=10.0,
        frozen_block_ms=1.0,
        trained_block_ms=3.0,
        points=(StepPoint(eof_layer=-1, p50_ms=100.0, p95_ms=101.0, repeats=5),),
        measured_at="2026-11-22T06:00:00+00:00",
    )


def test_the_layer_its_reason_and_what_a_step_should_cost_are_said_and_kept(files: dict[str, Path]) -> None:
    plan, result = frozen(files, "--semantics", "SEMANTICS", "--strategy", "gain", "--name", "Next fine-tune")
    assert plan.eof_layer == 22
    assert plan.provenance.semantics_id == make_semantics().id
    assert plan.projection is not None
    assert plan.projection.training is not None
    said = result.stderr
    assert "23 of 30 layers frozen (0 to 22)" in said
    assert "resamples of the prompts" in said
    for figure in (
        "Weights that train",
        "FLOPs of a step",
        "gradients",
        "optimizer",
        "activations",
        "Peak memory",
        "output of the frozen layers",
    ):
        assert figure in said
    assert "python -m analysis steps --model sample" in said
    assert "python -m analysis trial --plan" in said
    (kept,) = [plan for plan in open_store().plans.plans() if not plan.is_sample]
    assert (kept.name, kept.eof_layer) == ("Next fine-tune", 22)


def test_a_limit_moves_the_layer_and_the_budget_is_optional(files: dict[str, Path]) -> None:
    assert frozen(files, "--semantics", "SEMANTICS", "--strategy", "gain", "--max-trainable-layers", "4")[0].eof_layer == 25
    assert frozen(files, "--semantics", "SEMANTICS", "--budget", "5layers")[0].eof_layer == 24
    assert frozen(files, "--semantics", "SEMANTICS", "--strategy", "train_last", "--budget", "6layers")[0].eof_layer == 23
    assert frozen(files, "--semantics", "SEMANTICS", "--eof-layer", "-1")[0].eof_layer == -1
    assert frozen(files, "--semantics", "SEMANTICS", "--strategy", "plasticity", "--trial", "TRIAL")[0].eof_layer is not None


def test_the_shape_of_a_step_is_what_was_said(files: dict[str, Path]) -> None:
    args = ("--batch-size", "2", "--sequence-tokens", "128", "--method", "lora", "--base-bits", "4", "--lora-rank", "8", "--epochs", "5")
    plan, _ = frozen(files, "--semantics", "SEMANTICS", *args)
    assert plan.projection is not None
    training = plan.projection.training
    assert training is not None
    shape = training.shape
    assert (shape.batch_size, shape.sequence_tokens, shape.method, shape.weight_bits, shape.lora_rank) == (2, 128, "lora", 4, 8)
    assert training.epochs == 5


def test_times_come_from_steps_measured_here_whatever_was_measured_last(files: dict[str, Path]) -> None:
    info, book = make_semantics().model, open_store().steps
    book.keep(measured_steps(info), this_host())
    book.keep(measured_steps(info, batch_size=16), this_host())
    plan, result = frozen(files, "--semantics", "SEMANTICS", "--batch-size", "4", "--price", "2.5", "--currency", "EUR")
    assert plan.projection is not None
    training = plan.projection.training
    assert training is not None
    assert training.step_ms is not None
    assert training.step_ms.full == pytest.approx(100.0)
    assert "Time of a step: 100" in result.stderr
    assert "EUR" in result.stderr
    unlike, other = frozen(files, "--semantics", "SEMANTICS", "--batch-size", "3")
    assert unlike.projection is not None
    assert unlike.projection.training is not None
    assert unlike.projection.training.step_ms is None
    assert "Step times are not known" in other.stderr


def test_a_profile_finds_the_traces_that_are_kept_of_its_workload(files: dict[str, Path]) -> None:
    refused = invoke("plan", "--op", "freeze", "--profile", files["PROFILE"], "--strategy", "gain")
    assert refused.exit_code == 2
    assert "profile --semantics" in refused.stderr
    traces = open_store().semantics.add(make_semantics())
    assert frozen(files, "--profile", "PROFILE", "--strategy", "gain")[0].eof_layer == 22
    assert frozen(files, "--semantics", traces[:8], "--strategy", "gain")[0].eof_layer == 22


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = model_folder(tmp_path_factory.mktemp("models") / "tiny", "byte level")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1}
    LlamaForCausalLM(LlamaConfig(vocab_size=300, initializer_range=0.2, **sizes)).save_pretrained(folder)
    return folder


def test_a_model_alone_takes_a_layer_by_hand_or_by_the_budget(model: Path, files: dict[str, Path]) -> None:
    assert frozen(files, "--model", model, "--eof-layer", "1")[0].eof_layer == 1
    assert frozen(files, "--model", model, "--strategy", "train_last", "--max-trainable-layers", "1")[0].eof_layer == 2
    refused = invoke("plan", "--op", "freeze", "--model", model, "--strategy", "gain")
    assert refused.exit_code == 2
    assert "profile --semantics" in refused.stderr


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--semantics", "missing.json"),
        ("--semantics", "PROFILE"),
        ("--semantics", "SEMANTICS", "--profile", "PROFILE"),
        ("--semantics", "SEMANTICS", "--strategy", "beam"),
        ("--semantics", "SEMANTICS", "--strategy", "sweep"),
        ("--semantics", "SEMANTICS", "--strategy", "plasticity"),
        ("--semantics", "SEMANTICS", "--trial", "PROFILE"),
        ("--semantics", "SEMANTICS", "--eof-layer", "29"),
        ("--semantics", "SEMANTICS", "--eof-layer", "-2"),
        ("--semantics", "SEMANTICS", "--eof-layer", "3", "--strategy", "gain"),
        ("--semantics", "SEMANTICS", "--budget", "0layers"),
        ("--semantics", "SEMANTICS", "--budget", "a lot"),
        ("--semantics", "SEMANTICS", "--budget", "20min"),
        ("--semantics", "SEMANTICS", "--max-trainable-layers", "0"),
        ("--semantics", "SEMANTICS", "--base-bits", "3"),
        ("--semantics", "SEMANTICS", "--base-bits", "4"),
        ("--semantics", "SEMANTICS", "--unit", "mlp"),
        ("--semantics", "SEMANTICS", "--protect", "1"),
        ("--semantics", "SEMANTICS", "--search", "PROFILE"),
        ("--semantics", "SEMANTICS", "--price", "-1"),
        ("--semantics", "SEMANTICS", "--out", "/nowhere/at/all/plan.json"),
    ],
)
def test_a_request_that_makes_no_sense_exits_2_with_words(files: dict[str, Path], args: tuple[str, ...]) -> None:
    result = invoke("plan", "--op", "freeze", *(files.get(arg, arg) for arg in args))
    assert result.exit_code == 2, result.output
    assert result.stderr.strip()
    assert not [plan for plan in open_store().plans.plans() if not plan.is_sample]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "--budget is missing"),
        (("--budget", "20%", "--eof-layer", "3"), "--eof-layer cannot be used with --op prune"),
        (("--budget", "20%", "--semantics", "x"), "--semantics cannot be used with --op prune"),
        (("--budget", "20%", "--method", "lora"), "--method cannot be used with --op prune"),
    ],
)
def test_removing_layers_still_needs_an_amount_and_nothing_of_freezing(files: dict[str, Path], args: tuple[str, ...], said: str) -> None:
    result = invoke("plan", "--profile", files["PROFILE"], *args)
    assert result.exit_code == 2
    assert said in result.stderr


def test_the_japanese_terminal_holds_no_english_sentence(files: dict[str, Path]) -> None:
    _, result = frozen(files, "--semantics", "SEMANTICS", "--strategy", "gain", "--max-trainable-layers", "4", "--lang", "ja")
    assert not re.search(r"\b[A-Z][a-z]+ [a-z]+ [a-z]+ [a-z]+", result.stderr), result.stderr


@pytest.mark.parametrize("form", ["transformers", "trl", "peft", "axolotl", "llama_factory", "lmflow", "layers", "words"])
def test_a_freeze_plan_is_written_for_the_tool_that_trains(model: Path, files: dict[str, Path], tmp_path: Path, form: str) -> None:
    plan = files["SEMANTICS"].parent / "plan.json"
    frozen(files, "--model", model, "--eof-layer", "1")
    shown = invoke("export", "--plan", plan, "--format", form)
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.strip()
    assert invoke("export", "--plan", plan, "--format", form, "--out", tmp_path / "x").exit_code == 0
    assert (tmp_path / "x").read_text(encoding="utf-8") == shown.stdout


@pytest.mark.parametrize("args", [("--format", "hf", "--out", "x"), (), ("--format", "mergekit")])
def test_a_freeze_plan_has_no_weights_to_write(files: dict[str, Path], args: tuple[str, ...]) -> None:
    frozen(files, "--semantics", "SEMANTICS")
    result = invoke("export", "--plan", files["SEMANTICS"].parent / "plan.json", *args)
    assert result.exit_code == 2
    assert result.stderr.strip()


@pytest.mark.parametrize("form", ["peft", "axolotl", "layers"])
def test_a_plan_that_removes_layers_is_refused_where_training_is_told(files: dict[str, Path], form: str) -> None:
    out = files["SEMANTICS"].parent / "plan.json"
    assert invoke("plan", "--profile", files["PROFILE"], "--budget", "10%", "--out", out).exit_code == 0
    assert invoke("export", "--plan", out, "--format", form).exit_code == 2
