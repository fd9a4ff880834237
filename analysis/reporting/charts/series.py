"""Several lines in one chart: each told apart by colour, dash and marker together, with its interval as a ribbon."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from analysis.contracts import Intervals1D, Series
from analysis.reporting.charts.palette import Look, Theme

_COLOURS: dict[Theme, tuple[str, ...]] = {
    "light": ("#31333F", "#A3296B", "#15706B", "#7A5C12", "#5F4AA8", "#8E3A2B"),
    "dark": ("#FAFAFA", "#F58CC4", "#5CD1C8", "#D9B95B", "#B7A8F5", "#F09A84"),
}
"""None of them is the colour of an operation or of a verdict."""
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
PART_PATTERNS = ("", "/", ".", "x")
"""Fill patterns of the parts of a stacked bar, in order."""


@dataclass(frozen=True)
class Style:
    """How one line of several looks."""

    colour: str
    dash: str
    symbol: str


def style(place: int, look: Look) -> Style:
    """The look of the n-th line: colours, dashes and markers run round at different lengths, so no two of the first 30 are alike."""
    colours = _COLOURS[look.theme]
    return Style(colours[place % len(colours)], _DASHES[place % len(_DASHES)], _SYMBOLS[place % len(_SYMBOLS)])


def ribbon(xs: Sequence[float], intervals: Intervals1D, colour: str) -> go.Scatter:
    """The interval around a line; it breaks where the interval is not defined."""
    x: list[float | None] = []
    y: list[float | None] = []
    pairs = list(zip(xs, intervals, strict=True))
    for known, run in itertools.groupby(pairs, key=lambda pair: pair[1] is not None):
        if not known:
            continue
        held = [(at, interval) for at, interval in run if interval is not None]
        x += [at for at, _ in held] + [at for at, _ in reversed(held)] + [None]
        y += [high for _, (_, high) in held] + [low for _, (low, _) in reversed(held)] + [None]
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"width": 0, "color": colour},
        fill="toself",
        fillcolor=faded(colour, 0.18),
        hoverinfo="skip",
        showlegend=False,
    )


def faded(colour: str, opacity: float) -> str:
    """A #RRGGBB colour that lets through what lies under it."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def box(x0: float, x1: float, y0: float, y1: float) -> tuple[list[float | None], list[float | None]]:
    """A closed outline, parted from the next one."""
    return [x0, x1, x1, x0, x0, None], [y0, y0, y1, y1, y0, None]


def reach(lows: Sequence[float | None], highs: Sequence[float | None] = (), *, room: float = 0.06) -> tuple[float, float]:
    """An axis range around values, whatever is missing among them."""
    known = [value for value in (*lows, *highs) if value is not None]
    if not known:
        return (0.0, 1.0)
    low, high = min(known), max(known)
    gap = room * (high - low) or 0.05 * max(abs(high), 1e-6)
    return (low - gap, high + gap)


def ends(series: Series, intervals: Intervals1D) -> tuple[list[float | None], list[float | None]]:
    """Lowest and highest that is drawn at every place."""
    lows = [value if interval is None else interval[0] for value, interval in zip(series, intervals, strict=True)]
    highs = [value if interval is None else interval[1] for value, interval in zip(series, intervals, strict=True)]
    return lows, highs
