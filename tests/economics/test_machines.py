"""Whole machines, fractions, headroom, contracts and purchases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.contracts import Assumptions, CaseEvidence
from analysis.economics.flows import Flows, flows
from analysis.economics.load import requests
from analysis.economics.machines import Fleet, fleet_of_bill, fleet_of_volume, held, machines_of
from analysis.economics.measures import cumulative, payback
from tests.economics.money_builders import billed, figures, serving, training, volumes

MONTH_SECONDS = 730 * 3600
MACHINES = {"peak_factor": 3.0, "gpus_per_machine": 2.0, "spare_machines": 1.0}
FEE = 2 * 500 * 730
"""A machine of two GPUs at 500 an hour."""
OWN = {"purchase_price": 6_000_000.0, "life_years": 5.0, "maintenance_percent_per_year": 12.0}


def filling(machines: float) -> float:
    """Requests of one second that fill so many machines of two GPUs at the peak hour."""
    return machines * 2 / 3 * MONTH_SECONDS


def fleet(machines: float, ratio: float = 0.8, evidence: CaseEvidence | None = None, **given: Any) -> Fleet:
    evidence = evidence or serving(ratio)
    named = figures(ratio, **(MACHINES | given))
    found = fleet_of_volume(evidence, requests(volumes(filling(machines)), evidence, named), named)
    assert found is not None
    return found


def leased(machines: float, ratio: float = 0.8, ends: str = "", **given: Any) -> Flows:
    named = figures(ratio, **(MACHINES | {"gpu_price_per_hour": 500.0} | given))
    return flows(volumes(filling(machines), place="reserved", contract_ends_on=ends), serving(ratio), named)


def own(machines: float, ratio: float = 0.8, **given: Any) -> Flows:
    return flows(volumes(filling(machines), place="own"), serving(ratio), figures(ratio, **(MACHINES | OWN | given)))


def test_the_peak_hour_decides_how_many_machines_there_are() -> None:
    found = machines_of(fleet(3.5))
    assert found.today.by_throughput == pytest.approx(3.5)
    assert (found.today.whole, found.plan.whole) == (5, 4)
    assert found.plan.by_throughput == pytest.approx(2.8)


def test_still_as_many_machines_and_more_headroom() -> None:
    """3.3 machines become 2.8 / 0.85: both are whole machines of 4 with the spare one."""
    found = machines_of(fleet(2.9, 0.85))
    assert (found.today.whole, found.plan.whole) == (4, 4)
    assert found.headroom == pytest.approx(1 / 0.85 - 1)


def test_a_machine_that_is_just_full_needs_no_other() -> None:
    assert machines_of(fleet(3.0, 1.0)).today.whole == 4


def test_one_copy_takes_the_machines_that_its_memory_needs() -> None:
    """60 GiB on two GPUs of 20 GiB: two machines; with the plan 50 GiB: still two."""
    found = machines_of(fleet(0.1, gpu_memory_gib=20.0))
    assert (found.today.by_memory, found.plan.by_memory) == (2, 2)
    assert found.today.whole == 3
    roomy = machines_of(fleet(0.1, gpu_memory_gib=28.0))
    assert (roomy.today.by_memory, roomy.plan.by_memory) == (2, 1)
    assert (roomy.today.whole, roomy.plan.whole) == (3, 2)


def test_no_work_takes_no_machine() -> None:
    quiet = figures(**MACHINES)
    assert fleet_of_volume(serving(), requests(volumes(0), serving(), quiet), quiet) is None


def test_a_plan_that_only_trains_says_nothing_of_machines_for_requests() -> None:
    named = figures(**MACHINES)
    assert fleet_of_volume(training(), requests(volumes(1e6), training(), named), named) is None


def test_more_machines_than_the_work_takes_are_no_saving_of_the_plan() -> None:
    """Ten are there, five are needed, four with the plan: one is let go."""
    found = leased(3.5, machines_today=10.0)
    assert found.today[0] == pytest.approx(10 * FEE)
    assert found.cash[-1] == pytest.approx(FEE)


def test_fewer_machines_than_the_work_takes_are_taken_to_be_just_full() -> None:
    found = fleet(8.0, machines_today=5.0)
    assert found.shortfall
    assert machines_of(found).today.whole == 5
    assert machines_of(found).plan.whole == 5  # 4 x 0.8 = 3.2 machines and the spare one
    assert not fleet(3.5, machines_today=5.0).shortfall


def test_a_single_machine_is_never_all_spare() -> None:
    found = machines_of(fleet(8.0, 0.4, machines_today=1.0))
    assert (found.today.whole, found.plan.whole) == (1, 1)


def test_a_leased_machine_saves_cash_once_the_contract_has_ended() -> None:
    """Six months are bound: the first that is free begins on 1 June."""
    found = leased(3.5, ends="2027-05-31")
    assert found.cash[:7] == pytest.approx([0, 0, 0, 0, 0, 0, FEE])
    assert found.freed[0] == pytest.approx(0.7 * FEE)
    assert found.freed[6] == 0


def test_a_contract_that_ends_within_a_month_binds_that_month() -> None:
    assert leased(3.5, ends="2027-05-15").cash[:7].tolist() == leased(3.5, ends="2027-05-31").cash[:7].tolist()


def test_what_frees_no_whole_machine_is_capacity() -> None:
    found = leased(2.9, 0.85)
    assert not found.cash.any()
    assert not found.avoided.any()
    assert found.freed[0] == pytest.approx(2.9 * 0.15 * FEE)


def test_capacity_counts_only_where_it_is_switched_in() -> None:
    named = figures(0.85, **MACHINES, gpu_price_per_hour=500.0)
    work = volumes(filling(2.9), place="reserved", contract_ends_on="")
    left_out, counted = (flows(work.model_copy(update={"count_capacity": switch}), serving(0.85), named).net[0] for switch in (False, True))
    assert counted - left_out == pytest.approx(2.9 * 0.15 * FEE)


def test_a_further_lease_that_growth_does_not_need_is_avoided() -> None:
    """2.9 machines grow to 3.48 within a year without the plan; with it 2.32 to 2.78 stay below three."""
    found = leased(2.9, growth_percent_per_year=20.0)
    later = held(fleet(2.9), found.growth, found.ramp)
    assert (later.needed[0][11], later.needed[1][11]) == (5, 4)
    assert found.avoided[11] == pytest.approx(FEE)
    assert found.cash[11] == 0


def test_own_machines_switched_off_save_maintenance_and_power_only() -> None:
    found = own(3.5, electricity_price_per_kwh=25.0)
    maintenance = 6_000_000 * 0.12 / 12
    kwh = filling(3.5) * 90 / 1e6 / 0.9
    assert found.cash[0] == pytest.approx(maintenance + 0.2 * kwh * 25)
    assert not found.avoided.any()
    lines = {one.line: np.broadcast_to(one.today, (120,))[0] for one in found.streams}
    assert lines["gpu_hours"] == pytest.approx(5 * 100_000)
    assert lines["maintenance"] == pytest.approx(5 * maintenance)
    assert lines["electricity"] == pytest.approx(kwh * 25)


def test_own_power_is_that_of_the_device_where_energy_was_not_measured() -> None:
    bare = serving().serving
    assert bare is not None
    point = bare.points[0].model_copy(update={"prefill_energy_mwh": None})
    evidence = serving(serving=bare.model_copy(update={"points": (point,)}))
    given = figures(**MACHINES, **OWN, electricity_price_per_kwh=20.0, gpu_power_watts=500.0, pue=1.5)
    found = flows(volumes(filling(3.5), place="own"), evidence, given)
    power = next(one for one in found.streams if one.line == "electricity")
    assert np.ravel(power.today)[0] == pytest.approx(filling(3.5) / 3600 * 0.5 * 1.5 * 20)


def test_own_purchases_are_avoided_in_the_month_in_which_growth_would_need_them() -> None:
    """2.9 machines reach three after 2.2 months of 20 % a year: a machine more in month 4. With the plan only 19 months later."""
    found = own(2.9, growth_percent_per_year=20.0)
    without = 12 * np.log(3 / 2.9) / np.log(1.2)
    with_plan = 12 * np.log(3 / (2.9 * 0.8)) / np.log(1.2)
    months = [int(np.ceil(each)) for each in (without, with_plan)]
    assert np.flatnonzero(found.avoided)[0] == months[0]
    assert found.avoided[months[0]] == 6_000_000
    assert found.avoided[months[1]] == pytest.approx(-6_000_000 if months[1] < 12 * np.log(4 / 2.9) / np.log(1.2) else 0)


def test_a_machine_that_is_not_bought_is_not_written_off_either() -> None:
    found = own(2.9, growth_percent_per_year=20.0)
    stream = found.streams[0]
    first = int(np.flatnonzero(found.avoided)[0])
    assert stream.avoided_expense is not None
    expense = np.asarray(stream.avoided_expense)
    assert expense[first - 1] == 0
    assert expense[first] == pytest.approx(100_000)


def test_a_bill_of_machines_goes_down_by_whole_machines() -> None:
    """Four machines, one of them spare: three at 80 % are 2.4, still three and the spare one."""
    given = {"bill_serving_per_month": 1_000_000.0, "bill_variable_percent": 100.0, "machines_today": 4.0, "spare_machines": 1.0}
    still = flows(billed(place="own"), serving(), figures(**given))
    assert not still.cash.any()
    assert still.freed[0] == pytest.approx(3 * 0.2 * 250_000)
    one_less = flows(billed(place="own"), serving(0.6), figures(0.6, **given))
    assert one_less.cash[0] == pytest.approx(250_000)
    assert one_less.freed[0] == pytest.approx(0.2 * 250_000)


def test_a_bill_without_a_number_of_machines_goes_down_in_proportion_after_the_contract() -> None:
    given = figures(bill_serving_per_month=1_000_000.0, bill_variable_percent=100.0)
    found = flows(billed(place="reserved", contract_ends_on="2026-12-31"), serving(), given)
    assert (found.cash[0], found.freed[0]) == pytest.approx((0, 200_000))
    assert (found.cash[1], found.freed[1]) == pytest.approx((200_000, 0))


def test_a_bill_tells_machines_only_where_a_person_said_how_many() -> None:
    assert fleet_of_bill(0.8, figures()) is None
    found = fleet_of_bill(0.5, figures(machines_today=5.0, spare_machines=1.0))
    assert found is not None
    assert (machines_of(found).today.whole, machines_of(found).plan.whole) == (5, 3)


@pytest.mark.parametrize("place", ["reserved", "own"])
def test_fine_tuning_on_machines_that_are_there_frees_capacity_only(place: str) -> None:
    given = figures(gpu_price_per_hour=500.0, training_runs_per_month=1.0, gpus_per_machine=1.0, **OWN)
    assumptions: Assumptions = volumes(0, place=place)
    found = flows(assumptions, training(), given)
    hourly = 500.0 if place == "reserved" else (100_000 + 60_000) / 730
    assert found.freed[0] == pytest.approx(0.2 * 10 * hourly)
    assert not found.avoided.any()


def test_a_plan_that_needs_more_first_fills_machines_that_stand_idle() -> None:
    """Eight are there, four are needed, five with the plan: nothing more is paid, some room is used up."""
    found = leased(2.9, 1.2, machines_today=8.0)
    assert not found.cash.any()
    assert not found.avoided.any()
    assert found.freed[0] == pytest.approx(-2.9 * 0.2 * FEE)


def test_a_plan_that_needs_more_machines_costs_them() -> None:
    found = leased(2.9, 1.2)
    assert found.avoided[0] == pytest.approx(-FEE)
    assert found.freed[0] <= 0


@given(
    st.floats(0.4, 1.1), st.floats(0.0, 0.4), st.floats(0.2, 12.0), st.floats(0, 30), st.sampled_from(["reserved", "own"]), st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_more_saving_is_never_worth_less_on_whole_machines_either(
    ratio: float, less: float, machines: float, growth: float, place: str, counted: bool
) -> None:
    """Not in every month (a purchase may be put off further), but cumulated, and so in its payback."""
    prices = {"gpu_price_per_hour": 500.0, "growth_percent_per_year": growth}
    assumptions = volumes(filling(machines), place=place, contract_ends_on="2027-03-31", count_capacity=counted)
    found = [flows(assumptions, serving(), figures(each, **MACHINES, **OWN, **prices), 60) for each in (ratio, ratio - less)]
    before, after = (cumulative(each.start, each.net) for each in found)
    assert (after >= before - 1).all()
    first, second = (payback(each.start, each.net, 36) for each in found)
    assert np.isnan(first) or second <= first + 1e-6


@given(st.floats(0.4, 1.2), st.floats(0.2, 12.0), st.floats(0, 30), st.sampled_from(["reserved", "own"]), st.floats(0.01, 100))
@settings(max_examples=40, deadline=None)
def test_another_currency_scales_money_and_leaves_machines(ratio: float, machines: float, growth: float, place: str, rate: float) -> None:
    money = {"gpu_price_per_hour": 500.0, "purchase_price": 6e6, "electricity_price_per_kwh": 25.0, "internal_day": 40_000.0}
    rest = MACHINES | {"life_years": 5.0, "maintenance_percent_per_year": 12.0, "growth_percent_per_year": growth}
    assumptions = volumes(filling(machines), place=place, contract_ends_on="2027-03-31")
    here, there = (
        flows(assumptions, serving(), figures(ratio, **rest, **{name: value * times for name, value in money.items()}), 60)
        for times in (1.0, rate)
    )
    for name in ("today", "cash", "avoided", "freed", "net"):
        assert np.allclose(getattr(there, name), getattr(here, name) * rate)
