"""Heatmaps of all pairs of positions, clickable, with undefined cells hatched and the range said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from analysis.contracts import Matrix
from analysis.i18n import N_
from analysis.reporting.charts.palette import DIVERGING, RAMP, Look, cell_outline, dressed, hatched, steps
from analysis.reporting.charts.text import escaped

Range = tuple[float, float]
_Hover = Callable[[int, int], str]
FULL_RANGE: Range = (0.0, 1.0)


@dataclass(frozen=True)
class Measure:
    """A measure of how alike two positions are. `field` is its name in Scores; `high_is_alike` says which end is light."""

    field: str
    title: str
    high_is_alike: bool
    undefined: str = N_("not defined: too few tokens for this pair")


MEASURES: Mapping[str, Measure] = {
    measure.field: measure
    for measure in (
        Measure("cosine_similarity", N_("Cosine similarity"), True),
        Measure("angular_distance", N_("Angular distance"), False),
        Measure("angular_distance_last_token", N_("Angular distance, last token"), False),
        Measure("linear_cka", N_("CKA, unbiased"), True, N_("not defined: too few tokens for an unbiased CKA of this pair")),
    )
}


def position_name(position: int, look: Look) -> str:
    """What a residual position is called: "in", "after 0", ..."""
    return look.t("in") if position == 0 else look.t("after {block}", block=position - 1)


def robust_range(matrices: Sequence[Matrix], *, low: float = 2.0, high: float = 98.0) -> Range:
    """The range that holds the middle 96 % of all cells off the diagonal, over all the matrices that are compared."""
    cells = [cell for matrix in matrices for i, row in enumerate(matrix) for j, cell in enumerate(row) if cell is not None and i != j]
    if not cells:
        return FULL_RANGE
    bottom, top = (float(edge) for edge in np.percentile(cells, (low, high)))
    bottom, top = round(bottom, 4) + 0.0, round(top, 4) + 0.0
    return (bottom, top) if top - bottom > 1e-6 else (bottom - 0.005, top + 0.005)


def heatmap(
    matrix: Matrix, measure: Measure, look: Look, *, shown_range: Range | None = None, selected: tuple[int, int] | None = None
) -> go.Figure:
    """All pairs of positions, light = alike; a click carries ``customdata [i, j]``.

    Args:
        matrix: [P][P] values; None is hatched with the reason on hover.
        measure: what the values are, from MEASURES.
        look: language and theme.
        shown_range: shared between slices that are compared; None: this matrix's own robust range. FULL_RANGE for 0 to 1.
        selected: the pair that is open, outlined.
    """
    low, high = shown_range or robust_range([matrix])
    colours = RAMP if measure.high_is_alike else RAMP[::-1]
    t = look.t
    title = (t(measure.title), t("colours from {low} to {high}", low=_two(low), high=_two(high)))
    ends = (t("different"), t("alike")) if measure.high_is_alike else (t("alike"), t("different"))
    figure = _cells(matrix, look, steps(colours), (low, high), ends)
    return _finished(figure, matrix, look, title, selected, _hovers(matrix, measure, look))


def difference_heatmap(
    a: Matrix, b: Matrix, measure: Measure, look: Look, *, names: tuple[str, str], limit: float | None = None
) -> go.Figure:
    """Slice `a` minus slice `b` for all pairs of positions, centred on zero; `limit` is shared where several are compared."""
    difference = subtract(a, b)
    t = look.t
    reach = limit or max(abs(edge) for edge in robust_range([difference]))
    title = (
        t("{measure}: {a} minus {b}", measure=t(measure.title), a=escaped(names[0]), b=escaped(names[1])),
        t("colours from {low} to {high}", low=f"{-reach:.2f}", high=f"+{reach:.2f}"),
    )
    figure = _cells(difference, look, steps(DIVERGING), (-reach, reach), None)
    return _finished(figure, difference, look, title, None, _hovers(difference, measure, look, signed=True))


def subtract(a: Matrix, b: Matrix) -> Matrix:
    """Cell by cell a - b; undefined where either is."""
    return tuple(
        tuple(None if x is None or y is None else x - y for x, y in zip(row, other, strict=True)) for row, other in zip(a, b, strict=True)
    )


def heatmap_rows(matrix: Matrix, measure: Measure, look: Look) -> list[dict[str, object]]:
    """The matrix as a table: one row a position, one column a position."""
    names = [position_name(position, look) for position in range(len(matrix))]
    return [{look.t(measure.title): name, **dict(zip(names, row, strict=True))} for name, row in zip(names, matrix, strict=True)]


def _cells(matrix: Matrix, look: Look, scale: list[tuple[float, str]], limits: Range, ends: tuple[str, str] | None) -> go.Figure:
    low, high = limits
    gap = 1 if len(matrix) <= 64 else 0  # cells of five pixels would drown in their own gaps
    ticks = [low, (low + high) / 2, high]
    texts = [f"{_two(low)} {ends[0]}", _two(ticks[1]), f"{_two(high)} {ends[1]}"] if ends else [f"{low:.2f}", "0", f"+{high:.2f}"]
    return go.Figure(
        go.Heatmap(
            z=[list(row) for row in matrix],
            zmin=low,
            zmax=high,
            colorscale=scale,
            xgap=gap,
            ygap=gap,
            hoverinfo="skip",
            colorbar={
                "orientation": "h",
                "thickness": 10,
                "y": -0.14,
                "yanchor": "top",
                "outlinecolor": look.palette.text,
                "outlinewidth": 1,
                "tickvals": ticks,
                "ticktext": texts,
                "tickfont": {"color": look.palette.quiet, "size": 12},
                "ticks": "",
                "len": 0.9,
            },
        )
    )


def _finished(
    figure: go.Figure,
    matrix: Matrix,
    look: Look,
    title: tuple[str, str],
    selected: tuple[int, int] | None,
    hover: Callable[[int, int], str],
) -> go.Figure:
    n = len(matrix)
    holes = [(i, j) for i, row in enumerate(matrix) for j, cell in enumerate(row) if cell is None]
    if holes:
        outlines = [cell_outline(j, i, 0.46) for i, j in holes]
        figure.add_trace(hatched([x for xs, _ in outlines for x in xs], [y for _, ys in outlines for y in ys], look))
    figure.add_trace(_click_targets(n, hover))
    if selected is not None:
        i, j = selected
        for x, y in {(j, i), (i, j)}:
            figure.add_shape(type="rect", x0=x - 0.5, x1=x + 0.5, y0=y - 0.5, y1=y + 0.5, line={"color": look.palette.text, "width": 3})
    dressed(figure, look, height=580, title=title[0], subtitle=title[1])
    fine = 1 if n <= 13 else 5 if n <= 50 else 10
    words = {"text": look.t("position in the model; layers are counted from 0"), "standoff": 8}
    figure.update_xaxes(**_axis_marks(n, look, 3 if n <= 13 else 2 * fine), title=words, constrain="domain")
    figure.update_yaxes(
        **_axis_marks(n, look, fine), autorange=False, range=[n - 0.5, -0.5], scaleanchor="x", constrain="domain", constraintoward="top"
    )
    figure.update_xaxes(range=[-0.5, n - 0.5])
    return figure


def _click_targets(n: int, hover: Callable[[int, int], str]) -> go.Scatter:
    """Transparent squares over the cells: Plotly reports clicks on points, not on heatmap cells."""
    pairs = [(i, j) for i in range(n) for j in range(n)]
    return go.Scatter(
        x=[j for _, j in pairs],
        y=[i for i, _ in pairs],
        mode="markers",
        marker={"symbol": "square", "size": max(4, 420 // n), "color": "rgba(0,0,0,0)", "line": {"width": 0}},
        customdata=[list(pair) for pair in pairs],
        text=[hover(i, j) for i, j in pairs],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _axis_marks(n: int, look: Look, every: int) -> dict[str, object]:
    """Ticks at "in", every so many positions counted back from the last one, all unturned."""
    places = [0, *(position for position in range(1, n) if (n - 1 - position) % every == 0 and position > every / 3)]
    return {
        "tickvals": places,
        "ticktext": [position_name(position, look) for position in places],
        "tickangle": 0,
        "showline": True,
        "mirror": True,
        "linewidth": 1,
        "linecolor": look.palette.text,
        "ticks": "outside",
        "ticklen": 4,
    }


def _hovers(matrix: Matrix, measure: Measure, look: Look, *, signed: bool = False) -> _Hover:
    """What each cell says; everything that is the same for all cells is translated once."""
    t = look.t
    names = [position_name(position, look) for position in range(len(matrix))]
    title, undefined, pair = t(measure.title), t(measure.undefined), t("{a} and {b}", a="\x00", b="\x01")
    figure = "+.3f" if signed else ".3f"

    def hover(i: int, j: int) -> str:
        value = matrix[i][j]
        said = undefined if value is None else f"{title} {value:{figure}}"
        return f"<b>{pair.replace(chr(0), names[i]).replace(chr(1), names[j])}</b><br>{said}"

    return hover


def _two(value: float) -> str:
    """Two decimals, and never a minus before zero."""
    return f"{round(value, 2) + 0.0:.2f}"
