"""Cash and the books, side by side by fiscal year; depreciation; tax."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.contracts import Assumptions, CaseEvidence, FiscalYear
from analysis.economics.books import books, fiscal_years, taxes, year_starts
from analysis.economics.flows import Flows, flows
from tests.economics.money_builders import billed, figures, serving, volumes
from tests.economics.test_machines import MACHINES, OWN, filling

BILL = {"bill_serving_per_month": 1_000_000.0, "bill_variable_percent": 100.0}
"""200,000 saved a month at a ratio of 0.8, less 60,000 of people."""


def years_of(assumptions: Assumptions, evidence: CaseEvidence, named: Any, horizon: int = 36) -> tuple[Flows, tuple[FiscalYear, ...]]:
    found = flows(assumptions, evidence, named)
    kept = books(found.setting, found.streams, start=found.start, running=found.running, quality=found.quality)
    cash = {
        "start_cost": -found.start,
        "saving": found.cash,
        "avoided": found.avoided,
        "running": -found.running,
        "quality": -found.quality,
    }
    return found, fiscal_years(assumptions, cash, kept, horizon=horizon, tax=found.tax)


def test_fiscal_years_start_in_april_and_the_first_may_be_short() -> None:
    _, years = years_of(billed(), serving(), figures(**BILL))
    assert [(year.year, year.n_months) for year in years] == [(2026, 4), (2027, 12), (2028, 12), (2029, 8)]


@pytest.mark.parametrize(("starts", "first", "year"), [(12, 12, 2026), (1, 1, 2026), (4, 4, 2026), (11, 11, 2026)])
def test_any_month_can_begin_the_year(starts: int, first: int, year: int) -> None:
    """The case begins in December 2026."""
    _, years = years_of(billed(fiscal_year_starts=starts), serving(), figures(**BILL), 24)
    assert years[0].year == year
    assert years[0].n_months == (12 if starts == 12 else (first - 12) % 12)
    assert sum(each.n_months for each in years) == 24


def test_years_begin_where_they_should() -> None:
    assert year_starts(billed(), 30) == [0, 4, 16, 28]


@given(st.floats(0.5, 1.1), st.integers(1, 120), st.integers(1, 12), st.booleans(), st.floats(0, 25))
@settings(max_examples=40, deadline=None)
def test_years_add_up_to_the_whole_period(ratio: float, horizon: int, starts: int, taxed: bool, growth: float) -> None:
    assumptions = volumes(filling(2.9), place="own", fiscal_year_starts=starts, after_tax=taxed)
    named = figures(ratio, **MACHINES, **OWN, horizon_months=float(horizon), tax_rate_percent=30.0, growth_percent_per_year=growth)
    found, years = years_of(assumptions, serving(ratio), named, horizon)
    assert sum(year.cash.total for year in years) == pytest.approx(float(found.net[:horizon].sum() - found.start), abs=1e-3)
    assert sum(year.n_months for year in years) == horizon


def test_cash_and_books_agree_where_everything_is_paid_at_once() -> None:
    _, years = years_of(billed(), serving(), figures(**BILL))
    assert all(year.cash == year.profit for year in years)
    assert years[0].cash.start_cost == -600_000


def test_a_capitalised_start_is_written_off_over_the_years_and_paid_at_once() -> None:
    _, years = years_of(billed(capitalise=True), serving(), figures(**BILL, capitalise_years=5.0))
    assert [year.cash.start_cost for year in years] == [-600_000, 0, 0, 0]
    assert [year.profit.start_cost for year in years] == pytest.approx([-40_000, -120_000, -120_000, -80_000])


def test_capitalising_changes_no_cash() -> None:
    spent, spread = (flows(billed(capitalise=each), serving(), figures(**BILL)).net for each in (False, True))
    assert np.array_equal(spent, spread)


def test_an_avoided_purchase_is_its_price_in_cash_and_its_depreciation_in_the_books() -> None:
    named = figures(**MACHINES, **OWN, growth_percent_per_year=20.0)
    _, years = years_of(volumes(filling(2.9), place="own"), serving(), named, 16)
    assert years[0].cash.avoided == 6_000_000
    assert years[0].profit.avoided == 100_000  # bought in March: one month of 6,000,000 over 60 months


def test_what_is_no_longer_written_off_leaves_the_books_after_its_life() -> None:
    named = figures(**MACHINES, **(OWN | {"life_years": 1.0}), growth_percent_per_year=20.0)
    found = flows(volumes(filling(2.9), place="own"), serving(), named)
    stream = next(one for one in found.streams if one.bought is not None)
    assert stream.bought is not None
    fewer = np.cumsum(stream.bought[0] - stream.bought[1])
    expense = np.asarray(stream.avoided_expense)
    assert expense[12:] == pytest.approx(500_000 * (fewer[12:] - fewer[:-12]))


def test_tax_is_the_rate_times_each_years_profit_after_earlier_losses() -> None:
    """The first year loses 600,000 - 4 x 140,000 = 40,000; the next earns 1,680,000."""
    assumptions, named = billed(after_tax=True), figures(**BILL, tax_rate_percent=30.0)
    _, years = years_of(assumptions, serving(), named)
    assert [year.cash.tax for year in years] == pytest.approx([0, -0.3 * (1_680_000 - 40_000), -0.3 * 1_680_000, -0.3 * 8 * 140_000])
    assert [year.profit.tax for year in years] == [year.cash.tax for year in years]


def test_a_loss_pays_no_tax_and_gets_none_back() -> None:
    assumptions, named = billed(after_tax=True), figures(0.98, **BILL, tax_rate_percent=30.0)
    assert not flows(assumptions, serving(0.98), named).tax.any()


def test_tax_comes_off_what_is_counted() -> None:
    before, after = (flows(billed(after_tax=each), serving(), figures(**BILL, tax_rate_percent=30.0)) for each in (False, True))
    assert after.net == pytest.approx(before.net - after.tax)
    assert after.tax.sum() == pytest.approx(0.3 * (120 * 140_000 - 600_000))


def test_tax_of_draws_is_that_of_each() -> None:
    assumptions = billed(after_tax=True)
    rates = np.array([0.0, 10.0, 30.0])
    drawn = flows(assumptions, serving(), figures(**BILL, tax_rate_percent=rates)).tax
    assert drawn.sum(axis=-1) == pytest.approx(rates / 100 * (120 * 140_000 - 600_000))


def test_freed_capacity_is_no_profit() -> None:
    named = figures(0.85, **MACHINES, gpu_price_per_hour=500.0)
    assumptions = volumes(filling(2.9), place="reserved", count_capacity=True)
    found = flows(assumptions, serving(0.85), named)
    assert found.freed[0] > 0
    kept = books(found.setting, found.streams, start=found.start, running=found.running, quality=found.quality)
    assert kept.profit[1] == -60_000
    assert not taxes(assumptions, named, kept).any()
