"""What every term of the pages means: one sentence each, shown as a tooltip where the term stands."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.reporting.glossary_terms import TERMS as TERMS
from pages.ui.language import words


def term(name: str) -> str:
    """One tooltip: the term and its sentence."""
    t = words()
    return f"**{t(name)}**  \n{t(TERMS[name])}"


def glossary(names: Sequence[str]) -> None:
    """The terms a page uses, with their sentences, one click away."""
    t = words()
    with st.popover(t("What do these words mean?"), icon=":material/menu_book:", type="tertiary"):
        for name in names:
            st.markdown(term(name))
