"""What opens when a cell or a bar is clicked: the curves of two positions, and the prompts a layer changes most and least."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.contracts import Matrix, Scores
from analysis.reporting.charts.heatmap import MEASURES, position_name
from analysis.reporting.charts.palette import FONT, Look, dressed

_MEASURES = ("cosine_similarity", "angular_distance", "linear_cka")


def pair_curves(scores: Scores, i: int, j: int | None, look: Look) -> go.Figure:
    """How alike position i (and j, dashed) is to every position, one panel for each measure."""
    shown = [(name, matrix) for name in _MEASURES if (matrix := _matrix(scores, name)) is not None]
    figure = make_subplots(
        rows=1, cols=len(shown), horizontal_spacing=0.07, subplot_titles=[look.t(MEASURES[name].title) for name, _ in shown]
    )
    chosen = [i] if j is None or j == i else [i, j]
    for column, (name, matrix) in enumerate(shown, start=1):
        for place, position in enumerate(chosen):
            figure.add_trace(_curve(matrix, position, place, look, name, column == 1), row=1, col=column)
    dressed(figure, look, height=300)
    n = len(scores.cosine_similarity)
    figure.update_annotations(font={"family": FONT, "size": 13, "color": look.palette.text})
    figure.update_layout(showlegend=True, legend={"y": -0.2, "yanchor": "top"}, margin={"t": 32, "b": 64})
    figure.update_yaxes(showgrid=True, gridcolor=look.palette.grid, nticks=5)
    figure.update_xaxes(tickvals=[0, n - 1], ticktext=[position_name(0, look), position_name(n - 1, look)], ticks="outside", showline=True)
    for mark in chosen:
        figure.add_vline(x=mark, line={"color": look.palette.quiet, "width": 1, "dash": "dot"})
    return figure


def pair_rows(scores: Scores, i: int, j: int | None, look: Look) -> list[dict[str, object]]:
    """The curves as a table: one row a position."""
    t = look.t
    rows = []
    for position in range(len(scores.cosine_similarity)):
        row: dict[str, object] = {t("position"): position_name(position, look)}
        for name in _MEASURES:
            matrix = _matrix(scores, name)
            for of in dict.fromkeys((i, i if j is None else j)):
                label = t("{measure} to {position}", measure=t(MEASURES[name].title), position=position_name(of, look))
                row[label] = matrix[of][position] if matrix else None
        rows.append(row)
    return rows


def _matrix(scores: Scores, name: str) -> Matrix | None:
    found: Matrix | None = getattr(scores, name)
    return found


def _curve(matrix: Matrix, position: int, place: int, look: Look, name: str, in_legend: bool) -> go.Scatter:
    said = position_name(position, look)
    row = matrix[position]
    return go.Scatter(
        x=list(range(len(row))),
        y=list(row),
        mode="lines+markers",
        line={"color": look.palette.text, "width": 1.8, "dash": "solid" if place == 0 else "dash"},
        marker={"size": 4, "symbol": "circle" if place == 0 else "square-open", "color": look.palette.text},
        connectgaps=False,
        name=said,
        legendgroup=said,
        showlegend=in_legend,
        text=[
            f"<b>{look.t('{a} and {b}', a=position_name(position, look), b=position_name(other, look))}</b><br>"
            + (look.t(MEASURES[name].undefined) if value is None else f"{look.t(MEASURES[name].title)} {value:.3f}")
            for other, value in enumerate(row)
        ],
        hovertemplate="%{text}<extra></extra>",
    )
