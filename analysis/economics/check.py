"""Whether a case can be worked out from these assumptions: field by field, each in one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.contracts.business import Assumption, Assumptions, CaseEvidence, Currency
from analysis.contracts.case import FieldProblem
from analysis.contracts.message import Message
from analysis.economics.catalogue import device
from analysis.economics.check_rest import check_alternatives, check_dates, check_rates, check_slices, shown
from analysis.economics.measured import mean_tokens, serving_point
from analysis.economics.names import FIGURES, Figure
from analysis.economics.uses import bill, both_kinds, other_kind, priced_kind, serves, trains


def check_assumptions(assumptions: Assumptions, evidence: CaseEvidence) -> tuple[FieldProblem, ...]:
    """What stands against this case, field by field, the first to settle first; empty: it can be worked out."""
    return (
        *_something_to_price(assumptions, evidence),
        *_device(assumptions, evidence),
        *_missing(assumptions, evidence),
        *_values(assumptions),
        *check_rates(assumptions, evidence),
        *check_slices(assumptions, evidence),
        *check_dates(assumptions),
        *check_alternatives(assumptions),
    )


def unit_of(figure: Figure, currency: Currency) -> Message:
    """A figure's unit, with its currency where it is money."""
    return Message(id=figure.unit, values={"currency": Message(id=currency)} if figure.is_money else {})


def _something_to_price(assumptions: Assumptions, evidence: CaseEvidence) -> Iterator[FieldProblem]:
    plan = evidence.plan_name or evidence.plan_id
    if not serves(evidence) and not trains(evidence):
        message = Message(
            id="Nothing was measured of plan {plan}, and nothing was projected that could be priced. Verify the plan, or run its trial.",
            values={"plan": plan},
        )
        yield FieldProblem(field="evidence", message=message)
    elif serves(evidence) and evidence.serving is None and not trains(evidence) and not bill(assumptions, evidence):
        message = Message(
            id="Of plan {plan} only a share of the work is projected, no time, so requests cannot be priced one by one. "
            "Start from the bill, or verify the plan.",
            values={"plan": plan},
        )
        yield FieldProblem(field="basis", message=message)
    if _takes_no_time(assumptions, evidence):
        message = Message(
            id="In the measurement of plan {plan} the unchanged model took no time at all, so no share of it can be told. "
            "Verify the plan again, or run its trial again.",
            values={"plan": plan},
        )
        yield FieldProblem(field="evidence", message=message)


def _takes_no_time(assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """A time of nought among what is priced: everything would silently come to nothing."""
    batch = assumptions.values.get("batch_size")
    point = serving_point(evidence, batch.value if batch and batch.value and batch.value > 0 else None)
    if point is not None:
        prompt, new = mean_tokens(assumptions, evidence, point)
        if not point.prefill_ms.today * prompt + (point.decode_ms.today * new if point.decode_ms else 0.0):
            return True
    return evidence.training is not None and not evidence.training.hours.today


def _device(assumptions: Assumptions, evidence: CaseEvidence) -> Iterator[FieldProblem]:
    """A time on one kind of device is never priced as another without a person's word."""
    if assumptions.accept_other_device or not other_kind(assumptions, evidence):
        return
    known, kind = device(assumptions.gpu), priced_kind(assumptions)
    if evidence.device_kind != kind:
        message = Message(
            id="The times were measured on a {measured} ({device}), and the case prices a {priced}. "
            "Verify the plan on a {priced}, or accept by name that times are scaled; the figures are then marked as measured elsewhere.",
            values={
                "measured": (evidence.device_kind or "").upper(),
                "device": evidence.device_name,
                "priced": kind.upper(),
            },
        )
    else:
        message = Message(
            id="The times were measured on {device}, and the case prices {priced}, which takes another time. "
            "Verify the plan on {priced}, or accept by name that times are scaled; the figures are then marked as measured elsewhere.",
            values={"device": evidence.device_name, "priced": known.name if known else assumptions.gpu.strip()},
        )
    yield FieldProblem(field="accept_other_device", message=message)


def _missing(assumptions: Assumptions, evidence: CaseEvidence) -> Iterator[FieldProblem]:
    for name, figure in FIGURES.items():
        given = assumptions.values.get(name)
        if (given is not None and given.value is not None) or not figure.needed(assumptions, evidence):
            continue
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


def _values(assumptions: Assumptions) -> Iterator[FieldProblem]:
    for name, given in assumptions.values.items():
        if name not in FIGURES:
            message = Message(
                id="{given} is not one of the figures of a case. They are: {known}.", values={"given": name, "known": ", ".join(FIGURES)}
            )
            yield FieldProblem(field=name, message=message)
        elif given.value is not None:
            yield from _one(FIGURES[name], given, given.value, assumptions)
        elif given.low is not None or given.high is not None:
            message = Message(
                id="A range was given for {label}, but no figure. Type the most likely one.",
                values={"label": Message(id=FIGURES[name].label)},
            )
            yield FieldProblem(field=name, message=message)


def _one(figure: Figure, given: Assumption, value: float, assumptions: Assumptions) -> Iterator[FieldProblem]:
    currency = given.currency or assumptions.currency
    lowest, highest = figure.limits(currency)
    low, high = (value if end is None else end for end in (given.low, given.high))
    for amount in dict.fromkeys((value, low, high)):
        if not lowest <= amount <= highest:
            yield FieldProblem(field=figure.name, message=_outside(figure, amount, lowest, highest, currency))
    if figure.whole and value != int(value):
        message = Message(
            id="{given} was given for {label}; only whole numbers are allowed. Round it.",
            values={"given": shown(value), "label": Message(id=figure.label)},
        )
        yield FieldProblem(field=figure.name, message=message)
    if not low <= value <= high:
        message = Message(
            id="The range of {label} was given as {low} to {high}, with {value} as the most likely figure. "
            "The lowest must not be above it, the highest not below. Put them in order.",
            values={"label": Message(id=figure.label), "low": shown(low), "high": shown(high), "value": shown(value)},
        )
        yield FieldProblem(field=figure.name, message=message)


def _outside(figure: Figure, amount: float, lowest: float, highest: float, currency: Currency) -> Message:
    return Message(
        id="{given} was given for {label}; {lowest} to {highest} is allowed ({unit}). Check the figure and its unit.",
        values={
            "given": shown(amount),
            "label": Message(id=figure.label),
            "lowest": lowest,
            "highest": highest,
            "unit": unit_of(figure, currency),
        },
    )
