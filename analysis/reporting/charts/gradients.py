"""How much training would pull on each layer to begin with, as bars."""

from __future__ import annotations

import plotly.graph_objects as go

from analysis.contracts import Semantics
from analysis.reporting.charts.boundary import layer_axis
from analysis.reporting.charts.palette import Look, dressed, hatched
from analysis.reporting.charts.series import box


def gradient_bars(semantics: Semantics, look: Look, *, height: int = 260) -> go.Figure:
    """Mean gradient of one weight in every layer, as a share of the largest; a click carries ``customdata [layer]``."""
    t, shares, n = look.t, _shares(semantics), semantics.n_blocks
    colour = look.palette.operations["kept"]
    figure = go.Figure(
        go.Bar(
            x=list(range(n)),
            y=[100 * (share or 0.0) for share in shares],
            marker={"color": colour, "line": {"color": colour, "width": 1}},
            customdata=[[block] for block in range(n)],
            text=[_hover(block, share, look) for block, share in enumerate(shares)],
            textposition="none",
            hovertemplate="%{text}<extra></extra>",
        )
    )
    outlines = [box(block - 0.5, block + 0.5, 0, 105) for block, share in enumerate(shares) if share is None]
    if outlines:
        figure.add_trace(hatched([x for xs, _ in outlines for x in xs], [y for _, ys in outlines for y in ys], look))
    dressed(figure, look, height=height, title=t("Gradient of a weight, by layer"), subtitle=t("mean size, share of the largest"))
    figure.update_xaxes(layer_axis(n, look), title={"text": t("layer, counted from 0"), "standoff": 6}, range=[-0.7, n - 0.3])
    figure.update_yaxes(title={"text": "%"}, range=[0, 105], showgrid=True, gridcolor=look.palette.grid, nticks=5)
    figure.update_layout(bargap=0.25)
    return figure


def gradient_alt(semantics: Semantics, look: Look) -> str:
    """What the chart shows, in one sentence."""
    known = [(share, block) for block, share in enumerate(_shares(semantics)) if share is not None]
    if not known:
        return look.t("Bars: how much training pulls on each layer; nothing was measured.")
    return look.t(
        "Bars: how much training pulls on each of {n} layers; most on layer {most}, least on layer {least}.",
        n=semantics.n_blocks,
        most=max(known)[1],
        least=min(known)[1],
    )


def _shares(semantics: Semantics) -> list[float | None]:
    """Each layer's gradient as a share of the largest; None: not measured there."""
    found = semantics.gradients.per_parameter if semantics.gradients else (None,) * semantics.n_blocks
    largest = max((value for value in found if value is not None), default=0.0)
    return [None if value is None or not largest else value / largest for value in found]


def _hover(block: int, share: float | None, look: Look) -> str:
    t = look.t
    said = t("not measured") if share is None else t("{share}% of the largest", share=round(100 * share))
    return f"<b>{t('layer {layer}', layer=block)}</b><br>{said}"
