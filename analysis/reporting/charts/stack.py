"""The stack: the model's layers as slim bars, what is done to each, and how much each turns the tokens.

It appears on Overview, Plans and in every report. Bars are as wide as their parameters; attention is the left part, MLP
the right. What a plan takes out is hollow with a dashed outline (prune) or patterned (skip, freeze). Beside the bars, on
one axis, each layer's influence as a dot with its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from analysis.contracts import BlockInfo, Interval, ModelInfo, Plan, Profile, Unit, influence
from analysis.i18n.numbers import amount, span
from analysis.reporting.charts.anatomy import OPERATION_NAMES, PART_NAMES, UNIT_TITLES, Piece, pieces, treatments, unit_intervals, widths
from analysis.reporting.charts.palette import FONT, PATTERNS, Look, Treatment, dressed
from analysis.reporting.charts.text import shortened

BAR_HALF = 0.36
"""Half of a bar's height, in layers."""


@dataclass(frozen=True)
class _Facts:
    """What a bar's hover text tells."""

    model: ModelInfo
    profile: Profile | None
    unit: Unit


def stack_figure(
    model: ModelInfo,
    look: Look,
    *,
    stack: str | None = None,
    profile: Profile | None = None,
    plans: Sequence[Plan] = (),
    unit: Unit = "block",
    compact: bool = False,
    selected: int | None = None,
) -> go.Figure:
    """The stack picture for no plan, one plan, or two plans side by side.

    Args:
        model: whose layers are drawn.
        look: language and theme.
        stack: name of the stack; None: the profile's, or the model's first.
        profile: adds the influence dots with their intervals.
        plans: at most two.
        unit: whose influence the dots show.
        compact: small, without axis texts, for the start page.
        selected: a layer to mark.
    """
    name = stack or (profile.stack if profile else None)
    blocks = model.stack(name).blocks
    drawn: tuple[Plan | None, ...] = tuple(plans[:2]) or (None,)
    panels = _panels(len(drawn), profile is not None, compact)
    figure = go.Figure()
    for column, plan in enumerate(drawn):
        _draw_bars(figure, blocks, plan, look, column, _Facts(model, profile, unit))
    if profile is not None:
        _draw_influence(figure, profile, look, unit, drawn, dot=4 if compact else 7)
    height = _height(len(blocks), compact)
    _lay_out(figure, blocks, look, panels, drawn, compact, unit if profile else None)
    dressed(figure, look, height=height)
    figure.update_layout(
        margin={"l": 40 if compact else 60, "r": 8, "t": 12 if compact else 68 if any(drawn) else 32, "b": 12 if compact else 58}
    )
    if profile is not None:
        figure.update_layout({f"xaxis{len(drawn) + 1}": {"showgrid": True, "gridcolor": look.palette.grid}})
    if selected is not None:
        figure.add_hrect(y0=selected - 0.5, y1=selected + 0.5, line={"color": look.palette.text, "width": 1.5}, fillcolor="rgba(0,0,0,0)")
    return figure


def _draw_bars(figure: go.Figure, blocks: Sequence[BlockInfo], plan: Plan | None, look: Look, column: int, facts: _Facts) -> None:
    drawn = pieces(blocks, plan)
    for treatment in dict.fromkeys(piece.treatment for piece in drawn):
        group = [piece for piece in drawn if piece.treatment == treatment]
        figure.add_trace(_bar(group, treatment, look, column, facts))
    hollow = [piece for piece in drawn if piece.treatment == "prune"]
    if hollow:
        figure.add_trace(_outlines(hollow, look, column))


def _outlines(hollow: Sequence[Piece], look: Look, column: int) -> go.Scatter:
    """Dashed outlines as one line that is lifted between parts: a shape for each would take a second to draw."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for piece in hollow:
        left, right, top, bottom = piece.start, piece.start + piece.width, piece.block - BAR_HALF, piece.block + BAR_HALF
        xs += [left, right, right, left, left, None]
        ys += [top, top, bottom, bottom, top, None]
    return go.Scatter(
        x=xs,
        y=ys,
        mode="lines",
        line={"color": look.palette.operations["prune"], "width": 1.3, "dash": "3px,2px"},
        xaxis=_axis("x", column),
        yaxis="y",
        hoverinfo="skip",
        showlegend=False,
    )


def _bar(group: Sequence[Piece], treatment: Treatment, look: Look, column: int, facts: _Facts) -> go.Bar:
    colour = look.palette.operations[treatment]
    hollow = treatment == "prune"
    return go.Bar(
        x=[piece.width for piece in group],
        base=[piece.start for piece in group],
        y=[piece.block for piece in group],
        orientation="h",
        width=2 * BAR_HALF,
        xaxis=_axis("x", column),
        yaxis="y",
        marker={
            "color": "rgba(0,0,0,0)" if hollow else colour,
            "line": {"color": "rgba(0,0,0,0)" if hollow else look.palette.page, "width": 0 if hollow else 1.5},
            "pattern": {"shape": PATTERNS[treatment], "fgcolor": look.palette.page, "bgcolor": colour, "size": 4, "solidity": 0.3}
            if PATTERNS[treatment]
            else {},
        },
        name=look.t(OPERATION_NAMES[treatment]),
        customdata=[[piece.block] for piece in group],
        text=[_piece_hover(piece, look, facts) for piece in group],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _piece_hover(piece: Piece, look: Look, facts: _Facts) -> str:
    t = look.t
    lines = [
        f"<b>{t('layer {block} (counted from 0)', block=piece.block)}</b>",
        f"{t(PART_NAMES[piece.part])}: {t(OPERATION_NAMES[piece.treatment])}",
        t(
            "{n} parameters, {share}% of the model",
            n=amount(piece.width, look.language),
            share=f"{100 * piece.width / max(facts.model.n_parameters, 1):.2f}",
        ),
    ]
    if piece.treatment == "prune":
        lines.append(t("saves these parameters and their computation"))
    elif piece.treatment == "skip":
        lines.append(t("saves their computation; the weights stay"))
    if facts.profile is not None:
        lines += _score_lines(facts.profile, look, facts.unit, piece.block)
    return "<br>".join(lines)


def _draw_influence(figure: go.Figure, profile: Profile, look: Look, unit: Unit, plans: Sequence[Plan | None], dot: int) -> None:
    column = len(plans)
    scores, intervals = influence(profile.overall, unit), unit_intervals(profile, unit)
    gone = {block for plan in plans for block in _left_out(plan, unit, len(scores))}
    known = [block for block, score in enumerate(scores) if score is not None]
    bounds = [(intervals[block] if intervals else None) or (scores[block], scores[block]) for block in known]
    figure.add_trace(
        go.Scatter(
            x=[scores[block] for block in known],
            y=known,
            mode="markers",
            xaxis=_axis("x", column),
            yaxis="y",
            marker={
                "size": dot,
                "color": [look.palette.page if block in gone else look.palette.text for block in known],
                "line": {"color": look.palette.text, "width": 1.5},
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [(high or 0.0) - (scores[block] or 0.0) for block, (_, high) in zip(known, bounds, strict=True)],
                "arrayminus": [(scores[block] or 0.0) - (low or 0.0) for block, (low, _) in zip(known, bounds, strict=True)],
                "thickness": 1.2,
                "width": 0,
                "color": look.palette.quiet,
            },
            customdata=[[block] for block in known],
            text=[_score_hover(profile, look, unit, block) for block in known],
            hovertemplate="%{text}<extra></extra>",
            showlegend=False,
        )
    )
    missing = [block for block, score in enumerate(scores) if score is None]
    if missing:
        figure.add_trace(
            go.Scatter(
                x=[0.0] * len(missing),
                y=missing,
                mode="markers",
                xaxis=_axis("x", column),
                yaxis="y",
                marker={"symbol": "x-thin", "size": 7, "line": {"color": look.palette.quiet, "width": 1.5}},
                customdata=[[block] for block in missing],
                text=[_score_hover(profile, look, unit, block) for block in missing],
                hovertemplate="%{text}<extra></extra>",
                showlegend=False,
            )
        )


def _left_out(plan: Plan | None, unit: Unit, n_blocks: int) -> set[int]:
    """Blocks whose unit the plan prunes or skips; a layer counts when both its halves go."""
    treated = treatments(plan, n_blocks)
    parts = ("attention", "mlp") if unit == "block" else (unit,)
    return {block for block in range(n_blocks) if all(treated.get((part, block)) in ("prune", "skip") for part in parts)}


def _score_hover(profile: Profile, look: Look, unit: Unit, block: int) -> str:
    head = f"<b>{look.t('layer {block} (counted from 0)', block=block)}</b>"
    return "<br>".join([head, *_score_lines(profile, look, unit, block)])


def _score_lines(profile: Profile, look: Look, unit: Unit, block: int) -> list[str]:
    t, score = look.t, influence(profile.overall, unit)[block]
    if score is None:
        return [t("no influence is defined here: this model shows no separate part of this kind")]
    lines = [f"{t(UNIT_TITLES[unit])} {score:.3f}"]
    intervals = unit_intervals(profile, unit)
    interval: Interval | None = intervals[block] if intervals else None
    if interval:
        lines.append(t("95% interval {range}", range=span(f"{interval[0]:.3f}", f"{interval[1]:.3f}", look.language)))
    sink = profile.slices.get("sink")
    on_sink = influence(sink, unit)[block] if sink else None
    if on_sink is not None:
        lines.append(t("first tokens of prompts (sink) {score}", score=f"{on_sink:.3f}"))
    return lines


def _axis(letter: str, column: int) -> str:
    return letter if column == 0 else f"{letter}{column + 1}"


def _height(n_blocks: int, compact: bool) -> int:
    row = max(4.0, 8.0 - n_blocks / 24) if compact else max(8.0, min(18.0 if n_blocks > 12 else 26.0, 620 / n_blocks))
    return round(n_blocks * row + (28 if compact else 120))


def _panels(n_plans: int, with_scores: bool, compact: bool) -> tuple[tuple[float, float], ...]:
    """Where each column stands across the picture, 0 to 1: bars for each plan, then the influence."""
    if not with_scores:
        return ((0.0, 1.0),) if n_plans == 1 else ((0.0, 0.485), (0.515, 1.0))
    if n_plans == 1:
        return ((0.0, 0.6), (0.63, 1.0))
    return ((0.0, 0.34), (0.37, 0.71), (0.74, 1.0))


def _lay_out(
    figure: go.Figure,
    blocks: Sequence[BlockInfo],
    look: Look,
    panels: Sequence[tuple[float, float]],
    plans: Sequence[Plan | None],
    compact: bool,
    unit: Unit | None,
) -> None:
    t, n = look.t, len(blocks)
    widest = max(block.n_parameters for block in blocks)
    every = 1 if n <= 12 else 5 if n <= 50 else 10
    figure.update_layout(barmode="overlay", bargap=0, barcornerradius=1 if compact else 2)
    figure.update_yaxes(range=[n - 0.4, -0.6], tickvals=[*range(0, n, every)], ticks="", showline=False)
    if not compact:
        figure.update_yaxes(title={"text": t("layer, counted from 0"), "standoff": 10})
    for column, domain in enumerate(panels):
        is_bars = column < len(plans)
        axis: dict[str, object] = {
            "domain": list(domain),
            "anchor": "y",
            "showticklabels": not compact,
            "ticks": "",
            "showline": not is_bars,
        }
        if is_bars:
            axis |= {"range": [0, widest * 1.005], "showticklabels": False}
        else:
            axis |= {
                "rangemode": "tozero",
                "showgrid": True,
                "gridcolor": look.palette.grid,
                "nticks": 5,
                "zeroline": True,
                "zerolinecolor": look.palette.quiet,
            }
        if not compact:
            words = (
                t("parameters of a layer,<br>up to {n}", n=amount(widest, look.language))
                if column == 0
                else ""
                if is_bars
                else _score_title(look, unit)
            )
            axis["title"] = {"text": words, "standoff": 22 if is_bars else 6}
        figure.update_layout({f"xaxis{column + 1 if column else ''}": axis})
    if not compact:
        _head(figure, blocks, look, panels, plans)


def _score_title(look: Look, unit: Unit | None) -> str:
    return look.t("Block Influence") + "<br>" + look.t({"block": "layer", "attention": "attention", "mlp": "MLP"}[unit or "block"])


def _head(
    figure: go.Figure, blocks: Sequence[BlockInfo], look: Look, panels: Sequence[tuple[float, float]], plans: Sequence[Plan | None]
) -> None:
    """Over the picture: the operations in words with their swatches, each plan's name, and what the halves are."""
    kinds = {piece.treatment for plan in plans for piece in pieces(blocks, plan)}
    legend = "   ".join(f"{_swatch(kind, look)} {look.t(OPERATION_NAMES[kind])}" for kind in OPERATION_NAMES if kind in kinds)
    if any(plans):
        _write(figure, look, legend, 0.0, "paper", 42 if any(plan and plan.name for plan in plans) else 22)
    for column, plan in enumerate(plans):
        if plan and plan.name:
            _write(figure, look, f"<b>{shortened(plan.name, 40 // len(plans))}</b>", panels[column][0], "paper", 22)
        for part, place, anchor in _half_marks(blocks):
            _write(figure, look, look.t(PART_NAMES[part]), place, _axis("x", column), 2, anchor=anchor, quiet=True)


def _write(figure: go.Figure, look: Look, text: str, x: float, xref: str, above: int, *, anchor: str = "left", quiet: bool = False) -> None:
    """A line of text `above` pixels over the bars."""
    font = {"family": FONT, "size": 12 if quiet else 13, "color": look.palette.quiet if quiet else look.palette.text}
    figure.add_annotation(
        text=text, x=x, xref=xref, y=1, yref="paper", yshift=above, xanchor=anchor, yanchor="bottom", showarrow=False, font=font
    )


def _half_marks(blocks: Sequence[BlockInfo]) -> list[tuple[str, float, str]]:
    """(part, place, anchor): the first part's name starts with it, the last one's ends with it, others are centred."""
    parts, start = [], 0
    for part, width in widths(blocks[0]):
        if width:
            parts.append((part, start, width))
        start += width
    anchors = ["left", *["center"] * (len(parts) - 2), "right"] if len(parts) > 1 else ["left"]
    shift = {"left": 0.0, "center": 0.5, "right": 1.0}
    return [(part, begin + shift[anchor] * width, anchor) for (part, begin, width), anchor in zip(parts, anchors, strict=True)]


def _swatch(kind: Treatment, look: Look) -> str:
    sign = {"prune": "\u25a1", "skip": "\u25a3", "freeze": "\u25a8", "expand": "\u25a6", "quantise": "\u25a4", "distil": "\u25a5"}.get(
        kind, "\u25a0"
    )
    return f'<span style="color:{look.palette.operations[kind]}">{sign}</span>'
