"""What matters most: each figure alone at either end, against values worked out by hand."""

from __future__ import annotations

import pytest

from analysis.contracts import Estimate
from analysis.economics.tornado import tornado
from tests.business_builders import make_assumptions, make_evidence
from tests.economics.simple_cases import BILL, HORIZON, NET, RUNNING, SAVED, START, plain_assumptions, plain_evidence

RANGES = {"bill_serving_per_month": (600_000.0, BILL, 1_600_000.0), "engineer_days": (7.0, 10.0, 20.0)}


def test_each_end_is_the_case_with_that_one_figure_moved() -> None:
    bill, days = tornado(plain_assumptions(RANGES), plain_evidence())
    assert (bill.name, bill.low, bill.high) == ("bill_serving_per_month", 600_000, 1_600_000)
    assert bill.npv_low == pytest.approx(HORIZON * (600_000 * SAVED - RUNNING) - START)
    assert bill.npv_high == pytest.approx(HORIZON * (1_600_000 * SAVED - RUNNING) - START)
    assert bill.payback_low == pytest.approx(START / (600_000 * SAVED - RUNNING))
    assert days.npv_low == pytest.approx(HORIZON * NET - 7 * 40_000)
    assert days.npv_high == pytest.approx(HORIZON * NET - 20 * 40_000)
    assert days.payback_high == pytest.approx(20 * 40_000 / NET)


def test_the_widest_swing_comes_first() -> None:
    found = tornado(make_assumptions("training"), make_evidence("training"))
    widths = [abs(swing.npv_high - swing.npv_low) for swing in found]
    assert widths == sorted(widths, reverse=True)
    assert found[0].name == "horizon_months"


def test_what_was_measured_stands_among_the_assumptions() -> None:
    (saving,) = tornado(plain_assumptions(), plain_evidence(0.12, low=0.10, high=0.15))
    assert (saving.name, saving.low, saving.high) == ("measured_saving", pytest.approx(0.10), pytest.approx(0.15))
    assert saving.npv_low == pytest.approx(HORIZON * (0.10 * BILL - RUNNING) - START)
    assert saving.npv_high > saving.npv_low


def test_errors_swing_only_where_they_have_a_price() -> None:
    evidence = plain_evidence()
    quality = evidence.quality.model_copy(update={"accuracy_change": Estimate(value=-0.01, low=-0.05, high=0.03), "n_answers": 28})
    evidence = evidence.model_copy(update={"quality": quality})
    assert tornado(plain_assumptions(), evidence) == ()
    (errors,) = tornado(plain_assumptions({"error_price": (500.0, 500.0, 500.0)}), evidence)
    assert (errors.name, errors.low, errors.high) == ("measured_quality", 0.0, 5.0)
    assert errors.npv_low - errors.npv_high == pytest.approx(HORIZON * 1000 * 0.05 * 500)


def test_a_figure_that_the_case_does_not_use_is_left_out() -> None:
    names = {swing.name for swing in tornado(plain_assumptions(RANGES | {"pue": (1.2, 1.5, 2.0)}), plain_evidence())}
    assert names == set(RANGES)


def test_an_end_that_never_pays_back_is_undefined_there() -> None:
    (bill,) = tornado(plain_assumptions({"bill_serving_per_month": (100_000.0, BILL, 1_600_000.0)}), plain_evidence())
    assert bill.payback_low is None
    assert bill.payback_high is not None


def test_nothing_uncertain_nothing_to_show() -> None:
    assert tornado(plain_assumptions(), plain_evidence()) == ()
