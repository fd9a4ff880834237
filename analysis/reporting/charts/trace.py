"""One prompt's own trace: every response token at every position, clickable like the heatmaps of similarity."""

from __future__ import annotations

from typing import Literal

import numpy as np
import plotly.graph_objects as go

from analysis.contracts import Matrix, TokenTrace
from analysis.reporting.charts.heatmap import position_name
from analysis.reporting.charts.palette import RAMP, Look, dressed, hatched, steps
from analysis.reporting.charts.series import box
from analysis.reporting.charts.text import escaped, shortened

Shown = Literal["deviation", "lens_loss"]
MOST_TOKENS = 200
"""Tokens of a response that are drawn; the rest is in the table."""
_ROW, _LONGEST = 18, 18


def token_trace(
    trace: TokenTrace,
    look: Look,
    *,
    shown: Shown = "deviation",
    eof_layer: int | None = None,
    selected: tuple[int, int] | None = None,
) -> go.Figure:
    """How far each response token's state is from the right word, light = near; a click carries ``customdata [token, position]``.

    Args:
        trace: one prompt.
        look: language and theme.
        shown: the default deviation, or the lens' loss.
        eof_layer: the last frozen layer, as a line; None: none.
        selected: the open (token, position), outlined.
    """
    t = look.t
    matrix = _matrix(trace, shown)[:MOST_TOKENS]
    n_tokens, n = len(matrix), len(matrix[0]) if matrix else 1
    names = token_names(trace, look)[:MOST_TOKENS]
    low, high = _limits(matrix)
    figure = go.Figure(_cells(matrix, look, (low, high), shown))
    holes = [(row, column) for row, values in enumerate(matrix) for column, value in enumerate(values) if value is None]
    if holes:
        outlines = [box(column - 0.46, column + 0.46, row - 0.46, row + 0.46) for row, column in holes]
        figure.add_trace(hatched([x for xs, _ in outlines for x in xs], [y for _, ys in outlines for y in ys], look))
    figure.add_trace(_click_targets(trace, matrix, names, look, shown))
    title = t("Each response token on its way to the right word")
    more = len(_matrix(trace, shown)) - n_tokens
    subtitle = (
        t("light: near; the first {n} tokens, {more} more in the table", n=n_tokens, more=more)
        if more
        else t("rows: tokens of the response; light: near the right word")
    )
    dressed(figure, look, height=150 + _ROW * max(n_tokens, 3), title=title, subtitle=subtitle)
    _axes(figure, look, n, names)
    if eof_layer is not None and eof_layer >= 0:
        figure.add_vline(x=eof_layer + 1.5, line={"color": look.palette.page, "width": 6})  # so that it shows on light and dark cells
        figure.add_vline(
            x=eof_layer + 1.5,
            line={"color": look.palette.text, "width": 2.5},
            annotation={
                "text": t("frozen up to here"),
                "yanchor": "bottom",
                "xanchor": "right" if eof_layer + 1.5 > n / 2 else "left",
                "font": {"color": look.palette.text, "size": 12},
            },
        )
        figure.update_layout(margin={"t": 76})
    if selected is not None:
        row, column = selected
        figure.add_shape(
            type="rect", x0=column - 0.5, x1=column + 0.5, y0=row - 0.5, y1=row + 0.5, line={"color": look.palette.text, "width": 3}
        )
    return figure


def token_trace_alt(trace: TokenTrace, look: Look) -> str:
    """What the chart shows, in one sentence."""
    return look.t(
        "Heatmap: {n} response tokens as rows, {positions} positions in the model as columns; light: near the right word.",
        n=len(trace.deviation),
        positions=len(trace.deviation[0]) if trace.deviation else 0,
    )


def token_trace_rows(trace: TokenTrace, look: Look, *, shown: Shown = "deviation") -> list[dict[str, object]]:
    """The trace as a table: one row a token, one column a position."""
    names = token_names(trace, look, plain=True)
    return [
        {look.t("token"): name, **{position_name(position, look): value for position, value in enumerate(row)}}
        for name, row in zip(names, _matrix(trace, shown), strict=True)
    ]


def token_names(trace: TokenTrace, look: Look, *, plain: bool = False) -> list[str]:
    """The tokens as they are written, with spaces and line ends made visible; numbers where texts were switched off."""
    if not any(trace.tokens):
        return [look.t("token {n}", n=place + 1) for place in range(len(trace.deviation))]
    return [visible(token) if plain else shortened(visible(token), _LONGEST) for token in trace.tokens]


def visible(token: str) -> str:
    """A token with what cannot be seen written as a sign."""
    signs = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "↵"}
    return "".join(signs.get(sign, sign if sign.isprintable() else "·") for sign in token)


def _matrix(trace: TokenTrace, shown: Shown) -> Matrix:
    if shown == "deviation":
        return trace.deviation
    return trace.lens_loss if trace.lens_loss is not None else tuple((None,) * len(row) for row in trace.deviation)


def _limits(matrix: Matrix) -> tuple[float, float]:
    known = [value for row in matrix for value in row if value is not None]
    if not known:
        return (0.0, 1.0)
    low, high = (round(float(edge), 4) for edge in np.percentile(known, (2.0, 98.0)))
    return (low, high) if high - low > 1e-6 else (low - 0.005, high + 0.005)


def _cells(matrix: Matrix, look: Look, limits: tuple[float, float], shown: Shown) -> go.Heatmap:
    low, high = limits
    gap = 1 if matrix and len(matrix[0]) <= 64 else 0
    words = (look.t("near"), look.t("far"))
    return go.Heatmap(
        z=[list(row) for row in matrix],
        zmin=low,
        zmax=high,
        colorscale=steps(RAMP[::-1]),
        xgap=gap,
        ygap=gap,
        hoverinfo="skip",
        colorbar={
            "orientation": "h",
            "thickness": 10,
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            "ypad": 4,
            "outlinecolor": look.palette.text,
            "outlinewidth": 1,
            "tickvals": [low, (low + high) / 2, high],
            "ticktext": [f"{low:.2f} {words[0]}", f"{(low + high) / 2:.2f}", f"{high:.2f} {words[1]}"],
            "tickfont": {"color": look.palette.quiet, "size": 12},
            "ticks": "",
            "len": 0.9,
        },
    )


def _click_targets(trace: TokenTrace, matrix: Matrix, names: list[str], look: Look, shown: Shown) -> go.Scatter:
    """Transparent squares over the cells: Plotly reports clicks on points, not on heatmap cells."""
    places = [(row, column) for row in range(len(matrix)) for column in range(len(matrix[row]))]
    positions = [position_name(position, look) for position in range(len(matrix[0]) if matrix else 0)]
    unit = look.t("deviation") if shown == "deviation" else look.t("loss (nats per token)")
    undefined = look.t("not defined here")

    def hover(row: int, column: int) -> str:
        value = matrix[row][column]
        lines = [f"<b>{names[row]}</b>, {positions[column]}", undefined if value is None else f"{unit} {value:.3f}"]
        if trace.top_words and trace.top_words[row]:
            lines.append(look.t("the head would say: {word}", word=escaped(visible(trace.top_words[row][column]))))
        return "<br>".join(lines)

    return go.Scatter(
        x=[column for _, column in places],
        y=[row for row, _ in places],
        mode="markers",
        marker={
            "symbol": "square",
            "size": max(5, min(_ROW, 700 // max(len(positions), 1))),
            "color": "rgba(0,0,0,0)",
            "line": {"width": 0},
        },
        customdata=[list(place) for place in places],
        text=[hover(row, column) for row, column in places],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _axes(figure: go.Figure, look: Look, n: int, names: list[str]) -> None:
    every = 1 if n <= 7 else 5 if n <= 25 else 10  # labels stay apart on a phone
    places = [0, *(position for position in range(1, n) if (n - 1 - position) % every == 0 and position > every / 2)]
    frame = {"showline": True, "mirror": True, "linewidth": 1, "linecolor": look.palette.text}
    figure.update_xaxes(
        range=[-0.5, n - 0.5],
        tickvals=places,
        ticktext=[position_name(position, look) for position in places],
        tickangle=0,
        ticks="outside",
        title={"text": look.t("position in the model; layers are counted from 0"), "standoff": 6},
        **frame,
    )
    figure.update_yaxes(range=[max(len(names), 1) - 0.5, -0.5], tickvals=list(range(len(names))), ticktext=names, ticks="", **frame)
    figure.update_layout(margin={"b": 96})
