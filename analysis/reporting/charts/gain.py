"""What each layer takes off the deviation, as bars, with the chosen one named."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from analysis.contracts import EofChoice, Interval, Semantics, Series
from analysis.contracts.semantics import CurveName
from analysis.i18n import render
from analysis.reporting.charts.boundary import frozen_area, interval_text, layer_axis, mark_boundary, scores_of
from analysis.reporting.charts.palette import FONT, Look, dressed, hatched
from analysis.reporting.charts.series import box, ends, reach
from analysis.reporting.charts.text import escaped


def gain(
    semantics: Semantics,
    look: Look,
    *,
    curve: CurveName | None = None,
    slice_name: str | None = None,
    eof_layer: int | None = None,
    choice: EofChoice | None = None,
    height: int = 300,
) -> go.Figure:
    """What each layer takes off the deviation, with 95 % intervals; a click carries ``customdata [layer]``.

    The last layer is hatched: it can never be the last frozen one, because then nothing would train.

    Args:
        semantics: the traces.
        look: language and theme.
        curve: which deviation; None: the default one.
        slice_name: one slice instead of all prompts.
        eof_layer: the boundary of the plan at hand, shaded up to there.
        choice: marks the layer that a rule chose, in words.
        height: pixels.
    """
    t, n = look.t, semantics.n_blocks
    found = scores_of(semantics, slice_name).curves.get(curve or semantics.default_curve)
    gains: Series = found.gain if found else (None,) * n
    intervals = found.gain_intervals if found else (None,) * n
    low, high = reach([0.0, *ends(gains, intervals)[0]], ends(gains, intervals)[1], room=0.1)
    if choice is not None:
        high += 0.18 * (high - low)  # a word goes over the chosen bar
    figure = go.Figure()
    if eof_layer is not None and eof_layer >= 0:
        figure.add_trace(frozen_area(-0.5, eof_layer + 0.5, low, high, look))
    figure.add_trace(_gain_bars(gains, intervals, look))
    holes = [block for block, value in enumerate(gains) if value is None or block == n - 1]
    outlines = [box(block - 0.5, block + 0.5, low, high) for block in holes]
    figure.add_trace(hatched([x for xs, _ in outlines for x in xs], [y for _, ys in outlines for y in ys], look))
    subtitle = t("hatched: not defined, or last (always trains)")
    dressed(figure, look, height=height, title=t("What each layer brings nearer to the right word"), subtitle=subtitle)
    figure.update_xaxes(layer_axis(n, look), title={"text": t("layer, counted from 0"), "standoff": 6}, range=[-0.7, n - 0.3])
    figure.update_yaxes(
        title={"text": look.t("gain")},
        range=[low, high],
        showgrid=True,
        gridcolor=look.palette.grid,
        nticks=5,
    )
    figure.add_hline(y=0, line={"color": look.palette.quiet, "width": 1})
    figure.update_layout(margin={"t": 84 if eof_layer is not None else 58}, bargap=0.25)
    if eof_layer is not None:
        mark_boundary(figure, look, eof_layer, n, at=eof_layer + 0.5, named=False)
    if choice is not None and choice.eof_layer is not None and choice.eof_layer >= 0:
        _mark_choice(figure, look, choice, gains, intervals)
    return figure


def gain_alt(semantics: Semantics, look: Look, *, curve: CurveName | None = None, choice: EofChoice | None = None) -> str:
    """What the chart shows, in one sentence."""
    found = semantics.overall.curves.get(curve or semantics.default_curve)
    known = [(value, block) for block, value in enumerate(found.gain[:-1] if found else ()) if value is not None]
    if not known:
        return look.t("Chart: what each layer brings nearer to the right word; it is not defined here.")
    best = max(known)
    if choice is None or choice.eof_layer is None:
        return look.t(
            "Chart: what each of {n} layers brings nearer to the right word; of those that may be frozen, layer {best} most.",
            n=semantics.n_blocks,
            best=best[1],
        )
    return look.t(
        "Chart: what each of {n} layers brings nearer to the right word; of those that may be frozen, layer {best} most. "
        "Chosen as last frozen layer: {eof}.",
        n=semantics.n_blocks,
        best=best[1],
        eof=choice.eof_layer,
    )


def gain_rows(
    semantics: Semantics, look: Look, *, curve: CurveName | None = None, slice_name: str | None = None
) -> list[dict[str, object]]:
    """The bars as a table: one row a layer."""
    t = look.t
    found = scores_of(semantics, slice_name).curves.get(curve or semantics.default_curve)
    if found is None:
        return []
    return [
        {t("layer"): block, t("gain"): value, t("95% interval"): interval_text(interval, look)}
        for block, (value, interval) in enumerate(zip(found.gain, found.gain_intervals, strict=True))
    ]


def _gain_bars(gains: Series, intervals: Sequence[Interval | None], look: Look) -> go.Bar:
    values = [value or 0.0 for value in gains]
    held = [(value, value) if interval is None else interval for value, interval in zip(values, intervals, strict=True)]
    return go.Bar(
        x=list(range(len(gains))),
        y=values,
        marker={"color": look.palette.operations["kept"], "line": {"width": 0}},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [max(0.0, high - value) for value, (_, high) in zip(values, held, strict=True)],
            "arrayminus": [max(0.0, value - low) for value, (low, _) in zip(values, held, strict=True)],
            "thickness": 1.2,
            "width": 0,
            "color": look.palette.text,
        },
        customdata=[[block] for block in range(len(gains))],
        text=[_gain_hover(block, gains, intervals, look) for block in range(len(gains))],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _gain_hover(block: int, gains: Series, intervals: Sequence[Interval | None], look: Look) -> str:
    value, interval = gains[block], intervals[block]
    lines = [f"<b>{look.t('layer {block} (counted from 0)', block=block)}</b>"]
    lines.append(look.t("not defined here") if value is None else look.t("gain {value}", value=f"{value:.3f}"))
    if interval is not None:
        lines.append(look.t("95% interval {range}", range=interval_text(interval, look)))
    if block == len(gains) - 1:
        lines.append(look.t("the last layer always trains"))
    return "<br>".join(lines)


def _mark_choice(
    figure: go.Figure,
    look: Look,
    choice: EofChoice,
    gains: Series,
    intervals: Sequence[Interval | None],
) -> None:
    """A word with an arrow over the chosen bar, turned inwards near an edge."""
    block = choice.eof_layer
    assert block is not None
    interval = intervals[block]
    top = max(0.0, interval[1] if interval else gains[block] or 0.0)
    place = block / max(len(gains) - 1, 1)
    figure.add_annotation(
        x=block,
        y=top,
        ax=0,
        ay=-22,
        text=look.t("chosen: {layer}", layer=block),
        xanchor="center" if 0.12 < place < 0.88 else "right" if place > 0.5 else "left",
        arrowhead=2,
        arrowwidth=1.2,
        arrowcolor=look.palette.text,
        bgcolor=look.palette.page,
        font={"family": FONT, "size": 12, "color": look.palette.text},
        hovertext=escaped(render(choice.reason, look.language)),
    )
