"""The parts of a person's assumptions that are no single figure: exchange rates, volumes by slice, dates, alternatives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date

from analysis.contracts.business import Assumptions, CaseEvidence, Currency, SliceVolume
from analysis.contracts.case import FieldProblem
from analysis.contracts.message import Message
from analysis.economics.figures import counts, without_rate
from analysis.economics.names import FIGURES, SCALE
from analysis.economics.uses import priced_serving, priced_training

_MOST_REQUESTS, _MOST_TOKENS, _LARGEST_SUM = 1e12, 1e7, 1e12
_UNREADABLE = 1e18
_FIRST, _LAST = date(2000, 1, 1), date(2100, 12, 31)


def check_rates(assumptions: Assumptions, evidence: CaseEvidence) -> Iterator[FieldProblem]:
    """Every sum that counts and is in another currency has a rate; every rate is plausible and says when and where it was read."""
    missing = [
        name
        for name, given in assumptions.values.items()
        if name in FIGURES and without_rate(name, given, assumptions) and counts(name, assumptions, evidence)
    ]
    for currency in sorted({str(assumptions.values[name].currency) for name in missing}):
        figures = tuple(Message(id=FIGURES[name].label) for name in missing if assumptions.values[name].currency == currency)
        message = Message(
            id="{figures}: given in {other}, and the case is in {currency} without an exchange rate. "
            "Type what one {other} is worth in {currency}, with its date and where it comes from.",
            values={"figures": figures, "other": Message(id=currency), "currency": Message(id=assumptions.currency)},
        )
        yield FieldProblem(field=f"rates.{currency}", message=message)
    for rate in assumptions.rates:
        yield from _rate(rate.currency, rate.per_unit, rate.as_of, rate.source, assumptions.currency)


def _rate(other: Currency, per_unit: float, as_of: str, source: str, currency: Currency) -> Iterator[FieldProblem]:
    middle = SCALE[currency] / SCALE[other]
    if other != currency and not middle / 10 <= per_unit <= middle * 10:
        message = Message(
            id="One {other} was given as {given} {currency}; {lowest} to {highest} is allowed. "
            "Type what one {other} is worth in {currency}, not the other way round.",
            values={
                "other": Message(id=other),
                "currency": Message(id=currency),
                "given": shown(per_unit),
                "lowest": middle / 10,
                "highest": middle * 10,
            },
        )
        yield FieldProblem(field=f"rates.{other}", message=message)
    if other == currency and per_unit != 1:
        message = Message(
            id="A rate of {given} was given for {currency}, which is the case's own currency. Take it out.",
            values={"given": shown(per_unit), "currency": Message(id=currency)},
        )
        yield FieldProblem(field=f"rates.{other}", message=message)
    if not as_of.strip() or not source.strip():
        message = Message(
            id="The exchange rate of {other} was given without its date or without where it comes from. Type both.",
            values={"other": Message(id=other)},
        )
        yield FieldProblem(field=f"rates.{other}", message=message)


def check_slices(assumptions: Assumptions, evidence: CaseEvidence) -> Iterator[FieldProblem]:
    """Volumes name slices of the workload, each once, all of them, and there is some work at all."""
    names = Counter(one.name for one in assumptions.slices)
    priced = priced_serving(assumptions, evidence)
    for place, one in enumerate(assumptions.slices):
        if evidence.slices and one.name not in evidence.slices:
            message = Message(
                id="Slice {given} is not in the workload that was measured. It has: {known}. Choose one of them, or take the row out.",
                values={"given": one.name, "known": evidence.slices},
            )
            yield FieldProblem(field=f"slices[{place}].name", message=message)
        if names[one.name] > 1:
            message = Message(
                id="Slice {given} is there {n} times. Give each slice one row.", values={"given": one.name, "n": names[one.name]}
            )
            yield FieldProblem(field=f"slices[{place}].name", message=message)
        yield from _sizes(place, one, assumptions.currency)
    if priced:
        yield from _volume(assumptions, evidence)
    runs = assumptions.values.get("training_runs_per_month")
    if priced_training(assumptions, evidence) and not priced and runs is not None and runs.value == 0:
        message = Message(
            id="No fine-tuning run a month was given, so there is nothing to price. Type how many there are, or start from the bill."
        )
        yield FieldProblem(field="training_runs_per_month", message=message)


def _volume(assumptions: Assumptions, evidence: CaseEvidence) -> Iterator[FieldProblem]:
    if not sum(one.requests_per_month for one in assumptions.slices):
        message = Message(
            id="No requests a month were given, so there is nothing to price. "
            "Type how many there are in each slice, or start from the bill.",
        )
        yield FieldProblem(field="slices", message=message)
    elif missing := tuple(name for name in evidence.slices if name not in {one.name for one in assumptions.slices}):
        message = Message(
            id="No volume was given for these slices of the workload: {missing}. "
            "Type the requests a month of each, 0 where there are none.",
            values={"missing": missing},
        )
        yield FieldProblem(field="slices", message=message)


def _sizes(place: int, given: SliceVolume, currency: Currency) -> Iterator[FieldProblem]:
    limits = {
        "requests_per_month": (given.requests_per_month, _MOST_REQUESTS),
        "prompt_tokens": (given.prompt_tokens, _MOST_TOKENS),
        "new_tokens": (given.new_tokens, _MOST_TOKENS),
        "error_price": (given.error_price, FIGURES["error_price"].limits(currency)[1]),
    }
    for field, (amount, most) in limits.items():
        if amount is not None and amount > most:
            message = Message(
                id="{given} was given; at most {most} is allowed here. Check the figure and its unit.",
                values={"given": shown(amount), "most": most},
            )
            yield FieldProblem(field=f"slices[{place}].{field}", message=message)


def check_dates(assumptions: Assumptions) -> Iterator[FieldProblem]:
    """Dates are dates, and machines that are paid until a contract ends say when that is."""
    for field, written in (("starts_on", assumptions.starts_on), ("contract_ends_on", assumptions.contract_ends_on)):
        if written and not _is_date(written):
            message = Message(id="{given} is not a date. Write it as 2026-12-01 (year, month, day).", values={"given": written})
            yield FieldProblem(field=field, message=message)
    if assumptions.place == "reserved" and not assumptions.contract_ends_on:
        message = Message(
            id="The machines are reserved or leased, and no end of the contract was given: until then they are paid whatever is used. "
            "Type the date on which the contract or lease ends.",
        )
        yield FieldProblem(field="contract_ends_on", message=message)


def check_alternatives(assumptions: Assumptions) -> Iterator[FieldProblem]:
    """Each alternative is estimated once, in sums that can be."""
    most = _LARGEST_SUM * SCALE[assumptions.currency]
    kinds = Counter(one.kind for one in assumptions.alternatives)
    for place, one in enumerate(assumptions.alternatives):
        if kinds[one.kind] > 1:
            message = Message(id="This alternative is estimated {n} times. Keep one of them.", values={"n": kinds[one.kind]})
            yield FieldProblem(field=f"alternatives[{place}].kind", message=message)
        for field, amount in (("start_cost", one.start_cost), ("cost_per_month", one.cost_per_month)):
            if amount is not None and amount > most:
                message = Message(
                    id="{given} was given; at most {most} is allowed here. Check the figure and its unit.",
                    values={"given": shown(amount), "most": most},
                )
                yield FieldProblem(field=f"alternatives[{place}].{field}", message=message)


def shown(amount: float) -> float | str:
    """A figure as a sentence can hold it: one with more digits than anybody reads is told by its power of ten."""
    return amount if abs(amount) < _UNREADABLE else f"{amount:.3g}"


def _is_date(text: str) -> bool:
    try:
        return _FIRST <= date.fromisoformat(text) <= _LAST
    except ValueError:
        return False
