"""Plan against actual: causes that add up, a payback that moves the right way, and months that do not fit said in words."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.contracts import ActualRow, Assumption, BusinessCase
from analysis.economics.actuals import actuals_csv, against, read_actuals, review, with_actuals
from analysis.economics.case import make_case
from analysis.economics.defaults import default_assumptions
from analysis.economics.figures import base_figures
from analysis.economics.flows import flows
from analysis.errors import InputError
from analysis.i18n import LANGUAGES, render
from tests.business_builders import make_case as make_written_case
from tests.business_builders import make_evidence, make_rollout

TODAY = date(2026, 11, 22)
PRICE = 500.0


def cloud_case(kind: Any = "serving", **changes: Any) -> BusinessCase:
    """Paid by the hour: five million requests a month and slice at 500 yen a GPU hour, growing by a fifth a year."""
    evidence = make_evidence(kind)
    begun = default_assumptions(evidence, None, today=TODAY)
    values = {
        **begun.values,
        "gpu_price_per_hour": Assumption(value=PRICE, currency="JPY"),
        "growth_percent_per_year": Assumption(value=20, low=0, high=30),
        "training_gpu_hours_per_run": Assumption(value=2000),
    }
    slices = tuple(entry.model_copy(update={"requests_per_month": 5e6}) for entry in begun.slices)
    given = {"basis": "volume", "place": "cloud", "starts_on": "2026-12-01", "values": values, "slices": slices}
    return make_case(evidence, begun.model_copy(update={**given, **changes}), draws=200)


@pytest.fixture(scope="module")
def case() -> BusinessCase:
    return cloud_case()


def as_planned(case: BusinessCase, n: int = 4, *, hours: bool = True) -> tuple[ActualRow, ...]:
    """Months that go exactly as planned."""
    found = flows(case.assumptions, case.evidence, base_figures(case.assumptions, case.evidence))
    cost = found.today - found.cash - found.avoided
    volume = sum(entry.requests_per_month for entry in case.assumptions.slices)
    months = [f"{2026 + (11 + place) // 12}-{(11 + place) % 12 + 1:02d}" for place in range(n)]
    return tuple(
        ActualRow(
            month=month,
            bill=float(cost[place]),
            requests=volume * float(found.growth[place]),
            gpu_hours=float(cost[place]) / PRICE if hours else None,
        )
        for place, month in enumerate(months)
    )


def test_months_as_planned_change_nothing(case: BusinessCase) -> None:
    found = against(case, as_planned(case))
    assert found.new_payback_months == pytest.approx(case.result.payback_months)
    assert found.planned_payback_months == case.result.payback_months
    for month in found.months:
        assert (month.volume, month.price, month.effect) == pytest.approx((0, 0, 0), abs=1e-6 * month.planned_cost)
        assert month.actual_saving == pytest.approx(month.planned_saving)
    assert "as planned" in render(found.reason, "en")


def test_more_requests_are_a_matter_of_volume_alone(case: BusinessCase) -> None:
    more = [
        row.model_copy(update={"requests": 1.1 * row.requests, "bill": 1.1 * row.bill, "gpu_hours": 1.1 * (row.gpu_hours or 0)})
        for row in as_planned(case)
    ]
    for month in against(case, more).months:
        assert month.volume == pytest.approx(0.1 * month.planned_cost)
        assert (month.price, month.effect) == pytest.approx((0, 0), abs=1e-6 * month.planned_cost)
        assert month.actual_saving == pytest.approx(1.1 * month.planned_saving)  # the same share of more work


def test_a_dearer_hour_is_a_matter_of_price_alone(case: BusinessCase) -> None:
    dearer = [row.model_copy(update={"bill": 1.2 * row.bill}) for row in as_planned(case)]
    for month in against(case, dearer).months:
        assert month.price == pytest.approx(0.2 * month.planned_cost)
        assert (month.volume, month.effect) == pytest.approx((0, 0), abs=1e-6 * month.planned_cost)
        assert month.actual_saving == pytest.approx(1.2 * month.planned_saving)


def test_a_plan_that_saves_nothing_is_a_matter_of_effect_alone(case: BusinessCase) -> None:
    planned = against(case, as_planned(case)).months
    nothing = [
        row.model_copy(update={"bill": row.bill + month.planned_saving, "gpu_hours": (row.bill + month.planned_saving) / PRICE})
        for row, month in zip(as_planned(case), planned, strict=True)
    ]
    found = against(case, nothing)
    for month in found.months:
        assert month.effect == pytest.approx(month.planned_saving)
        assert month.actual_saving == pytest.approx(0, abs=1e-6 * month.planned_cost)
    assert (found.new_payback_months or 0) > (found.planned_payback_months or 0)


def test_without_gpu_hours_the_price_stays_inside_the_effect_and_that_is_said(case: BusinessCase) -> None:
    dearer = [row.model_copy(update={"bill": 1.2 * row.bill}) for row in as_planned(case, hours=False)]
    found = against(case, dearer)
    assert [month.price for month in found.months] == [None] * 4
    assert found.months[0].effect == pytest.approx(0.2 * found.months[0].planned_cost)
    assert "cannot be told apart without GPU hours" in render(found.reason, "en")
    assert "単価と効果は分けられません" in render(found.reason, "ja")


FACTOR = st.floats(0.0, 5.0)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(FACTOR, FACTOR, st.none() | st.just(0.0) | st.floats(0.01, 5.0)), min_size=1, max_size=6))
def test_the_causes_always_add_up_to_the_difference(case: BusinessCase, factors: list[tuple[float, float, float | None]]) -> None:
    rows = [
        row.model_copy(
            update={"bill": a * row.bill, "requests": b * row.requests, "gpu_hours": None if c is None else c * (row.gpu_hours or 0)}
        )
        for row, (a, b, c) in zip(as_planned(case, len(factors)), factors, strict=True)
    ]
    for month in against(case, rows).months:
        assert month.volume + (month.price or 0) + month.effect == pytest.approx(month.difference, abs=1e-9 * month.planned_cost)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.2, 3.0), st.floats(0.0, 1.0))
def test_a_lower_bill_never_lengthens_the_payback(case: BusinessCase, factor: float, less: float) -> None:
    def months(times: float) -> float:
        rows = [row.model_copy(update={"bill": times * row.bill}) for row in as_planned(case, hours=False)]
        found = against(case, rows).new_payback_months
        return 1e9 if found is None else found

    assert months(factor * less) <= months(factor) + 1e-9


def test_fine_tuning_does_not_follow_requests() -> None:
    case = cloud_case("training")
    rows = [row.model_copy(update={"requests": 99 * row.requests, "bill": 1.5 * row.bill}) for row in as_planned(case, hours=False)]
    found = against(case, rows)
    assert [month.volume for month in found.months] == [0] * 4
    assert "does not follow the requests" in render(found.reason, "en")


def test_the_fixed_part_of_a_bill_does_not_follow_requests() -> None:
    values = {
        "bill_serving_per_month": Assumption(value=1_000_000, currency="JPY"),
        "bill_variable_percent": Assumption(value=70),
        "rollout_months": Assumption(value=1),
    }
    case = cloud_case(basis="bill", values={**cloud_case().assumptions.values, **values, "growth_percent_per_year": Assumption(value=0)})
    row = ActualRow(month="2026-12", bill=1_000_000, requests=8e7)  # twice the planned requests
    month = against(case, [row]).months[0]
    assert month.volume == pytest.approx(month.planned_cost - 300_000)


def test_machines_that_are_paid_whatever_is_used_do_not_follow_requests() -> None:
    values = {"gpus_per_machine": Assumption(value=8), "gpu_memory_gib": Assumption(value=141), "peak_factor": Assumption(value=3)}
    base = cloud_case()
    held = base.assumptions.model_copy(
        update={"place": "reserved", "values": {**base.assumptions.values, **values}, "contract_ends_on": "2027-03-31"}
    )
    case = base.model_copy(update={"assumptions": held})
    rows = [row.model_copy(update={"requests": 2 * row.requests}) for row in as_planned(case)]
    for month in against(case, rows).months:
        assert (month.volume, month.price) == (pytest.approx(0), None)


def test_a_case_that_was_written_by_hand_has_its_answer_too() -> None:
    found = against(make_written_case(), [ActualRow(month="2026-12", bill=1_100_000, requests=12_000)])
    assert found.planned_payback_months == pytest.approx(6.25)
    assert found.review_on == make_rollout().review_on
    never = against(make_written_case(pays=False), [ActualRow(month="2026-12", bill=1_100_000, requests=12_000)])
    assert never.new_payback_months is None


@pytest.mark.parametrize(
    ("months", "said"),
    [
        ((), "no month of the real bill"),
        (("2026-12", "2027-02"), "without a gap"),
        (("2027-01", "2026-12"), "in order"),
        (("2026-12", "2026-12"), "once"),
        (("2026-11",), "the case begins in 2026-12"),
        (("2040-01",), "looks at 120 months"),
    ],
)
def test_months_that_do_not_fit_are_said(case: BusinessCase, months: tuple[str, ...], said: str) -> None:
    rows = [ActualRow(month=month, bill=1, requests=1) for month in months]
    with pytest.raises(InputError, match=said) as caught:
        against(case, rows)
    assert "{" not in render(caught.value.message, "ja")


@pytest.mark.parametrize(
    ("month", "hours", "said"),
    [
        ("2027-02", None, "from 2026-12 to 2027-02"),
        ("2026-10", None, "from 2026-10 to 2026-12"),
        ("2027-01", 1e-9, "Check the hours"),
    ],
)
def test_months_that_could_never_be_compared_are_not_kept(case: BusinessCase, month: str, hours: float | None, said: str) -> None:
    """What is stored is never taken out again, so it is refused before."""
    first = with_actuals(make_rollout(), [ActualRow(month="2026-12", bill=1e6, requests=1)], case)
    with pytest.raises(InputError, match=said):
        with_actuals(first, [ActualRow(month=month, bill=1e6, requests=1, gpu_hours=hours)], case)
    with pytest.raises(InputError, match="the case begins in 2026-12"):
        with_actuals(make_rollout(), [ActualRow(month="2026-11", bill=1, requests=1)], case)


def test_a_review_is_announced_and_said_to_be_due() -> None:
    assert review("", TODAY) is None
    later, due = review("2027-06-01", TODAY), review("2026-11-22", TODAY)
    assert later is not None
    assert due is not None
    assert "Review: 2027-06-01" in render(later, "en")
    assert "was due on 2026-11-22" in render(due, "en")
    assert "2026-11-22" in render(due, "ja")


def test_the_sums_of_the_sentence_add_up_when_some_months_lack_their_hours(case: BusinessCase) -> None:
    rows = [row.model_copy(update={"bill": 1.1 * row.bill}) for row in as_planned(case)]
    rows[0] = rows[0].model_copy(update={"gpu_hours": None})
    found = against(case, rows)
    values = found.reason.values
    assert values["volume"] + values["rest"] == pytest.approx(sum(one.difference for one in found.months), abs=1)  # type: ignore[operator]
    assert "by price and effect" in render(found.reason, "en")


def test_one_month_is_no_months_and_nothing_is_minus_nothing(case: BusinessCase) -> None:
    dearer = [
        row.model_copy(update={"bill": 1.2 * row.bill, "requests": 1.2 * row.requests, "gpu_hours": 1.2 * (row.gpu_hours or 0)})
        for row in as_planned(case, 1)
    ]
    said = render(against(case, dearer).reason, "en")
    assert said.startswith("Over 1 month ")
    assert "-0 " not in said
    assert "1か月の費用は" in render(against(case, dearer).reason, "ja")


def test_a_month_in_which_nothing_ran_is_a_matter_of_volume(case: BusinessCase) -> None:
    still = [row.model_copy(update={"bill": 0.0, "requests": 0.0, "gpu_hours": 0.0}) for row in as_planned(case, 1)]
    month = against(case, still).months[0]
    assert (month.price, month.volume) == (0.0, pytest.approx(month.difference))


def test_hours_that_cannot_be_are_said(case: BusinessCase) -> None:
    row = as_planned(case)[0].model_copy(update={"gpu_hours": 1e-3})
    with pytest.raises(InputError, match="more than 1000 times as dear as planned"):
        against(case, [row])


def test_a_case_without_a_start_cannot_be_compared() -> None:
    case = make_written_case()
    undated = case.model_copy(update={"assumptions": case.assumptions.model_copy(update={"starts_on": ""})})
    with pytest.raises(InputError, match="no first month"):
        against(undated, [ActualRow(month="2026-12", bill=1, requests=1)])


def test_months_before_the_first_bill_count_as_planned(case: BusinessCase) -> None:
    late = as_planned(case)[2:]
    assert against(case, late).new_payback_months == pytest.approx(case.result.payback_months)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("hours", [True, False])
def test_the_finding_is_a_sentence_in_both_languages(case: BusinessCase, language: Any, factor: float, hours: bool) -> None:
    rows = [row.model_copy(update={"bill": factor * row.bill}) for row in as_planned(case, hours=hours)]
    said = render(against(case, rows).reason, language)
    assert "{" not in said
    assert said.endswith("。" if language == "ja" else ".")


# --- the file


def read(text: str, **given: Any) -> tuple[ActualRow, ...]:
    return read_actuals(text.encode("cp932"), "bill.csv", **given)


def test_a_bill_in_thousands_of_yen_is_read() -> None:
    rows = read('年月,請求額（千円）,件数,GPU時間\n2026年12月,"1,150",１２０００,1,600.5\n'.replace("1,600.5", "1600.5"), currency="JPY")
    assert rows == (ActualRow(month="2026-12", bill=1_150_000, requests=12_000, gpu_hours=1600.5),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("month,bill,requests\n2026-12,1,1\n2027-02,1,1\n", "line 3, column month: the month 2027-01 is missing"),
        ("month,bill,requests\n2026-12,1,1\n2026-11,1,1\n", "2026-11 comes after 2026-12"),
        ("month,bill,requests\n2026-12,1,1\n2026/12,1,1\n", "2026-12 stands there twice"),
        ("month,bill,requests\n2026-12,$100,1\n", "column bill: the bill is in USD; the case is in JPY"),
        ("month,bill (EUR),requests\n2026-12,100,1\n", "is in EUR"),
        ("month,bill,requests,currency\n2026-12,100,1,usd\n", "is in USD"),
        ("month,bill,requests,currency\n2026-12,100,1,GBP\n", 'column currency: "GBP" is not a currency'),
        ("month,bill（税込）,requests\n2026-12,100,1\n", "cannot be in 税込"),
        ("月,請求額,件数\n2026-12,100円,1\n合計,100円,1\n", "line 3: 合計 sums up other lines"),
        ("month,bill,requests\n2026-12,-5,1\n", "0 or more"),
        ("month,bill\n2026-12,5\n", "columns are missing: requests"),
    ],
)
def test_a_bill_that_does_not_fit_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text, currency="JPY")
    assert said in render(caught.value.message, "en")
    assert "{" not in render(caught.value.message, "ja")


def test_requests_in_thousands_are_read() -> None:
    assert read("month,bill,requests（千件）\n2026-12,100,1.5\n")[0].requests == 1500


def test_two_currencies_in_one_file_are_refused() -> None:
    with pytest.raises(InputError, match="is in USD; the case is in JPY"):
        read("月,請求額,件数\n2026年12月,100円,1\n2027年1月,$100,1\n")


def test_months_survive_a_round_trip_and_a_newer_import_replaces_one() -> None:
    rows = (ActualRow(month="2026-12", bill=1.5, requests=2), ActualRow(month="2027-01", bill=3, requests=4, gpu_hours=5.25))
    assert read_actuals(actuals_csv(rows).encode(), "bill.csv") == rows
    rollout = with_actuals(with_actuals(make_rollout(), rows), [ActualRow(month="2027-01", bill=9, requests=4)])
    assert [row.bill for row in rollout.actuals] == [1.5, 9]
