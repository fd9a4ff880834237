"""What healing won back: losses of the uncut, cut, healed and control model, by slice, and along the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import plotly.graph_objects as go

from analysis.contracts import Estimate, HealArm, Healing, HealPoint, HealSlice, Progress
from analysis.i18n import N_, render
from analysis.i18n.numbers import number, span
from analysis.reporting import healing_words as words
from analysis.reporting.charts.live import PER_TOKEN, live_alt, live_curves, live_rows
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.series import reach, style
from analysis.reporting.charts.text import escaped, shortened

Along = Literal["steps", "seconds"]
ALONG: Mapping[Along, str] = {"steps": N_("training steps"), "seconds": N_("seconds of training, measured")}
Part = Literal["base", "cut", "healed", "control"]
PARTS: Mapping[Part, str] = {"base": N_("uncut"), "cut": N_("cut"), "healed": N_("healed"), "control": N_("control")}
"""The four models that are held side by side."""
_SYMBOLS: Mapping[Part, str] = {"base": "circle", "cut": "x", "healed": "diamond", "control": "square-open"}
_ROW = 34


def losses_figure(found: Healing, look: Look) -> go.Figure:
    """Each model's loss as a dot with its 95% interval; dashed: the uncut model, which healing aims at."""
    t, rows = look.t, loss_rows_of(found, look)
    figure = go.Figure()
    for place, (name, part, loss) in enumerate(rows):
        if loss.value is not None:
            figure.add_trace(_dot(name, part, loss, place, look))
    dressed(
        figure,
        look,
        height=118 + _ROW * len(rows),
        title=t("Loss on examples that nothing learns from"),
        subtitle=t("nats per token, 95% interval; dashed: the uncut model"),
    )
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[shortened(name, 34) for name, _, _ in rows],
        range=[len(rows) - 0.4, -0.6],
        ticks="",
        showline=False,
        tickfont={"color": look.palette.text, "size": 12},
    )
    _loss_axis(figure, [loss for _, _, loss in rows], look)
    if found.base_loss.value is not None:
        figure.add_vline(x=found.base_loss.value, line={"color": look.palette.text, "dash": "dash", "width": 1.2})
    return figure


def loss_rows_of(found: Healing, look: Look) -> list[tuple[str, Part, Estimate]]:
    """The models that were judged: uncut, cut, healed, healed by other objectives, the control."""
    rows: list[tuple[str, Part, Estimate]] = [
        (look.t(PARTS["base"]), "base", found.base_loss),
        (look.t(PARTS["cut"]), "cut", found.cut_loss),
    ]
    rows.append((look.t(PARTS["healed"]), "healed", found.healed.loss_after))
    rows += [(render(words.arm(arm), look.language), "healed", arm.loss_after) for arm in found.others]
    if found.control is not None:
        rows.append((look.t(PARTS["control"]), "control", found.control.loss_after))
    return rows


def losses_alt(found: Healing, look: Look) -> str:
    """What the chart of losses shows, in one sentence."""
    said = tuple(look.t("{arm} {loss}", arm=name, loss=_figure(loss.value, look)) for name, _, loss in loss_rows_of(found, look))
    return look.t("Chart: loss of each model, nats per token: {arms}.", arms=said)


def slices_figure(slices: Mapping[str, HealSlice], look: Look, *, names: Mapping[str, str]) -> go.Figure:
    """The same losses slice by slice, the one that is worst off after healing first.

    Args:
        slices: slice -> its losses.
        look: language and theme.
        names: slice -> what to call it.
    """
    t, order = look.t, worst_first(slices)
    figure = go.Figure()
    for part in PARTS:
        figure.add_trace(_slice_dots(order, slices, part, look, names))
    dressed(
        figure,
        look,
        height=150 + 36 * max(len(order), 1),
        title=t("Loss by slice"),
        subtitle=t("nats per token, 95% interval"),
    )
    figure.update_yaxes(
        tickvals=list(range(len(order))),
        ticktext=[shortened(names.get(name, name), 26) for name in order],
        range=[len(order) - 0.4, -0.6],
        ticks="",
        showline=False,
        tickfont={"color": look.palette.text, "size": 12},
    )
    _loss_axis(figure, [loss for name in order for part in PARTS if (loss := _of(slices[name], part)) is not None], look)
    _legend_below(figure)
    return figure


def worst_first(slices: Mapping[str, HealSlice]) -> list[str]:
    """Slices by how much of the loss is still above the uncut model's; unknown ones last."""

    def left(name: str) -> float:
        healed, base = slices[name].healed.value, slices[name].base.value
        return float("-inf") if healed is None or base is None else healed - base

    return sorted(slices, key=left, reverse=True)


def curves_figure(found: Healing, look: Look, *, along: Along = "steps", height: int = 360) -> go.Figure:
    """The loss on the selection part along every training; a ring marks the weights that were judged."""
    t, arms = look.t, [arm for arm in words.arms(found) if _points(arm)]
    figure = go.Figure()
    for place, arm in enumerate(arms):
        figure.add_trace(_curve(arm, place, look, along))
    for place, arm in enumerate(arms):
        if (best := _best(arm, place, look, along)) is not None:
            figure.add_trace(best)
    dressed(
        figure,
        look,
        height=height,
        title=t("Loss along the training"),
        subtitle=t("on the part that chooses when to stop; ring: judged"),
    )
    shown = [point for arm in arms for point in _points(arm)]
    losses = [point.selection_loss for point in shown]
    figure.update_yaxes(
        title={"text": t("loss (nats per token)")}, range=list(reach(losses)), showgrid=True, gridcolor=look.palette.grid, nticks=6
    )
    furthest = max([_at(point, along) for point in shown], default=1.0) or 1.0
    figure.update_xaxes(
        title={"text": t(ALONG[along]), "standoff": 6},
        range=[-0.02 * furthest, 1.04 * furthest],
        showline=True,
        ticks="outside",
        nticks=7,
    )
    _legend_below(figure)
    return figure


def curves_alt(found: Healing, look: Look) -> str:
    """What the curves show, in one sentence."""
    said = tuple(
        look.t("{arm} {loss}", arm=render(words.arm(arm), look.language), loss=_figure(points[-1].selection_loss, look))
        for arm in words.arms(found)
        if (points := _points(arm))
    )
    if not said:
        return look.t("Chart: loss along the training; no arm has come to its end yet.")
    return look.t("Chart: loss along the training, at the end: {arms}.", arms=said)


def curve_rows(found: Healing, look: Look) -> list[dict[str, object]]:
    """Every point of every training as a table."""
    t = look.t
    return [
        {
            t("arm"): render(words.arm(arm), look.language),
            t("step"): point.step,
            t("tokens"): point.tokens,
            t("seconds"): round(point.seconds, 2),
            t("loss, training"): point.train_loss,
            t("loss, selection part"): point.selection_loss,
        }
        for arm in words.arms(found)
        for point in arm.points
    ]


def heal_live(progress: Progress | None, look: Look) -> tuple[go.Figure, str, list[dict[str, object]]]:
    """The trainings so far: chart, what it shows in one sentence, and its figures, with the arms called by their names."""
    called = progress and progress.model_copy(
        update={"curves": {_live_name(name, look): points for name, points in progress.curves.items()}}
    )
    figure = live_curves(called, look, unit=PER_TOKEN)
    return figure, live_alt(called, look), live_rows(called, look)


def _live_name(name: str, look: Look) -> str:
    said = words.live_name(name)
    return name if said is None else render(said, look.language)


def _dot(name: str, part: Part, loss: Estimate, place: int, look: Look) -> go.Scatter:
    return go.Scatter(
        x=[loss.value],
        y=[place],
        mode="markers",
        marker={"size": 11, "symbol": _SYMBOLS[part], "color": look.palette.text},
        error_x=_whiskers([loss], look.palette.text),
        text=[f"<b>{escaped(name)}</b><br>{look.t('loss {value} nats', value=_interval(loss, look))}"],
        hovertemplate="%{text}<extra></extra>",
        cliponaxis=False,
    )


def _slice_dots(order: Sequence[str], slices: Mapping[str, HealSlice], part: Part, look: Look, names: Mapping[str, str]) -> go.Scatter:
    """One model's dots over all slices; the four stand a little apart, so that no interval hides another."""
    place = list(PARTS).index(part)
    known = [(at, name, loss) for at, name in enumerate(order) if (loss := _of(slices[name], part)) is not None and loss.value is not None]
    colour = style(place, look).colour
    title = look.t(PARTS[part])
    return go.Scatter(
        x=[loss.value for _, _, loss in known],
        y=[at + (place - 1.5) * 0.17 for at, _, _ in known],
        mode="markers",
        name=title,
        marker={"size": 8, "symbol": _SYMBOLS[part], "color": colour},
        error_x=_whiskers([loss for _, _, loss in known], colour),
        text=[
            f"<b>{escaped(names.get(name, name))}</b>, {title}<br>{look.t('loss {value} nats', value=_interval(loss, look))}"
            for _, name, loss in known
        ],
        hovertemplate="%{text}<extra></extra>",
        cliponaxis=False,
    )


def _curve(arm: HealArm, place: int, look: Look, along: Along) -> go.Scatter:
    drawn, name, points = style(place, look), render(words.arm(arm), look.language), _points(arm)
    return go.Scatter(
        x=[_at(point, along) for point in points],
        y=[point.selection_loss for point in points],
        mode="lines+markers",
        line={"color": drawn.colour, "width": 2, "dash": drawn.dash},
        marker={"size": 7, "symbol": drawn.symbol, "color": drawn.colour},
        name=escaped(name),
        text=[_point_hover(name, point, look) for point in points],
        hovertemplate="%{text}<extra></extra>",
        cliponaxis=False,
    )


def _best(arm: HealArm, place: int, look: Look, along: Along) -> go.Scatter | None:
    """A ring around the look whose weights were judged."""
    best = next((point for point in _points(arm) if point.step == arm.best_step), None)
    if best is None:
        return None
    return go.Scatter(
        x=[_at(best, along)],
        y=[best.selection_loss],
        mode="markers",
        marker={"size": 16, "symbol": "circle-open", "color": style(place, look).colour, "line": {"width": 2}},
        hoverinfo="skip",
        showlegend=False,
        cliponaxis=False,
    )


def _point_hover(name: str, point: HealPoint, look: Look) -> str:
    t = look.t
    seconds = number(point.seconds, look.language)
    return "<br>".join(
        [
            f"<b>{escaped(name)}</b>",
            t("loss {value} nats", value=_figure(point.selection_loss, look)),
            t("{n} steps, {tokens} tokens, {seconds} s", n=point.step, tokens=point.tokens, seconds=seconds),
        ]
    )


def _points(arm: HealArm) -> list[HealPoint]:
    return [point for point in arm.points if point.selection_loss is not None]


def _at(point: HealPoint, along: Along) -> float:
    return float(point.step if along == "steps" else point.seconds)


def _of(found: HealSlice, part: Part) -> Estimate | None:
    loss: Estimate | None = getattr(found, part)
    return loss


def _loss_axis(figure: go.Figure, losses: Sequence[Estimate], look: Look) -> None:
    lows = [loss.value if loss.low is None else loss.low for loss in losses]
    highs = [loss.value if loss.high is None else loss.high for loss in losses]
    title = {"text": look.t("loss (nats per token)"), "standoff": 6}
    figure.update_xaxes(title=title, range=list(reach(lows, highs)), showgrid=True, gridcolor=look.palette.grid, nticks=6)


def _legend_below(figure: go.Figure) -> None:
    legend = {"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom", "x": 0}
    figure.update_layout(showlegend=True, legend=legend, margin={"b": 96})


def _whiskers(losses: Sequence[Estimate], colour: str) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [(loss.high if loss.high is not None else loss.value or 0.0) - (loss.value or 0.0) for loss in losses],
        "arrayminus": [(loss.value or 0.0) - (loss.low if loss.low is not None else loss.value or 0.0) for loss in losses],
        "thickness": 2,
        "width": 0,
        "color": colour,
    }


def _interval(found: Estimate, look: Look) -> str:
    if found.value is None or found.low is None or found.high is None:
        return _figure(found.value, look)
    return f"{_figure(found.value, look)} ({span(_figure(found.low, look), _figure(found.high, look), look.language)})"


def _figure(value: float | None, look: Look) -> str:
    return look.t("not known") if value is None else number(value, look.language, 3)
