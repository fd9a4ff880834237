"""Numbers, sizes, durations and lists as a language writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

from babel.lists import format_list
from babel.numbers import format_decimal

RANGE_MARK = {"en": " to ", "ja": "〜"}
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")
_DECIMAL = ("", "K", "M", "G", "T", "P")
_POWERS_FROM = 1e18
"""From here on a float has long run out of digits, and a row of noughts is not read any more."""
_SMALLEST = 5e-9
"""What eight decimals would write as nought."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@lru_cache(maxsize=16384, typed=True)
def number(value: float, language: str, digits: int | None = None) -> str:
    """A number with the language's separators: whole numbers whole, others with `digits` decimals (3 significant by default).

    One too large or too small for that is written as a power of ten; nought has no sign.
    Kept: a page that is drawn anew writes the same thousands of figures again.

    >>> number(1234.5, "en", 1), number(1e28, "en"), number(-2.5e-12, "ja"), number(-0.001, "en", 1)
    ('1,234.5', '1×10²⁸', '-2.5×10⁻¹²', '0.0')
    """
    if abs(value) == math.inf or value != value:
        return format_decimal(value, format="0", locale=language)
    if abs(value) >= _POWERS_FROM or (digits is None and 0 < abs(value) < _SMALLEST):
        return _power(value)
    if digits is None:
        digits = 0 if isinstance(value, int) or float(value).is_integer() else _decimals(value)
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    said = format_decimal(value, format=pattern, locale=language)
    return said if any(sign in "123456789" for sign in said) else said.removeprefix("-")


def _power(value: float, significant: int = 3) -> str:
    """Digits times a power of ten: 1.23×10²⁸. Through Decimal, which holds a whole number of any size."""
    digits, power = f"{Decimal(value):.{significant - 1}e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}×10{str(int(power)).translate(_RAISED)}"


def _decimals(value: float, significant: int = 3) -> int:
    size = abs(value)
    if size >= 100:
        return 0
    if size >= 10:
        return 1
    if size >= 1:
        return 2
    places, scaled = 2, size
    while scaled < 0.1 and places < 8:
        places, scaled = places + 1, scaled * 10
    return min(places + significant - 3 + 1, 8)


def percent(share: float, language: str, digits: int = 0) -> str:
    """A share (0.12) as a percentage figure without the sign's space (12%)."""
    return number(share * 100, language, digits) + "%"


def size(n_bytes: float, language: str) -> str:
    """A number of bytes in binary units: 257 MiB."""
    value, unit = float(n_bytes), 0
    while abs(value) >= 1024 and unit < len(_BINARY) - 1:
        value, unit = value / 1024, unit + 1
    return f"{number(value, language, 0 if unit == 0 or abs(value) >= 100 else 1)} {_BINARY[unit]}"


def amount(value: float, language: str) -> str:
    """A large count in decimal prefixes: 134.5 M parameters, 268 M FLOPs."""
    scaled, unit = float(value), 0
    while abs(scaled) >= 1000 and unit < len(_DECIMAL) - 1:
        scaled, unit = scaled / 1000, unit + 1
    text = number(scaled, language, 0 if unit == 0 or abs(scaled) >= 100 else 1)
    return f"{text} {_DECIMAL[unit]}".rstrip()


def duration(seconds: float, language: str) -> str:
    """A length of time, never finer than it is useful: 42 s, 3 min, 2 h 5 min."""
    whole = max(0, round(seconds))
    minutes = round(whole / 60)
    if whole < 90:
        return {"en": f"{whole} s", "ja": f"{whole}秒"}[language]
    if whole < 5400:
        return {"en": f"{minutes} min", "ja": f"{minutes}分"}[language]
    hours, rest = divmod(minutes, 60)
    many = number(hours, language)
    return {"en": f"{many} h {rest} min", "ja": f"{many}時間{rest}分"}[language]


def listed(items: Sequence[str], language: str) -> str:
    """A list in words: "3, 14 and 26" / 「3、14、26」."""
    if language == "ja":
        return "、".join(items)
    return format_list(list(items), locale="en") if items else ""


def span(low: str, high: str, language: str) -> str:
    """A range in words: "30 to 45%" / 「30〜45%」."""
    return f"{low}{RANGE_MARK[language]}{high}"
