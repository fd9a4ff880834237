"""`scan`, `search`, `verify`, `export` and `run-plan`: what a person types, what comes of it, and every way it goes wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner, Result

from analysis.cli import app
from analysis.cli.searching import passes_of
from analysis.contracts import Plan, Search, SearchRequest, Verification, VerifyRequest
from analysis.errors import Cancelled, ResourceError
from analysis.planning import propose_plan
from analysis.runs.documents import parse_document
from analysis.runs.store import open_store
from tests.builders import make_profile
from tests.measured_builders import make_search, make_verification
from tests.workload.tokenizer_zoo import model_folder

WORDS = ("the valve leaks", "check the pump and the motor", "order four bearings", "why is the line down")


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
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    lines = [{"prompt": f"{WORDS[n % 4]}, number {n}", "response": f"ok {n}", "slice": "mail" if n % 2 else "orders"} for n in range(32)]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(propose_plan(make_profile(), amount="10%").model_dump_json(), encoding="utf-8")
    return path


def invoke(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def _opened(path: Path) -> Any:
    return parse_document(path.read_bytes(), path.name)


def test_from_scan_to_an_exported_folder_that_plain_transformers_loads(model: Path, prompts: Path, tmp_path: Path) -> None:
    scan, plan, result = tmp_path / "scan.json", tmp_path / "plan.json", tmp_path / "verification.json"
    scanned = invoke("scan", "--model", model, "--workload", prompts, "--out", scan, "--device", "cpu", "--unit", "block")
    assert scanned.exit_code == 0, scanned.stderr
    assert len(_opened(scan).singles) == 4
    assert "To be left out one at a time: 4 units" in scanned.stderr
    made = invoke("plan", "--search", scan, "--strategy", "one_shot", "--budget", "1layer", "--out", plan)
    assert made.exit_code == 0, made.stderr
    quick = ("--no-cost", "--generate", "2", "--new-tokens", "2", "--device", "cpu")
    verified = invoke("verify", "--plan", plan, "--workload", prompts, "--guardrail", "perplexity<=0.01x", "--out", result, *quick)
    assert verified.exit_code == 3, verified.stderr
    assert "Outside the limits set beforehand: perplexity<=0.01x." in verified.stderr
    written: Verification = _opened(result)
    assert (written.verdict, written.generations) == ("outside", ())
    store = open_store()
    assert [kept.state for kept in store.plans.plans() if not kept.is_sample] == ["verified"]
    assert store.verifications.verification(written.id).generations
    exported = invoke("export", "--plan", plan, "--out", tmp_path / "lighter", "--device", "cpu")
    assert exported.exit_code == 0, exported.stderr
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "lighter").config.num_hidden_layers == 3
    assert invoke("export", "--plan", plan, "--out", tmp_path / "prompts.jsonl").exit_code == 2
    said = invoke("run-plan", "--plan", plan, "--prompt", "the valve", "--new-tokens", "2", "--compare", "--device", "cpu")
    assert said.exit_code == 0, said.stderr
    assert [line for line in said.stdout.splitlines() if line in ("Original:", "Plan:")] == ["Original:", "Plan:"]


@pytest.fixture
def verification(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A verification without a model, with the verdict asked for."""
    asked: dict[str, Any] = {"verdict": "within"}

    def run(request: VerifyRequest, **given: Any) -> Verification:
        asked["request"] = request
        if asked.get("error"):
            raise asked["error"]
        return make_verification(request.plan, verdict=asked["verdict"], texts=given["store_texts"])

    monkeypatch.setattr("analysis.verification.run.run_verification", run)
    monkeypatch.setattr("analysis.cli.verify._promised", lambda request, *_: request.plan.projection)
    return asked


@pytest.mark.parametrize(
    ("verdict", "args", "code"),
    [
        ("within", (), 0),
        ("outside", (), 3),
        ("outside", ("--allow-undecided",), 3),
        ("undecided", (), 3),
        ("undecided", ("--allow-undecided",), 0),
        (None, (), 0),
    ],
)
def test_a_build_can_gate_on_the_exit_code_and_has_the_file_either_way(
    plan_file: Path, tmp_path: Path, verification: dict[str, Any], verdict: str | None, args: tuple[str, ...], code: int
) -> None:
    verification["verdict"] = verdict
    out, page = tmp_path / "v.json", tmp_path / "c.html"
    result = invoke("verify", "--plan", plan_file, "--out", out, "--certificate", page, "--made-by", "Sato", *args)
    assert result.exit_code == code, result.stderr
    assert _opened(out).verdict == verdict
    assert "Sato" in page.read_text(encoding="utf-8")
    assert "bearings" not in out.read_text(encoding="utf-8") + page.read_text(encoding="utf-8")
    if code:
        assert "perplexity<=+5%" in result.stderr.strip().splitlines()[-1]


def test_texts_leave_the_store_only_when_asked_for(plan_file: Path, tmp_path: Path, verification: dict[str, Any]) -> None:
    out, page = tmp_path / "v.json", tmp_path / "c.html"
    assert invoke("verify", "--plan", plan_file, "--out", out, "--certificate", page, "--texts").exit_code == 0
    assert _opened(out).generations
    assert "bearings" in page.read_text(encoding="utf-8")


def test_a_full_store_costs_nothing_that_was_measured(
    plan_file: Path, tmp_path: Path, verification: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ResourceError("The disk that holds {folder} is full.", folder="x")

    monkeypatch.setattr("analysis.runs.store.Store.keep_verification", full)
    result = invoke("verify", "--plan", plan_file, "--out", tmp_path / "v.json")
    assert result.exit_code == 4
    assert _opened(tmp_path / "v.json").verdict == "within"


@pytest.mark.parametrize(("error", "code"), [(MemoryError(), 4), (Cancelled("Stopped."), 130), (ResourceError("Full."), 4)])
def test_what_ends_a_verification_is_said_in_one_line(
    plan_file: Path, verification: dict[str, Any], error: BaseException, code: int
) -> None:
    verification["error"] = error
    result = invoke("verify", "--plan", plan_file, "--quiet")
    assert result.exit_code == code
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_plan_edited_by_hand_is_used_as_it_stands_and_that_is_said(plan_file: Path, verification: dict[str, Any]) -> None:
    before = Plan.model_validate_json(plan_file.read_text(encoding="utf-8"))
    fields = json.loads(plan_file.read_text(encoding="utf-8"))
    fields["operations"][0]["blocks"] = [7]
    plan_file.write_text(json.dumps(fields), encoding="utf-8")
    result = invoke("verify", "--plan", plan_file)
    assert "was changed since it was written" in result.stderr
    tested: Plan = verification["request"].plan
    assert (tested.removed["block"], tested.projection) == ((7,), None)
    assert tested.id != before.id


def test_a_kept_plan_is_found_by_the_start_of_its_id(plan_file: Path, verification: dict[str, Any]) -> None:
    plan = Plan.model_validate_json(plan_file.read_text(encoding="utf-8"))
    open_store().plans.save(plan)
    assert invoke("verify", "--plan", plan.id[:6]).exit_code == 0
    assert verification["request"].plan.id == plan.id


@pytest.mark.parametrize(
    "args",
    [
        ("verify", "--plan", "missing.json"),
        ("verify", "--plan", "PLAN", "--guardrail", "beauty<=3"),
        ("verify", "--plan", "PLAN", "--guardrail", "perplexity"),
        ("verify", "--plan", "PLAN", "--out", "/nowhere/at/all/v.json"),
        ("verify", "--plan", "PLAN", "--certificate", "/nowhere/at/all/c.html"),
        ("verify", "--plan", "PROFILE"),
        ("verify", "--plan", "PLAN", "--model", "/no/such/folder"),
        ("verify", "--plan", "PLAN", "--batch-size", "0"),
        ("export", "--plan", "PLAN", "--format", "hf"),
        ("export", "--plan", "PLAN", "--format", "onnx"),
        ("export", "--plan", "PROFILE", "--format", "words"),
        ("export", "--plan", "PLAN", "--format", "mergekit", "--out", "/nowhere/at/all/x.yaml"),
        ("run-plan", "--plan", "PLAN", "--prompt", " "),
        ("run-plan", "--plan", "missing.json", "--prompt", "x"),
        ("scan", "--unit", "head"),
        ("scan", "--protect", "one"),
        ("scan", "--protect", "-1"),
        ("scan", "--tokens", "0"),
        ("scan", "--out", "/nowhere/at/all/scan.json"),
        ("scan", "--model", "/no/such/folder"),
        ("search", "--strategy", "luck"),
        ("search", "--budget", "a lot"),
        ("search", "--beam-width", "0"),
        ("search", "--workload", "missing.jsonl"),
        ("plan", "--budget", "20%"),
        ("plan", "--budget", "20%", "--search", "missing.json"),
        ("plan", "--budget", "20%", "--search", "PLAN"),
        ("plan", "--budget", "20%", "--profile", "PROFILE", "--unit", "block", "--unit", "mlp"),
        ("plan", "--budget", "20%", "--profile", "PROFILE", "--search", "SEARCH"),
        ("plan", "--budget", "20%", "--search", "SEARCH", "--strategy", "luck"),
    ],
)
def test_a_request_that_makes_no_sense_exits_2_with_words(plan_file: Path, tmp_path: Path, args: tuple[str, ...]) -> None:
    files = {"PLAN": plan_file, "PROFILE": tmp_path / "profile.json", "SEARCH": tmp_path / "search.json"}
    files["PROFILE"].write_text(make_profile().model_dump_json(), encoding="utf-8")
    files["SEARCH"].write_text(make_search(8, most=2).model_dump_json(), encoding="utf-8")
    result = invoke(*(files.get(arg, arg) for arg in args))
    assert result.exit_code == 2, result.output
    assert result.stderr.strip()
    assert "Traceback" not in result.output


def test_a_plan_for_another_model_is_refused_in_words(plan_file: Path, model: Path, prompts: Path, tmp_path: Path) -> None:
    for args in (
        ("verify", "--plan", plan_file, "--model", model, "--workload", prompts),
        ("export", "--plan", plan_file, "--model", model, "--out", tmp_path / "x"),
        ("run-plan", "--plan", plan_file, "--model", model, "--prompt", "x"),
    ):
        result = invoke(*args, "--quiet")
        assert result.exit_code == 2, result.output
        assert "plan is for" in result.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("form", ["mergekit", "llama.cpp", "python", "words"])
def test_a_plan_is_written_as_a_recipe_to_stdout_or_a_file(plan_file: Path, tmp_path: Path, form: str) -> None:
    here = ("--model", tmp_path)
    shown = invoke("export", "--plan", plan_file, "--format", form, *here)
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.strip()
    assert invoke("export", "--plan", plan_file, "--format", form, "--out", tmp_path / "x", *here).exit_code == 0
    assert (tmp_path / "x").read_text(encoding="utf-8") == shown.stdout


def test_a_stopped_search_keeps_what_was_measured(model: Path, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_request: SearchRequest, **given: Any) -> Search:
        given["keep"](make_search(8, most=2))
        raise Cancelled("Stopped.")

    monkeypatch.setattr("analysis.search.run.run_search", run)
    args = ("scan", "--model", model, "--workload", prompts, "--out", tmp_path / "scan.json")
    stopped = invoke(*args)
    assert stopped.exit_code == 130
    assert len([search for search in open_store().searches.searches() if not search.is_sample]) == 1
    assert not (tmp_path / "scan.json").exists()
    assert invoke(*args, "--no-store").exit_code == 130
    assert _opened(tmp_path / "scan.json") == make_search(8, most=2)


def test_a_limit_in_time_needs_no_store(model: Path, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    limit = ("--budget", "30%latency", "--strategy", "one_shot", "--unit", "block", "--no-store", "--device", "cpu")
    result = invoke("search", "--model", model, "--workload", prompts, *limit, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert "are measured first" in result.stderr
    assert _opened(out).projection.latency
    assert not [kept for kept in open_store().plans.plans() if not kept.is_sample]


def test_a_workload_that_is_missing_is_said_before_times_are_measured(model: Path, prompts: Path, tmp_path: Path) -> None:
    scan, plan = tmp_path / "scan.json", tmp_path / "plan.json"
    assert invoke("scan", "--model", model, "--workload", prompts, "--unit", "block", "--out", scan).exit_code == 0
    assert invoke("plan", "--search", scan, "--strategy", "one_shot", "--budget", "1layer", "--out", plan).exit_code == 0
    refused = invoke("verify", "--plan", plan, "--workload", tmp_path / "none.jsonl")
    assert refused.exit_code == 2
    assert "none.jsonl" in refused.stderr
    assert "measured first" not in refused.stderr


@pytest.mark.parametrize("given", ["", "folder"])
def test_a_plan_that_is_no_file_is_refused_in_words(given: str, tmp_path: Path) -> None:
    result = invoke("export", "--plan", tmp_path if given else "", "--format", "words")
    assert result.exit_code == 2
    assert ("is a folder, and a file is needed" if given else "is neither a file nor the id of a kept plan") in result.stderr


def test_a_prompt_of_bytes_that_are_no_text_is_refused_in_words(plan_file: Path) -> None:
    result = invoke("run-plan", "--plan", plan_file, "--prompt", "bearings \udcff")
    assert result.exit_code == 2
    assert "no text" in result.stderr


def test_what_a_scan_will_take_is_said_beforehand_from_the_speed_of_a_kept_run(model: Path, prompts: Path, tmp_path: Path) -> None:
    assert invoke("profile", "--model", model, "--workload", prompts, "--device", "cpu").exit_code == 0
    result = invoke("scan", "--model", model, "--workload", prompts, "--unit", "block", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert re.search(r"one at a time: 4 units .* At the speed of the newest kept run, on .*: about \d", result.stderr)


def test_a_unit_left_out_late_costs_less_than_one_left_out_early() -> None:
    assert passes_of([], 4) == 1
    assert passes_of([0], 4) == 2
    assert passes_of([3], 4) == 1.25
    assert passes_of([0, 1, 2, 3], 4) == 1 + 2.5


def test_a_store_that_is_full_while_a_scan_runs_costs_nothing_that_was_measured(
    model: Path, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ResourceError("The disk that holds {folder} is full.", folder="x")

    monkeypatch.setattr("analysis.runs.search_library.SearchLibrary.keep", full)
    out = tmp_path / "scan.json"
    result = invoke("scan", "--model", model, "--workload", prompts, "--unit", "block", "--device", "cpu", "--out", out)
    assert result.exit_code == 4, result.stderr
    assert len(_opened(out).singles) == 4
