"""How sure a case is: thousands of cases drawn over the assumptions' ranges and the measurements' intervals.

Assumptions are triangular between their ends, measured figures normal with their 95 % interval, a projection alone uniform over
what it may come to. All are drawn independently; the same seed gives the same numbers.
"""

from __future__ import annotations

import numpy as np

from analysis.contracts.business import Assumptions, CaseEvidence
from analysis.contracts.case import Simulation, Spread
from analysis.economics.figures import base_figures, draw_figures
from analysis.economics.flows import MONTHS
from analysis.economics.load import Floats
from analysis.economics.measures import cumulative
from analysis.economics.outcome import Outcome, outcome

DRAWS = 10_000
_POINTS = (0.1, 0.5, 0.9)


def simulate(assumptions: Assumptions, evidence: CaseEvidence, *, draws: int = DRAWS, seed: int = 0, months: int = MONTHS) -> Simulation:
    """P10, P50 and P90 of what counts, and in how many cases the start-up cost comes back within the evaluation period.

    Args:
        assumptions: checked (see `check_assumptions`).
        evidence: what was measured of the plan.
        draws: how many cases.
        seed: of the draws.
        months: looked at for a payback.

    Returns:
        Three points of each; the cumulated band is as long as the evaluation period of the case itself.
    """
    found = outcome(assumptions, evidence, draw_figures(assumptions, evidence, draws, seed), months)
    return _summary(found, draws, seed, min(months, int(base_figures(assumptions, evidence)["horizon_months"])))


def _summary(found: Outcome, draws: int, seed: int, length: int) -> Simulation:
    band = _band(cumulative(found.start, found.net[:, :length]))
    low, middle, high = (tuple(float(value) for value in row) for row in band)
    return Simulation(
        draws=draws,
        seed=seed,
        payback_share=float(found.pays_back.mean()),
        never_share=float(found.never.mean()),
        net_per_month=spread(found.net_per_month),
        saving_share=spread(found.saving_share),
        payback_months=spread(found.payback),
        npv=spread(found.npv),
        cumulative_p10=low,
        cumulative_p50=middle,
        cumulative_p90=high,
    )


def spread(values: Floats) -> Spread:
    """P10, P50 and P90, evenly between neighbours; null where the point is infinite."""
    ordered = np.sort(values)
    points = [_between(ordered, share) for share in _POINTS]
    return Spread(**{name: point if np.isfinite(point) else None for name, point in zip(("p10", "p50", "p90"), points, strict=True)})


def _between(ordered: Floats, share: float) -> float:
    """The point below which that share lies; infinite as soon as the neighbour above is."""
    place = share * (len(ordered) - 1)
    below = int(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    if place == below:
        return low
    return high if np.isinf(high) else low + (place - below) * (high - low)


def _band(values: Floats) -> Floats:
    """[3, months + 1] of [draws, months + 1]: the three points of every month, without sorting the rest."""
    columns = np.ascontiguousarray(values.T)
    last = columns.shape[1] - 1
    ranks = [share * last for share in _POINTS]
    neighbours = sorted({each for rank in ranks for each in (int(rank), min(int(rank) + 1, last))})
    columns.partition(neighbours, axis=1)
    return np.stack([_mixed(columns, rank, last) for rank in ranks])


def _mixed(columns: Floats, rank: float, last: int) -> Floats:
    below = int(rank)
    return np.asarray(columns[:, below] + (rank - below) * (columns[:, min(below + 1, last)] - columns[:, below]))
