"""Charts on the page: in the visit's language and theme, with an accessible name, and what was clicked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import streamlit as st

from analysis.reporting.charts.palette import CONFIG, Look, Theme
from pages.ui.language import language

if TYPE_CHECKING:
    import plotly.graph_objects as go

Clicked = Callable[[list[int]], None]


def look() -> Look:
    """Language and theme of this visit."""
    theme: Theme = "dark" if st.context.theme.type == "dark" else "light"
    return Look(language(), theme)


def draw(figure: go.Figure, *, alt: str, key: str, on_click: Clicked | None = None) -> None:
    """One chart. `on_click` gets the customdata of the point that was clicked."""
    if on_click is None:
        st.plotly_chart(figure, theme=None, config=dict(CONFIG), key=key, alt=alt)
        return

    def clicked() -> None:
        points: list[dict[str, Any]] = st.session_state[key]["selection"]["points"]
        if points and (found := _numbers(points[0].get("customdata"))):
            on_click(found)

    st.plotly_chart(figure, theme=None, config=dict(CONFIG), key=key, alt=alt, on_select=clicked, selection_mode="points")


def _numbers(customdata: Any) -> list[int]:
    """Streamlit hands customdata back as a list or as a mapping of places; what is not whole numbers was not clicked here."""
    values = list(customdata.values()) if isinstance(customdata, dict) else customdata if isinstance(customdata, list) else [customdata]
    return [int(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
