"""Saving against loss: every set a search measured, and the front of those that no other beats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from analysis.contracts import UnitRef
from analysis.i18n import N_
from analysis.i18n.numbers import span
from analysis.planning.from_search import STRATEGY_WORDS
from analysis.planning.pareto import ParetoPoint, front_only
from analysis.planning.spending import Cost
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.headlines import runs_of

AXIS: Mapping[Cost, str] = {
    "flops": N_("FLOPs saved, reading a prompt (%)"),
    "params": N_("parameters taken out (%)"),
    "bytes": N_("weight memory taken out (%)"),
    "layers": N_("layers taken out (%)"),
    "latency": N_("latency saved, projected (%)"),
}
SYMBOLS: Mapping[str, str] = {
    "beam": "diamond",
    "greedy": "square",
    "one_shot": "triangle-up",
    "block_influence": "circle",
    "angular_run": "pentagon",
    "last_n": "x-thin",
    "random": "cross-thin",
}
"""Strategy -> marker: told apart by shape, not by colour."""

SHORT: Mapping[str, str] = {
    "beam": N_("beam search"),
    "greedy": N_("greedy"),
    "one_shot": N_("one-shot scan"),
    "block_influence": N_("Block Influence"),
    "angular_run": N_("similar span"),
    "last_n": N_("last layers"),
    "random": N_("at random"),
}
"""Strategy -> its name in the legend."""

_OTHERS = "other"
_MOST_OTHERS = 400
_HEADROOM = 1.15
_PARTS = {"block": N_("layers {list}"), "attention": N_("the attention of layers {list}"), "mlp": N_("the MLP of layers {list}")}


def pareto_figure(
    points: Sequence[ParetoPoint],
    look: Look,
    *,
    chosen: Sequence[UnitRef] | None = None,
    cost: Cost = "flops",
    limit_share: float | None = None,
    largest: float | None = None,
    height: int = 440,
) -> go.Figure:
    """Saving (x, in %) against the change of perplexity (y, in %); a click carries ``customdata [index into points]``.

    Args:
        points: as `planning.pareto_front` gives them.
        look: language and theme.
        chosen: the set of the plan at hand, ringed.
        cost: what is saved, for the axis.
        limit_share: the limit on perplexity (0.05 = 5 %) as a line.
        largest: top of the y axis as a share; None: from the front and the strategies' answers, so that one bad set does not
            press the rest flat. What lies above is drawn at the edge, and said on hover.
        height: pixels.
    """
    top = _top(points, limit_share) if largest is None else largest
    figure = go.Figure()
    for name, indices in _groups(points).items():
        figure.add_trace(_markers(points, indices, look, name, top))
    figure.add_trace(_front_line(points, look, top))
    if chosen is not None:
        figure.add_trace(_ring(points, tuple(chosen), look, top))
    dressed(
        figure,
        look,
        height=height,
        title=look.t("Saving against quality"),
        subtitle=look.t("each mark: one measured set; at the top edge: above it"),
    )
    widest = max([100 * point.saved_share for point in points if _plotted(point)], default=10.0)
    figure.update_xaxes(title={"text": look.t(AXIS[cost]), "standoff": 6}, range=[0, 1.04 * widest], showline=True, ticks="outside")
    figure.update_yaxes(
        title={"text": look.t("change of perplexity (%)")},
        range=[min(-1.0, _lowest(points)), 100 * top],
        showgrid=True,
        gridcolor=look.palette.grid,
        nticks=6,
    )
    if limit_share is not None:
        _limit_line(figure, look, limit_share)
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0}, margin={"b": 96})
    return figure


def pareto_rows(points: Sequence[ParetoPoint], look: Look, *, only_front: bool = False) -> list[dict[str, object]]:
    """The points as a table, least saving first."""
    t = look.t
    return [
        {
            t("taken out"): said_set(point.removed, look),
            t("saved in %"): round(100 * point.saved_share, 2),
            t("change of perplexity in %"): round(100 * _growth(point), 2),
            t("loss change, nats per token"): round(point.change, 4),
            t("found by"): ", ".join(t(STRATEGY_WORDS[name].title) for name in point.found_by),
            t("on the front"): t("yes") if point.on_front else t("no"),
        }
        for point in (front_only(points) if only_front else points)
    ]


def said_set(removed: Sequence[UnitRef], look: Look) -> str:
    """A set of units in words: "layers 3, 14 and the MLP of layers 20"."""
    by_unit = {unit: tuple(block for other, block in removed if other == unit) for unit in _PARTS}
    parts = [look.t(_PARTS[unit], list=runs_of(blocks)) for unit, blocks in by_unit.items() if blocks]
    return look.t("{parts}", parts=tuple(parts)) if len(parts) > 1 else "".join(parts)


def _growth(point: ParetoPoint) -> float:
    """Change of perplexity as a share: exp(change) - 1."""
    return math.expm1(min(point.change, 30.0))


def _plotted(point: ParetoPoint) -> bool:
    return point.on_front or bool(point.found_by)


def _groups(points: Sequence[ParetoPoint]) -> Mapping[str, list[int]]:
    """Indices of the points by the first strategy that found them, the rest first so that it lies below."""
    groups: dict[str, list[int]] = {name: [] for name in (_OTHERS, *STRATEGY_WORDS)}
    for index, point in enumerate(points):
        groups[point.found_by[0] if point.found_by else _OTHERS].append(index)
    others = groups[_OTHERS]
    step = max(1, -(-len(others) // _MOST_OTHERS))
    groups[_OTHERS] = [index for place, index in enumerate(others) if place % step == 0 or points[index].on_front]
    return {name: indices for name, indices in groups.items() if indices}


def _markers(points: Sequence[ParetoPoint], indices: list[int], look: Look, name: str, top: float) -> go.Scatter:
    quiet = name == _OTHERS
    colour = look.palette.operations["kept"] if quiet else look.palette.text
    return go.Scatter(
        x=[100 * points[index].saved_share for index in indices],
        y=[100 * min(_growth(points[index]), top) for index in indices],
        mode="markers",
        name=look.t("other sets") if quiet else look.t(SHORT[name]),
        marker={
            "symbol": "circle" if quiet else SYMBOLS[name],
            "size": 5 if quiet else 9,
            "color": colour,
            "opacity": 0.6 if quiet else 1.0,
            "line": {"color": colour, "width": 0 if quiet else 1.5},
        },
        customdata=[[index] for index in indices],
        text=[_hover(points[index], look) for index in indices],
        hovertemplate="%{text}<extra></extra>",
        cliponaxis=False,
    )


def _front_line(points: Sequence[ParetoPoint], look: Look, top: float) -> go.Scatter:
    """The front as steps: up to each point's saving, its loss is the least there is."""
    front = [point for point in front_only(points) if _growth(point) <= top]
    return go.Scatter(
        x=[100 * point.saved_share for point in front],
        y=[100 * _growth(point) for point in front],
        mode="lines",
        line={"color": look.palette.text, "width": 1.5, "shape": "vh"},
        name=look.t("least loss for the saving"),
        hoverinfo="skip",
    )


def _ring(points: Sequence[ParetoPoint], chosen: tuple[UnitRef, ...], look: Look, top: float) -> go.Scatter:
    found = [(index, point) for index, point in enumerate(points) if point.removed == chosen]
    return go.Scatter(
        x=[100 * point.saved_share for _, point in found],
        y=[100 * min(_growth(point), top) for _, point in found],
        mode="markers",
        name=look.t("this plan"),
        marker={"symbol": "circle-open", "size": 18, "color": look.palette.text, "line": {"width": 2.5}},
        customdata=[[index] for index, _ in found],
        hoverinfo="skip",
        showlegend=bool(found),
    )


def _limit_line(figure: go.Figure, look: Look, limit_share: float) -> None:
    figure.add_hline(
        y=100 * limit_share,
        line={"color": look.palette.text, "dash": "dash", "width": 1.5},
        annotation={"text": look.t("limit"), "xanchor": "left", "x": 0, "font": {"color": look.palette.text, "size": 12}},
    )


def _hover(point: ParetoPoint, look: Look) -> str:
    t = look.t
    lines = [f"<b>{said_set(point.removed, look)}</b>", t("saves {share}%", share=f"{100 * point.saved_share:.1f}")]
    lines.append(t("perplexity {change}%", change=f"{100 * _growth(point):+.1f}"))
    if point.interval is not None:
        low, high = point.interval
        lines.append(t("loss change {range} nats per token", range=span(f"{low:.3f}", f"{high:.3f}", look.language)))
    if point.found_by:
        lines.append(t("found by: {names}", names=tuple(t(STRATEGY_WORDS[name].title) for name in point.found_by)))
    return "<br>".join(lines)


def _top(points: Sequence[ParetoPoint], limit_share: float | None) -> float:
    """Twice what the front's middle costs, in steps, so that the axis does not move with every new point.

    It ends at twice the original's perplexity where anything lies below: nobody chooses among models that are worse than that.
    """
    on_front = sorted(_growth(point) for point in points if point.on_front)
    wanted = max([1.5 * on_front[(3 * len(on_front)) // 4] if on_front else 0.1, 2 * (limit_share or 0.0), 0.05])
    wanted = min(wanted, max(1.0, 2 * (limit_share or 0.0), 2 * on_front[0] if on_front else 0.0))
    for step in (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0):
        if wanted <= step:
            return step * _HEADROOM
    return 100.0 * _HEADROOM


def _lowest(points: Sequence[ParetoPoint]) -> float:
    return 100 * _HEADROOM * min([_growth(point) for point in points if _plotted(point)], default=0.0)
