"""Every figure that a person may change: its name, unit, starting value, range, limits, and where a company finds its own.

Starting values are working values, never facts: all but a few have no public source and are marked so. Percentages are as
people write them (5 is 5 %). Limits of money are in yen; other currencies are held to the same order of magnitude.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


_GENERAL = (
    Figure(
        "horizon_months",
        N_("evaluation period"),
        N_("months"),
        "general",
        36,
        24,
        60,
        1,
        120,
        N_("company rule; 60 = statutory life of a server"),
        always,
        needed=always,
        whole=True,
    ),
    Figure(
        "discount_rate_percent",
        N_("discount rate"),
        N_("% a year"),
        "general",
        5,
        3,
        8,
        0,
        100,
        N_("ask accounting for the hurdle rate"),
        always,
        needed=always,
    ),
    Figure(
        "growth_percent_per_year",
        N_("growth of volume"),
        N_("% a year"),
        "general",
        0,
        0,
        30,
        -90,
        1000,
        N_("logs; 0 is the cautious choice"),
        always,
    ),
    Figure(
        "rollout_months",
        N_("months until all of the work runs with the plan"),
        N_("months"),
        "general",
        3,
        1,
        6,
        0,
        60,
        N_("own plan"),
        always,
    ),
    Figure(
        "tax_rate_percent",
        N_("tax rate"),
        N_("%"),
        "general",
        None,
        None,
        None,
        0,
        70,
        N_("rates change: a defence surtax is added for fiscal years from April 2026; take accounting's figure"),
        taxed,
        needed=taxed,
    ),
    Figure(
        "capitalise_years",
        N_("years over which start-up cost is capitalised"),
        N_("years"),
        "general",
        5,
        None,
        None,
        1,
        20,
        N_("accounting decides; payback in cash does not change"),
        capitalised,
        needed=capitalised,
    ),
)

_LOAD = (
    Figure(
        "peak_factor",
        N_("peak hour / average"),
        N_("times"),
        "load",
        3,
        1.5,
        6,
        1,
        100,
        N_("decides the number of machines, not the average; logs"),
        waits_for_peak,
        needed=waits_for_peak,
    ),
    Figure(
        "utilisation_percent",
        N_("utilisation"),
        N_("%"),
        "load",
        30,
        10,
        70,
        1,
        100,
        N_("monitoring of the present machines"),
        by_the_hour,
        needed=by_the_hour,
    ),
    Figure(
        "spare_machines",
        N_("spare machines"),
        N_("machines"),
        "load",
        1,
        None,
        None,
        0,
        1000,
        N_("availability rule"),
        waits_for_peak,
        needed=waits_for_peak,
        whole=True,
    ),
    Figure(
        "batch_size",
        N_("requests answered at once on one GPU"),
        N_("requests"),
        "load",
        None,
        None,
        None,
        1,
        100_000,
        N_("monitoring of the present machines"),
        priced_serving,
        whole=True,
    ),
    Figure(
        "machine_factor",
        N_("machine factor"),
        N_("times"),
        "load",
        1,
        0.7,
        1.1,
        0,
        2,
        N_("verify on the production machine"),
        other_machine,
    ),
    Figure(
        "speed_factor",
        N_("speed of the priced device / the measured one"),
        N_("times"),
        "load",
        None,
        None,
        None,
        0.01,
        10_000,
        N_("verify on the production machine"),
        both_kinds,
        needed=both_kinds,
    ),
)

_MACHINES = (
    Figure(
        "gpus_per_machine",
        N_("GPUs in a machine"),
        N_("GPUs"),
        "machines",
        1,
        None,
        None,
        1,
        1024,
        N_("contract, or asset ledger"),
        waits_for_peak,
        needed=waits_for_peak,
        whole=True,
    ),
    Figure(
        "machines_today",
        N_("machines today"),
        N_("machines"),
        "machines",
        None,
        None,
        None,
        0,
        100_000,
        N_("contract, or asset ledger"),
        on_machines,
        whole=True,
    ),
    Figure(
        "gpu_memory_gib",
        N_("memory of one GPU"),
        N_("GiB"),
        "machines",
        None,
        None,
        None,
        0.5,
        10_000,
        N_("the maker's data sheet"),
        waits_for_peak,
    ),
    Figure(
        "gpu_power_watts",
        N_("power of one GPU"),
        N_("W"),
        "machines",
        None,
        None,
        None,
        1,
        10_000,
        N_("the maker's data sheet"),
        power_used,
    ),
)

_PRICES = (
    Figure(
        "gpu_price_per_hour",
        N_("cloud price"),
        N_("{currency} per GPU hour"),
        "prices",
        None,
        None,
        None,
        0.1,
        20_000,
        N_("provider's page and date; exchange rate as its own assumption"),
        rented,
        needed=rented,
        is_money=True,
    ),
    Figure(
        "purchase_price",
        N_("purchase price of a machine"),
        N_("{currency}"),
        "prices",
        None,
        None,
        None,
        1_000,
        1e10,
        N_("asset ledger"),
        own_machines,
        needed=own_machines,
        is_money=True,
    ),
    Figure(
        "life_years",
        N_("life of a machine"),
        N_("years"),
        "prices",
        5,
        None,
        None,
        1,
        20,
        N_("asset ledger"),
        own_machines,
        needed=own_machines,
        source=N_("table of useful lives by ministerial order (server 5 years, PC 4)"),
    ),
    Figure(
        "maintenance_percent_per_year",
        N_("maintenance contract"),
        N_("% of the purchase price a year"),
        "prices",
        10,
        5,
        15,
        0,
        100,
        N_("contract"),
        own_machines,
        needed=own_machines,
    ),
    Figure(
        "electricity_price_per_kwh",
        N_("electricity"),
        N_("{currency}/kWh"),
        "prices",
        25,
        18,
        32,
        0.5,
        1_000,
        N_("own bill: total yen / total kWh, with basic charge and renewable levy (3.98 JPY/kWh from May 2025 to April 2026)"),
        own_machines,
        needed=own_machines,
        is_money=True,
    ),
    Figure(
        "pue",
        N_("PUE"),
        N_("times"),
        "prices",
        1.5,
        1.2,
        2.0,
        1,
        5,
        N_("facility; cloud: 1, already in the price"),
        own_machines,
        needed=own_machines,
    ),
    Figure(
        "co2_kg_per_kwh",
        N_("CO2 factor"),
        N_("kg/kWh"),
        "prices",
        None,
        None,
        None,
        0,
        3,
        N_("Ministry of the Environment, yearly list of factors by utility (FY2023 list: 18 March 2025)"),
        co2_wanted,
    ),
)

_BILL = (
    Figure(
        "bill_serving_per_month",
        N_("monthly bill for answering requests"),
        N_("{currency} a month"),
        "bill",
        None,
        None,
        None,
        1,
        1e12,
        N_("the provider's invoice"),
        bill,
        needed=serving_bill_alone,
        is_money=True,
    ),
    Figure(
        "bill_training_per_month",
        N_("monthly bill for fine-tuning"),
        N_("{currency} a month"),
        "bill",
        None,
        None,
        None,
        1,
        1e12,
        N_("the provider's invoice"),
        bill,
        needed=training_bill_alone,
        is_money=True,
    ),
    Figure(
        "bill_variable_percent",
        N_("part of the bill that grows with use"),
        N_("%"),
        "bill",
        70,
        40,
        100,
        0,
        100,
        N_("the provider's invoice, line by line"),
        bill,
        needed=bill,
    ),
)

_TRAINING = (
    Figure(
        "training_runs_per_month",
        N_("fine-tuning runs a month"),
        N_("runs a month"),
        "training",
        1,
        0.25,
        4,
        0,
        100_000,
        N_("own plan"),
        priced_training,
        needed=priced_training,
    ),
    Figure(
        "training_gpu_hours_per_run",
        N_("GPU hours of one fine-tuning run today"),
        N_("GPU hours"),
        "training",
        None,
        None,
        None,
        1e-6,
        1e8,
        N_("log of the last run, or the provider's invoice"),
        priced_training,
        needed=priced_training,
    ),
)

_PEOPLE = (
    Figure(
        "internal_day",
        N_("internal person-day"),
        N_("{currency}"),
        "people",
        40_000,
        30_000,
        60_000,
        1_000,
        1e6,
        N_("accounting's internal rate"),
        always,
        needed=always,
        is_money=True,
    ),
    Figure(
        "external_day",
        N_("external person-day"),
        N_("{currency}"),
        "people",
        60_000,
        40_000,
        100_000,
        1_000,
        2e6,
        N_("quotation"),
        external_paid,
        needed=external_paid,
        is_money=True,
    ),
    Figure("engineer_days", N_("effort to start: engineer"), N_("days"), "people", 10, 7, 20, 0, 10_000, N_("own plan"), always),
    Figure(
        "expert_days", N_("effort to start: business expert (rating)"), N_("days"), "people", 3, 2.1, 6, 0, 10_000, N_("own plan"), always
    ),
    Figure("legal_days", N_("effort to start: legal and security"), N_("days"), "people", 2, 1.4, 4, 0, 10_000, N_("own plan"), always),
    Figure("external_days", N_("effort to start: external"), N_("days"), "people", 0, None, None, 0, 10_000, N_("quotation"), always),
    Figure(
        "other_start_cost",
        N_("other cost to start"),
        N_("{currency}"),
        "people",
        0,
        None,
        None,
        0,
        1e11,
        N_("quotation"),
        always,
        is_money=True,
    ),
    Figure("run_days_per_month", N_("effort to run"), N_("days a month"), "people", 1, 0.5, 2, 0, 1_000, N_("own plan"), always),
    Figure("renewal_days", N_("effort of a renewal"), N_("days"), "people", 3, 2, 6, 0, 1_000, N_("own plan"), always),
    Figure("renewal_months", N_("months between renewals"), N_("months"), "people", 6, None, None, 1, 120, N_("own plan"), always),
)

_QUALITY = (
    Figure(
        "error_price",
        N_("price of a wrong answer"),
        N_("{currency}"),
        "quality",
        None,
        None,
        None,
        0,
        1e10,
        N_("rework, complaint, scrap records"),
        always,
        is_money=True,
    ),
    Figure(
        "error_share_percent",
        N_("share of quality loss that becomes errors"),
        N_("% of requests"),
        "quality",
        None,
        None,
        None,
        0,
        100,
        N_("measurement"),
        always,
    ),
)


FIGURES: Mapping[str, Figure] = MappingProxyType(
    {figure.name: figure for figure in (*_GENERAL, *_LOAD, *_MACHINES, *_PRICES, *_BILL, *_TRAINING, *_PEOPLE, *_QUALITY)}
)
MEASURED: tuple[str, ...] = ("measured_request_ratio", "measured_training_ratio", "measured_error_percent")
"""Figures that nobody assumes: taken from the evidence, drawn from their 95 % intervals."""
