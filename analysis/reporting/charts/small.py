"""Small charts: how many prompts are enough, lengths, slices, and what a plan saves."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from analysis.contracts import Projection, Quantity, RankStability
from analysis.i18n.numbers import number
from analysis.planning.compare import QUANTITIES
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.text import escaped


def stability_curve(stability: Sequence[RankStability], look: Look) -> go.Figure:
    """How well the order of the layers from n prompts agrees with the order from all: median, and 5th percentile as a band."""
    t, colour = look.t, look.palette.text
    xs = [one.n_examples for one in stability]
    low, median = [one.spearman_low for one in stability], [one.spearman_median for one in stability]
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=xs, y=low, mode="lines", line={"color": look.palette.quiet, "width": 1, "dash": "dot"}, hoverinfo="skip", showlegend=False
        )
    )
    band = {"fill": "tonexty", "fillcolor": look.palette.grid}
    figure.add_trace(
        go.Scatter(
            x=xs,
            y=median,
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"size": 6, "color": colour},
            text=[_stability_hover(one, look) for one in stability],
            hovertemplate="%{text}<extra></extra>",
            showlegend=False,
            **band,
        )
    )
    dressed(figure, look, height=260, title=t("How many prompts are enough"), subtitle=t("agreement with the order from all prompts"))
    figure.update_yaxes(
        range=[min(0.0, *low, 0.0) if low else 0.0, 1.03], showgrid=True, gridcolor=look.palette.grid, title={"text": t("rank correlation")}
    )
    figure.update_xaxes(
        title={"text": t("prompts used; solid: median, dotted: worst 5%"), "standoff": 6},
        rangemode="tozero",
        ticks="outside",
        showline=True,
    )
    return figure


def stability_rows(stability: Sequence[RankStability], look: Look) -> list[dict[str, object]]:
    """The curve as a table."""
    t = look.t
    return [
        {
            t("prompts"): one.n_examples,
            t("rank correlation, median"): one.spearman_median,
            t("rank correlation, worst 5%"): one.spearman_low,
            t("least influential fifth found again"): one.top_overlap,
        }
        for one in stability
    ]


def length_histogram(lengths: Sequence[int], look: Look, *, max_tokens: int | None = None) -> go.Figure:
    """How long the prompts are in tokens; the limit at which longer ones are cut as a line."""
    t = look.t
    counts, edges = length_bins(lengths)
    texts = [
        t("{low} to {high} tokens: {n} prompts", low=int(low), high=int(high) - 1, n=int(count))
        for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
    ]
    figure = go.Figure(
        go.Bar(
            x=[(low + high) / 2 for low, high in itertools.pairwise(edges)],
            y=counts,
            width=[high - low for low, high in itertools.pairwise(edges)],
            marker={"color": look.palette.operations["kept"], "line": {"color": look.palette.page, "width": 1.5}},
            text=texts,
            textposition="none",
            hovertemplate="%{text}<extra></extra>",
        )
    )
    dressed(figure, look, height=220, title=t("Length of the prompts"))
    figure.update_xaxes(title={"text": t("tokens"), "standoff": 6}, rangemode="tozero", showline=True, ticks="outside")
    figure.update_yaxes(title={"text": t("prompts")}, showgrid=True, gridcolor=look.palette.grid, nticks=4)
    if max_tokens is not None and lengths and max(lengths) >= max_tokens:
        figure.add_vline(
            x=max_tokens,
            line={"color": look.palette.text, "dash": "dash", "width": 1.5},
            annotation={"text": t("cut here"), "xanchor": "right"},
        )
    return figure


def length_bins(lengths: Sequence[int], n_bins: int = 20) -> tuple[list[int], list[int]]:
    """Counts and whole-numbered edges of at most `n_bins` equal bins from 0."""
    if not lengths:
        return [], [0]
    step = max(1, -(-(max(lengths) + 1) // n_bins))
    edges = list(range(0, max(lengths) + 1 + step, step))
    return [int(count) for count in np.histogram(lengths, bins=edges)[0]], edges


def slice_bars(
    slice_tokens: Mapping[str, int], look: Look, *, names: Mapping[str, str] | None = None, marked: Sequence[str] = ()
) -> go.Figure:
    """Tokens of each slice; `marked` slices (too few verification examples) carry a word. `names`: slice -> what to call it."""
    t = look.t
    ordered = sorted(slice_tokens.items(), key=lambda pair: -pair[1])
    labels = [escaped((names or {}).get(name, name)) for name, _ in ordered]
    written = [number(tokens, look.language) + (f"  {t('too few to verify')}" if name in marked else "") for name, tokens in ordered]
    figure = go.Figure(
        go.Bar(
            x=[tokens for _, tokens in ordered],
            y=list(range(len(ordered))),
            orientation="h",
            width=0.66,
            marker={"color": look.palette.operations["kept"]},
            text=written,
            textposition="outside",
            textfont={"color": look.palette.text},
            constraintext="none",
            cliponaxis=False,
            customdata=[[name] for name, _ in ordered],
            hovertext=[f"{label}: {t('{n} tokens', n=tokens)}" for label, (_, tokens) in zip(labels, ordered, strict=True)],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    )
    dressed(figure, look, height=72 + 26 * max(len(ordered), 1), title=t("Tokens by slice"))
    figure.update_yaxes(tickvals=list(range(len(ordered))), ticktext=labels, range=[len(ordered) - 0.4, -0.6], ticks="", showline=False)
    figure.update_xaxes(visible=False, range=[0, (1.9 if marked else 1.3) * max([tokens for _, tokens in ordered], default=1)])
    return figure


def savings_rows(projection: Projection, look: Look) -> list[dict[str, object]]:
    """Before, after and the change in percent of every projected figure."""
    t = look.t
    return [
        {
            t("figure"): t(label),
            t("before"): found.before,
            t("after"): found.after,
            t("change in %"): round(-100 * found.saved_share, 2),
        }
        for field, label, _ in QUANTITIES
        if (found := _quantity(projection, field)).before
    ]


def _quantity(projection: Projection, field: str) -> Quantity:
    found: Quantity = getattr(projection, field)
    return found


def _stability_hover(one: RankStability, look: Look) -> str:
    t = look.t
    return "<br>".join(
        [
            f"<b>{t('{n} prompts', n=one.n_examples)}</b>",
            t("rank correlation {median}, worst 5% {low}", median=f"{one.spearman_median:.2f}", low=f"{one.spearman_low:.2f}"),
            t("{share}% of the least influential fifth found again", share=round(100 * one.top_overlap)),
        ]
    )
