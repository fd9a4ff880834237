"""`robustness`: what a person types, what comes of it, and every way it goes wrong."""

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
from analysis.cli.robustness import named, strengths
from analysis.contracts import ATTACKS, NOISES, Message, Robustness, RobustnessRequest, RobustnessSettings
from analysis.errors import InputError, ResourceError
from analysis.runs.documents import parse_document
from analysis.runs.store import open_store
from tests.consensus_builders import make_cut_plan, make_healing, make_robustness
from tests.workload.tokenizer_zoo import model_folder


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    plan = make_cut_plan()
    path.write_text(plan.model_copy(update={"healing": make_healing(plan)}).model_dump_json(), encoding="utf-8")
    return path


def invoke(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_a_plan_is_disturbed_for_real_and_kept_with_it(tmp_path: Path) -> None:
    model, prompts = model_folder(tmp_path / "tiny", "byte level"), tmp_path / "prompts.jsonl"
    lines = ({"prompt": f"check pump {n} and the valve", "response": f"ok {n}", "slice": ("mail", "orders")[n % 2]} for n in range(40))
    prompts.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1}
    LlamaForCausalLM(LlamaConfig(vocab_size=300, initializer_range=0.2, **sizes)).save_pretrained(model)
    profile, plan, out = (tmp_path / f"{name}.json" for name in ("profile", "plan", "robustness"))
    assert invoke("profile", "--model", model, "--workload", prompts, "--device", "cpu", "--out", profile).exit_code == 0
    assert invoke("plan", "--profile", profile, "--budget", "1layer", "--out", plan).exit_code == 0
    short = ("--noise", "keyboard", "--level", "0.2", "--attack", "fgsm", "--epsilon", "0.2", "--attack-examples", "4", "--no-energy")
    tested = invoke("robustness", "--plan", plan, *short, "--held-out", "mail", "--device", "cpu", "--out", out)
    assert tested.exit_code == 0, tested.output
    found = parse_document(out.read_bytes(), out.name)
    assert isinstance(found, Robustness)
    assert [(result.kind, result.level) for result in found.results] == [("keyboard", 0.2), ("fgsm", 0.2)]
    assert [part.slice for part in found.unknown_work] == ["mail"]
    (kept,) = [one for one in open_store().robustness.robustness_tests() if not one.is_sample]
    assert kept.plan_id == found.plan_id


@pytest.fixture
def tests(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A robustness test without a model; what it was asked stands in "request"."""
    told: dict[str, Any] = {}

    def run(request: RobustnessRequest, **given: Any) -> Robustness:
        told["request"], told["given"] = request, given
        return make_robustness(request.plan, **told.get("changes", {}))

    monkeypatch.setattr("analysis.verification.robustness.run_robustness", run)
    return told


def test_settings_reach_the_test_and_it_is_kept_with_its_plan(plan_file: Path, tests: dict[str, Any], tmp_path: Path) -> None:
    args = (
        *("--workload", tmp_path / "w.jsonl", "--noise", "words", "--noise", "case", "--level", "0.2", "--level", "0.1", "--attack", "pgd"),
        *("--epsilon", "0.3", "--pgd-steps", "3", "--attack-examples", "5", "--held-out", "mail", "--country", "jpn", "--watts", "65"),
        *("--grid", "0.4", "--seed", "3", "--slice", "orders", "--no-chat-template", "--device", "cpu", "--dtype", "float32"),
        *("--max-tokens", "64", "--batch-tokens", "128", "--out", tmp_path / "r.json"),
    )
    result = invoke("robustness", "--plan", plan_file, *args)
    assert result.exit_code == 0, result.output
    request: RobustnessRequest = tests["request"]
    assert request.settings == RobustnessSettings(
        device="cpu",
        dtype="float32",
        max_tokens=64,
        batch_tokens=128,
        chat_template=False,
        slices=("orders",),
        noises=("case", "words"),
        levels=(0.1, 0.2),
        attacks=("pgd",),
        epsilons=(0.3,),
        pgd_steps=3,
        attack_examples=5,
        held_out=("mail",),
        country="JPN",
        grid_kg_per_kwh=0.4,
        watts=65.0,
        seed=3,
    )
    assert request.workload_paths == (str(tmp_path / "w.jsonl"),)
    assert request.plan.healing is None
    found = parse_document((tmp_path / "r.json").read_bytes(), "r.json")
    assert open_store().plans.plan(request.plan.id).robustness == found
    assert invoke("robustness", "--plan", plan_file, "--noise", "none", "--attack", "none", "--no-energy", "--no-store").exit_code == 0
    settings = tests["request"].settings
    assert (settings.noises, settings.attacks, settings.energy, settings.country) == ((), (), False, None)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_row_for_each_disturbance_and_strength(plan_file: Path, tests: dict[str, Any], language: str) -> None:
    said = invoke("robustness", "--plan", plan_file, "--no-store", "--lang", language).stderr.splitlines()
    rows = [line for line in said if len(re.findall(r"  [+-]?\d\.\d{3}", line)) >= 3]
    assert len(rows) == 21
    assert max(map(len, rows)) <= 110


def test_unknown_work_energy_and_carbon_are_told(plan_file: Path, tests: dict[str, Any]) -> None:
    said = invoke("robustness", "--plan", plan_file, "--no-store").stderr
    assert "Unknown work, " in said
    assert "it loses more" in said
    assert "projected from the measured time at 65 W: 1.90 -> 1.60 Wh on CPU, 2 cores; of the original: 84% (82 to 86%)." in said
    assert "Carbon for 1,000 prompts: 0.87 -> 0.74 g CO2, at 0.460 kg/kWh (Japan, 2023; a test's table)." in said
    energy = make_robustness().energy
    assert energy is not None
    measured = energy.model_copy(update={"origin": "measured", "counter": "nvml", "watts": None, "grid": None})
    tests["changes"] = {"energy": measured.model_copy(update={"original_co2_g": None, "plan_co2_g": None})}
    said = invoke("robustness", "--plan", plan_file, "--no-store").stderr
    assert "Energy for 1,000 prompts, measured: 1.90 -> 1.60 Wh" in said
    assert "Carbon" not in said
    tests["changes"] = {"energy": None, "energy_reason": Message(id="Loading the model")}
    assert "Loading the model" in invoke("robustness", "--plan", plan_file, "--no-store").stderr


def test_a_full_store_costs_nothing_that_was_measured(
    plan_file: Path, tests: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ResourceError("The disk that holds {folder} is full.", folder="x")

    monkeypatch.setattr("analysis.runs.store.Store.keep_robustness", full)
    assert invoke("robustness", "--plan", plan_file, "--out", tmp_path / "r.json").exit_code == 4
    assert isinstance(parse_document((tmp_path / "r.json").read_bytes(), "r.json"), Robustness)


@pytest.mark.parametrize(
    "args",
    [
        ("--noise", "shouting"),
        ("--noise", "none", "--noise", "case"),
        ("--level", "0"),
        ("--level", "1.5"),
        ("--level", "nan"),
        ("--attack", "words"),
        ("--epsilon", "-0.1"),
        ("--epsilon", "inf"),
        ("--country", "ATLANTIS"),
        ("--grid", "-1"),
        ("--watts", "0"),
        ("--plan", "missing.json"),
        ("--out", "/nowhere/at/all/r.json"),
    ],
)
def test_a_request_that_makes_no_sense_exits_2_with_words(plan_file: Path, tests: dict[str, Any], args: tuple[str, ...]) -> None:
    given = args if "--plan" in args else ("--plan", str(plan_file), *args)
    result = invoke("robustness", *given)
    assert result.exit_code == 2, result.output
    assert "request" not in tests


def test_names_and_strengths_are_each_taken_once_in_order() -> None:
    assert named(None, NOISES, "--noise") == NOISES
    assert named(["pgd", "fgsm", "pgd"], ATTACKS, "--attack") == ATTACKS
    assert strengths([0.2, 0.1, 0.2], "--level", (), most=1.0) == (0.1, 0.2)
    with pytest.raises(InputError, match="a share lies above 0 and is at most 1"):
        strengths([2.0], "--level", (), most=1.0)
