"""Letters without a font: widths, line breaks, and shapes that are written short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.reporting.lettering import shortened_to, text_width, wrapped
from analysis.reporting.svg import Canvas


@given(st.text(alphabet="abc 123。、層モデル（）%,.", min_size=1, max_size=80), st.floats(30, 300))
def test_wrapped_text_loses_nothing_but_spaces_and_every_line_fits(text: str, width: float) -> None:
    lines = wrapped(text, width, 10)
    assert "".join("".join(lines).split()) == "".join(text.split())
    for line in lines:
        assert text_width(line, 10) <= width or len(line) <= 1


def test_japanese_breaks_anywhere_but_never_before_a_full_stop_or_after_a_bracket() -> None:
    lines = wrapped("削減額は約41万円です。（税抜）です。", 60, 10)
    assert len(lines) > 2
    assert not any(line.startswith(("。", "）", "、")) for line in lines)
    assert not any(line.endswith("（") for line in lines)


def test_english_breaks_between_words() -> None:
    assert wrapped("leave out the attention", 70, 10) == ["leave out the", "attention"]


@pytest.mark.parametrize("text", ["short", "a much longer text than fits", "長い日本語の文章がここにあります"])
def test_shortened_text_fits(text: str) -> None:
    assert text_width(shortened_to(text, 60, 10), 10) <= 60


def test_coordinates_are_written_short_and_never_as_minus_nothing() -> None:
    canvas = Canvas(10, 10, key="k", title="t & t", desc="d", language="en")
    canvas.rect(-0.01, 1.0, 2.25, 3.333, "#000")
    canvas.bars([], "skip")
    drawn = canvas.render()
    assert '<rect x="0" y="1" width="2.2" height="3.3" fill="#000"/>' in drawn
    assert "t &amp; t" in drawn
    assert "<defs>" not in drawn
