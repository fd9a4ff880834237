"""The step-by-step removal as a film: the stack as it stands at a step with every layer's score, and what it has cost so far."""

from __future__ import annotations

from typing import Literal

import plotly.graph_objects as go

from analysis.contracts import ModelRef, Plan, Provenance, Prune, Ranking, RankingStep, Skip, Unit, UnitSet
from analysis.i18n.numbers import duration, number, span
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.stack import stack_figure
from analysis.reporting.headlines_consensus import UNIT_OF_LAYER

_UNITS: tuple[Unit, ...] = ("block", "attention", "mlp")


def frame(ranking: Ranking, at: int, look: Look) -> go.Figure:
    """The stack after so many steps, and the score of every layer still in by which the next step chooses.

    Args:
        ranking: whose steps are shown.
        at: steps taken; 0: the whole model.
        look: language and theme.
    """
    t = look.t
    out = removed_after(ranking, at)
    figure = stack_figure(ranking.model, look, stack=ranking.stack, plans=_as_plan(ranking, out))
    figure.update_layout(xaxis={"domain": [0, 0.6]})
    step = ranking.steps[at] if at < len(ranking.steps) else None
    if step is None:
        return figure
    figure.add_trace(_scores(step, look))
    axis = {"domain": [0.64, 1], "anchor": "y", "rangemode": "tozero", "nticks": 4, "fixedrange": True}
    title = {"text": t("score of the consensus;<br>ringed: goes next"), "standoff": 6, "font": {"size": 13}}
    grid = {"showgrid": True, "gridcolor": look.palette.grid, "tickfont": {"color": look.palette.quiet, "size": 12}}
    figure.update_layout(xaxis2={**axis, **grid, "title": title})
    return figure


def path(ranking: Ranking, at: int, look: Look, *, height: int = 300) -> go.Figure:
    """Loss against what is out, step by step, with intervals; the step that is shown is filled."""
    t = look.t
    steps = [step for step in ranking.steps if step.chosen and step.loss is not None]
    xs, ys = [0, *range(1, len(steps) + 1)], [0.0, *(step.change or 0.0 for step in steps)]
    bounds = [(0.0, 0.0), *(step.interval or (step.change or 0.0, step.change or 0.0) for step in steps)]
    figure = go.Figure(
        go.Scatter(
            x=xs,
            y=ys,
            mode="lines+markers",
            line={"color": look.palette.text, "width": 1.5},
            marker={
                "size": [13 if x == at else 8 for x in xs],
                "color": [look.palette.text if x == at else look.palette.page for x in xs],
                "line": {"color": look.palette.text, "width": 1.5},
            },
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [high - y for (_, high), y in zip(bounds, ys, strict=True)],
                "arrayminus": [y - low for (low, _), y in zip(bounds, ys, strict=True)],
                "thickness": 1.2,
                "width": 3,
                "color": look.palette.quiet,
            },
            customdata=[[x] for x in xs],
            text=[t("<b>the whole model</b>"), *(_hover(ranking, place, look) for place in range(len(steps)))],
            hovertemplate="%{text}<extra></extra>",
            cliponaxis=False,
        )
    )
    dressed(figure, look, height=height, title=t("What it costs"), subtitle=t("rise of the loss on the calibration examples, 95% interval"))
    figure.update_xaxes(
        title={"text": t("steps"), "standoff": 6}, dtick=1 if len(xs) <= 16 else None, range=[-0.3, len(xs) - 0.7], ticks="outside"
    )
    figure.update_yaxes(title={"text": t("nats per token")}, showgrid=True, gridcolor=look.palette.grid, rangemode="tozero")
    return figure


def removed_after(ranking: Ranking, at: int) -> UnitSet:
    """What is out after so many steps."""
    return tuple(sorted((ref for step in ranking.steps[:at] for ref in step.chosen), key=lambda ref: ref[1]))


def film_rows(ranking: Ranking, look: Look) -> list[dict[str, object]]:
    """Every step as a table: what went, its score, the loss, the passes and the time."""
    t = look.t
    rows = []
    for place, step in enumerate(ranking.steps, start=1):
        scores = dict(zip(step.candidates, step.scores, strict=True))
        rows.append(
            {
                t("step"): place,
                t("taken out"): ", ".join(t(UNIT_OF_LAYER[unit], i=block) for unit, block in step.chosen) or t("nothing"),
                t("score"): ", ".join(number(score, look.language, 1) for ref in step.chosen if (score := scores.get(ref)) is not None),
                t("loss"): step.loss,
                t("change (nats per token)"): step.change,
                t("95% low"): step.interval[0] if step.interval else None,
                t("95% high"): step.interval[1] if step.interval else None,
                t("passes through a layer"): step.cost.block_calls,
                t("the same, one by one"): step.cost.naive_block_calls,
                t("seconds of passes"): round(step.cost.pass_seconds, 1),
                t("seconds of arithmetic"): round(step.cost.metric_seconds, 1),
            }
        )
    return rows


def _as_plan(ranking: Ranking, out: UnitSet, op: Literal["prune", "skip"] = "prune") -> tuple[Plan, ...]:
    """What is out as the stack drawing takes it; nothing: the whole model."""
    kind = Prune if op == "prune" else Skip
    operations = tuple(
        kind(unit=unit, blocks=blocks, stack=ranking.stack)
        for unit in _UNITS
        if (blocks := tuple(sorted(block for one, block in out if one == unit)))
    )
    if not operations:
        return ()
    info = ranking.model
    model = ModelRef(
        name=info.name,
        source=info.source,
        commit=info.commit,
        architecture=info.architecture,
        n_blocks=len(info.stack(ranking.stack).blocks),
        stack=ranking.stack,
    )
    return (Plan(model=model, operations=operations, provenance=Provenance(criterion="consensus", amount="")),)


def _scores(step: RankingStep, look: Look) -> go.Scatter:
    """The score of every candidate; those that go next are ringed."""
    known = [(ref, score) for ref, score in zip(step.candidates, step.scores, strict=True) if score is not None]
    goes = set(step.chosen)
    return go.Scatter(
        x=[score for _, score in known],
        y=[ref[1] for ref, _ in known],
        mode="markers",
        xaxis="x2",
        yaxis="y",
        marker={
            "size": [13 if ref in goes else 7 for ref, _ in known],
            "symbol": ["circle-open-dot" if ref in goes else "circle" for ref, _ in known],
            "color": [look.palette.operations["prune"] if ref in goes else look.palette.text for ref, _ in known],
            "line": {"width": 2},
        },
        text=[
            f"<b>{look.t(UNIT_OF_LAYER[ref[0]], i=ref[1])}</b><br>{look.t('score {score}', score=number(score, look.language, 1))}"
            for ref, score in known
        ],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _hover(ranking: Ranking, place: int, look: Look) -> str:
    t, code, step = look.t, look.language, ranking.steps[place]
    taken = ", ".join(t(UNIT_OF_LAYER[unit], i=block) for unit, block in step.chosen)
    lines = [
        f"<b>{t('step {n}: {units} taken out', n=place + 1, units=taken)}</b>",
        t("loss {value}", value=number(step.loss or 0.0, code, 3)),
    ]
    if step.interval:
        low, high = (number(value, code, 3) for value in step.interval)
        lines.append(t("change {value}, 95% interval {range}", value=number(step.change or 0.0, code, 3), range=span(low, high, code)))
    lines.append(t("measured in {time}", time=duration(step.seconds, code)))
    return "<br>".join(lines)
