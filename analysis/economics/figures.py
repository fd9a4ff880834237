"""From a person's assumptions and the evidence to figures by name, in the case's currency: one value each, or `n` draws each.

A name that nobody has given a value is absent. Percentages stay as people write them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from analysis.contracts.business import Assumption, Assumptions, CaseEvidence
from analysis.economics.catalogue import device
from analysis.economics.measured import Range, error_percent, request_ratio, training_ratio
from analysis.economics.names import FIGURES
from analysis.economics.uses import other_machine
from analysis.errors import InputError

Number = float | NDArray[np.float64]
Figures = Mapping[str, Number]


def ranges(assumptions: Assumptions, evidence: CaseEvidence) -> dict[str, Range]:
    """Every figure that has a value, with how it is drawn; sums of money in the case's currency.

    Raises:
        InputError: a sum is in a currency without a rate.
    """
    found = {name: _assumed(name, given, assumptions, evidence) for name, given in _given(assumptions, evidence).items()}
    measured = {"measured_request_ratio": request_ratio(assumptions, evidence), "measured_training_ratio": training_ratio(evidence)}
    found |= {name: one for name, one in measured.items() if one is not None}
    if (errors := measured_errors(assumptions, evidence)) is not None:
        found["measured_error_percent"] = errors
        found.pop("error_share_percent", None)
    return found


def base_figures(assumptions: Assumptions, evidence: CaseEvidence) -> dict[str, float]:
    """Every figure at its value."""
    return {
        name: float(value) for name, value in _finished({name: one.value for name, one in ranges(assumptions, evidence).items()}).items()
    }


def draw_figures(assumptions: Assumptions, evidence: CaseEvidence, n: int, seed: int) -> dict[str, NDArray[np.float64]]:
    """Every figure drawn `n` times, independently; the same seed gives the same numbers, figure by figure, whatever others there are."""
    drawn = {name: one.draw(n, _generator(name, seed)) for name, one in ranges(assumptions, evidence).items()}
    return {name: np.asarray(value, dtype=np.float64) for name, value in _finished(drawn).items()}


def moved(assumptions: Assumptions, evidence: CaseEvidence, values: Mapping[str, Number]) -> dict[str, Number]:
    """The figures with some of them, by their names in `ranges`, at other values; where those are arrays, so are they."""
    base: dict[str, Number] = {name: one.value for name, one in ranges(assumptions, evidence).items()}
    return _finished(base | dict(values))


def without_rate(name: str, given: Assumption, assumptions: Assumptions) -> bool:
    """Whether a figure is a sum in another currency than the case's, for which there is no exchange rate."""
    known = {None, assumptions.currency, *(rate.currency for rate in assumptions.rates)}
    return FIGURES[name].is_money and given.currency not in known


def counts(name: str, assumptions: Assumptions, evidence: CaseEvidence) -> bool:
    """Whether a figure enters this case's arithmetic, and is not nought throughout."""
    given = assumptions.values[name]
    return FIGURES[name].used(assumptions, evidence) and any((given.value, given.low, given.high))


def converted(amount: float, given: Assumption, assumptions: Assumptions) -> float:
    """A sum in the case's currency.

    Raises:
        InputError: no rate for its currency.
    """
    if given.currency is None or given.currency == assumptions.currency:
        return amount
    rate = next((rate for rate in assumptions.rates if rate.currency == given.currency), None)
    if rate is None:
        raise InputError(
            "A sum is in {other}, the case is in {currency}, and no exchange rate was given. "
            "Type what one {other} is worth in {currency}, with its date and where it comes from.",
            other=given.currency,
            currency=assumptions.currency,
        )
    return amount * rate.per_unit


def measured_errors(assumptions: Assumptions, evidence: CaseEvidence) -> Range | None:
    """The measured change of right answers, unless a person gave the share of errors; None: neither measured nor wanted."""
    given = assumptions.values.get("error_share_percent")
    if given is not None and given.origin != "measured":
        return None
    return error_percent(evidence)


def _given(assumptions: Assumptions, evidence: CaseEvidence) -> dict[str, Assumption]:
    """What a person gave, and what the catalogue says of the priced device where nobody did.

    A sum in another currency without a rate is left out where the case has no use for it.
    """
    given = {
        name: one
        for name, one in assumptions.values.items()
        if name in FIGURES
        and one.value is not None
        and not (without_rate(name, one, assumptions) and not counts(name, assumptions, evidence))
    }
    known = device(assumptions.gpu)
    if known is not None:
        given.setdefault("gpu_memory_gib", Assumption(value=known.memory_gib))
        if known.power_watts is not None:
            given.setdefault("gpu_power_watts", Assumption(value=known.power_watts.value))
    return given


def _assumed(name: str, given: Assumption, assumptions: Assumptions, evidence: CaseEvidence) -> Range:
    assert given.value is not None
    value, (low, high) = given.value, ends(name, given, assumptions, evidence)
    rate = converted(1.0, given, assumptions) if FIGURES[name].is_money else 1.0
    return Range(value * rate, low * rate, high * rate, "fixed" if low == high else "triangular")


def ends(name: str, given: Assumption, assumptions: Assumptions, evidence: CaseEvidence) -> tuple[float, float]:
    """Ends of an assumption's range, in its own currency. Another machine widens `machine_factor` and `speed_factor` where nobody did.

    `machine_factor` is fixed where the priced machine is the measured one; the batch is the one that was measured.
    """
    assert given.value is not None
    value, open_range = given.value, given.low is None and given.high is None
    if name == "batch_size":
        return value, value
    if name == "machine_factor" and not other_machine(assumptions, evidence):
        return value, value
    if name == "machine_factor" and open_range:
        return min(0.7, value), max(1.1, value)
    if name == "speed_factor" and open_range:
        return value / 2, value * 2
    return (value if given.low is None else given.low, value if given.high is None else given.high)


def _finished(values: Mapping[str, Number]) -> dict[str, Number]:
    """Whole things (months, machines) are whole; the change of right answers becomes errors added, never below 0."""
    finished = dict(values)
    for name in finished:
        if name in FIGURES and FIGURES[name].whole:
            finished[name] = np.rint(finished[name])
    if "measured_error_percent" in finished:
        finished["measured_error_percent"] = np.maximum(0.0, -np.asarray(finished["measured_error_percent"]))
        finished["error_share_percent"] = finished["measured_error_percent"]
    return finished


def _generator(name: str, seed: int) -> np.random.Generator:
    """A stream of its own for every figure, so that adding one does not move the others."""
    return np.random.default_rng([seed, *name.encode()])
