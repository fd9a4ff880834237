"""Whether a case can be worked out from these assumptions: field by field, each in one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from analysis.contracts.business import Assumption, Assumptions, CaseEvidence, Currency
from analysis.contracts.case import FieldProblem
from analysis.contracts.message import Message
from analysis.economics.names import FIGURES, Figure
from analysis.economics.uses import both_kinds, other_kind, priced_serving, serves, trains


def check_assumptions(assumptions: Assumptions, evidence: CaseEvidence) -> tuple[FieldProblem, ...]:
    """What stands against this case, field by field; empty: it can be worked out."""
    return (
        *_nothing_to_price(evidence),
        *_device(assumptions, evidence),
        *_missing(assumptions, evidence),
        *_values(assumptions),
        *_rates(assumptions),
        *_slices(assumptions, evidence),
        *_dates(assumptions),
    )


def _nothing_to_price(evidence: CaseEvidence) -> Iterator[FieldProblem]:
    if not serves(evidence) and not trains(evidence):
        message = Message(
            id="Nothing was measured of plan {plan}, and nothing was projected that could be priced. Verify the plan, or run its trial.",
            values={"plan": evidence.plan_name or evidence.plan_id},
        )
        yield FieldProblem(field="evidence", message=message)


def _device(assumptions: Assumptions, evidence: CaseEvidence) -> Iterator[FieldProblem]:
    """A time on one kind of device is never priced as another without a person's word, and a named factor."""
    if not other_kind(assumptions, evidence):
        return
    if not assumptions.accept_other_device:
        kinds = {"measured": evidence.device_kind, "device": evidence.device_name, "priced": assumptions.device_kind}
        message = Message(
            id="The times were measured on a {measured} ({device}), and the case prices a {priced}. "
            "Verify the plan on a {priced}, or accept the scaling by name; its figures are then marked as measured elsewhere.",
            values={name: (kind or "").upper() if name != "device" else kind for name, kind in kinds.items()},
        )
        yield FieldProblem(field="accept_other_device", message=message)


def _missing(assumptions: Assumptions, evidence: CaseEvidence) -> Iterator[FieldProblem]:
    for name, figure in FIGURES.items():
        given = assumptions.values.get(name)
        if (given is None or given.value is None) and figure.needed(assumptions, evidence):
            if name == "speed_factor" and not assumptions.accept_other_device and both_kinds(assumptions, evidence):
                continue  # asked for once the scaling is accepted
            message = Message(
                id="No figure was given for {label}, and this case cannot be worked out without it. "
                "Type it ({unit}). Where to find it: {place}.",
                values={
                    "label": Message(id=figure.label),
                    "unit": unit_of(figure, assumptions.currency),
                    "place": Message(id=figure.own_figure),
                },
            )
            yield FieldProblem(field=name, message=message)


def unit_of(figure: Figure, currency: Currency) -> Message:
    """A figure's unit, with its currency where it is money."""
    return Message(id=figure.unit, values={"currency": currency} if figure.is_money else {})


def _values(assumptions: Assumptions) -> Iterator[FieldProblem]:
    for name, given in assumptions.values.items():
        if name not in FIGURES:
            message = Message(
                id="{given} is not one of the figures of a case. They are: {known}.", values={"given": name, "known": ", ".join(FIGURES)}
            )
            yield FieldProblem(field=name, message=message)
        elif given.value is not None:
            yield from _one(FIGURES[name], given, assumptions)
        elif given.low is not None or given.high is not None:
            message = Message(
                id="A range was given for {label}, but no figure. Type the most likely one.",
                values={"label": Message(id=FIGURES[name].label)},
            )
            yield FieldProblem(field=name, message=message)


def _one(figure: Figure, given: Assumption, assumptions: Assumptions) -> Iterator[FieldProblem]:
    assert given.value is not None
    currency = given.currency or assumptions.currency
    lowest, highest = figure.limits(currency)
    for amount in dict.fromkeys(end for end in (given.value, given.low, given.high) if end is not None):
        if not lowest <= amount <= highest:
            yield FieldProblem(field=figure.name, message=_outside(figure, amount, lowest, highest, currency))
    low = given.value if given.low is None else given.low
    high = given.value if given.high is None else given.high
    if not low <= given.value <= high:
        message = Message(
            id="The range of {label} was given as {low} to {high}, with {value} as the most likely figure. "
            "The lowest must not be above it, the highest not below. Put them in order.",
            values={"label": Message(id=figure.label), "low": low, "high": high, "value": given.value},
        )
        yield FieldProblem(field=figure.name, message=message)


def _outside(figure: Figure, amount: float, lowest: float, highest: float, currency: Currency) -> Message:
    return Message(
        id="{given} was given for {label}; {lowest} to {highest} is allowed ({unit}). Check the figure and its unit.",
        values={
            "given": amount,
            "label": Message(id=figure.label),
            "lowest": lowest,
            "highest": highest,
            "unit": unit_of(figure, currency),
        },
    )


def _rates(assumptions: Assumptions) -> Iterator[FieldProblem]:
    given = {rate.currency for rate in assumptions.rates}
    for currency in sorted(_foreign(assumptions) - given):
        figures = tuple(Message(id=FIGURES[name].label) for name in _in_currency(assumptions, currency))
        message = Message(
            id="{figures}: given in {other}, and the case is in {currency} without an exchange rate. "
            "Type what one {other} is worth in {currency}, with its date and where it comes from.",
            values={"figures": figures, "other": currency, "currency": assumptions.currency},
        )
        yield FieldProblem(field=f"rates.{currency}", message=message)


def _foreign(assumptions: Assumptions) -> set[Currency]:
    used = {
        one.currency for name, one in assumptions.values.items() if one.value is not None and name in FIGURES and FIGURES[name].is_money
    }
    return {currency for currency in used if currency is not None and currency != assumptions.currency}


def _in_currency(assumptions: Assumptions, currency: Currency) -> list[str]:
    return [name for name, one in assumptions.values.items() if name in FIGURES and one.currency == currency and one.value is not None]


def _slices(assumptions: Assumptions, evidence: CaseEvidence) -> Iterator[FieldProblem]:
    if priced_serving(assumptions, evidence) and not sum(one.requests_per_month for one in assumptions.slices):
        message = Message(
            id="No requests a month were given, so there is nothing to price. "
            "Type how many there are in each slice, or start from the bill.",
        )
        yield FieldProblem(field="slices", message=message)


def _dates(assumptions: Assumptions) -> Iterator[FieldProblem]:
    for field in ("starts_on", "contract_ends_on"):
        written = getattr(assumptions, field)
        if written and not _is_date(written):
            message = Message(id="{given} is not a date. Write it as 2026-12-01 (year, month, day).", values={"given": written})
            yield FieldProblem(field=field, message=message)
    if assumptions.place == "reserved" and not assumptions.contract_ends_on:
        message = Message(
            id="The machines are reserved or leased, and no end of the contract was given: until then they are paid whatever is used. "
            "Type the date on which the contract or lease ends.",
        )
        yield FieldProblem(field="contract_ends_on", message=message)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
