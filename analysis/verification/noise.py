"""Typing slips in what a user wrote: neighbouring keys, letters that change places, capitals, spaces.

A slip is an edit of a few characters. Which characters a kind of noise can hit is a question of the text alone; how many are hit,
of the level; which ones, of a generator of the example's own. Slips of a low level are among those of a higher one, so that curves
over levels compare like with like. Letters are whole: nothing is ever put between a letter and its accent, and no character is
made that text could not hold.

Japanese is typed otherwise and slips otherwise: a kana becomes its neighbour in the table of fifty sounds (か き) or loses or gains
its voicing marks (は ば); letters, digits and katakana change their width where others change their case; a space that Japanese does
not use is a full-width one.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, zip_longest

import numpy as np

from analysis.contracts.robustness import NoiseKind
from analysis.verification.substitutions import word_choices, word_count

_KEY_ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_SHIFTS = (0.0, 0.5, 0.75, 1.25)
_SOUNDS = (
    "あいうえお", "かきくけこ", "さしすせそ", "たちつてと", "なにぬねの", "はひふへほ", "まみむめも", "らりるれろ",
    "がぎぐげご", "ざじずぜぞ", "だぢづでど", "ばびぶべぼ", "ぱぴぷぺぽ",
)  # fmt: skip
_VOICED = ("かが", "きぎ", "くぐ", "けげ", "こご", "さざ", "しじ", "すず", "せぜ", "そぞ", "ただ", "ちぢ", "つづ", "てで", "とど",
           "はばぱ", "ひびぴ", "ふぶぷ", "へべぺ", "ほぼぽ", "つっ", "やゃ", "ゆゅ", "よょ")  # fmt: skip
_TO_KATAKANA = ord("ァ") - ord("ぁ")
_WIDE = 0xFEE0
_FULL_SPACE = "\u3000"
_WINDOW = 10
"""Characters shown on either side of a slip at most."""


@dataclass(frozen=True, order=True)
class Edit:
    """`text[start:end]` becomes `new`."""

    start: int
    end: int
    new: str


@dataclass(frozen=True)
class Slips:
    """What a noise of one level does to one text.

    Attributes:
        edits: in the order of the text, none overlapping another.
        n_changed: letters (words) changed.
        n_eligible: letters (words) that the level is a share of.
        n_possible: slips that were possible at all; 0: there is nothing in the text that this noise could change.
    """

    edits: tuple[Edit, ...]
    n_changed: int
    n_eligible: int
    n_possible: int = 0


def slips(kind: NoiseKind, text: str, level: float, random: np.random.Generator) -> Slips:
    """The slips of one kind in a text.

    Args:
        kind: of the noise.
        text: what the user wrote.
        level: share of the letters (words: of the words) to be changed.
        random: of this text and kind alone, the same for every level.

    Returns:
        As many slips as the level asks for; fewer where they would overlap, or where too few are known. A part of a slip is one or none
        by chance, so that the share holds over many short texts, of which each could hold but a whole one.

    >>> slips("keyboard", "ship ten bolts", 0.2, np.random.default_rng(0)).n_changed
    3
    >>> slips("case", "123 456", 0.5, np.random.default_rng(0)).edits
    ()
    """
    luck = random.random()
    found = _FINDERS[kind](text, random)
    chosen = _apart(found.places, math.floor(level * found.n_eligible / found.letters_each + luck))
    return Slips(tuple(sorted(chosen)), len(chosen) * found.letters_each, found.n_eligible, len(found.places))


def applied(text: str, edits: Iterable[Edit]) -> str:
    """The text with the edits made.

    >>> applied("order", [Edit(2, 3, "f")])
    'orfer'
    """
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.new + text[edit.end :]
    return text


def shown_slip(text: str, edit: Edit) -> tuple[str, str]:
    """The word around a slip, before and after it; of text without spaces, a few characters.

    >>> shown_slip("ship the order now", Edit(11, 12, "f"))
    ('order', 'orfer')
    """
    start, end = edit.start, edit.end
    while start > max(0, edit.start - _WINDOW) and not text[start - 1].isspace():
        start -= 1
    while end < min(len(text), edit.end + _WINDOW) and not text[end].isspace():
        end += 1
    return text[start:end], text[start : edit.start] + edit.new + text[edit.end : end]


# -- where each kind can hit -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """Every slip that is possible, in the order of chance; `n_eligible` letters (words) are those that `level` is a share of."""

    places: Sequence[Edit]
    n_eligible: int
    letters_each: int = 1


def _apart(edits: Iterable[Edit], wanted: int) -> list[Edit]:
    """The first `wanted` edits that touch none of those before them."""
    chosen: list[Edit] = []
    taken: set[int] = set()
    for edit in edits:
        span = set(range(edit.start, max(edit.end, edit.start + 1)))
        if len(chosen) < wanted and not span & taken:
            chosen.append(edit)
            taken |= span
    return chosen


def _shuffled(edits: Sequence[Edit], random: np.random.Generator) -> list[Edit]:
    return [edits[place] for place in random.permutation(len(edits))]


def _keyboard(text: str, random: np.random.Generator) -> _Found:
    near = neighbours()
    places = [
        Edit(place, place + 1, near[letter][int(random.integers(len(near[letter])))])
        for place, letter in enumerate(text)
        if letter in near and not _marked(text, place)
    ]
    return _Found(_shuffled(places, random), len(places))


def _swap(text: str, random: np.random.Generator) -> _Found:
    letters = ["" if _marked(text, place) else _swaps(letter) for place, letter in enumerate(text)]
    places = [
        Edit(place, place + 2, text[place + 1] + text[place])
        for place in range(len(text) - 1)
        if letters[place] and letters[place] == letters[place + 1] and text[place] != text[place + 1]
    ]
    return _Found(_shuffled(places, random), sum(1 for kind in letters if kind), letters_each=2)


def _case(text: str, random: np.random.Generator) -> _Found:
    japanese = any(map(is_japanese, text))
    changed = ((place, _other_form(letter, japanese)) for place, letter in enumerate(text) if not _marked(text, place))
    places = [Edit(place, place + 1, new) for place, new in changed if new is not None]
    return _Found(_shuffled(places, random), len(places))


def _spacing(text: str, random: np.random.Generator) -> _Found:
    """Spaces are lost and gained in turns, as long as there are both."""
    lost = [Edit(place, place + 1, "") for place in range(1, len(text) - 1) if _between_words(text, place)]
    gained = [Edit(place, place, _space_between(text, place)) for place in range(1, len(text)) if _inside_word(text, place)]
    turns = zip_longest(_shuffled(lost, random), _shuffled(gained, random))
    n_letters = sum(1 for letter in text if letter.isalnum())
    return _Found([edit for pair in turns for edit in pair if edit is not None], n_letters)


def _words(text: str, random: np.random.Generator) -> _Found:
    places = [Edit(start, end, others[int(random.integers(len(others)))]) for start, end, others in word_choices(text)]
    return _Found(_shuffled(places, random), word_count(text))


_FINDERS: Mapping[NoiseKind, Callable[[str, np.random.Generator], _Found]] = {
    "keyboard": _keyboard,
    "swap": _swap,
    "case": _case,
    "spacing": _spacing,
    "words": _words,
}


# -- letters -----------------------------------------------------------------------------------------------------------


def is_japanese(letter: str) -> bool:
    """Kana or kanji.

    >>> [is_japanese(letter) for letter in "aあア漢。"]
    [False, True, True, True, False]
    """
    return "ぁ" <= letter <= "ゖ" or "ァ" <= letter <= "ヺ" or letter == "ー" or "一" <= letter <= "鿿"


@cache
def neighbours() -> Mapping[str, tuple[str, ...]]:
    """What may be typed for a letter: keys beside its own on an English keyboard, sounds beside its own for kana."""
    found: dict[str, list[str]] = {}
    for letter, other in (*_keys(), *_kana()):
        found.setdefault(letter, []).append(other)
    return {letter: tuple(dict.fromkeys(others)) for letter, others in found.items()}


def _keys() -> Iterator[tuple[str, str]]:
    at = {key: (column + _SHIFTS[row], row) for row, keys in enumerate(_KEY_ROWS) for column, key in enumerate(keys)}
    for key, (x, y) in at.items():
        for other, (u, v) in at.items():
            if key != other and abs(x - u) <= 1.0 and abs(y - v) <= 1 and key.isdigit() == other.isdigit():
                yield key, other
                if key.isalpha():
                    yield key.upper(), other.upper()


def _kana() -> Iterator[tuple[str, str]]:
    for row in _SOUNDS:
        for one, other in pairwise(row):
            yield from ((one, other), (other, one))
    for forms in _VOICED:
        for one in forms:
            yield from ((one, other) for other in forms if other != one)
    yield from _in_katakana()


def _in_katakana() -> Iterator[tuple[str, str]]:
    for row in (*_SOUNDS, *_VOICED):
        for one, other in pairwise(row):
            a, b = chr(ord(one) + _TO_KATAKANA), chr(ord(other) + _TO_KATAKANA)
            yield from ((a, b), (b, a))


def _swaps(letter: str) -> str:
    """Letters change places with letters of their own kind; "" for what is typed as a whole (kanji) or not at all."""
    if letter.isascii():
        return "letter" if letter.isalpha() else "digit" if letter.isdigit() else ""
    if is_japanese(letter):
        return "hiragana" if letter <= "ゖ" else "katakana" if letter <= "ー" else ""
    return "letter" if letter.isalpha() and letter.lower() != letter.upper() else ""


def _other_form(letter: str, japanese: bool) -> str | None:
    """The same letter in the other case; in Japanese, in the other width; None: it has but one form."""
    if japanese and (other := _other_width(letter)) is not None:
        return other
    other = letter.swapcase()
    return other if len(other) == 1 and other != letter and other.swapcase() == letter else None


def _other_width(letter: str) -> str | None:
    if letter.isascii() and letter.isalnum():
        return chr(ord(letter) + _WIDE)
    if "０" <= letter <= "ｚ" and chr(ord(letter) - _WIDE).isalnum():
        return chr(ord(letter) - _WIDE)
    return _half_katakana().get(letter)


@cache
def _half_katakana() -> Mapping[str, str]:
    """Katakana -> half-width; a voiced one becomes two characters, as it is written so."""
    narrow = {unicodedata.normalize("NFKC", chr(code)): chr(code) for code in range(0xFF66, 0xFF9E)}
    marks = {"\u3099": "\uff9e", "\u309a": "\uff9f"}
    for code in range(ord("ァ"), ord("ヺ") + 1):
        base, mark = (*unicodedata.normalize("NFD", chr(code)), "")[:2]
        if mark in marks and base in narrow:
            narrow[chr(code)] = narrow[base] + marks[mark]
    return narrow


def _marked(text: str, place: int) -> bool:
    """Whether an accent, a variation or a joiner stands on the letter or is it."""
    return any(map(_joins, text[place : place + 2]))


def _joins(letter: str) -> bool:
    return unicodedata.category(letter) in ("Mn", "Mc", "Me", "Cf")


def _between_words(text: str, place: int) -> bool:
    return text[place] in (" ", _FULL_SPACE) and text[place - 1].isalnum() and text[place + 1].isalnum()


def _inside_word(text: str, place: int) -> bool:
    return text[place - 1].isalnum() and text[place].isalnum()


def _space_between(text: str, place: int) -> str:
    return _FULL_SPACE if is_japanese(text[place - 1]) and is_japanese(text[place]) else " "
