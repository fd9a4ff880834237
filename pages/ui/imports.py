"""Documents made elsewhere, brought in."""

from __future__ import annotations

import streamlit as st

from analysis.runs.stored import DocumentKind
from pages.ui.language import plain, words
from pages.ui.messages import saying_errors
from pages.ui.session import client, forget, go, profile, remember


def import_box() -> None:
    """Opens a file made by another Strata, by the terminal or by a colleague."""
    t = words()
    with st.expander(t("Open a file made elsewhere: profile, plan, search, verification, traces or trial"), icon=":material/upload_file:"):
        file = st.file_uploader(t("File"), type=["json", "gz"], key="document", max_upload_size=64)
        if file and st.button(t("Open this file"), key="open_document"):
            with saying_errors():
                kind, found = client().import_document(file.getvalue(), file.name)
                _open(kind, found)


def _open(kind: DocumentKind, found: str) -> None:
    """Shows what came in where it belongs; what has nothing here to belong to is said to be kept until it has."""
    t = words()
    if kind == "profile":
        remember("run", found)
        go("similarity")
    if kind == "plan":
        remember("plan", found)
        if client().plan(found).eof_layer is not None:
            go("freeze")
    if kind == "verification":
        verified = client().verification(found)
        if verified.plan_id not in {plan.id for plan in client().plans()}:
            told = t("Kept. The plan that it verifies, {plan}, is not stored here: open its plan.json too.", plan=plain(verified.plan_name))
            st.warning(told, icon=":material/info:")
            return
        remember("plan", verified.plan_id)
        st.session_state.chosen_verification = found
        go("verify")
    if kind == "semantics":
        _open_traces(found)
        return
    if kind == "trial":
        _open_trial(found)
        return
    if kind == "search":
        run = _run_of_search(found)
        if run is None:
            st.warning(
                t("Kept. No run here measured its model on its prompts: open its profile.json too, or profile that model."),
                icon=":material/info:",
            )
            return
        forget("plan")
        remember("run", run)
    go("plans")


def _run_of_search(search_id: str) -> str | None:
    """The newest run that the search belongs to."""
    brought = client().search(search_id)
    for run in client().runs():
        if run.model_name == brought.model.name and (known := client().search_for(profile(run.id))) and known.id == brought.id:
            return run.id
    return None


def _open_trial(found: str) -> None:
    """Shows a trial with its plan; one whose plan is not here is said to be kept until it is."""
    t, brought = words(), client().trial(found)
    if brought.plan_id not in {plan.id for plan in client().plans()}:
        told = t("Kept. The plan that it tried, {plan}, is not stored here: open its plan.json too.", plan=plain(brought.plan_name))
        st.warning(told, icon=":material/info:")
        return
    remember("plan", brought.plan_id)
    st.session_state.chosen_trial = found
    go("trials")


def _open_traces(found: str) -> None:
    """Shows traces on the run that they belong to; without one they are said to be kept until it is here."""
    t, brought = words(), client().semantics(found)
    for run in client().runs():
        if run.model_name == brought.model.name and (known := client().semantics_for(profile(run.id))) and known.id == brought.id:
            forget("plan")
            remember("run", run.id)
            go("freeze")
    st.warning(
        t("Kept. No run here measured its model on its prompts: open its profile.json too, or profile that model."), icon=":material/info:"
    )
