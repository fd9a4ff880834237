"""The brief's targets: where a case stands against them."""

from __future__ import annotations

import pytest

from analysis.economics.bands import bands


@pytest.mark.parametrize(
    ("cost", "quality", "payback", "reached"),
    [
        (-0.5, 0.2, 12.0, (True, True, True)),
        (-0.8, 0.05, 3.0, (True, True, True)),  # better than the band
        (-0.13, 0.49, 26.0, (False, False, False)),
        (-0.4, 0.3, 18.0, (True, True, True)),  # on its edge
        (None, None, None, (None, None, False)),  # never pays back: missed
        (0.1, -0.02, 12.0, (False, True, True)),
    ],
)
def test_a_target_is_reached_inside_its_band_or_on_its_better_side(
    cost: float | None, quality: float | None, payback: float | None, reached: tuple[bool | None, ...]
) -> None:
    found = bands(cost_change=cost, quality_change=quality, payback_months=payback)
    assert tuple(band.reached for band in found) == reached


def test_the_bands_are_those_of_the_brief_and_own_figures_keep_their_sign() -> None:
    found = {band.kind: band for band in bands(cost_change=-0.13, quality_change=0.021, payback_months=None)}
    assert [(band.low, band.high, band.unit) for band in found.values()] == [
        (-0.7, -0.4, "share"),
        (-0.3, -0.1, "share"),
        (6, 18, "months"),
    ]
    assert (found["cost"].own, found["quality"].own, found["payback"].own) == (-0.13, -0.021, None)
