"""`profile --semantics` end to end on a tiny model in a folder, and what goes wrong in words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner, Result

from analysis.cli import app
from analysis.contracts import Profile, SemanticRequest, Semantics
from analysis.errors import Cancelled, ResourceError
from analysis.runs.documents import parse_document
from analysis.runs.store import open_store
from tests.builders import make_profile
from tests.trained_builders import make_semantics
from tests.workload.tokenizer_zoo import model_folder

WORDS = ("the valve leaks", "check the pump and the motor", "order four bearings", "why is the line down")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def tiny(folder: Path, tokenizer: str, **config: object) -> Path:
    model_folder(folder, tokenizer, config)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1}
    LlamaForCausalLM(LlamaConfig(vocab_size=300, initializer_range=0.2, **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("models") / "tiny", "byte level")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    lines = [{"prompt": f"{WORDS[n % 4]}, number {n}", "response": f"ok {n}", "slice": "mail" if n % 2 else "orders"} for n in range(24)]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def invoke(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def _opened(path: Path) -> Any:
    return parse_document(path.read_bytes(), path.name)


def test_one_pass_gives_a_profile_and_traces_and_is_not_run_twice(model: Path, prompts: Path, tmp_path: Path) -> None:
    plain, out, traces = tmp_path / "plain.json", tmp_path / "profile.json", tmp_path / "semantics.json"
    about = ("profile", "--model", model, "--workload", prompts, "--device", "cpu")
    assert invoke(*about, "--out", plain, "--no-store").exit_code == 0
    result = invoke(*about, "--semantics", "--out", out, "--semantics-out", traces)
    assert result.exit_code == 0, result.stderr
    profile, semantics = _opened(out), _opened(traces)
    assert profile.id == _opened(plain).id
    assert profile.overall == _opened(plain).overall
    assert len(semantics.overall.curves[semantics.default_curve].mean) == 5
    assert "response tokens in" in result.stderr
    assert f"Measured by {semantics.default_curve}: its nearest word is the right one for" in result.stderr
    assert re.search(r"Last frozen layer by the rules that read the traces .*: -?\d+ \(\w+", result.stderr)
    assert "python -m analysis sweep --plan plan.json" in result.stderr
    assert f"--op freeze --semantics {traces}" in result.stderr
    again = invoke(*about, "--semantics-out", tmp_path / "again.json")
    assert "kept already" in again.stderr
    assert _opened(tmp_path / "again.json").overall == semantics.overall
    listed = json.loads(invoke("runs", "--json").stdout)
    assert [[item["id"] for item in listed[kind] if not item["is_sample"]] for kind in ("runs", "semantics")] == [
        [profile.id[:12]],
        [semantics.id[:12]],
    ]
    japanese = invoke(*about, "--semantics", "--lang", "ja")
    assert japanese.exit_code == 0
    assert not re.search(r"\b[A-Z][a-z]+ [a-z]+ [a-z]+ [a-z]+", japanese.stderr), japanese.stderr


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Traces without a model; what they were asked with stands in "request"."""
    told: dict[str, Any] = {}

    def run(request: SemanticRequest, **_: Any) -> tuple[Profile, Semantics]:
        told["request"] = request
        if told.get("error"):
            raise told["error"]
        return make_profile(), make_semantics(**told.get("changes", {}))

    monkeypatch.setattr("analysis.semantics.run.run_semantics", run)
    return told


def test_the_words_in_a_file_are_the_vocabulary(asked: dict[str, Any], tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_bytes("ポンプ\r\nvalve\r\n\r\nvalve\r\n".encode("cp932"))
    result = invoke("profile", "--words", words, "--no-store")
    assert result.exit_code == 0, result.stderr
    assert asked["request"].semantics.words == ("ポンプ", "valve")
    assert asked["request"].semantics.vocabulary == "words"
    assert invoke("profile", "--vocabulary", "responses", "--no-store").exit_code == 0
    assert asked["request"].semantics.vocabulary == "responses"


@pytest.mark.parametrize(
    ("content", "args", "said"),
    [
        (None, (), "cannot be read"),
        ("", (), "holds no word"),
        ("\n \n", (), "holds no word"),
        ("valve", ("--vocabulary", "responses"), "two answers to one question"),
    ],
)
def test_a_vocabulary_that_makes_no_sense_is_refused_before_anything_runs(
    asked: dict[str, Any], tmp_path: Path, content: str | None, args: tuple[str, ...], said: str
) -> None:
    words = tmp_path / "words.txt"
    if content is not None:
        words.write_text(content, encoding="utf-8")
    result = invoke("profile", "--semantics", "--words", words, *args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "request" not in asked


def test_a_word_that_the_model_does_not_know_is_refused_in_words(prompts: Path, tmp_path: Path) -> None:
    words, model = tmp_path / "words.txt", tiny(tmp_path / "pieces", "wordpiece", unk_token="[UNK]")
    words.write_text("the\nポンプ", encoding="utf-8")
    result = invoke("profile", "--model", model, "--workload", prompts, "--device", "cpu", "--no-store", "--words", words)
    assert result.exit_code == 2, result.output
    assert "ポンプ" in result.stderr.strip().splitlines()[-1]


def test_a_workload_without_responses_has_no_traces(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "mail.txt"
    path.write_text("\n".join(f"{WORDS[n % 4]} {n}" for n in range(12)), encoding="utf-8")
    result = invoke("profile", "--model", model, "--workload", path, "--device", "cpu", "--no-store", "--semantics")
    assert result.exit_code == 2, result.output
    assert "response" in result.stderr


def test_a_file_that_cannot_be_written_is_said_first(asked: dict[str, Any]) -> None:
    assert invoke("profile", "--semantics-out", "/nowhere/at/all/s.json").exit_code == 2
    assert "request" not in asked


def test_a_full_store_costs_nothing_that_was_measured(asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise ResourceError("The disk that holds {folder} is full.", folder="x")

    monkeypatch.setattr("analysis.cli.tracing._kept", lambda *_: None)
    monkeypatch.setattr("analysis.runs.store.Store.keep_semantics", full)
    out = tmp_path / "s.json"
    assert invoke("profile", "--semantics-out", out).exit_code == 4
    assert _opened(out) == make_semantics()


def test_a_stop_exits_130(asked: dict[str, Any]) -> None:
    asked["error"] = Cancelled("Stopped.")
    assert invoke("profile", "--semantics", "--no-store").exit_code == 130


def test_what_was_left_out_and_what_was_not_judged_is_said(asked: dict[str, Any]) -> None:
    asked["changes"] = {"fidelity": (), "n_without_response": 3, "n_response_cut": 2}
    said = invoke("profile", "--semantics", "--no-store").stderr
    assert "5 prompts" in said
    assert "not judged" in said
    assert not open_store().semantics.semantics_list() or all(one.is_sample for one in open_store().semantics.semantics_list())
