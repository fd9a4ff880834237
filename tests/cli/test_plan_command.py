"""`plan`, `runs` and `schema` on profiles made without a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from analysis.cli import app
from analysis.contracts import Plan
from analysis.runs.store import open_store
from tests.builders import make_profile
from tests.measured_builders import make_search, make_verification


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def profile_file(tmp_path: Path) -> Path:
    path = tmp_path / "profile.json"
    path.write_text(make_profile().model_dump_json(), encoding="utf-8")
    return path


def invoke(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def plan_from(profile: Path, *args: str | Path) -> Plan:
    out = profile.parent / "plan.json"
    result = invoke("plan", "--profile", profile, "--out", out, *args)
    assert result.exit_code == 0, result.stderr
    fields = json.loads(out.read_text(encoding="utf-8"))
    fields.pop("id")
    return Plan.model_validate(fields)


def test_a_fifth_of_thirty_layers_is_six(profile_file: Path) -> None:
    (operation,) = plan_from(profile_file, "--budget", "20%").operations
    assert operation.op == "prune"
    assert len(operation.blocks) == 6


def test_op_unit_and_protection_are_obeyed(profile_file: Path) -> None:
    (free,) = plan_from(profile_file, "--budget", "6layers", "--op", "skip", "--unit", "attention").operations
    assert (free.op, free.unit) == ("skip", "attention")
    protected = ",".join(map(str, free.blocks[:2]))
    (kept,) = plan_from(profile_file, "--budget", "6layers", "--op", "skip", "--unit", "attention", "--protect", protected).operations
    assert not set(free.blocks[:2]) & set(kept.blocks)


def test_what_speaks_against_a_layer_is_said(profile_file: Path) -> None:
    warned = [reason.block for reason in plan_from(profile_file, "--budget", "60%").provenance.reasons if reason.warning]
    assert 11 in warned
    assert "Layer 11: " in invoke("plan", "--profile", profile_file, "--budget", "60%").stderr


def test_the_context_is_the_one_asked_for(profile_file: Path) -> None:
    projection = plan_from(profile_file, "--budget", "20%", "--context", "4096").projection
    assert projection is not None
    assert projection.context_tokens == 4096


def test_savings_are_said_as_projected_on_stderr_and_stdout_stays_for_the_plan(profile_file: Path) -> None:
    result = invoke("plan", "--profile", profile_file, "--budget", "20%", "--out", "-", "--no-store")
    assert json.loads(result.stdout)["kind"] == "plan"
    assert "Projected, not yet run" in result.stderr
    assert invoke("plan", "--profile", profile_file, "--budget", "20%", "--quiet").output == ""


@pytest.mark.parametrize(
    "args",
    [
        ("--budget", "a lot"),
        ("--budget", "0%"),
        ("--budget", "20%", "--protect", "one"),
        ("--budget", "20%", "--protect", "99"),
        ("--budget", "20%", "--criterion", "gut_feeling"),
        ("--budget", "20%", "--unit", "head"),
        ("--budget", "20%", "--out", "/nowhere/at/all/plan.json"),
    ],
)
def test_a_request_that_makes_no_sense_exits_2_with_words(profile_file: Path, args: tuple[str, ...]) -> None:
    result = invoke("plan", "--profile", profile_file, *args)
    assert result.exit_code == 2
    assert result.stderr.strip()
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"kind": "profile", "schema_version": 1}', '{"kind": "profile", "schema_version": 9}', "\x00\xff"]
)
def test_a_file_that_is_no_profile_exits_2_with_words(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content, encoding="latin-1")
    result = invoke("plan", "--profile", path, "--budget", "20%")
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_missing_file_and_a_plan_in_place_of_a_profile_are_told_apart(profile_file: Path) -> None:
    assert "neither a file nor" in invoke("plan", "--profile", "missing.json", "--budget", "20%").stderr
    plan_from(profile_file, "--budget", "20%")
    assert "is a plan" in invoke("plan", "--profile", profile_file.parent / "plan.json", "--budget", "20%").stderr


def test_a_kept_run_can_be_listed_planned_from_renamed_and_deleted(tmp_path: Path) -> None:
    run_id = open_store().runs.add(make_profile())
    listed = json.loads(invoke("runs", "--json").stdout)
    assert run_id in [run["id"] for run in listed["runs"]]
    assert invoke("plan", "--profile", run_id, "--budget", "20%").exit_code == 0
    plans = json.loads(invoke("runs", "--json").stdout)["plans"]
    assert len([plan for plan in plans if not plan["is_sample"]]) == 1
    assert invoke("runs", "rename", run_id[:6], "Mail").exit_code == 0
    assert "Mail" in invoke("runs").stdout
    out = tmp_path / "again.json"
    assert invoke("runs", "open", run_id, "--out", out).exit_code == 0
    assert json.loads(out.read_text(encoding="utf-8"))["kind"] == "profile"
    assert invoke("runs", "delete", run_id, "--yes").exit_code == 0
    assert run_id not in invoke("runs", "--json").stdout


def test_an_id_that_is_not_there_exits_2() -> None:
    for action in (("open", "zzz"), ("rename", "zzz", "x"), ("delete", "zzz", "--yes")):
        assert invoke("runs", *action).exit_code == 2


def test_searches_and_verifications_are_listed_opened_without_texts_and_deleted(tmp_path: Path) -> None:
    store = open_store()
    search_id = store.searches.keep(make_search(8, most=2))
    found = store.verifications.add(make_verification())
    listed = json.loads(invoke("runs", "--json").stdout)
    assert search_id in [search["id"] for search in listed["searches"]]
    assert found in [verification["id"] for verification in listed["verifications"]]
    assert json.loads(invoke("runs", "open", search_id[:8]).stdout)["kind"] == "search"
    opened = invoke("runs", "open", found, "--out", tmp_path / "v.json")
    assert opened.exit_code == 0, opened.stderr
    assert json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))["generations"] == []
    assert invoke("runs", "rename", search_id, "x").exit_code == 2
    for one in (search_id, found):
        assert invoke("runs", "delete", one, "--yes").exit_code == 0
        assert one not in invoke("runs", "--json").stdout


def test_schemas_are_written_and_checked(tmp_path: Path) -> None:
    assert invoke("schema", "--out", tmp_path, "--check").exit_code == 2
    assert invoke("schema", "--out", tmp_path).exit_code == 0
    assert invoke("schema", "--out", tmp_path, "--check").exit_code == 0
    written = json.loads((tmp_path / "plan.schema.json").read_text(encoding="utf-8"))
    assert {"schema_version", "model", "workload", "operations", "projection", "provenance", "id"} <= set(written["properties"])
