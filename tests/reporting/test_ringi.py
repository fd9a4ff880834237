"""The 稟議 text: its lines, what it asks for, and what it says where a figure is missing."""

from __future__ import annotations

import pytest

from analysis.contracts import StageMoney, Standing
from analysis.i18n import LANGUAGES, Language
from analysis.reporting.briefing import make_briefing
from analysis.reporting.ringi import ringi_text
from tests.business_builders import EvidenceKind, make_case, make_evidence, make_rollout
from tests.reporting.test_headlines_business import changed

LINES = (
    "決裁を求める事項",
    "決裁金額（税抜）",
    "背景・目的",
    "実施内容",
    "効果",
    "採算",
    "品質への影響",
    "リスクと対策",
    "代替案の比較",
    "体制",
    "日程",
    "中止基準",
    "添付",
)


def test_it_has_the_lines_of_a_japanese_circular_in_their_order() -> None:
    lines = [line for line in ringi_text(make_case(), "ja").splitlines() if line[:1].isdigit()]
    assert [line.split("　")[0] for line in lines] == [f"{number}. {name}" for number, name in enumerate(LINES, start=1)]


def test_tax_is_said_once_and_sums_are_in_ten_thousands() -> None:
    text = ringi_text(make_case(), "ja")
    assert text.count("税抜") == 1
    assert "初期費用 60万円（うち外部支払 0円、社内工数 15人日相当 60万円）、導入後の監視・更新など 月6万円" in text
    assert "今期（2026年度）" in text
    assert "再来期（2028年度）" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_place_is_left_open(language: Language) -> None:
    for case in (make_case(rollout=False), make_case(pays=False), make_case("serving", "rough", rollout=False)):
        assert "{" not in ringi_text(case, language)


def test_what_nobody_decided_is_said_in_words() -> None:
    text = ringi_text(make_case(rollout=False), "ja")
    assert "責任者 未定" in text
    assert "段階は未定" in text
    assert "切り戻しの所要時間は未確認" in text
    assert "量子化のみ 未確認" in text


@pytest.mark.parametrize(
    ("kind", "standing", "asks"),
    [
        ("serving", "measured", "軽量化したSmolLM2-135M-Instructの試行運用"),
        ("serving", "rough", "軽量化の検証（13人日）"),
        ("serving", "undecided", "軽量化の検証（13人日）"),
        ("serving", "outside", "なし（報告のみ）"),
        ("training", "measured", "一部の層を凍結して微調整したSmolLM2-135M-Instructの試行運用"),
        ("training", "rough", "試行学習（13人日）"),
        ("training", "undecided", "試行学習（13人日）"),
        ("training", "outside", "なし（報告のみ）"),
    ],
)
def test_it_asks_for_what_the_evidence_allows(kind: EvidenceKind, standing: Standing, asks: str) -> None:
    assert asks in ringi_text(make_case(kind, standing=standing), "ja")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("standing", ["measured", "undecided", "rough", "outside"])
def test_a_plan_that_shortens_training_is_not_called_a_lighter_model(standing: Standing, language: Language) -> None:
    text = ringi_text(make_case("training", standing=standing), language)
    assert "軽量化" not in text
    assert "lighter" not in text


@pytest.mark.parametrize("standing", ["rough", "undecided"])
def test_a_test_asks_for_the_days_of_the_test_and_not_for_the_start(standing: Standing) -> None:
    text = ringi_text(make_case("serving", standing=standing), "ja")
    assert "社内工数 13人日相当 52万円。参考：" in text
    assert "中止基準" not in text


def test_the_amount_of_stage_1_stands_before_the_whole_start() -> None:
    case = make_case()
    money = StageMoney(stage=1, starts_on="2026-12-01", months=0.9, cost=330_000.0, saving=0.0, at_stake=330_000.0, requests=10.0)
    text = ringi_text(case.model_copy(update={"result": case.result.model_copy(update={"stages": (money,)})}), "ja")
    assert "第1段階 33万円（期間中の監視を含む、導入工数 15人日）。導入全体の初期費用 60万円" in text


def test_only_what_there_is_is_attached() -> None:
    assert "検証成績書" in ringi_text(make_case("serving"), "ja")
    assert "検証成績書" not in ringi_text(make_case("serving", "rough"), "ja")
    assert "試行学習の記録" in ringi_text(make_case("training"), "ja")


def test_the_share_that_is_not_needed_is_named_only_where_something_measured_it() -> None:
    evidence = make_evidence("serving", "rough", n_prompts=0)
    assert "未確認件" not in ringi_text(make_case("serving", "rough", evidence=evidence), "ja")
    dearer = changed(make_case("serving", "outside"), saving_share=-0.03)
    assert "3%" not in ringi_text(dearer, "ja").split("背景・目的")[1].splitlines()[0]


def test_names_are_printed_as_entered_and_said_to_be_so() -> None:
    text = ringi_text(make_case(), "ja")
    assert "責任者 A. Sato、技術 B. Ito" in text
    assert "本人確認はしていません" in text
    nobody = make_case().model_copy(update={"rollout": make_rollout(roles={})})
    assert "本人確認" not in ringi_text(nobody, "ja")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_net_present_value_has_its_source_in_the_briefing(language: Language) -> None:
    made = make_briefing(make_case(), language)
    worth = next(one for one in made.figures if one.text == made.words["npv"])
    assert worth.source
    assert worth.text in made.ringi
