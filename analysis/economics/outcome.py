"""What one set of figures, or thousands of draws of them, comes to: the few results that every question of uncertainty asks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.contracts.business import Assumptions, CaseEvidence
from analysis.economics.flows import MONTHS, flows
from analysis.economics.load import Figures, Floats
from analysis.economics.measures import full_use, mean, npv, payback

_HAIR = 1e-9
"""Months by which sums of rounded money may miss the last day of the period."""


@dataclass(frozen=True)
class Outcome:
    """Arrays of [...], one entry for each draw.

    Attributes:
        npv: net present value over each draw's own evaluation period.
        payback: months; infinite where the start-up cost does not come back to stay within the months looked at.
        net_per_month: mean over the months of full use.
        saving_share: counted saving before running costs / today's cost, over the same months; 0 where today costs nothing.
        start: start-up cost.
        net: [..., months] counted cash.
        horizon: evaluation period in months.
    """

    npv: Floats
    payback: Floats
    net_per_month: Floats
    saving_share: Floats
    start: Floats
    net: Floats
    horizon: Floats

    @property
    def pays_back(self) -> Floats:
        """1 where it pays back within its own evaluation period, else 0."""
        return np.asarray(self.payback <= self.horizon + _HAIR, dtype=np.float64)

    @property
    def never(self) -> Floats:
        """1 where the saving does not exceed the running cost, however long one waits, else 0."""
        return np.asarray(np.isinf(self.payback) & (self.net_per_month <= 0), dtype=np.float64)


def outcome(assumptions: Assumptions, evidence: CaseEvidence, figures: Figures, months: int = MONTHS) -> Outcome:
    """Works the case out for these figures."""
    flow = flows(assumptions, evidence, figures, months)
    shape = np.broadcast_shapes(*(np.shape(value) for value in figures.values()))  # also where no drawn figure moves any money
    start, net = np.broadcast_to(flow.start, shape), np.broadcast_to(flow.net, (*shape, months))
    horizon = np.broadcast_to(np.asarray(figures["horizon_months"], dtype=np.float64), shape)
    weights = full_use(figures.get("rollout_months", 1.0), horizon, months)
    found = payback(start, net, horizon)
    today = mean(flow.today, weights)
    return Outcome(
        npv=npv(start, net, figures["discount_rate_percent"], horizon),
        payback=np.where(np.isnan(found), np.inf, found),
        net_per_month=mean(net, weights),
        saving_share=np.divide(mean(flow.saving, weights), today, out=np.zeros(np.shape(today)), where=today > 0),
        start=start,
        net=net,
        horizon=horizon,
    )
