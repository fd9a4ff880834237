"""The loss of a trial while it runs: every way of training that has begun, and the training of this moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import plotly.graph_objects as go

from analysis.contracts import ArmKind, Progress
from analysis.i18n import N_, render
from analysis.i18n.numbers import number
from analysis.reporting import training_words as words
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.series import reach, style
from analysis.reporting.charts.text import escaped

Points = Sequence[tuple[float, float]]


PER_RESPONSE = N_("nats per response token; less is better")
PER_TOKEN = N_("nats per token; less is better")


def live_curves(progress: Progress | None, look: Look, *, height: int = 340, unit: str = PER_RESPONSE) -> go.Figure:
    """Loss so far against tokens trained on; the frame has its size before the first point is there.

    Args:
        progress: what the job tells; None: nothing yet.
        look: language and theme.
        height: of the frame in pixels.
        unit: of the loss, a translation key: a trial judges responses, a healing all tokens of a text.
    """
    t, shown = look.t, _lines(progress, look)
    figure = go.Figure()
    for place, (name, points) in enumerate(shown):
        figure.add_trace(_line(name, points, place, look))
    dressed(figure, look, height=height, title=t("Loss so far"), subtitle=t(unit))
    figure.update_yaxes(
        title={"text": t("loss (nats per token)")},
        range=list(reach([loss for _, points in shown for _, loss in points])),
        showgrid=True,
        gridcolor=look.palette.grid,
        nticks=6,
        showticklabels=bool(shown),
    )
    furthest = max([tokens for _, points in shown for tokens, _ in points], default=1.0) or 1.0
    figure.update_xaxes(
        title={"text": t("tokens trained on"), "standoff": 6},
        range=[-0.02 * furthest, 1.04 * furthest],
        showline=True,
        ticks="outside",
        nticks=6,
        showticklabels=bool(shown),
    )
    if not shown:
        waiting = {"text": t("The first figures are not there yet."), "font": {"size": 13, "color": look.palette.text}}
        figure.add_annotation(waiting, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    figure.update_layout(
        showlegend=True, legend={"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom", "x": 0}, margin={"b": 104}
    )
    return figure


def live_alt(progress: Progress | None, look: Look) -> str:
    """What the chart shows now, in one sentence."""
    said = tuple(look.t("{arm} {loss}", arm=name, loss=f"{points[-1][1]:.2f}") for name, points in _lines(progress, look))
    if not said:
        return look.t("Chart: loss so far; the first figures are not there yet.")
    return look.t("Chart: loss so far, at the newest point: {arms}.", arms=said)


def live_rows(progress: Progress | None, look: Look) -> list[dict[str, object]]:
    """The curves as a table, the newest point of each first."""
    t = look.t
    return [
        {t("arm"): name, t("tokens"): round(tokens), t("loss (nats per token)"): round(loss, 3)}
        for name, points in _lines(progress, look)
        for tokens, loss in reversed(points)
    ]


def _lines(progress: Progress | None, look: Look) -> list[tuple[str, Points]]:
    """Names and points of everything that has any, the training of this moment last."""
    if progress is None:
        return []
    found: list[tuple[str, Points]] = [(_name(arm, look), points) for arm, points in progress.curves.items() if points]
    now = progress.training_curve
    return [*found, (look.t("now in training (its own examples)"), now)] if now else found


def _name(arm: str, look: Look) -> str:
    """An arm in words: its name is its kind and, where it freezes, the last frozen layer."""
    name, _, boundary = arm.partition(" ")
    kind = next((one for one in get_args(ArmKind) if one == name), None)
    if kind is None or (boundary and not boundary.lstrip("-").isdigit()):
        return arm
    return render(words.way(kind, int(boundary or -1)), look.language)


def _line(name: str, points: Points, place: int, look: Look) -> go.Scatter:
    drawn = style(place, look)
    return go.Scatter(
        x=[tokens for tokens, _ in points],
        y=[loss for _, loss in points],
        mode="lines+markers",
        line={"color": drawn.colour, "width": 2, "dash": drawn.dash},
        marker={"size": 7, "symbol": drawn.symbol, "color": drawn.colour},
        name=escaped(name),
        text=[_hover(name, tokens, loss, look) for tokens, loss in points],
        hovertemplate="%{text}<extra></extra>",
        cliponaxis=False,
    )


def _hover(name: str, tokens: float, loss: float, look: Look) -> str:
    t = look.t
    said = t("{tokens} tokens", tokens=number(tokens, look.language, 0))
    return f"<b>{escaped(name)}</b><br>{t('loss {value} nats', value=f'{loss:.3f}')}<br>{said}"
