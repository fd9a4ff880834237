"""The rank matrix: what every measure says of every layer, light = most replaceable; who says nothing is hatched, with the reason."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.contracts import Interval, Ranking, Series, Unit, Vote, Voter
from analysis.i18n import N_, render
from analysis.i18n.numbers import number, span
from analysis.reporting.charts.palette import RAMP, Look, dressed, hatched, steps
from analysis.reporting.charts.series import box
from analysis.reporting.charts.text import escaped
from analysis.reporting.headlines_consensus import UNIT_OF_LAYER

AXIS: Mapping[Unit, str] = {
    "block": N_("layer, counted from 0"),
    "attention": N_("attention of layer, counted from 0"),
    "mlp": N_("MLP of layer, counted from 0"),
}
HEADS: Mapping[Unit, str] = {"block": N_("layer"), "attention": N_("attention of layer"), "mlp": N_("MLP of layer")}
UNIT_TITLES: Mapping[Unit, str] = {"block": N_("layer"), "attention": N_("attention"), "mlp": N_("MLP")}
_UNSEEN = "\u200b"
_ROW, _GAP = 27, 0.45
_READABLE = 48
"""Columns up to which ranks are written into the cells."""


@dataclass(frozen=True)
class MatrixRow:
    """One voice's ranks, or the consensus itself. `hovers` say each cell in full; `why`: it does not vote, for this reason."""

    title: str
    ranks: Series
    hovers: tuple[str, ...]
    why: str | None = None


@dataclass(frozen=True)
class Columns:
    """In which order the candidates stand, which of them a plan would take, and which one is looked at.

    All are places among the candidates; `blocks` is the layer of each, `unit` what they are.
    """

    unit: Unit
    blocks: tuple[int, ...]
    order: tuple[int, ...]
    taken: frozenset[int] = frozenset()
    selected: int | None = None


def rank_matrix(consensus: Sequence[MatrixRow], voters: Sequence[MatrixRow], columns: Columns, look: Look) -> go.Figure:
    """Ranks of all candidates, the consensus above its voters; a click carries ``customdata [place]``.

    Args:
        consensus: the order as it is weighed now, and what it is to be seen beside.
        voters: one row a measure; one that abstains is hatched from end to end.
        columns: the order of the candidates and their marks.
        look: language and theme.
    """
    t, n = look.t, len(columns.order)
    first = 1 + len(consensus)
    heights = [*range(1, first), *(first + _GAP + place for place in range(len(voters)))]
    rows = [*consensus, *voters]
    figure = go.Figure(number_strip(columns, look))
    for begin, end in ((0, len(consensus)), (len(consensus), len(rows))):
        if begin < end:
            figure.add_trace(_cells(rows[begin:end], heights[begin:end], columns))
    _hatch(figure, rows, heights, columns, look)
    figure.add_trace(_targets(rows, heights, columns))
    _marks(figure, columns, look, heights[-1] if heights else 0.0, len(consensus))
    bottom = (heights[-1] if heights else 0.0) + 0.5
    what = t("columns: {what}; dashed: taken out by the plan", what=t(AXIS[columns.unit]))
    dressed(figure, look, height=round((bottom + 0.5) * _ROW) + 134, title=t("Rank by every measure, 1 = most replaceable"), subtitle=what)
    _axes(figure, rows, heights, columns, look, bottom)
    figure.update_layout(
        coloraxis={
            "colorscale": steps(RAMP[::-1]),
            "cmin": 1,
            "cmax": max(n, 2),
            "colorbar": {
                "orientation": "h",
                "thickness": 10,
                "len": 0.62,
                "y": 0,
                "yref": "container",
                "yanchor": "bottom",
                "outlinecolor": look.palette.text,
                "outlinewidth": 1,
                "tickvals": [1, max(n, 2)],
                "ticktext": [t("1: most replaceable"), t("{n}: least", n=n)],
                "tickfont": {"color": look.palette.quiet, "size": 12},
                "ticks": "",
            },
        },
        margin={"l": 8, "r": 8, "t": 78, "b": 56},
    )
    return figure


def number_strip(columns: Columns, look: Look, *, yaxis: str = "y") -> go.Heatmap:
    """The layers' numbers over or under their columns, as text that shrinks with its cell: tick labels would overlap on a phone."""
    n = len(columns.order)
    every = 1 if n <= _READABLE else 5 if n <= 100 else 10
    return go.Heatmap(
        x=list(range(n)),
        y=[0, 1],  # the second row is unseen: Plotly fits letters by the distance to a neighbour above or below
        z=[[0] * n] * 2,
        text=[[str(columns.blocks[place]) if columns.blocks[place] % every == 0 else _UNSEEN for place in columns.order], [_UNSEEN] * n],
        texttemplate="%{text}",
        textfont={"color": look.palette.text},
        colorscale=[[0, "rgba(0,0,0,0)"], [1, "rgba(0,0,0,0)"]],
        showscale=False,
        hoverinfo="skip",
        yaxis=yaxis,
    )


def voter_row(vote: Vote, title: str, columns: Columns, look: Look, spans: Sequence[Interval | None] = ()) -> MatrixRow:
    """What one voter says of every candidate, in full on hover.

    Args:
        vote: its values, ranks and intervals.
        title: its short name, already in the language.
        columns: which candidates.
        look: language and theme.
        spans: 95 % of each candidate's ranks over resampled prompts; empty: there are none.
    """
    why = render(vote.abstained, look.language) if vote.abstained else None
    hovers = tuple(_says(vote, title, place, columns, look, spans[place] if spans else None) for place in range(len(columns.blocks)))
    return MatrixRow(title, vote.ranks, hovers, why)


def consensus_row(title: str, ranks: Series, scores: Series, columns: Columns, look: Look) -> MatrixRow:
    """The consensus as a row: its own ranks, with its score on hover."""
    t, n = look.t, len(ranks)
    hovers = []
    for place, (rank, score) in enumerate(zip(ranks, scores, strict=True)):
        said = t("not defined: no voter says anything of it")
        if rank is not None and score is not None:
            said = t("rank {rank} of {n}, score {score}", rank=_rank(rank, look), n=n, score=number(score, look.language, 1))
        hovers.append(f"<b>{_head(title, place, columns, look)}</b><br>{said}")
    return MatrixRow(title, ranks, tuple(hovers))


def rank_spans(ranking: Ranking) -> Mapping[Voter, tuple[Interval | None, ...]]:
    """Between which ranks a voter puts each candidate in 95 % of the resamples; None where it says nothing in most of them."""
    drawn = np.asarray(ranking.replicate_ranks, dtype=np.float64)  # [R, V, M]
    if not drawn.size:
        return {}
    return {vote.voter: tuple(map(_middle, drawn[:, place].T)) for place, vote in enumerate(ranking.steps[0].votes)}


def _middle(ranks: NDArray[np.float64]) -> Interval | None:
    """The middle 95 % of one candidate's ranks over resamples; 0 stands for undefined."""
    known = ranks[ranks > 0]
    if 2 * known.size <= ranks.size:
        return None
    low, high = np.percentile(known, (2.5, 97.5))
    return float(low), float(high)


def matrix_rows(ranking: Ranking, titles: Mapping[Voter, str], look: Look) -> list[dict[str, object]]:
    """Everything behind the matrix as a table: a row for each measure and candidate."""
    t, step, spans = look.t, ranking.steps[0], rank_spans(ranking)
    rows = []
    for vote in step.votes:
        for place, (unit, block) in enumerate(step.candidates):
            low, high = (vote.intervals[place] if vote.intervals else None) or (None, None)
            between = spans[vote.voter][place] if spans else None
            rows.append(
                {
                    t("measure"): titles[vote.voter],
                    t("layer"): block,
                    t("part"): t(UNIT_TITLES[unit]),
                    t("value"): vote.values[place],
                    t("95% low"): low,
                    t("95% high"): high,
                    t("rank"): vote.ranks[place],
                    t("rank, 95% low"): between[0] if between else None,
                    t("rank, 95% high"): between[1] if between else None,
                    t("not measured because"): render(vote.abstained, look.language) if vote.abstained else "",
                }
            )
    return rows


def rank_rows(rows: Sequence[MatrixRow], columns: Columns, look: Look) -> list[dict[str, object]]:
    """The matrix as it stands: a row for each voice, a column for each layer, in the order of the picture."""
    first = look.t("measure")
    return [{first: row.title} | {str(columns.blocks[place]): row.ranks[place] for place in columns.order} for row in rows]


def _says(vote: Vote, title: str, place: int, columns: Columns, look: Look, between: Interval | None) -> str:
    """All that one voter says of one candidate."""
    t, language = look.t, look.language
    head = f"<b>{_head(title, place, columns, look)}</b>"
    if vote.abstained:
        return f"{head}<br>{t('does not vote')}: {_folded(render(vote.abstained, language), look)}"
    value, rank = vote.values[place], vote.ranks[place]
    if value is None or rank is None:
        return f"{head}<br>{t('not defined for this one; the others decide')}"
    lines = [head, t("rank {rank} of {n}", rank=_rank(rank, look), n=sum(one is not None for one in vote.ranks))]
    if between:
        lines.append(t("over resampled prompts, 95%: rank {range}", range=span(_rank(between[0], look), _rank(between[1], look), language)))
    interval = vote.intervals[place] if vote.intervals else None
    said = t("value {value}", value=number(value, language))
    if interval:
        said += f" ({t('95% interval {range}', range=span(number(interval[0], language), number(interval[1], language), language))})"
    return "<br>".join([*lines, said])


def _head(title: str, place: int, columns: Columns, look: Look) -> str:
    return f"{escaped(title)} · {look.t(UNIT_OF_LAYER[columns.unit], i=columns.blocks[place])}"


def _folded(text: str, look: Look) -> str:
    """A sentence in lines that fit into a hover box."""
    return "<br>".join(escaped(line) for line in textwrap.wrap(text, 32 if look.language == "ja" else 60))


def _rank(rank: float, look: Look) -> str:
    """A rank as it is written; shared ranks have a half."""
    return number(rank, look.language, 0 if float(rank).is_integer() else 1)


def _cells(rows: Sequence[MatrixRow], heights: Sequence[float], columns: Columns) -> go.Heatmap:
    z: list[list[float | None]] = [[row.ranks[place] for place in columns.order] for row in rows]
    texts, ys = [["" if rank is None else f"{rank:g}" for rank in row] for row in z], list(heights)
    if len(rows) == 1:  # see number_strip
        z, texts, ys = [*z, [None] * len(columns.order)], [*texts, [_UNSEEN] * len(columns.order)], [ys[0], ys[0] + 1]
    written = len(columns.order) <= _READABLE
    return go.Heatmap(
        x=list(range(len(columns.order))),
        y=ys,
        z=z,
        text=texts if written else None,
        texttemplate="%{text}" if written else None,
        xgap=1,
        ygap=1,
        coloraxis="coloraxis",
        hoverinfo="skip",
    )


def _hatch(figure: go.Figure, rows: Sequence[MatrixRow], heights: Sequence[float], columns: Columns, look: Look) -> None:
    """Outlines filled with a hatch: cells that are not defined, and whole rows of those that do not vote."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for row, y in zip(rows, heights, strict=True):
        holes = [at for at, place in enumerate(columns.order) if row.ranks[place] is None]
        runs = [(-0.46, len(columns.order) - 0.54)] if row.why else [(at - 0.46, at + 0.46) for at in holes]
        for left, right in runs:
            x, above = box(left, right, y - 0.44, y + 0.44)
            xs, ys = [*xs, *x], [*ys, *above]
    if xs:
        figure.add_trace(hatched(xs, ys, look))


def _targets(rows: Sequence[MatrixRow], heights: Sequence[float], columns: Columns) -> go.Scatter:
    """Transparent squares over the cells: Plotly reports clicks on points, not on heatmap cells."""
    cells = [(at, place, y, row) for y, row in zip(heights, rows, strict=True) for at, place in enumerate(columns.order)]
    return go.Scatter(
        x=[at for at, _, _, _ in cells],
        y=[y for _, _, y, _ in cells],
        mode="markers",
        marker={"symbol": "square", "size": 22, "color": "rgba(0,0,0,0)", "line": {"width": 0}},
        customdata=[[place] for _, place, _, _ in cells],
        text=[row.hovers[place] for _, place, _, row in cells],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _marks(figure: go.Figure, columns: Columns, look: Look, last: float, n_consensus: int) -> None:
    """What a plan would take, outlined in the first row; the candidate that is looked at, from top to bottom."""
    if n_consensus:
        pieces = [box(at - 0.47, at + 0.47, 0.54, 1.46) for at, place in enumerate(columns.order) if place in columns.taken]
        figure.add_trace(
            go.Scatter(
                x=[x for xs, _ in pieces for x in xs],
                y=[y for _, ys in pieces for y in ys],
                mode="lines",
                line={"color": look.palette.operations["prune"], "width": 2.5, "dash": "4px,2px"},
                hoverinfo="skip",
                showlegend=False,
            )
        )
    if columns.selected is not None and columns.selected in columns.order:
        at = columns.order.index(columns.selected)
        edge = {"color": look.palette.text, "width": 2.5}
        figure.add_shape(type="rect", x0=at - 0.5, x1=at + 0.5, y0=-0.5, y1=last + 0.5, line=edge)


def _axes(figure: go.Figure, rows: Sequence[MatrixRow], heights: Sequence[float], columns: Columns, look: Look, bottom: float) -> None:
    n = len(columns.order)
    figure.update_xaxes(range=[-0.5, n - 0.5], visible=False)
    figure.update_yaxes(
        range=[bottom, -0.5],
        tickvals=[0, *heights],
        ticktext=[look.t(HEADS[columns.unit]), *(escaped(row.title) for row in rows)],
        tickfont={"color": look.palette.text, "size": 12},
        ticks="",
        showline=False,
    )
