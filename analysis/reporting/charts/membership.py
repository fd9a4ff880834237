"""How sure the choice is: in which share of resamples each layer is among the most replaceable ones."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from analysis.i18n import N_
from analysis.i18n.numbers import percent
from analysis.reporting.charts.palette import Look, dressed
from analysis.reporting.charts.rank_matrix import AXIS, Columns, number_strip
from analysis.reporting.headlines_consensus import UNIT_OF_LAYER

SURE = 0.9
"""Share from which on a layer is among them nearly whatever prompts are drawn."""
_CHOSEN, _OTHERS = N_("among the {k} now"), N_("not among them now")


def membership_bars(shares: Sequence[float | None], columns: Columns, k: int, look: Look, *, height: int = 300) -> go.Figure:
    """The share of resamples in which each candidate is among the k most replaceable; a click carries ``customdata [place]``.

    Args:
        shares: [M]; None: without resamples nothing is known of it.
        columns: the order of the candidates; `taken` are those among the k as it is weighed now.
        k: how many.
        look: language and theme.
        height: pixels.
    """
    t, figure = look.t, go.Figure()
    for is_chosen, name in ((True, t(_CHOSEN, k=k)), (False, t(_OTHERS))):
        places = [(at, place) for at, place in enumerate(columns.order) if (place in columns.taken) is is_chosen]
        figure.add_trace(_bars(places, shares, columns, look, name, is_chosen))
    dressed(figure, look, height=height)
    n = len(columns.order)
    figure.add_trace(number_strip(columns, look, yaxis="y2"))
    figure.update_xaxes(
        range=[-0.6, n - 0.4], showticklabels=False, ticks="", showline=False, title={"text": t(AXIS[columns.unit]), "standoff": 0}
    )
    figure.update_yaxes(
        range=[0, 1.04],
        tickvals=[0, 0.25, 0.5, 0.75, 1],
        tickformat=".0%",
        showgrid=True,
        gridcolor=look.palette.grid,
        ticks="",
        domain=[0.2, 1],
    )
    figure.update_layout(yaxis2={"domain": [0, 0.2], "range": [1.3, -0.5], "visible": False, "fixedrange": True}, xaxis={"anchor": "y2"})
    figure.update_layout(showlegend=True, bargap=0.25, margin={"l": 48, "r": 8, "t": 36})
    return figure


def membership_rows(shares: Sequence[float | None], columns: Columns, k: int, look: Look) -> list[dict[str, object]]:
    """The bars as a table, in the order of the consensus."""
    t = look.t
    return [
        {
            t("layer"): columns.blocks[place],
            t("share of resamples"): shares[place],
            t("among the {k} now", k=k): t("yes") if place in columns.taken else t("no"),
        }
        for place in columns.order
    ]


def _bars(
    places: Sequence[tuple[int, int]], shares: Sequence[float | None], columns: Columns, look: Look, name: str, chosen: bool
) -> go.Bar:
    kept, prune = look.palette.operations["kept"], look.palette.operations["prune"]
    return go.Bar(
        x=[at for at, _ in places],
        y=[shares[place] or 0.0 for _, place in places],
        name=name,
        marker={
            "color": "rgba(0,0,0,0)" if chosen else kept,
            "line": {"color": prune if chosen else kept, "width": 2 if chosen else 0},
        },
        customdata=[[place] for _, place in places],
        text=[_hover(shares[place], columns.blocks[place], columns, look) for _, place in places],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
    )


def _hover(share: float | None, block: int, columns: Columns, look: Look) -> str:
    t = look.t
    said = t("not known: no resamples") if share is None else t("in {share} of the resamples", share=percent(share, look.language))
    return f"<b>{t(UNIT_OF_LAYER[columns.unit], i=block)}</b><br>{said}"
