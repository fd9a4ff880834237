"""What a test found: each limit against its interval, perplexity by slice, and what was projected beside what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from analysis.contracts import GuardrailResult, ProjectionError, QualityScores
from analysis.i18n import render
from analysis.i18n.numbers import span
from analysis.reporting import verification_words as words
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.text import escaped, shortened

_ROW = 62
_LEFT, _RIGHT = -2.5, 3.5
"""Ends of the scale on which 0 is the original and 1 the limit; what lies beyond is drawn there, and its figure is written."""
_SYMBOLS = {"within": "circle", "undecided": "diamond", "outside": "x"}


def limits_figure(results: Sequence[GuardrailResult], look: Look, *, names: Mapping[str, str] | None = None) -> go.Figure:
    """Each limit as a row: the measured interval on a scale on which the limit is one line for all.

    A row runs from "as the original" (0) to the limit (1) and beyond; past the line is outside. Rows whose limit is "as the
    original" are scaled by their own interval. The verdict stands as a word behind every row.

    Args:
        results: the limits with what was measured.
        look: language and theme.
        names: slice -> what to call it.
    """
    figure = go.Figure()
    known = [result for result in results if result.measured.value is not None]
    for place, result in enumerate(known):
        figure.add_trace(_limit_trace(result, place, look))
    dressed(
        figure,
        look,
        height=100 + _ROW * max(len(known), 1),
        title=look.t("Measured against the limits"),
        subtitle=look.t("dot and line: measured, 95% interval; left of the limit: within"),
    )
    reach = max([1.6, *(end * 1.08 for result in known for end in _scaled(result))])
    least = min([-0.4, *(end * 1.08 for result in known for end in _scaled(result))])
    figure.update_xaxes(range=[least, reach], showticklabels=False, showline=False, ticks="")
    figure.update_yaxes(range=[max(len(known), 1) - 0.6, -0.8], showticklabels=False, ticks="", showline=False, showgrid=False)
    for place, result in enumerate(known):
        figure.add_annotation(_said(result, place, look, names or {}))
    figure.update_layout(margin={"l": 8, "b": 30})
    figure.add_vline(
        x=1,
        line={"color": look.palette.text, "width": 1.5, "dash": "dash"},
        annotation={
            "text": look.t("limit"),
            "y": 0,
            "yanchor": "top",
            "xanchor": "center",
            "font": {"color": look.palette.text, "size": 12},
        },
    )
    return figure


def limits_rows(results: Sequence[GuardrailResult], look: Look) -> list[dict[str, object]]:
    """The limits as a table."""
    t = look.t
    return [
        {
            t("item"): render(words.item(result.guardrail), look.language),
            t("limit"): render(words.limit(result.guardrail), look.language),
            t("measured (95% interval)"): words.measured(result, look.language),
            t("cases"): result.n,
            t("verdict"): render(words.verdict(result.verdict), look.language),
        }
        for result in results
    ]


def slices_figure(
    slices: Mapping[str, QualityScores],
    look: Look,
    *,
    overall: QualityScores | None = None,
    limit_ratio: float | None = None,
    names: Mapping[str, str] | None = None,
) -> go.Figure:
    """Perplexity of the plan against the original by slice, worst first, with intervals; a click carries ``customdata [slice]``.

    Args:
        slices: the slices' scores.
        look: language and theme.
        overall: all prompts together, as the first row.
        limit_ratio: a limit on the ratio (1.05), as a line.
        names: slice -> what to call it.
    """
    t = look.t
    known = {name: scores for name, scores in slices.items() if scores.perplexity_ratio.value is not None}
    order = sorted(known, key=lambda name: -(known[name].perplexity_ratio.value or 0.0))
    rows = [(t("all prompts"), None, overall)] if overall and overall.perplexity_ratio.value is not None else []
    listed = [*rows, *((escaped((names or {}).get(name, name)), name, known[name]) for name in order)]
    figure = go.Figure()
    for place, (label, name, scores) in enumerate(listed):
        assert scores is not None
        figure.add_trace(_slice_trace(label, name, scores, place, look))
    dressed(
        figure,
        look,
        height=116 + 28 * max(len(listed), 1),
        title=t("Perplexity by slice, plan against original"),
        subtitle=t("1 is the same; with 95% intervals"),
    )
    figure.update_yaxes(
        tickvals=list(range(len(listed))),
        ticktext=[shortened(label, 28) if name is None else _short(label) for label, name, _ in listed],
        range=[max(len(listed), 1) - 0.4, -0.6],
        ticks="",
        showline=False,
    )
    ends = [end for _, _, scores in listed if scores for end in _ends(scores)]
    figure.update_xaxes(
        range=[min([0.98, *ends]) - 0.01, max([1.1, limit_ratio or 1.0, *ends]) + 0.01],
        showgrid=True,
        gridcolor=look.palette.grid,
        nticks=6,
        title={"text": t("times the original's perplexity"), "standoff": 6},
    )
    figure.add_vline(x=1, line={"color": look.palette.quiet, "width": 1})
    if limit_ratio is not None:
        figure.update_layout(margin={"t": 76})
        figure.add_vline(
            x=limit_ratio,
            line={"color": look.palette.text, "width": 1.5, "dash": "dash"},
            annotation={"text": t("limit"), "yanchor": "bottom", "font": {"color": look.palette.text, "size": 12}},
        )
    return figure


def projection_figure(errors: Sequence[ProjectionError], look: Look) -> go.Figure:
    """How far each projection was from its measurement, in percent of the measurement; the projected range as a line.

    0 is a projection that came true; the dot lies right of it where more was projected than measured.
    """
    t = look.t
    figure = go.Figure()
    for place, error in enumerate(errors):
        figure.add_trace(_error_trace(error, place, look))
    dressed(
        figure,
        look,
        height=100 + 34 * max(len(errors), 1),
        title=t("Projected against measured"),
        subtitle=t("0 = as projected; line: the projected range"),
    )
    reach = max([6.0, *(abs(end) * 1.15 for error in errors for end in _percents(error))])
    figure.update_xaxes(
        range=[-reach, reach],
        showgrid=True,
        gridcolor=look.palette.grid,
        nticks=7,
        title={"text": t("projected minus measured (%)"), "standoff": 6},
    )
    figure.update_yaxes(
        tickvals=list(range(len(errors))),
        ticktext=[escaped(render(words.quantity(error.quantity), look.language)) for error in errors],
        range=[max(len(errors), 1) - 0.4, -0.6],
        ticks="",
        showline=False,
    )
    figure.add_vline(x=0, line={"color": look.palette.quiet, "width": 1})
    return figure


def projection_rows(errors: Sequence[ProjectionError], look: Look) -> list[dict[str, object]]:
    """Projected and measured as a table."""
    t, language = look.t, look.language
    said = {None: "-", True: t("yes"), False: t("no")}
    return [
        {
            t("item"): render(words.quantity(error.quantity), language),
            t("projected"): words.quantity_value(error.quantity, error.projected, language),
            t("measured"): words.quantity_value(error.quantity, error.measured, language),
            t("difference"): words.projection_error(error),
            t("inside the projected range"): said[error.inside],
        }
        for error in errors
    ]


def _limit_trace(result: GuardrailResult, place: int, look: Look) -> go.Scatter:
    low, value, high = _scaled(result)
    hover = "<br>".join(
        [
            f"<b>{escaped(render(words.item(result.guardrail), look.language))}</b>",
            escaped(words.measured(result, look.language)),
            escaped(render(words.limit(result.guardrail), look.language)),
            look.t("cases: {n}", n=result.n),
        ]
    )
    return go.Scatter(
        x=[value],
        y=[place],
        mode="markers",
        marker={"size": 11, "symbol": _SYMBOLS[result.verdict], "color": look.palette.text},
        error_x=_whiskers(low, value, high, look),
        hovertext=[hover],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=[[place]],
        cliponaxis=False,
    )


def _said(result: GuardrailResult, place: int, look: Look, names: Mapping[str, str]) -> dict[str, object]:
    """Item and limit, and under them verdict and figure, from the left edge above the row: as wide as a phone, over no whisker."""
    verdict, found = render(words.verdict(result.verdict), look.language), words.measured(result, look.language)
    return {
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "align": "left",
        "y": place,
        "yshift": 25,
        "showarrow": False,
        "text": f"{_limit_label(result, look, names)}<br><b>{escaped(verdict)}</b>  {escaped(found)}",
        "font": {"color": look.palette.text, "size": 12},
        "bgcolor": look.palette.page,
        "borderpad": 1,
    }


def _scaled(result: GuardrailResult) -> tuple[float, float, float]:
    """Low, value and high on the scale on which the original is 0 and the limit 1; past 1 is outside."""
    found, limit = result.measured, result.guardrail
    value = found.value or 0.0
    ends = sorted((value if found.low is None else found.low, value if found.high is None else found.high))
    untouched = 1.0 if limit.unit == "x" else 0.0
    step = limit.value - untouched
    towards = 1.0 if limit.op == "<=" else -1.0
    if step * towards <= 0 or (limit.unit == "abs" and limit.op == ">="):
        # The limit asks for more than the original gives (0.9x of its time), or is the original itself: a scale of its own.
        step = towards * max(abs(ends[1] - limit.value), abs(ends[0] - limit.value), 1e-9) / 0.6
    low, middle, high = (min(max(1 + (at - limit.value) / step, _LEFT), _RIGHT) for at in (ends[0], value, ends[1]))
    return (min(low, high), middle, max(low, high))


def _limit_label(result: GuardrailResult, look: Look, names: Mapping[str, str]) -> str:
    guardrail = result.guardrail
    called = guardrail.model_copy(update={"slice": names.get(guardrail.slice, guardrail.slice)}) if guardrail.slice else guardrail
    return f"{_short(escaped(render(words.item(called), look.language)), 44)}: {escaped(render(words.limit(guardrail), look.language))}"


def _slice_trace(label: str, name: str | None, scores: QualityScores, place: int, look: Look) -> go.Scatter:
    found, t = scores.perplexity_ratio, look.t
    assert found.value is not None
    low, high = _ends(scores)
    hover = [
        f"<b>{label}</b>",
        t("{ratio}x the original ({range})", ratio=f"{found.value:.3f}", range=span(f"{low:.3f}", f"{high:.3f}", look.language)),
        t("{n} prompts", n=scores.n_examples),
    ]
    return go.Scatter(
        x=[found.value],
        y=[place],
        mode="markers",
        marker={
            "size": 12 if name is None else 9,
            "symbol": "diamond" if name is None else "circle",
            "color": look.palette.text if name is None else look.palette.operations["kept"],
        },
        error_x=_whiskers(low, found.value, high, look),
        hovertext=["<br>".join(hover)],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=[[name or ""]],
    )


def _error_trace(error: ProjectionError, place: int, look: Look) -> go.Scatter:
    low, value, high = _percents(error)
    projected, measured = (words.quantity_value(error.quantity, found, look.language) for found in (error.projected, error.measured))
    hover = [
        f"<b>{escaped(render(words.quantity(error.quantity), look.language))}</b>",
        look.t("projected {projected}, measured {measured}", projected=projected, measured=measured),
        words.projection_error(error),
    ]
    return go.Scatter(
        x=[value],
        y=[place],
        mode="markers",
        marker={"size": 10, "symbol": "circle-open" if error.inside is False else "circle", "color": look.palette.text},
        error_x=_whiskers(low, value, high, look),
        hovertext=["<br>".join(hover)],
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=[[error.quantity]],
    )


def _percents(error: ProjectionError) -> tuple[float, float, float]:
    """Low, projected and high as percent of the measurement above or below it."""
    if error.measured == 0:
        return (0.0, 0.0, 0.0)
    ends = (error.projected if end is None else end for end in (error.low, error.projected, error.high))
    low, value, high = (100 * (end / error.measured - 1) for end in ends)
    return (low, value, high)


def _ends(scores: QualityScores) -> tuple[float, float]:
    found = scores.perplexity_ratio
    value = found.value or 1.0
    return (value if found.low is None else found.low, value if found.high is None else found.high)


def _whiskers(low: float, value: float, high: float, look: Look) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, high - value)],
        "arrayminus": [max(0.0, value - low)],
        "thickness": 2,
        "width": 0,
        "color": look.palette.text,
    }


def _short(text: str, longest: int = 34) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
