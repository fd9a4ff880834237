"""How much the measures agree with one another: rank correlation of every pair, light = alike; the odd voice is marked."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from analysis.contracts import Matrix
from analysis.reporting.charts.palette import RAMP, Look, cell_outline, dressed, hatched, steps
from analysis.reporting.charts.text import escaped

_ROW = 27


def agreement_matrix(titles: Sequence[str], matrix: Matrix, look: Look, *, odd: int | None = None) -> go.Figure:
    """Spearman's rank correlation of every two voters, numbered on both sides so that no name has to be turned.

    Args:
        titles: the voters' short names, already in the language.
        matrix: [V][V]; None: not defined, hatched.
        look: language and theme.
        odd: the voter that agrees least with the others, outlined.
    """
    t, n = look.t, len(titles)
    known = [cell for i, row in enumerate(matrix) for j, cell in enumerate(row) if cell is not None and i != j]
    low = min([0.0, *known])
    figure = go.Figure(
        go.Heatmap(
            z=[list(row) for row in matrix],
            text=[["" if cell is None or i == j else f"{cell:.2f}" for j, cell in enumerate(row)] for i, row in enumerate(matrix)],
            texttemplate="%{text}" if n <= 16 else None,
            zmin=low,
            zmax=1.0,
            colorscale=steps(RAMP),
            xgap=1,
            ygap=1,
            hoverinfo="skip",
            colorbar={
                "orientation": "h",
                "thickness": 10,
                "len": 0.8,
                "y": 0,
                "yref": "container",
                "yanchor": "bottom",
                "outlinecolor": look.palette.text,
                "outlinewidth": 1,
                "tickvals": [low, 1.0],
                "ticktext": [t("{value} order unalike", value=f"{low:.1f}"), t("1 same order")],
                "tickfont": {"color": look.palette.quiet, "size": 12},
                "ticks": "",
            },
        )
    )
    holes = [cell_outline(j, i, 0.46) for i, row in enumerate(matrix) for j, cell in enumerate(row) if cell is None]
    if holes:
        figure.add_trace(hatched([x for xs, _ in holes for x in xs], [y for _, ys in holes for y in ys], look))
    figure.add_trace(_hovers(titles, matrix, look))
    if odd is not None:
        edge = {"color": look.palette.text, "width": 2.5}
        figure.add_shape(type="rect", x0=-0.5, x1=n - 0.5, y0=odd - 0.5, y1=odd + 0.5, line=edge)
    dressed(figure, look, height=n * _ROW + 112)
    marks = {"tickvals": list(range(n)), "ticks": "", "showline": False, "tickfont": {"color": look.palette.text, "size": 12}}
    figure.update_xaxes(**marks, range=[-0.5, n - 0.5], side="top", ticktext=[str(place + 1) for place in range(n)], tickangle=0)
    figure.update_yaxes(
        **marks, range=[n - 0.5, -0.5], ticktext=[f"{escaped(title)}  {place}" for place, title in enumerate(titles, start=1)]
    )
    figure.update_layout(margin={"l": 8, "r": 8, "t": 28, "b": 56})
    return figure


def agreement_rows(titles: Sequence[str], matrix: Matrix, look: Look) -> list[dict[str, object]]:
    """The matrix as a table: one row and one column a voter."""
    return [{look.t("measure"): title, **dict(zip(titles, row, strict=True))} for title, row in zip(titles, matrix, strict=True)]


def _hovers(titles: Sequence[str], matrix: Matrix, look: Look) -> go.Scatter:
    """What each cell says, on squares that are not seen."""
    t = look.t
    cells = [(i, j, cell) for i, row in enumerate(matrix) for j, cell in enumerate(row)]
    undefined, said = t("not defined: they have too few layers in common"), t("rank correlation {value}", value="\x00")
    return go.Scatter(
        x=[j for _, j, _ in cells],
        y=[i for i, _, _ in cells],
        mode="markers",
        marker={"symbol": "square", "size": 22, "color": "rgba(0,0,0,0)", "line": {"width": 0}},
        text=[
            f"<b>{escaped(titles[i])} · {escaped(titles[j])}</b><br>{undefined if cell is None else said.replace(chr(0), f'{cell:.2f}')}"
            for i, j, cell in cells
        ],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
