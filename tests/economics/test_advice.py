"""What the days advise: intervals against closed forms, and go, hold, roll back or stop with the figures that say so."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from analysis.contracts import MonitoringRow, Rollout, Stage, StageEvent
from analysis.economics.advice import advise, days_wanted
from analysis.economics.watched import Counted, more_answers, outside_on, see, verdict
from analysis.errors import PlanError
from analysis.i18n import render
from analysis.planning.binomial import paired_change, share, upper_bound
from analysis.planning.guardrails import cases_needed
from analysis.planning.limits import parse_guardrail
from tests.business_builders import make_rollout
from tests.economics.stage_chance import tally

FIRST = date(2026, 12, 1)
Change = Callable[[int], dict[str, Any]]


def rows(days: int, change: Change = lambda day: {}, **fields: Any) -> tuple[MonitoringRow, ...]:
    """Days from the first of December on; `change` says what is different on one."""
    base = {"slice": "mail", "requests": 1000, "on_plan": 200, **fields}
    return tuple(MonitoringRow(**{**base, "date": (FIRST + timedelta(days=day)).isoformat(), **change(day)}) for day in range(days))


def running(*limits: str, monitoring: tuple[MonitoringRow, ...] = (), weeks: float = 4, **changes: Any) -> Rollout:
    stage = Stage(number=1, compression=0.15, slices=("mail",), traffic=0.2, weeks=weeks, guardrails=limits, state="running")
    stages = (stage.model_copy(update=changes), Stage(number=2, compression=0.15, slices=("mail", "code"), traffic=0.5, weeks=4))
    start = StageEvent(stage=1, action="start", who="A. Sato", at="2026-12-01T08:00:00+00:00")
    return make_rollout(stages=stages, events=(start,), monitoring=monitoring)


def said(rollout: Rollout, today: date | None = None, stage: int | None = None) -> tuple[str, str]:
    """The advice and its reasons; every reason also has its Japanese form."""
    newest = max((row.date for row in rollout.monitoring), default=FIRST.isoformat())
    found = advise(rollout, stage, today=today or date.fromisoformat(newest))
    for reason in (*found.reasons, *(limit.reason for limit in found.limits)):
        assert "{" not in render(reason, "ja")
        assert render(reason, "ja") != render(reason, "en")
    return found.advice, " ".join(render(reason, "en") for reason in found.reasons)


# --- one limit


def test_changed_answers_have_the_exact_interval_and_the_bound_that_people_know() -> None:
    seen = see(parse_guardrail("flips<=10%"), rows(10, checked=12, changed=1))
    assert seen.n == 120
    assert seen.estimate.value == pytest.approx(100 * 10 / 120)
    assert seen.estimate.low == pytest.approx(100 * (share(10, 120).low or 0))
    assert seen.estimate.high == pytest.approx(100 * (upper_bound(10, 120) or 0))


def test_no_change_among_critical_cases_leaves_the_known_rate_open() -> None:
    limit = parse_guardrail("flips@critical<=5%")
    for n, found in ((58, "undecided"), (59, "within")):
        assert verdict(limit, see(limit, rows(1, checked=100, critical=n, critical_changed=0))) == found
    assert cases_needed(0.05) == 59


def test_a_day_without_checks_counts_for_nothing() -> None:
    mixed = rows(4, lambda day: {"checked": 30, "changed": 1} if day % 2 else {})
    assert see(parse_guardrail("flips<=10%"), mixed).n == 60


def test_a_slice_has_its_own_figure() -> None:
    both = (*rows(3, checked=10, changed=0), *rows(3, checked=10, changed=5, slice="code"))
    assert see(parse_guardrail("flips@mail<=10%"), both).estimate.value == 0
    assert see(parse_guardrail("flips@code<=10%"), both).estimate.value == 50
    assert see(parse_guardrail("flips@payroll<=10%"), both).missing is not None


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 60), st.data())
def test_right_answers_have_an_interval_that_holds_whichever_answers_changed(n: int, data: st.DataObject) -> None:
    """The file tells how many were wrong on either side; the true pairs are among all that fit, and their interval is inside."""
    lost, won = data.draw(st.integers(0, n // 3)), data.draw(st.integers(0, n // 3))
    both = data.draw(st.integers(0, n - lost - won))
    changed = data.draw(st.integers(lost + won, n))
    day = rows(1, requests=n, on_plan=n, checked=n, wrong=both + lost, wrong_original=both + won, changed=changed)
    seen, true = see(parse_guardrail("accuracy>=-2%"), day).estimate, paired_change(lost, won, n)
    assume(2 * (both + max(lost, won)) <= n)  # most answers are right: beyond that exact intervals narrow again
    assert seen.value == pytest.approx(100 * (won - lost) / n)
    assert seen.low is not None
    assert seen.high is not None
    assert seen.low <= 100 * (true.low or 0) + 1e-9
    assert seen.high >= 100 * (true.high or 0) - 1e-9


def test_where_few_answers_changed_few_can_have_turned_wrong() -> None:
    limit = parse_guardrail("accuracy>=-2%")
    told = see(limit, rows(20, checked=50, wrong=3, wrong_original=3, changed=0)).estimate
    untold = see(limit, rows(20, checked=50, wrong=3, wrong_original=3)).estimate
    assert (told.high or 0) < (untold.high or 0)
    assert (told.low or 0) > (untold.low or 0)


def test_the_share_of_right_answers_can_be_limited_too() -> None:
    seen = see(parse_guardrail("accuracy>=0.9abs"), rows(10, checked=20, wrong=1))
    assert seen.estimate.value == pytest.approx(0.95)
    assert seen.estimate.low == pytest.approx(1 - (share(10, 200).high or 0))


def test_perplexity_is_the_mean_over_days_on_a_log_scale_with_students_t() -> None:
    ratios = [1.01, 1.05, 1.03, 1.02, 1.06]
    seen = see(parse_guardrail("perplexity<=1.10x"), rows(5, lambda day: {"perplexity_ratio": ratios[day]}))
    logs = np.log(ratios)
    half = 2.776445 * logs.std(ddof=1) / math.sqrt(5)  # t, 97.5 %, 4 degrees of freedom
    assert seen.estimate.value == pytest.approx(math.exp(logs.mean()))
    assert seen.estimate.low == pytest.approx(math.exp(logs.mean() - half), rel=1e-4)
    assert seen.estimate.high == pytest.approx(math.exp(logs.mean() + half), rel=1e-4)


def test_the_interval_over_days_holds_the_truth_about_95_times_in_100() -> None:
    random, held, limit = np.random.default_rng(0), 0, parse_guardrail("perplexity<=+5%")
    for _ in range(400):
        drawn = np.exp(random.normal(0.03, 0.02, size=7))
        seen = see(limit, rows(7, lambda day, drawn=drawn: {"perplexity_ratio": float(drawn[day])})).estimate  # type: ignore[misc]
        held += (seen.low or 0) <= 100 * math.expm1(0.03) <= (seen.high or 0)
    assert 0.92 <= held / 400 <= 0.98


def test_one_days_slices_weigh_by_what_the_plan_answered() -> None:
    day = (
        *rows(1, on_plan=300, latency_ms=90, latency_ms_original=100),
        *rows(1, on_plan=100, latency_ms=50, latency_ms_original=100, slice="code"),
    )
    assert see(parse_guardrail("latency_ms<=0.9x"), day).estimate.value == pytest.approx(0.8)
    assert see(parse_guardrail("latency_ms<=-10%"), day).estimate.value == pytest.approx(-20)
    assert see(parse_guardrail("latency_ms<=100abs"), day).estimate.value == pytest.approx(80)


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        ("kl<=0.05", "not among the monitoring's columns"),
        ("perplexity<=8abs", "Write it against the original"),
        ("perplexity@critical<=+5%", "Write it against the original"),
        ("accuracy@critical>=-2%", "flips@critical"),
        ("flips<=10%", "columns checked and changed"),
        ("flips@critical<=5%", "critical and critical_changed"),
        ("accuracy>=-2%", "wrong and wrong_original"),
        ("accuracy>=0.9abs", "checked and wrong"),
        ("perplexity<=+5%", "perplexity_ratio"),
        ("latency_ms<=1.1x", "latency_ms_original"),
    ],
)
def test_a_limit_without_a_figure_says_why_and_is_undecided(limit: str, why: str) -> None:
    seen = see(parse_guardrail(limit), rows(10))
    assert verdict(parse_guardrail(limit), seen) == "undecided"
    assert seen.missing is not None
    assert why in render(seen.missing, "en")
    kind, reason = said(running(limit, monitoring=rows(28)))
    assert kind == "hold"
    assert why in reason


@settings(max_examples=60, deadline=None)
@given(st.integers(5, 300), st.integers(0, 20))
def test_as_many_more_answers_as_are_asked_for_decide_it_and_fewer_do_not(n: int, changed: int) -> None:
    limit = parse_guardrail("flips<=10%")
    seen = see(limit, rows(1, requests=n, on_plan=n, checked=n, changed=min(changed, n)))
    if verdict(limit, seen) != "undecided" or (more := more_answers(limit, seen)) is None:
        return
    assert seen.counted is not None
    for extra, found in ((more, True), (more - 1, False)):
        then = seen.counted.times(n + extra)
        if extra:
            assert ((upper_bound(then.against, then.n) or 1) <= 0.1) is found


def test_a_rate_above_the_limit_asks_for_no_more_answers() -> None:
    limit = parse_guardrail("flips<=10%")
    assert more_answers(limit, see(limit, rows(1, checked=100, changed=12))) is None
    assert Counted(100, 12).times(200) == Counted(200, 24)


# --- the advice


GOOD = {"checked": 30, "changed": 1, "perplexity_ratio": 1.01}
LIMITS = ("flips<=10%", "perplexity<=+5%")


def test_go_when_the_days_are_over_and_every_limit_is_within() -> None:
    found = advise(running(*LIMITS, monitoring=rows(28, **GOOD)), today=date(2026, 12, 28))
    assert found.advice == "go"
    assert (found.days, found.days_wanted, found.days_held, found.as_of) == (28, 20, 28, "2026-12-28")
    assert [limit.verdict for limit in found.limits] == ["within", "within"]
    assert "All 2 limits are within after 28 days" in render(found.reasons[0], "en")


def test_working_days_alone_are_enough() -> None:
    monitoring = tuple(row for row in rows(28, **GOOD) if date.fromisoformat(row.date).weekday() < 5)
    assert len(monitoring) == days_wanted(4) == 20
    assert said(running(*LIMITS, monitoring=monitoring))[0] == "go"


def test_hold_until_the_days_are_over() -> None:
    kind, reason = said(running(*LIMITS, monitoring=rows(12, **GOOD)))
    assert (kind, "12 of 20 days with data so far; 8 more" in reason) == ("hold", True)
    kind, reason = said(running(*LIMITS, monitoring=rows(21, **GOOD)))
    assert (kind, "21 of 28 days" in reason) == ("hold", True)


def test_hold_when_nothing_is_there_yet() -> None:
    assert said(running(*LIMITS)) == ("hold", "There are no monitoring data of stage 1 yet. Import the days since it began.")
    assert "has not begun" in said(running(*LIMITS, state="planned", monitoring=rows(28, **GOOD)))[1]
    assert "no limit" in said(running(monitoring=rows(28, **GOOD)))[1]


def test_hold_when_too_few_answers_were_checked_and_say_how_many_more() -> None:
    kind, reason = said(running("flips<=10%", monitoring=rows(28, checked=1, changed=0)))
    assert kind == "hold"
    assert "About 1 more checked answers" in reason  # 29 unchanged cases decide 10 %
    assert "checked answers: 28" in reason
    kind, reason = said(running("flips<=10%", monitoring=rows(28, lambda day: {"changed": int(day % 8 == 0)}, checked=1)))
    assert "would not bring it within" in reason


def test_hold_when_the_newest_data_are_old() -> None:
    rollout = running(*LIMITS, monitoring=rows(28, **GOOD))
    assert said(rollout, date(2026, 12, 31))[0] == "go"
    kind, reason = said(rollout, date(2027, 1, 1))
    assert (kind, "4 days old; at most 3" in reason) == ("hold", True)


def test_hold_when_more_and_more_requests_fall_back() -> None:
    rising = rows(28, lambda day: {"fallbacks": 20 if day < 21 else 60}, **GOOD)
    kind, reason = said(running(*LIMITS, monitoring=rising))
    assert (kind, "6 of 100 in the newest week, 2 of 100 before" in reason) == ("hold", True)
    steady = rows(28, lambda day: {"fallbacks": 20 + day % 3}, **GOOD)
    assert said(running(*LIMITS, monitoring=steady))[0] == "go"


def test_hold_when_the_plan_answers_more_than_the_stage_allows() -> None:
    kind, reason = said(running(*LIMITS, monitoring=rows(28, on_plan=500, **GOOD)))
    assert (kind, "answered 50% of the requests; stage 1 allows 20%" in reason) == ("hold", True)
    elsewhere = (*rows(28, **GOOD), *rows(28, slice="code", **GOOD))
    kind, reason = said(running(*LIMITS, monitoring=elsewhere))
    assert (kind, "does not serve: code" in reason) == ("hold", True)


def test_roll_back_when_a_limit_is_outside_on_all_days_together() -> None:
    rollout = running(*LIMITS, monitoring=rows(10, checked=30, changed=6, perplexity_ratio=1.01))
    found = advise(rollout, today=date(2026, 12, 10))
    assert found.advice == "roll_back"
    assert found.limits[0].verdict == "outside"
    assert found.limits[0].first_missed_on is not None
    assert "misses flips<=10%" in render(found.reasons[0], "en")


def test_roll_back_when_a_limit_is_missed_on_two_days_in_a_row_but_not_on_one() -> None:
    one = rows(28, lambda day: {"perplexity_ratio": 1.09 if day == 20 else 1.01 + day % 3 / 1000}, checked=30, changed=1)
    assert said(running(*LIMITS, monitoring=one))[0] == "go"
    two = rows(28, lambda day: {"perplexity_ratio": 1.09 if day in (20, 21) else 1.01 + day % 3 / 1000}, checked=30, changed=1)
    found = advise(running(*LIMITS, monitoring=two), today=date(2026, 12, 28))
    assert found.advice == "roll_back"
    assert "two days in a row: 2026-12-21 and 2026-12-22" in render(found.reasons[0], "en")
    assert (found.limits[1].first_missed_on, found.limits[1].verdict) == ("2026-12-21", "within")
    assert found.days_held == 6


def test_a_day_of_few_checks_is_not_outside_by_chance() -> None:
    limit = parse_guardrail("flips<=10%")
    assert outside_on(limit, rows(2, checked=5, changed=1)) == ()
    assert len(outside_on(limit, rows(2, checked=50, changed=20))) == 2


def test_stop_when_critical_answers_are_outside() -> None:
    bad = rows(28, critical=10, critical_changed=3, **{**GOOD, "changed": 3})
    kind, reason = said(running("flips<=30%", "flips@critical<=5%", monitoring=bad))
    assert kind == "stop"
    assert "Critical answers are outside their limit" in reason
    assert "misses flips@critical<=5%" in reason


def test_another_stages_days_do_not_count() -> None:
    """Stage 2 began on day 28; what happened before was stage 1's."""
    bad_before = rows(50, lambda day: {"perplexity_ratio": 1.2 if day < 28 else 1.01}, checked=30, changed=1, on_plan=400)
    base = running(*LIMITS, monitoring=bad_before)
    stages = tuple(
        stage.model_copy(update={"guardrails": LIMITS, "state": state})
        for stage, state in zip(base.stages, ("passed", "running"), strict=True)
    )
    steps = (("pass", 1, "2026-12-28"), ("approve", 2, "2026-12-28"), ("start", 2, "2026-12-29"))
    events = (*base.events, *(StageEvent(stage=k, action=action, who="A. Sato", at=at) for action, k, at in steps))  # type: ignore[arg-type]
    rollout = base.model_copy(update={"stages": stages, "events": events})
    found = advise(rollout, today=date(2027, 1, 19))
    assert (found.stage, found.days, found.advice) == (2, 22, "hold")
    assert [limit.verdict for limit in found.limits] == ["within", "within"]
    assert advise(rollout, 1, today=date(2027, 1, 19)).advice == "roll_back"


def test_a_stage_that_waits_is_not_judged_by_the_days_of_the_one_that_runs() -> None:
    late = running(*LIMITS, monitoring=rows(60, perplexity_ratio=1.5, checked=30, changed=20))
    stages = (late.stages[0], late.stages[1].model_copy(update={"guardrails": LIMITS, "starts_on": "2026-12-29"}))
    found = advise(late.model_copy(update={"stages": stages}), 2, today=date(2027, 1, 29))
    assert (found.advice, found.days, len(found.reasons)) == ("hold", 0, 1)


def test_the_stage_at_hand_is_the_running_one_or_the_newest_that_began() -> None:
    assert advise(make_rollout(), today=FIRST).stage == 1
    passed = running(*LIMITS, state="passed")
    assert advise(passed, today=FIRST).stage == 1
    with pytest.raises(PlanError, match="no stage 7"):
        advise(passed, 7)


def test_the_same_days_in_another_order_say_the_same() -> None:
    monitoring = rows(28, lambda day: {"perplexity_ratio": 1.01 + day % 4 / 100}, checked=30, changed=1)
    one = advise(running(*LIMITS, monitoring=monitoring), today=date(2026, 12, 28))
    assert advise(running(*LIMITS, monitoring=monitoring[::-1]), today=date(2026, 12, 28)) == one


def test_a_hundred_days_of_many_checks_are_quick_to_judge() -> None:
    monitoring = rows(100, checked=200, changed=5, wrong=3, wrong_original=2, perplexity_ratio=1.02)
    found = advise(running("flips<=10%", "accuracy>=-2%", "perplexity<=+5%", monitoring=monitoring), today=date(2027, 3, 10))
    assert found.limits[0].n == 20_000


# --- a week that is bad now, days that scatter, days and slices that nobody sees


def test_roll_back_when_the_newest_week_is_outside_although_all_days_together_are_not() -> None:
    late = rows(28, lambda day: {"checked": 50, "changed": 1 if day < 21 else 9}, perplexity_ratio=1.01)
    found = advise(running("flips<=10%", monitoring=late), today=date(2026, 12, 28))
    assert (found.advice, found.limits[0].verdict) == ("roll_back", "within")
    assert "since 2026-12-22: 18.0% (" in render(found.reasons[0], "en")
    assert said(running("flips<=10%", monitoring=late))[0] == "roll_back"


def test_hold_when_a_figure_becomes_worse_beyond_chance_and_is_no_longer_within() -> None:
    late = rows(28, lambda day: {"checked": 20, "changed": 0 if day < 21 else 2})
    kind, reason = said(running("flips<=10%", monitoring=late))
    assert (kind, "Getting worse: 10.0% in the newest week, 0.0% before; the limit is flips<=10%" in reason) == ("hold", True)
    slowly = rows(28, lambda day: {"perplexity_ratio": 1.0 + 0.07 * day / 28 + 0.004 * (day % 2)})
    assert said(running("perplexity<=+5%", monitoring=slowly))[0] == "roll_back"


def test_days_that_scatter_around_a_kept_limit_are_no_two_bad_days_in_a_row() -> None:
    scatter = (0.0, 0.06, 0.07, -0.02, 0.01, 0.06, 0.06, -0.01, 0.02, -0.03)
    days = rows(28, lambda day: {"perplexity_ratio": 1.01 + scatter[day % 10] - 0.01})
    assert outside_on(parse_guardrail("perplexity<=+5%"), days) == ()
    assert said(running("perplexity<=+5%", monitoring=days))[0] == "go"
    assert outside_on(parse_guardrail("perplexity<=+5%"), rows(1, perplexity_ratio=1.5)) == ()
    assert len(outside_on(parse_guardrail("perplexity<=+5%"), rows(2, perplexity_ratio=1.5))) == 2


def test_counts_of_any_size_have_their_interval() -> None:
    """Beyond 100,000 events the normal's ends take over, and meet the exact ones there."""
    n, k = 1_000_000, 100_000
    exact, beyond = share(k, n), share(k + 1, n)
    assert beyond.low == pytest.approx(exact.low, rel=1e-4)
    assert beyond.high == pytest.approx(exact.high, rel=1e-4)
    assert upper_bound(k + 1, n) == pytest.approx(upper_bound(k, n), rel=1e-4)
    assert share(n - 5, n).low == pytest.approx(1 - (share(5, n).high or 0), rel=1e-12)
    many = rows(28, requests=10**15, on_plan=10**14, checked=10**14, changed=10**12, wrong=10**13, wrong_original=10**13)
    assert said(running("flips<=10%", "accuracy>=-5%", monitoring=many))[0] == "go"


def test_a_day_on_which_critical_answers_changed_beyond_chance_is_looked_at_first() -> None:
    day = rows(28, lambda day: {"critical": 20, "critical_changed": 5 if day == 25 else 0, "checked": 40, "changed": 5 if day == 25 else 0})
    kind, reason = said(running("flips@critical<=5%", monitoring=day))
    assert (kind, "On 2026-12-26 flips@critical<=5% was missed beyond chance" in reason) == ("hold", True)
    earlier = rows(
        28, lambda day: {"critical": 20, "critical_changed": 5 if day == 5 else 0, "checked": 40, "changed": 5 if day == 5 else 0}
    )
    assert said(running("flips@critical<=5%", monitoring=earlier))[0] == "go"


def test_a_slice_that_nobody_sees_is_not_passed_by_the_others() -> None:
    both = running("flips<=10%", monitoring=rows(28, **GOOD), slices=("mail", "code"))
    kind, reason = said(both)
    assert (kind, "also serves code, but no day shows" in reason) == ("hold", True)
    stopped = (*rows(28, **GOOD), *rows(14, slice="code", **GOOD))
    kind, reason = said(running("flips<=10%", monitoring=stopped, slices=("mail", "code")))
    assert (kind, "The newest 7 days have no line of code" in reason) == ("hold", True)
    quiet = (
        *rows(28, **GOOD),
        *rows(28, lambda day: {} if day < 14 else {"requests": 0, "on_plan": 0, "checked": 0, "changed": 0}, slice="code", **GOOD),
    )
    assert said(running("flips<=10%", monitoring=quiet, slices=("mail", "code")))[0] == "go"


def test_days_in_the_middle_that_are_missing_are_asked_for() -> None:
    gap = tuple(row for place, row in enumerate(rows(28, **GOOD)) if not 10 <= place < 15)
    kind, reason = said(running("flips<=10%", monitoring=gap))
    assert (kind, "no data from 2026-12-11 to 2026-12-15, 5 days" in reason) == ("hold", True)
    weekend = tuple(row for place, row in enumerate(rows(28, **GOOD)) if not 10 <= place < 14)
    assert said(running("flips<=10%", monitoring=weekend))[0] == "go"


@pytest.mark.parametrize("metric", ["flips", "perplexity"])
def test_a_plan_at_half_its_limit_goes_on_and_one_at_twice_goes_back(metric: str) -> None:
    """Loose bounds; bench_stages counts 1,000 stages of each kind."""
    counts = {times: tally(metric, times, 60) for times in (0.5, 1.0, 2.0)}
    assert counts[0.5]["go"] >= 54
    assert counts[0.5]["roll_back"] <= 2
    assert counts[1.0]["go"] <= 12
    assert counts[1.0]["roll_back"] <= 20
    assert counts[2.0]["roll_back"] >= 58
