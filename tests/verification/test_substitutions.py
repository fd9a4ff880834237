"""Other words for the same thing: a list that can be trusted, and words found whole."""

from __future__ import annotations

import pytest

from analysis.verification.substitutions import others, word_choices, word_count


def said(text: str) -> dict[str, tuple[str, ...]]:
    return {text[start:end]: found for start, end, found in word_choices(text)}


@pytest.mark.parametrize("text", ["", "4471 / 12", "。、！", "qwxz", "BV-40"])
def test_unknown_words_have_no_others(text: str) -> None:
    assert said(text) == {}


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_word_of_the_list_has_another_and_none_is_its_own(language: str) -> None:
    known = others(language)
    assert len(known) > 100
    assert all(found and word not in found for word, found in known.items())


def test_english_words_stand_for_each_other_both_ways() -> None:
    known = others("en")
    assert all(word.isascii() and word.islower() for word in known)
    assert all(word in known[other] for word, found in known.items() for other in found)


def test_capitals_are_kept() -> None:
    assert said("Order ORDER order") == {"Order": ("Request",), "ORDER": ("REQUEST",), "order": ("request",)}


def test_a_word_counts_only_whole() -> None:
    assert said("reorder disorder orderly") == {}
    assert said("注文書") == {}
    assert said("注文します") == {"注文": ("発注", "オーダー")}
    assert said("サブポンプ") == {}


def test_the_longest_japanese_word_is_taken() -> None:
    assert list(said("請求書の金額")) == ["請求書", "金額"]
    assert list(said("検査成績書")) == []


def test_words_are_counted_in_both_languages() -> None:
    assert word_count("") == 0
    assert word_count("don't stop 12 pumps") == 3
    assert word_count("納期を一週間早められますか。") == 2
