"""How far disturbed input raises the loss of original and plan: one small chart for each disturbance, all on one scale."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from analysis.contracts import ATTACKS, Disturbed, Estimate, Robustness
from analysis.i18n import render
from analysis.i18n.numbers import number, percent, span
from analysis.reporting import robustness_words as words
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.series import reach, style
from analysis.reporting.charts.text import escaped

Reach = tuple[float, float]
_ORIGINAL, _PLAN = 0, 1
_APART = 0.07
"""Whiskers of original and plan stand beside one another, not over one another."""


def shared_reach(stands: Sequence[words.Stand]) -> Reach:
    """The range of rise that all these disturbances fit into, so that their charts can be compared; 0 is always in it."""
    found = [rise for stand in stands for row in stand.results for rise in (row.rise_original, row.rise_plan)]
    lows, highs = [rise.value if rise.low is None else rise.low for rise in found], [_high(rise) for rise in found]
    return reach([*lows, 0.0], highs)


def rise_figure(stand: words.Stand, look: Look, limits: Reach, *, height: int = 250) -> go.Figure:
    """The rise of the loss over a disturbance's strengths, original and plan side by side with their 95% intervals.

    Args:
        stand: the disturbance with its results.
        look: language and theme.
        limits: the range of the rise, shared by all charts that stand together.
        height: pixels.
    """
    t = look.t
    figure = go.Figure()
    for place in (_ORIGINAL, _PLAN):
        figure.add_trace(_line(stand, place, look))
    dressed(
        figure,
        look,
        height=height,
        title=escaped(t(words.DISTURBANCES[stand.kind])),
        subtitle=escaped(render(words.standing_of(stand), look.language)),
    )
    figure.update_yaxes(
        range=list(limits), showgrid=True, gridcolor=look.palette.grid, nticks=5, zeroline=True, zerolinecolor=look.palette.quiet
    )
    attack = stand.kind in ATTACKS
    figure.update_xaxes(
        tickvals=list(range(len(stand.results))),
        ticktext=[words.level(stand.kind, row.level, look.language) for row in stand.results],
        range=[-0.4, len(stand.results) - 0.6],
        title={"text": t("largest change (epsilon)") if attack else t("share changed"), "standoff": 4, "font": {"size": 12}},
        showline=True,
    )
    figure.update_layout(
        showlegend=True,
        legend={"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom", "x": 0, "font": {"size": 11}},
        margin={"l": 40, "r": 8, "b": 72, "t": 58},
    )
    return figure


def rise_alt(stand: words.Stand, look: Look) -> str:
    """What a small chart shows, in one sentence."""
    strongest = stand.strongest
    return look.t(
        "Chart: rise of the loss under {kind}, original {original} and plan {plan} at the greatest strength; {standing}.",
        kind=look.t(words.DISTURBANCES[stand.kind]),
        original=_figure(strongest.rise_original.value, look),
        plan=_figure(strongest.rise_plan.value, look),
        standing=render(words.standing_of(stand), look.language),
    )


def rise_rows(found: Robustness, look: Look) -> list[dict[str, object]]:
    """Everything that was measured under disturbance, one row for each strength."""
    return [_row(row, look) for stand in words.stands(found) for row in stand.results]


def _row(row: Disturbed, look: Look) -> dict[str, object]:
    t, code = look.t, look.language
    return {
        t("disturbance"): t(words.DISTURBANCES[row.kind]),
        t("strength"): words.level(row.kind, row.level, code),
        t("really changed"): "" if row.touched is None else percent(row.touched, code, 1),
        t("the plan is"): t(words.COMPARISONS[row.comparison]),
        t("rise of the original (nats)"): _rounded(row.rise_original.value),
        t("rise of the plan (nats)"): _rounded(row.rise_plan.value),
        t("difference (nats)"): _rounded(row.difference.value),
        t("95% low"): _rounded(row.difference.low),
        t("95% high"): _rounded(row.difference.high),
        t("loss of the original"): _rounded(row.loss_original.value),
        t("loss of the plan"): _rounded(row.loss_plan.value),
        t("first choice stays, original"): _share(row.agreement_original, look),
        t("first choice stays, plan"): _share(row.agreement_plan, look),
        t("attack found nothing (prompts)"): row.found_nothing if row.kind in ATTACKS else "",
        t("prompts"): row.n_examples,
        t("tokens"): row.n_tokens,
        t("remark"): render(row.note, code) if row.note else "",
    }


def _line(stand: words.Stand, place: int, look: Look) -> go.Scatter:
    name = look.t("plan") if place == _PLAN else look.t("original")
    drawn = style(place, look)
    colour = look.palette.operations["kept"] if place == _ORIGINAL else look.palette.text
    rises = [row.rise_plan if place == _PLAN else row.rise_original for row in stand.results]
    known = [(at, row, rise) for at, (row, rise) in enumerate(zip(stand.results, rises, strict=True)) if rise.value is not None]
    return go.Scatter(
        x=[at + (_APART if place == _PLAN else -_APART) for at, _, _ in known],
        y=[rise.value for _, _, rise in known],
        mode="lines+markers",
        name=name,
        line={"color": colour, "width": 2, "dash": drawn.dash},
        marker={"size": 8, "symbol": drawn.symbol, "color": colour},
        error_y=_whiskers([rise for _, _, rise in known], colour),
        text=[_hover(name, row, rise, look) for _, row, rise in known],
        hovertemplate="%{text}<extra></extra>",
        cliponaxis=False,
    )


def _whiskers(rises: Sequence[Estimate], colour: str) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [_high(rise) - (rise.value or 0.0) for rise in rises],
        "arrayminus": [(rise.value or 0.0) - (rise.low if rise.low is not None else rise.value or 0.0) for rise in rises],
        "thickness": 1.5,
        "width": 3,
        "color": colour,
    }


def _hover(name: str, row: Disturbed, rise: Estimate, look: Look) -> str:
    t, code = look.t, look.language
    lines = [
        f"<b>{escaped(name)}</b>, {words.level(row.kind, row.level, code)}",
        t("loss rises by {value}", value=_interval(rise, look)),
        t("plan minus original: {value}", value=_interval(row.difference, look)),
        t("{n} prompts, {tokens} tokens", n=row.n_examples, tokens=row.n_tokens),
    ]
    return "<br>".join(lines)


def _interval(found: Estimate, look: Look) -> str:
    if found.value is None or found.low is None or found.high is None:
        return _figure(found.value, look)
    between = span(number(found.low, look.language, 3), number(found.high, look.language, 3), look.language)
    return f"{_figure(found.value, look)} ({between})"


def _figure(value: float | None, look: Look) -> str:
    return look.t("not known") if value is None else number(value, look.language, 3)


def _high(rise: Estimate) -> float:
    return rise.high if rise.high is not None else rise.value or 0.0


def _rounded(value: float | None) -> float | str:
    return "" if value is None else round(value, 4)


def _share(found: Estimate | None, look: Look) -> str:
    return "" if found is None or found.value is None else percent(found.value, look.language)
