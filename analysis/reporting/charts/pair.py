"""What opens when a cell or a bar is clicked: the curves of two positions, and the prompts a layer changes most and least."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.contracts import ExampleScore, Matrix, Scores
from analysis.reporting.charts.heatmap import MEASURES, position_name
from analysis.reporting.charts.palette import FONT, Look, dressed
from analysis.reporting.charts.text import escaped

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


def extreme_examples(examples: Sequence[ExampleScore], block: int, n: int = 5) -> tuple[tuple[ExampleScore, ...], tuple[ExampleScore, ...]]:
    """The n prompts a layer changes most (largest first) and the n it changes least (smallest first), never the same one twice."""
    known = sorted(
        (one for one in examples if one.block_influence[block] is not None), key=lambda one: (one.block_influence[block], one.example_id)
    )
    half = min(n, len(known) // 2 + len(known) % 2)
    most = tuple(reversed(known[len(known) - half :])) if known else ()
    return most, tuple(known[: min(n, len(known) - len(most))])


def example_dots(examples: Sequence[ExampleScore], block: int, look: Look, *, n: int = 5) -> go.Figure:
    """The prompts that a layer changes most and least, as dots on one axis; a point carries ``customdata [example id]``."""
    t = look.t
    most, least = extreme_examples(examples, block, n)
    shown = (*most, *reversed(least))
    places = [place + (0.6 if place >= len(most) else 0.0) for place in range(len(shown))]
    figure = go.Figure(
        go.Scatter(
            x=[one.block_influence[block] for one in shown],
            y=places,
            mode="markers",
            marker={"size": 9, "color": look.palette.text, "symbol": ["diamond" if one.critical else "circle" for one in shown]},
            customdata=[[one.example_id] for one in shown],
            text=[_example_hover(one, block, look) for one in shown],
            hovertemplate="%{text}<extra></extra>",
            showlegend=False,
        )
    )
    dressed(figure, look, height=max(180, 96 + 24 * len(shown)), title=t("Prompts that layer {block} changes most and least", block=block))
    figure.update_yaxes(
        range=[len(shown) + 0.3, -0.7],
        tickvals=places,
        ticktext=[_short(one) for one in shown],
        ticks="",
        showline=False,
        showgrid=True,
        gridcolor=look.palette.grid,
    )
    figure.update_xaxes(
        title={"text": t("Block Influence of this layer on the prompt"), "standoff": 6}, rangemode="tozero", showline=True, ticks="outside"
    )
    return figure


def example_rows(examples: Sequence[ExampleScore], block: int, look: Look) -> list[dict[str, object]]:
    """Every prompt's influence at the layer, most first."""
    t = look.t
    ordered = sorted(examples, key=lambda one: -(one.block_influence[block] or 0.0))
    return [
        {
            t("prompt"): one.example_id,
            t("slice"): one.slice,
            t("tokens"): one.n_tokens,
            t("critical"): one.critical,
            t("Block Influence at layer {block}", block=block): one.block_influence[block],
            t("begins with"): one.excerpt,
        }
        for one in ordered
    ]


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


def _short(one: ExampleScore, width: int = 34) -> str:
    text = one.excerpt or one.example_id
    wide = sum(2 if ord(sign) > 0x2E80 else 1 for sign in text)
    if wide <= width:
        return escaped(text)
    kept, used = "", 0
    for sign in text:
        used += 2 if ord(sign) > 0x2E80 else 1
        if used > width - 1:
            break
        kept += sign
    return escaped(kept.rstrip()) + "…"


def _example_hover(one: ExampleScore, block: int, look: Look) -> str:
    t = look.t
    lines = [f"<b>{escaped(one.slice)}</b> {escaped(one.example_id)}", f"{t('Block Influence')} {one.block_influence[block]:.3f}"]
    lines.append(t("{n} tokens", n=one.n_tokens))
    if one.critical:
        lines.append(t("critical case"))
    return "<br>".join([*lines, escaped(one.excerpt)])
