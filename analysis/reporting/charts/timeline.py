"""The stages of a rollout over time: when each runs, how it stands, and the days on which somebody decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import plotly.graph_objects as go

from analysis.contracts import Rollout, Stage, StageState
from analysis.economics.dates import add_weeks, day
from analysis.i18n import N_
from analysis.i18n.numbers import number, percent
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.text import escaped

STAGE_STATES: Mapping[StageState, str] = {
    "planned": N_("planned"),
    "running": N_("running"),
    "passed": N_("passed"),
    "held": N_("held"),
    "rolled_back": N_("rolled back"),
    "stopped": N_("stopped"),
}
"""How a stage stands, as a word; its pattern in the chart says the same."""
_PATTERNS: Mapping[StageState, str] = {"planned": "", "running": "", "passed": "", "held": "-", "rolled_back": "/", "stopped": "x"}
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class StageSpan:
    """One stage with its first day and the day after its last."""

    stage: Stage
    start: date
    end: date


def stage_spans(rollout: Rollout, today: date) -> tuple[StageSpan, ...]:
    """When each stage runs: from its own date, else after the one before it; without any date the first one starts today."""
    spans: list[StageSpan] = []
    begin = day(rollout.starts_on) or today
    for stage in rollout.stages:
        start = day(stage.starts_on) or begin
        begin = add_weeks(start, stage.weeks)
        spans.append(StageSpan(stage, start, begin))
    return tuple(spans)


def timeline_figure(rollout: Rollout, look: Look, *, today: date) -> go.Figure:
    """One bar a stage on an axis of dates, the newest state as its fill, and the days of decision and review below."""
    spans = stage_spans(rollout, today)
    figure = go.Figure([_bar(span, place, look) for place, span in enumerate(spans)])
    marked = _marks(rollout, look)
    figure.add_trace(_diamonds(marked, len(spans), spans, look))
    dressed(figure, look, height=96 + 58 * (len(spans) + bool(marked)))
    figure.update_layout(barmode="overlay", margin={"t": 30, "b": 48, "l": 120, "r": 24})
    ticks = [_tick(span, look) for span in spans] + ([look.t("Dates")] if marked else [])
    figure.update_yaxes(tickvals=list(range(len(ticks))), ticktext=ticks, range=[len(ticks) - 0.4, -0.6], ticks="", showline=False)
    figure.update_yaxes(tickfont={"size": 12, "color": look.palette.text})
    figure.update_xaxes(type="date", showgrid=True, gridcolor=look.palette.grid, tickformat=_TICKS[look.language], nticks=7, tickangle=0)
    if min(span.start for span in spans) <= today <= max(span.end for span in spans):
        figure.add_vline(x=today.isoformat(), line={"color": look.palette.text, "dash": "dot", "width": 1.5})
        figure.add_annotation(x=today.isoformat(), y=1, yref="paper", yanchor="bottom", text=look.t("now"), showarrow=False)
    return figure


_TICKS = {"en": "%b<br>%Y", "ja": "%-m月<br>%Y年"}


def timeline_rows(rollout: Rollout, look: Look, *, today: date, names: Mapping[str, str]) -> list[dict[str, object]]:
    """The timeline as a table, one stage a row.

    Args:
        rollout: the stages.
        look: the language.
        today: where a stage without any date begins.
        names: slice -> what to call it.
    """
    t = look.t
    return [
        {
            t("Stage"): str(span.stage.number),
            t("State"): t(STAGE_STATES[span.stage.state]),
            t("From"): span.start.isoformat(),
            t("Until"): span.end.isoformat(),
            t("How much lighter"): percent(span.stage.compression, look.language),
            t("Which slices"): slices_words(span.stage, look, names),
            t("Share of their requests"): percent(span.stage.traffic, look.language),
            t("Owner"): span.stage.owner or t("nobody yet"),
        }
        for span in stage_spans(rollout, today)
    ]


def slices_words(stage: Stage, look: Look, names: Mapping[str, str]) -> str:
    """The slices of a stage in words; none named: all of them."""
    return look.t("{slices}", slices=tuple(names.get(one, one) for one in stage.slices)) if stage.slices else look.t("all slices")


def timeline_alt(rollout: Rollout, look: Look) -> str:
    """What the chart shows, in one sentence."""
    stages = tuple(look.t("stage {n} {state}", n=one.number, state=look.t(STAGE_STATES[one.state])) for one in rollout.stages)
    return look.t("Timeline of the stages: {stages}. The table below says the same.", stages=stages)


def _bar(span: StageSpan, place: int, look: Look) -> go.Bar:
    """Planned: hollow. Running: full. Passed: quiet. Held, rolled back, stopped: a pattern of its own."""
    colours, state = look.palette, span.stage.state
    ground = {"planned": "rgba(0,0,0,0)", "running": colours.text, "passed": colours.quiet}.get(state, colours.page)
    return go.Bar(
        base=[span.start.isoformat()],
        x=[(span.end - span.start).days * _DAY_MS],
        y=[place],
        width=0.5,
        orientation="h",
        marker={
            "color": ground,
            "line": {"color": colours.text if state != "passed" else colours.quiet, "width": 1.5},
            "pattern": {"shape": _PATTERNS[state], "fgcolor": colours.text, "bgcolor": colours.page, "size": 7, "solidity": 0.25}
            if _PATTERNS[state]
            else {},
        },
        hovertext=[_hover(span, look)],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _tick(span: StageSpan, look: Look) -> str:
    t, stage = look.t, span.stage
    dials = t("{percent} lighter, {traffic} of requests", percent=_share(stage.compression, look), traffic=_share(stage.traffic, look))
    name = t("Stage {n}: {state}", n=stage.number, state=t(STAGE_STATES[stage.state]))
    return f"<b>{name}</b><br>{dials.replace(', ', ',<br>').replace('、', '、<br>')}"


def _hover(span: StageSpan, look: Look) -> str:
    t, stage = look.t, span.stage
    name = t("Stage {n}: {state}", n=stage.number, state=t(STAGE_STATES[stage.state]))
    weeks = t("{weeks} weeks, from {start} to {end}", weeks=number(stage.weeks, look.language), start=str(span.start), end=str(span.end))
    slices = escaped(slices_words(stage, look, {}))
    dials = t("{percent} lighter, {traffic} of requests", percent=_share(stage.compression, look), traffic=_share(stage.traffic, look))
    return "<br>".join([f"<b>{name}</b>", weeks, dials, slices])


def _share(share: float, look: Look) -> str:
    return percent(share, look.language)


def _marks(rollout: Rollout, look: Look) -> list[tuple[date, str]]:
    t = look.t
    found = [(day(rollout.decision_on), t("decision")), (day(rollout.review_on), t("review"))]
    return [(on, said) for on, said in found if on is not None]


def _diamonds(marks: Sequence[tuple[date, str]], place: int, spans: Sequence[StageSpan], look: Look) -> go.Scatter:
    """The days of decision and review; the word stands on the side where there is room."""
    last = max(span.end for span in spans)
    return go.Scatter(
        x=[on.isoformat() for on, _ in marks],
        y=[place] * len(marks),
        mode="markers+text",
        marker={"symbol": "diamond", "size": 11, "color": look.palette.text},
        text=[said for _, said in marks],
        textposition=["middle left" if on >= last - timedelta(days=21) else "middle right" for on, _ in marks],
        textfont={"color": look.palette.text, "size": 12},
        hovertext=[f"{said}: {on.isoformat()}" for on, said in marks],
        hovertemplate="%{hovertext}<extra></extra>",
        cliponaxis=False,
    )
