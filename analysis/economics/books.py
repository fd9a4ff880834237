"""Cash and the books: what a fiscal year's profit and loss shows, the tax on it, and the years side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np

from analysis.contracts.business import Assumptions
from analysis.contracts.case import FiscalLines, FiscalYear
from analysis.economics.dates import add_months
from analysis.economics.load import Figures, Floats, Number, column
from analysis.economics.streams import Setting, Stream, first_day


@dataclass(frozen=True)
class Books:
    """[..., months] what the profit and loss of a month shows, each line as it moves the profit."""

    start: Number
    saving: Number
    avoided: Number
    running: Number
    quality: Number

    @property
    def profit(self) -> Floats:
        """Profit more because of the plan, before tax. Freed capacity is none."""
        return np.asarray(self.start + self.saving + self.avoided + self.running + self.quality)


def books(setting: Setting, found: Sequence[Stream], *, start: Number, running: Number, quality: Number | None) -> Books:
    """The months in the books: purchases as depreciation, the start-up cost at once or over some years."""
    assumptions, figures = setting.assumptions, setting.figures
    saving: Number = 0.0
    avoided: Number = 0.0
    for one in found:
        saving = saving + one.cash
        avoided = avoided + (one.avoided if one.avoided_expense is None else one.avoided_expense)
    life = column(np.rint(12 * np.asarray(figures.get("capitalise_years", 5.0))) if assumptions.capitalise else 1.0)
    spread = np.where(np.arange(setting.months) < life, 1 / life, 0.0)
    return Books(-column(start) * spread, saving, avoided, -column(running), 0.0 if quality is None else -quality)


def year_starts(assumptions: Assumptions, months: int) -> list[int]:
    """Index of the first month of every fiscal year, the first month's own among them (0)."""
    first = first_day(assumptions).month
    return [month for month in range(months) if month == 0 or (first - 1 + month) % 12 == (assumptions.fiscal_year_starts - 1) % 12]


def taxes(assumptions: Assumptions, figures: Figures, kept: Books) -> Floats:
    """[..., months] tax on the profit that the plan adds, as it arises with the profit of the year so far; losses go to later years.

    A bad month late in a year takes back tax of its earlier ones. So a larger saving never brings a tax before its money, and a
    period may end within a year.
    """
    so_far = np.cumsum(kept.profit, axis=-1)
    months = so_far.shape[-1]
    starts = year_starts(assumptions, months)
    ended = np.maximum.accumulate(np.maximum(so_far[..., [start - 1 for start in starts[1:]]], 0.0), axis=-1)
    settled = np.concatenate([np.zeros_like(so_far[..., :1]), ended], axis=-1)
    taxed = np.maximum(so_far, np.repeat(settled, np.diff([*starts, months]), axis=-1))
    return np.asarray(np.diff(taxed, axis=-1, prepend=0.0) * column(figures.get("tax_rate_percent", 0.0)) / 100)


def fiscal_years(assumptions: Assumptions, cash: Mapping[str, Number], kept: Books, *, horizon: int, tax: Number) -> tuple[FiscalYear, ...]:
    """The evaluation period by fiscal year, cash and books side by side; each table's years add up to the whole period.

    Args:
        assumptions: when the year starts, and what counts.
        cash: line of `FiscalLines` -> [months] as it moves the total; the start-up cost apart, as one sum in `start_cost`.
        kept: the same months in the books.
        horizon: months of the evaluation period.
        tax: [months] paid more because of the plan; the same in both tables.
    """
    starts = [*year_starts(assumptions, horizon), horizon]
    first = first_day(assumptions)
    in_books = {"start_cost": kept.start, "saving": kept.saving, "avoided": kept.avoided, "running": kept.running, "quality": kept.quality}
    found = []
    for place, (begins, ends) in enumerate(pairwise(starts)):
        of_cash = {name: _sum_of(value, begins, ends) for name, value in cash.items() if name != "start_cost"}
        of_books = {name: _sum_of(value, begins, ends) for name, value in in_books.items()}
        paid = 0.0 - _sum_of(tax, begins, ends)
        begun = float(np.asarray(cash.get("start_cost", 0.0))) if place == 0 else 0.0
        found.append(
            FiscalYear(
                year=_fiscal_year(first, begins, assumptions.fiscal_year_starts),
                n_months=ends - begins,
                cash=FiscalLines(start_cost=begun, tax=paid, **of_cash),
                profit=FiscalLines(tax=paid, **of_books),
            )
        )
    return tuple(found)


def _fiscal_year(first: date, month: int, starts: int) -> int:
    """The calendar year in which the fiscal year of a month began."""
    at = add_months(first.replace(day=1), month)
    return at.year if at.month >= starts else at.year - 1


def _sum_of(value: Number, begins: int, ends: int) -> float:
    """Over some months; a constant stands in each of them."""
    months = np.asarray(value, dtype=np.float64)
    if months.ndim == 0 or months.shape[-1] == 1:
        return float(months.reshape(-1)[0]) * (ends - begins) + 0.0
    return float(months[..., begins:ends].sum()) + 0.0
