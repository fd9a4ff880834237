"""How far the state is from the right word, layer by layer: deviation curves. Gain and lens stand beside it.

Positions stand on the x axis of curves ("in", "after 0", ...), layers on that of bars. What is frozen is shaded in the freeze
operation's colour and pattern, left of a line between the last frozen layer and the first that trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.contracts import Semantics, Series
from analysis.contracts.semantics import CurveName, DeviationCurve
from analysis.reporting import training_words as words
from analysis.reporting.charts.boundary import draw_background, interval_text, mark_boundary, position_axes, scores_of, unit_name
from analysis.reporting.charts.gain import gain, gain_alt, gain_rows
from analysis.reporting.charts.heatmap import position_name
from analysis.reporting.charts.lens import lens, lens_alt, lens_rows
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.series import Style, ends, reach, ribbon, style
from analysis.reporting.charts.text import shortened

__all__ = ["deviation", "deviation_alt", "deviation_rows", "gain", "gain_alt", "gain_rows", "lens", "lens_alt", "lens_rows"]

_MOST_RIBBONS = 3


@dataclass(frozen=True)
class _Line:
    """One curve to draw."""

    name: str
    curve: DeviationCurve
    unit: CurveName
    style: Style


def deviation(
    semantics: Semantics,
    look: Look,
    *,
    curves: Sequence[CurveName] = (),
    slices: Sequence[str] = (),
    eof_layer: int | None = None,
    straight: Series | None = None,
    names: Mapping[str, str] | None = None,
    height: int = 380,
) -> go.Figure:
    """Deviation at every position, with 95 % intervals; a click carries ``customdata [position]``.

    Args:
        semantics: the traces.
        look: language and theme.
        curves: which deviations; none: the default one. The lens is in nats and gets a panel of its own beside others.
        slices: slices to draw beside all prompts.
        eof_layer: the last frozen layer: shaded up to there; None: no boundary.
        straight: the straight way of the first curve ("virtual transition"), dashed.
        names: slice -> what to call it.
        height: pixels, of one panel.
    """
    lines = _lines(semantics, look, curves or (semantics.default_curve,), slices, names)
    panels = _panels(lines)
    figure = make_subplots(rows=max(len(panels), 1), cols=1, shared_xaxes=True, vertical_spacing=0.07)
    n = semantics.n_blocks + 1
    for row, members in enumerate(panels, start=1):
        _draw_panel(figure, row, members, look, n, eof_layer, straight if row == 1 else None)
    title = look.t("Distance from the right word, layer by layer")
    dressed(figure, look, height=height + 220 * (len(panels) - 1) + 22 * (len(lines) // 3), title=title, subtitle=_subtitle(lines, look))
    _dress_panels(figure, panels, look, n, straight)
    figure.update_layout(
        showlegend=len(lines) > 1 or straight is not None,
        legend={"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom", "x": 0},
        margin={"t": 84 if eof_layer is not None else 58, "b": 92},
    )
    if eof_layer is not None:
        mark_boundary(figure, look, eof_layer, semantics.n_blocks, at=eof_layer + 1.5)
    return figure


def deviation_alt(semantics: Semantics, look: Look, *, curves: Sequence[CurveName] = (), eof_layer: int | None = None) -> str:
    """What the chart shows, in one sentence, for those who do not see it."""
    name = (tuple(curves) or (semantics.default_curve,))[0]
    found = semantics.overall.curves.get(name)
    known = [] if found is None else [value for value in found.mean if value is not None]
    values = {"first": f"{known[0]:.2f}" if known else "-", "last": f"{known[-1]:.2f}" if known else "-", "n": semantics.n_blocks}
    if eof_layer is None:
        return look.t("Chart: distance from the right word over {n} layers, from {first} at the input to {last} at the end.", **values)
    return look.t(
        "Chart: distance from the right word over {n} layers, from {first} at the input to {last} at the end; {frozen}.",
        **values,
        frozen=words.frozen_layers(eof_layer),
    )


def deviation_rows(
    semantics: Semantics,
    look: Look,
    *,
    curves: Sequence[CurveName] = (),
    slices: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
) -> list[dict[str, object]]:
    """The curves as a table: one row a position."""
    lines = _lines(semantics, look, curves or (semantics.default_curve,), slices, names)
    rows = []
    for position in range(semantics.n_blocks + 1):
        row: dict[str, object] = {look.t("position"): position_name(position, look)}
        for line in lines:
            value, interval = line.curve.mean[position], line.curve.intervals[position]
            row[line.name] = value
            row[look.t("{name}, 95% interval", name=line.name)] = interval_text(interval, look)
        rows.append(row)
    return rows


def _lines(
    semantics: Semantics, look: Look, curves: Sequence[CurveName], slices: Sequence[str], names: Mapping[str, str] | None
) -> list[_Line]:
    """Every curve for all prompts, then for each slice; what was not measured is left out."""
    found: list[_Line] = []
    for place in (None, *slices):
        for name in curves:
            curve = scores_of(semantics, place).curves.get(name)
            if curve is None:
                continue
            base = look.t(words.CURVE_TITLES[name])
            who = look.t("all prompts") if place is None else shortened((names or {}).get(place, place), 28)
            label = base if not slices else who if len(curves) == 1 else f"{who}, {base}"
            found.append(_Line(label, curve, name, style(len(found), look)))
    return found


def _panels(lines: Sequence[_Line]) -> list[list[_Line]]:
    """Angles apart from nats."""
    angles, nats = [line for line in lines if line.unit != "lens"], [line for line in lines if line.unit == "lens"]
    return [panel for panel in (angles, nats) if panel]


def _draw_panel(
    figure: go.Figure, row: int, lines: Sequence[_Line], look: Look, n: int, eof_layer: int | None, straight: Series | None
) -> None:
    with_ribbon = lines if len(lines) <= _MOST_RIBBONS else lines[:1]
    bounds = [ends(line.curve.mean, line.curve.intervals) for line in lines]
    limits = reach([low for lows, _ in bounds for low in lows] + list(straight or ()), [high for _, highs in bounds for high in highs])
    draw_background(figure, row, [line.curve.mean for line in lines], look, eof_layer, limits)
    for line in with_ribbon:
        figure.add_trace(ribbon(range(n), line.curve.intervals, line.style.colour), row=row, col=1)
    if straight is not None:
        figure.add_trace(_straight_line(straight, look), row=row, col=1)
    for line in lines:
        figure.add_trace(_curve(line, look), row=row, col=1)
    figure.update_yaxes(range=list(limits), row=row, col=1)


def _curve(line: _Line, look: Look) -> go.Scatter:
    return go.Scatter(
        x=list(range(len(line.curve.mean))),
        y=list(line.curve.mean),
        mode="lines+markers",
        line={"color": line.style.colour, "width": 2, "dash": line.style.dash},
        marker={"size": 5, "symbol": line.style.symbol, "color": line.style.colour},
        connectgaps=False,
        name=line.name,
        customdata=[[position] for position in range(len(line.curve.mean))],
        text=[_hover(line, position, look) for position in range(len(line.curve.mean))],
        hovertemplate="%{text}<extra></extra>",
    )


def _hover(line: _Line, position: int, look: Look) -> str:
    value, interval = line.curve.mean[position], line.curve.intervals[position]
    head = f"<b>{position_name(position, look)}</b><br>{line.name}"
    if value is None:
        return f"{head}<br>{look.t('not defined here')}"
    said = f"{head}<br>{unit_name(line.unit, look)} {value:.3f}"
    return said if interval is None else f"{said}<br>{look.t('95% interval {range}', range=interval_text(interval, look))}"


def _straight_line(values: Series, look: Look) -> go.Scatter:
    return go.Scatter(
        x=list(range(len(values))),
        y=list(values),
        mode="lines",
        line={"color": look.palette.quiet, "width": 1.5, "dash": "6px,4px"},
        name=look.t("straight way"),
        hoverinfo="skip",
    )


def _dress_panels(figure: go.Figure, panels: Sequence[Sequence[_Line]], look: Look, n: int, straight: Series | None) -> None:
    for row, lines in enumerate(panels, start=1):
        figure.update_yaxes(title={"text": _axis_title(lines, look)}, showgrid=True, gridcolor=look.palette.grid, nticks=6, row=row, col=1)
    position_axes(figure, look, n, rows=len(panels))


def _axis_title(lines: Sequence[_Line], look: Look) -> str:
    """The unit, and what it is measured against where all lines share that."""
    unit = unit_name(lines[0].unit, look)
    if lines[0].unit == "lens" or len({line.unit for line in lines}) > 1:
        return unit
    return look.t("{unit}, {basis}", unit=unit, basis=look.t(words.CURVE_TITLES[lines[0].unit]))


def _subtitle(lines: Sequence[_Line], look: Look) -> str:
    if not lines:
        return look.t("not defined here")
    kinds = {line.unit for line in lines}
    if len(kinds) == 1 and lines[0].unit != "lens":
        return look.t("0: right word, 1: right angle; band: 95% interval")
    return look.t("less is nearer; band: 95% interval")
