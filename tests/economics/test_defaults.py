"""What a case begins with, and how a person changes a figure."""

from __future__ import annotations

from datetime import date

import pytest

from analysis.contracts import SliceInfo, WorkloadInfo
from analysis.economics.check import check_assumptions
from analysis.economics.defaults import answer, default_assumptions, unsourced
from analysis.economics.names import FIGURES
from analysis.errors import InputError
from tests.builders import SLICES
from tests.business_builders import make_evidence
from tests.economics.simple_cases import TODAY


def workload(volumes: bool) -> WorkloadInfo:
    slices = tuple(
        SliceInfo(
            name=name,
            n_examples=20,
            n_calibration=10,
            n_verification=10,
            n_critical=3 if place == 0 else 0,
            requests_per_month=1000.0 * (place + 1) if volumes else None,
        )
        for place, name in enumerate(SLICES)
    )
    return WorkloadInfo(
        name="sample",
        content_hash="0" * 64,
        files=(),
        n_examples=160,
        n_calibration=80,
        n_verification=80,
        n_with_response=160,
        slices=slices,
    )


def test_starting_values_without_a_source_are_marked_and_in_yen() -> None:
    found = default_assumptions(make_evidence("serving"), today=TODAY)
    day = found.values["internal_day"]
    assert (day.value, day.low, day.high, day.currency, day.origin, day.sourced) == (40_000, 30_000, 60_000, "JPY", "assumed", False)
    assert day.source is not None
    assert day.source.id == "starting value, no source: please confirm"
    assert found.values["life_years"].sourced


def test_nothing_stands_for_a_cloud_price_a_rate_a_factor_or_an_error() -> None:
    found = default_assumptions(make_evidence("serving"), today=TODAY)
    for name in ("gpu_price_per_hour", "co2_kg_per_kwh", "error_price", "tax_rate_percent", "bill_serving_per_month", "purchase_price"):
        assert name not in found.values
    assert found.rates == ()


def test_the_measured_device_is_the_priced_one() -> None:
    assert default_assumptions(make_evidence("serving"), today=TODAY).gpu == "h200"
    unknown = default_assumptions(make_evidence("serving", device_name="AMD EPYC", device_kind="cpu"), today=TODAY)
    assert (unknown.gpu, unknown.device_kind) == ("", "cpu")


@pytest.mark.parametrize(("today", "first"), [(date(2026, 11, 22), "2026-12-01"), (date(2026, 12, 31), "2027-01-01")])
def test_it_starts_with_the_next_month(today: date, first: str) -> None:
    assert default_assumptions(make_evidence("serving"), today=today).starts_on == first


def test_volumes_come_from_the_workload_slice_by_slice() -> None:
    found = default_assumptions(make_evidence("serving"), workload(volumes=True), today=TODAY)
    assert found.basis == "volume"
    assert [one.requests_per_month for one in found.slices] == [1000.0 * (place + 1) for place in range(len(SLICES))]
    assert [one.critical for one in found.slices] == [True] + [False] * (len(SLICES) - 1)
    assert {one.name for one in found.slices} == set(SLICES)


def test_without_volumes_and_for_a_fine_tune_it_starts_from_the_bill() -> None:
    assert default_assumptions(make_evidence("serving"), workload(volumes=False), today=TODAY).basis == "bill"
    assert default_assumptions(make_evidence("training"), workload(volumes=True), today=TODAY).basis == "bill"


def test_measured_starting_values_say_so() -> None:
    serving = default_assumptions(make_evidence("serving"), today=TODAY).values
    assert (serving["batch_size"].value, serving["batch_size"].origin) == (8, "measured")
    errors = serving["error_share_percent"]
    assert (errors.value, errors.low, errors.high, errors.origin) == (1.0, 0.0, 5.0, "measured")
    hours = default_assumptions(make_evidence("training"), today=TODAY).values["training_gpu_hours_per_run"]
    assert hours.value == pytest.approx(0.00081 * 168 / 67)
    assert hours.origin == "measured"
    assert "error_share_percent" not in default_assumptions(make_evidence("serving", "rough"), today=TODAY).values


def test_only_one_answer_is_missing_to_begin_from_the_bill() -> None:
    for kind, name in (("serving", "bill_serving_per_month"), ("training", "bill_training_per_month")):
        evidence = make_evidence(kind)  # type: ignore[arg-type]
        assumptions = default_assumptions(evidence, today=TODAY)
        assert [problem.field for problem in check_assumptions(assumptions, evidence)] == [name]
        assert check_assumptions(answer(assumptions, name, 1_200_000), evidence) == ()


def test_unsourced_names_what_this_case_uses_and_nobody_confirmed() -> None:
    evidence = make_evidence("serving")
    assumptions = default_assumptions(evidence, today=TODAY)
    found = unsourced(assumptions, evidence)
    assert {"internal_day", "bill_variable_percent", "growth_percent_per_year"} <= set(found)
    assert not {"life_years", "pue", "peak_factor", "external_day", "other_start_cost", "batch_size"} & set(found)
    day = assumptions.values["internal_day"].model_copy(update={"confirmed_by": "accounting"})
    confirmed = assumptions.model_copy(update={"values": {**assumptions.values, "internal_day": day}})
    assert set(found) - set(unsourced(confirmed, evidence)) == {"internal_day"}
    assert "internal_day" not in unsourced(answer(assumptions, "internal_day", 40_000), evidence)


def test_an_answer_moves_the_range_along_inside_what_is_allowed() -> None:
    assumptions = default_assumptions(make_evidence("serving"), today=TODAY)
    day = answer(assumptions, "internal_day", 50_000).values["internal_day"]
    assert (day.low, day.value, day.high) == (37_500, 50_000, 75_000)
    share = answer(assumptions, "utilisation_percent", 60).values["utilisation_percent"]
    assert (share.low, share.high) == (20, 100)
    growth = answer(assumptions, "growth_percent_per_year", 10).values["growth_percent_per_year"]
    assert (growth.low, growth.high) == (0, 30)
    typed = answer(assumptions, "internal_day", 50_000, low=45_000, high=52_000).values["internal_day"]
    assert (typed.low, typed.high) == (45_000, 52_000)


def test_an_answer_is_in_the_cases_currency_and_says_who_stands_for_it() -> None:
    assumptions = default_assumptions(make_evidence("serving"), currency="USD", today=TODAY)
    given = answer(assumptions, "internal_day", 400, source="accounting", confirmed_by="M. Kato").values["internal_day"]
    assert (given.currency, given.confirmed_by, given.sourced) == ("USD", "M. Kato", True)
    assert given.source is not None
    assert given.source.in_english() == "own figure: accounting"


def test_a_name_that_is_no_figure_is_refused() -> None:
    with pytest.raises(InputError, match="gpu_prise is not one of the figures"):
        answer(default_assumptions(make_evidence("serving"), today=TODAY), "gpu_prise", 3)


def test_an_answer_can_be_taken_back() -> None:
    assumptions = default_assumptions(make_evidence("serving"), today=TODAY)
    assert answer(assumptions, "error_price", None).values["error_price"].value is None


def test_every_starting_value_is_a_figure() -> None:
    assert set(default_assumptions(make_evidence("training"), today=TODAY).values) <= set(FIGURES)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused_in_words(value: float) -> None:
    assumptions = default_assumptions(make_evidence("training"), today=TODAY)
    with pytest.raises(InputError, match="is not a figure"):
        answer(assumptions, "horizon_months", value)
    with pytest.raises(InputError, match="is not a figure"):
        answer(assumptions, "horizon_months", 36, high=value)
