"""`report`: bad input in words; a page, slides, an approval request and tables from one case, in either language."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from pptx import Presentation
from typer.testing import CliRunner, Result

from analysis.cli import app
from analysis.runs.store import open_store
from tests.business_builders import make_case

SAMPLES = Path(__file__).parents[2] / "sample_data" / "sample_cases"
FREEZE, BLOCK = SAMPLES / "freeze.json.gz", SAMPLES / "block.json.gz"
ENGLISH = re.compile(r"\b[A-Z][a-z]+ [a-z]+ [a-z]+ [a-z]+")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def report(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["report", *(str(arg) for arg in args)])


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--case", "nowhere.json"), "neither a file nor the id of a kept business case"),
        (("--case", str(SAMPLES.parent / "sample_plans" / "freeze.json.gz")), "is a plan, and a business case is needed"),
        (("--case", str(SAMPLES)), "is a folder, and a file is needed"),
        (("--case", str(FREEZE), "--format", "pptx"), "cannot be written to a terminal"),
        (("--case", str(FREEZE), "--format", "csv", "--out", "-"), "cannot be written to a terminal"),
        (("--case", str(FREEZE), "--out", "nowhere/briefing.html"), "does not exist"),
        (("--case", str(FREEZE), "--decision-on", "soon"), "is not a date"),
    ],
)
def test_what_cannot_be_used_is_said(args: tuple[str, ...], said: str) -> None:
    result = report(*args)
    assert result.exit_code == 2, result.output
    assert said in result.stderr


def test_a_case_changed_by_hand_makes_no_report(tmp_path: Path) -> None:
    fields = make_case().model_dump(mode="json")
    (tmp_path / "case.json").write_text(json.dumps(fields), encoding="utf-8")
    result = report("--case", tmp_path / "case.json", "--out", tmp_path / "briefing.html")
    assert result.exit_code == 2
    assert "changed by hand, or made by another version" in result.stderr
    assert not (tmp_path / "briefing.html").exists()


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_page_is_written_in_the_language_asked_for(lang: str, tmp_path: Path) -> None:
    result = report("--case", FREEZE, "--lang", lang, "--author", "A. Sato", "--out", tmp_path / "briefing.html")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "briefing.html").read_text(encoding="utf-8")
    assert f'lang="{lang}"' in page
    assert "A. Sato" in page
    assert len(page.encode()) < 1_000_000
    assert str(tmp_path / "briefing.html") in result.stderr


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_samples_stages_speak_the_language_of_the_page(lang: str, tmp_path: Path) -> None:
    result = report("--case", FREEZE, "--lang", lang, "--format", "ringi")
    assert result.exit_code == 0, result.output
    assert bool(re.search("two days in a row", result.stdout)) is (lang == "en")


def test_a_plan_outside_its_limits_carries_its_banner(tmp_path: Path) -> None:
    assert report("--case", BLOCK, "--out", tmp_path / "briefing.html").exit_code == 0
    assert "not recommended" in (tmp_path / "briefing.html").read_text(encoding="utf-8").lower()
    assert report("--case", BLOCK, "--format", "pptx", "--out", tmp_path / "deck.pptx").exit_code == 0
    slides = Presentation(io.BytesIO((tmp_path / "deck.pptx").read_bytes())).slides
    assert 5 <= len(slides) <= 7
    for slide in slides:
        texts = " ".join(shape.text_frame.text for shape in slide.shapes if shape.has_text_frame)
        assert "not recommend" in texts.lower(), texts


@pytest.mark.parametrize("target", ["tables", "tables.zip"])
def test_every_table_is_a_csv_that_a_spreadsheet_opens(target: str, tmp_path: Path) -> None:
    result = report("--case", FREEZE, "--format", "csv", "--lang", "ja", "--out", tmp_path / target)
    assert result.exit_code == 0, result.output
    if target.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / target) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    else:
        files = {path.name: path.read_bytes() for path in (tmp_path / target).iterdir()}
    assert {"assumptions.csv", "lines.csv", "stages.csv"} <= set(files)
    for name, data in files.items():
        assert data.startswith(b"\xef\xbb\xbf"), name
        assert data.decode("utf-8-sig").strip(), name


def test_a_kept_case_is_reported_by_the_start_of_its_id(tmp_path: Path) -> None:
    kept = next(one for one in open_store().cases.cases() if one.standing == "measured")
    result = report("--case", kept.id[:8], "--format", "ringi", "--lang", "ja")
    assert result.exit_code == 0, result.output
    assert "件名：" in result.stdout
    assert not ENGLISH.search(result.stderr), result.stderr
