"""Cash over the evaluation period: what was spent and saved up to each month, its band, and the month in which it is back."""

from __future__ import annotations

import plotly.graph_objects as go

from analysis.contracts import BusinessCase
from analysis.reporting.case_pictures import MoneyUnit, money_unit
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.series import reach, ribbon, style
from analysis.reporting.money_words import months


def cash_flow(case: BusinessCase, look: Look, *, height: int = 340) -> go.Figure:
    """Cumulated counted cash by month, with the range of four in five simulated cases, and the payback.

    Args:
        case: what is drawn.
        look: language and theme.
        height: pixels.
    """
    n_months, unit = _months(case), _unit(case, look)
    values = _scaled(case.result.cumulative, n_months, unit)
    low, high = (_scaled(line, n_months, unit) for line in _band(case))
    figure = go.Figure()
    if low and high:
        figure.add_trace(ribbon(list(range(len(low))), tuple(zip(low, high, strict=True)), style(2, look).colour))
    figure.add_trace(_line(values, unit, look))
    dressed(figure, look, height=height, title=look.t("Cash, added up"), subtitle=_subtitle(unit, look, bool(low)))
    bottom, top = reach([*values, *low, 0.0], [*values, *high], room=0.1)
    figure.update_yaxes(range=[bottom, top], showgrid=True, gridcolor=look.palette.grid, nticks=6, tickformat=",~r")
    figure.update_xaxes(
        title={"text": look.t("months after the start"), "standoff": 6}, range=[-0.5, n_months + 0.5], ticks="outside", dtick=6
    )
    zero = {"type": "line", "x0": 0, "x1": 1, "xref": "x domain", "y0": 0, "y1": 0, "line": {"color": look.palette.quiet, "width": 1.5}}
    figure.update_layout(shapes=[zero])
    _mark_payback(figure, case, look, n_months)
    return figure


def cash_flow_alt(case: BusinessCase, look: Look) -> str:
    """What the chart shows, in one sentence."""
    n_months, unit = _months(case), _unit(case, look)
    values = {
        "unit": unit.name,
        "first": unit.figure(case.result.cumulative[0], look.language),
        "last": unit.figure(case.result.cumulative[n_months], look.language),
        "months": n_months,
    }
    if case.result.payback_months is None or case.result.payback_months > n_months:
        return look.t("Chart: cash added up, in {unit}, from {first} at the start to {last} after {months} months.", **values)
    return look.t(
        "Chart: cash added up, in {unit}, from {first} at the start to {last} after {months} months; back within {m}.",
        **values,
        m=_payback(case, look),
    )


def cash_flow_rows(case: BusinessCase, look: Look) -> list[dict[str, object]]:
    """The curve as a table: one row a month."""
    t, n_months = look.t, _months(case)
    low, high = _band(case)
    return [
        {
            t("month"): month,
            t("cash, added up"): round(case.result.cumulative[month], 2),
            t("cautious (P10)"): round(low[month], 2) if low else None,
            t("optimistic (P90)"): round(high[month], 2) if high else None,
        }
        for month in range(n_months + 1)
    ]


def _months(case: BusinessCase) -> int:
    """The evaluation period, as far as the curve goes."""
    given = case.assumptions.values.get("horizon_months")
    horizon = round(given.value) if given is not None and given.value else 36
    return max(1, min(horizon, len(case.result.cumulative) - 1))


def _band(case: BusinessCase) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """P10 and P90; empty where nothing was simulated."""
    found = case.result.simulation
    there = len(found.cumulative_p10) == len(found.cumulative_p90) > _months(case)
    return (found.cumulative_p10, found.cumulative_p90) if there else ((), ())


def _unit(case: BusinessCase, look: Look) -> MoneyUnit:
    n_months = _months(case)
    ends = [line[at] for line in (case.result.cumulative, *_band(case)) if line for at in (0, n_months)]
    return money_unit(case.assumptions.currency, ends, look.language)


def _scaled(line: tuple[float, ...], n_months: int, unit: MoneyUnit) -> list[float]:
    return [value / unit.scale for value in line[: n_months + 1]]


def _subtitle(unit: MoneyUnit, look: Look, banded: bool) -> str:
    if not banded:
        return look.t("{unit}; saved less spent", unit=unit.name)
    return look.t("{unit}; band: 80 of 100 simulated cases", unit=unit.name)


def _line(values: list[float], unit: MoneyUnit, look: Look) -> go.Scatter:
    told = [
        look.t("month {m}: {amount} {unit}", m=month, amount=unit.figure(value * unit.scale, look.language), unit=unit.name)
        for month, value in enumerate(values)
    ]
    return go.Scatter(
        x=list(range(len(values))),
        y=values,
        mode="lines",
        line={"color": look.palette.text, "width": 2.5},
        text=told,
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _payback(case: BusinessCase, look: Look) -> str:
    return months(case.result.payback_months or 0.0, look.language)


def _mark_payback(figure: go.Figure, case: BusinessCase, look: Look, n_months: int) -> None:
    """The moment at which everything spent is back, in words."""
    at = case.result.payback_months
    if at is None or at > n_months:
        return
    figure.add_trace(
        go.Scatter(
            x=[at],
            y=[0.0],
            mode="markers",
            marker={"symbol": "diamond", "size": 11, "color": look.palette.text, "line": {"color": look.palette.page, "width": 1.5}},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    right = at > 0.6 * n_months
    figure.add_annotation(
        x=at,
        y=0.0,
        text=look.t("back within {m}", m=_payback(case, look)),
        showarrow=False,
        xanchor="right" if right else "left",
        yanchor="top",
        xshift=-9 if right else 9,
        yshift=-4,
        font={"color": look.palette.text, "size": 13},
    )
