"""Block Influence of layers, attentions and MLPs as bars with their intervals, in the order of the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.contracts import Interval, Profile, Scores, Unit, influence
from analysis.i18n import N_
from analysis.i18n.numbers import span
from analysis.reporting.charts.palette import Look, dressed, hatched

UNIT_NAMES: Mapping[Unit, str] = {"block": N_("layer"), "attention": N_("attention"), "mlp": N_("MLP")}


def influence_bars(
    profile: Profile,
    look: Look,
    *,
    units: Sequence[Unit] = ("block",),
    slice_name: str | None = None,
    selected: int | None = None,
    height: int | None = None,
) -> go.Figure:
    """One row of bars for each unit, all on one scale; a click carries ``customdata [block]``.

    Args:
        profile: the scores.
        look: language and theme.
        units: which of layer, attention, MLP, from top to bottom.
        slice_name: a slice instead of all default tokens.
        selected: the layer that is open, outlined.
        height: pixels; None: by the number of rows.
    """
    scores = profile.slices[slice_name] if slice_name else profile.overall
    figure = make_subplots(rows=len(units), cols=1, shared_xaxes=True, vertical_spacing=0.07)
    for row, unit in enumerate(units, start=1):
        figure.add_trace(_bars(scores, look, unit, selected), row=row, col=1)
        figure.add_trace(_click_targets(scores, look, unit, _top(scores, units)), row=row, col=1)
        _mark_undefined(figure, scores, look, unit, row)
    dressed(
        figure,
        look,
        height=height or {1: 360, 2: 460, 3: 560}[len(units)],
        title=look.t("Block Influence"),
        subtitle=look.t("with 95% intervals; low = small change"),
    )
    n = len(scores.block_influence)
    figure.update_xaxes(range=[-0.7, n - 0.3], tickvals=list(range(0, n, 1 if n <= 12 else 5 if n <= 50 else 10)))
    figure.update_xaxes(title={"text": look.t("layer, counted from 0"), "standoff": 6}, row=len(units))
    figure.update_yaxes(range=[0, _top(scores, units)], showgrid=True, gridcolor=look.palette.grid, nticks=4)
    for row, unit in enumerate(units, start=1):
        figure.update_yaxes(title={"text": look.t(UNIT_NAMES[unit])}, row=row)
    figure.update_layout(bargap=0.25, barmode="overlay")
    return figure


def ranks(scores: Scores, unit: Unit) -> Mapping[int, int]:
    """Block -> rank, 1 = least change; undefined scores have none."""
    series = influence(scores, unit)
    order = sorted((value, block) for block, value in enumerate(series) if value is not None)
    return {block: rank for rank, (_, block) in enumerate(order, start=1)}


def influence_rows(profile: Profile, look: Look, *, slice_name: str | None = None) -> list[dict[str, object]]:
    """The bars as a table: one row a layer, score, interval and rank of each unit."""
    scores, t = profile.slices[slice_name] if slice_name else profile.overall, look.t
    placed = {unit: ranks(scores, unit) for unit in UNIT_NAMES}
    rows = []
    for block in range(len(scores.block_influence)):
        row: dict[str, object] = {t("layer"): block}
        for unit, name in UNIT_NAMES.items():
            low, high = _interval(scores, unit, block) or (None, None)
            measure = t("Block Influence, {unit}", unit=t(name))
            row |= {
                measure: influence(scores, unit)[block],
                t("{measure}, 95% low", measure=measure): low,
                t("{measure}, 95% high", measure=measure): high,
            }
            row[t("rank, {unit}", unit=t(name))] = placed[unit].get(block)
        rows.append(row)
    return rows


def _bars(scores: Scores, look: Look, unit: Unit, selected: int | None) -> go.Bar:
    series = influence(scores, unit)
    blocks = [block for block, value in enumerate(series) if value is not None]
    values = [series[block] or 0.0 for block in blocks]
    bounds = [_interval(scores, unit, block) or (value, value) for block, value in zip(blocks, values, strict=True)]
    placed = ranks(scores, unit)
    return go.Bar(
        x=blocks,
        y=values,
        marker={
            "color": look.palette.operations["kept"],
            "line": {"color": look.palette.text, "width": [2.0 if block == selected else 0.0 for block in blocks]},
        },
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [max(0.0, high - value) for value, (_, high) in zip(values, bounds, strict=True)],
            "arrayminus": [max(0.0, value - low) for value, (low, _) in zip(values, bounds, strict=True)],
            "thickness": 1.3,
            "width": 0,
            "color": look.palette.text,
        },
        customdata=[[block] for block in blocks],
        text=[_hover(scores, look, unit, block, placed[block]) for block in blocks],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _click_targets(scores: Scores, look: Look, unit: Unit, top: float) -> go.Bar:
    """Transparent bars of full height: a layer with a small score is as easy to hit as one with a large score."""
    placed = ranks(scores, unit)
    blocks = sorted(placed)
    return go.Bar(
        x=blocks,
        y=[top] * len(blocks),
        width=1.0,
        marker={"color": "rgba(0,0,0,0)", "line": {"width": 0}},
        customdata=[[block] for block in blocks],
        text=[_hover(scores, look, unit, block, placed[block]) for block in blocks],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _mark_undefined(figure: go.Figure, scores: Scores, look: Look, unit: Unit, row: int) -> None:
    missing = [block for block, value in enumerate(influence(scores, unit)) if value is None]
    if not missing:
        return
    top = _top(scores, tuple(UNIT_NAMES)) * 0.5
    xs = [x for block in missing for x in (block - 0.37, block + 0.37, block + 0.37, block - 0.37, block - 0.37, None)]
    ys = [y for _ in missing for y in (0.0, 0.0, top, top, 0.0, None)]
    figure.add_trace(hatched(xs, ys, look), row=row, col=1)
    figure.add_trace(
        go.Scatter(
            x=missing,
            y=[top / 2] * len(missing),
            mode="markers",
            marker={"size": 14, "color": "rgba(0,0,0,0)"},
            customdata=[[block] for block in missing],
            text=[look.t("layer {block}: not defined, this model shows no separate part of this kind", block=block) for block in missing],
            hovertemplate="%{text}<extra></extra>",
            showlegend=False,
        ),
        row=row,
        col=1,
    )


def _hover(scores: Scores, look: Look, unit: Unit, block: int, rank: int) -> str:
    t, value, interval = look.t, influence(scores, unit)[block], _interval(scores, unit, block)
    lines = [f"<b>{t('layer {block} (counted from 0)', block=block)}</b>", f"{t(UNIT_NAMES[unit])}: {value:.3f}"]
    if interval:
        lines.append(t("95% interval {range}", range=span(f"{interval[0]:.3f}", f"{interval[1]:.3f}", look.language)))
    lines.append(t("rank {rank} of {n} (1 = least change)", rank=rank, n=len(ranks(scores, unit))))
    return "<br>".join(lines)


def _interval(scores: Scores, unit: Unit, block: int) -> Interval | None:
    found = scores.intervals
    return (
        {"block": found.block_influence, "attention": found.attention_influence, "mlp": found.mlp_influence}[unit][block] if found else None
    )


def _top(scores: Scores, units: Sequence[Unit]) -> float:
    highs = [
        (_interval(scores, unit, block) or (0.0, value))[1]
        for unit in units
        for block, value in enumerate(influence(scores, unit))
        if value is not None
    ]
    return 1.06 * max([*highs, 1e-3])
