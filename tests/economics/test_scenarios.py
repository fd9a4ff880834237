"""Standard, cautious and bold; cases beside each other."""

from __future__ import annotations

import pytest

from analysis.contracts import Assumption
from analysis.economics.check import check_assumptions
from analysis.economics.defaults import answer, default_assumptions
from analysis.economics.figures import base_figures
from analysis.economics.outcome import outcome
from analysis.economics.scenarios import PRESETS, compare, preset
from tests.business_builders import make_case, make_evidence
from tests.economics.simple_cases import TODAY, plain_assumptions, plain_evidence

RANGES = {"bill_serving_per_month": (600_000.0, 1_000_000.0, 1_600_000.0), "engineer_days": (7.0, 10.0, 20.0)}


def test_cautious_goes_half_way_to_the_worse_end_and_bold_to_the_better() -> None:
    assumptions, evidence = plain_assumptions(RANGES), plain_evidence()
    cautious, bold = preset(assumptions, evidence, "cautious"), preset(assumptions, evidence, "bold")
    assert (cautious.values["bill_serving_per_month"].value, cautious.values["engineer_days"].value) == (800_000, 15)
    assert (bold.values["bill_serving_per_month"].value, bold.values["engineer_days"].value) == (1_300_000, 8.5)
    assert cautious.values["run_days_per_month"] == assumptions.values["run_days_per_month"]


def test_it_says_so_in_the_source() -> None:
    moved = preset(plain_assumptions(RANGES), plain_evidence(), "cautious").values["engineer_days"]
    assert moved.source is not None
    assert moved.source.in_english() == "half-way to the upper end of its range; before: own figure, as entered"


def test_standard_is_the_assumptions_themselves_under_that_name() -> None:
    assumptions = plain_assumptions(RANGES)
    assert preset(assumptions, plain_evidence(), "standard") == assumptions.model_copy(update={"name": "standard"})


def test_the_value_falls_from_bold_to_standard_to_cautious_and_each_passes_the_check() -> None:
    for kind, bill in (("serving", "bill_serving_per_month"), ("training", "bill_training_per_month")):
        evidence = make_evidence(kind)  # type: ignore[arg-type]
        assumptions = answer(default_assumptions(evidence, today=TODAY), bill, 1_200_000, low=9e5, high=1.5e6)
        cases = {name: preset(assumptions, evidence, name) for name in PRESETS}
        value = {name: float(outcome(case, evidence, base_figures(case, evidence)).npv) for name, case in cases.items()}
        assert value["cautious"] < value["standard"] < value["bold"]
        assert all(check_assumptions(case, evidence) == () for case in cases.values())


def test_whole_months_stay_whole() -> None:
    assumptions = plain_assumptions({"horizon_months": (25.0, 36.0, 60.0)})
    assert preset(assumptions, plain_evidence(), "cautious").values["horizon_months"].value == 30  # 30.5


def test_a_sum_in_another_currency_stays_in_it() -> None:
    evidence = make_evidence("serving")
    assumptions = answer(default_assumptions(evidence, today=TODAY), "bill_serving_per_month", 1_200_000)
    day = Assumption(value=40_000, low=30_000, high=60_000, currency="JPY")
    moved = preset(assumptions.model_copy(update={"values": {**assumptions.values, "internal_day": day}}), evidence, "cautious")
    assert (moved.values["internal_day"].value, moved.values["internal_day"].currency) == (50_000, "JPY")


def test_cases_stand_beside_each_other_with_the_figures_in_which_they_differ() -> None:
    first = make_case(name="standard")
    values = {**first.assumptions.values, "engineer_days": Assumption(value=15)}
    second = make_case(name="careful", assumptions=first.assumptions.model_copy(update={"values": values}), pays=False)
    rows = {row.name: row for row in compare([first, second])}
    assert rows["payback_months"].values == (pytest.approx(6.25), None)
    assert rows["payback_share"].values == (0.83, 0.0)
    assert (rows["engineer_days"].values, rows["engineer_days"].is_result) == ((10, 15), False)
    assert "internal_day" not in rows
    assert rows["npv"].is_result
