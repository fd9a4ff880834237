"""The sweep: measured training time against what was gained, the front of arms that no other beats, and what each rule chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from analysis.contracts import ArmKind, EofStrategy, Trial, TrialArm
from analysis.i18n import render
from analysis.i18n.numbers import number, span
from analysis.reporting import training_words as words
from analysis.reporting.charts.palette import FONT, Look, dressed
from analysis.reporting.charts.series import reach

SYMBOLS: Mapping[ArmKind, str] = {"freeze": "circle", "full": "square", "lora": "diamond-open", "lora_freeze": "triangle-up-open"}
"""Way of training -> marker: told apart by shape, not by colour."""

_PLOT_WIDTH = 420.0
_LINE = 17


def sweep_front(trial: Trial, look: Look, *, height: int = 480) -> go.Figure:
    """Measured seconds of training (x) against loss afterwards with its interval (y); a click carries ``customdata [arm]``.

    The line joins the arms that no other arm beats in both; those and the chosen ones are named, the others by marker, hover and table.
    Under an arm stand the rules that would have chosen it.
    """
    t = look.t
    arms = [(place, arm) for place, arm in enumerate(trial.arms) if arm.points and arm.loss_after.value is not None]
    figure = go.Figure()
    figure.add_trace(_front_line(trial, look))
    for kind in SYMBOLS:
        group = [(place, arm) for place, arm in arms if arm.kind == kind]
        if group:
            figure.add_trace(_markers(group, kind, look, trial))
    dressed(
        figure,
        look,
        height=height,
        title=t("Training time against loss, by boundary and rule"),
        subtitle=t("vertical lines: 95% interval; left and low is better"),
    )
    drawn, chosen = [arm for _, arm in arms], chosen_by(trial)
    front = {arm.name for arm in _front(trial)}
    named = [arm for arm in drawn if arm.kind == "freeze" and (arm.name in front or arm.name in chosen or arm is trial.own)]
    over = _placed([(arm, _short(arm, look)) for arm in named], _span(drawn))
    under = _placed([(arm, _rules(chosen[arm.name], look)) for arm in drawn if chosen.get(arm.name)], _span(drawn))
    _axes(figure, drawn, look, over, under, height)
    _labels(figure, look, over, under)
    figure.update_layout(
        showlegend=True, legend={"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom", "x": 0}, margin={"b": 104}
    )
    return figure


def sweep_alt(trial: Trial, look: Look) -> str:
    """What the chart shows, in one sentence."""
    front = tuple(render(words.arm(arm), look.language) for arm in _front(trial))
    return look.t("Chart: measured training time against loss afterwards; no other arm beats: {arms}.", arms=front)


def sweep_rows(trial: Trial, look: Look) -> list[dict[str, object]]:
    """Every arm of the sweep as a table, cheapest first, with the rules that would have chosen it."""
    t, language = look.t, look.language
    front, chosen = {arm.name for arm in _front(trial)}, chosen_by(trial)
    return [
        {
            t("arm"): render(words.arm(arm), language),
            t("seconds of training, measured"): round(arm.points[-1].seconds, 1),
            t("loss after (nats)"): arm.loss_after.value,
            t("95% interval"): _interval(arm, look),
            t("kept of full fine-tuning's gain (%)"): None
            if arm.kept_at_tokens is None or arm.kept_at_tokens.value is None
            else round(100 * arm.kept_at_tokens.value, 1),
            t("on the front"): t("yes") if arm.name in front else t("no"),
            t("chosen by"): ", ".join(t(words.RULES[rule].title) for rule in chosen.get(arm.name, ())),
        }
        for arm in sorted((arm for arm in trial.arms if arm.points), key=lambda arm: arm.points[-1].seconds)
    ]


def chosen_by(trial: Trial) -> Mapping[str, tuple[EofStrategy, ...]]:
    """Frozen arm -> the rules whose boundary it tried."""
    told = {choice.strategy for choice in trial.choices}
    found = {point.arm: rules for point in trial.front if (rules := tuple(rule for rule in point.chosen_by if rule not in told))}
    for choice in trial.choices:
        arm = next((arm for arm in trial.arms if arm.kind == "freeze" and arm.eof_layer == choice.eof_layer), None)
        if arm is not None and choice.strategy not in found.get(arm.name, ()):
            found[arm.name] = (*found.get(arm.name, ()), choice.strategy)
    return found


def untried(trial: Trial) -> Mapping[EofStrategy, int]:
    """Rules whose boundary no arm of the sweep has tried, with that boundary."""
    tried = {arm.eof_layer for arm in trial.arms if arm.kind == "freeze"}
    return {choice.strategy: choice.eof_layer for choice in trial.choices if choice.eof_layer is not None and choice.eof_layer not in tried}


def _front(trial: Trial) -> list[TrialArm]:
    """Arms on the front, cheapest first."""
    on_front = sorted((point for point in trial.front if point.on_front), key=lambda point: point.seconds)
    return [arm for point in on_front if (arm := trial.arm(point.arm)) is not None]


def _front_line(trial: Trial, look: Look) -> go.Scatter:
    """The front as steps: up to each arm's time, its loss is the least there is."""
    points = sorted((point for point in trial.front if point.on_front), key=lambda point: point.seconds)
    return go.Scatter(
        x=[point.seconds for point in points],
        y=[point.loss for point in points],
        mode="lines",
        line={"color": look.palette.text, "width": 1.5, "shape": "hv"},
        name=look.t("least loss for the time"),
        hoverinfo="skip",
    )


def _markers(group: Sequence[tuple[int, TrialArm]], kind: ArmKind, look: Look, trial: Trial) -> go.Scatter:
    colour = look.palette.text
    held = [_ends(arm) for _, arm in group]
    return go.Scatter(
        x=[arm.points[-1].seconds for _, arm in group],
        y=[arm.loss_after.value for _, arm in group],
        mode="markers",
        name=look.t(words.KINDS[kind]),
        marker={"symbol": SYMBOLS[kind], "size": 11, "color": colour, "line": {"color": colour, "width": 1.5}},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [high - value for _, value, high in held],
            "arrayminus": [value - low for low, value, _ in held],
            "thickness": 1.2,
            "width": 3,
            "color": look.palette.quiet,
        },
        customdata=[[place] for place, _ in group],
        text=[_hover(arm, look, trial) for _, arm in group],
        hovertemplate="%{text}<extra></extra>",
        cliponaxis=False,
    )


def _hover(arm: TrialArm, look: Look, trial: Trial) -> str:
    t, language = look.t, look.language
    lines = [
        f"<b>{render(words.arm(arm), language)}</b>",
        t("{seconds} s of training", seconds=number(arm.points[-1].seconds, language)),
        t("loss {value} nats", value=f"{arm.loss_after.value:.3f}"),
        t("95% interval {range}", range=_interval(arm, look)),
    ]
    rules = chosen_by(trial).get(arm.name, ())
    if rules:
        lines.append(t("chosen by: {rules}", rules=tuple(t(words.RULES[rule].title) for rule in rules)))
    return "<br>".join(lines)


def _axes(figure: go.Figure, arms: Sequence[TrialArm], look: Look, over: Sequence[_Label], under: Sequence[_Label], height: int) -> None:
    """Ranges that leave room for the names over the whiskers and the rules under them."""
    held = [_ends(arm) for arm in arms]
    low, high = reach([low for low, _, _ in held], [high for _, _, high in held])
    above, below = (max([label.away + label.height for label in labels], default=0) for labels in (over, under))
    unit = (high - low) / max(height - 160 - above - below, 60)
    left, right = _span(arms)
    figure.update_xaxes(
        title={"text": look.t("seconds of training, measured"), "standoff": 6},
        range=[left, right],
        showline=True,
        ticks="outside",
        nticks=8,
    )
    figure.update_yaxes(
        title={"text": look.t("loss after (nats)")},
        range=[low - unit * below, high + unit * above],
        showgrid=True,
        gridcolor=look.palette.grid,
        nticks=6,
    )


def _span(arms: Sequence[TrialArm]) -> tuple[float, float]:
    seconds = [arm.points[-1].seconds for arm in arms] or [0.0, 1.0]
    quickest, slowest = min(seconds), max(seconds)
    edge = 0.12 * max(slowest - quickest, 0.2 * slowest, 1e-6)
    return (max(0.0, quickest - edge), slowest + 1.5 * edge)


@dataclass(frozen=True)
class _Label:
    """A text at an arm: where, how far away from its whisker and how high, in pixels."""

    arm: TrialArm
    text: str
    away: int
    height: int


def _placed(texts: Sequence[tuple[TrialArm, str]], span_: tuple[float, float]) -> list[_Label]:
    """Each text in the nearest row in which it touches no other, as if the plot were of a usual width."""
    rows: list[list[tuple[float, float]]] = []
    tallest: list[int] = []
    found: list[tuple[TrialArm, str, int, int]] = []
    for arm, text in sorted(texts, key=lambda pair: pair[0].points[-1].seconds):
        lines = text.split("<br>")
        half = max(sum(6.6 if ord(sign) < 0x2E80 else 12.5 for sign in line) for line in lines) / 2 + 7
        middle = _PLOT_WIDTH * (arm.points[-1].seconds - span_[0]) / (span_[1] - span_[0])
        row = next(
            (place for place, taken in enumerate(rows) if all(middle - half > end or middle + half < start for start, end in taken)),
            len(rows),
        )
        if row == len(rows):
            rows.append([])
            tallest.append(0)
        rows[row].append((middle - half, middle + half))
        tallest[row] = max(tallest[row], _LINE * len(lines) + 8)
        found.append((arm, text, row, _LINE * len(lines) + 8))
    return [_Label(arm, text, 6 + sum(tallest[:row]) + 4 * row, high) for arm, text, row, high in found]


def _labels(figure: go.Figure, look: Look, over: Sequence[_Label], under: Sequence[_Label]) -> None:
    """Names over the whiskers, the rules framed under them, each tied to its arm by a thin line."""
    font = {"family": FONT, "size": 12, "color": look.palette.text}
    for labels, framed in ((over, False), (under, True)):
        for label in labels:
            low, _, high = _ends(label.arm)
            figure.add_annotation(
                x=label.arm.points[-1].seconds,
                y=low if framed else high,
                ax=0,
                ay=label.away if framed else -label.away,
                yanchor="top" if framed else "bottom",
                arrowhead=0,
                arrowwidth=0.8,
                arrowcolor=look.palette.quiet,
                text=label.text,
                font=font,
                bordercolor=look.palette.quiet if framed else "rgba(0,0,0,0)",
                borderwidth=1,
                borderpad=2,
                bgcolor=look.palette.page,
            )


def _short(arm: TrialArm, look: Look) -> str:
    """A boundary's layers: the marker says already that they are frozen, and a phone has no room to say it again."""
    if arm.eof_layer < 0:
        return render(words.arm(arm), look.language)
    return look.t("0–{last}", last=arm.eof_layer)


def _rules(chosen: Sequence[EofStrategy], look: Look) -> str:
    return "<br>".join(look.t(words.RULES[rule].title) for rule in chosen)


def _ends(arm: TrialArm) -> tuple[float, float, float]:
    found = arm.loss_after
    value = found.value or 0.0
    return (value if found.low is None else found.low, value, value if found.high is None else found.high)


def _interval(arm: TrialArm, look: Look) -> str:
    low, _, high = _ends(arm)
    return span(f"{low:.3f}", f"{high:.3f}", look.language)
