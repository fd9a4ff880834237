"""Three ready scenarios, standard, cautious and bold, and cases beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.contracts.business import Assumption, Assumptions, CaseEvidence
from analysis.contracts.case import BusinessCase
from analysis.contracts.message import Message
from analysis.economics.figures import base_figures, ends
from analysis.economics.names import FIGURES
from analysis.economics.outcome import outcome
from analysis.economics.tornado import tornado

Preset = Literal["standard", "cautious", "bold"]
PRESETS: tuple[Preset, ...] = ("standard", "cautious", "bold")


@dataclass(frozen=True)
class Row:
    """One line of a comparison. `values` has one entry for each case; None: undefined there, or not given.

    Attributes:
        name: a result (start_cost, net_per_month, payback_months, npv, irr, total, payback_share, saving_share) or a figure.
        is_result: whether it is a result; else it is a figure in which the cases differ.
    """

    name: str
    is_result: bool
    values: tuple[float | None, ...]


def preset(assumptions: Assumptions, evidence: CaseEvidence, which: Preset) -> Assumptions:
    """The standard assumptions with every figure half-way to the end of its range that lowers (cautious) or raises (bold) the value.

    Which end that is, is tried out figure by figure, on the net present value, the weightiest first; a step that would turn the value
    the other way is not taken (a whole machine more can do that), so cautious is never worth more than standard, nor bold less. What
    was measured stays as it was measured.

    Args:
        assumptions: the standard ones, checked.
        evidence: what was measured of the plan.
        which: "standard" gives them back under that name.
    """
    named = assumptions.model_copy(update={"name": which})
    if which == "standard":
        return named
    worth, sign = _worth(named, evidence), 1 if which == "bold" else -1
    for swing in tornado(assumptions, evidence):
        if swing.name not in assumptions.values or swing.npv_high == swing.npv_low:
            continue
        moved = _half_way(
            swing.name, assumptions.values[swing.name], (which == "bold") == (swing.npv_high > swing.npv_low), named, evidence
        )
        tried = named.model_copy(update={"values": dict(named.values) | {swing.name: moved}})
        if sign * ((then := _worth(tried, evidence)) - worth) >= 0:
            named, worth = tried, then
    return named


def _worth(assumptions: Assumptions, evidence: CaseEvidence) -> float:
    return float(outcome(assumptions, evidence, base_figures(assumptions, evidence)).npv)


def _half_way(name: str, given: Assumption, upwards: bool, assumptions: Assumptions, evidence: CaseEvidence) -> Assumption:
    """The figure between its value and one end; the range stays, so that the same uncertainty is drawn."""
    assert given.value is not None
    low, high = ends(name, given, assumptions, evidence)
    value = (given.value + (high if upwards else low)) / 2
    value = float(round(value)) if FIGURES[name].whole else value
    said = (
        Message(id="half-way to the upper end of its range; before: {source}", values=_before(given))
        if upwards
        else Message(id="half-way to the lower end of its range; before: {source}", values=_before(given))
    )
    return given.model_copy(update={"value": value, "low": low, "high": high, "source": said})


def _before(given: Assumption) -> dict[str, object]:
    return {"source": given.source or Message(id="own figure, as entered")}


def compare(cases: Sequence[BusinessCase]) -> tuple[Row, ...]:
    """Results of several cases beside each other, and below them every figure in which they differ."""
    results = (Row(name, True, tuple(_result(case, name) for case in cases)) for name in _RESULTS)
    figures = (Row(name, False, tuple(_figure(case, name) for case in cases)) for name in FIGURES)
    return (*results, *(row for row in figures if len(set(row.values)) > 1))


_RESULTS = ("start_cost", "net_per_month", "payback_months", "npv", "irr", "total", "saving_share", "payback_share")


def _result(case: BusinessCase, name: str) -> float | None:
    if name == "start_cost":
        return case.result.start.total
    if name == "payback_share":
        return case.result.simulation.payback_share
    found: float | None = getattr(case.result, name)
    return found


def _figure(case: BusinessCase, name: str) -> float | None:
    given = case.assumptions.values.get(name)
    return None if given is None else given.value
