"""Money, months and shares in words: no finer than they are known, no sign that a Japanese reader takes for another."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.i18n import LANGUAGES, Language, render
from analysis.reporting.money_words import (
    day,
    fiscal_year,
    money,
    money_cells,
    money_message,
    money_range,
    month,
    months,
    of_100,
    percent_of,
    percent_range,
    rounded_money,
    whole_months,
)

AMOUNTS = st.floats(-1e12, 1e12).filter(lambda amount: amount == 0 or abs(amount) >= 1)


@pytest.mark.parametrize(
    ("amount", "currency", "language", "said"),
    [
        (410_000, "JPY", "ja", "約41万円"),
        (123_000_000, "JPY", "ja", "約1.23億円"),
        (120_000_000, "JPY", "ja", "約1.2億円"),
        (9_100, "JPY", "ja", "約9,100円"),
        (99_999_999, "JPY", "ja", "約1億円"),
        (-410_000, "JPY", "ja", "マイナス約41万円"),
        (0, "JPY", "ja", "0円"),
        (4_120, "USD", "ja", "約4,120米ドル"),
        (410_000, "JPY", "en", "about 410,000 JPY"),
        (4_120, "USD", "en", "about USD 4,120"),
        (12_400_000, "EUR", "en", "about EUR 12.4 million"),
        (-410_000, "JPY", "en", "about minus 410,000 JPY"),
        (0, "EUR", "en", "EUR 0"),
    ],
)
def test_a_sum_in_a_sentence(amount: float, currency: str, language: Language, said: str) -> None:
    assert money(amount, currency, language) == said


@pytest.mark.parametrize(
    ("amount", "currency", "language", "said"),
    [
        (1_200_000, "JPY", "ja", "1,200千円"),
        (85_000, "JPY", "ja", "85,000円"),
        (-1_200_000, "JPY", "ja", "−1,200千円"),
        (1_200_000, "JPY", "en", "1,200,000 JPY"),
        (-900, "USD", "en", "−USD 900"),
    ],
)
def test_a_sum_in_a_table(amount: float, currency: str, language: Language, said: str) -> None:
    assert money(amount, currency, language, table=True) == said


def test_a_sum_is_no_finer_than_its_interval() -> None:
    assert money(412_345, "JPY", "ja", interval=(300_000, 520_000)) == "約41万円"
    assert money(412_345, "JPY", "ja", interval=(100_000, 5_200_000)) == "約40万円"
    assert rounded_money(4_000, (-300_000, 300_000)) == 4_000, "a sum is never rounded away to nothing"


@given(amount=AMOUNTS, language=st.sampled_from(LANGUAGES), currency=st.sampled_from(["JPY", "USD", "EUR"]), table=st.booleans())
def test_no_sum_has_more_than_three_digits_or_a_sign_that_is_read_otherwise(
    amount: float, language: Language, currency: str, table: bool
) -> None:
    said = money(amount, currency, language, table=table)
    assert not set(said) & set("▲△¥￥-～")
    digits = re.sub(r"[^\d]", "", said).strip("0")
    assert len(digits) <= 3
    assert (amount < 0) == ("−" in said or "minus" in said or "マイナス" in said)


@given(low=AMOUNTS, width=st.floats(1, 1e9), language=st.sampled_from(LANGUAGES))
def test_the_ends_of_a_range_are_widened_and_never_narrowed(low: float, width: float, language: Language) -> None:
    first, second = money_range(low, low + width, "JPY", language)
    assert first
    assert second.endswith("円" if language == "ja" else "JPY")


@pytest.mark.parametrize(
    ("low", "high", "language", "ends"),
    [
        (41_000, 149_000, "ja", ("4", "15万円")),
        (8_000, 12_000, "ja", ("8,000円", "1.2万円")),
        (-20_000, 150_000, "ja", ("マイナス2万円", "15万円")),
        (41_000, 149_000, "en", ("40,000", "150,000 JPY")),
        (-20_000, 150_000, "en", ("minus 20,000", "150,000 JPY")),
    ],
)
def test_a_shared_unit_is_said_once(low: float, high: float, language: Language, ends: tuple[str, str]) -> None:
    assert money_range(low, high, "JPY", language) == ends


def test_a_range_in_another_currency_names_it_once() -> None:
    assert money_range(410, 1490, "USD", "en") == ("USD 400", "1,500")


def test_two_sums_of_a_row_share_the_unit_of_their_label() -> None:
    assert money_cells((1_200_000, 90_000), "JPY", "ja") == ("千円", ("1,200", "90"))
    assert money_cells((12_000, 9_000), "JPY", "ja") == ("円", ("12,000", "9,000"))


def test_a_sum_within_a_message_is_written_by_each_language() -> None:
    message = money_message(410_000, "JPY")
    assert (render(message, "en"), render(message, "ja")) == ("410,000 JPY", "約41万円")


@given(st.floats(0, 500))
def test_payback_is_never_rounded_down(length: float) -> None:
    assert whole_months(length) >= length - 1e-9
    assert whole_months(length) - length < 1 + 1e-9
    assert months(length, "ja") == f"{whole_months(length)}か月"


def test_one_month_is_no_months() -> None:
    assert (months(0.4, "en"), months(6.2, "en")) == ("1 month", "7 months")


@given(st.floats(0, 1))
def test_cases_of_a_hundred_are_never_rounded_up(share: float) -> None:
    assert of_100(share) <= 100 * share + 1e-6
    assert of_100(share) == math.floor(100 * share + 1e-9)


def test_a_share_says_its_digits_and_its_sign() -> None:
    assert [percent_of(share) for share in (0.128, 0.021, -0.0312, 0.0, 0.0004)] == ["13%", "2.1%", "−3.1%", "0%", "0%"]
    assert percent_range(0.031, 0.121, "ja") == "3〜12%"


def test_dates_are_those_of_the_language_and_an_empty_one_is_none() -> None:
    assert (day("2026-12-01T10:00:00+00:00", "ja"), day("2026-12-01", "en")) == ("2026年12月1日", "1 December 2026")
    assert (month("2026-04-01", "ja"), month("2026-04-01", "en")) == ("2026年4月", "April 2026")
    assert (fiscal_year(2026, "ja"), fiscal_year(2026, "en")) == ("2026年度", "FY2026")
    assert [day(text, "en") for text in ("", "soon", "2026-13-01")] == [None, None, None]


@given(
    amounts=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2),
    currency=st.sampled_from(["JPY", "USD", "EUR"]),
    language=st.sampled_from(LANGUAGES),
)
def test_every_finite_sum_is_written_in_a_line(amounts: list[float], currency: str, language: Language) -> None:
    low, high = sorted(amounts)
    if abs(low) > 1e300 or abs(high) > 1e300:
        low, high = low / 1e10, high / 1e10  # their distance is a number too
    said = [
        money(low, currency, language),
        money(high, currency, language, table=True),
        money(low, currency, language, interval=(low, high)),
    ]
    said += [*money_range(low, high, currency, language), *money_cells((low, high), currency, language)[1]]
    assert all(0 < len(one) < 50 for one in said)
