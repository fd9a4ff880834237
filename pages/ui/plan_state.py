"""A plan's life on the page: where it stands, who moved it there and when, and the next step."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import PlanEvent, PlanState, PlanSummary
from analysis.runs.plan_life import NOTE_LIMIT, next_states
from pages.ui.evidence import table
from pages.ui.frame import PLAN_STATES
from pages.ui.language import plain, words
from pages.ui.messages import saying_errors
from pages.ui.session import client

NAME_LIMIT = 120


def state_box(plan: PlanSummary) -> None:
    """The plan's state, its history, and a small form for the next step."""
    t = words()
    box = st.expander(t("State and history of the plan"), icon=":material/flag:", key="plan_state", on_change="rerun")
    if not box.open:
        return
    with box:
        left, right = st.columns([3, 2], gap="large")
        with left:
            _history(client().plan_history(plan.id))
        with right:
            _form(plan)


def _history(events: list[PlanEvent]) -> None:
    t = words()
    if not events:
        st.caption(t("Nobody has moved this plan yet."))
        return
    rows = [
        {
            t("State"): t(PLAN_STATES[event.state]),
            t("When"): event.at[:16].replace("T", " "),
            t("Who"): t("{who} (as entered, not verified)", who=event.who) if event.who else "",
            t("Note"): event.note,
        }
        for event in reversed(events)
    ]
    table(rows, alt=t("The plan's states, newest first, with who moved it and when"))


def _form(plan: PlanSummary) -> None:
    t = words()
    states = next_states(plan.state)
    with st.form(f"state_{plan.id}", border=False):
        state = st.selectbox(t("Next state"), states, format_func=lambda name: t(PLAN_STATES[name]), key=f"next_state_{plan.id}")
        who = st.text_input(
            t("Your name"),
            key=f"state_who_{plan.id}",
            max_chars=NAME_LIMIT,
            help=t("Kept as you type it. There is no login here, so it is marked as entered, not verified."),
        )
        note = st.text_input(t("Note"), key=f"state_note_{plan.id}", max_chars=NOTE_LIMIT)
        pressed = st.form_submit_button(t("Move the plan"), icon=":material/flag:")
    if plan.state == "draft":
        st.caption(t("A plan becomes verified by a verification that runs it, by nobody's word."))
    if pressed and state:
        _move(plan, state, (who or "").strip(), (note or "").strip())


def _move(plan: PlanSummary, state: PlanState, who: str, note: str) -> None:
    with saying_errors():
        client().set_plan_state(plan.id, state, who=who, note=note)
        st.toast(words()("{plan} is now: {state}.", plan=plain(plan.name), state=words()(PLAN_STATES[state])))
        st.rerun()
