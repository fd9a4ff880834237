"""Briefing: one page for those who decide, ready to print, and all that is needed to stand behind it in the meeting."""

import streamlit as st

from analysis.reporting import headlines_business
from analysis.reporting.briefing import make_briefing, render_html
from pages.ui.briefing_case import no_worth_yet, nothing_to_decide, plan_chooser, say_source, worth_of
from pages.ui.briefing_downloads import downloads
from pages.ui.briefing_form import briefing_fields, with_dates
from pages.ui.briefing_missing import show_missing
from pages.ui.briefing_view import preview, show_figures, show_questions, show_ringi, show_sentences, show_terms
from pages.ui.business_plan import business_plan, of_plan
from pages.ui.frame import footer, headline, standing, subject
from pages.ui.language import plain, say, words
from pages.ui.messages import stopping_on_errors
from pages.ui.session import ensure_session, remembered

TERMS = (
    "ROI",
    "payback period",
    "net present value (NPV)",
    "cash saving",
    "avoided purchase",
    "freed capacity",
    "guardrail",
    "critical case",
    "roll back",
    "plan",
    "measured",
    "projected",
    "assumed",
)

ensure_session("briefing")
t, about = words(), subject()
remembered("case")
plan = business_plan(about)
if plan is None:
    nothing_to_decide(about)
about = of_plan(about, plan)
with stopping_on_errors():
    worth = worth_of(plan, st.session_state.get("briefing_language"))
if worth.case is None:
    no_worth_yet(about, worth)

answer = st.container()
left, right = st.columns([8, 4], gap="large")
with left:
    gaps, paper = st.container(), st.container(border=True)
with right:
    given = briefing_fields(worth)
    files = st.container()
with stopping_on_errors():
    case = with_dates(worth.case, given)
    briefing = make_briefing(case, given.language, author=given.author, decision_on=given.decision_on, signed=given.signed)
    page = render_html(briefing)
with answer:
    headline(say(headlines_business.briefing(briefing)))
    standing(about, sample=case.is_sample or case.evidence.is_sample)
    plan_chooser(about, plan, key="briefing_plan")
    if briefing.banner:
        st.error(f"**{plain(briefing.banner)}**", icon=":material/report:")
    say_source(worth)
with gaps:
    show_missing(case, briefing, given)
with files:
    downloads(case, briefing, page)
with paper:
    preview(page)

say_it, asked, ringi, figures, terms = st.tabs(
    [
        t("Sentences for the meeting"),
        t("Questions and answers"),
        t("Ringi text"),
        t("Where the figures come from"),
        t("Terms used"),
    ]
)
with say_it:
    show_sentences(briefing)
with asked:
    show_questions(briefing)
with ringi:
    show_ringi(briefing)
with figures:
    show_figures(briefing)
with terms:
    show_terms(briefing)
footer(TERMS)
