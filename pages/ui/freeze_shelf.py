"""What can be done with a boundary: try it, keep it, take it away, hand its reasons to those who must agree."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Plan, PlanSummary, Semantics, Trial
from analysis.i18n import LANGUAGES, Language
from analysis.reporting.why_layer import why_page
from pages.ui.freeze_words import frozen_words
from pages.ui.language import language, words
from pages.ui.messages import saying_errors
from pages.ui.plan_shelf import download
from pages.ui.session import client, forget, go, remember

_TITLES: dict[Language, str] = {"en": "English", "ja": "日本語"}


def keep_box(plan: Plan, stored: PlanSummary | None, *, primary: bool) -> None:
    """Try it, save it under a name, or take plan.json away.

    Args:
        plan: the boundary with its evidence.
        stored: the same plan where it is stored already.
        primary: whether trying it is the page's next step.
    """
    t = words()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = ""
        if stored is None:
            name = st.text_input(t("Name of the plan"), key="freeze_name", max_chars=120, placeholder=usual_name(plan), width=260)
        tried = st.button(
            t("See its trial") if stored and stored.kept_gain is not None else t("Try it"),
            type="primary" if primary else "secondary",
            key="try_it",
            icon=":material/arrow_forward:",
            icon_position="right",
            help=t("Keeps the plan and goes to Trials, where a short training shows what it costs and gains."),
        )
        saved = stored is None and st.button(t("Save this plan"), key="save_plan", icon=":material/bookmark_add:")
        download(plan)
    if tried or saved:
        with saying_errors():
            if stored is None:
                remember("plan", client().save_plan(plan, (name or "").strip() or usual_name(plan)))
                forget("trial")
            if tried:
                go("trials")
            st.rerun()


def usual_name(plan: Plan) -> str:
    """A name for a freeze plan that got none."""
    return frozen_words(-1 if plan.eof_layer is None else plan.eof_layer)


def why_box(plan: Plan, traces: Semantics | None, trial: Trial | None) -> None:
    """ "Why this layer" on one page, to hand to those who must agree."""
    t = words()
    st.markdown(t("One A4 page in plain words: what is frozen, why up to this layer, how sure that is, and what a trial showed."))
    st.session_state.setdefault("why_language", language())
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        spoken: Language = (
            st.selectbox(t("Language of the page"), LANGUAGES, format_func=lambda code: _TITLES[code], key="why_language", width=160)
            or "en"
        )
        st.download_button(
            t("Download the page"),
            data=lambda: why_page(plan, traces, trial, spoken).encode(),
            file_name=f"why-this-layer-{spoken}.html",
            mime="text/html",
            icon=":material/download:",
            on_click="ignore",
            key="download_why",
        )
