"""Stages: how the plan gets into use step by step, what catches it when it fails, and what came of it."""

import streamlit as st

from analysis.economics.advice import advise
from analysis.reporting import headlines_business
from pages.ui.briefing_case import nothing_to_decide, plan_chooser, say_source, worth_of
from pages.ui.business_plan import business_plan, of_plan
from pages.ui.frame import footer, headline, standing, subject
from pages.ui.language import say, words
from pages.ui.messages import stopping_on_errors
from pages.ui.roi_answer import banner
from pages.ui.session import ensure_session, remembered
from pages.ui.stages_actuals import actuals_box
from pages.ui.stages_decide import decide_box, show_advice, show_history
from pages.ui.stages_edit import edit_box
from pages.ui.stages_exports import exports_box
from pages.ui.stages_ready import checklist_box, rehearsal_box
from pages.ui.stages_view import show_money, show_stages, show_timeline
from pages.ui.stages_watch import watch_box

TERMS = (
    "staged rollout",
    "pilot",
    "guardrail",
    "slice",
    "critical case",
    "roll back",
    "safety valve",
    "plan",
    "confidence interval",
    "payback period",
    "measured",
    "projected",
    "assumed",
)

ensure_session("stages")
t, about = words(), subject()
remembered("case")
plan = business_plan(about)
if plan is None:
    nothing_to_decide(about)
about = of_plan(about, plan)
with stopping_on_errors():
    worth = worth_of(plan)
    case, rollout, evidence = worth.case, worth.rollout, worth.evidence
    advice = advise(rollout) if rollout.current else None

headline(say(headlines_business.stages(rollout, advice)))
banner(evidence.standing, plan)
standing(about, next_label=t("Prepare the briefing"), next_page="briefing", sample=evidence.is_sample or rollout.is_sample)
plan_chooser(about, plan, key="stages_plan")
if not worth.rollout_stored:
    st.info(
        t("These stages are a proposal made from the plan. They are kept as yours with the first change or decision."),
        icon=":material/info:",
    )
say_source(worth)

left, right = st.columns([6, 5], gap="large")
with left:
    show_timeline(rollout)
with right:
    show_advice(rollout, advice)
show_stages(rollout)
show_money(case)

ready, decisions, watch, actual, change, out = st.tabs(
    [
        t("Before the start"),
        t("Decide"),
        t("Watch"),
        t("Plan against actual"),
        t("Change the stages"),
        t("For other systems"),
    ],
    key="stages_tabs",
    on_change="rerun",
)
if ready.open:
    with ready:
        left, right = st.columns(2, gap="large")
        with left:
            checklist_box(rollout)
        with right:
            rehearsal_box(rollout, evidence)
if decisions.open:
    with decisions:
        left, right = st.columns([2, 3], gap="large")
        with left:
            decide_box(plan, rollout, advice)
        with right:
            show_history(rollout)
if watch.open:
    with watch:
        watch_box(rollout, advice)
if actual.open:
    with actual:
        actuals_box(case, rollout)
if change.open:
    with change:
        edit_box(rollout, evidence, worth.assumptions)
if out.open:
    with out:
        exports_box(rollout)
footer(TERMS)
