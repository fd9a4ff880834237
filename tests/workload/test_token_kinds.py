"""What kind a token is, judged by the word it stands in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.contracts.ranking import TOKEN_KINDS
from analysis.workload.token_kinds import kinds_of


def kind(text: str, part: str) -> str:
    """The kind of `part` as one token of a text cut around it."""
    before, found, after = text.partition(part)
    assert found
    return kinds_of([before, part, after])[1]


@pytest.mark.parametrize(
    ("text", "part", "wanted"),
    [
        ("12 ball valves", "12", "digits"),
        ("1,234 pieces", ",", "digits"),
        ("due 05-14, FIXED", "-", "digits"),
        ("27000 / 450 = 60 s", " 450", "digits"),
        ("納期は６月", "６", "digits"),
        ("a length of 24.9mm", "24.9", "digits"),
        ("a length of 24.9mm", "mm", "latin"),
        ("the bearing M12x30", "12", "codes"),
        ("BV-40|12 EA", "BV", "codes"),
        ("BV-40|12 EA", "-", "codes"),
        ("BV-40|12 EA", "|", "punctuation"),
        ("BV-40|12 EA", "12", "digits"),
        ("型番ＢＶ−４０です", "４０", "codes"),
        ("bearing 6204zz", "zz", "codes"),
        ("3-phase motor", "3", "digits"),
        ("3-phase motor", "phase", "latin"),
        ("ask order@example.com today", "example", "codes"),
        ("see https://example.com/a?b=1 first", "//", "codes"),
        ("合格です", "合格", "kanji"),
        ("人々", "々", "kanji"),
        ("合格です", "です", "kana"),
        ("サーバー", "ー", "kana"),
        ("ｻｰﾊﾞｰ", "ｻｰ", "kana"),
        ("Größe und Ærø", "Größe", "latin"),
        ("ＡＢＣ社", "ＡＢＣ", "latin"),
        ("well; done.", ";", "punctuation"),
        ("¥500", "¥", "punctuation"),
        ("合格。", "。", "punctuation"),
        ("Привет", "Привет", "other"),
        ("a\n\nb", "\n\n", "other"),
        ("item_no = 3", "item_no", "program"),
        ("x = getName()", "getName", "program"),
        ("if (a == b) {\n", "==", "program"),
        ("def area(r):\n    pass", "def", "program"),
        ('{"item": "BV-40"}', "item", "program"),
        ('{"item": "BV-40"}', "BV", "codes"),
        ("```\nfoo bar\n```", "foo", "program"),
        ("SELECT name FROM parts", "name", "program"),
        ("the <b>new</b> one", "<b>", "program"),
    ],
)
def test_a_token_is_what_its_word_is(text: str, part: str, wanted: str) -> None:
    assert kind(text, part) == wanted


@pytest.mark.parametrize("text", ["If so, call us.", "spare part(s) for you:", "for the order, please;", "A -> B", "We import valves."])
def test_plain_sentences_are_no_program(text: str) -> None:
    assert "program" not in kinds_of(list(text))


def test_the_same_figure_is_a_code_only_inside_a_code() -> None:
    assert kinds_of(["12", " of", " M", "12"]) == ("digits", "latin", "codes", "codes")


def test_tokens_that_hold_half_a_character_are_of_its_kind() -> None:
    assert kinds_of(["", "", "龍", "", "は", ""]) == ("kanji", "kanji", "kanji", "kana", "kana", "other")


def test_a_token_of_several_kinds_is_what_most_of_it_is() -> None:
    assert kinds_of(["です。"]) == ("kana",)
    assert kinds_of(["5個"]) == ("digits",)  # of equals the one named first


def test_nothing_gives_nothing() -> None:
    assert kinds_of([]) == ()
    assert kinds_of(["", " "]) == ("other", "other")


@given(st.lists(st.text(max_size=6), max_size=12))
def test_any_text_gives_one_known_kind_per_token(texts: list[str]) -> None:
    kinds = kinds_of(texts)
    assert len(kinds) == len(texts)
    assert set(kinds) <= set(TOKEN_KINDS)
