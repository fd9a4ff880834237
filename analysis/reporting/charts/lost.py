"""What is lost with some layers: how much worse each slice and each kind of token is predicted without them."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from analysis.contracts import Estimate, LostWith, PartLoss
from analysis.i18n.numbers import number, span
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.text import escaped, shortened
from analysis.reporting.token_kind_words import KIND_TITLES


def lost_parts(parts: Mapping[str, PartLoss], overall: Estimate, look: Look, *, title: str, names: Mapping[str, str]) -> go.Figure:
    """The change of loss of each part as a dot with its interval, worst first; dashed: over everything.

    Args:
        parts: slice or kind of token -> what happens to it.
        overall: over all tokens.
        look: language and theme.
        title: over the chart, already in the language.
        names: part -> what it is called.
    """
    t = look.t
    worst = _worst_first(parts)
    known = [(at, part.change) for at, (_, part) in enumerate(worst) if part.change.value is not None]
    figure = go.Figure(
        go.Scatter(
            x=[change.value for _, change in known],
            y=[at for at, _ in known],
            mode="markers",
            marker={"size": 9, "color": look.palette.text},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [_or(change.high, change.value) - _or(change.value) for _, change in known],
                "arrayminus": [_or(change.value) - _or(change.low, change.value) for _, change in known],
                "thickness": 1.5,
                "width": 3,
                "color": look.palette.quiet,
            },
            text=[_hover(names.get(name, name), part, look) for name, part in worst if part.change.value is not None],
            hovertemplate="%{text}<extra></extra>",
            cliponaxis=False,
        )
    )
    dressed(figure, look, height=96 + 27 * max(len(worst), 1), title=title, subtitle=t("95% interval; dashed: over all tokens"))
    labels = [shortened(names.get(name, name), 26) for name, _ in worst]
    figure.update_yaxes(
        tickvals=list(range(len(worst))),
        ticktext=labels,
        range=[len(worst) - 0.4, -0.6],
        ticks="",
        showline=False,
        tickfont={"color": look.palette.text, "size": 12},
    )
    figure.update_xaxes(
        title={"text": t("rise of the loss (nats per token)"), "standoff": 6},
        showgrid=True,
        gridcolor=look.palette.grid,
        zeroline=True,
        zerolinecolor=look.palette.quiet,
        nticks=5,
    )
    if overall.value is not None:
        figure.add_vline(x=overall.value, line={"color": look.palette.text, "dash": "dash", "width": 1.2})
    figure.update_layout(margin={"b": 48, "l": 8})
    return figure


def lost_rows(found: LostWith, look: Look, names: Mapping[str, str]) -> list[dict[str, object]]:
    """Slices and kinds of token as one table, worst first in each."""
    t = look.t
    rows: list[dict[str, object]] = []
    kinds: Mapping[str, PartLoss] = {str(kind): part for kind, part in found.kinds.items()}
    for what, parts, titles in ((t("slice"), found.slices, names), (t("kind of token"), kinds, kind_names(look))):
        for name, part in _worst_first(parts):
            rows.append(
                {
                    t("part of the work"): what,
                    t("name"): titles.get(name, name),
                    t("rise of the loss (nats per token)"): part.change.value,
                    t("95% low"): part.change.low,
                    t("95% high"): part.change.high,
                    t("loss before"): part.loss_before,
                    t("tokens"): part.n_tokens,
                    t("prompts"): part.n_examples,
                }
            )
    return rows


def kind_names(look: Look) -> Mapping[str, str]:
    """Kinds of token in the language."""
    return {kind: look.t(title) for kind, title in KIND_TITLES.items()}


def _worst_first(parts: Mapping[str, PartLoss]) -> list[tuple[str, PartLoss]]:
    """Those whose change is not known come last."""
    return sorted(parts.items(), key=lambda pair: (pair[1].change.value is None, -(pair[1].change.value or 0.0)))


def _or(value: float | None, other: float | None = 0.0) -> float:
    return (other or 0.0) if value is None else value


def _hover(name: str, part: PartLoss, look: Look) -> str:
    t, code, change = look.t, look.language, part.change
    lines = [f"<b>{escaped(name)}</b>", t("loss rises by {value}", value=number(_or(change.value), code, 3))]
    if change.low is not None and change.high is not None:
        lines.append(t("95% interval {range}", range=span(number(change.low, code, 3), number(change.high, code, 3), code)))
    lines.append(
        t("{n} prompts, {tokens} tokens; loss before {before}", n=part.n_examples, tokens=part.n_tokens, before=f"{part.loss_before:.2f}")
    )
    return "<br>".join(lines)
