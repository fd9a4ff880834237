"""Bad input, field by field: each problem names its field and is one sentence that says what was given and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.contracts import (
    AlternativeInput,
    Assumption,
    Assumptions,
    CaseEvidence,
    ExchangeRate,
    FieldProblem,
    Freeze,
    Pair,
    SliceVolume,
    TrainingEvidence,
)
from analysis.economics.case import make_case
from analysis.economics.check import check_assumptions
from analysis.economics.defaults import answer, default_assumptions
from analysis.errors import InputError
from analysis.i18n import render
from tests.business_builders import make_evidence
from tests.economics.simple_cases import TODAY, plain_assumptions, plain_evidence

RATE = ExchangeRate(currency="USD", per_unit=150.0, as_of="2026-11-20", source="company rate")


def good(place: str = "cloud", **changes: Any) -> tuple[Assumptions, CaseEvidence]:
    """Requests by volume, on the measured GPU, everything given."""
    evidence = plain_evidence(slices=("a", "b"))
    slices = tuple(SliceVolume(name=name, requests_per_month=1e6) for name in "ab")
    assumptions = default_assumptions(evidence, today=TODAY).model_copy(
        update={"basis": "volume", "place": place, "slices": slices, "contract_ends_on": "2027-03-31" if place == "reserved" else ""}
    )
    for name, value in {"gpu_price_per_hour": 500, "purchase_price": 5e6}.items():
        assumptions = answer(assumptions, name, value)
    return assumptions.model_copy(update=changes), evidence


def fields(assumptions: Assumptions, evidence: CaseEvidence) -> list[str]:
    return [problem.field for problem in check_assumptions(assumptions, evidence)]


def only(assumptions: Assumptions, evidence: CaseEvidence, field: str) -> FieldProblem:
    found = check_assumptions(assumptions, evidence)
    assert [problem.field for problem in found] == [field], [problem.message.in_english() for problem in found]
    assert render(found[0].message, "ja") != render(found[0].message, "en")
    return found[0]


@pytest.mark.parametrize("place", ["cloud", "reserved", "own"])
def test_a_complete_case_has_no_problem(place: str) -> None:
    assert check_assumptions(*good(place)) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gpu_price_per_hour", -350),
        ("gpu_price_per_hour", 0),
        ("gpu_price_per_hour", 1e9),
        ("utilisation_percent", 0),
        ("utilisation_percent", 130),
        ("horizon_months", 0),
        ("horizon_months", 600),
        ("discount_rate_percent", -2),
        ("growth_percent_per_year", -100),
        ("internal_day", 40),
        ("engineer_days", -1),
        ("pue", 0.5),
        ("error_price", -1),
        ("error_share_percent", 101),
        ("renewal_months", 0),
    ],
)
def test_a_negative_or_absurd_figure_is_named_with_what_is_allowed(name: str, value: float) -> None:
    assumptions, evidence = good()
    given = Assumption(value=value, currency="JPY" if "price" in name or name == "internal_day" else None)
    found = only(assumptions.model_copy(update={"values": {**assumptions.values, name: given}}), evidence, name)
    said = found.message.in_english()
    assert "is allowed" in said
    assert "Check the figure and its unit." in said


def test_limits_are_those_of_the_figures_own_currency() -> None:
    assumptions, evidence = good(rates=(RATE,))
    for value, fine in ((4.59, True), (500.0, False)):  # 500 dollars an hour: yen typed as dollars
        values = {**assumptions.values, "gpu_price_per_hour": Assumption(value=value, currency="USD")}
        assert (fields(assumptions.model_copy(update={"values": values}), evidence) == []) is fine


@pytest.mark.parametrize(("low", "high"), [(60_000, None), (None, 30_000), (60_000, 30_000)])
def test_a_range_out_of_order_is_one_problem(low: float | None, high: float | None) -> None:
    assumptions, evidence = good()
    given = Assumption(value=40_000, low=low, high=high, currency="JPY")
    found = only(assumptions.model_copy(update={"values": {**assumptions.values, "internal_day": given}}), evidence, "internal_day")
    assert "Put them in order." in found.message.in_english()


def test_a_range_without_a_figure_is_named() -> None:
    assumptions, evidence = good()
    values = {**assumptions.values, "error_price": Assumption(value=None, low=5, high=10)}
    assert "no figure" in only(assumptions.model_copy(update={"values": values}), evidence, "error_price").message.in_english()


@pytest.mark.parametrize("value", [1.5, 3.2])
def test_machines_come_whole(value: float) -> None:
    assumptions, evidence = good("reserved")
    values = {**assumptions.values, "machines_today": Assumption(value=value)}
    found = only(assumptions.model_copy(update={"values": values}), evidence, "machines_today")
    assert "only whole numbers" in found.message.in_english()


@pytest.mark.parametrize(
    ("place", "missing"),
    [
        ("cloud", ["utilisation_percent", "gpu_price_per_hour"]),
        ("reserved", ["peak_factor", "spare_machines", "gpus_per_machine", "gpu_price_per_hour"]),
        ("own", ["peak_factor", "spare_machines", "gpus_per_machine", "purchase_price", "life_years"]),
    ],
)
def test_what_is_missing_depends_on_where_it_runs(place: str, missing: list[str]) -> None:
    assumptions, evidence = good(place)
    kept = {name: one for name, one in assumptions.values.items() if name not in ("electricity_price_per_kwh", *missing)}
    found = fields(assumptions.model_copy(update={"values": kept}), evidence)
    assert set(missing) <= set(found)
    assert ("electricity_price_per_kwh" in found) == (place == "own")


def test_what_is_missing_is_named_with_where_to_find_it() -> None:
    assumptions, evidence = good()
    values = {name: one for name, one in assumptions.values.items() if name != "gpu_price_per_hour"}
    said = only(assumptions.model_copy(update={"values": values}), evidence, "gpu_price_per_hour").message.in_english()
    assert "JPY per GPU hour" in said
    assert "Where to find it" in said


def test_the_bill_asks_for_nothing_but_the_bill() -> None:
    evidence = make_evidence("serving")
    assumptions = default_assumptions(evidence, today=TODAY).model_copy(update={"basis": "bill"})
    assert fields(assumptions, evidence) == ["bill_serving_per_month"]


def test_a_plan_that_changes_both_asks_for_either_bill() -> None:
    training = make_evidence("training").training
    assert isinstance(training, TrainingEvidence)
    evidence = plain_evidence(training=training, operations=(Freeze(eof_layer=2),), eof_layer=2)
    assumptions = default_assumptions(evidence, today=TODAY)
    assert fields(assumptions, evidence) == ["bill_serving_per_month", "bill_training_per_month"]
    assert fields(answer(assumptions, "bill_training_per_month", 1e6), evidence) == []


def test_after_tax_asks_for_the_rate_and_offers_none() -> None:
    assumptions, evidence = good(after_tax=True)
    assert "tax rate" in only(assumptions, evidence, "tax_rate_percent").message.in_english()


def test_a_figure_that_nobody_knows_is_named() -> None:
    assumptions, evidence = good()
    values = {**assumptions.values, "gpu_prise": Assumption(value=3)}
    assert "gpu_prise" in only(assumptions.model_copy(update={"values": values}), evidence, "gpu_prise").message.in_english()


def test_a_currency_without_a_rate_is_named_with_its_figures_and_what_to_type() -> None:
    assumptions, evidence = good()
    values = {**assumptions.values, "gpu_price_per_hour": Assumption(value=4.59, currency="USD")}
    said = only(assumptions.model_copy(update={"values": values}), evidence, "rates.USD").message.in_english()
    assert "cloud price" in said
    assert "Type what one USD is worth in JPY" in said


def test_a_case_in_dollars_asks_for_the_yen_of_the_starting_values() -> None:
    evidence = make_evidence("serving")
    assumptions = answer(default_assumptions(evidence, currency="USD", today=TODAY), "bill_serving_per_month", 8000)
    said = only(assumptions, evidence, "rates.JPY").message.in_english()
    assert "internal person-day" in said
    assert "electricity" not in said  # this case has no use for it


@pytest.mark.parametrize(("per_unit", "as_of", "source"), [(0.0066, "2026-11-20", "bank"), (150, "", "bank"), (150, "2026-11-20", " ")])
def test_a_rate_the_wrong_way_round_or_without_date_or_source_is_refused(per_unit: float, as_of: str, source: str) -> None:
    assumptions, evidence = good(rates=(ExchangeRate(currency="USD", per_unit=per_unit, as_of=as_of, source=source),))
    only(assumptions, evidence, "rates.USD")


def test_a_rate_of_the_cases_own_currency_is_refused() -> None:
    assumptions, evidence = good(rates=(ExchangeRate(currency="JPY", per_unit=2, as_of="2026-11-20", source="bank"),))
    assert "own currency" in only(assumptions, evidence, "rates.JPY").message.in_english()


def test_no_volume_is_no_case() -> None:
    assumptions, evidence = good(slices=(SliceVolume(name="a", requests_per_month=0), SliceVolume(name="b", requests_per_month=0)))
    assert "start from the bill" in only(assumptions, evidence, "slices").message.in_english()
    assert fields(assumptions.model_copy(update={"slices": ()}), evidence) == ["slices"]


def test_a_missing_slice_is_named() -> None:
    assumptions, evidence = good(slices=(SliceVolume(name="a", requests_per_month=10),))
    assert only(assumptions, evidence, "slices").message.values["missing"] == ("b",)


def test_an_unknown_a_double_and_an_absurd_slice_are_named_by_their_row() -> None:
    rows = [("a", 10.0), ("b", 10.0), ("c", 10.0), ("a", 1e15)]
    assumptions, evidence = good(slices=tuple(SliceVolume(name=name, requests_per_month=n) for name, n in rows))
    assert fields(assumptions, evidence) == ["slices[0].name", "slices[2].name", "slices[3].name", "slices[3].requests_per_month"]


def test_absurd_tokens_and_prices_of_a_slice_are_named_by_their_field() -> None:
    row = SliceVolume(name="a", requests_per_month=10, prompt_tokens=1e9, new_tokens=1e9, error_price=1e15)
    assumptions, evidence = good(slices=(row, SliceVolume(name="b", requests_per_month=0)))
    assert fields(assumptions, evidence) == [f"slices[0].{name}" for name in ("prompt_tokens", "new_tokens", "error_price")]


@pytest.mark.parametrize("written", ["2026/12/01", "next month", "2026-13-01", "1026-12-01", "令和8年12月1日"])
def test_a_date_that_is_none_is_refused(written: str) -> None:
    assumptions, evidence = good(starts_on=written)
    assert only(assumptions, evidence, "starts_on").message.values["given"] == written


@pytest.mark.parametrize("basis", ["bill", "volume"])
def test_reserved_machines_ask_for_the_end_of_the_contract(basis: str) -> None:
    assumptions, evidence = good("reserved", contract_ends_on="", basis=basis)
    assumptions = answer(assumptions, "bill_serving_per_month", 1e6)
    assert "lease ends" in only(assumptions, evidence, "contract_ends_on").message.in_english()


def test_a_processors_time_is_never_priced_as_a_gpu_unless_named() -> None:
    assumptions, evidence = good()
    evidence = evidence.model_copy(update={"device_kind": "cpu", "device_name": "AMD EPYC"})
    said = only(assumptions, evidence, "accept_other_device").message.in_english()
    assert "measured on a CPU (AMD EPYC)" in said
    assert "Verify the plan on a GPU" in said
    accepted = assumptions.model_copy(update={"accept_other_device": True})
    assert fields(accepted, evidence) == ["speed_factor"]
    assert fields(answer(accepted, "speed_factor", 20), evidence) == []


@pytest.mark.parametrize("name", ["h200", "H200 of our provider", "NVIDIA L4"])
def test_a_gpu_is_a_gpu_whatever_was_ticked_beside_it(name: str) -> None:
    """A processor's time, and a device of the catalogue that somebody calls a processor."""
    assumptions, evidence = good(gpu=name, device_kind="cpu")
    evidence = evidence.model_copy(update={"device_kind": "cpu", "device_name": "CPU (x86_64, 8 threads)"})
    said = only(assumptions, evidence, "accept_other_device").message.in_english()
    assert "measured on a CPU" in said
    assert "prices a GPU" in said


def test_seconds_are_not_priced_as_a_device_that_nobody_knows() -> None:
    assumptions, evidence = good(gpu="Our new board")
    assert "and the case prices Our new board" in only(assumptions, evidence, "accept_other_device").message.in_english()
    assert fields(assumptions.model_copy(update={"gpu": ""}), evidence) == []  # nothing is named: a wider range, and a note
    nvl = evidence.model_copy(update={"device_name": "NVIDIA H100 NVL"})
    assert fields(assumptions.model_copy(update={"gpu": "H100 NVL"}), nvl) == []


def test_the_bill_asks_only_to_accept_another_device() -> None:
    evidence = make_evidence("serving", device_kind="cpu", device_name="AMD EPYC")
    assumptions = default_assumptions(evidence, today=TODAY).model_copy(update={"device_kind": "gpu"})
    assumptions = answer(assumptions, "bill_serving_per_month", 1e6)
    assert fields(assumptions, evidence) == ["accept_other_device"]
    assert fields(assumptions.model_copy(update={"accept_other_device": True}), evidence) == []


def test_seconds_of_one_gpu_are_not_priced_as_anothers_unless_named() -> None:
    assumptions, evidence = good(gpu="l4")
    said = only(assumptions, evidence, "accept_other_device").message.in_english()
    assert "measured on NVIDIA H200, and the case prices NVIDIA L4 24GB" in said
    accepted = assumptions.model_copy(update={"accept_other_device": True})
    assert fields(accepted, evidence) == ["speed_factor"]
    assert fields(answer(accepted, "speed_factor", 0.1), evidence) == []
    assert fields(assumptions.model_copy(update={"gpu": "H200 of our provider"}), evidence) == []


def test_the_bill_takes_the_share_of_another_gpu_with_a_wider_range() -> None:
    evidence = make_evidence("serving")
    assumptions = answer(default_assumptions(evidence, today=TODAY), "bill_serving_per_month", 1e6)
    assert fields(assumptions.model_copy(update={"gpu": "l4"}), evidence) == []


def test_a_share_without_a_time_can_only_be_applied_to_the_bill() -> None:
    assumptions, _ = good()
    evidence = make_evidence("serving", "rough", serving=None, slices=("a", "b"))
    assert fields(assumptions, evidence) == ["basis"]
    assert fields(answer(assumptions.model_copy(update={"basis": "bill"}), "bill_serving_per_month", 1e6), evidence) == []


def test_a_plan_of_which_nothing_is_known_has_nothing_to_price() -> None:
    evidence = plain_evidence(serving=None)
    assert "evidence" in fields(plain_assumptions(), evidence)


def test_a_fine_tune_that_never_runs_has_nothing_to_price() -> None:
    evidence = make_evidence("training")
    assumptions = default_assumptions(evidence, today=TODAY).model_copy(update={"basis": "volume"})
    assumptions = answer(answer(assumptions, "gpu_price_per_hour", 500), "training_runs_per_month", 0)
    assert only(assumptions, evidence, "training_runs_per_month")


def test_an_alternative_is_estimated_once() -> None:
    twice = (AlternativeInput(kind="quantise", cost_per_month=1), AlternativeInput(kind="quantise", cost_per_month=2))
    assumptions, evidence = good(alternatives=twice)
    assert fields(assumptions, evidence) == ["alternatives[0].kind", "alternatives[1].kind"]


def test_a_measurement_that_took_no_time_has_nothing_to_price() -> None:
    """It would come to a cost of nought, without a word."""
    assumptions, evidence = good()
    assert evidence.serving is not None
    still = Pair(today=0.0, plan=0.0)
    point = evidence.serving.points[0].model_copy(update={"prefill_ms": still, "decode_ms": None})
    serving = evidence.serving.model_copy(update={"points": (point,)})
    for basis in ("volume", "bill"):
        found = fields(assumptions.model_copy(update={"basis": basis}), evidence.model_copy(update={"serving": serving}))
        assert found[0] == "evidence"
    trained = make_evidence("training")
    assert trained.training is not None
    trained = trained.model_copy(update={"training": trained.training.model_copy(update={"hours": still})})
    assert fields(answer(default_assumptions(trained, today=TODAY), "bill_training_per_month", 1e6), trained) == ["evidence"]


@pytest.mark.parametrize("batch", [0.0, -8.0, 1e308])
def test_a_batch_that_cannot_be_is_refused_in_words(batch: float) -> None:
    assumptions, evidence = good()
    assert fields(answer(assumptions, "batch_size", batch), evidence) == ["batch_size"]


def test_an_alternative_costs_no_more_than_can_be() -> None:
    absurd = (AlternativeInput(kind="quantise", start_cost=1e300, cost_per_month=1),)
    assumptions, evidence = good(alternatives=absurd)
    assert only(assumptions, evidence, "alternatives[0].start_cost")


@pytest.mark.parametrize("amount", [1e30, -1e300, 1.7e308])
def test_a_figure_of_hundreds_of_digits_is_refused_in_a_sentence_that_can_be_read(amount: float) -> None:
    assumptions, evidence = good()
    for given in (answer(assumptions, "gpu_price_per_hour", amount), answer(assumptions, "spare_machines", amount)):
        for problem in check_assumptions(given, evidence):
            assert len(render(problem.message, "ja")) < 200
            assert "e+" in render(problem.message, "en")
    with pytest.raises(InputError, match=r"e\+"):
        make_case(evidence, answer(assumptions, "other_start_cost", amount))


def test_requests_and_rates_of_hundreds_of_digits_are_refused_too() -> None:
    many = (SliceVolume(name="a", requests_per_month=1e300), SliceVolume(name="b", requests_per_month=1.0, new_tokens=1e300))
    assumptions, evidence = good(slices=many, rates=(ExchangeRate(currency="USD", per_unit=1e300, as_of="2026-11-20", source="x"),))
    problems = check_assumptions(assumptions, evidence)
    assert {problem.field for problem in problems} == {"rates.USD", "slices[0].requests_per_month", "slices[1].new_tokens"}
    assert all("e+300" in render(problem.message, "ja") for problem in problems)
