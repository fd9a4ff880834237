"""`stages`: bad input in words; stages proposed, days and bills read from a spreadsheet's file, and an exit code for a job."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from analysis.cli import app
from analysis.contracts import Rollout, StageEvent
from analysis.economics.actuals import ACTUAL_COLUMNS
from analysis.economics.monitoring import MONITORING_COLUMNS
from analysis.runs.documents import parse_document
from analysis.runs.store import open_store
from tests.business_builders import make_rollout

CASE = Path(__file__).parents[2] / "sample_data" / "sample_cases" / "freeze.json.gz"
ENGLISH = re.compile(r"\b[A-Z][a-z]+ [a-z]+ [a-z]+ [a-z]+")
HEAD = "日付,区分,件数,プラン処理件数,確認件数,変化件数,誤り件数,元のモデルの誤り件数,応答時間,元のモデルの応答時間"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def stages(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["stages", "--case", str(CASE), *(str(arg) for arg in args)])


def days(path: Path, *rows: str, encoding: str = "utf-8-sig") -> Path:
    path.write_bytes("\r\n".join((HEAD, *rows)).encode(encoding))
    return path


def running(path: Path) -> Path:
    """The sample's rollout with its first stage running since the first of October."""
    sample = open_store().rollouts.rollout(_case_plan())
    assert sample is not None
    first = sample.stages[0].model_copy(update={"state": "running", "starts_on": "2026-10-01"})
    begun = StageEvent(stage=1, action="start", who="A. Sato", at="2026-10-01T08:00:00+00:00")
    path.write_text(
        sample.model_copy(update={"stages": (first, *sample.stages[1:]), "events": (begun,)}).model_dump_json(), encoding="utf-8"
    )
    return path


def _case_plan() -> str:
    document = parse_document(CASE.read_bytes(), CASE.name)
    return document.evidence.plan_id  # type: ignore[union-attr]


def _rollout(path: Path) -> Rollout:
    found = parse_document(path.read_bytes(), path.name)
    assert isinstance(found, Rollout)
    return found


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (("2026-10-02,summaries,100,120,10,0,0,0,,",), "line 2"),
        (("2026-10-02,summaries,minus one,20,10,0,0,0,,",), "line 2"),
        (("2026-10-02,summaries,-5,20,10,0,0,0,,",), "line 2"),
        (("2099-10-02,summaries,100,20,10,0,0,0,,",), "line 2"),
        (("2026-10-02,no such slice,100,20,10,0,0,0,,",), "no such slice"),
        (("2026-10-02,summaries,100,20,10,0,0,0,,",) * 2, "line 3"),
        ((), "days.csv"),
    ],
)
def test_days_that_cannot_be_are_said_with_their_line_and_nothing_is_kept(rows: tuple[str, ...], said: str, tmp_path: Path) -> None:
    started = ("--rollout", running(tmp_path / "rollout.json"))
    result = stages(*started, "--monitoring", days(tmp_path / "days.csv", *rows), "--out", tmp_path / "out.json")
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert not (tmp_path / "out.json").exists()


def test_a_file_that_is_not_there_a_rollout_of_another_plan_and_a_folder_are_said(tmp_path: Path) -> None:
    assert "cannot be read" in stages("--monitoring", tmp_path / "none.csv").stderr
    assert "cannot be read" in stages("--actuals", tmp_path).stderr
    (tmp_path / "other.json").write_text(make_rollout().model_dump_json(), encoding="utf-8")
    other = stages("--rollout", tmp_path / "other.json")
    assert other.exit_code == 2
    assert "This rollout is of plan abcdef012345" in other.stderr
    assert "There is no file" in stages("--rollout", "none.json").stderr
    assert "is a business case, and a rollout is needed" in stages("--rollout", CASE).stderr
    assert "is a folder" in stages("--alerts", tmp_path).stderr


def test_stages_are_proposed_with_their_limits_for_other_systems(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("rollout.json", "rules.yml", "limits.json", "back.md", "days.csv")}
    result = stages(
        *("--out", files["rollout.json"], "--alerts", files["rules.yml"], "--guardrails", files["limits.json"]),
        *("--runbook", files["back.md"], "--monitoring-template", files["days.csv"]),
    )
    assert result.exit_code == 0, result.output
    assert "has not been rehearsed" in result.stderr
    assert "Still open on the checklist" in result.stderr
    kept = _rollout(files["rollout.json"])
    assert len(kept.stages) >= 3
    assert open_store().rollouts.rollout(kept.plan_id) == kept.model_copy(update={"is_sample": False})
    assert yaml.safe_load(files["rules.yml"].read_text(encoding="utf-8"))["groups"]
    assert json.loads(files["limits.json"].read_text(encoding="utf-8"))
    assert files["back.md"].read_text(encoding="utf-8").strip()
    assert files["days.csv"].read_bytes().startswith(b"\xef\xbb\xbfdate,slice,requests,on_plan")
    japanese = stages("--lang", "ja", "--no-store")
    assert not ENGLISH.search(japanese.stderr), japanese.stderr


def test_quiet_days_of_a_shift_jis_file_with_full_width_digits_are_read_and_merged(tmp_path: Path) -> None:
    file = days(tmp_path / "days.csv", "2026/10/02,summaries,１００,２０,１０,0,0,0,200,210", encoding="cp932")
    started = ("--rollout", running(tmp_path / "rollout.json"))
    first = stages(*started, "--monitoring", file, "--out", tmp_path / "one.json")
    assert first.exit_code == 0, first.output
    later = days(tmp_path / "later.csv", "2026-10-02,summaries,100,21,10,0,0,0,200,210", "2026-10-03,summaries,90,18,9,0,0,0,200,210")
    second = stages("--monitoring", later, "--out", tmp_path / "two.json")
    assert second.exit_code == 0, second.output
    assert [(row.date, row.on_plan) for row in _rollout(tmp_path / "two.json").monitoring] == [("2026-10-02", 21), ("2026-10-03", 18)]
    assert len(open_store().rollouts.rollout(_case_plan()).monitoring) == 2  # type: ignore[union-attr]


def test_days_outside_a_limit_end_with_exit_code_3_and_are_kept_all_the_same(tmp_path: Path) -> None:
    rows = [f"2026-10-{day:02d},summaries,400,400,400,350,300,10,200,210" for day in range(2, 12)]
    started = ("--rollout", running(tmp_path / "rollout.json"), "--monitoring", days(tmp_path / "days.csv", *rows))
    result = stages(*started, "--out", tmp_path / "out.json")
    assert result.exit_code == 3, result.output
    assert "is outside its limits in real use" in result.stderr
    assert len(_rollout(tmp_path / "out.json").monitoring) == 10


def test_a_file_that_forgot_what_is_stored_is_refused(tmp_path: Path) -> None:
    assert stages("--rollout", running(tmp_path / "rollout.json")).exit_code == 0
    kept = _rollout(tmp_path / "rollout.json")
    waiting = kept.stages[0].model_copy(update={"state": "planned"})
    forgetful = kept.model_copy(update={"events": (), "stages": (waiting, *kept.stages[1:])})
    (tmp_path / "old.json").write_text(forgetful.model_dump_json(), encoding="utf-8")
    result = stages("--rollout", tmp_path / "old.json")
    assert result.exit_code == 2
    assert "nothing stored was lost" in result.stderr


def _cells(said: str, month: str) -> list[str]:
    """The sums of one month, those left out that cannot be told apart."""
    line = next(line for line in said.splitlines() if line.strip().startswith(month))
    return [cell for cell in line.split()[1:] if cell != "-"]


def test_real_bills_are_set_beside_the_plan(tmp_path: Path) -> None:
    bills = tmp_path / "bills.csv"
    bills.write_bytes('月,請求額,件数\r\n2026-12,"１，１５０，０００円",12700\r\n2027-01,1080000,12700'.encode("cp932"))
    result = stages("--actuals", bills, "--out", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    assert "planned cost" in result.stderr
    planned, actual, volume, effect = (int(cell.replace(",", "").replace("−", "-")) for cell in _cells(result.stderr, "2026-12"))
    assert (actual, volume) == (1_150_000, 0)
    assert abs(actual - planned - volume - effect) <= 1
    assert "Payback:" in result.stderr
    assert "Review: " in result.stderr
    assert [row.bill for row in _rollout(tmp_path / "out.json").actuals] == [1_150_000, 1_080_000]
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("month,bill,requests\n2026-13,5,5\n", encoding="utf-8")
    assert stages("--actuals", wrong).exit_code == 2
    for months in ("2026-01,5,5", "2027-03,5,5"):
        wrong.write_text(f"month,bill,requests\n{months}\n", encoding="utf-8")
        assert stages("--actuals", wrong).exit_code == 2
    assert stages("--actuals", bills).exit_code == 0  # nothing of the wrong months was kept


def test_every_field_that_stands_against_a_rollout_is_said(tmp_path: Path) -> None:
    kept = _rollout(running(tmp_path / "rollout.json"))
    first = kept.stages[0].model_copy(update={"guardrails": ("perplexity is fine",), "slices": ("no such slice",)})
    (tmp_path / "wrong.json").write_text(kept.model_copy(update={"stages": (first, *kept.stages[1:])}).model_dump_json(), encoding="utf-8")
    result = stages("--rollout", tmp_path / "wrong.json", "--quiet")
    assert result.exit_code == 2
    assert "stages[0].guardrails" in result.stderr
    assert "stages[0].slices" in result.stderr


@pytest.mark.parametrize("columns", [MONITORING_COLUMNS, ACTUAL_COLUMNS])
def test_every_column_stands_in_the_document_that_explains_them(columns: tuple[str, ...]) -> None:
    explained = (CASE.parents[2] / "docs" / "business_case.md").read_text(encoding="utf-8")
    assert [name for name in columns if f"`{name}`" not in explained] == []
