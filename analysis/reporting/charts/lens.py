"""What the model's own head would say at every position: how often rightly, and how unsure it would be."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.contracts import Semantics, Series
from analysis.reporting.charts.boundary import draw_background, mark_boundary, position_axes, scores_of
from analysis.reporting.charts.heatmap import position_name
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.series import reach


def lens(semantics: Semantics, look: Look, *, slice_name: str | None = None, eof_layer: int | None = None, height: int = 420) -> go.Figure:
    """How often the model's own head would already say the right word at every position, and how unsure it would be."""
    t, n = look.t, semantics.n_blocks + 1
    found = scores_of(semantics, slice_name).lens
    shares: Series = tuple(None if value is None else 100 * value for value in found.top1) if found else (None,) * n
    entropy: Series = found.entropy if found else (None,) * n
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09)
    for row, (values, title) in enumerate(((shares, t("right word first (%)")), (entropy, t("uncertainty (nats)"))), start=1):
        low, high = (0.0, max(5.0, reach(values)[1])) if row == 1 else (0.0, max(0.1, reach(values)[1]))
        draw_background(figure, row, [values], look, eof_layer, (low, high))
        figure.add_trace(_plain_line(values, look, title), row=row, col=1)
        figure.update_yaxes(title={"text": title}, range=[low, high], row=row, col=1)
    tokens = t("{n} response tokens", n=found.n_tokens) if found else t("not measured: no response token went through the output head")
    dressed(figure, look, height=height, title=t("What the model's own head would say (logit lens)"), subtitle=tokens)
    figure.update_yaxes(showgrid=True, gridcolor=look.palette.grid, nticks=4)
    position_axes(figure, look, n, rows=2)
    figure.update_layout(margin={"t": 84 if eof_layer is not None else 58, "b": 56})
    if eof_layer is not None:
        mark_boundary(figure, look, eof_layer, semantics.n_blocks, at=eof_layer + 1.5)
    return figure


def lens_alt(semantics: Semantics, look: Look) -> str:
    """What the chart shows, in one sentence."""
    found = semantics.overall.lens
    if found is None or not [value for value in found.top1 if value is not None]:
        return look.t("Chart of the logit lens; it was not measured here.")
    last = next(value for value in reversed(found.top1) if value is not None)
    return look.t(
        "Chart: how often the right word comes first at every position, {share}% at the end, and how unsure the head would be.",
        share=round(100 * last),
    )


def lens_rows(semantics: Semantics, look: Look, *, slice_name: str | None = None) -> list[dict[str, object]]:
    """The lens as a table: one row a position."""
    t, found = look.t, scores_of(semantics, slice_name).lens
    if found is None:
        return []
    return [
        {
            t("position"): position_name(position, look),
            t("right word first (%)"): None if top1 is None else round(100 * top1, 2),
            t("mean of 1 / rank"): rank,
            t("uncertainty (nats)"): entropy,
            t("loss (nats per token)"): loss,
        }
        for position, (top1, rank, entropy, loss) in enumerate(
            zip(found.top1, found.reciprocal_rank, found.entropy, found.loss, strict=True)
        )
    ]


def _plain_line(values: Series, look: Look, title: str) -> go.Scatter:
    colour = look.palette.text
    return go.Scatter(
        x=list(range(len(values))),
        y=list(values),
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 5, "color": colour},
        connectgaps=False,
        customdata=[[position] for position in range(len(values))],
        text=[
            f"<b>{position_name(position, look)}</b><br>{title} {'-' if value is None else f'{value:.2f}'}"
            for position, value in enumerate(values)
        ],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
