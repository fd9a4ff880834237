"""Sums of money, months, dates and shares as someone who decides reads them: rounded no finer than they are known.

Japanese sentences count in 万円 and 億円, its tables in 千円; a minus is a word or a sign, never a triangle.
"""

from __future__ import annotations

import math
from datetime import date

from babel.dates import format_date

from analysis.contracts import Message
from analysis.i18n import Language
from analysis.i18n.numbers import number, span

Range = tuple[float, float]
_YEN, _MAN, _OKU, _SEN = "円", 10_000, 100_000_000, 1_000
_FOREIGN = {"USD": "米ドル", "EUR": "ユーロ"}
_MILLION = 1_000_000
_THOUSANDS_FROM = 100_000
"""Sums from which a Japanese table counts in 千円."""


def money(
    amount: float,
    currency: str,
    language: Language,
    *,
    interval: Range | None = None,
    table: bool = False,
    about: bool = True,
) -> str:
    """A sum with its currency.

    Args:
        amount: in whole units of the currency.
        currency: JPY, USD or EUR.
        language: of the sentence or table.
        interval: P10 and P90; the sum is written no finer than it.
        table: as a cell: without "about", a minus sign instead of the word, Japanese in 千円 from 100,000 on.
        about: says that the sum is rounded; off inside a sentence that says so itself.

    >>> money(410_000, "JPY", "ja"), money(410_000, "JPY", "en"), money(-4_120, "USD", "en", about=False)
    ('約41万円', 'about 410,000 JPY', 'minus USD 4,120')
    """
    rounded = rounded_money(amount, interval)
    if table:
        return ("−" if rounded < 0 else "") + _cell(abs(rounded), currency, language)
    said, near = _sum(abs(rounded), currency, language), about and rounded != 0
    if language == "ja":
        return ("マイナス" if rounded < 0 else "") + ("約" if near else "") + said
    return ("about " if near else "") + ("minus " if rounded < 0 else "") + said


def money_range(low: float, high: float, currency: str, language: Language, *, near: float | None = None) -> tuple[str, str]:
    """Both ends of a range, widened to the digits that its width allows and never narrowed; a shared unit is said once.

    >>> money_range(41_000, 149_000, "JPY", "ja"), money_range(41_000, 149_000, "JPY", "en")
    (('4', '15万円'), ('40,000', '150,000 JPY'))
    """
    step = _step(near if near else max(abs(low), abs(high)), (low, high))
    below, above = (max(step, _step(end, None)) for end in (low, high))  # an end far from the sum has its own three digits
    first, second = math.floor(low / below + 1e-9) * below, math.ceil(high / above - 1e-9) * above
    ends = _end(first, currency, language), _end(second, currency, language)
    if language == "en" and currency != "JPY":
        return ends[0], ends[1].replace(f"{currency} ", "") if second >= 0 else ends[1]
    unit = _unit(ends[1])
    alike = _unit(ends[0]) == unit and (first >= 0 or language == "en")
    return (ends[0].removesuffix(unit) if alike else ends[0]), ends[1]


def _unit(said: str) -> str:
    """What follows the figure: 万円,  JPY."""
    return said[max((place for place, sign in enumerate(said) if sign.isdigit()), default=-1) + 1 :]


def money_message(amount: float, currency: str, *, interval: Range | None = None, about: bool = True) -> Message:
    """The sum as a place of a sentence that is put into words later: each language writes its own form.

    Args:
        amount, currency, interval: as for `money`.
        about: Japanese says 約; the English sentences say "about" themselves.
    """
    english = money(amount, currency, "en", interval=interval, about=False)
    return in_both(english, money(amount, currency, "ja", interval=interval, about=about))


def in_both(english: str, japanese: str) -> Message:
    """Words that each language writes in its own way; the other's form is cut to nothing (precision 0)."""
    return Message(id="{english}{japanese:.0}", values={"english": english, "japanese": japanese})


def rounded_money(amount: float, interval: Range | None = None) -> float:
    """A sum with at most three digits, fewer where its interval allows no more.

    >>> rounded_money(412_345), rounded_money(412_345, (300_000, 520_000)), rounded_money(96_000, (41_000, 150_000))
    (412000.0, 410000.0, 100000.0)
    """
    step = _step(amount, interval)
    return float(round(amount / step) * step)


def _step(amount: float, interval: Range | None) -> float:
    """The finest unit that may be written."""
    if amount == 0:
        return 1.0
    leading = 10.0 ** math.floor(math.log10(abs(amount)))
    step = max(leading / 100, 1.0)
    if interval is not None and interval[1] > interval[0]:
        allowed = 10.0 ** (math.floor(math.log10(interval[1] - interval[0])) - 1)
        step = max(step, min(allowed, leading))  # never so coarse that nothing is left
    return step


def _sum(amount: float, currency: str, language: Language) -> str:
    if language == "ja":
        word = _FOREIGN.get(currency, _YEN)
        if amount >= _OKU:
            return f"{number(amount / _OKU, 'ja', _decimals(amount / _OKU))}億{word}"
        if amount >= _MAN:
            return f"{number(amount / _MAN, 'ja', _decimals(amount / _MAN))}万{word}"
        return f"{number(amount, 'ja', 0)}{word}"
    many = amount >= 10 * _MILLION
    figure = f"{number(amount / _MILLION, 'en', _decimals(amount / _MILLION))} million" if many else number(amount, "en", 0)
    return f"{figure} {currency}" if currency == "JPY" else f"{currency} {figure}"


def _cell(amount: float, currency: str, language: Language) -> str:
    if language == "ja" and currency == "JPY":
        return f"{number(amount / _SEN, 'ja', 0)}千円" if amount >= _THOUSANDS_FROM else f"{number(amount, 'ja', 0)}円"
    if language == "ja":
        return f"{number(amount, 'ja', 0)}{_FOREIGN[currency]}"
    return f"{number(amount, 'en', 0)} {currency}" if currency == "JPY" else f"{currency} {number(amount, 'en', 0)}"


def money_cells(amounts: tuple[float, ...], currency: str, language: Language) -> tuple[str, tuple[str, ...]]:
    """Sums of one table row or column without their unit, and the unit for its label: 千円 from 100,000 yen on.

    >>> money_cells((1_200_000, 1_100_000), "JPY", "ja"), money_cells((900, -50), "USD", "en")
    (('千円', ('1,200', '1,100')), ('USD', ('900', '−50')))
    """
    thousands = language == "ja" and currency == "JPY" and max(map(abs, amounts)) >= _THOUSANDS_FROM
    divisor = _SEN if thousands else 1
    unit = currency if language == "en" else "千円" if thousands else _FOREIGN.get(currency, _YEN)
    return unit, tuple(number(amount / divisor, language, 0).replace("-", "−") for amount in amounts)


def _end(amount: float, currency: str, language: Language) -> str:
    """One end of a range, its digits as they are."""
    said = _sum(abs(amount), currency, language)
    return said if amount >= 0 else {"en": f"minus {said}", "ja": f"マイナス{said}"}[language]


def _decimals(scaled: float) -> int:
    """Decimals that a scaled sum of three digits still has."""
    rounded = round(scaled, 2)
    return 0 if rounded == round(rounded) else 1 if round(rounded, 1) == rounded else 2


def whole_months(months: float) -> int:
    """Months until the money is back, always rounded up.

    >>> whole_months(6.05), whole_months(6.0)
    (7, 6)
    """
    return math.ceil(months - 1e-9)


def months(length: float, language: Language) -> str:
    """A payback period in words."""
    whole = whole_months(length)
    return {"en": f"{whole} month{'' if whole == 1 else 's'}", "ja": f"{whole}か月"}[language]


def of_100(share: float) -> int:
    """How many of 100 cases, never rounded up to a promise.

    >>> of_100(0.996), of_100(0.29)
    (99, 29)
    """
    return math.floor(100 * share + 1e-9)


def percent_of(share: float, *, width: float | None = None) -> str:
    """A share as a percentage, whole from 10 on or where its interval is 5 points wide, a minus as a sign.

    >>> percent_of(0.128), percent_of(0.021), percent_of(-0.0312, width=0.08)
    ('13%', '2.1%', '−3%')
    """
    percent = 100 * share
    coarse = abs(percent) >= 9.95 or (width is not None and 100 * width >= 5) or abs(percent - round(percent)) < 0.05
    if coarse and round(percent) == 0 and abs(percent) >= 0.05:
        coarse = False
    written = f"{percent + 0.0:.0f}" if coarse else f"{percent:.1f}"
    return ("0" if float(written) == 0 else written).replace("-", "−") + "%"


def percent_range(low: float, high: float, language: Language) -> str:
    """Two shares as one range: "30 to 45%" / 「30〜45%」."""
    ends = (percent_of(end, width=high - low) for end in (low, high))
    first, second = ends
    return span(first.removesuffix("%"), second, language)


def day(iso: str, language: Language) -> str | None:
    """A date as a language writes it; None: there is none.

    >>> day("2026-12-01", "ja"), day("2026-12-01", "en"), day("", "en")
    ('2026年12月1日', '1 December 2026', None)
    """
    found = _date(iso)
    if found is None:
        return None
    return format_date(found, "y年M月d日", locale="ja") if language == "ja" else format_date(found, "d MMMM y", locale="en")


def month(iso: str, language: Language) -> str | None:
    """A month: 2026年4月, April 2026; None: there is no date."""
    found = _date(iso)
    if found is None:
        return None
    return format_date(found, "y年M月", locale="ja") if language == "ja" else format_date(found, "MMMM y", locale="en")


def fiscal_year(year: int, language: Language) -> str:
    """A fiscal year by the year in which it starts."""
    return {"en": f"FY{year}", "ja": f"{year}年度"}[language]


def _date(iso: str) -> date | None:
    try:
        return date.fromisoformat(iso[:10])
    except ValueError:
        return None
