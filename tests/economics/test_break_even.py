"""From which amount of work on it pays back: against the closed form, and across the jumps of whole machines."""

from __future__ import annotations

import pytest

from analysis.contracts import Assumption, Assumptions, CaseEvidence, SliceVolume
from analysis.economics.break_even import break_even
from analysis.economics.defaults import answer, default_assumptions
from analysis.economics.figures import base_figures
from analysis.economics.outcome import outcome
from tests.business_builders import make_evidence
from tests.economics.simple_cases import BILL, HORIZON, RUNNING, SAVED, START, TODAY, plain_assumptions, plain_evidence


def by_volume(place: str, requests: float = 1e7) -> tuple[Assumptions, CaseEvidence]:
    evidence = plain_evidence()
    assumptions = plain_assumptions(basis="volume", place=place, contract_ends_on="2026-01-01" if place == "reserved" else "")
    for name, value in {
        "gpu_price_per_hour": 700.0,
        "purchase_price": 5e6,
        "utilisation_percent": 30.0,
        "peak_factor": 3.0,
        "spare_machines": 1.0,
        "gpus_per_machine": 1.0,
        "life_years": 5.0,
        "maintenance_percent_per_year": 10.0,
        "electricity_price_per_kwh": 25.0,
        "pue": 1.5,
    }.items():
        assumptions = answer(assumptions, name, value)
    return assumptions.model_copy(update={"slices": (SliceVolume(name="all", requests_per_month=requests),)}), evidence


def pays(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    return bool(outcome(assumptions, evidence, base_figures(assumptions, evidence)).pays_back)


def at(assumptions: Assumptions, requests: float) -> Assumptions:
    return assumptions.model_copy(update={"slices": (SliceVolume(name="all", requests_per_month=requests),)})


def test_the_bill_at_which_a_linear_case_breaks_even() -> None:
    found = break_even(plain_assumptions(), plain_evidence())
    assert (found.kind, found.today) == ("bill", BILL)
    assert found.value == pytest.approx((START / HORIZON + RUNNING) / SAVED, rel=1e-6)


def test_the_runs_at_which_a_fine_tune_breaks_even() -> None:
    evidence = make_evidence("training")
    assumptions = default_assumptions(evidence, today=TODAY).model_copy(update={"basis": "volume"})
    for name, value in (("gpu_price_per_hour", 700), ("training_gpu_hours_per_run", 500), ("growth_percent_per_year", 0)):
        assumptions = answer(assumptions, name, value)
    found = break_even(assumptions, evidence)
    assert (found.kind, found.today) == ("runs", 1)
    assert found.value is not None
    for scale, fine in ((1.001, True), (0.999, False)):
        assert pays(answer(assumptions, "training_runs_per_month", found.value * scale), evidence) is fine


@pytest.mark.parametrize("place", ["cloud", "own"])
def test_below_the_requests_found_it_does_not_pay_and_at_them_it_does(place: str) -> None:
    assumptions, evidence = by_volume(place)
    found = break_even(assumptions, evidence)
    assert found.kind == "requests"
    assert found.value is not None
    assert pays(at(assumptions, found.value * 1.0001), evidence)
    assert not pays(at(assumptions, found.value * 0.9999), evidence)


def test_the_amount_does_not_depend_on_todays() -> None:
    values = [break_even(*by_volume("cloud", requests)).value for requests in (1e5, 1e7, 1e9)]
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    assert values[1] == pytest.approx(values[2], rel=1e-6)


def test_whole_machines_make_it_jump_and_the_amount_found_is_one_that_pays() -> None:
    assumptions, evidence = by_volume("reserved")
    found = break_even(assumptions, evidence)
    assert found.value is not None
    assert pays(at(assumptions, found.value), evidence)
    assert not pays(at(assumptions, found.value * 0.999), evidence)
    stated = answer(assumptions, "machines_today", 2)
    assert break_even(stated, evidence).value == pytest.approx(found.value)  # more work needs more machines


def test_a_plan_that_saves_nothing_pays_at_no_amount() -> None:
    for saved in (0.0, -0.1):
        found = break_even(plain_assumptions(), plain_evidence(saved))
        assert found.value is None
        assert found.today == BILL


def test_a_plan_that_costs_nothing_pays_at_any_amount() -> None:
    free = {name: Assumption(value=0) for name in ("engineer_days", "run_days_per_month")}
    found = break_even(plain_assumptions(values={**plain_assumptions().values, **free}), plain_evidence())
    assert found.value == 0


def test_errors_grow_with_the_work_behind_a_larger_bill() -> None:
    """More work never helps where every request loses more to errors than it saves."""
    values = {"error_share_percent": Assumption(value=10), "error_price": Assumption(value=2000)}
    assumptions = plain_assumptions(values={**plain_assumptions().values, **values})
    assert break_even(assumptions, plain_evidence()).value is None
