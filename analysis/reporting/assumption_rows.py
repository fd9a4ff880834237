"""Every figure that a case rests on as a row: its value, range, where it comes from; those without a source stand first."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.contracts import Assumption, BusinessCase
from analysis.economics.defaults import unsourced
from analysis.economics.names import FIGURES
from analysis.i18n import Language, render, translator
from analysis.i18n.numbers import number, span
from analysis.reporting.briefing_assumed import with_unit
from analysis.reporting.briefing_table import ORIGINS


@dataclass(frozen=True)
class AssumptionRow:
    """One figure in words of one language; figures themselves stay numbers."""

    name: str
    label: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    origin: str
    source: str
    url: str
    as_of: str
    confirmed_by: str
    unsourced: bool

    def written(self, language: Language) -> str:
        """The value with its unit."""
        return "" if self.value is None else with_unit(_short(self.value, language), self.unit, language)

    def range_written(self, language: Language) -> str:
        """The range with its unit; empty: it has none."""
        if self.low is None or self.high is None or self.low == self.high:
            return ""
        return with_unit(span(_short(self.low, language), _short(self.high, language), language), self.unit, language)


def assumption_rows(case: BusinessCase, language: Language) -> tuple[AssumptionRow, ...]:
    """Every figure that has a value: starting values without a source first, then what moves the result most, then the rest."""
    open_ones = unsourced(case.assumptions, case.evidence)
    moving = [swing.name for swing in case.result.tornado]
    known = [name for name, given in case.assumptions.values.items() if given.value is not None]
    order = [*FIGURES, *(name for name in known if name not in FIGURES)]

    def place(name: str) -> tuple[bool, int, int]:
        return name not in open_ones, moving.index(name) if name in moving else len(moving), order.index(name)

    return tuple(_row(name, case.assumptions.values[name], case, language, name in open_ones) for name in sorted(known, key=place))


def figure_name(name: str, language: Language) -> str:
    """A figure as it is called; a name that is not known stays as it is."""
    t = translator(language)
    measured = {"measured_saving": t("measured saving"), "measured_quality": t("measured quality")}
    return t(FIGURES[name].label) if name in FIGURES else measured.get(name, name)


def figure_unit(name: str, currency: str, language: Language) -> str:
    """The unit of a figure; empty: a plain number, or a share that was measured."""
    t, unit = translator(language), FIGURES[name].unit if name in FIGURES else ""
    if not unit:
        return ""
    return t(unit, currency=t(currency)) if "{" in unit else t(unit)


def _row(name: str, given: Assumption, case: BusinessCase, language: Language, is_open: bool) -> AssumptionRow:
    t = translator(language)
    return AssumptionRow(
        name=name,
        label=figure_name(name, language),
        unit=figure_unit(name, given.currency or case.assumptions.currency, language),
        value=given.value,
        low=given.low,
        high=given.high,
        origin=t(ORIGINS[given.origin]),
        source=t("starting value, no source: please confirm") if is_open else render(given.source, language) if given.source else "",
        url=given.source_url,
        as_of=given.as_of,
        confirmed_by=given.confirmed_by,
        unsourced=is_open,
    )


def _short(value: float, language: Language) -> str:
    """A figure without noughts at its end: 0.5, not 0.500."""
    digits = next((digits for digits in range(5) if abs(value - round(value, digits)) < 1e-9 * max(abs(value), 1e-3)), 4)
    return number(value, language, digits)
