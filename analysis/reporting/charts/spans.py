"""The triangle of spans: how far each run of layers turns the tokens, by where it starts and how long it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import plotly.graph_objects as go

from analysis.contracts import Matrix
from analysis.reporting.charts.heatmap import Range, robust_range
from analysis.reporting.charts.palette import RAMP, Look, cell_outline, dressed, hatched, steps


def span_triangle(
    distances: Matrix, look: Look, *, last_token: bool = False, shown_range: Range | None = None, selected: tuple[int, int] | None = None
) -> go.Figure:
    """Angular distance of every span, the most similar one of each length outlined; a click carries ``customdata [start, n]``.

    Args:
        distances: [P][P] angular distance; a span (start, n) stands at [start][start + n].
        look: language and theme.
        last_token: whether the distances are over each prompt's last token (as published) or over all tokens.
        shown_range: the range of the colours; None: robust.
        selected: the span (start, n) that is open.
    """
    n_blocks, t = len(distances) - 1, look.t
    low, high = shown_range or robust_range([distances])
    grid = [[distances[start][start + n] if start + n <= n_blocks else None for start in range(n_blocks)] for n in range(1, n_blocks + 1)]
    figure = go.Figure(_cells(grid, look, (low, high)))
    holes = [(start, n) for start, n in _spans(n_blocks) if distances[start][start + n] is None]
    if holes:
        figure.add_trace(hatched(*_outlines(holes, 0.46), look))
    best = [(row.start, row.n) for row in best_of_each_length(distances)]
    x, y = _outlines(best, 0.5)
    figure.add_trace(go.Scatter(x=x, y=y, mode="lines", line={"color": look.palette.text, "width": 2}, hoverinfo="skip", showlegend=False))
    figure.add_trace(_click_targets(distances, look))
    if selected is not None:
        start, n = selected
        figure.add_shape(
            type="circle", x0=start - 0.3, x1=start + 0.3, y0=n - 0.3, y1=n + 0.3, line={"color": look.palette.text, "width": 2.5}
        )
    title = t("Angular distance of runs of layers, last token") if last_token else t("Angular distance of runs of layers, all tokens")
    dressed(figure, look, height=500, title=title, subtitle=t("outlined: the most similar run of each length"))
    figure.update_xaxes(
        title={"text": t("first layer of the run, counted from 0"), "standoff": 6}, range=[-0.7, n_blocks - 0.3], ticks="outside"
    )
    figure.update_yaxes(title={"text": t("layers in the run")}, range=[0.3, n_blocks + 0.7], ticks="outside")
    return figure


@dataclass(frozen=True)
class BestSpan:
    """The most similar run of `n` layers, from layer `start`."""

    start: int
    n: int
    distance: float


def best_of_each_length(distances: Matrix) -> tuple[BestSpan, ...]:
    """For each length the run with the smallest defined distance (Gromov et al., arXiv 2403.17887)."""
    n_blocks = len(distances) - 1
    found = []
    for n in range(1, n_blocks + 1):
        known = [(distance, start) for start in range(n_blocks - n + 1) if (distance := distances[start][start + n]) is not None]
        if known:
            distance, start = min(known)
            found.append(BestSpan(start, n, distance))
    return tuple(found)


def span_rows(distances: Matrix, look: Look) -> list[dict[str, object]]:
    """Every span as a row: first layer, last layer, length, distance, whether it is the best of its length."""
    t, best = look.t, {(span.start, span.n) for span in best_of_each_length(distances)}
    return [
        {
            t("first layer"): start,
            t("last layer"): start + n - 1,
            t("layers in the run"): n,
            t("Angular distance"): distances[start][start + n],
            t("most similar of this length"): (start, n) in best,
        }
        for start, n in _spans(len(distances) - 1)
    ]


def _spans(n_blocks: int) -> list[tuple[int, int]]:
    return [(start, n) for n in range(1, n_blocks + 1) for start in range(n_blocks - n + 1)]


def _outlines(spans: list[tuple[int, int]], half: float) -> tuple[list[float | None], list[float | None]]:
    squares = [cell_outline(start, n, half) for start, n in spans]
    return [x for xs, _ in squares for x in xs], [y for _, ys in squares for y in ys]


def _cells(grid: list[list[float | None]], look: Look, limits: Range) -> go.Heatmap:
    low, high = limits
    return go.Heatmap(
        z=grid,
        x=list(range(len(grid))),
        y=list(range(1, len(grid) + 1)),
        zmin=low,
        zmax=high,
        colorscale=steps(RAMP[::-1]),
        xgap=1,
        ygap=1,
        hoverinfo="skip",
        colorbar={
            "orientation": "h",
            "thickness": 10,
            "y": -0.17,
            "yanchor": "top",
            "len": 0.9,
            "outlinecolor": look.palette.text,
            "outlinewidth": 1,
            "tickvals": [low, high],
            "ticktext": [f"{low:.2f} {look.t('alike')}", f"{high:.2f} {look.t('different')}"],
            "tickfont": {"color": look.palette.quiet, "size": 12},
            "ticks": "",
        },
    )


def _click_targets(distances: Matrix, look: Look) -> go.Scatter:
    n_blocks, hover = len(distances) - 1, _hovers(distances, look)
    spans = _spans(n_blocks)
    return go.Scatter(
        x=[start for start, _ in spans],
        y=[n for _, n in spans],
        mode="markers",
        marker={"symbol": "square", "size": max(4, 360 // n_blocks), "color": "rgba(0,0,0,0)"},
        customdata=[[start, n] for start, n in spans],
        text=[hover(start, n) for start, n in spans],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _hovers(distances: Matrix, look: Look) -> Callable[[int, int], str]:
    """What each span says; everything that is the same for all of them is translated once."""
    t = look.t
    run, one = t("layers {first} to {last} (counted from 0)", first="\x00", last="\x01"), t("layer {block} (counted from 0)", block="\x00")
    title, undefined = t("Angular distance"), t("not defined: too few tokens for this pair")

    def hover(start: int, n: int) -> str:
        value = distances[start][start + n]
        head = (run if n > 1 else one).replace(chr(0), str(start)).replace(chr(1), str(start + n - 1))
        return f"<b>{head}</b><br>{undefined if value is None else f'{title} {value:.3f}'}"

    return hover
