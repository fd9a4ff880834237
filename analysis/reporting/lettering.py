"""How wide a text is and where it breaks, estimated without a font: for drawings and slides that nobody lays out by hand."""

from __future__ import annotations

import re
import unicodedata

_NARROW, _WIDE = frozenset("iIjl.,:;|!'`()[]{}ftr -"), frozenset("mwMW@%—")
_NEVER_FIRST = frozenset("、。，．・：；）」』】〕！？ー々ゃゅょっャュョッァィゥェォぁぃぅぇぉ%％)],.:;!?")
_NEVER_LAST = frozenset("（「『【〔([¥")
_PIECES = re.compile(r"[ -~\u00a0-\u024f\u2010-\u201d−]+ ?|.", re.DOTALL)


def text_width(text: str, size: float) -> float:
    """Width in the unit of `size`: an em for Japanese letters, about half of one for Latin ones, a little more than real.

    >>> text_width("現状", 10), round(text_width("today", 10), 1)
    (20.0, 25.7)
    """
    return size * sum(map(_em, text))


def _em(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "WFA" and not letter.isascii():
        return 1.0
    if letter in _NARROW:
        return 0.33
    if letter in _WIDE:
        return 0.92
    return 0.68 if letter.isupper() else 0.56


def wrapped(text: str, width: float, size: float) -> list[str]:
    """The text in lines of at most `width`: Latin words stay whole where they fit, no line begins with 。 or ends with 「.

    >>> wrapped("one two", 25, 10)
    ['one', 'two']
    """
    lines = []
    for paragraph in text.split("\n"):
        lines += _paragraph(paragraph, width, size)
    return lines


def _paragraph(text: str, width: float, size: float) -> list[str]:
    lines, line = [], ""
    for piece in _unbroken(text):
        if line and text_width((line + piece).rstrip(), size) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece
        while text_width(line.rstrip(), size) > width and len(line) > 1:
            cut = _fitting(line, width, size)
            lines.append(line[:cut].rstrip())
            line = line[cut:]
    return [*lines, line.rstrip()]


def _fitting(text: str, width: float, size: float) -> int:
    """How many letters of a piece that is too long by itself stand in one line; at least one."""
    return next((n - 1 for n in range(2, len(text) + 1) if text_width(text[:n], size) > width), len(text))


def _unbroken(text: str) -> list[str]:
    """Latin words with the space behind them and single Japanese letters, joined where a line must not break."""
    words = [word for piece in _PIECES.findall(text) for word in (re.findall(r"\S*\s?", piece) if len(piece) > 1 else [piece]) if word]
    joined: list[str] = []
    for word in words:
        if joined and (word[0] in _NEVER_FIRST or joined[-1][-1] in _NEVER_LAST):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def shortened_to(text: str, width: float, size: float) -> str:
    """The text, cut with an ellipsis where it is wider than `width`."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"
