"""Charts on the page: in the visit's language and theme, with an accessible name, and what was clicked."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import pandas  # noqa: F401  whole before any chart: plotly looks into a half-loaded one when two first visits come at once
import streamlit as st

from analysis.reporting.charts.palette import CONFIG, Look, Theme
from pages.ui.language import language

if TYPE_CHECKING:
    import plotly.graph_objects as go

Clicked = Callable[[list[int]], None]
Build = Callable[[], "go.Figure"]


def look() -> Look:
    """Language and theme of this visit."""
    theme: Theme = "dark" if st.context.theme.type == "dark" else "light"
    return Look(language(), theme)


def draw(build: Build, *, alt: str, key: str, of: tuple[Hashable, ...], on_click: Clicked | None = None) -> None:
    """One chart, built once for each thing it shows.

    Args:
        build: makes the figure.
        alt: the accessible name.
        key: the chart's place on the page.
        of: everything the figure depends on besides language and theme, such as the run's id.
        on_click: gets the customdata of the point that was clicked.
    """
    figure = _built((key, look(), *of), build)
    if on_click is None:
        st.plotly_chart(figure, theme=None, config=dict(CONFIG), key=key, alt=alt)
        return

    def clicked() -> None:
        points: list[dict[str, Any]] = st.session_state[key]["selection"]["points"]
        if points and (found := _numbers(points[0].get("customdata"))):
            on_click(found)

    st.plotly_chart(figure, theme=None, config=dict(CONFIG), key=key, alt=alt, on_select=clicked, selection_mode="points")


@st.cache_resource(show_spinner=False, max_entries=128)
def _built(of: tuple[Hashable, ...], _build: Build) -> go.Figure:
    """The figure, kept: a rerun that changes nothing in it costs nothing, and a selection in it stays."""
    return _with_tools(_build())


def draw_now(figure: go.Figure, *, alt: str, key: str) -> None:
    """A chart of this moment: drawn and not kept, since the next one shows more.

    Args:
        figure: what is drawn.
        alt: the accessible name.
        key: the chart's place on the page.
    """
    st.plotly_chart(_with_tools(figure), theme=None, config=dict(CONFIG), key=key, alt=alt)


def _with_tools(figure: go.Figure) -> go.Figure:
    """Its buttons in the page's quiet colour."""
    quiet = look().palette.quiet
    figure.update_layout(modebar={"bgcolor": "rgba(0,0,0,0)", "color": quiet, "activecolor": quiet})
    return figure


def forget_charts() -> None:
    """Draws every chart anew from now on."""
    _built.clear()


def _numbers(customdata: Any) -> list[int]:
    """Streamlit hands customdata back as a list or as a mapping of places; what is not whole numbers was not clicked here."""
    values = list(customdata.values()) if isinstance(customdata, dict) else customdata if isinstance(customdata, list) else [customdata]
    return [int(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
