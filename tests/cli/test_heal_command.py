"""`heal`: what a person types, what comes of it, and every way it goes wrong."""

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
from analysis.cli.heal import objectives_named
from analysis.contracts import Estimate, Healing, HealRequest, HealSettings, Message
from analysis.errors import Cancelled, InputError, ResourceError
from analysis.runs.documents import parse_document
from analysis.runs.store import open_store
from tests.builders import make_profile
from tests.consensus_builders import make_cut_plan, make_heal_arm, make_healing, make_robustness
from tests.workload.tokenizer_zoo import model_folder

WORDS = ("the valve leaks", "check the pump and the motor", "order four bearings", "why is the line down")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"{WORDS[n % 4]}, number {n}"}) for n in range(32)), encoding="utf-8")
    return path


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    plan = make_cut_plan()
    path.write_text(plan.model_copy(update={"robustness": make_robustness(plan)}).model_dump_json(), encoding="utf-8")
    return path


def invoke(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def _opened(path: Path) -> Any:
    return parse_document(path.read_bytes(), path.name)


def test_a_plan_is_healed_for_real_and_kept_with_it(prompts: Path, tmp_path: Path) -> None:
    model = model_folder(tmp_path / "tiny", "byte level")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1}
    LlamaForCausalLM(LlamaConfig(vocab_size=300, initializer_range=0.2, **sizes)).save_pretrained(model)
    profile, plan, out = (tmp_path / f"{name}.json" for name in ("profile", "plan", "healing"))
    data = ("--map", "prompt=text", "--device", "cpu")
    assert invoke("profile", "--model", model, "--workload", prompts, *data, "--out", profile).exit_code == 0
    assert invoke("plan", "--profile", profile, "--budget", "1layer", "--out", plan).exit_code == 0
    short = ("--steps", "2", "--evaluate-every", "1", "--batch-size", "4", "--learning-rate", "1e-3", "--objective", "next_token")
    healed = invoke("heal", "--plan", plan, "--device", "cpu", *short, "--save", tmp_path / "healed", "--out", out)
    assert healed.exit_code == 0, healed.output
    found: Healing = _opened(out)
    assert (found.healed.objective, found.settings.steps, found.control is not None) == ("next_token", 2, True)
    assert found.n_train + found.n_selection + found.n_report == 32
    assert (tmp_path / "healed" / "config.json").exists()
    assert "The healed model is in" in healed.stderr
    (kept,) = [one for one in open_store().healings.healings() if not one.is_sample]
    attached = open_store().plans.plan(found.plan_id).healing
    assert attached is not None
    assert attached.id == kept.id
    assert not list((tmp_path / "home" / "checkpoints").glob("heal-*"))


@pytest.fixture
def healings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A healing without a model; what it was asked stands in "request"."""
    told: dict[str, Any] = {"folder": tmp_path / "checkpoint"}

    def run(request: HealRequest, **given: Any) -> Healing:
        told["request"], told["given"] = request, given
        if told.get("error"):
            raise told["error"]
        return make_healing(request.plan).model_copy(update=told.get("changes", {}))

    monkeypatch.setattr("analysis.training.heal.run_heal", run)
    monkeypatch.setattr("analysis.cli.heal._folder", lambda *_: told["folder"])
    return told


def test_settings_reach_the_healing(plan_file: Path, healings: dict[str, Any], prompts: Path, tmp_path: Path) -> None:
    args = (
        *("--data", prompts, "--map", "prompt=text", "--method", "full", "--objective", "distillation", "--compare", "both"),
        *("--compare", "next_token", "--distillation-weight", "0.7", "--temperature", "2", "--hidden-weight", "0.1", "--steps", "50"),
        *("--batch-size", "4", "--micro-batch", "2", "--learning-rate", "1e-5", "--learning-rate", "3e-5", "--lora-rank", "4"),
        *("--lora-alpha", "8", "--selection-share", "0.3", "--evaluate-every", "5", "--patience", "2", "--weight-decay", "0.01"),
        *("--no-control", "--seed", "7", "--max-minutes", "20", "--max-tokens", "256", "--slice", "code", "--no-chat-template"),
        *("--device", "cpu", "--dtype", "float32", "--save", tmp_path / "out"),
    )
    result = invoke("heal", "--plan", plan_file, *args)
    assert result.exit_code == 0, result.output
    request: HealRequest = healings["request"]
    assert request.settings == HealSettings(
        device="cpu",
        dtype="float32",
        max_tokens=256,
        chat_template=False,
        slices=("code",),
        method="full",
        objective="distillation",
        distillation_weight=0.7,
        temperature=2.0,
        hidden_weight=0.1,
        steps=50,
        batch_size=4,
        micro_batch=2,
        learning_rates=(1e-5, 3e-5),
        lora_rank=4,
        lora_alpha=8,
        selection_share=0.3,
        evaluate_every=5,
        patience=2,
        weight_decay=0.01,
        control=False,
        compare=("next_token", "both"),
        max_minutes=20.0,
        seed=7,
    )
    assert (request.workload_paths, request.mapping) == ((str(prompts),), {"prompt": "text"})
    assert request.save_folder == str(tmp_path / "out")
    assert request.plan.robustness is None
    assert healings["given"]["folder"] == healings["folder"]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_row_for_each_model_says_what_it_cost_and_came_to(plan_file: Path, healings: dict[str, Any], language: str) -> None:
    said = invoke("heal", "--plan", plan_file, "--lang", language).stderr.splitlines()
    rows = [line for line in said if re.search(r"\d\.\d{3} \(\d|\d\.\d{3}[（]| \d\.\d{3} \(", line) and re.search(r"  \d+\.\d\d  ", line)]
    assert len(rows) == 5, said
    assert max(map(len, rows)) <= 118
    assert "0.0003" in rows[2]
    english = "\n".join(said)
    assert ("Healing won back 68% (61 to 75%)" in english) is (language == "en")
    assert "67" in english
    assert "84" in english


def test_remarks_a_folder_and_missing_figures_are_told(plan_file: Path, healings: dict[str, Any]) -> None:
    note = Message(id="Judging the healed model")
    plan = make_cut_plan()
    removed = tuple(("block", block) for block in plan.removed["block"])
    healings["changes"] = {
        "control": None,
        "recovered_against_control": None,
        "healed": make_heal_arm(
            after=3.02, removed=removed, notes=(note,), stop="no_gain", loss_after=Estimate(value=None), peak_memory_bytes=None
        ),
        "recovered": Estimate(value=None),
        "folder": "/models/healed",
        "reload_difference": 2.5e-5,
        "notes": (note,),
    }
    said = invoke("heal", "--plan", plan_file).stderr
    assert "The healed model is in /models/healed. Reloaded, its logits differ by 2.5e-05 at most." in said
    assert said.count("Judging the healed model") == 2
    assert "healed: next token and distillation: ended before the last step, no more gain" in said


def test_a_stopped_healing_says_whether_anything_is_kept(plan_file: Path, healings: dict[str, Any]) -> None:
    healings["error"] = Cancelled("Stopped.")
    stopped = invoke("heal", "--plan", plan_file)
    assert (stopped.exit_code, stopped.stderr.strip()) == (130, "Stopped.")
    healings["folder"].mkdir()
    (healings["folder"] / "step-25").touch()
    again = invoke("heal", "--plan", plan_file)
    assert again.exit_code == 130
    assert "What was trained so far is kept; the same command goes on from there." in again.stderr
    healings["error"] = None
    assert invoke("heal", "--plan", plan_file, "--no-store").exit_code == 0
    assert not healings["folder"].exists()
    assert not [one for one in open_store().healings.healings() if not one.is_sample]


def test_a_full_store_costs_nothing_that_was_trained(
    plan_file: Path, healings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ResourceError("The disk that holds {folder} is full.", folder="x")

    monkeypatch.setattr("analysis.runs.store.Store.keep_healing", full)
    assert invoke("heal", "--plan", plan_file, "--out", tmp_path / "h.json").exit_code == 4
    assert isinstance(_opened(tmp_path / "h.json"), Healing)


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--plan", "missing.json"),
        ("--plan", "PROFILE"),
        ("--plan", "PLAN", "--objective", "everything"),
        ("--plan", "PLAN", "--compare", "everything"),
        ("--plan", "PLAN", "--learning-rate", "0"),
        ("--plan", "PLAN", "--learning-rate", "nan"),
        ("--plan", "PLAN", "--steps", "0"),
        ("--plan", "PLAN", "--selection-share", "0.9"),
        ("--plan", "PLAN", "--temperature", "0"),
        ("--plan", "PLAN", "--map", "prompt"),
        ("--plan", "PLAN", "--out", "/nowhere/at/all/h.json"),
    ],
)
def test_a_request_that_makes_no_sense_exits_2_with_words(
    plan_file: Path, healings: dict[str, Any], tmp_path: Path, args: tuple[str, ...]
) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(make_profile().model_dump_json(), encoding="utf-8")
    named = {"PLAN": str(plan_file), "PROFILE": str(profile)}
    result = invoke("heal", *(named.get(arg, arg) for arg in args))
    assert result.exit_code == 2, result.output
    assert "request" not in healings


@pytest.mark.parametrize(
    ("name", "options", "characters", "template"),
    [
        ("text.txt", (), 2304, False),
        ("text.TXT", ("--max-tokens", "100"), 450, False),
        ("text.txt", ("--chat-template",), 2304, True),
        ("text.txt", ("--lines",), None, True),
        ("text.txt", ("--lines", "--no-chat-template"), None, False),
        ("prompts.jsonl", (), None, True),
    ],
)
def test_plain_text_is_read_in_windows_without_the_chat_template(
    name: str,
    options: tuple[str, ...],
    characters: int | None,
    template: bool,
    plan_file: Path,
    healings: dict[str, Any],
    prompts: Path,
) -> None:
    path = prompts.with_name(name)
    path.write_text(prompts.read_text(), encoding="utf-8")
    result = invoke("heal", "--plan", plan_file, "--data", path, *options)
    assert result.exit_code == 0, result.output
    request: HealRequest = healings["request"]
    assert (request.joined_characters, request.settings.chat_template) == (characters, template)


def test_objectives_to_compare_leave_out_the_healings_own() -> None:
    assert objectives_named(["both", "distillation", "both"], "both") == ("distillation",)
    assert objectives_named(None, "both") == ()
    with pytest.raises(InputError, match="--compare x"):
        objectives_named(["x"], "both")
