"""Plan against actual, month by month: what it was to cost, what it did cost, and what made the difference."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from analysis.contracts import PlanAgainstActual, Variance
from analysis.i18n.numbers import number
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.series import PART_PATTERNS, style
from analysis.reporting.money_words import money, rounded_money


def actuals_figure(found: PlanAgainstActual, look: Look, *, currency: str) -> go.Figure:
    """Two bars a month: planned (hollow) and actual (full)."""
    t, colours = look.t, look.palette
    months = [one.month for one in found.months]
    figure = go.Figure()
    pairs = (
        (t("planned"), [one.planned_cost for one in found.months], True),
        (t("actual"), [one.actual_cost for one in found.months], False),
    )
    for name, values, hollow in pairs:
        figure.add_trace(
            go.Bar(
                x=months,
                y=[value / scale_of(currency) for value in values],
                name=name,
                marker={"color": "rgba(0,0,0,0)" if hollow else colours.operations["kept"], "line": {"color": colours.text, "width": 1.5}},
                hovertext=[f"{month}, {name}: {_said(value, currency, look)}" for month, value in zip(months, values, strict=True)],
                hovertemplate="%{hovertext}<extra></extra>",
            )
        )
    return _months(figure, look, currency, title=t("Cost by month"))


def causes_figure(found: PlanAgainstActual, look: Look, *, currency: str) -> go.Figure:
    """What made a month dearer (above 0) or cheaper: volume, price, effect, stacked; the three add up to the difference."""
    figure = go.Figure()
    months = [one.month for one in found.months]
    for place, (name, values) in enumerate(_causes(found.months, look)):
        figure.add_trace(
            go.Bar(
                x=months,
                y=[value / scale_of(currency) for value in values],
                name=name,
                marker={
                    "color": style(place + 1, look).colour,
                    "pattern": {
                        "shape": PART_PATTERNS[place],
                        "bgcolor": style(place + 1, look).colour,
                        "fgcolor": look.palette.page,
                        "solidity": 0.3,
                    },
                },
                hovertext=[f"{month}, {name}: {_said(value, currency, look)}" for month, value in zip(months, values, strict=True)],
                hovertemplate="%{hovertext}<extra></extra>",
            )
        )
    figure = _months(figure, look, currency, title=look.t("Dearer or cheaper than planned, by cause"))
    figure.update_layout(barmode="relative")
    figure.add_hline(y=0, line={"color": look.palette.quiet, "width": 1})
    return figure


def actuals_rows(found: PlanAgainstActual, look: Look, *, currency: str) -> list[dict[str, object]]:
    """The months as a table; the three causes add up to the difference."""
    t = look.t

    def said(value: float | None) -> str:
        return t("not told apart") if value is None else cell(value, currency, look)

    def head(words: str) -> str:
        return with_unit(words, currency, look)

    return [
        {
            t("Month"): one.month,
            head(t("Planned cost")): said(one.planned_cost),
            head(t("Actual cost")): said(one.actual_cost),
            head(t("Difference")): said(one.difference),
            head(t("by volume")): said(one.volume),
            head(t("by price")): said(one.price),
            head(t("by effect")): said(one.effect),
            head(t("Planned saving")): said(one.planned_saving),
            head(t("Actual saving")): said(one.actual_saving),
        }
        for one in found.months
    ]


def cell(value: float, currency: str, look: Look) -> str:
    """A sum for a column whose head names the unit: at most three digits that count, thousands parted, a minus as a sign."""
    rounded = rounded_money(value)
    digits = 0 if rounded == round(rounded) or currency == "JPY" else 2
    said = number(abs(rounded), look.language, digits)
    return f"−{said}" if rounded < 0 else said


def unit_word(currency: str, look: Look) -> str:
    """What the figures of a column are in."""
    return look.t("JPY") if currency == "JPY" else look.t("USD") if currency == "USD" else look.t("EUR")


def with_unit(head: str, currency: str, look: Look) -> str:
    """A head with the unit of its column."""
    return look.t("{head} ({unit})", head=head, unit=unit_word(currency, look))


def scale_of(currency: str) -> float:
    """What an axis counts in: thousands of yen, single dollars and euros."""
    return 1000.0 if currency == "JPY" else 1.0


def axis_title(currency: str, look: Look) -> str:
    """The axis with its unit."""
    t = look.t
    return t("a month, thousand yen") if currency == "JPY" else t("a month, {currency}", currency=currency)


def _causes(months: Sequence[Variance], look: Look) -> list[tuple[str, list[float]]]:
    t = look.t
    found = [(t("by volume"), [one.volume for one in months]), (t("by effect"), [one.effect for one in months])]
    if any(one.price is not None for one in months):
        found.insert(1, (t("by price"), [one.price or 0.0 for one in months]))
    return found


def _said(value: float, currency: str, look: Look) -> str:
    return money(value, currency, look.language, table=True)


def _months(figure: go.Figure, look: Look, currency: str, *, title: str) -> go.Figure:
    dressed(figure, look, height=300, title=title)
    figure.update_yaxes(title={"text": axis_title(currency, look)}, showgrid=True, gridcolor=look.palette.grid, nticks=6, tickformat=",")
    figure.update_xaxes(type="category", showline=True)
    legend = {"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom", "x": 0}
    figure.update_layout(showlegend=True, barmode="group", bargap=0.35, legend=legend, margin={"b": 72})
    return figure
