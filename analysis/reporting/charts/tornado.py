"""What matters most: every assumption moved to either end of its range, and what the whole case is worth then."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from analysis.contracts import BusinessCase, Swing
from analysis.economics.names import FIGURES
from analysis.i18n import N_
from analysis.i18n.numbers import number, percent
from analysis.reporting.case_pictures import MoneyUnit, money_unit
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.series import style
from analysis.reporting.charts.text import escaped
from analysis.reporting.money_words import months

_MEASURED = {"measured_saving": N_("measured saving"), "measured_quality": N_("measured quality")}
_ROW, _MOST = 44, 8


def tornado(case: BusinessCase, look: Look, *, most: int = _MOST) -> go.Figure:
    """Net present value with each figure at the low and at the high end of its range, the one that matters most on top.

    Args:
        case: what is drawn.
        look: language and theme.
        most: bars at most.
    """
    swings, unit = case.result.tornado[:most], _unit(case, look)
    figure = go.Figure([_bars(swings, case, look, unit, end) for end in ("low", "high")])
    dressed(
        figure,
        look,
        height=150 + _ROW * max(len(swings), 1),
        title=look.t("Net present value at either end of each range"),
        subtitle=look.t("{unit}; upright line: as assumed", unit=unit.name),
    )
    figure.update_yaxes(
        tickvals=list(range(len(swings))),
        ticktext=[_tick(_with_unit(one.name, case, look), look) for one in swings],
        range=[len(swings) - 0.45, -0.55],
        ticks="",
        showline=False,
        tickfont={"color": look.palette.text},
    )
    ends = [end / unit.scale for one in swings for end in (one.npv_low, one.npv_high)] or [0.0]
    low, high = min(*ends, 0.0), max(*ends, 0.0)
    room = 0.36 * (high - low or 1.0)
    figure.update_xaxes(range=[low - room, high + room], showgrid=True, gridcolor=look.palette.grid, nticks=5, tickformat=",~r")
    legend = {"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom", "x": 0}
    shapes = [
        _upright(case.result.npv / unit.scale, {"color": look.palette.text, "width": 1.5}),
        _upright(0.0, {"color": look.palette.quiet, "width": 1, "dash": "dot"}),
    ]
    figure.update_layout(barmode="overlay", showlegend=True, legend=legend, margin={"b": 72}, shapes=shapes)
    return figure


def _upright(at: float, line: dict[str, Any]) -> dict[str, Any]:
    return {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "y domain", "line": line}


def tornado_alt(case: BusinessCase, look: Look) -> str:
    """What the chart shows, in one sentence."""
    names = tuple(figure_label(one.name, look) for one in case.result.tornado[:3])
    if not names:
        return look.t("Chart: no assumption has a range, so none moves the result.")
    return look.t("Chart: what moves the net present value most: {names}.", names=names)


def tornado_rows(case: BusinessCase, look: Look) -> list[dict[str, object]]:
    """Every swing as a table."""
    t = look.t
    return [
        {
            t("assumption"): figure_label(one.name, look),
            t("low"): one.low,
            t("high"): one.high,
            t("net present value at low"): round(one.npv_low, 2),
            t("net present value at high"): round(one.npv_high, 2),
            t("months to payback at low"): one.payback_low,
            t("months to payback at high"): one.payback_high,
        }
        for one in case.result.tornado
    ]


def figure_label(name: str, look: Look) -> str:
    """A figure as it is called; a name that is not known stays as it is."""
    known = FIGURES.get(name)
    return look.t(known.label) if known else look.t(_MEASURED[name]) if name in _MEASURED else name


def _with_unit(name: str, case: BusinessCase, look: Look) -> str:
    """A figure with its unit, since the ends of its range are written beside the bars."""
    known = FIGURES.get(name)
    if known is None or not known.unit:
        return figure_label(name, look)
    given = case.assumptions.values.get(name)
    currency = (given.currency if given else None) or case.assumptions.currency
    unit = look.t(known.unit, currency=look.t(currency)) if known.is_money else look.t(known.unit)
    return look.t("{figure} ({unit})", figure=figure_label(name, look), unit=unit)


def _tick(label: str, look: Look) -> str:
    """A label in two lines where it is long."""
    width = 28 if look.language == "en" else 14
    if len(label) <= width:
        return escaped(label)
    cut = label.rfind(" ", 0, width)
    cut = cut if cut > 0 else width
    rest = label[cut:].strip()
    return escaped(label[:cut]) + "<br>" + escaped(rest if len(rest) <= width else rest[: width - 1] + "…")


def _unit(case: BusinessCase, look: Look) -> MoneyUnit:
    ends = [end for one in case.result.tornado for end in (one.npv_low, one.npv_high)]
    return money_unit(case.assumptions.currency, [*ends, case.result.npv], look.language)


def _bars(swings: tuple[Swing, ...], case: BusinessCase, look: Look, unit: MoneyUnit, end: str) -> go.Bar:
    """One end of every figure: the low one above the row's middle, the high one below it."""
    low, base = end == "low", case.result.npv / unit.scale
    colour = style(1 if low else 2, look).colour
    npvs = [one.npv_low if low else one.npv_high for one in swings]
    return go.Bar(
        name=look.t("figure at its low end") if low else look.t("figure at its high end"),
        x=[npv / unit.scale - base for npv in npvs],
        base=[base] * len(swings),
        y=[place + (-0.19 if low else 0.19) for place in range(len(swings))],
        width=0.36,
        orientation="h",
        marker={
            "color": colour,
            "line": {"color": colour, "width": 1},
            "pattern": {"shape": "" if low else "/", "bgcolor": colour, "fgcolor": look.palette.page, "size": 6, "solidity": 0.2},
        },
        text=[_written(one.name, one.low if low else one.high, look) for one in swings],
        textposition="outside",
        textfont={"color": look.palette.quiet, "size": 12},
        constraintext="none",
        cliponaxis=False,
        hovertext=[_hover(one, low, look, unit) for one in swings],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _written(name: str, value: float, look: Look) -> str:
    """The end of a range, as short as it stands beside a bar."""
    if name in _MEASURED:
        return percent(value, look.language, 0 if abs(value) >= 0.1 else 1)
    written = f"{value:.3f}".rstrip("0")
    return number(value, look.language, 0 if abs(value) >= 100 else len(written.partition(".")[2]))


def _hover(one: Swing, low: bool, look: Look, unit: MoneyUnit) -> str:
    name, value, npv = figure_label(one.name, look), one.low if low else one.high, one.npv_low if low else one.npv_high
    values = {"name": escaped(name), "value": _written(one.name, value, look), "npv": unit.figure(npv, look.language), "unit": unit.name}
    back = one.payback_low if low else one.payback_high
    said = look.t("{name} {value}: net present value {npv} {unit}", **values)
    return said if back is None else said + "<br>" + look.t("back within {m}", m=months(back, look.language))
