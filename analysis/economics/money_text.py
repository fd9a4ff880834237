"""Figures as people write them in Japan and elsewhere: full-width digits, thousands separators, 万 and 億, signs of money."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from math import isfinite

from analysis.errors import InputError

_UNITS = {"百": 100, "千": 1_000, "万": 10_000, "億": 100_000_000, "兆": 1_000_000_000_000}
_SIGNS = "¥$€円%"
_WORDS = ("jpy", "usd", "eur", "yen")
_MINUS = str.maketrans(dict.fromkeys("−–—‐‑▲△", "-"))
_GROUPED = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?")
_PLAIN = re.compile(r"\d+(\.\d*)?|\.\d+")


def parse_amount_text(text: str) -> float:
    """The figure that a text says: 「１，２３４円」, "¥1,234", 「12万」, 「1.2億円」, "1,234.50", 「１２％」 (12), 「▲5」 (-5).

    Raises:
        InputError: no figure, or one that can be read in two ways ("1.234,50", "1,5").

    Example:
        >>> parse_amount_text("▲１．２億円")
        -120000000.0
    """
    rest = unicodedata.normalize("NFKC", text).translate(_MINUS).strip().lower()
    if not rest:
        raise InputError("Nothing was given where a figure is expected. Type a figure such as 1,234 or 12万.")
    negative, rest = _signed(_bare(rest))
    value = float(_sum_of_units(rest, text))
    if not isfinite(value):
        raise no_figure(text)
    return -value if negative else value


def _bare(text: str) -> str:
    """Without signs and names of money and without spaces; a space or apostrophe before three digits separates thousands."""
    for word in _WORDS:
        text = text.replace(word, " ")
    text = re.sub(rf"[{_SIGNS}]", " ", text.replace("\\", " ").replace("、", ","))
    text = re.sub(r"(?<=\d)[\s'](?=\d{3}(?!\d))", ",", text)
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text)


def _signed(text: str) -> tuple[bool, str]:
    if text.startswith("(") and text.endswith(")"):
        return True, text[1:-1]
    return (True, text[1:]) if text.startswith("-") else (False, text.removeprefix("+"))


def _sum_of_units(text: str, given: str) -> Decimal:
    """A figure written with units, largest first: 1億2000万 is 120,000,000."""
    total, last = Decimal(0), None
    parts = re.findall(r"([\d.,]+)([百千]?[万億兆]?)|(.)", text)
    if not parts or any(other for _, _, other in parts):
        raise no_figure(given)
    for digits, units, _ in parts:
        factor = Decimal(1)
        for unit in units:
            factor *= _UNITS[unit]
        if last is not None and (factor >= last or (factor == 1 and len(digits) == 1)):
            raise no_figure(given)  # 3万5 is 35,000 to some and 30,005 to others
        total, last = total + _number(digits, given) * factor, factor
    return total


def _number(digits: str, given: str) -> Decimal:
    euros = re.search("€|eur", unicodedata.normalize("NFKC", given).lower()) and re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", digits)
    if (_PLAIN.fullmatch(digits) and not euros) or _GROUPED.fullmatch(digits):
        return Decimal(digits.replace(",", ""))
    if "," in digits or digits.count(".") > 1 or euros:
        raise InputError(
            "{given} can be read in more than one way: a comma separates thousands here and a point comes before decimals. "
            "Type it as 1,234.50 or 1234.50.",
            given=given,
        )
    raise no_figure(given)


def no_figure(given: str) -> InputError:
    """The refusal of what is no figure."""
    return InputError(
        "{given} is not a figure. Type digits, with or without thousands separators, such as 1,234, ¥1,234 or 12万.", given=given
    )
