"""The first sentence of ROI, Stages and Briefing, in its good form and in every bad one, in both languages."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.contracts import (
    BreakEven,
    Buckets,
    BusinessCase,
    Estimate,
    Guardrail,
    GuardrailResult,
    MachineNeed,
    Machines,
    Message,
    MonitoredLimit,
    Spread,
    StageAdvice,
    Standing,
)
from analysis.i18n import LANGUAGES, Language, render
from analysis.planning import parse_guardrail
from analysis.reporting import headlines, headlines_business
from analysis.reporting.briefing import make_briefing
from tests.business_builders import make_assumptions, make_case, make_evidence, make_rollout


def changed(case: BusinessCase, **result: Any) -> BusinessCase:
    return case.model_copy(update={"result": case.result.model_copy(update=result)})


def limit_result(text: str = "perplexity<=+5%", verdict: Any = "outside", value: float = 49.0) -> GuardrailResult:
    guardrail: Guardrail = parse_guardrail(text)
    return GuardrailResult(
        guardrail=guardrail, verdict=verdict, measured=Estimate(value=value, low=value - 9, high=value + 9), n=84, reason=Message(id="x")
    )


def test_the_saving_its_range_and_the_payback_are_one_sentence() -> None:
    case = make_case()
    assert render(headlines.roi(case), "en") == (
        "Saves about 100,000 JPY a month (40,000 to 150,000 JPY) and pays back in 7 months; in 83 of 100 simulated cases within 36 months."
    )
    assert render(headlines.roi(case), "ja") == (
        "月約10万円の削減（4〜15万円）、回収は7か月の見込みです。条件を変えた試算100通りのうち83通りが36か月以内に回収します。"
    )


@pytest.mark.parametrize(
    ("kind", "value", "english", "japanese"),
    [
        ("requests", 90_000.0, "would from 90,000 requests a month", "月90,000件から採算が合います"),
        ("bill", 2_400_000.0, "At this bill it never pays back; it would from about 2,400,000 JPY", "月約240万円から採算が合います"),
        ("runs", 4.21, "it would from 4.3 a month", "月4.3回から採算が合います"),
        ("requests", None, "at any amount of work", "どの業務量でも"),
    ],
)
def test_never_is_said_with_the_amount_from_which_it_would(kind: Any, value: float | None, english: str, japanese: str) -> None:
    case = changed(make_case(pays=False), break_even=BreakEven(kind=kind, value=value, today=1.0), net_per_month=-40_000.0)
    assert english in render(headlines.roi(case), "en")
    assert japanese in render(headlines.roi(case), "ja")


def test_an_amount_from_which_it_pays_is_rounded_up() -> None:
    assert headlines_business.rounded_up(90_001, "en") == "91,000"
    assert headlines_business.rounded_up(4.21, "en") == "4.3"


def test_a_saving_that_does_not_pay_for_the_start_says_so() -> None:
    case = changed(make_case(), payback_months=None, payback_reason=Message(id="not within 120 months"))
    assert "does not pay for the start within 10 years" in render(headlines.roi(case), "en")
    assert "初期費用を回収できません" in render(headlines.roi(case), "ja")


@pytest.mark.parametrize(
    ("ends", "english", "japanese"),
    [
        ((60_000.0, 150_000.0), "5 to 12% of the cost", "費用の5〜12%減"),
        ((-36_000.0, 120_000.0), "between 3% more and 10% less", "3%増〜10%減"),
        ((-150_000.0, -60_000.0), "5 to 12% more than today's cost", "5〜12%増"),
    ],
)
def test_a_projection_alone_is_a_range_of_the_cost_and_nothing_finer(ends: tuple[float, float], english: str, japanese: str) -> None:
    case = make_case(standing="rough")
    simulation = case.result.simulation.model_copy(update={"net_per_month": Spread(p10=ends[0], p50=sum(ends) / 2, p90=ends[1])})
    case = changed(case, simulation=simulation, net_per_month=sum(ends) / 2)
    said = render(headlines_business.rough(case), "en")
    assert said.startswith("Rough estimate before any test")
    assert english in said
    assert japanese in render(headlines_business.rough(case), "ja")


@pytest.mark.parametrize("kind", ["training", "serving"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_missed_limit_is_not_recommended_and_names_no_saving(kind: Any, language: Language) -> None:
    evidence = make_evidence(kind, "outside", guardrails=(limit_result(),))
    said = render(headlines.roi(make_case(kind, "outside", evidence=evidence)), language)
    assert said.startswith({"en": "Not recommended", "ja": "推奨しません"}[language])
    assert "JPY" not in said
    assert "円" not in said
    assert "49%" in said
    assert {"en": "quality loss", "ja": "品質の低下"}[language] in said


def test_a_trial_that_kept_too_little_names_the_gain() -> None:
    said = render(headlines.roi(make_case("training", "outside")), "en")
    assert said == "Not recommended: gain kept in the trial came out at 62%, and the limit was at least 90%."


def test_an_open_verdict_is_said_before_the_saving() -> None:
    assert render(headlines.roi(make_case(standing="undecided")), "en").startswith("Not decided yet")


@pytest.mark.parametrize("count_capacity", [True, False])
def test_freed_capacity_that_is_not_counted_is_not_part_of_the_saving(count_capacity: bool) -> None:
    case = make_case(assumptions=make_assumptions(count_capacity=count_capacity))
    buckets = Buckets(cash=90_000, avoided=30_000, freed=36_000)
    case = changed(case, buckets=buckets, running_per_month=0.0)
    said = render(headlines.roi_buckets(case), "en")
    if count_capacity:
        assert (
            said
            == "Of this, 90,000 JPY is cash, 30,000 JPY a purchase avoided, 40,000 JPY freed capacity that is worth money only if used."
        )
    else:
        assert said.endswith("40,000 JPY more of freed capacity is not counted, because it is worth money only if used.")
        assert "算入していません" in render(headlines.roi_buckets(case), "ja")


def test_running_costs_are_named_where_the_parts_are_more_than_the_saving() -> None:
    said = render(headlines.roi_buckets(make_case()), "en")
    assert said.startswith("Before upkeep of 60,000 JPY a month, 160,000 JPY is cash")
    assert "Of this" not in said


def test_machines_that_stay_are_said() -> None:
    need = MachineNeed(by_throughput=2.4, by_memory=1, whole=4)
    case = make_case("serving", assumptions=make_assumptions("serving", place="own"))
    case = changed(case, machines=Machines(today=need, plan=need, headroom=0.18))
    assert render(headlines.roi_buckets(case), "en").startswith("Still 4 machines; 18% more headroom.")
    assert render(headlines.roi_buckets(case), "ja").startswith("台数は4台のまま変わりません。余力が18%増えます。")


def advice(verdict: Any = "within", advice: Any = "go", days: int = 14) -> StageAdvice:
    guardrail = parse_guardrail("perplexity<=+5%")
    limit = MonitoredLimit(guardrail=guardrail, verdict=verdict, measured=Estimate(value=1.0), n=40, reason=Message(id="x"))
    return StageAdvice(stage=1, advice=advice, reasons=(Message(id="x"),), limits=(limit,), days=days, days_wanted=14, days_held=days)


def late_miss() -> StageAdvice:
    """Within its limit over all days, but outside on the newest two: the stop rule."""
    found = advice("within", "roll_back", 20)
    limits = tuple(one.model_copy(update={"first_missed_on": "2026-11-19"}) for one in found.limits)
    return found.model_copy(update={"limits": limits, "days_held": 0})


def running() -> Any:
    rollout = make_rollout()
    return rollout.model_copy(update={"stages": (rollout.stages[0].model_copy(update={"state": "running"}), *rollout.stages[1:])})


@pytest.mark.parametrize(
    ("given", "english", "japanese"),
    [
        (advice(), "All limits held for 14 days: go on.", "14日間基準内です。判断：次の段階へ"),
        (advice("outside", "roll_back"), "A limit was missed (Quality loss: at most +5%): roll back.", "基準外があります"),
        (
            advice("undecided", "hold", 3),
            "No limit was missed on 3 days, but they are too few to decide: hold.",
            "判断にはデータが足りません",
        ),
        (late_miss(), "A limit was missed (Quality loss: at most +5%): roll back.", "基準外があります"),
        (advice(days=0), "There are no days of monitoring yet", "監視データがまだありません"),
        (None, "There are no days of monitoring yet", "監視データがまだありません"),
    ],
)
def test_the_running_stage_says_what_the_days_advise(given: StageAdvice | None, english: str, japanese: str) -> None:
    said = render(headlines.stages(running(), given), "en")
    assert said.startswith("Stage 1 of 3: order entry and maintenance logs, 15% lighter, 20% of their requests.")
    assert english in said
    assert japanese in render(headlines.stages(running(), given), "ja")


@pytest.mark.parametrize(
    ("state", "said"), [("passed", "All 3 stages are passed."), ("stopped", "stopped"), ("rolled_back", "rolled back")]
)
def test_a_rollout_at_its_end_says_how_it_ended(state: Any, said: str) -> None:
    rollout = make_rollout()
    ended = rollout.model_copy(update={"stages": tuple(stage.model_copy(update={"state": state}) for stage in rollout.stages)})
    assert said in render(headlines.stages(ended), "en")


def test_a_stage_to_come_has_not_started() -> None:
    assert render(headlines.stages(make_rollout()), "en").endswith("It has not started yet.")


@pytest.mark.parametrize("standing", ["measured", "undecided", "rough", "outside"])
def test_the_briefing_counts_its_figures_and_says_its_banner_first(standing: Standing) -> None:
    made = make_briefing(make_case(standing=standing), "ja")
    said = render(headlines.briefing(made), "ja")
    assert f"実測{made.counts.measured}件" in said
    assert said.startswith("A4で1枚") == (standing == "measured")
    if made.banner is not None:
        assert said.startswith(made.banner.rstrip("。"))


def test_a_slice_of_ones_own_is_called_what_the_file_calls_it() -> None:
    assert render(headlines_business.slices_words(("order entry", "{odd} name")), "ja") == "受注入力、{odd} name"
    assert render(headlines_business.slices_words(()), "ja") == "全区分"
