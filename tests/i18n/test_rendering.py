"""Messages put into words, in both languages."""

from __future__ import annotations

import pytest

from analysis.contracts import Message
from analysis.errors import StrataError, WorkloadError
from analysis.i18n import language_of, render, translator
from analysis.i18n.numbers import amount, duration, listed, number, percent, size, span

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
