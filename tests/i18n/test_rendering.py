"""Messages put into words, in both languages."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.contracts import Message
from analysis.errors import StrataError, WorkloadError
from analysis.i18n import LANGUAGES, Language, language_of, render, translator
from analysis.i18n.numbers import amount, duration, listed, number, percent, size, span

LOWERED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
FULL = "The disk that holds {folder} is full. Free some space, or set STRATA_HOME to a folder on another disk; nothing stored was lost."


@pytest.mark.parametrize(
    ("locale", "language"),
    [("ja-JP", "ja"), ("ja_JP.UTF-8", "ja"), ("JA", "ja"), ("en-GB", "en"), ("de", "en"), ("C", "en"), ("", "en"), (None, "en")],
)
def test_a_locale_chooses_its_language_and_english_is_for_everyone_else(locale: str | None, language: str) -> None:
    assert language_of(locale) == language


def test_a_message_is_said_in_the_readers_language_with_its_values() -> None:
    message = Message(id=FULL, values={"folder": "/data"})
    assert render(message, "en").startswith("The disk that holds /data is full.")
    assert render(message, "ja").startswith("/data のあるディスク")


def test_an_unknown_sentence_is_said_in_english_rather_than_not_at_all() -> None:
    assert translator("ja")("A sentence nobody translated: {n}.", n=1200) == "A sentence nobody translated: 1,200."


def test_an_error_survives_the_way_between_processes() -> None:
    import pickle

    error = WorkloadError("File {file}, line {line}: not JSON.", file="a.jsonl", line=3)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is WorkloadError
    assert again.message == error.message
    assert isinstance(StrataError.from_message(error.message), StrataError)


def test_values_are_written_as_the_language_writes_them() -> None:
    assert translator("en")("{n} of {list}", n=12345, list=(3, 14, 26)) == "12,345 of 3, 14, and 26"
    assert translator("ja")("{n} of {list}", n=12345, list=(3, 14, 26)) == "12,345 of 3、14、26"


def test_numbers_sizes_and_times_are_no_finer_than_useful() -> None:
    assert [number(v, "en") for v in (7, 0.0312, 3.14159, 23.456, 1234.5)] == ["7", "0.0312", "3.14", "23.5", "1,234"]
    assert percent(0.123, "ja") == "12%"
    assert size(269_000_000, "en") == "257 MiB"
    assert amount(134_515_008, "en") == "135 M"
    assert [duration(s, "ja") for s in (42, 180, 7500)] == ["42秒", "3分", "2時間5分"]
    assert listed([], "en") == ""
    assert span("30", "45%", "ja") == "30〜45%"


@pytest.mark.parametrize("language", LANGUAGES)
@given(
    value=st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.integers(10**17, 10**40),
    digits=st.none() | st.integers(0, 8),
)
def test_every_finite_number_is_written_and_reads_as_what_it_was(language: Language, value: float, digits: int | None) -> None:
    said = number(value, language, digits)
    figure, _, power = said.replace(",", "").partition("×10")
    read = Fraction(figure) * Fraction(10) ** int(power.translate(LOWERED) or 0)
    half_a_place = Fraction(1, 2 * 10 ** (digits or 0))
    assert abs(read - Fraction(value)) <= max(half_a_place, abs(Fraction(value)) / 100)
    assert digits is not None or value == 0 or read != 0, "what is not nought is not written as nought"
    assert not said.startswith("-") or read < 0
    assert len(said) < 40


@pytest.mark.parametrize("language", LANGUAGES)
@given(value=st.floats(0, allow_infinity=False))
def test_every_share_size_amount_and_time_is_written(language: Language, value: float) -> None:
    for said in (percent(value, language), size(value, language), amount(value, language), duration(value, language)):
        assert said
        assert len(said) < 40


def test_numbers_beyond_counting_are_powers_of_ten() -> None:
    assert [number(v, "ja") for v in (1e18, -1e28, 12345 * 10**30, 2.5e-12)] == ["1×10¹⁸", "-1×10²⁸", "1.23×10³⁴", "2.5×10⁻¹²"]
    assert [number(v, "en", 1) for v in (float("inf"), float("-inf"), float("nan"))] == ["∞", "-∞", "NaN"]


def test_nought_has_no_sign() -> None:
    assert [number(-0.0, "en"), number(-0.004, "en", 1), percent(-0.0001, "ja")] == ["0", "0.0", "0%"]


def test_minutes_never_come_to_sixty() -> None:
    assert [duration(s, "en") for s in (7169, 7170, 7199, 7200)] == ["1 h 59 min", "2 h 0 min", "2 h 0 min", "2 h 0 min"]


@pytest.mark.parametrize(
    ("sentence", "values", "said"),
    [
        ("{n} prompts", {"n": 1}, "1 prompt"),
        ("{n} prompts", {"n": 0}, "0 prompts"),
        ("{n} prompts", {"n": 1.04}, "1.04 prompts"),
        ("{n} prompts have no response", {"n": "1"}, "1 prompt has no response"),
        ("{n} response tokens in {prompts} prompts", {"n": 4, "prompts": 1}, "4 response tokens in 1 prompt"),
        ("{n} of {m} measures agree", {"n": 1, "m": 3}, "1 of 3 measures agree"),
        ("layer {block} and layers behind it", {"block": 1}, "layer 1 and layers behind it"),
        ("{n} boundaries, {m} passes of {k} tokens", {"n": 1, "m": 1, "k": 1}, "1 boundary, 1 pass of 1 token"),
    ],
)
def test_english_words_agree_with_a_count_of_one(sentence: str, values: dict[str, object], said: str) -> None:
    assert translator("en")(sentence, **values) == said
