"""Every figure that a person may change: its name, unit, starting value, range, limits, and where a company finds its own.

Starting values are working values, never facts: all but a few have no public source and are marked so. Percentages are as
people write them (5 is 5 %). Limits of money are in yen; other currencies are held to the same order of magnitude.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from analysis.contracts.business import Assumptions, CaseEvidence, Currency
from analysis.economics.uses import (
    always,
    bill,
    both_kinds,
    by_the_hour,
    capitalised,
    co2_wanted,
    external_paid,
    never,
    on_machines,
    other_machine,
    own_machines,
    power_used,
    priced_serving,
    priced_training,
    rented,
    serving_bill_alone,
    spare_counted,
    taxed,
    training_bill_alone,
    waits_for_peak,
)
from analysis.i18n import N_

Group = Literal["general", "load", "machines", "prices", "bill", "training", "people", "quality"]
GROUPS: tuple[Group, ...] = ("bill", "load", "machines", "prices", "training", "people", "quality", "general")
Use = Callable[[Assumptions, CaseEvidence], bool]

SCALE: Mapping[Currency, float] = MappingProxyType({"JPY": 1.0, "USD": 0.01, "EUR": 0.01})
"""Order of magnitude of one yen in a currency: for limits only, never to convert a sum."""


@dataclass(frozen=True)
class Figure:
    """One figure by name.

    Attributes:
        label: what it is called, in lower case, as it stands inside a sentence.
        unit: "" for a plain number; `{currency}` stands for the currency of the figure.
        default: starting value; None: there is none, a person gives it.
        low, high: least likely values of the simulation; None: as the value.
        lowest, highest: what is allowed at all; money in yen (see `SCALE`).
        own_figure: where the company finds its own.
        source: public source of the starting value; None: it has none.
        used: whether it enters this case's arithmetic.
        needed: whether this case cannot be worked out without it.
    """

    name: str
    label: str
    unit: str
    group: Group
    default: float | None
    low: float | None
    high: float | None
    lowest: float
    highest: float
    own_figure: str
    used: Use
    needed: Use = never
    is_money: bool = False
    whole: bool = False
    source: str | None = None

    def limits(self, currency: Currency) -> tuple[float, float]:
        """What is allowed at all, in that currency where it is money."""
        scale = SCALE[currency] if self.is_money else 1.0
        return self.lowest * scale, self.highest * scale


def _figure(
    name: str,
    label: str,
    unit: str,
    start: float | tuple[float, float, float] | None,
    allowed: tuple[float, float],
    *,
    where: str,
    used: Use = always,
    needed: Use = never,
    is_money: bool = False,
    whole: bool = False,
    source: str | None = None,
) -> Figure:
    """One entry of the table below; `start` is a value, a value with the ends of its range, or nothing."""
    default, low, high = start if isinstance(start, tuple) else (start, None, None)
    return Figure(name, label, unit, "general", default, low, high, *allowed, where, used, needed, is_money, whole, source)


# Read by its columns: name, label, unit, (value, low, high), (lowest, highest); below, where to find one's own, and what asks for it.
# fmt: off
_TABLE: Mapping[Group, tuple[Figure, ...]] = {
    "general": (
        _figure("horizon_months", N_("evaluation period"), N_("months"), (36, 24, 60), (1, 120),
            where=N_("company rule; 60 = statutory life of a server"), needed=always, whole=True),
        _figure("discount_rate_percent", N_("discount rate"), N_("% a year"), (5, 3, 8), (0, 100),
            where=N_("ask accounting for the hurdle rate"), needed=always),
        _figure("growth_percent_per_year", N_("growth of volume"), N_("% a year"), (0, 0, 30), (-90, 1000),
            where=N_("logs; 0 is the cautious choice")),
        _figure("rollout_months", N_("months until all of the work runs with the plan"), N_("months"), (3, 1, 6), (0, 60),
            where=N_("own plan")),
        _figure("tax_rate_percent", N_("tax rate"), N_("%"), None, (0, 70),
            where=N_("rates change: a defence surtax is added for fiscal years from April 2026; take accounting's figure"),
            used=taxed, needed=taxed),
        _figure("capitalise_years", N_("years over which start-up cost is capitalised"), N_("years"), 5, (1, 20),
            where=N_("accounting decides; payback in cash does not change"), used=capitalised, needed=capitalised),
    ),
    "load": (
        _figure("peak_factor", N_("peak hour / average"), N_("times"), (3, 1.5, 6), (1, 100),
            where=N_("decides the number of machines, not the average; logs"), used=waits_for_peak, needed=waits_for_peak),
        _figure("utilisation_percent", N_("utilisation"), N_("%"), (30, 10, 70), (1, 100),
            where=N_("monitoring of the present machines"), used=by_the_hour, needed=by_the_hour),
        _figure("spare_machines", N_("spare machines"), N_("machines"), 1, (0, 1000),
            where=N_("availability rule"), used=spare_counted, needed=waits_for_peak, whole=True),
        _figure("batch_size", N_("requests answered at once on one GPU"), N_("requests"), None, (1, 100_000),
            where=N_("monitoring of the present machines"), used=priced_serving, whole=True),
        _figure("machine_factor", N_("machine factor"), N_("times"), (1, 0.7, 1.1), (0, 2),
            where=N_("verify on the production machine"), used=other_machine),
        _figure("speed_factor", N_("speed of the priced device / the measured one"), N_("times"), None, (0.01, 10_000),
            where=N_("verify on the production machine"), used=both_kinds, needed=both_kinds),
    ),
    "machines": (
        _figure("gpus_per_machine", N_("GPUs in a machine"), N_("GPUs"), 1, (1, 1024),
            where=N_("contract, or asset ledger"), used=waits_for_peak, needed=waits_for_peak, whole=True),
        _figure("machines_today", N_("machines today"), N_("machines"), None, (1, 100_000),
            where=N_("contract, or asset ledger"), used=on_machines, whole=True),
        _figure("gpu_memory_gib", N_("memory of one GPU"), N_("GiB"), None, (0.5, 10_000),
            where=N_("the maker's data sheet"), used=waits_for_peak),
        _figure("gpu_power_watts", N_("power of one GPU"), N_("W"), None, (1, 10_000),
            where=N_("the maker's data sheet"), used=power_used),
    ),
    "prices": (
        _figure("gpu_price_per_hour", N_("cloud price"), N_("{currency} per GPU hour"), None, (0.1, 20_000),
            where=N_("provider's page and date; exchange rate as its own assumption"), used=rented, needed=rented, is_money=True),
        _figure("purchase_price", N_("purchase price of a machine"), N_("{currency}"), None, (1000, 1e10),
            where=N_("asset ledger"), used=own_machines, needed=own_machines, is_money=True),
        _figure("life_years", N_("life of a machine"), N_("years"), 5, (1, 20),
            where=N_("asset ledger"),
            used=own_machines, needed=own_machines, source=N_("table of useful lives by ministerial order (server 5 years, PC 4)")),
        _figure("maintenance_percent_per_year", N_("maintenance contract"), N_("% of the purchase price a year"), (10, 5, 15), (0, 100),
            where=N_("contract"), used=own_machines, needed=own_machines),
        _figure("electricity_price_per_kwh", N_("electricity"), N_("{currency}/kWh"), (25, 18, 32), (0.5, 1000),
            where=N_("own bill: total yen / total kWh, with basic charge and renewable levy (3.98 JPY/kWh from May 2025 to April 2026)"),
            used=own_machines, needed=own_machines, is_money=True),
        _figure("pue", N_("PUE"), N_("times"), (1.5, 1.2, 2.0), (1, 5),
            where=N_("facility; cloud: 1, already in the price"), used=own_machines, needed=own_machines),
        _figure("co2_kg_per_kwh", N_("CO2 factor"), N_("kg/kWh"), None, (0, 3),
            where=N_("Ministry of the Environment, yearly list of factors by utility (FY2023 list: 18 March 2025)"), used=co2_wanted),
    ),
    "bill": (
        _figure("bill_serving_per_month", N_("monthly bill for answering requests"), N_("{currency} a month"), None, (1, 1e12),
            where=N_("the provider's invoice"), used=bill, needed=serving_bill_alone, is_money=True),
        _figure("bill_training_per_month", N_("monthly bill for fine-tuning"), N_("{currency} a month"), None, (1, 1e12),
            where=N_("the provider's invoice"), used=bill, needed=training_bill_alone, is_money=True),
        _figure("bill_variable_percent", N_("part of the bill that grows with use"), N_("%"), (70, 40, 100), (0, 100),
            where=N_("the provider's invoice, line by line"), used=bill, needed=bill),
    ),
    "training": (
        _figure("training_runs_per_month", N_("fine-tuning runs a month"), N_("runs a month"), (1, 0.25, 4), (0, 100_000),
            where=N_("own plan"), used=priced_training, needed=priced_training),
        _figure("training_gpu_hours_per_run", N_("GPU hours of one fine-tuning run today"), N_("GPU hours"), None, (1e-6, 1e8),
            where=N_("log of the last run, or the provider's invoice"), used=priced_training, needed=priced_training),
    ),
    "people": (
        _figure("internal_day", N_("internal person-day"), N_("{currency}"), (40_000, 30_000, 60_000), (1000, 1e6),
            where=N_("accounting's internal rate"), needed=always, is_money=True),
        _figure("external_day", N_("external person-day"), N_("{currency}"), (60_000, 40_000, 100_000), (1000, 2e6),
            where=N_("quotation"), used=external_paid, needed=external_paid, is_money=True),
        _figure("engineer_days", N_("effort to start: engineer"), N_("days"), (10, 7, 20), (0, 10_000),
            where=N_("own plan")),
        _figure("expert_days", N_("effort to start: business expert (rating)"), N_("days"), (3, 2.1, 6), (0, 10_000),
            where=N_("own plan")),
        _figure("legal_days", N_("effort to start: legal and security"), N_("days"), (2, 1.4, 4), (0, 10_000),
            where=N_("own plan")),
        _figure("external_days", N_("effort to start: external"), N_("days"), 0, (0, 10_000),
            where=N_("quotation")),
        _figure("other_start_cost", N_("other cost to start"), N_("{currency}"), 0, (0, 1e11),
            where=N_("quotation"), is_money=True),
        _figure("run_days_per_month", N_("effort to run"), N_("days a month"), (1, 0.5, 2), (0, 1000),
            where=N_("own plan")),
        _figure("renewal_days", N_("effort of a renewal"), N_("days"), (3, 2, 6), (0, 1000),
            where=N_("own plan")),
        _figure("renewal_months", N_("months between renewals"), N_("months"), 6, (1, 120),
            where=N_("own plan")),
    ),
    "quality": (
        _figure("error_price", N_("price of a wrong answer"), N_("{currency}"), None, (0, 1e10),
            where=N_("rework, complaint, scrap records"), is_money=True),
        _figure("error_share_percent", N_("share of quality loss that becomes errors"), N_("% of requests"), None, (0, 100),
            where=N_("measurement")),
    ),
}
# fmt: on

FIGURES: Mapping[str, Figure] = MappingProxyType(
    {figure.name: replace(figure, group=group) for group, figures in _TABLE.items() for figure in figures}
)
MEASURED: tuple[str, ...] = ("measured_request_ratio", "measured_training_ratio", "measured_error_percent")
"""Figures that nobody assumes: taken from the evidence, drawn from their 95 % intervals."""
