"""The brief's bands as targets, and this case's own figures in front of them: a target is never a result."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analysis.contracts import BusinessCase, TargetBand
from analysis.i18n import N_
from analysis.i18n.numbers import percent, span
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.series import faded
from analysis.reporting.money_words import months

BAND_NAMES: Mapping[str, str] = {
    "cost": N_("change of cost"),
    "quality": N_("change of quality"),
    "payback": N_("months to payback"),
}
_ROW = 84


def bands(case: BusinessCase, look: Look) -> go.Figure:
    """One axis a band: the target as a hatched bar, this case's own figure as a diamond in front of it.

    Args:
        case: what is drawn.
        look: language and theme.
    """
    found = case.result.bands
    titles = [f"{look.t(BAND_NAMES[one.kind])}: {own_words(one, look)}" for one in found]
    figure = make_subplots(rows=max(len(found), 1), cols=1, subplot_titles=titles or [""], vertical_spacing=0.32)
    for place, one in enumerate(found, 1):
        _row(figure, place, one, look)
    dressed(
        figure,
        look,
        height=88 + _ROW * max(len(found), 1),
        title=look.t("Targets of the brief, and this case"),
        subtitle=look.t("hatched: target; diamond: this case"),
    )
    figure.update_yaxes(visible=False, range=[-1, 1])
    figure.update_xaxes(showline=True, ticks="outside", nticks=6)
    figure.update_annotations(x=0, xanchor="left", font={"size": 13, "color": look.palette.text})
    figure.update_layout(margin={"t": 88, "l": 20, "r": 20, "b": 36})
    return figure


def bands_alt(case: BusinessCase, look: Look) -> str:
    """What the chart shows, in one sentence."""
    said = tuple(
        look.t("{name} {own}, target {target}", name=look.t(BAND_NAMES[one.kind]), own=own_words(one, look), target=target_words(one, look))
        for one in case.result.bands
    )
    return look.t("Chart: targets and this case. {bands}.", bands=said)


def band_rows(case: BusinessCase, look: Look) -> list[dict[str, str]]:
    """Targets and own figures as a table."""
    t = look.t
    return [
        {
            t("Figure"): t(BAND_NAMES[one.kind]),
            t("Target"): target_words(one, look),
            t("This case"): own_words(one, look),
            t("Reached"): t("not known") if one.reached is None else t("yes") if one.reached else t("no"),
        }
        for one in case.result.bands
    ]


def own_words(one: TargetBand, look: Look) -> str:
    """This case's own figure; none where it has none."""
    return look.t("not known") if one.own is None else _figure(one.own, one, look)


def target_words(one: TargetBand, look: Look) -> str:
    """The band from its smaller to its larger size."""
    low, high = sorted((one.low, one.high), key=abs)
    return span(_figure(low, one, look), _figure(high, one, look), look.language)


def _figure(value: float, one: TargetBand, look: Look) -> str:
    if one.unit == "months":
        return months(value, look.language)
    digits = 0 if abs(value) >= 0.1 or value == 0 else 1
    sign = "" if round(abs(value), 3) == 0 else "−" if value < 0 else "+"
    return sign + percent(abs(value), look.language, digits)


def _row(figure: go.Figure, place: int, one: TargetBand, look: Look) -> None:
    scale = 1.0 if one.unit == "months" else 100.0
    low, high = scale * min(one.low, one.high), scale * max(one.low, one.high)
    grey = look.palette.operations["kept"]
    figure.add_trace(
        go.Bar(
            x=[high - low],
            base=[low],
            y=[0],
            width=1.1,
            orientation="h",
            marker={
                "color": faded(grey, 0.25),
                "line": {"color": grey, "width": 1},
                "pattern": {"shape": "/", "fgcolor": grey, "size": 8, "solidity": 0.15},
            },
            hovertext=[look.t("target: {target}", target=target_words(one, look))],
            hovertemplate="%{hovertext}<extra></extra>",
        ),
        row=place,
        col=1,
    )
    own = None if one.own is None else scale * one.own
    if own is not None:
        mark = {"symbol": "diamond", "size": 14, "color": look.palette.text, "line": {"color": look.palette.page, "width": 1.5}}
        said = look.t("this case: {own}", own=own_words(one, look))
        point = go.Scatter(x=[own], y=[0], mode="markers", marker=mark, hovertext=[said], hovertemplate="%{hovertext}<extra></extra>")
        figure.add_trace(point, row=place, col=1)
    ends = [low, high, 0.0, *([] if own is None else [own])]
    room = 0.06 * (max(ends) - min(ends))
    suffix = "%" if one.unit == "share" else ""
    figure.update_xaxes(range=[min(ends) - room, max(ends) + room], ticksuffix=suffix, row=place, col=1)
