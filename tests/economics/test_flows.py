"""Money month by month, by hand: the cloud, the bill, people, errors, growth, the ramp."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.contracts import Assumptions, CaseEvidence, SliceVolume
from analysis.economics.flows import flows, running_cost, start_cost
from analysis.economics.measures import irr, npv, payback
from tests.economics.money_builders import billed, figures, serving, training, volumes

CLOUD = {"gpu_price_per_hour": 500.0, "utilisation_percent": 50.0}
HOURS = 1_000_000 / 3600 / 0.5
"""Billed GPU hours of a million requests of one second at half use."""


def net_of(assumptions: Assumptions, evidence: CaseEvidence, **given: Any) -> Any:
    found = flows(assumptions, evidence, figures(**given))
    return found.start, found.net


def test_the_cloud_bills_requests_by_time_over_utilisation() -> None:
    found = flows(volumes(), serving(), figures(**CLOUD))
    assert found.today[0] == pytest.approx(HOURS * 500)
    assert found.cash[0] == pytest.approx(0.2 * HOURS * 500)
    assert found.avoided.sum() == found.freed.sum() == 0


def test_longer_prompts_and_answers_take_their_share_of_time() -> None:
    """200 tokens read (1.8 s) and 30 written (0.3 s) take 2.1 s instead of one."""
    twice = volumes(slices=(SliceVolume(name="order entry", requests_per_month=1e6, prompt_tokens=200, new_tokens=30),))
    assert flows(twice, serving(), figures(**CLOUD)).today[0] == pytest.approx(2.1 * HOURS * 500)


def test_slices_weigh_by_their_requests() -> None:
    two = volumes(
        slices=(
            SliceVolume(name="short", requests_per_month=750_000, prompt_tokens=100, new_tokens=10),
            SliceVolume(name="long", requests_per_month=250_000, prompt_tokens=300, new_tokens=30),
        )
    )
    assert flows(two, serving(), figures(**CLOUD)).today[0] == pytest.approx((0.75 * 1 + 0.25 * 3) * HOURS * 500)


def test_people_cost_days_and_a_renewal_every_few_months() -> None:
    assert start_cost(figures()) == 600_000
    assert start_cost(figures(external_days=2.0, external_day=60_000.0, other_start_cost=5_000.0)) == 725_000
    assert running_cost(figures()) == 60_000


def test_net_is_saving_less_running_cost_and_errors() -> None:
    found = flows(volumes(), serving(), figures(**CLOUD, error_price=1.0, measured_error_percent=2.0))
    assert found.quality[0] == pytest.approx(1_000_000 * 0.02)
    assert found.net == pytest.approx(found.cash - 60_000 - found.quality)


def test_a_slice_may_have_its_own_price_of_an_error() -> None:
    """Only the slices that have a price are priced, each by its own."""
    parts = (
        SliceVolume(name="a", requests_per_month=1000, error_price=50.0),
        SliceVolume(name="b", requests_per_month=1000),
        SliceVolume(name="c", requests_per_month=1000),
    )
    alone = flows(volumes(slices=parts), serving(), figures(**CLOUD, error_share_percent=1.0))
    common = flows(volumes(slices=parts), serving(), figures(**CLOUD, error_share_percent=1.0, error_price=2.0))
    assert alone.quality[0] == pytest.approx(1000 * 0.01 * 50)
    assert common.quality[0] == pytest.approx(1000 * 0.01 * (50 + 2 + 2))


def test_without_a_price_errors_cost_nothing_that_is_counted() -> None:
    assert not flows(volumes(), serving(), figures(**CLOUD, error_share_percent=1.0)).quality.any()


def test_full_use_comes_evenly_over_the_rollout() -> None:
    found = flows(volumes(), serving(), figures(**CLOUD, rollout_months=4.0))
    assert found.cash[:5] == pytest.approx(0.2 * HOURS * 500 * np.array([0.25, 0.5, 0.75, 1, 1]))


@pytest.mark.parametrize("months", [0.0, 0.5, 1.0])
def test_a_rollout_of_at_most_a_month_is_full_use_at_once(months: float) -> None:
    assert flows(volumes(), serving(), figures(**CLOUD, rollout_months=months)).ramp[0] == 1


def test_growth_is_a_factor_a_year_later() -> None:
    found = flows(volumes(), serving(), figures(**CLOUD, growth_percent_per_year=20.0))
    assert found.today[12] == pytest.approx(1.2 * found.today[0])
    assert found.cash[24] == pytest.approx(1.44 * found.cash[0])


def test_the_bill_is_lowered_in_the_part_that_grows_with_use() -> None:
    found = flows(billed(), serving(), figures(bill_serving_per_month=1_000_000.0, bill_variable_percent=70.0))
    assert found.today[0] == 1_000_000
    assert found.cash[0] == pytest.approx(0.2 * 0.7 * 1_000_000)


def test_only_that_part_of_the_bill_grows() -> None:
    given = {"bill_serving_per_month": 1_000_000.0, "bill_variable_percent": 70.0, "growth_percent_per_year": 10.0}
    assert flows(billed(), serving(), figures(**given)).today[12] == pytest.approx(300_000 + 1.1 * 700_000)


def test_a_plan_that_freezes_leaves_the_bill_for_requests_as_it_is() -> None:
    both = {"bill_serving_per_month": 1_000_000.0, "bill_training_per_month": 500_000.0, "bill_variable_percent": 100.0}
    found = flows(billed(), training(), figures(**both))
    assert found.today[0] == 1_500_000
    assert found.cash[0] == pytest.approx(0.2 * 500_000)


def test_a_plan_that_skips_leaves_the_bill_for_fine_tuning_as_it_is() -> None:
    both = {"bill_serving_per_month": 1_000_000.0, "bill_training_per_month": 500_000.0, "bill_variable_percent": 100.0}
    assert flows(billed(), serving(), figures(**both)).cash[0] == pytest.approx(0.2 * 1_000_000)


def test_fine_tuning_in_the_cloud_costs_its_hours() -> None:
    found = flows(volumes(0), training(), figures(gpu_price_per_hour=500.0, training_runs_per_month=4.0))
    assert found.today[0] == pytest.approx(10 * 4 * 500)
    assert found.cash[0] == pytest.approx(0.2 * 10 * 4 * 500)


def test_the_companys_own_hours_of_a_run_come_before_the_trials() -> None:
    given = figures(gpu_price_per_hour=500.0, training_runs_per_month=1.0, training_gpu_hours_per_run=300.0)
    assert flows(volumes(0), training(), given).today[0] == pytest.approx(300 * 500)


def test_a_machine_factor_scales_the_share_that_is_saved() -> None:
    given = figures(**CLOUD, machine_factor=0.7)
    assert flows(volumes(), serving(), given).cash[0] == pytest.approx(0.14 * HOURS * 500)


def test_another_kind_of_device_is_as_many_times_as_fast() -> None:
    on_a_processor = serving(device_kind="cpu", device_name="a processor")
    found = flows(volumes(accept_other_device=True), on_a_processor, figures(**CLOUD, speed_factor=40.0))
    assert found.today[0] == pytest.approx(HOURS * 500 / 40)


def test_a_slower_plan_costs_more() -> None:
    found = flows(volumes(), serving(1.1), figures(ratio=1.1, **CLOUD))
    assert found.cash[0] == pytest.approx(-0.1 * HOURS * 500)


def test_a_saving_of_nothing_never_pays_back() -> None:
    assert np.isnan(payback(*net_of(volumes(), serving(1.0), ratio=1.0, **CLOUD)))


@given(st.floats(0.3, 1.2), st.floats(0.0, 0.3), st.floats(1e3, 1e7))
@settings(max_examples=40, deadline=None)
def test_more_saving_never_lengthens_payback_and_never_lowers_npv(ratio: float, less: float, requests: float) -> None:
    found = [net_of(volumes(requests), serving(), ratio=each, **CLOUD) for each in (ratio, ratio - less)]
    before, after = (payback(start, net, 36) for start, net in found)
    assert np.isnan(before) or after <= before + 1e-9
    assert npv(*found[1], 5, 36) >= npv(*found[0], 5, 36) - 1e-6


@given(st.floats(0.5, 0.95), st.floats(0.01, 300.0))
@settings(max_examples=25, deadline=None)
def test_another_currency_scales_money_only(ratio: float, rate: float) -> None:
    money = {"gpu_price_per_hour": 500.0, "internal_day": 40_000.0, "error_price": 3.0}
    rest = {"utilisation_percent": 50.0, "error_share_percent": 0.5, "growth_percent_per_year": 5.0}
    here = flows(volumes(), serving(), figures(ratio, **rest, **money))
    there = flows(volumes(), serving(), figures(ratio, **rest, **{name: value * rate for name, value in money.items()}))
    for name in ("start", "running", "today", "cash", "quality", "net"):
        assert getattr(there, name) == pytest.approx(getattr(here, name) * rate)
    assert payback(there.start, there.net) == pytest.approx(payback(here.start, here.net), nan_ok=True)
    rates = [irr(float(found.start), found.net, 36) for found in (here, there)]
    assert rates == [None, None] or rates[1] == pytest.approx(rates[0], rel=1e-6)


@pytest.mark.parametrize("place", ["cloud", "reserved", "own"])
@pytest.mark.parametrize("basis", ["volume", "bill"])
@pytest.mark.parametrize("taxed", [False, True])
def test_draws_come_out_as_one_by_one(place: str, basis: str, taxed: bool) -> None:
    rng, n = np.random.default_rng(1), 7
    plain = {"purchase_price": 4e6, "life_years": 5.0, "spare_machines": 1.0, "gpus_per_machine": 1.0, "maintenance_percent_per_year": 10.0}
    drawn = {
        "measured_request_ratio": rng.uniform(0.7, 1.05, n),
        "growth_percent_per_year": rng.uniform(0, 30, n),
        "rollout_months": rng.uniform(1, 6, n),
        "gpu_price_per_hour": rng.uniform(300, 900, n),
        "utilisation_percent": rng.uniform(10, 70, n),
        "peak_factor": rng.uniform(1.5, 6, n),
        "internal_day": rng.uniform(3e4, 6e4, n),
        "horizon_months": rng.integers(24, 60, n).astype(float),
        "bill_serving_per_month": rng.uniform(1e6, 2e6, n),
        "tax_rate_percent": np.full(n, 30.0),
        "electricity_price_per_kwh": rng.uniform(18, 32, n),
    }
    assumptions = volumes(place=place, basis=basis, contract_ends_on="2027-06-30", after_tax=taxed)
    at_once = flows(assumptions, serving(), figures(**(plain | drawn)))
    for row in range(n):
        # The evaluation period closes the tax account at the case's own horizon, which all draws share.
        one = figures(**(plain | {name: float(value[row]) for name, value in drawn.items()}))
        alone = flows(assumptions, serving(), dict(one) | {"horizon_months": float(drawn["horizon_months"][0])})
        for name in ("start", "running", "today", "cash", "avoided", "freed", "net"):
            assert np.allclose(getattr(at_once, name)[row], getattr(alone, name)), name
