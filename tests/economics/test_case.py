"""A whole case: the stored sample, every place and basis, and what is said where something is undefined."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import numpy_financial as npf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.contracts import Assumption, Assumptions, BusinessCase, CaseEvidence, CaseResult, ExchangeRate
from analysis.economics.case import make_case, result_of
from analysis.economics.defaults import answer, default_assumptions
from analysis.economics.evidence import evidence_of
from analysis.errors import InputError
from tests.business_builders import make_evidence, make_rollout
from tests.economics.test_evidence import stored

TODAY = date(2026, 11, 22)
DRAWS = 200


def freeze_case(bill: float = 1_200_000, **changes: Any) -> tuple[CaseEvidence, Assumptions]:
    trial = stored("trials", "freeze")
    evidence = evidence_of(stored("plans", "freeze"), trial=trial)
    assumptions = default_assumptions(evidence, trial.workload, today=TODAY)
    return evidence, answer(assumptions, "bill_training_per_month", bill).model_copy(update=changes)


def serving_case(name: str = "block", place: str = "cloud", requests: float = 3e6, **answers: float) -> tuple[CaseEvidence, Assumptions]:
    verification = stored("verifications", name)
    evidence = evidence_of(stored("plans", name), verification)
    assumptions = default_assumptions(evidence, verification.workload, today=TODAY)
    slices = tuple(one.model_copy(update={"requests_per_month": requests}) for one in assumptions.slices)
    assumptions = assumptions.model_copy(update={"place": place, "basis": "volume", "slices": slices})
    if place == "reserved":
        assumptions = assumptions.model_copy(update={"contract_ends_on": "2027-03-31"})
    for figure, value in ({"gpu_price_per_hour": 600.0, "purchase_price": 5e6} | answers).items():
        assumptions = answer(assumptions, figure, value)
    return evidence, assumptions


def notes_of(found: CaseResult) -> str:
    return " ".join(note.in_english() for note in found.notes)


def test_the_samples_freeze_plan_on_a_bill() -> None:
    """70 % of 1,200,000 grows with use; 15.4 % of that is saved; 60,000 a month go to people, 600,000 to begin."""
    evidence, assumptions = freeze_case()
    found = result_of(evidence, assumptions, draws=DRAWS)
    assert evidence.training is not None
    saved = 1_200_000 * 0.7 * evidence.training.hours.saved_share
    assert found.cost.today == 1_200_000
    assert found.buckets.cash == pytest.approx(saved)
    assert (found.buckets.avoided, found.buckets.freed) == (0, 0)
    assert found.net_per_month == pytest.approx(saved - 60_000)
    assert found.start.total == 600_000
    in_ramp = saved * (1 / 3 + 2 / 3) - 120_000
    assert found.payback_months == pytest.approx(2 + (600_000 - in_ramp) / (saved - 60_000))
    assert found.total == pytest.approx(-600_000 + in_ramp + 34 * (saved - 60_000))


def test_its_worth_is_that_of_numpy_financial() -> None:
    found = result_of(*freeze_case(), draws=DRAWS)
    months = np.diff(found.cumulative)
    assert len(found.cumulative) == 37
    assert found.npv == pytest.approx(npf.npv(1.05 ** (1 / 12) - 1, [found.cumulative[0], *months]))
    assert found.irr == pytest.approx((1 + npf.irr([found.cumulative[0], *months])) ** 12 - 1)


def test_its_years_add_up_to_its_total() -> None:
    found = result_of(*freeze_case(), draws=DRAWS)
    assert sum(year.cash.total for year in found.years) == pytest.approx(found.total)
    assert found.cumulative[-1] == pytest.approx(found.total)


def test_a_case_round_trips_and_the_same_case_has_the_same_id() -> None:
    evidence, assumptions = freeze_case()
    found = make_case(evidence, assumptions, draws=DRAWS, name="as it stands", rollout=make_rollout())
    read_back = BusinessCase.model_validate_json(found.model_dump_json())
    assert read_back.model_dump_json() == found.model_dump_json()
    assert notes_of(read_back.result) == notes_of(found.result)
    assert found.name == "as it stands"
    assert found.is_sample
    assert found.id == make_case(evidence, assumptions, draws=DRAWS).id
    assert found.id != make_case(*freeze_case(1_300_000), draws=DRAWS).id
    assert len(found.result.stages) == 3


@pytest.mark.parametrize("place", ["cloud", "reserved", "own"])
@pytest.mark.parametrize("name", ["attention", "block"])
@pytest.mark.parametrize("changes", [{}, {"after_tax": True, "capitalise": True, "count_capacity": True}])
def test_todays_cost_less_the_plans_is_what_the_buckets_hold(place: str, name: str, changes: dict[str, bool]) -> None:
    evidence, assumptions = serving_case(name, place, growth_percent_per_year=15.0, tax_rate_percent=30.0)
    found = result_of(evidence, assumptions.model_copy(update=changes), draws=DRAWS)
    counted = found.buckets.cash + found.buckets.avoided + (found.buckets.freed if changes else 0.0)
    assert found.cost.today - found.cost.plan == pytest.approx(counted, abs=1e-6)
    assert sum(year.cash.total for year in found.years) == pytest.approx(found.total)
    assert sum(line.today for line in found.lines) == pytest.approx(found.cost.today)


def test_a_slower_plan_saves_nothing_and_says_so() -> None:
    found = result_of(*serving_case("attention"), draws=DRAWS)
    assert found.saving_share < 0
    assert found.payback_months is None
    assert found.payback_reason is not None
    assert "saves nothing" in found.payback_reason.in_english()
    assert found.irr is None
    assert found.irr_reason is not None
    assert found.cost_of_waiting == 0
    assert "took longer" in notes_of(found)
    assert found.buckets.cash_from is None


def test_a_plan_outside_its_limits_can_be_priced_under_its_banner() -> None:
    found = make_case(*serving_case("block"), draws=DRAWS)
    assert found.standing == "outside"
    assert "not recommended" in notes_of(found.result)


def test_running_costs_that_eat_the_saving_are_said_to() -> None:
    found = result_of(*freeze_case(400_000), draws=DRAWS)
    assert found.saving_share > 0
    assert found.net_per_month < 0
    assert found.payback_reason is not None
    assert "watch and renew" in found.payback_reason.in_english()


def test_a_payback_beyond_all_months_looked_at_is_said_to() -> None:
    evidence, assumptions = freeze_case()
    found = result_of(evidence, answer(assumptions, "other_start_cost", 9e6), draws=DRAWS)
    assert found.payback_months is None
    assert found.payback_reason is not None
    assert "within 120 months" in found.payback_reason.in_english()


def test_errors_are_priced_and_how_many_would_eat_the_saving() -> None:
    evidence, assumptions = serving_case("block", error_price=10.0, error_share_percent=0.01)
    found = result_of(evidence, assumptions, draws=DRAWS)
    requests = 8 * 3e6
    saving = found.buckets.cash - found.running_per_month
    assert found.quality_per_month == pytest.approx(requests * 0.0001 * 10)
    assert found.break_even_errors == pytest.approx(saving / 10)
    assert found.break_even_error_price == pytest.approx(saving / (requests / 1000))
    unpriced = result_of(*serving_case("block"), draws=DRAWS)
    assert (unpriced.quality_per_month, unpriced.break_even_errors) == (None, None)
    assert "no price of a wrong answer" in notes_of(unpriced)


def test_whole_machines_that_stay_are_an_answer() -> None:
    """Nine machines stay nine; the plan makes headroom, and no cash."""
    found = result_of(*serving_case("block", "reserved"), draws=DRAWS)
    assert found.machines is not None
    assert found.machines.today.whole == found.machines.plan.whole == 9
    assert found.buckets.cash == 0
    assert found.buckets.freed > 0
    assert "Still 9 machines; 6% more headroom" in notes_of(found)


def test_stated_machines_are_held_against_what_the_work_takes() -> None:
    more = result_of(*serving_case("block", "reserved", machines_today=12.0), draws=DRAWS)
    fewer = result_of(*serving_case("block", "reserved", machines_today=3.0), draws=DRAWS)
    assert "Machines that are there: 12; the work takes 9" in notes_of(more)
    assert "Check the peak factor" in notes_of(fewer)
    assert fewer.machines is not None
    assert fewer.machines.today.whole == 3


def test_purchases_that_growth_makes_necessary_are_listed() -> None:
    found = result_of(*serving_case("block", "own", growth_percent_per_year=20.0), draws=DRAWS)
    without, with_plan = found.buckets.avoided_today, found.buckets.avoided_plan
    assert without[0].month < with_plan[0].month
    assert without[0].date == "2027-05-01"
    assert without[0].price == 5e6
    assert "written off" in notes_of(found)


def test_a_bill_that_the_plan_cannot_lower_is_named() -> None:
    evidence, assumptions = freeze_case()
    found = result_of(evidence, answer(assumptions, "bill_serving_per_month", 2_000_000), draws=DRAWS)
    assert found.cost.today == 3_200_000
    assert "bill for answering requests is not lowered" in notes_of(found)


def test_a_missing_figure_is_asked_for_in_words() -> None:
    evidence, _ = freeze_case()
    bare = default_assumptions(evidence, today=TODAY)
    with pytest.raises(InputError, match="No figure was given"):
        make_case(evidence, bare)


def test_a_processors_times_are_not_priced_as_a_gpus() -> None:
    evidence, assumptions = serving_case()
    with pytest.raises(InputError, match="Verify the plan"):
        make_case(evidence.model_copy(update={"device_kind": "cpu", "device_name": "a processor"}), assumptions)


def test_starting_values_without_a_source_are_counted() -> None:
    assert "Starting values without a source (" in notes_of(result_of(*freeze_case(), draws=DRAWS))


def test_a_rough_estimate_spans_half_to_all_of_the_projection() -> None:
    evidence = evidence_of(stored("plans", "freeze"))
    assumptions = answer(default_assumptions(evidence, today=TODAY), "bill_training_per_month", 1_200_000)
    found = make_case(evidence, assumptions, draws=2000)
    assert found.standing == "rough"
    assert evidence.projected_saving is not None
    low, high = evidence.projected_saving
    assert found.result.saving_share == pytest.approx(0.7 * (low + high) / 2)


@given(st.floats(0.002, 0.09))
@settings(max_examples=6, deadline=None)
def test_another_currency_scales_money_and_nothing_else(rate: float) -> None:
    evidence, yen = freeze_case()
    euros = yen.model_copy(
        update={"currency": "EUR", "rates": (ExchangeRate(currency="JPY", per_unit=rate, as_of="2026-11-20", source="ECB"),)}
    )
    here, there = (result_of(evidence, each, draws=DRAWS) for each in (yen, euros))
    assert there.payback_months == pytest.approx(here.payback_months)
    assert there.irr == pytest.approx(here.irr)
    assert there.saving_share == pytest.approx(here.saving_share)
    assert there.npv == pytest.approx(here.npv * rate)
    assert there.start.total == pytest.approx(here.start.total * rate)
    assert there.cost_of_nothing == pytest.approx(here.cost_of_nothing * rate)
    assert there.simulation.payback_share == pytest.approx(here.simulation.payback_share)


def test_the_same_seed_gives_the_same_result() -> None:
    evidence, assumptions = freeze_case()
    assert result_of(evidence, assumptions, draws=DRAWS, seed=3) == result_of(evidence, assumptions, draws=DRAWS, seed=3)


def test_the_hand_written_evidence_of_pages_and_reports_makes_cases_too() -> None:
    for standing in ("measured", "undecided", "outside"):
        evidence = make_evidence("serving", standing)
        assumptions = default_assumptions(evidence, today=TODAY).model_copy(update={"basis": "bill"})
        assumptions = assumptions.model_copy(
            update={"values": dict(assumptions.values) | {"bill_serving_per_month": Assumption(value=1e6, currency="JPY")}}
        )
        assert make_case(evidence, assumptions, draws=DRAWS).result.buckets.cash > 0


def test_a_bill_for_fine_tuning_on_whole_machines_tells_them_too() -> None:
    evidence, assumptions = freeze_case(place="reserved", contract_ends_on="2027-03-31")
    found = result_of(evidence, answer(assumptions, "machines_today", 4), draws=DRAWS)
    assert found.machines is not None
    assert (found.machines.today.whole, found.machines.plan.whole) == (4, 4)
    assert found.buckets.cash == 0
    assert found.buckets.freed > 0
    assert "Still 4 machines; 18% more headroom" in notes_of(found)
    assert found.payback_months is None


def test_lengths_that_nobody_told_are_said_to_be_the_measurements() -> None:
    evidence, assumptions = serving_case()
    untold = evidence.model_copy(update={"mean_prompt_tokens": None, "mean_new_tokens": None})
    said = notes_of(result_of(untold, assumptions, draws=DRAWS))
    assert "256 tokens are taken to be read" in said
    assert "32 tokens are taken to be written" in said
    assert "are taken to be" not in notes_of(result_of(evidence, assumptions, draws=DRAWS))


def test_a_price_of_an_error_too_small_to_count_by_is_no_failure() -> None:
    evidence, assumptions = serving_case("block", error_price=5e-324, error_share_percent=0.01)
    found = result_of(evidence, assumptions, draws=DRAWS)
    assert found.break_even_errors is None
    assert found.break_even_error_price is not None


@pytest.mark.parametrize("place", ["cloud", "reserved", "own"])
def test_fine_tuning_by_its_hours_is_priced_wherever_it_runs(place: str) -> None:
    """On machines that are there anyway it is capacity, which counts only where it is switched in; own ones draw less power."""
    evidence, assumptions = freeze_case(basis="volume", place=place, contract_ends_on="2027-03-31", gpu="h200")
    for figure, value in {"gpu_price_per_hour": 600.0, "purchase_price": 5e6, "training_gpu_hours_per_run": 5000.0}.items():
        assumptions = answer(assumptions, figure, value)
    found = result_of(evidence, assumptions, draws=DRAWS)
    assert (found.buckets.freed > 0) == (place != "cloud")
    assert (found.break_even.value is not None) == (place != "reserved")
    assert (found.buckets.cash > 0) == (place != "reserved")


def test_a_purchase_put_off_beyond_the_period_is_said_to_count_in_full() -> None:
    found = result_of(*serving_case("block", "own", growth_percent_per_year=20.0), draws=DRAWS)
    fewer = sum(one.machines for one in found.buckets.avoided_today) - sum(one.machines for one in found.buckets.avoided_plan)
    assert ("need not be bought within the evaluation period" in notes_of(found)) == (fewer > 0)
    sooner = result_of(*serving_case("block", "own", growth_percent_per_year=20.0, horizon_months=8.0), draws=DRAWS)
    assert f"need not be bought within the evaluation period: {len(sooner.buckets.avoided_today)}" in notes_of(sooner)
    assert not sooner.buckets.avoided_plan


def test_a_bill_of_machines_says_what_it_is_taken_to_be() -> None:
    owned = result_of(*freeze_case(place="own"), draws=DRAWS)
    assert "in proportion to the work" in notes_of(owned)
    assert "money that is really paid" in notes_of(owned)
    evidence, assumptions = freeze_case(place="reserved", contract_ends_on="2027-03-31")
    assert "money that is really paid" not in notes_of(result_of(evidence, assumptions, draws=DRAWS))
    assert "in proportion" not in notes_of(result_of(evidence, answer(assumptions, "machines_today", 4), draws=DRAWS))
    assert "in proportion" not in notes_of(result_of(*freeze_case(), draws=DRAWS))


def test_a_rollout_longer_than_the_period_is_said() -> None:
    evidence, assumptions = freeze_case()
    found = result_of(evidence, answer(answer(assumptions, "rollout_months", 30), "horizon_months", 12), draws=DRAWS)
    assert "Not all of the work runs with the plan" in notes_of(found)
    assert found.buckets.cash == pytest.approx(12 / 30 * result_of(evidence, assumptions, draws=DRAWS).buckets.cash)


def test_a_payback_earlier_than_half_of_the_simulated_ones_says_so() -> None:
    """Effort and rates may rise further than they may fall, so the middle of the draws lies later than the figures as given."""
    found = result_of(*freeze_case(), draws=2000)
    assert found.payback_months is not None
    assert found.simulation.payback_months.p50 is not None
    assert found.simulation.payback_months.p50 > 1.2 * found.payback_months
    assert "Half of the simulated cases take longer than" in notes_of(found)
    evidence, assumptions = freeze_case()
    certain = {name: one.model_copy(update={"low": None, "high": None}) for name, one in assumptions.values.items()}
    assert "Half of the simulated" not in notes_of(result_of(evidence, assumptions.model_copy(update={"values": certain}), draws=DRAWS))


def test_a_saving_measured_once_is_said_to_be_taken_as_certain() -> None:
    evidence, assumptions = freeze_case()
    assert evidence.training is not None
    assert "has no interval" not in notes_of(result_of(evidence, assumptions, draws=DRAWS))
    once = evidence.training.hours.model_copy(update={"ratio_low": None, "ratio_high": None})
    evidence = evidence.model_copy(update={"training": evidence.training.model_copy(update={"hours": once})})
    assert "has no interval" in notes_of(result_of(evidence, assumptions, draws=DRAWS))


def test_the_target_of_cost_is_held_against_the_saving_that_the_headline_tells() -> None:
    from tests.business_builders import make_assumptions, make_evidence

    result = result_of(make_evidence(), make_assumptions(), draws=100, seed=0)
    own = next(band.own for band in result.bands if band.kind == "cost")
    assert own == -result.net_per_month / result.cost.today
