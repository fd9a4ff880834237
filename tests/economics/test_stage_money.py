"""Money of the stages: shares of full use, what is at stake before each decision, errors that more requests bring."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.contracts import Assumptions, CaseEvidence, Estimate, QualityEvidence, SliceVolume, Stage, StageMoney, StartCost
from analysis.economics.plan_share import planned_share, reach, share_of_full_use
from analysis.economics.stage_money import FullUse, stage_money
from analysis.economics.stages import default_rollout
from tests.business_builders import make_assumptions, make_evidence, make_rollout

START = StartCost(total=640_000, external=40_000, internal=600_000, days=15)
FULL = FullUse((100_000.0,), START, 60_000)
TODAY = date(2026, 11, 22)


def stage(number: int = 1, weeks: float = 4, **changes: Any) -> Stage:
    given: dict[str, Any] = {"number": number, "compression": 1.0, "slices": (), "traffic": 1.0, "weeks": weeks}
    return Stage(**(given | changes))


def money(*stages: Stage, full: FullUse = FULL, evidence: CaseEvidence | None = None, assumptions: Assumptions | None = None) -> Any:
    rollout = make_rollout(stages=stages)
    return stage_money(evidence or make_evidence("serving"), assumptions or make_assumptions("serving"), rollout, full)


def test_a_month_of_full_use_saves_a_month_of_full_saving() -> None:
    found: tuple[StageMoney, ...] = money(stage(weeks=31 / 7))
    assert found[0].saving == pytest.approx(100_000)
    assert found[0].starts_on == "2026-12-01"


def test_savings_of_months_of_different_worth_are_taken_by_their_days() -> None:
    full = FullUse((0.0, 310_000.0), START, 0)  # nothing is really paid less before January
    assert money(stage(weeks=6), full=full)[0].saving == pytest.approx(310_000 * 11 / 31)  # 42 days from 1 December


def test_the_last_known_month_holds_for_later_ones_and_nothing_comes_before_the_first() -> None:
    late = FULL.between(date(2040, 1, 1), date(2040, 2, 1), date(2026, 12, 1))
    early = FULL.between(date(2026, 10, 1), date(2026, 12, 1), date(2026, 12, 1))
    assert (late, early) == (pytest.approx(100_000), 0)
    assert FullUse((), START, 0).between(date(2026, 12, 1), date(2027, 12, 1), date(2026, 12, 1)) == 0


@given(st.dates(date(2026, 12, 1), date(2028, 1, 1)), st.integers(0, 300), st.integers(0, 300), st.lists(st.floats(0, 1e6), min_size=1))
def test_two_periods_save_what_the_whole_one_saves(first: date, a: int, b: int, saving: list[float]) -> None:
    full, begins = FullUse(saving, START, 0), date(2026, 12, 1)
    middle, last = date.fromordinal(first.toordinal() + a), date.fromordinal(first.toordinal() + a + b)
    parts = full.between(first, middle, begins) + full.between(middle, last, begins)
    assert parts == pytest.approx(full.between(first, last, begins), abs=1e-3)


def test_a_stage_brings_its_share_of_volume_traffic_and_lightness() -> None:
    slices = (SliceVolume(name="a", requests_per_month=300), SliceVolume(name="b", requests_per_month=100))
    evidence = make_evidence("serving", "rough", projected_saving=(0.1, 0.4))
    assert planned_share(evidence) == pytest.approx(0.4)
    half = stage(slices=("a",), traffic=0.5, compression=0.1)
    assert reach(half, slices) == pytest.approx(0.375)
    assert share_of_full_use(half, evidence, slices) == pytest.approx(0.375 / 4)
    assert share_of_full_use(stage(compression=0.9), evidence, slices) == 1.0  # never more than the plan brings
    assert share_of_full_use(stage(), make_evidence("serving", "rough", projected_saving=(0, 0)), slices) == 1.0


def test_how_light_a_plan_is_comes_from_its_largest_busy_measurement() -> None:
    evidence = make_evidence("serving")
    assert evidence.serving is not None
    point = evidence.serving.points[0]
    idle = point.model_copy(update={"batch_size": 64, "waits_for_work": True, "prefill_ms": point.decode_ms})
    both = evidence.serving.model_copy(update={"points": (idle, point)})
    assert planned_share(make_evidence("serving", serving=both)) == pytest.approx(1 - 21.2 / 24.0)
    dearer = point.model_copy(update={"prefill_ms": point.prefill_ms.model_copy(update={"plan": 30.0})})
    assert planned_share(make_evidence("serving", serving=both.model_copy(update={"points": (dearer,)}))) == 0


def test_what_is_paid_to_others_falls_into_the_first_stage_and_people_into_theirs() -> None:
    first, second = money(stage(start_days=12), stage(2, start_days=3))
    watching = 60_000 * first.months
    assert first.cost == pytest.approx(12 * 40_000 + 40_000 + watching)
    assert second.cost == pytest.approx(3 * 40_000 + watching)
    assert (first.at_stake, second.at_stake) == (pytest.approx(first.cost), pytest.approx(first.cost + second.cost))


def test_all_stages_together_cost_what_it_takes_to_begin_and_to_watch() -> None:
    evidence, assumptions = make_evidence("serving"), make_assumptions("serving")
    rollout = default_rollout(evidence, assumptions, today=TODAY)
    found = stage_money(evidence, assumptions, rollout, FULL)
    assert sum(one.cost for one in found) == pytest.approx(START.total + 60_000 * sum(one.months for one in found))
    assert found[0].at_stake < found[-1].at_stake == pytest.approx(sum(one.cost for one in found))
    assert [one.starts_on for one in found] == [one.starts_on for one in rollout.stages]


def test_a_start_without_days_has_no_price_of_a_day() -> None:
    nothing = FullUse((0.0,), StartCost(total=0, external=0, internal=0, days=0), 0)
    assert money(stage(start_days=5), full=nothing)[0].cost == 0


def test_errors_are_those_of_the_requests_that_the_plan_answers() -> None:
    quality = QualityEvidence(accuracy_change=Estimate(value=-0.01, low=-0.05, high=0.03))
    found = money(stage(traffic=0.5), evidence=make_evidence("serving", quality=quality))[0]
    assert found.requests == pytest.approx(12_000 * 0.5 * found.months)
    assert found.extra_errors == pytest.approx(0.01 * found.requests)
    assert found.extra_errors_high == pytest.approx(0.05 * found.requests)


@pytest.mark.parametrize(
    ("change", "errors", "most"),
    [
        (None, None, None),
        (Estimate(value=None), None, None),
        (Estimate(value=0.02, low=0.01, high=0.03), 0, 0),
        (Estimate(value=-0.02), 1, None),
    ],
)
def test_unknown_errors_stay_unknown_and_fewer_errors_count_as_none(
    change: Estimate | None, errors: float | None, most: float | None
) -> None:
    found = money(stage(), evidence=make_evidence("serving", quality=QualityEvidence(accuracy_change=change)))[0]
    assert (found.extra_errors is None) == (errors is None)
    assert (found.extra_errors_high is None) == (most is None)
    if errors == 0:
        assert (found.extra_errors, found.extra_errors_high) == (0, 0)


def test_without_any_date_a_rollout_begins_with_the_next_month() -> None:
    rollout = make_rollout(starts_on="", stages=(stage(),))
    found = stage_money(make_evidence(), make_assumptions(starts_on=""), rollout, FULL, today=TODAY)
    assert found[0].starts_on == "2026-12-01"
