"""From today's cost to tomorrow's: every line that changes as one step."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from analysis.contracts import BusinessCase
from analysis.reporting.case_pictures import MoneyUnit, Step, money_unit, waterfall_steps
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.series import style
from analysis.reporting.charts.text import escaped

_PATTERNS: Mapping[str, str] = {"total": "", "less": "/", "more": "x"}
_PLACES: Mapping[str, int] = {"less": 2, "more": 1}
_LINE = {"en": 10, "ja": 6}
"""Letters of a label's line: a column is narrow on a phone."""


def waterfall(case: BusinessCase, look: Look, *, height: int = 340) -> go.Figure:
    """Today's cost a month, every line that changes, and the cost with the plan; in the case's currency.

    Args:
        case: what is drawn.
        look: language and theme.
        height: pixels.
    """
    steps = waterfall_steps(case.result, look.language)
    unit = _unit(case, steps, look)
    figure = go.Figure([_column(place, step, unit, look) for place, step in enumerate(steps)])
    dressed(figure, look, height=height, title=look.t("From today's cost to tomorrow's"), subtitle=_subtitle(unit, look))
    figure.update_xaxes(
        tickvals=list(range(len(steps))),
        ticktext=[_broken(step.label, _LINE[look.language]) for step in steps],
        tickangle=0,
        range=[-0.6, len(steps) - 0.4],
        ticks="",
        showline=True,
    )
    ends = [end / unit.scale for step in steps for end in (step.start, step.end)]
    gap = 0.12 * (max(ends) - min(*ends, 0.0) or 1.0)
    figure.update_yaxes(range=[min(*ends, 0.0) - (gap if min(ends) < 0 else 0), max(ends) + gap], visible=False)
    figure.update_layout(barmode="overlay", bargap=0.25, margin={"l": 8})
    return figure


def waterfall_alt(case: BusinessCase, look: Look) -> str:
    """What the chart shows, in one sentence."""
    steps = waterfall_steps(case.result, look.language)
    unit = _unit(case, steps, look)
    said = tuple(f"{step.label} {unit.figure(step.amount, look.language, signed=step.kind != 'total')}" for step in steps)
    return look.t("Chart: from today's cost a month to tomorrow's, in {unit}: {steps}.", unit=unit.name, steps=said)


def waterfall_rows(case: BusinessCase, look: Look) -> list[dict[str, object]]:
    """The steps as a table, in whole units of the currency."""
    t = look.t
    return [
        {
            t("Step"): step.label,
            t("{currency} a month", currency=case.assumptions.currency): round(step.amount, 2),
        }
        for step in waterfall_steps(case.result, look.language)
    ]


def _unit(case: BusinessCase, steps: tuple[Step, ...], look: Look) -> MoneyUnit:
    return money_unit(case.assumptions.currency, [step.amount for step in steps if step.kind == "total"], look.language)


def _subtitle(unit: MoneyUnit, look: Look) -> str:
    return look.t("{unit} a month, once the plan is in full use; excluding tax", unit=unit.name)


def _column(place: int, step: Step, unit: MoneyUnit, look: Look) -> go.Bar:
    colour = look.palette.operations["kept"] if step.kind == "total" else style(_PLACES[step.kind], look).colour
    written = unit.figure(step.amount, look.language, signed=step.kind != "total")
    return go.Bar(
        x=[place],
        y=[(step.end - step.start) / unit.scale],
        base=[step.start / unit.scale],
        width=0.7,
        marker={
            "color": colour,
            "line": {"color": colour, "width": 1},
            "pattern": {"shape": _PATTERNS[step.kind], "bgcolor": colour, "fgcolor": look.palette.page, "size": 6, "solidity": 0.2},
        },
        text=[written],
        textposition="outside",
        textfont={"color": look.palette.text, "size": 13},
        constraintext="none",
        cliponaxis=False,
        hovertext=[f"<b>{escaped(step.label)}</b><br>{written} {unit.name}"],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _broken(label: str, width: int) -> str:
    """A label in lines of some letters; Japanese breaks anywhere, other writing between words."""
    lines = [""]
    spaced = " " in label
    for piece in label.split(" ") if spaced else list(label):
        joined = f"{lines[-1]} {piece}".strip() if spaced else lines[-1] + piece
        if lines[-1] and len(joined) > width:
            lines.append(piece)
        else:
            lines[-1] = joined
    return "<br>".join(escaped(line) for line in lines)
