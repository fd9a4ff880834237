"""The briefing on the screen: the page itself, what to say in the meeting, what will be asked, the ringi text, the terms."""

from __future__ import annotations

import base64

import streamlit as st

from analysis.reporting.briefing_parts import Briefing
from pages.ui.evidence import table
from pages.ui.language import plain, words

PAGE_HEIGHT = 1130
_LOCK = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"

_NARROW = (
    "<style>@media screen and (max-width:640px)"
    "{header,.pair,.boxes,.two{display:block}main,.over{padding:4mm}.meta{text-align:left}}</style>"
)
"""On a telephone the parts stand one below the other; the paper itself stays as it is."""


def preview(page: str) -> None:
    """The A4 page in a frame of its own origin: names in it are typed by people, and nothing in it may reach this page.

    A `data:` address has an opaque origin, and the policy forbids scripts and every request.
    """
    locked = page.replace("<head>", f"<head>{_LOCK}", 1).replace("</head>", f"{_NARROW}</head>", 1)
    source = "data:text/html;charset=utf-8;base64," + base64.b64encode(locked.encode()).decode()
    st.iframe(source, height=PAGE_HEIGHT, tab_index=0, alt=words()("Preview of the document"))


def show_sentences(briefing: Briefing) -> None:
    """What to say in the meeting; about ninety seconds."""
    t = words()
    st.caption(t("About ninety seconds, in the language of the document. Sentences without their figure are left out."))
    st.markdown("\n\n".join(f"{one.number}\\. {plain(one.text)}" for one in briefing.sentences))
    with st.expander(t("To copy"), icon=":material/content_copy:"):
        st.code("\n".join(one.text for one in briefing.sentences), language=None, wrap_lines=True)


def show_questions(briefing: Briefing) -> None:
    """What the board will ask, answered from the plan."""
    t = words()
    st.caption(t("Answered from this plan's figures; a figure that is missing is named, not guessed."))
    for one in briefing.questions:
        st.markdown(f"**{plain(one.question)}**  \n{plain(one.answer)}")


def show_ringi(briefing: Briefing) -> None:
    """The text for the circular of approval, to copy."""
    t = words()
    st.caption(t("Copy as ringi text: the button is at the upper right of the box."))
    st.code(briefing.ringi, language=None, wrap_lines=True)


def show_figures(briefing: Briefing) -> None:
    """Every figure with its source line and where it comes from."""
    t = words()
    rows = [
        {t("Figure"): one.label, t("Value"): one.text, t("Origin"): _origin(one.origin), t("Source"): one.source}
        for one in briefing.figures
    ]
    table(rows, alt=t("Every figure of the document with its source"))


def _origin(origin: str) -> str:
    t = words()
    return {
        "measured": t("measured"),
        "projected": t("projected"),
        "assumed": t("assumed"),
        "elsewhere": t("measured on another machine"),
    }.get(origin, origin)


def show_terms(briefing: Briefing) -> None:
    """The terms that the document uses."""
    for one in briefing.glossary:
        st.markdown(f"**{plain(one.term)}**  \n{plain(one.meaning)}")
