"""Costs by line and by the unit."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.contracts import Assumptions, CaseEvidence
from analysis.economics.flows import flows
from analysis.economics.lines import (
    FullUse,
    answer_ms,
    cost_lines,
    cost_of,
    energy_kwh,
    gpu_hours,
    per_million_tokens,
    per_request,
    per_training_run,
    times,
)
from analysis.economics.measures import full_use
from tests.economics.money_builders import billed, figures, serving, training, volumes
from tests.economics.test_machines import MACHINES, OWN, filling

CLOUD = {"gpu_price_per_hour": 360.0, "utilisation_percent": 50.0}
"""0.2 a request of one second."""


def use_of(assumptions: Assumptions, evidence: CaseEvidence, named: Any, months: int = 120) -> FullUse:
    return FullUse(flows(assumptions, evidence, named), full_use(named["rollout_months"], named["horizon_months"], months))


def test_lines_of_serving_add_up_to_its_cost() -> None:
    use = use_of(volumes(filling(3.5), place="own"), serving(), figures(**MACHINES, **OWN, electricity_price_per_kwh=25.0))
    lines = cost_lines(use)
    assert [one.line for one in lines] == ["gpu_hours", "electricity", "maintenance", "people"]
    assert cost_of(lines).today == pytest.approx(use.mean(use.flows.today))
    assert cost_of(lines).today - cost_of(lines).plan == pytest.approx(use.mean(use.flows.saving))


@pytest.mark.parametrize("place", ["cloud", "reserved", "own"])
@pytest.mark.parametrize("counted", [False, True])
def test_todays_cost_less_the_plans_is_the_counted_saving(place: str, counted: bool) -> None:
    named = figures(**MACHINES, **OWN, **CLOUD, growth_percent_per_year=15.0, rollout_months=4.0)
    use = use_of(volumes(filling(2.9), place=place, count_capacity=counted), serving(), named)
    cost = cost_of(cost_lines(use))
    assert cost.today - cost.plan == pytest.approx(use.mean(use.flows.saving))


def test_people_and_errors_are_lines_of_their_own() -> None:
    use = use_of(volumes(), serving(), figures(**CLOUD, error_price=1.0, error_share_percent=1.0))
    lines = {one.line: one for one in cost_lines(use)}
    assert (lines["people"].area, lines["people"].today, lines["people"].plan) == ("project", 0, 60_000)
    assert lines["quality"].plan == pytest.approx(10_000)
    assert cost_of(cost_lines(use)).today == pytest.approx(lines["cloud"].today)


def test_a_request_costs_its_seconds() -> None:
    use = use_of(volumes(), serving(), figures(**CLOUD))
    lines = cost_lines(use)
    each, tokens = per_request(use, lines), per_million_tokens(use, lines)
    assert each is not None
    assert tokens is not None
    assert (each.today, each.plan) == pytest.approx((0.2, 0.16))
    assert tokens.today == pytest.approx(0.2 / 110 * 1e6)
    assert per_training_run(use, lines) is None


def test_growth_does_not_change_what_a_request_costs() -> None:
    use = use_of(volumes(), serving(), figures(**CLOUD, growth_percent_per_year=30.0))
    each = per_request(use, cost_lines(use))
    assert each is not None
    assert each.today == pytest.approx(0.2)


def test_a_fine_tune_costs_its_hours() -> None:
    use = use_of(volumes(0), training(), figures(**CLOUD, training_runs_per_month=2.0))
    lines = cost_lines(use)
    each = per_training_run(use, lines)
    assert each is not None
    assert (each.today, each.plan) == pytest.approx((3600, 2880))
    assert per_request(use, lines) is None
    hours = gpu_hours(use)
    assert hours is not None
    assert (hours.today, hours.plan) == pytest.approx((20, 16))


def test_a_bill_without_requests_has_no_price_of_a_request() -> None:
    use = use_of(billed(), serving(), figures(bill_serving_per_month=1e6))
    lines = cost_lines(use)
    assert per_request(use, lines) is None
    assert per_million_tokens(use, lines) is None
    assert gpu_hours(use) is None


def test_gpu_hours_are_paid_ones_in_the_cloud_and_those_of_machines_elsewhere() -> None:
    cloud = gpu_hours(use_of(volumes(), serving(), figures(**CLOUD)))
    machines = gpu_hours(use_of(volumes(filling(3.5), place="reserved"), serving(), figures(**MACHINES, **CLOUD)))
    assert cloud is not None
    assert machines is not None
    assert cloud.today == pytest.approx(1e6 / 3600 / 0.5)
    assert (machines.today, machines.plan) == pytest.approx((5 * 2 * 730, 4 * 2 * 730))


def test_an_answer_takes_its_reading_and_its_writing() -> None:
    found = answer_ms(use_of(volumes(), serving(), figures(**CLOUD)))
    assert found is not None
    assert (found.today, found.plan) == pytest.approx((1000, 800))


def test_energy_of_writing_is_taken_to_draw_as_much_as_reading() -> None:
    """90 mWh for 900 ms of reading: 100 mWh a request."""
    found = energy_kwh(use_of(volumes(), serving(), figures(**CLOUD)))
    assert found is not None
    assert (found.today, found.plan) == pytest.approx((100, 80))


def test_energy_of_fine_tuning_goes_with_its_hours() -> None:
    """5 kWh for the 10 hours that were measured: 150 for the 300 hours of a real run."""
    named = figures(**CLOUD, training_runs_per_month=1.0, training_gpu_hours_per_run=300.0)
    found = energy_kwh(use_of(volumes(0), training(), named))
    assert found is not None
    assert (found.today, found.plan) == pytest.approx((150, 120))


def test_own_machines_are_cooled_and_rented_ones_have_it_in_their_price() -> None:
    own = energy_kwh(use_of(volumes(place="own"), serving(), figures(**MACHINES, **OWN, pue=1.5)))
    rented = energy_kwh(use_of(volumes(), serving(), figures(**CLOUD, pue=1.5)))
    assert own is not None
    assert rented is not None
    assert own.today == pytest.approx(1.5 * rented.today)


def test_what_is_not_known_times_a_factor_is_not_known() -> None:
    assert times(None, 2.0) is None
    assert times(energy_kwh(use_of(volumes(), serving(), figures(**CLOUD))), None) is None


def test_hours_and_energy_of_a_slow_rollout_are_those_of_its_share_like_the_money() -> None:
    """Half of the work runs with the plan when the period ends: half of a fifth is saved."""
    for assumptions, evidence in ((volumes(), serving()), (volumes(0), training())):
        named = figures(**CLOUD, training_runs_per_month=1.0, rollout_months=24.0, horizon_months=12.0)
        use = use_of(assumptions, evidence, named)
        cost, hours, kwh = cost_of(cost_lines(use)), gpu_hours(use), energy_kwh(use)
        assert hours is not None
        assert kwh is not None
        assert [pair.plan / pair.today for pair in (cost, hours, kwh)] == pytest.approx([0.9] * 3)
