"""Figures as sentences carry them."""

from __future__ import annotations


def percent_figure(share: float) -> str:
    """A share as a percent figure: whole from 10 on, one decimal below, none where it is whole.

    >>> percent_figure(0.384), percent_figure(0.0512), percent_figure(0.05)
    ('38', '5.1', '5')
    """
    percent = 100 * share
    return f"{percent:.0f}" if abs(percent) >= 9.95 or abs(percent - round(percent)) < 0.05 else f"{percent:.1f}"
