"""`profile` end to end, on a tiny model in a folder: what a person types and what comes of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner, Result

from analysis.cli import app
from analysis.cli.choosing import stoppable
from analysis.contracts import Message, Progress
from analysis.errors import Cancelled, ResourceError
from tests.workload.tokenizer_zoo import model_folder

ROOT = Path(__file__).parents[2]
WORDS = ("the valve leaks", "check the pump and the motor", "order four bearings", "why is the line down")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = model_folder(tmp_path_factory.mktemp("models") / "tiny", "byte level")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=300, initializer_range=0.2, **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    lines = [{"prompt": f"{WORDS[n % 4]}, number {n}", "slice": "mail" if n % 2 else "orders"} for n in range(24)]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def invoke(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_a_profile_is_written_kept_and_not_computed_twice(model: Path, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "profile.json"
    first = invoke("profile", "--model", model, "--workload", prompts, "--out", out, "--device", "cpu", "--name", "Mail")
    assert first.exit_code == 0, first.stderr
    assert first.stdout == ""
    written = json.loads(out.read_text(encoding="utf-8"))
    assert len(written["overall"]["block_influence"]) == 4
    assert {"mail", "orders", "sink"} <= set(written["slices"])
    for field in ("attention_influence", "mlp_influence", "cosine_similarity", "linear_cka", "angular_distance", "intervals"):
        assert written["overall"][field] is not None
    assert written["workload"]["files"][0]["path"] == str(prompts)
    again = invoke("profile", "--model", model, "--workload", prompts, "--out", tmp_path / "again.json", "--device", "cpu")
    assert "kept already" in again.stderr
    assert json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))["overall"] == written["overall"]
    assert [run["name"] for run in json.loads(invoke("runs", "--json").stdout)["runs"] if not run["is_sample"]] == ["Mail"]


def test_the_way_from_profile_to_plan_is_two_commands(model: Path, prompts: Path, tmp_path: Path) -> None:
    profile, plan = tmp_path / "profile.json", tmp_path / "plan.json"
    assert invoke("profile", "--model", model, "--workload", prompts, "--out", profile, "--no-store", "--quiet").output == ""
    assert invoke("plan", "--profile", profile, "--budget", "25%", "--out", plan).exit_code == 0
    assert len(json.loads(plan.read_text(encoding="utf-8"))["operations"][0]["blocks"]) == 1


def test_settings_reach_the_profile(model: Path, prompts: Path) -> None:
    args = ("--max-tokens", "8", "--batch-tokens", "64", "--slice", "mail", "--no-chat-template", "--no-excerpts", "--dtype", "float32")
    result = invoke("profile", "--model", model, "--workload", prompts, "--out", "-", "--no-store", *args)
    assert result.exit_code == 0, result.stderr
    written = json.loads(result.stdout)
    assert written["settings"]["max_tokens"] == 8
    assert written["settings"]["slices"] == ["mail"]
    assert written["counts"]["n_truncated_examples"] > 0
    assert {example["slice"] for example in written["examples"]} == {"mail"}
    assert {example["excerpt"] for example in written["examples"]} == {""}
    assert result.stderr.count("cut at the end") == 1


def test_a_column_of_another_name_exits_2_with_the_hint_and_the_hint_works(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "mail.csv"
    path.write_text("text\n" + "\n".join(f"{WORDS[n % 4]} {n}" for n in range(12)), encoding="utf-8")
    refused = invoke("profile", "--model", model, "--workload", path, "--no-store")
    assert refused.exit_code == 2
    assert "--map prompt=text" in refused.stderr
    assert invoke("profile", "--model", model, "--workload", path, "--no-store", "--map", "prompt=text").exit_code == 0


@pytest.mark.parametrize(
    "args",
    [
        ("--device", "cuda:99"),
        ("--device", "toaster"),
        ("--model", "/no/such/folder"),
        ("--workload", "missing.jsonl"),
        ("--slice", "no such slice"),
        ("--stack", "no such stack"),
        ("--map", "prompt"),
        ("--out", "/nowhere/at/all/profile.json"),
        ("--max-tokens", "0"),
    ],
)
def test_bad_input_exits_2_with_words_and_writes_nothing(model: Path, prompts: Path, tmp_path: Path, args: tuple[str, str]) -> None:
    out = tmp_path / "profile.json"
    result = invoke("profile", "--model", model, "--workload", prompts, "--no-store", "--out", out, *args)
    assert result.exit_code == 2, result.output
    assert result.stderr.strip()
    assert "Traceback" not in result.output
    assert not out.exists()


EVERY_STEP = "import analysis.cli.progress as shown; shown._SECONDS_BETWEEN_LINES = 0.0; from analysis.cli import app; app()"
"""The terminal's way in, with a line for every step of progress instead of one in ten seconds."""


def test_a_stopped_profile_exits_130_and_the_same_command_goes_on(model: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "long.txt", tmp_path / "profile.json"
    path.write_text("\n".join(f"{WORDS[n % 4]} " * 4 + str(n) for n in range(1500)), encoding="utf-8")
    args = ("profile", "--model", str(model), "--workload", str(path), "--out", str(out), "--device", "cpu", "--batch-tokens", "512")
    command = [sys.executable, "-c", EVERY_STEP, *args]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}) as process:
        assert process.stderr is not None
        while line := process.stderr.readline():
            if (share := re.search(r"(\d+)%", line)) and int(share[1]) >= 30:  # at least one unit is behind, and much is to come
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        code = process.wait(timeout=60)
    assert code == 130, said
    assert said.strip().splitlines()[-1].startswith("Stopped at your request. What was measured so far is kept")
    assert not out.exists()
    again = invoke(*args)
    assert again.exit_code == 0, again.stderr
    assert json.loads(out.read_text(encoding="utf-8"))["timing"]["resumed"] is True


def test_a_store_that_is_full_costs_nothing_that_was_measured(
    model: Path, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ResourceError("The disk that holds {folder} is full.", folder="x")

    monkeypatch.setattr("analysis.runs.store.Store.keep", full)
    result = invoke("profile", "--model", model, "--workload", prompts, "--out", tmp_path / "profile.json", "--device", "cpu")
    assert result.exit_code == 4
    assert json.loads((tmp_path / "profile.json").read_text(encoding="utf-8"))["overall"]["n_tokens"] > 0


def test_a_stop_asked_for_while_the_model_is_looked_at_is_heard_before_anything_runs() -> None:
    shown: list[Progress] = []
    stoppable(shown.append, lambda: False)(Progress(stage=Message(id="Looking at the model")))
    with pytest.raises(Cancelled):
        stoppable(shown.append, lambda: True)(Progress(stage=Message(id="Loading the model")))
    assert len(shown) == 1
