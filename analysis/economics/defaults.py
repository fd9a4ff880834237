"""The assumptions that a case begins with, and how a person changes one.

Every starting value is marked as assumed; those without a public source are counted and listed first, to be confirmed.
"""

from __future__ import annotations

from datetime import date
from math import isfinite

from analysis.contracts.business import Assumption, Assumptions, CaseEvidence, Currency, SliceVolume
from analysis.contracts.message import Message
from analysis.contracts.workload import WorkloadInfo
from analysis.economics.catalogue import match
from analysis.economics.measured import default_batch, error_percent
from analysis.economics.money_text import no_figure
from analysis.economics.names import FIGURES, Figure
from analysis.economics.uses import trains
from analysis.errors import InputError
from analysis.i18n import N_

NO_SOURCE = N_("starting value, no source: please confirm")
_NOTHING = ("external_days", "other_start_cost")


def default_assumptions(
    evidence: CaseEvidence, workload: WorkloadInfo | None = None, *, currency: Currency = "JPY", today: date
) -> Assumptions:
    """What a case begins with: the starting values, the measured ones, volumes from the workload, the measured device.

    It starts from volumes where the workload tells how many requests there are, else from the bill. There is no starting
    value for a price of the cloud, an exchange rate, a CO2 factor, a bill, or the price of an error.
    """
    slices = _slices(evidence, workload)
    known = match(evidence.device_name)
    return Assumptions(
        currency=currency,
        basis="volume" if any(one.requests_per_month for one in slices) and not trains(evidence) else "bill",
        gpu=known.id if known else "",
        device_kind=evidence.device_kind or "gpu",
        starts_on=_next_month(today).isoformat(),
        values=_starting() | _measured(evidence),
        slices=slices,
    )


def unsourced(assumptions: Assumptions, evidence: CaseEvidence) -> tuple[str, ...]:
    """Names of the starting values without a source that this case uses and nobody has confirmed."""
    return tuple(
        name
        for name, figure in FIGURES.items()
        if (given := assumptions.values.get(name)) is not None
        and given.value is not None
        and given.origin == "assumed"
        and not (given.sourced or given.confirmed_by)
        and not (name in _NOTHING and given.value == 0)
        and figure.used(assumptions, evidence)
    )


def answer(
    assumptions: Assumptions,
    name: str,
    value: float | None,
    *,
    low: float | None = None,
    high: float | None = None,
    currency: Currency | None = None,
    source: Message | str | None = None,
    source_url: str = "",
    as_of: str = "",
    confirmed_by: str = "",
) -> Assumptions:
    """The assumptions with one figure as a person gave it; where they gave no range, the one there was moves along in proportion.

    Raises:
        InputError: no figure has that name, or it was given no number.
    """
    figure = _figure(name)
    for amount in (value, low, high):
        if amount is not None and not isfinite(amount):
            raise no_figure(str(amount))
    before = assumptions.values.get(name)
    if low is None and high is None and value is not None and before is not None:
        low, high = _moved(figure, before, value, assumptions.currency)
    given = Assumption(
        value=value,
        low=low,
        high=high,
        currency=(currency or assumptions.currency) if figure.is_money else None,
        source=_said(source),
        source_url=source_url,
        as_of=as_of,
        sourced=value is not None,
        confirmed_by=confirmed_by,
    )
    return assumptions.model_copy(update={"values": dict(assumptions.values) | {name: given}})


def _figure(name: str) -> Figure:
    if name not in FIGURES:
        raise InputError("{given} is not one of the figures of a case. They are: {known}.", given=name, known=", ".join(FIGURES))
    return FIGURES[name]


def _said(source: Message | str | None) -> Message:
    if isinstance(source, Message):
        return source
    return Message(id="own figure: {source}", values={"source": source}) if source else Message(id="own figure, as entered")


def _moved(figure: Figure, before: Assumption, value: float, currency: Currency) -> tuple[float | None, float | None]:
    """The range around a new value: the old one in proportion, inside what is allowed."""
    if before.value is None or (before.low is None and before.high is None):
        return None, None
    lowest, highest = figure.limits(currency)
    low = before.value if before.low is None else before.low
    high = before.value if before.high is None else before.high
    if before.value:
        low, high = low / before.value * value, high / before.value * value
    low, high = min(low, high, value), max(low, high, value)
    return min(max(low, lowest), value), max(min(high, highest), value)


def _starting() -> dict[str, Assumption]:
    return {
        name: Assumption(
            value=figure.default,
            low=figure.low,
            high=figure.high,
            currency="JPY" if figure.is_money else None,
            source=Message(id=figure.source or NO_SOURCE),
            sourced=figure.source is not None,
        )
        for name, figure in FIGURES.items()
        if figure.default is not None
    }


def _measured(evidence: CaseEvidence) -> dict[str, Assumption]:
    """Starting values that were measured: the batch, hours of a fine-tune of all examples, errors that were added."""
    found: dict[str, Assumption] = {}
    if evidence.serving is not None:
        found["batch_size"] = _from(default_batch(evidence), Message(id="largest batch that was measured"))
    if (hours := _training_hours(evidence)) is not None:
        found["training_gpu_hours_per_run"] = hours
    if (errors := error_percent(evidence)) is not None:
        said = Message(id="right answers lost, measured on {n} cases that have one", values={"n": evidence.quality.n_answers})
        value, low, high = (max(0.0, -end) for end in (errors.value, errors.high, errors.low))
        found["error_share_percent"] = _from(value, said, low, high)
    return found


def _training_hours(evidence: CaseEvidence) -> Assumption | None:
    """The trial's hours, scaled to all examples of the workload."""
    training = evidence.training
    if training is None or not training.hours.today:
        return None
    more = max(1.0, evidence.n_prompts / training.n_examples) if training.n_examples and evidence.n_prompts else 1.0
    said = Message(
        id="hours of the trial ({n} examples), scaled to all {all} examples of the workload",
        values={"n": training.n_examples, "all": max(evidence.n_prompts, training.n_examples)},
    )
    return _from(training.hours.today * more, said)


def _from(value: float, source: Message, low: float | None = None, high: float | None = None) -> Assumption:
    return Assumption(value=value, low=low, high=high, origin="measured", source=source, sourced=True)


def _slices(evidence: CaseEvidence, workload: WorkloadInfo | None) -> tuple[SliceVolume, ...]:
    """One row for each slice of the evidence; volumes where the workload tells them, else 0 to be filled in."""
    known = {info.name: info for info in workload.slices} if workload else {}
    rows = []
    for name in evidence.slices or tuple(known) or ("all",):
        info = known.get(name)
        volume = (info.requests_per_month if info else None) or 0.0
        rows.append(SliceVolume(name=name, requests_per_month=volume, critical=bool(info and info.n_critical)))
    return tuple(rows)


def _next_month(today: date) -> date:
    return date(today.year + today.month // 12, today.month % 12 + 1, 1)
