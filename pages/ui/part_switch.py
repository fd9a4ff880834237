"""Two questions on one page: the switch between them, kept in the address."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from pages.ui.language import words
from pages.ui.session import Remembered, remember, remembered


def part_switch(what: Remembered, parts: Mapping[str, str], *, first: str) -> str:
    """Which part of the page is shown.

    Args:
        what: the name under which this visit remembers it.
        parts: name -> what it is called (a translation key).
        first: the part that is shown where nobody chose.
    """
    t, key = words(), f"{what}_switch"
    asked = remembered(what)
    st.session_state[key] = asked if asked in parts else first

    def changed() -> None:
        remember(what, st.session_state[key])

    st.radio(
        t("What this page shows"),
        list(parts),
        format_func=lambda name: t(parts[name]),
        key=key,
        on_change=changed,
        horizontal=True,
        label_visibility="collapsed",
    )
    return str(st.session_state[key])
