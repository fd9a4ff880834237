"""The simulation against cases whose distribution is known in closed form."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from analysis.contracts import Assumption, ExchangeRate, Pair, ServingEvidence, ServingPoint, SliceVolume
from analysis.economics.check import check_assumptions
from analysis.economics.defaults import answer, default_assumptions
from analysis.economics.figures import draw_figures
from analysis.economics.names import FIGURES
from analysis.economics.outcome import outcome
from analysis.economics.simulate import simulate, spread
from tests.business_builders import make_evidence
from tests.economics.simple_cases import (
    BILL,
    HORIZON,
    NET,
    RUNNING,
    SAVED,
    START,
    TODAY,
    plain_assumptions,
    plain_evidence,
    triangular_cdf,
    triangular_quantile,
)

BILLS = (600_000.0, BILL, 1_600_000.0)


def test_without_ranges_every_draw_is_the_case_itself() -> None:
    found = simulate(plain_assumptions(), plain_evidence(), draws=50)
    assert (found.npv.p10, found.npv.p50, found.npv.p90) == pytest.approx((HORIZON * NET - START,) * 3)
    assert (found.payback_months.p10, found.payback_months.p90) == pytest.approx((START / NET,) * 2)
    assert (found.payback_share, found.never_share) == (1.0, 0.0)
    assert found.cumulative_p10 == pytest.approx([month * NET - START for month in range(37)], abs=1e-6)
    assert found.cumulative_p90 == pytest.approx(found.cumulative_p10, abs=1e-6)


def test_one_triangular_figure_gives_its_own_quantiles_scaled() -> None:
    found = simulate(plain_assumptions({"bill_serving_per_month": BILLS}), plain_evidence(), draws=40_000)
    for share, value in zip((0.1, 0.5, 0.9), (found.net_per_month.p10, found.net_per_month.p50, found.net_per_month.p90), strict=True):
        assert value == pytest.approx(SAVED * triangular_quantile(share, *BILLS) - RUNNING, rel=0.01)


def test_the_share_that_pays_back_is_the_one_of_a_linear_case() -> None:
    """Pays back within the period when bill x saved - running >= start / horizon: a point on the triangular distribution."""
    ranges = {"bill_serving_per_month": (150_000.0, 200_000.0, 500_000.0)}
    found = simulate(plain_assumptions(ranges), plain_evidence(), draws=40_000)
    threshold = (START / HORIZON + RUNNING) / SAVED
    assert found.payback_share == pytest.approx(1 - triangular_cdf(threshold, *ranges["bill_serving_per_month"]), abs=0.01)
    assert found.never_share == pytest.approx(triangular_cdf(RUNNING / SAVED, *ranges["bill_serving_per_month"]), abs=0.01)


def test_a_case_pays_back_within_its_own_drawn_period() -> None:
    months = START / NET  # 4 months at the base
    ranges = {"horizon_months": (1.0, 3.0, 8.0)}
    found = simulate(plain_assumptions(ranges), plain_evidence(), draws=40_000)
    assert months == 4
    assert found.payback_share == pytest.approx(1 - triangular_cdf(3.5, *ranges["horizon_months"]), abs=0.01)


def test_a_measured_share_is_drawn_from_its_interval() -> None:
    """The 95 % interval holds 95 % of the draws, and the share that pays back is the normal distribution's."""
    evidence = plain_evidence(0.05, low=0.03, high=0.07)
    drawn = 1 - draw_figures(plain_assumptions(), evidence, 40_000, 0)["measured_request_ratio"]
    assert np.quantile(drawn, (0.025, 0.5, 0.975)) == pytest.approx((0.03, 0.05, 0.07), abs=0.0005)
    found = simulate(plain_assumptions(), evidence, draws=40_000)
    needed = (START / HORIZON + RUNNING) / BILL
    assert found.payback_share == pytest.approx(1 - NormalDist(0.05, 0.02 / 1.959964).cdf(needed), abs=0.01)


def test_a_lopsided_interval_keeps_its_two_sides() -> None:
    evidence = plain_evidence(0.10, low=0.08, high=0.18)
    drawn = 1 - draw_figures(plain_assumptions(), evidence, 40_000, 3)["measured_request_ratio"]
    assert np.quantile(drawn, (0.025, 0.5, 0.975)) == pytest.approx((0.08, 0.10, 0.18), abs=0.002)


def test_independent_figures_add_their_variances() -> None:
    """Start-up cost is a sum of days x one price: the variance of the value is the sum of theirs."""
    ranges = {"engineer_days": (4.0, 10.0, 16.0), "expert_days": (0.0, 6.0, 12.0)}
    evidence, assumptions = plain_evidence(), plain_assumptions(ranges)
    drawn = draw_figures(assumptions, evidence, 40_000, 1)
    assert abs(np.corrcoef(drawn["engineer_days"], drawn["expert_days"])[0, 1]) < 0.02
    values = outcome(assumptions, evidence, drawn).npv
    assert values.var() == pytest.approx(40_000.0**2 * 2 * 6**2 / 6, rel=0.03)  # a symmetric triangle of half-width w: w^2 / 6


def test_a_projection_alone_is_uniform_over_what_it_may_come_to() -> None:
    evidence = plain_evidence(origin="projected", standing="rough", device_kind=None, device_name="", projected_saving=(0.1, 0.2))
    found = simulate(plain_assumptions(), evidence, draws=40_000)
    assert found.saving_share.p10 == pytest.approx(0.11, abs=0.002)
    assert found.saving_share.p50 == pytest.approx(0.15, abs=0.002)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    assumptions, evidence = plain_assumptions({"bill_serving_per_month": BILLS}), plain_evidence()
    assert simulate(assumptions, evidence, draws=300, seed=5) == simulate(assumptions, evidence, draws=300, seed=5)
    assert simulate(assumptions, evidence, draws=300, seed=5).npv != simulate(assumptions, evidence, draws=300, seed=6).npv


def test_one_more_uncertain_figure_leaves_the_draws_of_the_others_alone() -> None:
    alone = draw_figures(plain_assumptions({"bill_serving_per_month": BILLS}), plain_evidence(), 100, 0)
    beside = draw_figures(plain_assumptions({"bill_serving_per_month": BILLS, "engineer_days": (7, 10, 20)}), plain_evidence(), 100, 0)
    assert (alone["bill_serving_per_month"] == beside["bill_serving_per_month"]).all()


def test_a_percentile_that_never_pays_back_is_undefined() -> None:
    found = spread(np.array([1.0, 2.0, 3.0, np.inf, np.inf, np.inf, np.inf, np.inf, np.inf, np.inf, np.inf]))
    assert (found.p10, found.p50, found.p90) == (2.0, None, None)


def test_percentiles_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).normal(size=1001)
    found = spread(values)
    assert (found.p10, found.p50, found.p90) == pytest.approx(tuple(np.quantile(values, (0.1, 0.5, 0.9))))


def test_the_band_is_the_percentiles_of_every_month() -> None:
    assumptions, evidence = plain_assumptions({"bill_serving_per_month": BILLS, "engineer_days": (7, 10, 20)}), plain_evidence()
    worked = outcome(assumptions, evidence, draw_figures(assumptions, evidence, 201, 0))
    money = np.cumsum(np.column_stack([-worked.start, worked.net]), axis=1)[:, :37]
    found = simulate(assumptions, evidence, draws=201)
    assert found.cumulative_p10 == pytest.approx(np.quantile(money, 0.1, axis=0))
    assert found.cumulative_p90 == pytest.approx(np.quantile(money, 0.9, axis=0))


def test_errors_added_are_never_below_zero() -> None:
    evidence = plain_evidence()
    change = {"accuracy_change": {"value": -0.01, "low": -0.05, "high": 0.03}}
    quality = evidence.quality.model_validate(evidence.quality.model_dump() | change)
    drawn = draw_figures(plain_assumptions(), evidence.model_copy(update={"quality": quality}), 5000, 0)
    assert drawn["error_share_percent"].min() == 0
    assert np.quantile(drawn["error_share_percent"], 0.975) == pytest.approx(5.0, abs=0.3)


def test_an_uncertain_figure_that_moves_no_money_changes_nothing() -> None:
    found = simulate(plain_assumptions({"pue": (1.2, 1.5, 2.0), "discount_rate_percent": (0.0, 0.0, 8.0)}), plain_evidence(), draws=100)
    assert found.net_per_month.p10 == pytest.approx(found.net_per_month.p90)
    assert found.npv.p10 is not None
    assert found.npv.p90 is not None
    assert found.npv.p10 < found.npv.p90


def test_another_currency_scales_money_and_nothing_else() -> None:
    """The same case told in dollars: every sum in yen, one yen worth 1/150 dollar."""
    ranges = {"bill_serving_per_month": BILLS, "engineer_days": (7.0, 10.0, 20.0)}
    yen, evidence = plain_assumptions(ranges), plain_evidence(0.12, low=0.10, high=0.15)
    money = {name: one.model_copy(update={"currency": "JPY"}) for name, one in yen.values.items() if FIGURES[name].is_money}
    rate = ExchangeRate(currency="JPY", per_unit=1 / 150, as_of="2026-11-20", source="company rate")
    dollars = yen.model_copy(update={"currency": "USD", "rates": (rate,), "values": {**yen.values, **money}})
    one, other = (simulate(assumptions, evidence, draws=500) for assumptions in (yen, dollars))
    assert other.payback_months.p50 == pytest.approx(one.payback_months.p50)
    assert (other.payback_share, other.saving_share.p90) == pytest.approx((one.payback_share, one.saving_share.p90))
    assert one.npv.p10 is not None
    assert other.npv.p10 == pytest.approx(one.npv.p10 / 150)
    assert other.cumulative_p90 == pytest.approx([value / 150 for value in one.cumulative_p90])


@pytest.mark.parametrize(
    "changes",
    [
        {"place": "cloud"},
        {"place": "reserved", "contract_ends_on": "2027-06-30"},
        {"place": "own"},
        {"place": "own", "after_tax": True, "count_capacity": True},
    ],
)
def test_all_draws_at_once_are_the_draws_one_by_one(changes: dict[str, Any]) -> None:
    """Whole machines, contracts, growth and tax give the same money for a row of draws as for each of them alone."""
    evidence = make_evidence("serving")
    assumptions = default_assumptions(evidence, today=TODAY).model_copy(update={"basis": "volume", **changes})
    for name, value in (("gpu_price_per_hour", 700), ("purchase_price", 5e6), ("tax_rate_percent", 30), ("error_price", 3)):
        assumptions = answer(assumptions, name, value, low=0.8 * value, high=1.3 * value)
    slices = tuple(one.model_copy(update={"requests_per_month": 2e7}) for one in assumptions.slices)
    assumptions = assumptions.model_copy(update={"slices": slices})
    assert check_assumptions(assumptions, evidence) == ()
    drawn = draw_figures(assumptions, evidence, 12, 0)
    together = outcome(assumptions, evidence, drawn)
    for row in range(12):
        alone = outcome(assumptions, evidence, {name: float(values[row]) for name, values in drawn.items()})
        for name in ("npv", "payback", "net_per_month", "saving_share", "start"):
            assert getattr(together, name)[row] == pytest.approx(float(getattr(alone, name)), rel=1e-9), (row, name)


@pytest.mark.parametrize("place", ["reserved", "own"])
@pytest.mark.parametrize(
    "name", ["machines_today", "gpu_memory_gib", "gpus_per_machine", "spare_machines", "life_years", "capitalise_years"]
)
def test_every_figure_with_a_range_is_drawn_case_by_case(place: str, name: str) -> None:
    """Whole machines and years too: what comes of all draws at once is what each of them comes to alone."""
    ranges = {"machines_today": (2.0, 3.0, 9.0), "spare_machines": (0.0, 1.0, 3.0), "gpus_per_machine": (1.0, 2.0, 8.0)}
    low, value, high = ranges.get(name, (1.0, 3.0, 6.0))
    point = ServingPoint(
        batch_size=1, prompt_tokens=100, new_tokens=0, prefill_ms=Pair(today=900, plan=630), peak_memory_bytes=Pair(today=5e9, plan=2e9)
    )
    evidence = plain_evidence(
        serving=ServingEvidence(points=(point,), weight_bytes=Pair(today=5e9, plan=2e9)), mean_prompt_tokens=100.0, slices=()
    )
    fixed = {"gpu_price_per_hour": 500.0, "purchase_price": 5e6, "maintenance_percent_per_year": 10.0, "pue": 1.5, "tax_rate_percent": 30.0}
    fixed |= {"electricity_price_per_kwh": 25.0, "peak_factor": 3.0, "growth_percent_per_year": 30.0, "gpu_power_watts": 700.0}
    fixed |= {"spare_machines": 1.0, "gpus_per_machine": 2.0, "life_years": 5.0, "capitalise_years": 5.0}
    begin = plain_assumptions(
        {name: (low, value, high)}, basis="volume", place=place, contract_ends_on="2027-03-31", starts_on="2026-12-01"
    )
    values = {other: Assumption(value=amount) for other, amount in fixed.items() if other != name} | dict(begin.values)
    slices = (SliceVolume(name="all", requests_per_month=3e6),)
    assumptions = begin.model_copy(update={"values": values, "slices": slices, "after_tax": True, "capitalise": True})
    assert check_assumptions(assumptions, evidence) == ()
    drawn = draw_figures(assumptions, evidence, 12, 0)
    assert len(set(drawn[name])) > 1
    at_once = outcome(assumptions, evidence, drawn)
    alone = [outcome(assumptions, evidence, {each: float(given[row]) for each, given in drawn.items()}) for row in range(12)]
    assert at_once.npv == pytest.approx([float(one.npv) for one in alone])
    assert at_once.saving_share == pytest.approx([float(one.saving_share) for one in alone])
