"""Cash and the books: what a fiscal year's profit and loss shows, the tax on it, and the years side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.contracts.business import Assumptions
from analysis.economics.load import Figures, Floats, Number, column, scalar
from analysis.economics.streams import Stream, first_day


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


def books(
    assumptions: Assumptions,
    figures: Figures,
    found: Sequence[Stream],
    start: Number,
    running: Number,
    quality: Number | None,
    months: int,
) -> Books:
    """The months in the books: purchases as depreciation, the start-up cost at once or over some years."""
    saving: Number = 0.0
    avoided: Number = 0.0
    for one in found:
        saving = saving + one.cash
        avoided = avoided + (one.avoided if one.avoided_expense is None else one.avoided_expense)
    spread = np.zeros(months)
    life = max(1, round(12 * (scalar(figures, "capitalise_years") or 5.0))) if assumptions.capitalise else 1
    spread[:life] = 1 / life
    return Books(-column(start) * spread, saving, avoided, -column(running), 0.0 if quality is None else -quality)


def year_starts(assumptions: Assumptions, months: int) -> list[int]:
    """Index of the first month of every fiscal year, the first month's own among them (0)."""
    first = first_day(assumptions).month
    return [month for month in range(months) if month == 0 or (first - 1 + month) % 12 == (assumptions.fiscal_year_starts - 1) % 12]


def tax_periods(assumptions: Assumptions, figures: Figures, months: int) -> list[int]:
    """Where tax is worked out: at fiscal years, and at the end of the evaluation period, which closes its own account."""
    horizon = round(scalar(figures, "horizon_months") or months)
    own = assumptions.values.get("horizon_months")
    if own is not None and own.value is not None:
        horizon = round(own.value)
    return sorted({*year_starts(assumptions, months), *([horizon] if 0 < horizon < months else [])})


def taxes(assumptions: Assumptions, figures: Figures, kept: Books) -> Floats:
    """[..., months] tax on the profit that the plan adds: losses are carried to later years, and a year's tax is spread over its months."""
    profit = kept.profit
    months = profit.shape[-1]
    starts = tax_periods(assumptions, figures, months)
    yearly = np.add.reduceat(profit, starts, axis=-1)
    best = np.maximum(np.maximum.accumulate(np.cumsum(yearly, axis=-1), axis=-1), 0.0)
    due = np.diff(best, axis=-1, prepend=0.0) * column(figures.get("tax_rate_percent", 0.0)) / 100
    lengths = np.diff([*starts, months])
    return np.asarray(np.repeat(due / lengths, lengths, axis=-1))
