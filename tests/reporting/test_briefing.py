"""The briefing's words: limits of length, the banner, every variant, what is left out and why, and never an empty gap."""

from __future__ import annotations

import re
import string
from datetime import date
from typing import Any

import pytest

from analysis.contracts import (
    Assumption,
    BreakEven,
    BusinessCase,
    Estimate,
    FlipCount,
    MachineNeed,
    Machines,
    MoneyPair,
    ServingEvidence,
    Spread,
    StageMoney,
    Standing,
    StartCost,
    Swing,
)
from analysis.economics.stage_language import case_in_language
from analysis.economics.stages import default_rollout
from analysis.i18n import LANGUAGES, Language, translator
from analysis.reporting import briefing_questions, briefing_sentences
from analysis.reporting.briefing import all_texts, make_briefing
from analysis.reporting.briefing_assumed import with_unit
from analysis.reporting.briefing_facts import MISSING
from analysis.reporting.briefing_parts import Briefing, Entry
from analysis.reporting.case_csv import tables
from tests.business_builders import make_assumptions, make_case, make_evidence, make_rollout, make_simulation
from tests.reporting.test_headlines_business import changed, limit_result

STANDINGS: tuple[Standing, ...] = ("measured", "undecided", "rough", "outside")
KINDS = ("training", "serving")


def said(made: Briefing, number: int) -> str | None:
    return next((sentence.text for sentence in made.sentences if sentence.number == number), None)


def judged(kind: Any = "serving", standing: Standing = "measured", **more: Any) -> BusinessCase:
    """A case whose limit was set before the test."""
    verdict = {"measured": "within", "outside": "outside"}.get(standing, "undecided")
    evidence = make_evidence(kind, standing, guardrails=(limit_result(verdict=verdict, value=2.1 if standing == "measured" else 49.0),))
    return make_case(kind, standing, evidence=evidence, **more)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("standing", STANDINGS)
@pytest.mark.parametrize("pays", [True, False])
@pytest.mark.parametrize("rollout", [True, False])
def test_nothing_is_left_empty_or_unfilled(kind: Any, standing: Standing, language: Language, pays: bool, rollout: bool) -> None:
    made = make_briefing(make_case(kind, standing, pays=pays, rollout=rollout), language)
    for text in (*all_texts(made), made.ringi):
        assert not re.search(r"[{}]|None|\bnan\b|\(\)|（）|  ", text), text
    assert all(cell for row in made.table for cell in (row.label, row.today, row.after, row.change, row.origin))
    assert all(part.heading for part in made.parts)
    assert [part.number for part in made.parts] == [1, 2, 3, 4, 5, 6, 7]
    assert len(made.points) == 3
    assert len(made.table) == 4
    assert all(answer.answer for answer in made.questions)


@pytest.mark.parametrize(("told", "language"), [("en", "ja"), ("ja", "en")])
def test_stages_proposed_in_one_language_are_told_in_the_other(told: Language, language: Language) -> None:
    evidence, assumptions = make_evidence("serving"), make_assumptions("serving")
    rollout = {code: default_rollout(evidence, assumptions, today=date(2026, 11, 22), language=code) for code in (told, language)}
    case = make_case("serving").model_copy(update={"evidence": evidence, "rollout": rollout[told]})
    same = case.model_copy(update={"rollout": rollout[language]})
    assert make_briefing(case, language) == make_briefing(same, language)
    assert tables(case, language) == tables(same, language)
    assert case_in_language(case, language).rollout == rollout[language]


@pytest.mark.parametrize("language", LANGUAGES)
def test_why_a_sentence_is_left_out_reads_well_between_brackets(language: Language) -> None:
    missing = translator(language)(briefing_sentences.MISSING, what="")
    loss = make_briefing(make_case("serving", pays=False), language)
    thin = make_briefing(make_case("serving", "rough"), language)
    assert [one.why.startswith(missing) for one in loss.dropped if one.number in (5, 8)] == [False, False], "a reason, no missing figure"
    assert any(one.why.startswith(missing) for one in thin.dropped)
    assert not any(one.why.endswith((".", "。")) for one in (*loss.dropped, *thin.dropped))


@pytest.mark.parametrize("standing", STANDINGS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_banner_stands_wherever_the_evidence_does_not_carry_the_case(standing: Standing, language: Language) -> None:
    made = make_briefing(make_case(standing=standing), language, with_texts=True, author="x")
    assert (made.banner is None) == (standing == "measured")
    assert made.ringi.startswith({"en": "Note: ", "ja": "注意："}[language]) == (standing != "measured")


def test_the_sentences_for_the_meeting_are_those_of_the_page_of_words() -> None:
    made = make_briefing(judged(), "en")
    assert [sentence.number for sentence in made.sentences] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert said(made, 1) == (
        "We keep the model we have and stop paying for computation that our own work does not use: 8% of the running cost of the model, "
        "about 100,000 JPY a month."
    )
    assert said(made, 3) == "Quality changed by 2.1% for the worse; the limit we fixed beforehand was at most 5% for the worse."
    assert said(made, 6) == "If a limit is crossed, we are back on the original within 12 minutes; it is never removed."
    japanese = make_briefing(judged(), "ja")
    assert said(japanese, 1) == (
        "モデルは作り直しません。当社の業務で使われていない計算だけを省き、運用費を8%、月におよそ10万円下げる提案です。"
    )
    assert said(japanese, 3) == "品質の変化は2.1%の低下で、事前に決めた基準「低下5%以内」の範囲内です。"
    assert (
        said(japanese, 8)
        == "本日お願いするのは第1段階だけです。2027年6月1日に予定と実績の差を報告し、拡大・維持・中止をご判断いただきます。"
    )


def test_a_freeze_plan_speaks_of_training_and_of_the_gain_kept() -> None:
    made = make_briefing(make_case("training"), "en")
    assert (said(made, 1) or "").startswith("For the next fine-tune we train only the last 25 of 30 layers: ")
    assert said(made, 2) == "The layer was chosen by measuring our own examples; the page shows the curve and the trials beside it."
    assert said(made, 3) == "The trial kept 95% of the improvement that training everything gives."


def test_gpu_hours_of_a_run_are_named_where_they_are_known() -> None:
    assumptions = make_assumptions("training")
    values = {**assumptions.values, "training_runs_per_month": Assumption(value=2)}
    case = make_case("training", assumptions=assumptions.model_copy(update={"values": values}))
    made = make_briefing(changed(case, gpu_hours=MoneyPair(today=100, plan=60)), "en")
    assert (said(made, 1) or "").endswith("20 fewer GPU hours each time, 39,000 JPY a run.")


@pytest.mark.parametrize(
    ("standing", "numbers"), [("outside", [1, 2, 8]), ("rough", [1, 2, 5, 6, 7, 8]), ("undecided", [1, 2, 4, 5, 6, 7, 8])]
)
def test_thin_evidence_changes_what_is_said(standing: Standing, numbers: list[int]) -> None:
    made = make_briefing(judged(standing=standing), "en")
    assert [sentence.number for sentence in made.sentences] == numbers
    assert [one.number for one in made.dropped] == [number for number in range(1, 9) if number not in numbers]
    assert all(one.why for one in made.dropped)


def test_a_projection_says_that_it_is_one_and_asks_only_for_a_test() -> None:
    made = make_briefing(judged(standing="rough"), "ja")
    assert said(made, 2) == "これは最初の計測にもとづく予測です。軽くしたモデルはまだ動かしていません。"
    assert said(made, 8) == "本日お願いするのは検証のための13人日だけです。2027年6月1日に結果を報告します。"


def test_a_missed_limit_says_so_first_and_asks_for_nothing() -> None:
    made = make_briefing(judged(standing="outside"), "en")
    assert said(made, 1) == "We tested it and do not recommend it: quality loss came out at 49%, and our limit was at most 5%."
    assert said(made, 8) == "The next thing worth trying is to quantise only; how many person-days that takes has not been worked out."
    assert made.part("ask").body == ("No approval and no money.",)
    assert made.stages == ()
    assert "600,000" not in " ".join(text for part in made.parts for text in part.body)


def test_a_case_that_never_pays_names_the_volume_from_which_it_would() -> None:
    case = changed(
        make_case("serving", pays=False), net_per_month=-40_000.0, break_even=BreakEven(kind="requests", value=90_000, today=12_000)
    )
    made = make_briefing(case, "en")
    assert said(made, 7) == "At today's volume it does not pay back; it would from 90,000 requests a month."
    assert said(make_briefing(case, "ja"), 7) == "現在の処理量では回収できません。月90,000件以上で採算が合います。"
    assert made.points[0].startswith("Saving: none.")


@pytest.mark.parametrize(
    ("critical", "n_critical", "said_en"),
    [
        (FlipCount(n=12, changed=0, rate=Estimate(value=0.0), upper=0.221), 12, "In 12 critical cases no answer changed."),
        (FlipCount(n=12, changed=3, rate=Estimate(value=0.25), upper=0.53), 12, "In 12 critical cases 3 answers changed"),
        (None, 0, "We have 0 critical cases, too few to judge; we collect 59 before stage 2."),
        (None, 9, None),
    ],
)
def test_critical_cases_are_told_as_they_are(critical: FlipCount | None, n_critical: int, said_en: str | None) -> None:
    evidence = make_evidence("serving")
    evidence = evidence.model_copy(update={"quality": evidence.quality.model_copy(update={"critical": critical}), "n_critical": n_critical})
    made = make_briefing(make_case("serving", evidence=evidence), "en")
    if said_en is None:
        assert "missing: critical cases that were answered" in {one.why for one in made.dropped}
    else:
        assert (said(made, 4) or "").startswith(said_en)


def test_too_few_critical_cases_for_their_limit_are_said() -> None:
    evidence = make_evidence("serving", guardrails=(limit_result("flips@critical<=10%", "within", 0.0),))
    made = make_briefing(make_case("serving", evidence=evidence), "en")
    assert said(made, 4) == "We have 12 critical cases, too few to judge; we collect 29 before stage 2."


def test_a_way_back_that_nobody_rehearsed_is_not_promised() -> None:
    case = make_case().model_copy(update={"rollout": make_rollout(rehearsal=None)})
    made = make_briefing(case, "ja")
    assert made.points[2] == "復帰：元のモデルを残します。切り戻しの所要時間は未確認です。"
    assert said(made, 6) is None
    assert "12分" not in made.ringi
    assert any("予行はまだ" in answer.answer for answer in made.questions)


def test_a_limit_is_set_before_the_test_only_where_its_date_lies_before() -> None:
    before = make_briefing(judged(), "en").points[1]
    late = judged().model_copy(update={"rollout": make_rollout(guardrails_set_on="2026-11-22")})
    assert before.endswith("limit at most 5% for the worse, set on 20 November 2026, before the test.")
    assert "before the test" not in make_briefing(late, "en").points[1]
    assert make_briefing(make_case("serving"), "en").points[1].endswith("no limit was set before the test.")


def test_the_first_risk_is_always_the_critical_cases() -> None:
    made = make_briefing(make_case(), "en")
    assert [risk.concern for risk in made.risks] == [
        "Wrong answers in inspection notes",
        "Quality falls unnoticed",
        "The saving does not appear",
    ]
    assert made.risks[0].limit == "these stay on the full model until stage 3; a person confirms"


def test_of_many_stages_the_middle_ones_share_a_box() -> None:
    rollout = make_rollout()
    middle = rollout.stages[1].model_copy(update={"number": 3, "traffic": 1.0})
    stages = (*rollout.stages[:2], middle, rollout.stages[2].model_copy(update={"number": 4}))
    made = make_briefing(make_case().model_copy(update={"rollout": make_rollout(stages=stages)}), "en")
    assert [box.title for box in made.stages] == ["Stage 1", "Stages 2 to 3", "Stage 4"]
    assert made.stages[1].lines == ("7 slices", "50 to 100% of requests", "12 weeks")


def test_every_figure_has_its_source_and_the_counts_are_theirs() -> None:
    made = make_briefing(make_case(), "en")
    assert all(figure.source and figure.text for figure in made.figures)
    counted = made.counts.measured + made.counts.projected + made.counts.assumed + made.counts.elsewhere
    assert counted == len(made.figures)
    without = [figure.source for figure in made.figures if figure.origin == "assumed" and "no source" in figure.source]
    assert without, "starting values are said to have no source"


def test_a_measurement_of_another_machine_is_marked() -> None:
    evidence = make_evidence("training", origin="elsewhere")
    made = make_briefing(make_case("training", evidence=evidence), "ja")
    assert made.counts.elsewhere > 0
    assert made.table[1].origin == "別機器で実測"


def test_quality_that_nobody_measured_is_not_yet_tested() -> None:
    evidence = make_evidence("serving")
    evidence = evidence.model_copy(update={"quality": evidence.quality.model_copy(update={"quality_change": None})})
    made = make_briefing(make_case("serving", evidence=evidence), "ja")
    assert made.points[1] == "品質：未確認です。"
    assert made.table[2].after == "未確認"


def test_a_sample_says_that_the_figures_are_not_yours() -> None:
    made = make_briefing(make_case(), "en")
    assert "These are the sample's figures, not yours." in made.subtitle
    assert "These are the sample's figures, not yours." in made.ringi
    own = make_case(evidence=make_evidence(is_sample=False), is_sample=False)
    assert "sample" not in make_briefing(own, "en").subtitle


def test_the_workload_is_named_only_when_the_author_asks() -> None:
    case = make_case(evidence=make_evidence(workload_name="customer-mails-of-acme"))
    hidden, shown = make_briefing(case, "en"), make_briefing(case, "en", with_texts=True)
    assert "acme" not in " ".join((*all_texts(hidden), hidden.ringi, *(figure.source for figure in hidden.figures)))
    assert "acme" in " ".join(all_texts(shown))


def test_only_the_terms_that_occur_are_explained() -> None:
    made = make_briefing(make_case(), "ja")
    terms = {entry.term for entry in made.glossary}
    assert "凍結" not in terms or "凍結" in " ".join(all_texts(made))
    assert {"区分", "切り戻し"} <= terms
    assert all(isinstance(entry, Entry) and entry.meaning.endswith("。") for entry in made.glossary if "（例" not in entry.meaning)


def test_all_questions_are_there_in_both_languages() -> None:
    for language in LANGUAGES:
        t = translator(language)
        pairs = [value for value in vars(briefing_questions).values() if isinstance(value, tuple) and len(value) == 2]
        asked = {answer.question for answer in make_briefing(make_case(), language).questions}
        assert {t(question) for question, _ in pairs} == asked
        assert len(asked) == 11


def test_ranges_of_simulated_cases_are_not_called_ninety_percent() -> None:
    answers = " ".join(answer.answer for answer in make_briefing(make_case(), "en").questions)
    assert "in 80 of 100 simulated cases between 3% and 12%" in answers
    assert "90%" not in answers


def test_sentences_that_are_marked_are_all_translated() -> None:
    t = translator("ja")
    marked = [value for name, value in vars(briefing_sentences).items() if name.isupper() and isinstance(value, str)]
    assert len(marked) >= 18
    assert all(t(sentence) != sentence for sentence in marked)


def test_serving_evidence_names_what_is_left_out() -> None:
    case = judged()
    assert isinstance(case.evidence.serving, ServingEvidence)
    short = make_briefing(case, "en").part("short").body[0]
    assert short.startswith(
        "Keep the present model, leave out part of its computation (the attention of layers 19 and 26), and lower the running cost of "
        "the model by 8% (expected: "
    )
    assert short.endswith("We ask for approval of stage 1: 600,000 JPY, 15 person-days.")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "result",
    [
        {"tornado": (), "alternatives": (), "years": (), "stages": ()},
        {"cost": MoneyPair(today=0, plan=0)},
        {"per_training_run": None, "break_even_error_price": None},
        {"start": StartCost(total=0, external=0, internal=0, days=0)},
    ],
    ids=["nothing beside it", "no cost today", "no price", "no start"],
)
def test_what_is_not_known_leaves_no_gap(result: dict[str, Any], language: Language) -> None:
    for kind in KINDS:
        made = make_briefing(changed(make_case(kind), **result), language)
        assert not [text for text in (*all_texts(made), made.ringi) if re.search(r"[{}]|None|\bnan\b|\(\)|（）", text)]


def test_a_case_without_examples_or_slices_is_still_told() -> None:
    evidence = make_evidence("serving", "rough", n_prompts=0, slices=(), n_critical=0)
    made = make_briefing(make_case("serving", "rough", evidence=evidence, rollout=False), "en")
    assert made.part("sources").body[0] == "Projected from a first measurement; seed 0."
    assert "not yet tested" not in made.part("short").body[-1]


@pytest.mark.parametrize("currency", ["USD", "EUR"])
def test_sums_in_another_currency_name_it(currency: Any) -> None:
    case = make_case(assumptions=make_assumptions(currency=currency))
    assert currency in make_briefing(case, "en").points[0]
    assert {"USD": "米ドル", "EUR": "ユーロ"}[currency] in make_briefing(case, "ja").points[0]
    assert "円" not in make_briefing(case, "ja").points[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_plan_that_does_not_pay_back_asks_for_nothing_anywhere(language: Language) -> None:
    case = changed(make_case("serving"), payback_months=None, net_per_month=20_000.0)
    made = make_briefing(case, language)
    nothing = translator(language)("Nothing is asked for today.")
    assert made.part("short").body[-1] == nothing
    assert made.stages == ()
    assert said(made, 8) is None


def test_a_projection_that_does_not_pay_asks_for_no_test() -> None:
    made = make_briefing(make_case("serving", "rough", pays=False), "ja")
    case = changed(make_case("serving", "rough", pays=False), net_per_month=-10_000.0)
    assert made.part("ask").body == make_briefing(case, "ja").part("ask").body == ("承認も予算もお願いしません。",)
    assert "検証のための" not in " ".join(make_briefing(case, "ja").part("short").body)


def test_a_report_without_a_date_leaves_it_out() -> None:
    for standing in ("rough", "undecided"):
        for language in LANGUAGES:
            made = make_briefing(make_case("serving", standing, rollout=False), language)
            assert translator(language)("not yet tested") not in made.part("short").body[-1]


def test_stage_1_and_the_whole_start_are_told_apart() -> None:
    case = make_case("serving")
    money = StageMoney(stage=1, starts_on="2026-12-01", months=0.9, cost=330_000.0, saving=0.0, at_stake=330_000.0, requests=10.0)
    made = make_briefing(changed(case, stages=(money,)), "ja")
    assert made.part("ask").body[:2] == (
        "第1段階：33万円（税抜、期間中の監視を含む）、導入工数15人日。",
        "導入全体：初期費用60万円、15人日（技術10、業務評価3、法務・情報セキュリティ2）。",
    )
    assert (said(made, 7) or "").startswith("導入全体で必要なのは60万円と15人日で、")
    assert (said(made, 8) or "").startswith("本日お願いするのは第1段階（33万円）だけです。")


def test_whole_machines_that_stay_are_said_beside_the_saving() -> None:
    need = MachineNeed(by_throughput=3.2, by_memory=1, whole=4)
    machines = Machines(today=need, plan=need.model_copy(update={"by_throughput": 2.7}), stated=4, headroom=0.18)
    case = changed(make_case("serving", assumptions=make_assumptions("serving", place="own")), machines=machines)
    assert make_briefing(case, "en").points[0].endswith("Still 4 machines; 18% more headroom.")
    assert (
        make_briefing(changed(case, net_per_month=-40_000.0, payback_months=None), "ja")
        .points[0]
        .endswith("台数は4台のまま変わりません。余力が18%増えます。")
    )


def test_a_saving_after_tax_says_so() -> None:
    case = make_case("serving", assumptions=make_assumptions("serving", after_tax=True))
    assert "after upkeep of 60,000 JPY and tax" in make_briefing(case, "en").points[0]
    assert "監視・更新などの費用6万円と税金を差引後" in make_briefing(case, "ja").points[0]


def test_a_plan_that_shortens_training_is_not_called_lighter() -> None:
    for standing in STANDINGS:
        made = make_briefing(make_case("training", standing), "en")
        assert "lighter" not in " ".join(all_texts(made))


def test_the_cost_after_is_today_less_the_saving_as_told_however_wide_its_range() -> None:
    case = changed(
        make_case("serving"),
        simulation=make_simulation((0.0,) * 37).model_copy(update={"net_per_month": Spread(p10=-5e8, p50=9e4, p90=2e5)}),
    )
    row = make_briefing(case, "en").table[0]
    assert (row.today, row.after) == ("1,200,000", "1,100,000")


def test_errors_added_are_told_in_percent_of_the_requests() -> None:
    swing = Swing(name="measured_quality", low=0.0, high=14.5, npv_low=1e6, npv_high=-1e6)
    made = make_briefing(changed(make_case("serving"), tornado=(swing,)), "en")
    assert "rate of added errors as measured 0 to 14%" in " ".join(made.part("sources").body)


def test_a_share_of_a_person_is_never_rounded_down() -> None:
    answers = " ".join(answer.answer for answer in make_briefing(make_case(), "en").questions)
    assert "1.5 a month for watching: 0.08 of a full-time person" in answers


def test_the_only_row_of_a_case_without_slices_is_called_all_slices() -> None:
    rollout = make_rollout(stages=tuple(stage.model_copy(update={"slices": ("all",)}) for stage in make_rollout().stages))
    made = make_briefing(make_case().model_copy(update={"rollout": rollout}), "ja")
    assert made.stages[0].lines[0] == translator("ja")("all slices")


def test_a_plan_that_does_not_pay_says_first_that_it_is_not_proposed_and_what_it_was() -> None:
    case = changed(make_case("serving", pays=False), net_per_month=-40_000.0)
    made = make_briefing(case, "en")
    assert made.part("short").body[0] == "We looked into it and do not propose it."
    assert "19" in made.subtitle


def test_purchases_that_are_avoided_stand_in_the_first_point() -> None:
    case = make_case("serving")
    buckets = case.result.buckets.model_copy(update={"cash": 40_000.0, "avoided": 110_000.0})
    made = make_briefing(changed(case, buckets=buckets), "ja")
    assert "現金削減4万円、投資回避11万円" in made.points[0]


@pytest.mark.parametrize(
    ("figure", "unit", "language", "written"),
    [
        ("10", "取得価額に対する%／年", "ja", "取得価額に対する10%／年"),
        ("5", "%／年", "ja", "5%／年"),
        ("1", "人日／月", "ja", "1人日／月"),
        ("1", "days a month", "en", "1 day a month"),
        ("10", "% of the purchase price a year", "en", "10% of the purchase price a year"),
    ],
)
def test_a_unit_stands_where_its_language_has_it(figure: str, unit: str, language: Language, written: str) -> None:
    assert with_unit(figure, unit, language) == written


def test_every_place_of_a_sentence_has_a_name_for_when_it_is_missing() -> None:
    own = {"model", "plan_words", "plan_id", "N", "cost_name", "machine", "years", "saving_low", "saving_high", "ask_amount", "ask_days"}
    passed = {
        "content",
        "training",
        "n_agree",
        "n_measures",
        "avoided",
        "freed",
        "missing",
        "fte",
        "lo",
        "hi",
        "rehearsal_date",
        "stage1_traffic",
    }
    marked = [value for name, value in vars(briefing_sentences).items() if name.isupper() and isinstance(value, str)]
    marked += [text for value in vars(briefing_questions).values() if isinstance(value, tuple) and len(value) == 2 for text in value]
    places = {place for text in marked for _, place, _, _ in string.Formatter().parse(text) if place}
    assert places <= set(MISSING) | own | passed


def test_little_can_go_wrong_is_said_only_of_slices_that_are_not_critical() -> None:
    first, *rest = make_rollout().stages
    for slices in ((), ("all",), ("inspection notes",)):
        rollout = make_rollout(stages=(first.model_copy(update={"slices": slices}), *rest))
        made = make_briefing(make_case("serving").model_copy(update={"rollout": rollout}), "en")
        assert said(made, 5) == "We start with 20% of the requests and widen only after 4 weeks within the limits."


def test_of_a_machine_that_nobody_named_nothing_is_claimed() -> None:
    made = make_briefing(make_case("serving", "rough"), "en")
    assert "No prompt left" not in " ".join(all_texts(made))
    assert next(one for one in made.questions if "leave the company" in one.question).answer == "Not yet known: machine of the measurement."
