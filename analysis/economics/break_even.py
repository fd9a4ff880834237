"""From which amount of work on a plan pays back within the evaluation period."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.contracts.business import Assumptions, CaseEvidence
from analysis.contracts.case import BreakEven
from analysis.economics.figures import Figures, base_figures
from analysis.economics.load import Floats
from analysis.economics.outcome import outcome
from analysis.economics.uses import bill, priced_serving

Kind = Literal["requests", "bill", "runs"]
_BILLS = ("bill_serving_per_month", "bill_training_per_month")
_ERRORS = ("error_share_percent", "measured_error_percent")
_DECADES, _COARSE, _FINE, _HALVINGS = 6, 4, 16, 30


def break_even(assumptions: Assumptions, evidence: CaseEvidence) -> BreakEven:
    """The smallest amount of work found from which the start-up cost comes back within the evaluation period.

    Requests or fine-tuning runs a month, or the monthly bill; growth, shares by slice and prices stay as they are. Looked at is
    everything from a millionth of today's amount to a million times. Whole machines make the saving jump, so a grid is searched
    first and the smallest amount on it closed in on: a little more work than that can still need one machine too many.

    Returns:
        The amount a month; its value is 0 where the plan pays at any amount, and null where it pays at none.
    """
    figures = base_figures(assumptions, evidence)
    kind, today = _work(assumptions, evidence, figures)
    scale = _smallest(assumptions, evidence, figures, kind) if today > 0 else None
    return BreakEven(kind=kind, value=None if scale is None else scale * today, today=today)


def _work(assumptions: Assumptions, evidence: CaseEvidence, figures: Figures) -> tuple[Kind, float]:
    if bill(assumptions, evidence):
        return "bill", sum(float(figures.get(name, 0.0)) for name in _BILLS)
    if priced_serving(assumptions, evidence):
        return "requests", sum(one.requests_per_month for one in assumptions.slices)
    return "runs", float(figures.get("training_runs_per_month", 0.0))


def _smallest(assumptions: Assumptions, evidence: CaseEvidence, figures: Figures, kind: Kind) -> float | None:
    """Smallest multiple of today's work that pays back: first on a coarse grid, then finer below its first hit, then by halving."""

    def first(grid: Floats) -> int | None:
        found = _pays(assumptions, evidence, figures, kind, grid)
        return int(found.argmax()) if found.any() else None

    coarse = np.logspace(-_DECADES, _DECADES, 2 * _DECADES * _COARSE + 1)
    hit = first(coarse)
    if hit is None:
        return None
    if hit == 0:
        return 0.0
    fine = np.geomspace(coarse[hit - 1], coarse[hit], _FINE + 1)
    closer = first(fine)
    low, high = (fine[closer - 1], fine[closer]) if closer else (coarse[hit - 1], coarse[hit])
    for _ in range(_HALVINGS):
        middle = np.sqrt(low * high)
        low, high = (low, middle) if first(np.array([middle])) is not None else (middle, high)
    return float(high)


def _pays(assumptions: Assumptions, evidence: CaseEvidence, figures: Figures, kind: Kind, scales: Floats) -> NDArray[np.bool_]:
    """Whether it pays back within the evaluation period at each multiple of today's work; all at once where no machines are counted."""
    months = int(figures["horizon_months"])
    if kind == "runs" or (kind == "bill" and not _counts_machines(assumptions, figures)):
        worked = outcome(assumptions, evidence, _more(figures, kind, scales), months)
        return np.asarray(worked.pays_back > 0)
    return np.array([_pays_at(assumptions, evidence, figures, kind, float(scale), months) for scale in scales])


def _pays_at(assumptions: Assumptions, evidence: CaseEvidence, figures: Figures, kind: Kind, scale: float, months: int) -> bool:
    if kind == "requests":
        slices = tuple(one.model_copy(update={"requests_per_month": one.requests_per_month * scale}) for one in assumptions.slices)
        assumptions = assumptions.model_copy(update={"slices": slices})
        kept = {name: value for name, value in figures.items() if name != "machines_today"}
        return bool(outcome(assumptions, evidence, kept, months).pays_back)
    machines = max(1.0, float(np.rint(scale * float(figures["machines_today"]))))
    return bool(outcome(assumptions, evidence, {**_more(figures, kind, scale), "machines_today": machines}, months).pays_back)


def _counts_machines(assumptions: Assumptions, figures: Figures) -> bool:
    return assumptions.place != "cloud" and "machines_today" in figures


def _more(figures: Figures, kind: Kind, scale: float | Floats) -> dict[str, float | Floats]:
    """The figures with so many times the work; behind a larger bill stand as many more requests that can go wrong."""
    names = ("training_runs_per_month",) if kind == "runs" else (*_BILLS, *_ERRORS)
    return {name: value * scale if name in names else value for name, value in figures.items()}
