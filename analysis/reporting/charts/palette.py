"""Colours, patterns, fonts and scales of every chart, computed for contrast and for colour-blind readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import plotly.graph_objects as go

from analysis.i18n import Language, Translator, translator

Theme = Literal["light", "dark"]
Treatment = Literal["kept", "prune", "skip", "freeze", "expand", "quantise", "distil"]

FONT = '"Source Sans", "Noto Sans JP", "Noto Sans CJK JP", "Hiragino Sans", "Yu Gothic UI", Meiryo, sans-serif'
CONFIG: Mapping[str, Any] = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["sendChartToCloud", "lasso2d", "select2d", "autoScale2d"],
}
"""Plotly's own settings for every chart."""

PATTERNS: Mapping[Treatment, str] = {"kept": "", "prune": "", "skip": ".", "freeze": "/", "expand": "+", "quantise": "-", "distil": "|"}
"""Fill pattern of each operation, readable in grey print; prune is hollow with a dashed outline instead."""

RAMP = ("#00224E", "#123570", "#3B496C", "#575D6D", "#707173", "#8A8678", "#A59C74", "#C3B369", "#E1CC55", "#FEE838")
"""Ten steps of a perceptually even scale (cividis), dark = different, light = alike, the same in both themes."""

DIVERGING = ("#7F3B08", "#B35806", "#E08214", "#FDB863", "#FEE0B6", "#F7F7F7", "#D8DAEB", "#B2ABD2", "#8073AC", "#542788", "#2D004B")
"""Scale for differences: middle = none."""


@dataclass(frozen=True)
class Palette:
    """The colours of one theme."""

    page: str
    text: str
    quiet: str
    grid: str
    operations: Mapping[Treatment, str]
    within: str
    outside: str


PALETTES: Mapping[Theme, Palette] = {
    "light": Palette(
        page="#FFFFFF",
        text="#31333F",
        quiet="#5C6270",
        grid="rgba(49, 51, 63, 0.12)",
        operations={
            "kept": "#7F8999",
            "prune": "#A33B00",
            "skip": "#BA7800",
            "freeze": "#0963AD",
            "expand": "#38966A",
            "quantise": "#5E1250",
            "distil": "#5E1250",
        },
        within="#1A7745",
        outside="#B3261E",
    ),
    "dark": Palette(
        page="#0E1117",
        text="#FAFAFA",
        quiet="#B4B8C0",
        grid="rgba(250, 250, 250, 0.14)",
        operations={
            "kept": "#A0A5AB",
            "prune": "#CC6642",
            "skip": "#EFAD3E",
            "freeze": "#1684D5",
            "expand": "#85E8B4",
            "quantise": "#FABDFE",
            "distil": "#FABDFE",
        },
        within="#4CC38A",
        outside="#F2877F",
    ),
}


@dataclass(frozen=True)
class Look:
    """How a chart is to look and speak: language and theme."""

    language: Language = "en"
    theme: Theme = "light"

    @property
    def t(self) -> Translator:
        """Says a sentence in the language."""
        return translator(self.language)

    @property
    def palette(self) -> Palette:
        """The theme's colours."""
        return PALETTES[self.theme]


def steps(colours: tuple[str, ...]) -> list[tuple[float, str]]:
    """A colour scale in hard steps, so that a reader can name the step."""
    n = len(colours)
    return [(edge, colour) for place, colour in enumerate(colours) for edge in (place / n, (place + 1) / n)]


def dressed(figure: go.Figure, look: Look, *, height: int, title: str | None = None, subtitle: str | None = None) -> go.Figure:
    """The figure in the house's fonts, colours and a stable size, on the page's own background."""
    colours = look.palette
    axis = {
        "showgrid": False,
        "zeroline": False,
        "linecolor": colours.quiet,
        "tickcolor": colours.quiet,
        "tickfont": {"color": colours.quiet, "size": 12},
        "title": {"font": {"color": colours.text, "size": 13}},
        "automargin": True,
        "fixedrange": True,
    }
    figure.update_layout(
        template="none",
        height=height,
        font={"family": FONT, "size": 13, "color": colours.text},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 56, "r": 16, "t": 56 if subtitle else 40 if title else 24, "b": 44, "pad": 2},
        title=_title(title, subtitle, colours) if title else None,
        hoverlabel={
            "font": {"family": FONT, "size": 13, "color": colours.text},
            "bgcolor": colours.page,
            "bordercolor": colours.quiet,
            "align": "left",
        },
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left", "font": {"color": colours.text, "size": 12}},
        showlegend=False,
        dragmode=False,
        separators=".,",
    )
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    for kind in ("bar", "scatter"):  # a click selects a point; the others must not fade
        figure.update_traces(selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 1}}, selector={"type": kind})
    return figure


def _title(title: str, subtitle: str | None, colours: Palette) -> dict[str, Any]:
    below = f'<br><span style="font-size:12px;color:{colours.quiet}">{subtitle}</span>' if subtitle else ""
    place = {
        "x": 0,
        "xanchor": "left",
        "xref": "container",
        "y": 1,
        "yanchor": "top",
        "yref": "container",
        "pad": {"t": 26 if subtitle else 8, "l": 4},
    }
    return {"text": title + below, "font": {"size": 14, "color": colours.text}, **place}


def hatched(x: list[float | None], y: list[float | None], look: Look) -> go.Scatter:
    """Closed outlines (parted by None) filled with a hatch: what is not defined."""
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"width": 0.5, "color": look.palette.quiet},
        fill="toself",
        fillcolor="rgba(0,0,0,0)",
        fillpattern={"shape": "/", "fgcolor": look.palette.quiet, "bgcolor": "rgba(0,0,0,0)", "size": 6, "solidity": 0.18},
        hoverinfo="skip",
        showlegend=False,
    )


def cell_outline(x: float, y: float, half: float = 0.5) -> tuple[list[float | None], list[float | None]]:
    """A square around (x, y), closed and parted from the next one."""
    return [x - half, x + half, x + half, x - half, x - half, None], [y - half, y - half, y + half, y + half, y - half, None]
