"""A whole case worked out a second time: plain loops over months, one number at a time, nothing taken from the arithmetic it checks.

Written from the description of the figures (see `analysis.contracts.business` and `analysis.contracts.case`), for cases in one currency.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from analysis.contracts import Assumptions, CaseEvidence, SliceVolume

LOOKED_AT = 120
HOURS = 730.0


@dataclass
class Month:
    """Money of one month, and what the books show of it."""

    number: int
    growth: float
    ramp: float
    today: float = 0.0
    cash: float = 0.0
    avoided: float = 0.0
    freed: float = 0.0
    quality: float = 0.0
    tax: float = 0.0
    avoided_expense: float = 0.0
    start_expense: float = 0.0
    running: float = 0.0

    @property
    def profit(self) -> float:
        """Before tax."""
        return self.cash + self.avoided_expense - self.start_expense - self.running - self.quality


@dataclass
class Case:
    """All months of one case, and what follows from them."""

    assumptions: Assumptions
    evidence: CaseEvidence
    months: list[Month] = field(default_factory=list)

    def value(self, name: str, otherwise: float = 0.0) -> float:
        """A figure as a person gave it."""
        given = self.assumptions.values.get(name)
        return otherwise if given is None or given.value is None else given.value

    def has(self, name: str) -> bool:
        """Whether anybody gave it."""
        given = self.assumptions.values.get(name)
        return given is not None and given.value is not None

    @property
    def horizon(self) -> int:
        """Months of the evaluation period."""
        return int(self.value("horizon_months"))

    @property
    def start(self) -> float:
        """Before anything is saved."""
        own = self.value("engineer_days") + self.value("expert_days") + self.value("legal_days")
        others = self.value("external_days") * self.value("external_day") + self.value("other_start_cost")
        return own * self.value("internal_day") + others

    @property
    def running(self) -> float:
        """A month of watching, and its part of the next renewal."""
        days = self.value("run_days_per_month") + self.value("renewal_days") / self.value("renewal_months", 6)
        return days * self.value("internal_day")

    def net(self, month: Month) -> float:
        """Counted."""
        counted = month.cash + month.avoided + (month.freed if self.assumptions.count_capacity else 0.0)
        return counted - self.running - month.quality - month.tax

    @property
    def payback(self) -> float | None:
        """First time from which the money stays back, to the end of the period if it is back there, else to the end of all months."""
        money, cumulated = -self.start, []
        for month in self.months:
            money += self.net(month)
            cumulated.append(money)
        last = self.horizon if cumulated[self.horizon - 1] >= 0 else LOOKED_AT
        short = max((place + 1 for place in range(last) if cumulated[place] < 0), default=0)
        for place in range(short, LOOKED_AT):
            before, after = (cumulated[place - 1] if place else -self.start), cumulated[place]
            if after >= 0 and after > before:
                return place + (-before / (after - before) if before < 0 else 0.0)
        return None

    def worth(self, rate_percent: float) -> float:
        """Net present value of the evaluation period."""
        found = -self.start
        for month in self.months[: self.horizon]:
            found += self.net(month) / (1 + rate_percent / 100) ** (month.number / 12)
        return found


def by_hand(assumptions: Assumptions, evidence: CaseEvidence) -> Case:
    """The case month by month."""
    case = Case(assumptions, evidence)
    yearly, rollout = 1 + case.value("growth_percent_per_year") / 100, max(1.0, case.value("rollout_months", 1.0))
    for number in range(1, LOOKED_AT + 1):
        case.months.append(Month(number, yearly ** ((number - 1) / 12), min(1.0, number / rollout)))
    if assumptions.basis == "bill":
        _bill(case)
    else:
        _volume(case)
    _people_and_errors(case)
    if assumptions.after_tax:
        _tax(case)
    return case


def _volume(case: Case) -> None:
    if case.evidence.serving is not None:
        {"cloud": _cloud, "reserved": _reserved, "own": _own}[case.assumptions.place](case)
    if case.evidence.training is not None:
        _fine_tuning(case)


def _seconds(case: Case) -> tuple[float, float]:
    """GPU seconds of all requests of a month, today and with the plan: each slice by its own lengths."""
    assert case.evidence.serving is not None
    point = case.evidence.serving.points[0]
    found = [0.0, 0.0]
    asked = [one for one in case.assumptions.slices if one.requests_per_month]
    for one in asked or [SliceVolume(name="one request of the mean length", requests_per_month=1.0)]:
        prompt = one.prompt_tokens or case.evidence.mean_prompt_tokens or point.prompt_tokens
        mean = point.new_tokens if case.evidence.mean_new_tokens is None else case.evidence.mean_new_tokens
        written = mean if one.new_tokens is None else one.new_tokens
        for side, name in enumerate(("today", "plan")):
            ms = getattr(point.prefill_ms, name) * prompt / point.prompt_tokens
            if point.decode_ms is not None:
                ms += getattr(point.decode_ms, name) * written
            found[side] += one.requests_per_month * ms / 1000 / point.batch_size
    return found[0], found[1]


def _cloud(case: Case) -> None:
    today, plan = _seconds(case)
    hourly = case.value("gpu_price_per_hour") / (case.value("utilisation_percent") / 100) / 3600
    for month in case.months:
        month.today += today * month.growth * hourly
        month.cash += (today - plan) * month.growth * month.ramp * hourly


@dataclass
class Fleet:
    """What a month needs of machines, today and with the plan."""

    there: float
    load: tuple[float, float]
    need: tuple[float, float]

    @property
    def released(self) -> float:
        """Of those that are there."""
        return max(0.0, min(self.there, self.need[0]) - min(self.there, self.need[1]))

    def more(self, side: int) -> float:
        """Beyond those that are there."""
        return max(0.0, self.need[side] - self.there)


def _fleets(case: Case, full: float, ratio: float, memory: tuple[int, int]) -> list[Fleet]:
    """`full` machines at the peak of the first month."""
    spare, stated = case.value("spare_machines"), case.value("machines_today") if case.has("machines_today") else None
    if stated is not None:
        spare = min(spare, stated - 1)
        full = min(full, stated - spare)
        memory = (min(memory[0], int(stated)), min(memory[1], int(stated)))
    found: list[Fleet] = []
    for month in case.months:
        load = full * month.growth, full * month.growth * (1 - month.ramp * (1 - ratio))
        copies = memory[0], memory[1] if month.ramp >= 1 else max(memory)
        need = [max(math.ceil(one - 1e-9), copy) + spare if one > 0 else 0.0 for one, copy in zip(load, copies, strict=True)]
        there = stated if stated is not None else need[0] if not found else found[0].there
        found.append(Fleet(there, load, (need[0], need[1])))
    return found


def _at_the_peak(case: Case) -> list[Fleet]:
    assert case.evidence.serving is not None
    today, plan = _seconds(case)
    gpus = case.value("gpus_per_machine", 1)
    full = today / (HOURS * 3600) * case.value("peak_factor") / gpus
    peak = case.evidence.serving.points[0].peak_memory_bytes or case.evidence.serving.weight_bytes
    room = case.value("gpu_memory_gib") * 2**30 * gpus
    memory = tuple(max(1, math.ceil(each / room - 1e-9)) if room else 1 for each in (peak.today, peak.plan))
    return _fleets(case, full, plan / today, (memory[0], memory[1]))


def _rest(freed: float, counted: float) -> float:
    """What of the lighter load is neither let go nor avoided."""
    return max(0.0, freed - counted) if freed >= 0 else min(0.0, freed - counted)


def _bound(case: Case, month: Month) -> bool:
    """Whether the month begins while the contract still runs."""
    if case.assumptions.place != "reserved":
        return False
    first, ends = date.fromisoformat(case.assumptions.starts_on), date.fromisoformat(case.assumptions.contract_ends_on)
    count = first.year * 12 + first.month - 1 + month.number - 1
    return (count // 12, count % 12 + 1, first.day) <= (ends.year, ends.month, ends.day)


def _leased(case: Case, fleets: list[Fleet], fee: float) -> None:
    for month, fleet in zip(case.months, fleets, strict=True):
        cash = 0.0 if _bound(case, month) else fleet.released * fee
        avoided = (fleet.more(0) - fleet.more(1)) * fee
        month.today += max(fleet.there, fleet.need[0]) * fee
        month.cash += cash
        month.avoided += avoided
        month.avoided_expense += avoided
        month.freed += _rest((fleet.load[0] - fleet.load[1]) * fee, cash + avoided)


def _reserved(case: Case) -> None:
    _leased(case, _at_the_peak(case), case.value("gpus_per_machine", 1) * case.value("gpu_price_per_hour") * HOURS)


def _own(case: Case) -> None:
    fleets, price = _at_the_peak(case), case.value("purchase_price")
    written_off, kept_up = price / case.value("life_years") / 12, price * case.value("maintenance_percent_per_year") / 100 / 12
    bought: list[list[float]] = [[], []]
    for month, fleet in zip(case.months, fleets, strict=True):
        for side in (0, 1):
            bought[side].append(max(0.0, fleet.more(side) - sum(bought[side])))
        spared = fleet.more(0) - fleet.more(1)
        cash, avoided = (fleet.released + spared) * kept_up, price * (bought[0][-1] - bought[1][-1])
        life = round(12 * case.value("life_years"))
        in_books = [sum(each[max(0, len(each) - life) :]) for each in bought]
        month.today += written_off * fleet.there + price * bought[0][-1] + kept_up * max(fleet.there, fleet.need[0])
        month.cash += cash
        month.avoided += avoided
        month.avoided_expense += written_off * (in_books[0] - in_books[1])
        month.freed += _rest((fleet.load[0] - fleet.load[1]) * (written_off + kept_up), cash + written_off * spared)
    _power_of_requests(case)


def _power_of_requests(case: Case) -> None:
    assert case.evidence.serving is not None
    point, (today, plan) = case.evidence.serving.points[0], _seconds(case)
    if point.prefill_energy_mwh is not None:
        watts = [3600 * getattr(point.prefill_energy_mwh, side) / getattr(point.prefill_ms, side) for side in ("today", "plan")]
    elif case.has("gpu_power_watts"):
        watts = [case.value("gpu_power_watts")] * 2
    else:
        return
    # A batch's energy, over all requests of it, is that of one device for as long as it is at work.
    kwh = [seconds / 3600 * watt / 1000 for seconds, watt in zip((today, plan), watts, strict=True)]
    _electricity(case, (kwh[0], kwh[1]))


def _electricity(case: Case, kwh: tuple[float, float]) -> None:
    unit = case.value("pue", 1) * case.value("electricity_price_per_kwh")
    for month in case.months:
        month.today += kwh[0] * unit * month.growth
        month.cash += (kwh[0] - kwh[1]) * unit * month.growth * month.ramp


def _fine_tuning(case: Case) -> None:
    training, place = case.evidence.training, case.assumptions.place
    assert training is not None
    hours, ratio = (
        case.value("training_gpu_hours_per_run") * case.value("training_runs_per_month"),
        training.hours.plan / training.hours.today,
    )
    each = case.value("gpu_price_per_hour")
    if place == "own":
        price = case.value("purchase_price")
        a_month = price / case.value("life_years") / 12 + price * case.value("maintenance_percent_per_year") / 100 / 12
        each = a_month / HOURS / case.value("gpus_per_machine", 1)
    for month in case.months:
        month.today += hours * each * month.growth
        saved = hours * (1 - ratio) * each * month.growth * month.ramp
        month.cash += saved if place == "cloud" else 0.0
        month.freed += saved if place != "cloud" else 0.0
    if place == "own" and training.energy_wh is not None:
        scale = hours / training.hours.today / 1000
        _electricity(case, (training.energy_wh.today * scale, training.energy_wh.plan * scale))


def _bill(case: Case) -> None:
    variable = case.value("bill_variable_percent") / 100
    bills = []
    for name, touched in (("bill_serving_per_month", case.evidence.serving), ("bill_training_per_month", case.evidence.training)):
        if case.has(name):
            ratio = 1.0 if touched is None else _ratio(case, touched)
            bills.append((case.value(name), ratio))
    whole = sum(amount for amount, _ in bills)
    for month in case.months:
        month.today += whole * (1 - variable)
    if case.assumptions.place != "cloud" and case.has("machines_today"):
        stated = case.value("machines_today")
        _leased(case, _fleets(case, stated, sum(a * r for a, r in bills) / whole, (1, 1)), whole * variable / stated)
        return
    for month in case.months:
        saved = sum(amount * variable * (1 - ratio) for amount, ratio in bills) * month.growth * month.ramp
        month.today += whole * variable * month.growth
        month.cash += 0.0 if _bound(case, month) else saved
        month.freed += saved if _bound(case, month) else 0.0


def _ratio(case: Case, touched: Any) -> float:
    if touched is case.evidence.training:
        return float(touched.hours.plan / touched.hours.today)
    today, plan = _seconds(case)
    return plan / today


def _people_and_errors(case: Case) -> None:
    priced = 0.0
    for one in case.assumptions.slices:
        price = one.error_price if one.error_price is not None else case.value("error_price") if case.has("error_price") else 0.0
        priced += one.requests_per_month * price
    share, change = case.value("error_share_percent") / 100, case.evidence.quality.accuracy_change
    if not case.has("error_share_percent") and change is not None and change.value is not None:
        share = max(0.0, -change.value)
    life = round(12 * case.value("capitalise_years", 5)) if case.assumptions.capitalise else 1
    for month in case.months:
        month.running = case.running
        month.quality = priced * share * month.growth * month.ramp
        month.start_expense = case.start / life if month.number <= life else 0.0


def _tax(case: Case) -> None:
    """On the year's profit so far, above the losses that earlier years left; a year that ends in a loss pays nothing and carries it on."""
    carried, profit, taxed = 0.0, 0.0, 0.0
    first = int(case.assumptions.starts_on[5:7])
    for month in case.months:
        if month.number > 1 and (first - 1 + month.number - 1) % 12 + 1 == case.assumptions.fiscal_year_starts:
            carried = max(0.0, carried - profit)
            profit, taxed = 0.0, 0.0
        profit += month.profit
        now = max(0.0, profit - carried)
        month.tax = (now - taxed) * case.value("tax_rate_percent") / 100
        taxed = now
