"""The brief's bands as targets, and this case's own figures in front of them: a target is never a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

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
_ROW = 88


def bands(case: BusinessCase, look: Look) -> go.Figure:
    """One axis a band: the target as a hatched bar, this case's own figure as a diamond in front of it.

    Args:
        case: what is drawn.
        look: language and theme.
    """
    found = case.result.bands
    n = max(len(found), 1)
    figure = go.Figure([trace for place, one in enumerate(found) for trace in _traces(place, one, look)])
    dressed(
        figure,
        look,
        height=88 + _ROW * n,
        title=look.t("Targets of the brief, and this case"),
        subtitle=look.t("hatched: target; diamond: this case"),
    )
    axes: dict[str, Any] = {}
    for place, one in enumerate(found):
        low, top = 1 - (place + 1) / n, 1 - place / n
        axes[f"yaxis{_suffix(place)}"] = {"domain": [low + 0.36 / n, top - 0.24 / n], "range": [-1, 1], "visible": False}
        axes[f"xaxis{_suffix(place)}"] = _axis(one, place, figure.layout.xaxis)
    named = [_name(place, n, one, look) for place, one in enumerate(found)]
    figure.update_layout(axes | {"annotations": named, "margin": {"t": 64, "l": 20, "r": 20, "b": 8}})
    return figure


def _suffix(place: int) -> str:
    """Plotly's name of the n-th axis: the first has no number."""
    return "" if place == 0 else str(place + 1)


def _axis(one: TargetBand, place: int, like: Any) -> dict[str, Any]:
    """The axis of one band, from 0 to its further end, in the house's dress."""
    scale = 1.0 if one.unit == "months" else 100.0
    ends = [0.0, *(scale * end for end in (one.low, one.high, one.own) if end is not None)]
    room = 0.06 * (max(ends) - min(ends))
    dress: dict[str, Any] = like.to_plotly_json()
    return dress | {
        "anchor": f"y{_suffix(place)}",
        "range": [min(ends) - room, max(ends) + room],
        "ticksuffix": "%" if one.unit == "share" else "",
        "showline": True,
        "ticks": "outside",
        "nticks": 6,
    }


def _name(place: int, n: int, one: TargetBand, look: Look) -> dict[str, Any]:
    """What the band is, and this case's own figure in words, above its axis."""
    return {
        "text": look.t("{about}: {limit}", about=look.t(BAND_NAMES[one.kind]), limit=own_words(one, look)),
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "y": 1 - place / n,
        "yref": "paper",
        "yanchor": "top",
        "showarrow": False,
        "font": {"size": 13, "color": look.palette.text},
    }


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
    digits = 0 if abs(value) >= 0.1 or abs(100 * value - round(100 * value)) < 0.05 else 1
    sign = "" if round(abs(value), 3) == 0 else "−" if value < 0 else "+"
    return sign + percent(abs(value), look.language, digits)


def _traces(place: int, one: TargetBand, look: Look) -> list[go.Bar | go.Scatter]:
    """The target, and in front of it this case where it has a figure."""
    scale = 1.0 if one.unit == "months" else 100.0
    low, high = scale * min(one.low, one.high), scale * max(one.low, one.high)
    grey = look.palette.operations["kept"]
    on = {"xaxis": f"x{_suffix(place)}", "yaxis": f"y{_suffix(place)}", "hovertemplate": "%{hovertext}<extra></extra>"}
    fill = {
        "color": faded(grey, 0.25),
        "line": {"color": grey, "width": 1},
        "pattern": {"shape": "/", "fgcolor": grey, "size": 8, "solidity": 0.15},
    }
    said = [look.t("target: {target}", target=target_words(one, look))]
    target = go.Bar(x=[high - low], base=[low], y=[0], width=1.4, orientation="h", marker=fill, hovertext=said, **on)
    if one.own is None:
        return [target]
    mark = {"symbol": "diamond", "size": 14, "color": look.palette.text, "line": {"color": look.palette.page, "width": 1.5}}
    said = [look.t("this case: {own}", own=own_words(one, look))]
    return [target, go.Scatter(x=[scale * one.own], y=[0], mode="markers", marker=mark, hovertext=said, **on)]
