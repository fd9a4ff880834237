"""Which assumption matters most: each figure alone at either end of its range, everything else as it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.contracts.business import Assumptions, CaseEvidence
from analysis.contracts.case import Swing
from analysis.economics.figures import moved, ranges
from analysis.economics.load import Floats
from analysis.economics.measured import Range
from analysis.economics.outcome import Outcome, outcome

_RATIOS = ("measured_request_ratio", "measured_training_ratio")
_ERRORS = "measured_error_percent"


@dataclass(frozen=True)
class _Bar:
    """One bar before it is drawn: its name, the ends as they are shown, and which figures go where at either end."""

    name: str
    low: float
    high: float
    at_low: dict[str, float]
    at_high: dict[str, float]


def tornado(assumptions: Assumptions, evidence: CaseEvidence) -> tuple[Swing, ...]:
    """The figures that move the net present value, the one that moves it most first.

    `measured_saving` is the share saved, `measured_quality` errors added in % of requests; both go to the ends of what was
    measured. A figure whose ends change nothing is left out.
    """
    found = ranges(assumptions, evidence)
    bars = [*_assumed(found), *_measured(found)]
    if not bars:
        return ()
    worked = outcome(assumptions, evidence, _variants(assumptions, evidence, bars, found))
    swings = [_swing(bar, worked, 2 * place) for place, bar in enumerate(bars)]
    moving = [swing for swing in swings if (swing.npv_low, swing.payback_low) != (swing.npv_high, swing.payback_high)]
    return tuple(sorted(moving, key=lambda swing: -abs(swing.npv_high - swing.npv_low)))


def _assumed(found: dict[str, Range]) -> list[_Bar]:
    return [
        _Bar(name, one.low, one.high, {name: one.low}, {name: one.high})
        for name, one in found.items()
        if one.shape != "fixed" and name not in (*_RATIOS, _ERRORS)
    ]


def _measured(found: dict[str, Range]) -> list[_Bar]:
    """Both ratios together, least saved first; errors, fewest first."""
    bars = []
    ratios = {name: found[name] for name in _RATIOS if name in found and found[name].low < found[name].high}
    if ratios:
        least, most = ({name: getattr(one, end) for name, one in ratios.items()} for end in ("high", "low"))
        bars.append(_Bar("measured_saving", 1 - max(least.values()), 1 - min(most.values()), least, most))
    errors = found.get(_ERRORS)
    if errors is not None and errors.low < errors.high:
        few, many = max(0.0, -errors.high), max(0.0, -errors.low)
        bars.append(_Bar("measured_quality", few, many, {_ERRORS: errors.high}, {_ERRORS: errors.low}))
    return bars


def _variants(assumptions: Assumptions, evidence: CaseEvidence, bars: list[_Bar], found: dict[str, Range]) -> dict[str, float | Floats]:
    """Every end of every bar in one pass: row 2 i is bar i at its low end, row 2 i + 1 at its high end."""
    columns = {name: np.full(2 * len(bars), found[name].value) for bar in bars for name in bar.at_low}
    for place, bar in enumerate(bars):
        for name in bar.at_low:
            columns[name][2 * place], columns[name][2 * place + 1] = bar.at_low[name], bar.at_high[name]
    return moved(assumptions, evidence, columns)


def _swing(bar: _Bar, worked: Outcome, place: int) -> Swing:
    low, high = (float(value) for value in worked.payback[place : place + 2])
    return Swing(
        name=bar.name,
        low=bar.low,
        high=bar.high,
        npv_low=float(worked.npv[place]),
        npv_high=float(worked.npv[place + 1]),
        payback_low=low if np.isfinite(low) else None,
        payback_high=high if np.isfinite(high) else None,
    )
