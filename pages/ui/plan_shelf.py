"""Keeping plans: save and name, download, compare with another, check one made elsewhere."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import LatencyModel, ModelInfo, Plan, PlanSummary, Projection, Search
from analysis.planning import DEFAULT_CONTEXT_TOKENS, check_plan, plan_in_words, plan_to_json, project, read_plan
from analysis.planning.project_more import enriched
from pages.ui.language import plain, say, words
from pages.ui.messages import saying_errors
from pages.ui.plan_form import context_field
from pages.ui.plan_view import comparison_table
from pages.ui.session import client, forget, latency_of, remember, remembered, stored_plan


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


def saved_box(plan: Plan, summary: PlanSummary, info: ModelInfo, search: Search | None) -> Plan:
    """A stored plan: take it away, or go on from it. Returns it with the figures for the context length chosen here."""
    t = words()
    left, right = st.columns([5, 2], gap="medium", vertical_alignment="bottom")
    with right:
        start = plan.projection.context_tokens if plan.projection else DEFAULT_CONTEXT_TOKENS
        tokens = context_field(start, key=f"context_{plan.id}")
    if not check_plan(plan, info):
        plan = with_figures(plan, info, tokens, search)
    with left, st.container(horizontal=True, vertical_alignment="center", gap="small"):
        download(plan)
        back = t("Back to the choices; this plan stays stored.")
        if st.button(t("Make another plan"), key="new_plan", icon=":material/tune:", help=back):
            forget("plan")
            st.rerun()
        st.caption(t("Stored as {name}.", name=plain(summary.name)))
    return plan


def with_figures(plan: Plan, info: ModelInfo, context_tokens: int, search: Search | None) -> Plan:
    """The plan with everything that can be projected now, for requests of this length."""
    same = search if search and search.model.commit == plan.model.commit and search.stack == plan.model.stack else None
    latency = latency_of(plan.model.commit, plan.model.stack)
    mark = (plan.id, *((same.id, same.created_at) if same else ("", "")), latency.measured_at if latency else "")
    more = _projection(mark, context_tokens, plan, info, same, latency)
    return plan.model_copy(update={"projection": more})


@st.cache_data(show_spinner=False, max_entries=128)
def _projection(
    mark: tuple[str, ...], context_tokens: int, _plan: Plan, _info: ModelInfo, _search: Search | None, _latency: LatencyModel | None
) -> Projection:
    shapes = project(_info, _plan.operations, context_tokens, _plan.model.stack)
    return enriched(shapes, _info, _plan, search=_search, latency=_latency)


def download(plan: Plan) -> None:
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
    )


def say_in_short(plan: Plan) -> str:
    """A name for a plan that got none."""
    t, operation = words(), plan.operations[0]
    if len(plan.operations) > 1:
        return t("mixed, {amount}", amount=plan.provenance.amount)
    kind = {"prune": t("prune"), "skip": t("skip"), "freeze": t("freeze")}[operation.op]
    unit = {"block": t("layers"), "attention": t("attention"), "mlp": t("MLP")}[getattr(operation, "unit", "block")]
    return t("{operation} {unit}, {amount}", operation=kind, unit=unit, amount=plan.provenance.amount)


def compare_box(plan: Plan) -> Plan | None:
    """Another stored plan beside this one; returns it for the drawing."""
    t = words()
    others = {item.id: item for item in client().plans() if item.id != plan.id}
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
        format_func=lambda found: others[found].name if found in others else t("none"),
        key="plan_beside",
        on_change=changed,
    )
    if not beside or beside not in others:
        return None
    with saying_errors():
        return stored_plan(others[beside])
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
