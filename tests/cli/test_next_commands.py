"""What a command wrote is followed by the command that goes on from it; the list of what is kept speaks Japanese."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.cli import app
from tests.builders import make_profile

SAMPLES = Path(__file__).parents[2] / "sample_data"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def last_line(*args: str | Path) -> str:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == 0, result.stderr
    return result.stderr.strip().splitlines()[-1]


def test_a_plan_that_was_written_names_the_test_that_follows(tmp_path: Path) -> None:
    profile, plan = tmp_path / "profile.json", tmp_path / "plan.json"
    profile.write_text(make_profile().model_dump_json(), encoding="utf-8")
    assert last_line("plan", "--profile", profile, "--budget", "20%", "--out", plan).endswith(f"python -m analysis verify --plan {plan}")
    assert "検証するまで分かりません" in last_line("--lang", "ja", "plan", "--profile", profile, "--budget", "20%", "--out", plan)


def test_a_case_that_was_written_names_the_report_that_follows(tmp_path: Path) -> None:
    given = ("--plan", SAMPLES / "sample_plans" / "freeze.json.gz", "--trial", SAMPLES / "sample_trials" / "freeze.json.gz")
    case = tmp_path / "case.json"
    said = last_line("roi", *given, "--bill", "1200000", "--draws", "200", "--out", case)
    assert said.startswith(f"Next: python -m analysis report --case {case} ")


def test_the_list_says_what_came_of_a_verification_in_the_listeners_language() -> None:
    for lang, said in {"en": "outside limits", "ja": "不合格（基準外）"}.items():
        listed = CliRunner().invoke(app, ["--lang", lang, "runs"]).stdout
        assert said in listed
        assert "  outside  " not in listed
