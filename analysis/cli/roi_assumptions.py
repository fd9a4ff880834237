"""From what a person typed to the assumptions of a case: starting values or a file, then each figure as given."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from analysis.cli.case_documents import read_assumptions
from analysis.cli.options_business import Preset
from analysis.contracts import CURRENCIES, Assumptions, Basis, CaseEvidence, Currency, ExchangeRate, Place, WorkloadInfo
from analysis.economics.catalogue import device, match
from analysis.economics.defaults import answer, default_assumptions
from analysis.economics.money_text import parse_amount_text
from analysis.economics.names import FIGURES
from analysis.economics.uses import serves, trains
from analysis.errors import InputError


@dataclass(frozen=True)
class Typed:
    """What was given on the command line; None and empty: not said."""

    file: str | None = None
    figures: Sequence[str] = ()
    bill: str | None = None
    requests: str | None = None
    basis: Basis | None = None
    place: Place | None = None
    gpu: str | None = None
    currency: Currency | None = None
    rates: Sequence[str] = ()
    starts_on: str | None = None
    contract_ends_on: str | None = None
    after_tax: bool = False
    count_capacity: bool = False
    accept_other_device: bool = False
    scenario: Preset | None = None


def assumptions_of(typed: Typed, evidence: CaseEvidence, workload: WorkloadInfo | None, *, today: date | None = None) -> Assumptions:
    """The assumptions: a file's or the starting values, with everything that was typed in their place.

    Raises:
        InputError: something typed cannot be read.
    """
    begun = _begun(typed, evidence, workload, today or datetime.now(UTC).date())
    plain = _switched(begun, typed)
    if typed.scenario is not None:
        from analysis.economics.scenarios import preset

        plain = preset(plain, evidence, typed.scenario)
    if typed.requests is not None:
        plain = _with_requests(plain, parse_amount_text(typed.requests))
        if typed.basis is None and typed.bill is None and serves(evidence):
            plain = plain.model_copy(update={"basis": "volume"})
    if typed.bill is not None:
        plain = _with_bill(plain, typed.bill, evidence)
    for name, text in _named(typed.figures).items():
        plain = _with_figure(plain, name, text)
    return plain


def _named(figures: Sequence[str]) -> dict[str, str]:
    """``["internal_day=38000"]`` as ``{"internal_day": "38000"}``."""
    found: dict[str, str] = {}
    for given in figures:
        name, _, value = given.partition("=")
        if not name.strip() or not value.strip():
            raise InputError(
                "--set {given} is not understood: write NAME=VALUE, for example --set internal_day=38000@accounting.", given=given
            )
        found[name.strip()] = value.strip()
    return found


def _begun(typed: Typed, evidence: CaseEvidence, workload: WorkloadInfo | None, today: date) -> Assumptions:
    if typed.file is not None:
        return read_assumptions(typed.file)
    return default_assumptions(evidence, workload, currency=typed.currency or "JPY", today=today)


def _switched(begun: Assumptions, typed: Typed) -> Assumptions:
    said = {
        "currency": typed.currency,
        "basis": typed.basis,
        "place": typed.place,
        "gpu": _device(typed.gpu),
        "device_kind": "gpu" if typed.gpu else None,
        "starts_on": typed.starts_on,
        "contract_ends_on": typed.contract_ends_on,
        "after_tax": typed.after_tax or None,
        "count_capacity": typed.count_capacity or None,
        "accept_other_device": typed.accept_other_device or None,
    }
    given = {name: value for name, value in said.items() if value is not None}
    rates = {rate.currency: rate for rate in (*begun.rates, *map(_rate, typed.rates))}
    return begun.model_copy(update={**given, "rates": tuple(rates.values())})


def _device(given: str | None) -> str | None:
    """The catalogue's id where it is sure which device is meant, else the name as typed."""
    known = match(given) if given else None
    return known.id if known is not None and device(str(given)) is None else given


def _with_requests(plain: Assumptions, wanted: float) -> Assumptions:
    """The volumes in proportion to what they were, evenly where none had any."""
    if wanted < 0:
        raise InputError("--requests {given} is below 0. Give how many requests there are in a month.", given=f"{wanted:g}")
    total = sum(volume.requests_per_month for volume in plain.slices)
    shares = [volume.requests_per_month / total if total else 1 / len(plain.slices) for volume in plain.slices]
    volumes = (volume.model_copy(update={"requests_per_month": wanted * share}) for volume, share in zip(plain.slices, shares, strict=True))
    return plain.model_copy(update={"slices": tuple(volumes)})


def _with_bill(plain: Assumptions, text: str, evidence: CaseEvidence) -> Assumptions:
    """The invoice of what the plan changes, and the case starts from it."""
    if serves(evidence) and trains(evidence):
        raise InputError(
            "This plan changes both answering requests and fine-tuning, so --bill does not tell which invoice it is. "
            "Write --set bill_serving_per_month=... and --set bill_training_per_month=... with --basis bill."
        )
    name = "bill_training_per_month" if trains(evidence) else "bill_serving_per_month"
    return answer(plain.model_copy(update={"basis": "bill"}), name, parse_amount_text(text))


def _with_figure(plain: Assumptions, name: str, text: str) -> Assumptions:
    """One figure: VALUE or LOW..VALUE..HIGH, with @SOURCE behind it."""
    if name not in FIGURES:
        raise _unknown(name)
    figures, _, source = text.partition("@")
    parts = [parse_amount_text(part) for part in figures.split("..")]
    if len(parts) not in (1, 3):
        raise InputError("--set {name}={given} is not understood: write one figure, or LOW..VALUE..HIGH.", name=name, given=text)
    low, value, high = parts if len(parts) == 3 else (None, parts[0], None)
    assert value is not None
    return answer(plain, name, value, low=low, high=high, source=source.strip() or None)


def _unknown(name: str) -> InputError:
    near = difflib.get_close_matches(name.lower(), FIGURES, n=4, cutoff=0.5)
    if near:
        return InputError("There is no figure called {given}. Near it: {near}.", given=name[:80], near=tuple(near))
    return InputError("There is no figure called {given}. The figures are: {known}.", given=name[:80], known=tuple(FIGURES))


def _rate(text: str) -> ExchangeRate:
    """JPY=0.0061@2026-11-20:ECB: what one unit is worth in the case's currency, on which day, by whom."""
    currency, _, rest = text.partition("=")
    rate, _, origin = rest.partition("@")
    day, _, source = origin.partition(":")
    known = next((known for known in CURRENCIES if known == currency.strip().upper()), None)
    if known is None or not rate.strip() or not day.strip() or not source.strip():
        raise _no_rate(text)
    try:
        date.fromisoformat(day.strip())
    except ValueError as exc:
        raise _no_rate(text) from exc
    worth = parse_amount_text(rate)
    if worth <= 0:
        raise _no_rate(text)
    return ExchangeRate(currency=known, per_unit=worth, as_of=day.strip(), source=source.strip())


def _no_rate(text: str) -> InputError:
    return InputError(
        "--rate {given} is not understood: write CURRENCY=RATE@DATE:SOURCE with JPY, USD or EUR and a rate above 0, "
        "for example --rate JPY=0.0061@2026-11-20:ECB.",
        given=text[:80],
    )
