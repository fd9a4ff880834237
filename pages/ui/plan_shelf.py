"""Keeping plans: save and name, download, compare with another, check one made elsewhere."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import ModelInfo, Plan, PlanSummary
from analysis.planning import DEFAULT_CONTEXT_TOKENS, check_plan, plan_in_words, plan_to_json, project, read_plan
from pages.ui.language import plain, say, words
from pages.ui.messages import saying_errors
from pages.ui.plan_form import context_field
from pages.ui.plan_view import comparison_table
from pages.ui.session import client, forget, remember, remembered, stored_plan


def save_box(plan: Plan) -> None:
    """Name and save what the choices amount to: the page's primary button."""
    t = words()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.text_input(t("Name of the plan"), key="plan_name", max_chars=120, placeholder=say_in_short(plan), width=260)
        if st.button(t("Save this plan"), type="primary", key="save_plan", icon=":material/bookmark_add:"):
            with saying_errors():
                remember("plan", client().save_plan(plan, (name or "").strip() or say_in_short(plan)))
                st.rerun()
        download(plan)


def saved_box(plan: Plan, summary: PlanSummary, info: ModelInfo) -> Plan:
    """A stored plan: take it away, or go on from it. Returns it with the figures for the context length chosen here."""
    t = words()
    left, right = st.columns([5, 2], gap="medium", vertical_alignment="bottom")
    with right:
        start = plan.projection.context_tokens if plan.projection else DEFAULT_CONTEXT_TOKENS
        tokens = context_field(start, key=f"context_{plan.id}")
    if not check_plan(plan, info):
        plan = plan.model_copy(update={"projection": project(info, plan.operations, tokens, plan.model.stack)})
    with left, st.container(horizontal=True, vertical_alignment="center", gap="small"):
        download(plan, primary=True)
        back = t("Back to the choices; this plan stays stored.")
        if st.button(t("Make another plan"), key="new_plan", icon=":material/tune:", help=back):
            forget("plan")
            st.rerun()
        st.caption(t("Stored as {name}.", name=plain(summary.name)))
    return plan


def download(plan: Plan, *, primary: bool = False) -> None:
    """plan.json, as the terminal writes it."""
    t = words()
    st.download_button(
        t("Download plan.json"),
        data=lambda: plan_to_json(plan).encode(),
        file_name="plan.json",
        mime="application/json",
        icon=":material/download:",
        on_click="ignore",
        key="download_plan",
        type="primary" if primary else "secondary",
    )


def say_in_short(plan: Plan) -> str:
    """A name for a plan that got none."""
    t, operation = words(), plan.operations[0]
    kind = {"prune": t("prune"), "skip": t("skip"), "freeze": t("freeze")}[operation.op]
    unit = {"block": t("layers"), "attention": t("attention"), "mlp": t("MLP")}[getattr(operation, "unit", "block")]
    return t("{operation} {unit}, {amount}", operation=kind, unit=unit, amount=plan.provenance.amount)


def compare_box(plan: Plan) -> Plan | None:
    """Another stored plan beside this one; returns it for the drawing."""
    t = words()
    others = {item.id: item.name for item in client().plans() if item.id != plan.id}
    if not others:
        return None
    asked = remembered("compare_plan")

    def changed() -> None:
        found = st.session_state.plan_beside
        remember("compare_plan", found) if found else forget("compare_plan")

    st.session_state.plan_beside = asked if asked in others else ""
    beside = st.selectbox(
        t("Compare with another stored plan"),
        ["", *others],
        format_func=lambda found: others.get(found, t("none")),
        key="plan_beside",
        on_change=changed,
    )
    if not beside or beside not in others:
        return None
    with saying_errors():
        return stored_plan(beside, others[beside])
    return None


def show_comparison(plan: Plan, other: Plan) -> None:
    """Both plans in one table, figure by figure."""
    t = words()
    with saying_errors():
        table = comparison_table(plan.model_copy(update={"name": plan.name or t("this plan")}), other)
        st.dataframe(table, hide_index=True, alt=t("What two plans take out and leave, side by side"))


def upload_box(info: ModelInfo) -> None:
    """A plan.json made elsewhere, checked against the model of this run before it is kept."""
    t = words()
    with st.expander(t("Check a plan.json made elsewhere"), icon=":material/upload_file:"):
        file = st.file_uploader("plan.json", type=["json"], key="plan_file", max_upload_size=64)
        if file is None:
            return
        with saying_errors():
            plan = read_plan(file.getvalue())
            problems = check_plan(plan, info)
            for problem in problems:
                st.error(say(problem), icon=":material/error:")
            if not problems:
                st.success(
                    t("This plan fits the model of this run: {plan}.", plan=say(plan_in_words(plan))), icon=":material/check_circle:"
                )
            if st.button(t("Keep this plan"), key="keep_plan"):
                _, found = client().import_document(file.getvalue(), file.name)
                remember("plan", found)
                st.rerun()
