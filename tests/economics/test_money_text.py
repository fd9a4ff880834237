"""Figures as people write them: read when there is one reading, refused in words when there are two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.economics.money_text import parse_amount_text
from analysis.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("１，２３４円", 1234),
        ("¥1,234", 1234),
        ("￥１，２３４", 1234),
        ("\\1,234", 1234),  # the yen sign of an old Japanese keyboard
        ("12万", 120_000),
        ("１２万円", 120_000),
        ("1.2億円", 120_000_000),
        ("1億2000万円", 120_000_000),
        ("1億2,000万", 120_000_000),
        ("300千円", 300_000),
        ("5百万円", 5_000_000),
        ("1千万", 10_000_000),
        ("3万5000円", 35_000),
        ("1,234.50", 1234.5),
        ("1,234,567", 1_234_567),
        ("1 234 567", 1_234_567),
        ("1'234", 1234),
        ("１２％", 12),
        ("12 %", 12),
        ("0.061", 0.061),
        (".5", 0.5),
        ("5.", 5),
        ("+7", 7),
        ("-7", -7),
        ("−7", -7),
        ("－７", -7),
        ("▲120", -120),
        ("△1.2億円", -120_000_000),
        ("(1,200)", -1200),
        ("（１，２００）", -1200),
        ("$ 4.59", 4.59),
        ("USD 4.59", 4.59),
        ("4.59 EUR", 4.59),
        ("1,200 JPY", 1200),
        ("¥-500", -500),
        ("　42　", 42),
    ],
)
def test_a_figure_is_read_as_it_was_meant(text: str, value: float) -> None:
    assert parse_amount_text(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "   ", "　"])
def test_nothing_is_said_to_be_nothing(text: str) -> None:
    with pytest.raises(InputError, match="Nothing was given where a figure is expected"):
        parse_amount_text(text)


@pytest.mark.parametrize("text", ["1.234,50", "1,5", "12,34", "1.234.567", "1.500 EUR", "€ 2.000", "1,23,456"])
def test_what_can_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="can be read in more than one way") as caught:
        parse_amount_text(text)
    assert caught.value.message.values["given"] == text


@pytest.mark.parametrize(
    "text", ["abc", "5-", "1万2億", "3万5", "万", "nan", "inf", "1e5", "12 34", "--5", "1万万", "9" * 400, "5 or 6", "=1+1", "#REF!", ","]
)
def test_what_is_no_figure_is_refused_with_what_was_given(text: str) -> None:
    with pytest.raises(InputError, match=r"is not a figure|more than one way"):
        parse_amount_text(text)


@given(st.integers(-(10**12), 10**12))
def test_thousands_separators_and_full_width_digits_change_nothing(number: int) -> None:
    written = f"{number:,}"
    assert parse_amount_text(written) == number
    assert parse_amount_text(written.translate(str.maketrans("0123456789,-", "０１２３４５６７８９，－"))) == number


@given(st.text(max_size=20))
def test_any_text_gives_a_figure_or_a_sentence(text: str) -> None:
    try:
        value = parse_amount_text(text)
    except InputError:
        return
    assert isinstance(value, float)
    assert value == value  # a number, not nan
