"""Assumptions in words: what a figure is called, its value with its unit, and which of them moves the result most."""

from __future__ import annotations

import re
from collections.abc import Mapping

from analysis.contracts import Assumption, BusinessCase, Currency, Message, Swing
from analysis.economics.names import FIGURES
from analysis.i18n import N_, Language, render, translator
from analysis.i18n.numbers import span
from analysis.reporting.briefing_clean import clean, plain_number
from analysis.reporting.money_words import money, money_range, months, percent_of

MEASURED_LABELS: Mapping[str, str] = {
    "measured_saving": N_("saving as measured"),
    "measured_request_ratio": N_("saving of a request as measured"),
    "measured_training_ratio": N_("saving of a fine-tune as measured"),
    "measured_quality": N_("rate of added errors as measured"),
    "measured_error_percent": N_("change of right answers as measured"),
    "projected_saving": N_("saving as projected"),
}
_PLURAL = re.compile(r"^(day|month|year|machine|GPU|time)s\b")
_IN_PERCENT = frozenset({"measured_error_percent", "measured_quality"})
"""Added errors in percent of the requests."""
_RATIOS = frozenset({"measured_request_ratio", "measured_training_ratio"})


def label(name: str, language: Language) -> str:
    """What a figure is called inside a sentence."""
    t, known = translator(language), FIGURES.get(name)
    if known is not None:
        return t(known.label)
    return t(MEASURED_LABELS[name]) if name in MEASURED_LABELS else clean(name, 40)


def value_text(name: str, value: float, currency: Currency, language: Language) -> str:
    """A figure's value with its unit."""
    t, known = translator(language), FIGURES.get(name)
    if name in MEASURED_LABELS:
        if name in _IN_PERCENT:
            return percent_of(value / 100)
        return percent_of(1 - value if name in _RATIOS else value)
    if known is None:
        return plain_number(value, 3, language)
    if known.is_money:
        return money(value, currency, language, about=False)
    return with_unit(plain_number(value, 3, language), t(known.unit) if known.unit else "", language)


def with_unit(figure: str, unit: str, language: Language) -> str:
    """5%, 3 months, 1 day a month; 取得価額に対する5%／年 where Japanese says of what first."""
    if language == "ja":
        of_what, percent, rest = unit.partition("%")
        return f"{of_what}{figure}%{rest}" if percent else f"{figure}{unit}"
    if figure == "1":
        unit = _PLURAL.sub(r"\1", unit)
    return f"{figure}{'' if not unit or unit.startswith('%') else ' '}{unit}"


def range_text(name: str, given: Assumption, currency: Currency, language: Language) -> str:
    """A figure with the range that it is drawn from: "5% a year (3 to 8)"."""
    if given.value is None:
        return translator(language)("not yet tested")
    said = value_text(name, given.value, given.currency or currency, language)
    if given.low is None or given.high is None or given.low == given.high:
        return said
    low, high = (_bare(name, end, given.currency or currency, language) for end in (given.low, given.high))
    return translator(language)("{value} ({range})", value=said, range=span(low, high, language))


def _bare(name: str, value: float, currency: Currency, language: Language) -> str:
    """One end of a range; its unit was said already, except where the size of money needs it."""
    known = FIGURES.get(name)
    if known is not None and known.is_money and language == "ja":
        return money(value, currency, language, about=False)
    return plain_number(value, 3, language) if known is not None else value_text(name, value, currency, language)


def driver_facts(case: BusinessCase, language: Language) -> dict[str, str]:
    """The assumption that matters most, its bad end, and what payback would become there."""
    found: dict[str, str] = {}
    top = next(iter(case.result.tornado), None)
    if top is not None:
        value, payback = _bad_end(top)
        t = translator(language)
        found = {
            "top_driver": t("the {name}", name=label(top.name, language)),
            "bad_value": value_text(top.name, value, _currency(case, top.name), language),
            "bad_payback": months(payback, language) if payback is not None else "",
        }
    errors = [abs(error.error_share) for error in case.evidence.projection_errors if error.quantity.endswith(("_ratio", "_ms"))]
    if errors:
        found["calibration"] = percent_of(max(errors))
    return found


def _bad_end(swing: Swing) -> tuple[float, float | None]:
    return (swing.low, swing.payback_low) if swing.npv_low <= swing.npv_high else (swing.high, swing.payback_high)


def most_important(case: BusinessCase, language: Language, most: int = 3) -> list[str]:
    """The assumptions that matter most, each with the range it was moved over."""
    t = translator(language)
    return [t("{role} {days}", role=label(swing.name, language), days=_ends(swing, case, language)) for swing in case.result.tornado[:most]]


def _ends(swing: Swing, case: BusinessCase, language: Language) -> str:
    """The range of one assumption; a unit that both ends share is said once."""
    currency, known = _currency(case, swing.name), FIGURES.get(swing.name)
    if known is not None and known.is_money:
        low, high = money_range(swing.low, swing.high, currency, language)
        return span(low, high, language)
    low = plain_number(swing.low, 3, language) if known is not None else value_text(swing.name, swing.low, currency, language)
    return span(low.removesuffix("%"), value_text(swing.name, swing.high, currency, language), language)


def source_text(given: Assumption, language: Language) -> str:
    """Where an assumption comes from: its source and date, or that nobody has confirmed it."""
    t = translator(language)
    parts = [] if given.source is None else [clean(render(given.source, language), 90)]
    parts += [given.as_of] if given.as_of else []
    if given.confirmed_by:
        parts.append(t("confirmed by {name} (as entered, not verified)", name=clean(given.confirmed_by, 40)))
    elif not given.sourced and given.origin == "assumed":
        parts.append(t("starting value, no source: please confirm"))
    return t("; ").join(dict.fromkeys(parts)) or t("as entered")  # a source may say already that there is none


def _currency(case: BusinessCase, name: str) -> Currency:
    given = case.assumptions.values.get(name)
    return (given.currency if given else None) or case.assumptions.currency


def listed_words(texts: list[str], language: Language) -> str:
    """Texts as a list in words."""
    return render(Message(id="{slices}", values={"slices": tuple(texts)}), language)
