"""Cases so plain that every result can be worked out by hand: a monthly bill, a share saved, fixed people's days."""

from __future__ import annotations

from datetime import date
from typing import Any

from analysis.contracts import Assumption, Assumptions, CaseEvidence, Pair, SliceVolume
from tests.business_builders import make_evidence

TODAY = date(2026, 11, 22)
SAVED, BILL, HORIZON, RUNNING = 0.12, 1_000_000.0, 36.0, 20_000.0
START = 10 * 40_000.0
NET = BILL * SAVED - RUNNING
"""A month, from the first on."""


def plain_evidence(saved: float = SAVED, low: float | None = None, high: float | None = None, **changes: Any) -> CaseEvidence:
    """Requests take a share less time, measured on an H200; reading alone is timed. `low` and `high` are of the share saved."""
    evidence = make_evidence("serving")
    assert evidence.serving is not None
    ratio_low, ratio_high = (None if end is None else 1 - end for end in (high, low))
    pair = Pair(today=20.0, plan=20.0 * (1 - saved), ratio_low=ratio_low, ratio_high=ratio_high)
    point = evidence.serving.points[0].model_copy(update={"prefill_ms": pair, "decode_ms": None, "new_tokens": 0})
    quality = evidence.quality.model_copy(update={"accuracy_change": None})
    serving = evidence.serving.model_copy(update={"points": (point,)})
    return evidence.model_copy(update={"serving": serving, "quality": quality, **changes})


def plain_assumptions(ranges: dict[str, tuple[float, float, float]] | None = None, **changes: Any) -> Assumptions:
    """Everything fixed but the figures named in `ranges` (low, value, high): no growth, no interest, full use from the first month."""
    fixed = {
        "horizon_months": HORIZON,
        "discount_rate_percent": 0.0,
        "growth_percent_per_year": 0.0,
        "rollout_months": 1.0,
        "bill_serving_per_month": BILL,
        "bill_variable_percent": 100.0,
        "internal_day": 40_000.0,
        "engineer_days": 10.0,
        "run_days_per_month": 0.5,
        "renewal_months": 6.0,
        "batch_size": 8.0,
    }
    values = {name: Assumption(value=value) for name, value in fixed.items()}
    values |= {name: Assumption(value=value, low=low, high=high) for name, (low, value, high) in (ranges or {}).items()}
    given: dict[str, Any] = {
        "basis": "bill",
        "gpu": "h200",
        "starts_on": "2026-12-01",
        "values": values,
        "slices": (SliceVolume(name="all", requests_per_month=1000.0),),
    }
    return Assumptions(**(given | changes))


def triangular_cdf(x: float, low: float, mode: float, high: float) -> float:
    """P(X <= x) of a triangular figure."""
    if x <= low:
        return 0.0
    if x >= high:
        return 1.0
    if x <= mode:
        return (x - low) ** 2 / ((high - low) * (mode - low))
    return 1 - (high - x) ** 2 / ((high - low) * (high - mode))


def triangular_quantile(share: float, low: float, mode: float, high: float) -> float:
    """The figure below which that share of draws lies."""
    at_mode = (mode - low) / (high - low)
    if share <= at_mode:
        return low + (share * (high - low) * (mode - low)) ** 0.5
    return high - ((1 - share) * (high - low) * (high - mode)) ** 0.5
