"""Freezing from the terminal on the real sample model: traces, a plan, a trial, and an adapter that PEFT loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from analysis.cli import app
from analysis.runs.documents import parse_document

if TYPE_CHECKING:
    from analysis.contracts import Plan, Semantics, Trial

EOF_LAYER = 24
N_LAYERS = 30
TASKS = (
    ("The valve on line {n} leaks.", "Close the supply, tag valve {n}."),
    ("Order {n} bearings 6204.", "Noted: {n} bearings 6204."),
    ("Why did pump {n} stop?", "Its thermal switch tripped; let pump {n} cool."),
)


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    lines = [{"prompt": asked.format(n=n), "response": said.format(n=n)} for n in range(4) for asked, said in TASKS]
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def invoke(*args: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    return result


def opened(path: Path) -> Any:
    return parse_document(path.read_bytes(), path.name)


@pytest.mark.sample_model
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT with new transformers
def test_traces_a_plan_a_trial_and_an_adapter_that_peft_loads(
    answers: Path, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "models").mkdir(parents=True)
    (home / "models" / sample_folder.name).symlink_to(sample_folder, target_is_directory=True)
    monkeypatch.setenv("STRATA_HOME", str(home))
    monkeypatch.setattr("analysis.training.measure_steps.ROUNDS", 1)  # times are not what is looked at here
    traces, plan, tried, script = (tmp_path / name for name in ("semantics.json", "plan.json", "trial.json", "adapter.py"))

    said = invoke("profile", "--model", "sample", "--workload", answers, "--semantics-out", traces, "--device", "cpu").stderr
    semantics: Semantics = opened(traces)
    assert semantics.default_curve == "whitened"
    assert len(semantics.overall.curves["whitened"].mean) == N_LAYERS + 1
    assert "Measured by whitened: its nearest word is the right one for" in said

    said = invoke(
        "plan", "--op", "freeze", "--semantics", traces, "--max-trainable-layers", str(N_LAYERS - 1 - EOF_LAYER), "--out", plan
    ).stderr
    made: Plan = opened(plan)
    assert made.eof_layer == EOF_LAYER
    assert "25 of 30 layers frozen (0 to 24)" in said

    short = ("--epochs", "2", "--batch-size", "4", "--learning-rate", "3e-4", "--compare", "none", "--cache", "memory", "--device", "cpu")
    said = invoke("trial", "--plan", plan, "--data", answers, *short, "--out", tried).stderr
    trial: Trial = opened(tried)
    assert trial.own is not None
    assert trial.own.frozen_identical is True
    assert trial.own.gradient_free is True
    assert trial.own.cost.cache == "memory"
    assert trial.own.reduction.value is not None
    assert trial.own.reduction.value > 0
    assert "Checked: every frozen weight is bit for bit what it was (runs: 1)." in said
    assert not list((home / "checkpoints").glob("trial-*"))

    invoke("export", "--plan", plan, "--format", "peft", "--out", script)
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(script.read_text(encoding="utf-8").replace("PATH/TO/MODEL", str(sample_folder)), script.name, "exec"), names)
    trained = [name for name, parameter in names["model"].named_parameters() if parameter.requires_grad]
    assert {int(name.split(".layers.")[1].split(".")[0]) for name in trained} == set(range(EOF_LAYER + 1, N_LAYERS))
    assert all("lora_" in name for name in trained)

    (kept,) = [item for item in json.loads(invoke("runs", "--json").stdout)["trials"] if not item["is_sample"]]
    assert trial.id.startswith(kept["id"])
