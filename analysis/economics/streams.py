"""Every stream of money that the plan touches, month by month: what it costs without the plan, and what becomes of the saving.

A saving is cash (less is paid), avoided (a purchase or a further lease that is not needed), or freed (capacity that stays paid for).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

from analysis.contracts.business import Assumptions, CaseEvidence
from analysis.contracts.case import Area, CostLineName
from analysis.economics.dates import add_months, day, first_of_next_month
from analysis.economics.energy import request_kwh, run_kwh
from analysis.economics.load import HOURS_PER_MONTH, Figures, Floats, Number, Requests, Runs, column
from analysis.economics.machines import Fleet, Held, fleet_of_bill, fleet_of_volume, held


@dataclass(frozen=True)
class Stream:
    """[..., months] one line of one area.

    Attributes:
        today: cost without the plan.
        cash, avoided, freed: what the plan saves of it, by what the saving is worth.
        avoided_expense: what the books show for `avoided`: the depreciation of what was not bought; None: the same.
        bought: machines bought in a month (today, plan); None: none can be.
    """

    line: CostLineName
    area: Area
    today: Number
    cash: Number = 0.0
    avoided: Number = 0.0
    freed: Number = 0.0
    avoided_expense: Number | None = None
    bought: tuple[Floats, Floats] | None = None


@dataclass(frozen=True)
class Setting:
    """What all streams share: the case, its figures, and how work grows and moves over."""

    assumptions: Assumptions
    evidence: CaseEvidence
    figures: Figures
    growth: Floats
    ramp: Floats
    work: Requests
    runs: Runs

    @property
    def months(self) -> int:
        """Months looked at."""
        return int(self.growth.shape[-1])

    def given(self, name: str) -> Number:
        """A figure; 0 where nobody gave one."""
        return self.figures.get(name, 0.0)

    def saved(self, ratio: Number) -> Floats:
        """[..., months] share saved of the first month's work, as it grows and moves over."""
        return np.asarray(self.growth * self.ramp * (1 - column(ratio)))


def first_day(assumptions: Assumptions) -> date:
    """First day of month 1; where nobody said, the first of next month."""
    return day(assumptions.starts_on) or first_of_next_month(date.today())


def paid_months(assumptions: Assumptions, months: int) -> int:
    """Months that begin before the contract has ended, and are paid whatever is used; 0 where nothing is bound."""
    ends = day(assumptions.contract_ends_on) if assumptions.place == "reserved" else None
    if ends is None:
        return 0
    start = first_day(assumptions)
    return sum(add_months(start, month) <= ends for month in range(months))


def streams(setting: Setting) -> Iterator[Stream]:
    """All of them."""
    if setting.assumptions.basis == "bill":
        yield from _billed(setting)
        return
    place = setting.assumptions.place
    if setting.work.seconds is not None and setting.work.number:
        yield from {"cloud": _cloud_requests, "reserved": _reserved_requests, "own": _own_requests}[place](setting)
    if setting.runs.hours is not None:
        yield from {"cloud": _cloud_runs, "reserved": _reserved_runs, "own": _own_runs}[place](setting)


def _cloud_requests(setting: Setting) -> Iterator[Stream]:
    """Paid by the hour, idle time of the utilisation included: everything is cash at once."""
    hours = request_hours(setting.work, setting.figures)
    cost = column(hours * setting.given("gpu_price_per_hour"))
    yield Stream("cloud", "serving", cost * setting.growth, cash=cost * setting.saved(setting.work.ratio))


def _reserved_requests(setting: Setting) -> Iterator[Stream]:
    """Leased by the machine: cash once the contract has ended and a whole machine goes."""
    fleet = fleet_of_volume(setting.evidence, setting.work, setting.figures)
    assert fleet is not None
    fee = setting.figures.get("gpus_per_machine", 1.0) * setting.given("gpu_price_per_hour") * HOURS_PER_MONTH
    yield _leased(setting, fleet, fee, "serving")


def _leased(setting: Setting, fleet: Fleet, fee: Number, area: Area) -> Stream:
    """Whole machines at a fee a month each."""
    there, each = held(fleet, setting.growth, setting.ramp), column(fee)
    without, with_plan = there.added
    free = np.arange(setting.months) >= paid_months(setting.assumptions, setting.months)
    cash, avoided = there.released * each * free, (without - with_plan) * each
    return Stream("gpu_hours", area, there.running * each, cash, avoided, _rest(there, each, cash + avoided))


def _own_requests(setting: Setting) -> Iterator[Stream]:
    """Own machines: switched off they save maintenance and power; what growth makes necessary later can be avoided.

    Power goes with the work: what an idle machine draws is left out, so switching one off saves at least as much.
    """
    fleet = fleet_of_volume(setting.evidence, setting.work, setting.figures)
    assert fleet is not None
    there = held(fleet, setting.growth, setting.ramp)
    without, with_plan = there.added
    price, written_off, kept_up = (column(value) for value in machine_costs(setting.figures))
    cash = (there.released + without - with_plan) * kept_up
    bought = _purchases(without), _purchases(with_plan)
    spared = written_off * (without - with_plan)
    yield Stream(
        "gpu_hours",
        "serving",
        written_off * there.owned + price * bought[0],
        avoided=price * (bought[0] - bought[1]),
        freed=_rest(there, written_off + kept_up, cash + spared),
        avoided_expense=written_off * _in_the_books(bought, setting.figures.get("life_years", 5.0)),
        bought=bought,
    )
    yield Stream("maintenance", "serving", kept_up * there.running, cash=cash)
    yield from _power(setting, request_kwh(setting.assumptions, setting.evidence, setting.figures, setting.work), "serving")


def _cloud_runs(setting: Setting) -> Iterator[Stream]:
    cost = column(run_hours(setting.runs) * setting.given("gpu_price_per_hour"))
    yield Stream("cloud", "training", cost * setting.growth, cash=cost * setting.saved(setting.runs.ratio))


def _reserved_runs(setting: Setting) -> Iterator[Stream]:
    """Hours of machines that are there anyway: capacity only."""
    cost = column(run_hours(setting.runs) * setting.given("gpu_price_per_hour"))
    yield Stream("gpu_hours", "training", cost * setting.growth, freed=cost * setting.saved(setting.runs.ratio))


def _own_runs(setting: Setting) -> Iterator[Stream]:
    """Hours of own machines: capacity, and the power they draw."""
    _, written_off, kept_up = machine_costs(setting.figures)
    hourly = (written_off + kept_up) / (HOURS_PER_MONTH * setting.figures.get("gpus_per_machine", 1.0))
    cost = column(run_hours(setting.runs) * hourly)
    yield Stream("gpu_hours", "training", cost * setting.growth, freed=cost * setting.saved(setting.runs.ratio))
    yield from _power(setting, run_kwh(setting.assumptions, setting.evidence, setting.figures, setting.runs), "training")


def _power(setting: Setting, kwh: tuple[Number, Number] | None, area: Area) -> Iterator[Stream]:
    """Electricity of own machines, air conditioning included; cash at once."""
    if kwh is None:
        return
    price = setting.given("electricity_price_per_kwh")
    today, plan = (column(each * price) for each in kwh)
    yield Stream("electricity", area, today * setting.growth, cash=(today - plan) * setting.growth * setting.ramp)


def _billed(setting: Setting) -> Iterator[Stream]:
    """The invoice: the measured share of the part that grows with use. Whole machines where it is known how many there are."""
    fleet, bills = billed_fleet(setting), _bills(setting)
    variable = setting.figures.get("bill_variable_percent", 100.0) / 100
    if fleet is not None:
        yield from _billed_machines(setting, fleet, [(area, amount) for area, amount, _ in bills], variable)
        return
    free = np.arange(setting.months) >= paid_months(setting.assumptions, setting.months)
    line: CostLineName = "cloud" if setting.assumptions.place == "cloud" else "gpu_hours"
    for area, amount, ratio in bills:
        grows, fixed = column(amount * variable), column(amount * (1 - variable))
        saved = grows * setting.saved(ratio)
        yield Stream(line, area, fixed + grows * setting.growth, cash=saved * free, freed=saved * ~free if not free.all() else 0.0)


def billed_fleet(setting: Setting) -> Fleet | None:
    """The machines behind a bill that is not the cloud's, with the plan's share of all of it; None: nobody said how many there are."""
    bills = _bills(setting)
    whole = np.asarray(sum((amount for _, amount, _ in bills), 0.0))
    lighter = np.asarray(sum((amount * ratio for _, amount, ratio in bills), 0.0))
    if setting.assumptions.place == "cloud" or not whole.any():
        return None
    ratio = np.divide(lighter, whole, out=np.ones(np.broadcast_shapes(whole.shape, lighter.shape)), where=whole > 0)
    return fleet_of_bill(ratio, setting.figures)


def _bills(setting: Setting) -> list[tuple[Area, Number, Number]]:
    """Area, amount a month, plan / today of its work."""
    areas: tuple[tuple[Area, str, Number], ...] = (
        ("serving", "bill_serving_per_month", setting.work.ratio),
        ("training", "bill_training_per_month", setting.runs.ratio),
    )
    return [(area, setting.figures[name], ratio) for area, name, ratio in areas if name in setting.figures]


def _billed_machines(setting: Setting, fleet: Fleet, bills: list[tuple[Area, Number]], variable: Number) -> Iterator[Stream]:
    """The variable part of the bill, machine by machine; each area bears its part by its own bill."""
    assert fleet.stated is not None
    for area, amount in bills:
        found = _leased(setting, fleet, amount * variable / fleet.stated, area)
        yield Stream(found.line, area, found.today + column(amount * (1 - variable)), found.cash, found.avoided, found.freed)


def request_hours(work: Requests, figures: Figures) -> Number:
    """Billed GPU hours a month for requests: the time they take / the share of the paid time in which the device works."""
    assert work.seconds is not None
    return work.number * work.seconds / 3600 / (figures.get("utilisation_percent", 100.0) / 100)


def run_hours(runs: Runs) -> Number:
    """GPU hours a month for fine-tuning."""
    assert runs.hours is not None
    return runs.hours * runs.number


def machine_costs(figures: Figures) -> tuple[Number, Number, Number]:
    """One own machine: purchase price, what is written off a month, maintenance a month."""
    price = figures.get("purchase_price", 0.0)
    return price, price / (figures.get("life_years", 5.0) * 12), price * figures.get("maintenance_percent_per_year", 0.0) / 1200


def _rest(there: Held, each: Floats, counted: Floats) -> Floats:
    """Capacity that is neither let go nor avoided, at a machine's cost; never turned round by the spare room of a whole machine."""
    lighter = there.lighter * each
    return np.asarray(np.where(lighter >= 0, np.maximum(lighter - counted, 0.0), np.minimum(lighter - counted, 0.0)))


def _purchases(added: Floats) -> Floats:
    """Machines bought in each month so that there are always enough: what was bought is not sold again."""
    most = np.maximum.accumulate(added, axis=-1)
    return np.asarray(np.diff(most, axis=-1, prepend=0.0))


def _in_the_books(bought: tuple[Floats, Floats], life_years: Number) -> Floats:
    """Machines fewer being written off in each month."""
    fewer = np.cumsum(bought[0] - bought[1], axis=-1)
    before = np.arange(fewer.shape[-1]) - np.rint(12 * column(life_years)).astype(int)
    before, fewer = np.broadcast_arrays(before, fewer)
    return fewer - np.where(before >= 0, np.take_along_axis(fewer, np.maximum(before, 0), axis=-1), 0.0)
