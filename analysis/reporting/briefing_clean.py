"""Words of others made fit for a page: one line, no control signs, never longer than their place."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.i18n import Language, Translator
from analysis.i18n.numbers import number


def clean(text: str, longest: int) -> str:
    """Text on one line without control characters, cut where it would break the page."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def fewer(names: Sequence[str], most: int, t: Translator) -> str:
    """A list that stays short: the first few by name, the rest counted.

    >>> from analysis.i18n import translator
    >>> fewer(["mail", "orders", "code", "notes"], 2, translator("en"))
    'mail, orders and 2 more'
    """
    if len(names) <= most + 1:
        return t("{slices}", slices=tuple(names))
    return t("{names} and {n} more", names=t(", ").join(names[:most]), n=len(names) - most)


def plain_number(value: float, digits: int, language: Language) -> str:
    """A number with no more decimals than it has."""
    rounded = round(value, digits)
    shortest = next(few for few in range(digits + 1) if round(rounded, few) == rounded)
    return number(rounded, language, shortest)
