"""What kind of token each token of a text is: figures, codes, kanji, kana, letters, program, marks.

A token is judged by the word that it stands in: the "12" of "M12" is part of a code, that of "12 pieces" a figure. So the
kinds of an example's tokens are found together, from its whole text. Rules, not a parser: they are meant to tell where a model
loses figures and part numbers, and a sentence of a program taken for prose does no harm to that.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import accumulate

from analysis.contracts.ranking import TOKEN_KINDS, TokenKind

_LETTER = "A-Za-zＡ-Ｚａ-ｚ"
_DASH = "\\-‐‑–−－"
_WORD = re.compile(rf"[{_LETTER}\d]+(?:[{_DASH}.,:/_#×][{_LETTER}\d]+)*")
_FIGURE = re.compile(rf"\d+(?:[{_DASH}.,:/x×]\d+)*")
_MIXED = re.compile(rf"[{_LETTER}]\d|\d[{_LETTER}]|[A-ZＡ-Ｚ]")
_UNIT = "(?:[kmcµMG]?(?:m|g|W|Wh|Hz|Pa|N|Nm|V|A|Ah|l|L|s|J|B|t)|bar|min|h|rpm|mol|EA|pcs|dB|ppm|px|pt|st|nd|rd|th|am|pm)"
_QUANTITY = re.compile(rf"({_FIGURE.pattern})?{_UNIT}[23²³]?(?:/{_UNIT}[23²³]?)*")
_ADDRESS = re.compile(r"(?:https?://|www\.)[\w./?&=%#~:+-]*[\w/]|[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII)
_PROGRAM = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"```[\s\S]*?(?:```|\Z)",
        r"`[^`\n]+`",
        r"</?[A-Za-z][\w-]*(?:\s+[\w-]+=\"[^\"\n]*\")*\s*/?>",
        r"[{\[,]\s*\"[^\"\n]*\"\s*:",
        r"^\s*(?:def \w+\(|class \w+[:({]|import \w|from [\w.]+ import |#include)[^\n]*",
        r"^\s*(?:if|elif|for|while|with)\b[^\n]*[=<>()\[\]][^\n]*[:{]\s*$",
        r"^[^\n]*[=(){}][^\n]*;\s*$",
        r"\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE)\b[^\n]*",
        r"\b[A-Za-z][\w.]*\((?:[^()\n]*[,=\"'][^()\n]*)?\)",
        r"\b[A-Za-z]+_\w+\b|\b[a-z]{2,}[A-Z][a-z]\w*\b",
        r"==|!=|::|&&|\|\||\+=|-=",
    )
)


def kinds_of(texts: Sequence[str]) -> tuple[TokenKind, ...]:
    """The kind of each token of one example.

    Args:
        texts: what each token reads as, in order. A character that several tokens make up may stand with the last of them: the
            empty ones before it are of its kind.

    >>> kinds_of(["12", " ball", " valves", " BV", "-", "40", "。", "納", "期", "は"])
    ('digits', 'latin', 'latin', 'codes', 'codes', 'codes', 'punctuation', 'kanji', 'kanji', 'kana')
    """
    by_character = _characters("".join(texts))
    found: list[TokenKind] = []
    following: TokenKind = "other"
    for text, end in zip(reversed(texts), reversed(list(accumulate(map(len, texts)))), strict=True):
        if text:
            following = _prevailing(text, by_character[end - len(text) : end])
        found.append(following)
    return tuple(reversed(found))


def _prevailing(text: str, kinds: Sequence[TokenKind]) -> TokenKind:
    """The kind of most of a token's visible characters; of equals the one that is named first."""
    counts = Counter(kind for character, kind in zip(text, kinds, strict=True) if not character.isspace())
    return max(counts, key=lambda kind: (counts[kind], -TOKEN_KINDS.index(kind)), default="other")


def _characters(text: str) -> list[TokenKind]:
    """One kind per character: what it is by itself, unless it stands in something that is more."""
    kinds = [_alone(character) for character in text]
    for pattern in _PROGRAM:
        for found in pattern.finditer(text):
            _mark(kinds, [place for place in range(*found.span()) if text[place].isascii()], "program")
    for word in _WORD.finditer(text):
        _mark_word(kinds, word, inside_program=kinds[word.start()] == "program")
    for address in _ADDRESS.finditer(text):
        _mark(kinds, range(*address.span()), "codes")
    return kinds


def _mark(kinds: list[TokenKind], places: Sequence[int], kind: TokenKind) -> None:
    for place in places:
        kinds[place] = kind


def _mark_word(kinds: list[TokenKind], word: re.Match[str], *, inside_program: bool) -> None:
    """A figure with all its points and dashes, a figure in front of a unit, or a code of letters and figures."""
    text, places = word.group(), range(*word.span())
    quantity = _QUANTITY.fullmatch(text)
    if _FIGURE.fullmatch(text):
        _mark(kinds, places, "digits")
    elif quantity is not None and not inside_program:
        _mark(kinds, places[: quantity.end(1) if quantity.group(1) else 0], "digits")
    elif _is_code(text) and not (inside_program and (any(map(str.islower, text)) or "_" in text)):
        _mark(kinds, places, "codes")


def _is_code(word: str) -> bool:
    """Letters and figures in one, such as M12, 6204zz, BV-40; not 3-phase."""
    return any(map(str.isdigit, word)) and any(map(str.isalpha, word)) and _MIXED.search(word) is not None


@cache
def _alone(character: str) -> TokenKind:
    if character.isdigit():
        return "digits"
    if unicodedata.category(character)[0] in "PS":
        return "punctuation"
    name = unicodedata.name(character, "")
    if name.startswith("CJK") or character in "々〆〇":
        return "kanji"
    if "HIRAGANA" in name or "KATAKANA" in name:
        return "kana"
    return "latin" if "LATIN" in name else "other"
