"""What the project's brief set out as targets, and where this case stands: targets, never results of ours."""

from __future__ import annotations

from analysis.contracts.case import TargetBand

COST, QUALITY, PAYBACK = (-0.7, -0.4), (-0.3, -0.1), (6.0, 18.0)
"""Change of cost and of quality as shares, payback in months."""


def bands(*, cost_change: float | None, quality_change: float | None, payback_months: float | None) -> tuple[TargetBand, ...]:
    """Cost, quality and payback against their targets. A target is reached inside its band or on its better side.

    Args:
        cost_change: of the monthly cost, upkeep included, as a share of today's; below 0 for a saving; None: today costs nothing.
        quality_change: as the evidence has it, above 0 for quality lost; None: not known.
        payback_months: None: it never pays back, so this target is missed.
    """
    quality = None if quality_change is None else -quality_change
    return (
        TargetBand(kind="cost", low=COST[0], high=COST[1], unit="share", own=cost_change, reached=_at_most(cost_change, COST[1])),
        TargetBand(
            kind="quality",
            low=QUALITY[0],
            high=QUALITY[1],
            unit="share",
            own=quality,
            reached=None if quality is None else quality >= QUALITY[0],
        ),
        TargetBand(
            kind="payback",
            low=PAYBACK[0],
            high=PAYBACK[1],
            unit="months",
            own=payback_months,
            reached=payback_months is not None and payback_months <= PAYBACK[1],
        ),
    )


def _at_most(own: float | None, limit: float) -> bool | None:
    return None if own is None else own <= limit
