"""Payback, net present value, rate of return: against closed forms, a spreadsheet's figures, and numpy-financial."""

from __future__ import annotations

import numpy as np
import numpy_financial as npf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.economics.measures import cumulative, full_use, irr, mean, npv, payback, rates_of_return, total

MONEY = st.floats(-1e6, 1e6, allow_nan=False)
MONTHLY = 1.05 ** (1 / 12) - 1


def test_a_level_saving_pays_back_after_cost_through_saving() -> None:
    assert payback(600_000, [96_000] * 120) == pytest.approx(6.25)


def test_a_ramp_pays_back_as_in_a_spreadsheet() -> None:
    """156,000 saved at full use after three months, 60,000 a month to run, 600,000 to begin."""
    net = [156_000 * min(month / 3, 1) - 60_000 for month in range(1, 121)]
    assert cumulative(600_000, net)[:4] == pytest.approx([-600_000, -608_000, -564_000, -468_000])
    assert payback(600_000, net) == pytest.approx(2 + 564 / 96)
    assert total(600_000, net, 36) == pytest.approx(2_700_000)


def test_a_payback_at_the_very_end_of_a_month_is_that_month() -> None:
    assert payback(300, [100] * 5) == 3.0


def test_a_payback_after_the_last_month_looked_at_is_none() -> None:
    assert np.isnan(payback(501, [100] * 5))
    assert payback(500, [100] * 5) == 5.0


def test_no_saving_never_pays_back_even_what_costs_nothing() -> None:
    assert np.isnan(payback(0, [0.0] * 12))
    assert np.isnan(payback(10, [-1.0] * 12))


def test_what_costs_nothing_to_begin_pays_back_at_once() -> None:
    assert payback(0, [5.0] * 12) == 0.0


def test_what_costs_nothing_but_loses_at_first_pays_back_when_the_loss_is_made_good() -> None:
    assert payback(0, [-50.0, 20.0, 60.0, 60.0]) == pytest.approx(2.5)


def test_a_purchase_that_is_only_put_off_pays_nothing_back() -> None:
    put_off = [0.0, 500.0, 0.0, -500.0, *[-1.0] * 8]
    assert payback(100, put_off) == pytest.approx(1.2)
    assert np.isnan(payback(100, put_off, 12))


def test_money_that_is_short_again_within_the_period_counts_from_where_it_stays() -> None:
    assert payback(100, [150.0, -100.0, 100.0, 100.0], 4) == pytest.approx(2.5)


def test_what_happens_after_the_evaluation_period_takes_no_payback_away() -> None:
    assert payback(100, [150.0, 0.0, 0.0, -100.0], 3) == pytest.approx(100 / 150)


def test_npv_of_a_level_saving_is_the_annuity_formula() -> None:
    annuity = (1 - (1 + MONTHLY) ** -36) / MONTHLY
    assert npv(600_000, [96_000] * 120, 5, 36) == pytest.approx(96_000 * annuity - 600_000)


def test_npv_at_no_rate_is_the_sum() -> None:
    assert npv(50, [10, 20, 30, 40], 0, 3) == pytest.approx(10)


def test_npv_looks_no_further_than_the_horizon_of_each_draw() -> None:
    net = np.ones((3, 120))
    assert npv(np.zeros(3), net, 0.0, np.array([1, 24, 120])) == pytest.approx([1, 24, 120])


@given(st.lists(MONEY, min_size=1, max_size=60), MONEY, st.floats(0, 30))
def test_npv_is_that_of_numpy_financial(net: list[float], start: float, rate: float) -> None:
    monthly = (1 + rate / 100) ** (1 / 12) - 1
    assert npv(start, net, rate, len(net)) == pytest.approx(npf.npv(monthly, [-start, *net]), abs=1e-4)


@given(st.integers(1, 1_000_000), st.lists(st.integers(0, 100_000), min_size=2, max_size=60))
@settings(deadline=None)
def test_irr_is_that_of_numpy_financial(start: int, net: list[int]) -> None:
    """Money goes out once and comes in afterwards: there is one rate."""
    if sum(net) < 0.5 * start:
        return
    found, wanted = irr(start, net, len(net)), npf.irr([-start, *net])
    assert found is not None
    assert npv(start, net, 100 * found, len(net)) == pytest.approx(0, abs=1e-6 * max(start, *net))
    if np.isnan(wanted):  # numpy-financial finds no rate of exactly nought
        return
    assert (1 + found) ** (1 / 12) - 1 == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def test_irr_of_a_year_that_doubles_is_one() -> None:
    assert irr(100, [0.0] * 11 + [200.0], 12) == pytest.approx(1.0)


def test_a_rate_at_which_all_but_nothing_comes_back_is_none() -> None:
    """Only a loss that grows and grows brings such a rate about: the start-up cost, a little, and a last month that loses far more."""
    assert rates_of_return(100, [1.0], 1) == ()
    assert rates_of_return(3e7, [6e5] * 20 + [-1e12], 21) == ()


def test_irr_of_a_loss_is_below_nought() -> None:
    assert irr(100, [0.0] * 11 + [50.0], 12) == pytest.approx(-0.5)


def test_there_is_no_rate_without_a_saving_or_without_a_cost() -> None:
    assert irr(100, [-1.0] * 12, 12) is None
    assert irr(0, [10.0] * 12, 12) is None


def test_two_rates_are_none() -> None:
    """-1000, +2300, -1320 a month: both 10 % and 20 % a month would do."""
    assert rates_of_return(1000, [2300, -1320], 2) == pytest.approx((1.1**12 - 1, 1.2**12 - 1))
    assert irr(1000, [2300, -1320], 2) is None


def test_a_last_month_of_loss_takes_no_rate_away() -> None:
    assert irr(100, [60.0] * 11 + [-5.0], 12) is not None


def test_full_use_begins_after_the_rollout_and_ends_with_the_period() -> None:
    assert full_use(3, 6, 8).tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    assert full_use(0.5, 2, 4).tolist() == [1, 1, 0, 0]


def test_a_rollout_longer_than_the_period_leaves_its_last_month() -> None:
    assert full_use(9, 6, 8).tolist() == [0, 0, 0, 0, 0, 1, 0, 0]


def test_a_mean_of_the_same_figure_is_that_very_figure() -> None:
    assert mean(1_200_000.0, full_use(3, 36, 120)) == 1_200_000.0


@given(
    st.lists(st.floats(-100, 100), min_size=3, max_size=40),
    st.lists(st.floats(0, 50), min_size=40, max_size=40),
    st.floats(0, 500),
    st.integers(1, 40),
)
def test_more_saving_never_lengthens_payback(net: list[float], more: list[float], start: float, horizon: int) -> None:
    for period in (None, min(horizon, len(net))):
        before = payback(start, net, period)
        after = payback(start, np.array(net) + np.array(more[: len(net)]), period)
        if not np.isnan(before):
            assert after <= before + 1e-9


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=40), st.floats(1, 500), st.floats(0.01, 1e4))
def test_another_currency_changes_no_payback(net: list[float], start: float, times: float) -> None:
    before, after = payback(start, net), payback(start * times, np.array(net) * times)
    assert np.isnan(before) == np.isnan(after) or np.min(np.abs(cumulative(start, net))) < 1e-6
    if not np.isnan(before) and not np.isnan(after):
        assert after == pytest.approx(before, abs=1e-6) or np.min(np.abs(cumulative(start, net))) < 1e-6


def test_draws_are_worked_out_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    net, start = rng.normal(10, 30, (3000, 120)), rng.uniform(0, 300, 3000)
    rate, horizon = rng.uniform(0, 10, 3000), rng.integers(12, 60, 3000)
    at_once = payback(start, net, horizon), npv(start, net, rate, horizon)
    for row in (0, 1, 1023, 1024, 2999):
        alone = payback(start[row], net[row], horizon[row]), npv(start[row], net[row], rate[row], horizon[row])
        assert np.allclose([column[row] for column in at_once], alone, equal_nan=True)


@given(st.floats(1, 1e6), st.floats(1, 1e5))
@settings(deadline=None)
def test_payback_of_an_even_saving_is_the_number_of_payments_of_numpy_financial(start: float, net: float) -> None:
    wanted = abs(float(npf.nper(0.0, net, -start)))  # without interest it turns the sign
    found = float(payback(start, [net] * 120))
    assert found == pytest.approx(wanted) if wanted <= 119.999 else np.isnan(found) or found <= 120
