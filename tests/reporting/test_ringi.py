"""The 稟議 text: its lines, what it asks for, and what it says where a figure is missing."""

from __future__ import annotations

import pytest

from analysis.contracts import Standing
from analysis.i18n import LANGUAGES, Language
from analysis.reporting.ringi import ringi_text
from tests.business_builders import make_case, make_rollout

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
    assert "初期費用 60万円（うち外部支払 0円、社内工数 15人日相当 60万円）、月額 6万円" in text
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
    ("standing", "asks"),
    [
        ("measured", "軽量化の試行運用"),
        ("rough", "軽量化の検証（13人日）"),
        ("undecided", "軽量化の検証（13人日）"),
        ("outside", "なし（報告のみ）"),
    ],
)
def test_it_asks_for_what_the_evidence_allows(standing: Standing, asks: str) -> None:
    assert asks in ringi_text(make_case(standing=standing), "ja")


def test_names_are_printed_as_entered_and_said_to_be_so() -> None:
    text = ringi_text(make_case(), "ja")
    assert "責任者 A. Sato、技術 B. Ito" in text
    assert "本人確認はしていません" in text
    nobody = make_case().model_copy(update={"rollout": make_rollout(roles={})})
    assert "本人確認" not in ringi_text(nobody, "ja")
