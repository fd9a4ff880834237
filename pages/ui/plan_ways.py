"""The two ways to a plan: from what layers change, and from what removing them was measured to cost."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Plan, Profile, Search
from analysis.i18n import N_
from pages.ui.language import words
from pages.ui.plan_form import controls, proposed
from pages.ui.search_form import plan_of_search, search_controls
from pages.ui.search_job import measure_first
from pages.ui.session import forget, go, remembered

WAYS = {"changes": N_("From what layers change"), "costs": N_("From what removing them costs")}


def way_switch(search: Search | None) -> str:
    """Which way the plan is made; a set in the address or a stored search opens the second."""
    t = words()
    st.session_state.setdefault("way", "costs" if search or remembered("set") else "changes")
    chosen = st.radio(
        t("How the plan is made"),
        list(WAYS),
        format_func=lambda way: t(WAYS[way]),
        key="way",
        horizontal=True,
        persist_state="session",
        help=t("The first needs no further run. The second leaves layers out and measures the loss; it finds better plans."),
    )
    return chosen or "changes"


def made_plan(run_id: str, found: Profile, search: Search | None) -> Plan | None:
    """Draws the choices and returns the plan they amount to; None: it first has to be measured.

    Raises:
        PlanError: what was asked for cannot be; the sentence says why.
    """
    if way_switch(search) == "changes":
        return proposed(run_id, controls(found), found)
    if search is None:
        measure_first(found)
        return None
    return plan_of_search(run_id, search, search_controls(found, search), found)


def freeze_door() -> None:
    """The way to plans that take nothing out: layers are frozen while the others are trained."""
    t = words()
    why = t("Takes nothing out: the first layers stay as they are while a fine-tune trains the others.")
    if st.button(t("Freeze layers for training instead"), key="freeze_door", type="tertiary", icon=":material/ac_unit:", help=why):
        forget("plan")
        go("freeze")


def vote_door() -> None:
    """The way to plans that several measures voted for."""
    t = words()
    why = t("One measure can mislead: here several vote on which layers go, one after the other.")
    if st.button(t("Let several measures vote instead"), key="vote_door", type="tertiary", icon=":material/how_to_vote:", help=why):
        forget("plan")
        go("consensus")
