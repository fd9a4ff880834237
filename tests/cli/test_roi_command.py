"""`roi`: every way it goes wrong in words, and what a case comes to, from what was measured and what was typed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from analysis.cli import app
from analysis.contracts import Assumptions, BusinessCase, Plan
from analysis.planning import propose_plan
from analysis.runs.documents import parse_document
from analysis.runs.store import open_store
from tests.builders import make_profile
from tests.measured_builders import make_verification
from tests.trained_builders import make_freeze_plan, make_trial

SAMPLES = Path(__file__).parents[2] / "sample_data"
FREEZE, TRIAL = SAMPLES / "sample_plans" / "freeze.json.gz", SAMPLES / "sample_trials" / "freeze.json.gz"
BLOCK, MISSED = SAMPLES / "sample_plans" / "block.json.gz", SAMPLES / "sample_verifications" / "block.json.gz"
ATTENTION, MET = SAMPLES / "sample_plans" / "attention.json.gz", SAMPLES / "sample_verifications" / "attention.json.gz"
ENGLISH = re.compile(r"\b[A-Z][a-z]+ [a-z]+ [a-z]+ [a-z]+")
QUICK = ("--draws", "200")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def invoke(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def roi(*args: str | Path) -> Result:
    return invoke("roi", "--plan", FREEZE, "--trial", TRIAL, *QUICK, *args)


def _case(path: Path) -> BusinessCase:
    found = parse_document(path.read_bytes(), path.name)
    assert isinstance(found, BusinessCase)
    return found


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--bill", "-5"), "bill_training_per_month"),
        (("--bill", "many"), "many is not a figure"),
        (("--bill", "1200000", "--requests", "-5"), "--requests -5 is below 0"),
        (("--bill", "1.234,50"), "can be read in more than one way"),
        (("--bill", "0"), "bill_training_per_month"),
        ((), "bill_training_per_month: No figure was given"),
        (("--bill", "1200000", "--set", "horizn_months=36"), "Near it: horizon_months"),
        (("--bill", "1200000", "--set", "qqqqqqqq=36"), "The figures are: horizon_months"),
        (("--bill", "1200000", "--set", "internal_day"), "write NAME=VALUE, for example --set internal_day="),
        (("--bill", "1200000", "--set", "internal_day=1..2"), "LOW..VALUE..HIGH"),
        (("--bill", "1200000", "--set", "internal_day=abc"), "abc is not a figure"),
        (("--bill", "-5"), "1 assumption is missing or cannot be right"),
        (("--bill", "1200000", "--set", "internal_day=-40000"), "internal_day"),
        (("--bill", "1200000", "--set", "horizon_months=100000"), "horizon_months"),
        (("--bill", "1200000", "--currency", "EUR"), "rate"),
        (("--bill", "1200000", "--rate", "JPY=0.006"), "--rate JPY=0.006 is not understood"),
        (("--bill", "1200000", "--rate", "GBP=1@2026-11-20:ECB"), "is not understood"),
        (("--bill", "1200000", "--rate", "JPY=-1@2026-11-20:ECB"), "is not understood"),
        (("--bill", "1200000", "--rate", "JPY=1@20th:ECB"), "is not understood"),
        (("--bill", "1200000", "--starts", "next year"), "starts_on"),
        (("--bill", "1200000", "--after-tax"), "tax_rate_percent"),
        (("--bill", "1200000", "--assumptions", "nowhere.json"), "There is no file nowhere.json"),
        (("--bill", "1200000", "--assumptions", str(FREEZE)), "is a plan, and assumptions or a business case are needed"),
        (("--bill", "1200000", "--with-case", "nowhere.json"), "neither a file nor the id of a kept business case"),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_is_kept(args: tuple[str, ...], said: str, tmp_path: Path) -> None:
    result = roi(*args, "--out", tmp_path / "case.json")
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert not (tmp_path / "case.json").exists()
    assert [case for case in open_store().cases.cases() if not case.is_sample] == []


def test_every_field_that_stands_against_a_case_is_said_not_only_the_first() -> None:
    result = roi("--set", "internal_day=-1", "--set", "horizon_months=0")
    assert result.exit_code == 2
    for field in ("bill_training_per_month:", "internal_day:", "horizon_months:"):
        assert field in result.stderr
    assert re.search(r"[3-9] assumptions are missing or cannot be right", result.stderr)


def test_zero_volume_is_said_and_so_is_a_missing_price(tmp_path: Path) -> None:
    asked = ("roi", "--plan", ATTENTION, "--verification", MET, "--basis", "volume", "--place", "cloud", *QUICK)
    result = invoke(*asked, "--requests", "0")
    assert result.exit_code == 2, result.output
    assert "gpu_price_per_hour:" in result.stderr
    assert "slices" in result.stderr


def test_a_processors_time_is_not_priced_as_a_gpus(tmp_path: Path) -> None:
    plan = propose_plan(make_profile(), amount="10%")
    files = {"plan": plan, "verification": make_verification(plan)}
    for name, document in files.items():
        (tmp_path / f"{name}.json").write_text(document.model_dump_json(), encoding="utf-8")
    asked = ("roi", "--plan", tmp_path / "plan.json", "--verification", tmp_path / "verification.json", "--requests", "900000", *QUICK)
    priced = (*asked, "--gpu", "h100", "--set", "gpu_price_per_hour=650@contract")
    refused = invoke(*priced)
    assert refused.exit_code == 2, refused.output
    assert "accept_other_device:" in refused.stderr
    accepted = invoke(*priced, "--accept-other-device", "--set", "speed_factor=20", "--no-store", "--out", tmp_path / "case.json")
    assert accepted.exit_code == 0, accepted.output
    assert _case(tmp_path / "case.json").assumptions.device_kind == "gpu"


def test_a_device_that_the_catalogue_does_not_hold_is_said_and_taken_by_its_name(tmp_path: Path) -> None:
    asked = ("--bill", "1200000", "--no-store", "--out", tmp_path / "case.json")
    unknown = roi(*asked, "--gpu", "a thing of ours")
    assert unknown.exit_code == 0, unknown.output
    assert "a thing of ours is not in the catalogue" in unknown.stderr
    assert _case(tmp_path / "case.json").assumptions.gpu == "a thing of ours"
    known = roi(*asked, "--gpu", "NVIDIA H200")
    assert "is not in the catalogue" not in known.stderr
    assert _case(tmp_path / "case.json").assumptions.gpu == "h200"


def test_a_test_of_another_plan_is_refused(tmp_path: Path) -> None:
    other = make_trial(3, plan=make_freeze_plan(3))
    (tmp_path / "trial.json").write_text(other.model_dump_json(), encoding="utf-8")
    result = invoke("roi", "--plan", FREEZE, "--trial", tmp_path / "trial.json", "--bill", "1200000", *QUICK)
    assert result.exit_code == 2
    assert "This trial is of plan" in result.stderr
    missing = invoke("roi", "--trial", tmp_path / "trial.json", "--bill", "1200000", *QUICK)
    assert missing.exit_code == 2
    assert "is not kept here. Name its file with --plan" in missing.stderr
    assert "Nothing says which plan" in invoke("roi", "--bill", "1200000").stderr


def test_a_plan_outside_its_limits_gets_its_case_under_a_banner(tmp_path: Path) -> None:
    result = invoke("roi", "--plan", BLOCK, "--verification", MISSED, "--bill", "1200000", *QUICK, "--out", tmp_path / "case.json")
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("NOT RECOMMENDED")
    assert "never pays back" in result.stderr
    case = _case(tmp_path / "case.json")
    assert (case.standing, case.result.payback_months) == ("outside", None)


def test_a_plan_that_was_only_projected_comes_to_a_range_and_says_so(tmp_path: Path) -> None:
    found = parse_document(ATTENTION.read_bytes(), ATTENTION.name)
    assert isinstance(found, Plan)
    elsewhere = found.model_copy(update={"operations": found.operations[:1], "verification": None})
    skip = elsewhere.operations[0].model_copy(update={"blocks": (7,)})
    rough = elsewhere.model_copy(update={"operations": (skip,)})
    (tmp_path / "plan.json").write_text(rough.model_dump_json(), encoding="utf-8")
    result = invoke("roi", "--plan", tmp_path / "plan.json", "--bill", "1200000", *QUICK)
    assert result.exit_code == 0, result.output
    assert "NOT VERIFIED" in result.stderr
    assert "Rough estimate before any test" in result.stderr


def test_a_case_says_what_it_saves_what_to_confirm_and_is_kept_under_its_name(tmp_path: Path) -> None:
    result = roi("--bill", "120万", "--set", "engineer_days=8@our own plan", "--name", "for the board", "--out", tmp_path / "case.json")
    assert result.exit_code == 0, result.output
    for said in (
        "pays back in",
        "start-up cost",
        "net present value",
        "To confirm:",
        "40,000 (30,000 to 60,000) JPY",
        "cost a month today",
    ):
        assert said in result.stderr
    assert "engineer_days" not in result.stderr.split("To confirm:")[1]
    case = _case(tmp_path / "case.json")
    given = case.assumptions.values["bill_training_per_month"]
    assert (given.value, given.currency, case.assumptions.basis) == (1_200_000, "JPY", "bill")
    engineer = case.assumptions.values["engineer_days"]
    assert (engineer.value, engineer.sourced) == (8, True)
    assert engineer.source is not None
    assert "our own plan" in engineer.source.in_english()
    assert [(one.id, one.name) for one in open_store().cases.cases() if not one.is_sample] == [(case.id, "for the board")]
    listed = invoke("runs")
    assert "for the board" in listed.output
    renamed = invoke("runs", "rename", case.id, "for the team")
    assert renamed.exit_code == 0, renamed.output
    assert invoke("runs", "delete", case.id, "--yes").exit_code == 0
    assert [one for one in open_store().cases.cases() if not one.is_sample] == []


def test_figures_as_people_write_them_are_read(tmp_path: Path) -> None:
    result = roi("--bill", "１，２００，０００円", "--set", "internal_day=3万..４万..6万", "--no-store", "--out", tmp_path / "case.json")
    assert result.exit_code == 0, result.output
    values = _case(tmp_path / "case.json").assumptions.values
    assert values["bill_training_per_month"].value == 1_200_000
    assert (values["internal_day"].low, values["internal_day"].value, values["internal_day"].high) == (30_000, 40_000, 60_000)


def test_another_currency_needs_a_rate_with_a_date_and_a_source(tmp_path: Path) -> None:
    rate = ("--currency", "EUR", "--rate", "JPY=0.0061@2026-11-20:ECB")
    result = roi("--bill", "8,000", *rate, "--no-store", "--out", tmp_path / "case.json")
    assert result.exit_code == 0, result.output
    assert "EUR" in result.stderr
    case = _case(tmp_path / "case.json")
    (known,) = case.assumptions.rates
    assert (known.currency, known.per_unit, known.as_of, known.source) == ("JPY", 0.0061, "2026-11-20", "ECB")
    assert case.result.start.total == pytest.approx(15 * 40_000 * 0.0061)


def test_assumptions_are_written_even_when_a_figure_is_missing_and_read_back(tmp_path: Path) -> None:
    refused = roi("--assumptions-out", tmp_path / "a.json")
    assert refused.exit_code == 2
    fields = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    fields["values"]["bill_training_per_month"] = {"value": 1_200_000, "currency": "JPY"}
    fields["basis"] = "bill"
    (tmp_path / "a.json").write_text(json.dumps(fields), encoding="utf-8")
    assert isinstance(parse_document((tmp_path / "a.json").read_bytes(), "a.json"), Assumptions)
    first = roi("--assumptions", tmp_path / "a.json", "--no-store", "--out", tmp_path / "one.json")
    assert first.exit_code == 0, first.output
    again = roi("--assumptions", tmp_path / "one.json", "--no-store", "--out", tmp_path / "two.json")
    assert again.exit_code == 0, again.output
    assert _case(tmp_path / "one.json").id == _case(tmp_path / "two.json").id
    cautious = roi("--assumptions", tmp_path / "a.json", "--scenario", "cautious", "--no-store", "--out", tmp_path / "three.json")
    assert cautious.exit_code == 0, cautious.output
    assert _case(tmp_path / "three.json").result.npv < _case(tmp_path / "one.json").result.npv


def test_a_plan_carries_its_case_and_a_forged_one_is_refused(tmp_path: Path) -> None:
    made = roi("--bill", "1200000", "--no-store", "--out", tmp_path / "case.json")
    assert made.exit_code == 0, made.output
    carried = invoke("roi", "--plan", FREEZE, "--with-case", tmp_path / "case.json", "--no-store", "--plan-out", tmp_path / "plan.json")
    assert carried.exit_code == 0, carried.output
    plan = parse_document((tmp_path / "plan.json").read_bytes(), "plan.json")
    assert isinstance(plan, Plan)
    assert plan.business_case == _case(tmp_path / "case.json")
    other = invoke("roi", "--plan", BLOCK, "--with-case", tmp_path / "case.json", "--no-store", "--plan-out", tmp_path / "wrong.json")
    assert other.exit_code == 2
    assert "This business case is of plan" in other.stderr
    fields = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    fields["business_case"]["result"]["net_per_month"] *= 2
    (tmp_path / "forged.json").write_text(json.dumps(fields), encoding="utf-8")
    forged = invoke("roi", "--plan", tmp_path / "forged.json", "--bill", "1200000", *QUICK)
    assert forged.exit_code == 2
    assert "does not follow from its own evidence and assumptions (result.net_per_month)" in forged.stderr


def test_the_japanese_terminal_holds_no_english_sentence() -> None:
    for args in (("roi", "--plan", FREEZE, "--bill", "1200000"), ("roi", "--plan", BLOCK, "--bill", "1200000"), ("roi", "--plan", FREEZE)):
        result = invoke(*args, "--lang", "ja", *QUICK)
        assert not ENGLISH.search(result.stderr), result.stderr
