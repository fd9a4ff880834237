"""What charts of traces share: the frozen part, the line at its end, the axes of positions and layers."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from analysis.contracts import Interval, Semantics, Series
from analysis.contracts.semantics import CurveName, TraceScores
from analysis.i18n import render
from analysis.i18n.numbers import span
from analysis.reporting import training_words as words
from analysis.reporting.charts.heatmap import position_name
from analysis.reporting.charts.palette import FONT, PATTERNS, Look, hatched
from analysis.reporting.charts.series import box, faded


def scores_of(semantics: Semantics, slice_name: str | None) -> TraceScores:
    """All prompts, or one slice."""
    return semantics.slices[slice_name] if slice_name else semantics.overall


def draw_background(
    figure: go.Figure, row: int, series: Sequence[Series], look: Look, eof_layer: int | None, limits: tuple[float, float]
) -> None:
    """The frozen part, and a hatch over positions where nothing is defined."""
    if eof_layer is not None and eof_layer >= 0:
        figure.add_trace(frozen_area(-0.5, eof_layer + 1.5, *limits, look), row=row, col=1)
    n = len(series[0]) if series else 0
    holes = [position for position in range(n) if all(values[position] is None for values in series)]
    if holes:
        outlines = [box(position - 0.5, position + 0.5, *limits) for position in holes]
        figure.add_trace(hatched([x for xs, _ in outlines for x in xs], [y for _, ys in outlines for y in ys], look), row=row, col=1)


def frozen_area(x0: float, x1: float, y0: float, y1: float, look: Look) -> go.Scatter:
    """The frozen part, in the freeze operation's colour and pattern."""
    colour = look.palette.operations["freeze"]
    x, y = box(x0, x1, y0, y1)
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"width": 0, "color": colour},
        fill="toself",
        fillcolor=faded(colour, 0.1),
        fillpattern={
            "shape": PATTERNS["freeze"],
            "fgcolor": faded(colour, 0.5),
            "bgcolor": faded(colour, 0.08),
            "size": 9,
            "solidity": 0.1,
        },
        hoverinfo="skip",
        showlegend=False,
    )


def mark_boundary(figure: go.Figure, look: Look, eof_layer: int, n_blocks: int, *, at: float, named: bool = True) -> None:
    """The line between what is frozen and what trains, and over the plot what lies on either side of it."""
    figure.add_vline(x=at, line={"color": look.palette.operations["freeze"], "width": 2.5})
    font = {"family": FONT, "size": 12, "color": look.palette.text}
    sides = ((0, "left", words.frozen_layers(eof_layer)), (1, "right", words.trained_layers(eof_layer, n_blocks)))
    for x, anchor, said in sides:
        figure.add_annotation(
            x=x,
            xref="paper",
            xanchor=anchor,
            y=1,
            yref="paper",
            yanchor="bottom",
            yshift=2,
            showarrow=False,
            text=render(said, look.language),
            font=font,
        )
    if named and eof_layer >= 0:
        on_left = at > n_blocks / 2
        figure.add_annotation(
            x=at,
            y=0.03,
            yref="paper",
            yanchor="bottom",
            xanchor="right" if on_left else "left",
            xshift=-6 if on_left else 6,
            text=look.t("last frozen layer: {layer}", layer=eof_layer),
            showarrow=False,
            bgcolor=look.palette.page,
            font=font,
        )


def position_axes(figure: go.Figure, look: Look, n: int, *, rows: int) -> None:
    """The last row's x axis names positions, few enough to stay apart on a phone."""
    every = 1 if n <= 7 else 5 if n <= 25 else 10  # labels stay apart on a phone
    places = [0, *(position for position in range(1, n) if (n - 1 - position) % every == 0 and position > every / 2)]
    figure.update_xaxes(
        range=[-0.6, n - 0.4],
        tickvals=places,
        ticktext=[position_name(position, look) for position in places],
        tickangle=0,
        ticks="outside",
        showline=True,
    )
    words_below = {"text": look.t("position in the model; layers are counted from 0"), "standoff": 6}
    figure.update_xaxes(title=words_below, row=rows, col=1)


def layer_axis(n: int, look: Look) -> dict[str, object]:
    """Marks of an axis of layers."""
    every = 1 if n <= 16 else 5 if n <= 50 else 10
    return {"tickvals": list(range(0, n, every)), "ticks": "outside", "showline": True, "linecolor": look.palette.quiet}


def unit_name(curve: CurveName, look: Look) -> str:
    """What a deviation is counted in."""
    return look.t("loss (nats per token)") if curve == "lens" else look.t("deviation")


def interval_text(interval: Interval | None, look: Look) -> str:
    """An interval in three decimals; a dash where there is none."""
    return "-" if interval is None else span(f"{interval[0]:.3f}", f"{interval[1]:.3f}", look.language)
