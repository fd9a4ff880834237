"""Money month by month, for one set of figures or for thousands of draws at once: start-up cost, saving, running cost, net."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from analysis.contracts.business import Assumptions, CaseEvidence
from analysis.economics.books import books, taxes
from analysis.economics.load import Figures, Floats, Number, column, growth, ramp, requests, runs
from analysis.economics.streams import Setting, Stream, streams

MONTHS = 120
"""Months looked at for a payback."""


@dataclass(frozen=True)
class Flows:
    """Arrays of [..., months]; `start` and `running` are [...].

    Attributes:
        start: start-up cost, paid in month 0.
        running: people who watch and renew, a month, from month 1.
        today: what the plan touches costs without it.
        cash, avoided, freed: saved, by what it is worth.
        quality: extra errors x their price.
        tax: paid more because of the plan; 0 before tax.
        net: counted: cash + avoided (+ freed where it counts) - running - quality - tax.
        ramp, growth: share of full use, and work / the first month's.
        streams: the same, line by line.
    """

    start: Floats
    running: Floats
    today: Floats
    cash: Floats
    avoided: Floats
    freed: Floats
    quality: Floats
    tax: Floats
    net: Floats
    ramp: Floats
    growth: Floats
    streams: tuple[Stream, ...]
    setting: Setting

    @property
    def saving(self) -> Floats:
        """Counted saving, before running costs, errors and tax."""
        counted = self.cash + self.avoided
        return counted + self.freed if self.setting.assumptions.count_capacity else counted


def flows(assumptions: Assumptions, evidence: CaseEvidence, figures: Figures, months: int = MONTHS) -> Flows:
    """What comes in and goes out in each month from the first on.

    Args:
        assumptions: where today's cost comes from, where it runs, what counts.
        evidence: what was measured of the plan.
        figures: every figure by name, one value or [draws] each, in the case's currency.
        months: how many are looked at.
    """
    setting = Setting(
        assumptions,
        evidence,
        figures,
        growth(figures, months),
        ramp(figures, months),
        requests(assumptions, evidence, figures),
        runs(assumptions, evidence, figures),
    )
    found = tuple(streams(setting))
    start, running = start_cost(figures), running_cost(figures)
    quality = quality_cost(setting)
    cash, avoided, freed = (_sum(getattr(one, name) for one in found) for name in ("cash", "avoided", "freed"))
    counted = cash + avoided + freed if assumptions.count_capacity else cash + avoided
    net = counted - (0.0 if quality is None else quality) - column(running)
    tax: Number = 0.0
    if assumptions.after_tax:
        tax = taxes(assumptions, figures, books(setting, found, start=start, running=running, quality=quality))
        net = net - tax
    today = _sum(one.today for one in found)
    moved = (np.shape(each) for each in (net, today, freed))  # freed capacity may vary where nothing that counts does
    shape = np.broadcast_shapes(*moved, (months,), (*np.shape(start), 1))

    def full(value: Number | None) -> Floats:
        return np.broadcast_to(np.asarray(0.0 if value is None else value, dtype=np.float64), shape)

    return Flows(
        start=np.broadcast_to(np.asarray(start, dtype=np.float64), shape[:-1]),
        running=np.broadcast_to(np.asarray(running, dtype=np.float64), shape[:-1]),
        today=full(today),
        cash=full(cash),
        avoided=full(avoided),
        freed=full(freed),
        quality=full(quality),
        tax=full(tax),
        net=full(net),
        ramp=setting.ramp,
        growth=setting.growth,
        streams=found,
        setting=setting,
    )


def start_cost(figures: Figures) -> Number:
    """People's days and what is paid to others before anything is saved."""
    return own_days(figures) * figures.get("internal_day", 0.0) + paid_to_others(figures)


def own_days(figures: Figures) -> Number:
    """Own people's days to begin."""
    return sum((figures.get(name, 0.0) for name in ("engineer_days", "expert_days", "legal_days")), 0.0)


def paid_to_others(figures: Figures) -> Number:
    """Paid outside the company to begin."""
    return figures.get("external_days", 0.0) * figures.get("external_day", 0.0) + figures.get("other_start_cost", 0.0)


def running_cost(figures: Figures) -> Number:
    """A month of watching, and the renewal that comes round every few months."""
    renewal = figures.get("renewal_days", 0.0) / figures.get("renewal_months", 6.0)
    return (figures.get("run_days_per_month", 0.0) + renewal) * figures.get("internal_day", 0.0)


def quality_cost(setting: Setting) -> Number | None:
    """[..., months] extra errors x their price, as work grows and moves over; None: no share or no price is known."""
    percent = setting.figures.get("measured_error_percent", setting.figures.get("error_share_percent"))
    if percent is None:
        return None
    price = error_prices(setting.assumptions, setting.figures)
    return None if price is None else column(price * percent / 100) * setting.growth * setting.ramp


def error_prices(assumptions: Assumptions, figures: Figures) -> Number | None:
    """What it would cost if every request of a month went wrong; None: no price was given, or there are no requests."""
    common = figures.get("error_price")
    found: Number | None = None
    for one in assumptions.slices:
        price = common if one.error_price is None else one.error_price
        if one.requests_per_month and price is not None:
            found = one.requests_per_month * price + (0.0 if found is None else found)
    return found


def _sum(values: Iterable[Number]) -> Number:
    total: Number = 0.0
    for value in values:
        total = total + value
    return total
