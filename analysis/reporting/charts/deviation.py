"""How far the state is from the right word, layer by layer: deviation curves, each layer's gain, and what the logit lens sees.

Positions stand on the x axis of curves ("in", "after 0", ...), layers on that of bars. What is frozen is shaded in the freeze
operation's colour and pattern, left of a line between the last frozen layer and the first that trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.contracts import EofChoice, Semantics, Series
from analysis.contracts.semantics import CurveName, DeviationCurve, TraceScores
from analysis.i18n import render
from analysis.i18n.numbers import span
from analysis.reporting import training_words as words
from analysis.reporting.charts.heatmap import position_name
from analysis.reporting.charts.palette import FONT, PATTERNS, Look, dressed, hatched
from analysis.reporting.charts.series import Style, box, ends, faded, reach, ribbon, style
from analysis.reporting.charts.text import escaped, shortened

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
        _mark_boundary(figure, look, eof_layer, semantics.n_blocks, at=eof_layer + 1.5)
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
            row[look.t("{name}, 95% interval", name=line.name)] = _interval(interval, look)
        rows.append(row)
    return rows


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
    found = _scores(semantics, slice_name).curves.get(curve or semantics.default_curve)
    gains: Series = found.gain if found else (None,) * n
    intervals = found.gain_intervals if found else (None,) * n
    low, high = reach([0.0, *ends(gains, intervals)[0]], ends(gains, intervals)[1], room=0.1)
    if choice is not None:
        high += 0.18 * (high - low)  # a word goes over the chosen bar
    figure = go.Figure()
    if eof_layer is not None and eof_layer >= 0:
        figure.add_trace(_frozen_area(-0.5, eof_layer + 0.5, low, high, look))
    figure.add_trace(_gain_bars(gains, intervals, look))
    holes = [block for block, value in enumerate(gains) if value is None or block == n - 1]
    outlines = [box(block - 0.5, block + 0.5, low, high) for block in holes]
    figure.add_trace(hatched([x for xs, _ in outlines for x in xs], [y for _, ys in outlines for y in ys], look))
    subtitle = t("hatched: not defined, or last (always trains)")
    dressed(figure, look, height=height, title=t("What each layer brings nearer to the right word"), subtitle=subtitle)
    figure.update_xaxes(_layer_axis(n, look), title={"text": t("layer, counted from 0"), "standoff": 6}, range=[-0.7, n - 0.3])
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
        _mark_boundary(figure, look, eof_layer, n, at=eof_layer + 0.5, named=False)
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
            "Chart: what each of {n} layers brings nearer to the right word; most of all layer {best}.", n=semantics.n_blocks, best=best[1]
        )
    return look.t(
        "Chart: what each of {n} layers brings nearer to the right word; most of all layer {best}. Chosen as last frozen layer: {eof}.",
        n=semantics.n_blocks,
        best=best[1],
        eof=choice.eof_layer,
    )


def gain_rows(
    semantics: Semantics, look: Look, *, curve: CurveName | None = None, slice_name: str | None = None
) -> list[dict[str, object]]:
    """The bars as a table: one row a layer."""
    t = look.t
    found = _scores(semantics, slice_name).curves.get(curve or semantics.default_curve)
    if found is None:
        return []
    return [
        {t("layer"): block, t("gain"): value, t("95% interval"): _interval(interval, look)}
        for block, (value, interval) in enumerate(zip(found.gain, found.gain_intervals, strict=True))
    ]


def lens(semantics: Semantics, look: Look, *, slice_name: str | None = None, eof_layer: int | None = None, height: int = 420) -> go.Figure:
    """How often the model's own head would already say the right word at every position, and how unsure it would be."""
    t, n = look.t, semantics.n_blocks + 1
    found = _scores(semantics, slice_name).lens
    shares: Series = tuple(None if value is None else 100 * value for value in found.top1) if found else (None,) * n
    entropy: Series = found.entropy if found else (None,) * n
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09)
    for row, (values, title) in enumerate(((shares, t("right word first (%)")), (entropy, t("uncertainty (nats)"))), start=1):
        low, high = (0.0, max(5.0, reach(values)[1])) if row == 1 else (0.0, max(0.1, reach(values)[1]))
        _draw_background(figure, row, [values], look, eof_layer, (low, high))
        figure.add_trace(_plain_line(values, look, title), row=row, col=1)
        figure.update_yaxes(title={"text": title}, range=[low, high], row=row, col=1)
    tokens = t("{n} response tokens", n=found.n_tokens) if found else t("not measured: no response token went through the output head")
    dressed(figure, look, height=height, title=t("What the model's own head would say (logit lens)"), subtitle=tokens)
    figure.update_yaxes(showgrid=True, gridcolor=look.palette.grid, nticks=4)
    _position_axes(figure, look, n, rows=2)
    figure.update_layout(margin={"t": 84 if eof_layer is not None else 58, "b": 56})
    if eof_layer is not None:
        _mark_boundary(figure, look, eof_layer, semantics.n_blocks, at=eof_layer + 1.5)
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
    t, found = look.t, _scores(semantics, slice_name).lens
    if found is None:
        return []
    return [
        {
            t("position"): position_name(position, look),
            t("right word first (%)"): None if top1 is None else round(100 * top1, 2),
            t("mean of 1 / rank"): rank,
            t("uncertainty (nats)"): entropy,
            t("loss (nats)"): loss,
        }
        for position, (top1, rank, entropy, loss) in enumerate(
            zip(found.top1, found.reciprocal_rank, found.entropy, found.loss, strict=True)
        )
    ]


def _scores(semantics: Semantics, slice_name: str | None) -> TraceScores:
    return semantics.slices[slice_name] if slice_name else semantics.overall


def _lines(
    semantics: Semantics, look: Look, curves: Sequence[CurveName], slices: Sequence[str], names: Mapping[str, str] | None
) -> list[_Line]:
    """Every curve for all prompts, then for each slice; what was not measured is left out."""
    found: list[_Line] = []
    for place in (None, *slices):
        for name in curves:
            curve = _scores(semantics, place).curves.get(name)
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
    _draw_background(figure, row, [line.curve.mean for line in lines], look, eof_layer, limits)
    for line in with_ribbon:
        figure.add_trace(ribbon(range(n), line.curve.intervals, line.style.colour), row=row, col=1)
    if straight is not None:
        figure.add_trace(_straight_line(straight, look), row=row, col=1)
    for line in lines:
        figure.add_trace(_curve(line, look), row=row, col=1)
    figure.update_yaxes(range=list(limits), row=row, col=1)


def _draw_background(
    figure: go.Figure, row: int, series: Sequence[Series], look: Look, eof_layer: int | None, limits: tuple[float, float]
) -> None:
    """The frozen part, and a hatch over positions where nothing is defined."""
    if eof_layer is not None and eof_layer >= 0:
        figure.add_trace(_frozen_area(-0.5, eof_layer + 1.5, *limits, look), row=row, col=1)
    n = len(series[0]) if series else 0
    holes = [position for position in range(n) if all(values[position] is None for values in series)]
    if holes:
        outlines = [box(position - 0.5, position + 0.5, *limits) for position in holes]
        figure.add_trace(hatched([x for xs, _ in outlines for x in xs], [y for _, ys in outlines for y in ys], look), row=row, col=1)


def _frozen_area(x0: float, x1: float, y0: float, y1: float, look: Look) -> go.Scatter:
    colour = look.palette.operations["freeze"]
    x, y = box(x0, x1, y0, y1)
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"width": 0, "color": colour},
        fill="toself",
        fillcolor=faded(colour, 0.1),
        fillpattern={
            "shape": PATTERNS["freeze"],
            "fgcolor": faded(colour, 0.5),
            "bgcolor": faded(colour, 0.08),
            "size": 9,
            "solidity": 0.1,
        },
        hoverinfo="skip",
        showlegend=False,
    )


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
    said = f"{head}<br>{_unit(line.unit, look)} {value:.3f}"
    return said if interval is None else f"{said}<br>{look.t('95% interval {range}', range=_interval(interval, look))}"


def _straight_line(values: Series, look: Look) -> go.Scatter:
    return go.Scatter(
        x=list(range(len(values))),
        y=list(values),
        mode="lines",
        line={"color": look.palette.quiet, "width": 1.5, "dash": "6px,4px"},
        name=look.t("straight way"),
        hoverinfo="skip",
    )


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


def _gain_bars(gains: Series, intervals: Sequence[tuple[float, float] | None], look: Look) -> go.Bar:
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


def _gain_hover(block: int, gains: Series, intervals: Sequence[tuple[float, float] | None], look: Look) -> str:
    value, interval = gains[block], intervals[block]
    lines = [f"<b>{look.t('layer {block} (counted from 0)', block=block)}</b>"]
    lines.append(look.t("not defined here") if value is None else look.t("gain {value}", value=f"{value:.3f}"))
    if interval is not None:
        lines.append(look.t("95% interval {range}", range=_interval(interval, look)))
    if block == len(gains) - 1:
        lines.append(look.t("the last layer always trains"))
    return "<br>".join(lines)


def _mark_choice(
    figure: go.Figure,
    look: Look,
    choice: EofChoice,
    gains: Series,
    intervals: Sequence[tuple[float, float] | None],
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


def _mark_boundary(figure: go.Figure, look: Look, eof_layer: int, n_blocks: int, *, at: float, named: bool = True) -> None:
    """The line between what is frozen and what trains, and over the plot what lies on either side of it."""
    figure.add_vline(x=at, line={"color": look.palette.operations["freeze"], "width": 2.5})
    font = {"family": FONT, "size": 12, "color": look.palette.text}
    sides = ((0, "left", words.frozen_layers(eof_layer)), (1, "right", words.trained_layers(eof_layer, n_blocks)))
    for x, anchor, said in sides:
        figure.add_annotation(
            x=x,
            xref="paper",
            xanchor=anchor,
            y=1,
            yref="paper",
            yanchor="bottom",
            yshift=2,
            showarrow=False,
            text=render(said, look.language),
            font=font,
        )
    if named and eof_layer >= 0:
        on_left = at > n_blocks / 2
        figure.add_annotation(
            x=at,
            y=0.03,
            yref="paper",
            yanchor="bottom",
            xanchor="right" if on_left else "left",
            xshift=-6 if on_left else 6,
            text=look.t("last frozen layer: {layer}", layer=eof_layer),
            showarrow=False,
            bgcolor=look.palette.page,
            font=font,
        )


def _dress_panels(figure: go.Figure, panels: Sequence[Sequence[_Line]], look: Look, n: int, straight: Series | None) -> None:
    for row, lines in enumerate(panels, start=1):
        figure.update_yaxes(title={"text": _axis_title(lines, look)}, showgrid=True, gridcolor=look.palette.grid, nticks=6, row=row, col=1)
    _position_axes(figure, look, n, rows=len(panels))


def _position_axes(figure: go.Figure, look: Look, n: int, *, rows: int) -> None:
    every = 1 if n <= 7 else 5 if n <= 25 else 10  # labels stay apart on a phone
    places = [0, *(position for position in range(1, n) if (n - 1 - position) % every == 0 and position > every / 2)]
    figure.update_xaxes(
        range=[-0.6, n - 0.4],
        tickvals=places,
        ticktext=[position_name(position, look) for position in places],
        tickangle=0,
        ticks="outside",
        showline=True,
    )
    words_below = {"text": look.t("position in the model; layers are counted from 0"), "standoff": 6}
    figure.update_xaxes(title=words_below, row=rows, col=1)


def _layer_axis(n: int, look: Look) -> dict[str, object]:
    every = 1 if n <= 16 else 5 if n <= 50 else 10
    return {"tickvals": list(range(0, n, every)), "ticks": "outside", "showline": True, "linecolor": look.palette.quiet}


def _unit(curve: CurveName, look: Look) -> str:
    return look.t("loss (nats)") if curve == "lens" else look.t("deviation")


def _axis_title(lines: Sequence[_Line], look: Look) -> str:
    """The unit, and what it is measured against where all lines share that."""
    unit = _unit(lines[0].unit, look)
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


def _interval(interval: tuple[float, float] | None, look: Look) -> str:
    return "-" if interval is None else span(f"{interval[0]:.3f}", f"{interval[1]:.3f}", look.language)
