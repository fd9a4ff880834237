"""Documents made elsewhere, brought in."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Assumptions
from analysis.runs.documents import parse_document
from analysis.runs.stored import DocumentKind
from pages.ui.business_plan import business_plan
from pages.ui.consensus_subject import run_of_ranking
from pages.ui.frame import subject
from pages.ui.language import plain, words
from pages.ui.messages import saying_errors
from pages.ui.session import client, forget, forget_working, go, keep_working, profile, remember


def import_box() -> None:
    """Opens a file made by another Strata, by the terminal or by a colleague."""
    t = words()
    with st.expander(
        t("Open a file made elsewhere: a measurement, a plan, a test, a business case or stages"), icon=":material/upload_file:"
    ):
        file = st.file_uploader(t("File"), type=["json", "gz"], key="document", max_upload_size=64)
        if file and st.button(t("Open this file"), key="open_document"):
            with saying_errors():
                kind, found = client().import_document(file.getvalue(), file.name)
                if kind == "assumptions":
                    _use_assumptions(file.getvalue(), file.name)
                else:
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
    if kind in ("business_case", "rollout"):
        _open_business(kind, found)
        return
    if kind == "ranking":
        _open_ranking(found)
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


def _open_business(kind: DocumentKind, found: str) -> None:
    """Shows a business case or the stages of a plan with that plan; without it they are said to be kept until it is here."""
    t = words()
    plan_id = found if kind == "rollout" else client().case(found).evidence.plan_id
    if plan_id not in {plan.id for plan in client().plans()}:
        st.warning(t("Kept. The plan that it is about is not stored here: open its plan.json too."), icon=":material/info:")
        return
    remember("plan", plan_id)
    if kind == "rollout":
        go("stages")
    remember("case", found)
    forget_working(plan_id)
    go("roi")


def _use_assumptions(data: bytes, file: str) -> None:
    """Goes on with someone's assumptions about the business, for the plan in use."""
    t = words()
    plan = business_plan(subject())
    if plan is None:
        st.warning(t("Assumptions belong to a plan, and none is stored here: make or open a plan first."), icon=":material/info:")
        return
    found = parse_document(data, file)
    assert isinstance(found, Assumptions)
    remember("plan", plan.id)
    keep_working(plan.id, found)
    go("roi")


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


def _open_ranking(found: str) -> None:
    """Shows a ranking, with the run of its model and prompts where that is here."""
    brought = next(one for one in client().rankings() if one.id == found)
    if (run := run_of_ranking(brought)) is not None:
        remember("run", run.id)
    forget("plan")
    remember("ranking", found)
    go("consensus")
