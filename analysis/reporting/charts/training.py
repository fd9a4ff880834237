"""What training cost and gained: learning curves of every arm, times of a step, and what its memory is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import plotly.graph_objects as go

from analysis.contracts import Distribution, Trial, TrialArm, TrialPoint
from analysis.contracts.freezing import TrainingProjection
from analysis.i18n import N_, render
from analysis.i18n.numbers import amount, number, size
from analysis.reporting import training_words as words
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.series import PART_PATTERNS, faded, reach, style

Against = Literal["tokens", "seconds", "flops"]
AGAINST: dict[Against, str] = {
    "tokens": N_("tokens trained on"),
    "seconds": N_("seconds of training, measured"),
    "flops": N_("FLOPs of training"),
}
"""What a learning curve can be drawn against, by name."""
_ROW = 44


def learning_curves(arms: Trial | Sequence[TrialArm], look: Look, *, against: Against = "tokens", height: int = 400) -> go.Figure:
    """Verification loss along the training, one line an arm; a click carries ``customdata [arm, point]``.

    An arm that was not yet judged on the verification half is drawn by its loss on the tuning part, and its name says so.

    Args:
        arms: a trial, or the arms that are there so far.
        look: language and theme.
        against: what the training is counted in.
        height: pixels.
    """
    t, shown = look.t, _arms(arms)
    figure = go.Figure()
    for place, arm in enumerate(shown):
        figure.add_trace(_curve(arm, place, look, against))
    dressed(
        figure,
        look,
        height=height + 20 * (len(shown) // 3),
        title=t("Loss on examples that nothing learns from"),
        subtitle=t("nats per response token; less is better"),
    )
    losses = [loss for arm in shown for point in arm.points if (loss := _loss(point, arm)) is not None]
    figure.update_yaxes(
        title={"text": t("loss (nats per token)")}, range=list(reach(losses)), showgrid=True, gridcolor=look.palette.grid, nticks=6
    )
    furthest = max([_at(point, against) for arm in shown for point in arm.points], default=1.0) or 1.0
    figure.update_xaxes(
        title={"text": t(AGAINST[against]), "standoff": 6},
        range=[-0.02 * furthest, 1.04 * furthest],
        showline=True,
        ticks="outside",
        nticks=7,
    )
    figure.update_layout(
        showlegend=True, legend={"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom", "x": 0}, margin={"b": 104}
    )
    return figure


def learning_curves_alt(arms: Trial | Sequence[TrialArm], look: Look) -> str:
    """What the chart shows, in one sentence."""
    said = tuple(
        look.t("{arm} {loss}", arm=render(words.arm(arm), look.language), loss=f"{arm.loss_after.value:.2f}")
        for arm in _arms(arms)
        if arm.loss_after.value is not None
    )
    if not said:
        return look.t("Chart: loss along the training; no arm has come to its end yet.")
    return look.t("Chart: loss along the training, at the end: {arms}.", arms=said)


def learning_rows(arms: Trial | Sequence[TrialArm], look: Look) -> list[dict[str, object]]:
    """The curves as a table: one row an arm and moment."""
    t = look.t
    return [
        {
            t("arm"): render(words.arm(arm), look.language),
            t("step"): point.step,
            t("tokens"): point.tokens,
            t("seconds"): round(point.seconds, 2),
            t("loss, training"): point.train_loss,
            t("loss, tuning part"): point.tuning_loss,
            t("loss, verification half"): point.verification_loss,
        }
        for arm in _arms(arms)
        for point in arm.points
    ]


def step_bars(trial: Trial, look: Look) -> go.Figure:
    """Time of a step in the first epoch and in later ones, where a cached prefix shows; a click carries ``customdata [arm]``."""
    t, arms = look.t, trial.arms
    figure = go.Figure()
    later = [arm.cost.later_epochs_ms for arm in arms]
    first = [arm.cost.first_epoch_ms for arm in arms]
    figure.add_trace(_bars(first, arms, look, t("first epoch"), 0))
    if any(later):
        figure.add_trace(_bars(later, arms, look, t("later epochs; frozen layers from the cache"), 1))
    dressed(
        figure,
        look,
        height=142 + _ROW * max(len(arms), 1),
        title=t("Time of a training step"),
        subtitle=t("median, measured; line: up to the 95th percentile"),
    )
    widest = max([one.p95 for one in (*first, *later) if one is not None], default=1.0)
    figure.update_xaxes(
        title={"text": t("milliseconds"), "standoff": 6}, range=[0, 1.22 * widest], showgrid=True, gridcolor=look.palette.grid, nticks=6
    )
    _arm_axis(figure, arms, look)
    figure.update_layout(barmode="group", bargap=0.3, bargroupgap=0.05)
    return figure


def step_alt(trial: Trial, look: Look) -> str:
    """What the chart shows, in one sentence."""
    own, full = trial.own, next((arm for arm in trial.arms if arm.kind == "full"), None)
    if own is None or full is None:
        return look.t("Bars: time of a training step of every arm.")
    return look.t(
        "Bars: time of a training step of every arm; full fine-tuning {full} ms, this plan {own} ms.",
        full=round(full.cost.first_epoch_ms.p50, 1),
        own=round(own.cost.first_epoch_ms.p50, 1),
    )


def memory_bars(of: Trial | TrainingProjection, look: Look) -> go.Figure:
    """What the memory of a training step is made of: weights, gradients, optimizer, activations. Measured, or projected."""
    t = look.t
    names, parts = _memory(of, look)
    unit, divisor = _unit(max((sum(row[part] or 0 for part in words.PARTS) for row in parts), default=0))
    figure = go.Figure()
    for place, (part, name) in enumerate(words.PARTS.items()):
        figure.add_trace(_memory_bar(part, t(name), [row[part] for row in parts], place, look, divisor))
    totals = [sum(row[part] or 0 for part in words.PARTS) for row in parts]
    for place, total in enumerate(totals):
        figure.add_annotation(x=total / divisor, y=place, xanchor="left", xshift=4, showarrow=False, text=size(total, look.language))
    figure.update_annotations(font={"size": 12, "color": look.palette.text})
    missing = any(row["activation_bytes"] is None for row in parts)
    subtitle = t("projected from shapes") if isinstance(of, TrainingProjection) else t("counted while training")
    if missing:
        subtitle = t("{origin}; activations are not told everywhere", origin=subtitle)
    dressed(figure, look, height=142 + _ROW * max(len(names), 1), title=t("Memory of a training step"), subtitle=subtitle)
    widest = max(totals, default=1) / divisor or 1.0
    figure.update_xaxes(title={"text": unit, "standoff": 6}, range=[0, 1.2 * widest], showgrid=True, gridcolor=look.palette.grid, nticks=6)
    _row_axis(figure, names)
    figure.update_layout(barmode="stack", bargap=0.35)
    return figure


def memory_alt(of: Trial | TrainingProjection, look: Look) -> str:
    """What the chart shows, in one sentence."""
    names, parts = _memory(of, look)
    said = tuple(
        look.t("{arm} {size}", arm=name, size=size(sum(row[part] or 0 for part in words.PARTS), look.language))
        for name, row in zip(names, parts, strict=True)
    )
    return look.t("Bars: memory of a training step by what it is made of: {arms}.", arms=said)


def cost_rows(trial: Trial, look: Look) -> list[dict[str, object]]:
    """What every arm cost and gained, as a table."""
    t, language = look.t, look.language
    return [
        {
            t("arm"): render(words.arm(arm), language),
            t("learning rate"): f"{arm.learning_rate:g}",
            t("weights that train"): amount(arm.n_trainable, language),
            t("step, first epoch (ms)"): round(arm.cost.first_epoch_ms.p50, 2),
            t("step, later epochs (ms)"): None if arm.cost.later_epochs_ms is None else round(arm.cost.later_epochs_ms.p50, 2),
            t("peak memory"): "-" if arm.cost.peak_memory_bytes is None else size(arm.cost.peak_memory_bytes, language),
            t("loss before (nats)"): arm.loss_before.value,
            t("loss after (nats)"): arm.loss_after.value,
            t("kept of full fine-tuning's gain (%)"): _hundred(arm.kept_at_tokens.value if arm.kept_at_tokens else None),
            t("at equal time (%)"): _hundred(arm.kept_at_cost),
            t("how it ended"): t(words.STOPS[arm.stop]),
        }
        for arm in trial.arms
    ]


def _arms(arms: Trial | Sequence[TrialArm]) -> Sequence[TrialArm]:
    return arms.arms if isinstance(arms, Trial) else arms


def _judged(arm: TrialArm) -> bool:
    return any(point.verification_loss is not None for point in arm.points)


def _loss(point: TrialPoint, arm: TrialArm) -> float | None:
    return point.verification_loss if _judged(arm) else point.tuning_loss


def _at(point: TrialPoint, against: Against) -> float:
    return float({"tokens": point.tokens, "seconds": point.seconds, "flops": point.flops}[against])


def _curve(arm: TrialArm, place: int, look: Look, against: Against) -> go.Scatter:
    drawn = style(place, look)
    name = render(words.arm(arm), look.language)
    points = [point for point in arm.points if _loss(point, arm) is not None]
    if not _judged(arm):
        name = look.t("{arm} (tuning part)", arm=name)
    return go.Scatter(
        x=[_at(point, against) for point in points],
        y=[_loss(point, arm) for point in points],
        mode="lines+markers",
        line={"color": drawn.colour, "width": 3 if arm.kind == "full" else 2, "dash": drawn.dash},
        marker={"size": 8, "symbol": drawn.symbol, "color": drawn.colour},
        name=name,
        customdata=[[place, arm.points.index(point)] for point in points],
        text=[_point_hover(name, point, arm, look) for point in points],
        hovertemplate="%{text}<extra></extra>",
        cliponaxis=False,
    )


def _point_hover(name: str, point: TrialPoint, arm: TrialArm, look: Look) -> str:
    t = look.t
    return "<br>".join(
        [
            f"<b>{name}</b>",
            t("loss {value} nats", value=f"{_loss(point, arm):.3f}"),
            t("{n} steps, {tokens} tokens, {seconds} s", n=point.step, tokens=point.tokens, seconds=number(point.seconds, look.language)),
        ]
    )


def _bars(times: Sequence[Distribution | None], arms: Sequence[TrialArm], look: Look, name: str, place: int) -> go.Bar:
    colour = look.palette.operations["kept"]
    values = [None if one is None else one.p50 for one in times]
    return go.Bar(
        x=values,
        y=list(range(len(arms))),
        orientation="h",
        name=name,
        marker={
            "color": colour,
            "line": {"color": colour, "width": 1},
            "pattern": {"shape": PART_PATTERNS[place], "fgcolor": look.palette.page, "bgcolor": colour, "size": 6, "solidity": 0.35},
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [0.0 if one is None else max(0.0, one.p95 - one.p50) for one in times],
            "arrayminus": [0.0] * len(times),
            "thickness": 1.5,
            "width": 3,
            "color": look.palette.text,
        },
        text=["" if one is None else _step_hover(arm, one, name, look) for arm, one in zip(arms, times, strict=True)],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
        customdata=[[number_] for number_ in range(len(arms))],
    )


def _step_hover(arm: TrialArm, found: Distribution, name: str, look: Look) -> str:
    t = look.t
    lines = [
        f"<b>{render(words.arm(arm), look.language)}</b>, {name}",
        t("median {p50} ms, 95th percentile {p95} ms", p50=round(found.p50, 2), p95=round(found.p95, 2)),
    ]
    return "<br>".join([*lines, t("{n} steps measured", n=found.n)])


def _memory(of: Trial | TrainingProjection, look: Look) -> tuple[list[str], list[dict[str, int | float | None]]]:
    """Names of the rows and their parts in bytes."""
    if isinstance(of, Trial):
        rows = [{part: getattr(arm.cost, part) for part in words.PARTS} for arm in of.arms]
        return [render(words.arm(arm), look.language) for arm in of.arms], rows
    changes = {part: getattr(of, part) for part in words.PARTS}
    names = [look.t("full fine-tuning") if of.shape.method == "full" else look.t("LoRA on all layers"), look.t("this plan")]
    return names, [{part: change.full for part, change in changes.items()}, {part: change.plan for part, change in changes.items()}]


def _memory_bar(part: str, name: str, values: Sequence[int | float | None], place: int, look: Look, divisor: float) -> go.Bar:
    colour = style(place, look).colour
    return go.Bar(
        x=[None if value is None else value / divisor for value in values],
        y=list(range(len(values))),
        orientation="h",
        name=name,
        marker={
            "color": faded(colour, 0.75),
            "line": {"color": look.palette.page, "width": 1},
            "pattern": {"shape": PART_PATTERNS[place], "fgcolor": look.palette.page, "size": 6, "solidity": 0.3, "fillmode": "overlay"},
        },
        text=["" if value is None else f"<b>{name}</b><br>{size(value, look.language)}" for value in values],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
        customdata=[[row] for row in range(len(values))],
    )


def _unit(n_bytes: float) -> tuple[str, float]:
    for name, power in (("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if n_bytes >= 1024**power:
            return name, float(1024**power)
    return "B", 1.0


def _arm_axis(figure: go.Figure, arms: Sequence[TrialArm], look: Look) -> None:
    _row_axis(figure, [render(words.arm(arm), look.language) for arm in arms])


def _row_axis(figure: go.Figure, names: Sequence[str]) -> None:
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=list(names), range=[max(len(names), 1) - 0.4, -0.6], ticks="", showline=False
    )
    figure.update_layout(
        showlegend=True,
        legend={"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        margin={"b": 84},
    )


def _hundred(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)
