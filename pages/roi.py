"""ROI: what a plan saves and costs in money, how sure that is, and on what every figure of it rests."""

import streamlit as st

from analysis.reporting import headlines_business
from pages.ui.briefing_case import nothing_to_decide, plan_chooser
from pages.ui.business_plan import business_plan, of_plan
from pages.ui.frame import footer, headline, standing, subject
from pages.ui.language import say, words
from pages.ui.messages import stopping_on_errors
from pages.ui.roi_answer import banner, buckets, stale_note, where_from
from pages.ui.roi_assumptions import show_assumptions
from pages.ui.roi_contents import contents
from pages.ui.roi_downloads import downloads
from pages.ui.roi_levers import levers
from pages.ui.roi_outputs import outputs
from pages.ui.roi_questions import questions
from pages.ui.roi_scenarios import currency_field, kept_case, scenario_field, scenario_shelf
from pages.ui.roi_views import (
    show_alternatives,
    show_bands,
    show_cash_flow,
    show_lines,
    show_machines,
    show_tornado,
    show_waterfall,
    show_years,
)
from pages.ui.roi_work import plan_of_case, work_on
from pages.ui.session import ensure_session

TERMS = (
    "ROI",
    "plan",
    "cash saving",
    "avoided purchase",
    "freed capacity",
    "payback period",
    "net present value (NPV)",
    "internal rate of return (IRR)",
    "discount rate",
    "break-even volume",
    "sensitivity",
    "depreciation",
    "slice",
    "token",
    "measured",
    "projected",
    "assumed",
    "verification",
    "guardrail",
)

ensure_session("roi")
t, about = words(), subject()
plan = about.plan or plan_of_case() or business_plan(about)
if plan is None:
    nothing_to_decide(about)
with stopping_on_errors():
    work = work_on(plan)
about, case = of_plan(about, plan), work.case

if case is None:
    headline(t("Answer the questions below, and this page says what the plan is worth."))
else:
    headline(say(headlines_business.roi(case)))
    stale_note(work)
if case or work.evidence.standing == "outside":
    banner(work.evidence.standing, plan)
if st.session_state.get("next_step"):
    kept_case(work)
standing(
    about,
    next_label=t("Prepare the briefing") if case and not work.stale else None,
    next_page="briefing",
    sample=work.evidence.is_sample,
)
if case:
    buckets(case)
    where_from(case, contents)
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    plan_chooser(about, plan, key="roi_plan")
    scenario_field(work)
    currency_field(work)

left, right = st.columns([5, 6], gap="large")
with left, st.container(border=True):
    questions(work)
    levers(work)
if case is None:
    with right:
        st.info(t("Here you will see what changes in the monthly cost, and when the money is back."), icon=":material/bar_chart:")
else:
    with right:
        show_waterfall(case)
        show_cash_flow(case)
    left, right = st.columns([5, 6], gap="large")
    with left:
        show_tornado(case)
    with right:
        outputs(case)
    left, right = st.columns([5, 6], gap="large")
    with left:
        show_lines(case)
        show_machines(case)
    with right:
        show_years(case)
    with left if case.result.machines is None else right:
        show_bands(case)
    show_alternatives(case)
scenario_shelf(work)
show_assumptions(work)
downloads(work)
footer(TERMS)
