"""Consensus: which layers most measures call replaceable, how sure that is, what is lost with each, and the plan in one click."""

import streamlit as st

from analysis.contracts import UnitSet
from analysis.errors import StrataError
from pages.ui.consensus_film import show_film
from pages.ui.consensus_form import ranking_box
from pages.ui.consensus_lost import alone, first_looked_at, show_lost
from pages.ui.consensus_matrix import columns_of, free_order, show_agreement, show_matrix, show_sureness, voted
from pages.ui.consensus_plan import drafted, plan_box
from pages.ui.consensus_subject import ranked_subject, ranking_picker
from pages.ui.consensus_view import about_ranking, answer_of, ask_first, order_table
from pages.ui.consensus_weights import mark_of_ranking, order_field, weigh
from pages.ui.evidence import section
from pages.ui.frame import empty_state, footer, headline, standing, stop_with
from pages.ui.glossary import term
from pages.ui.job_box import running, watch_result
from pages.ui.language import words
from pages.ui.messages import saying_errors, stopping_on_errors
from pages.ui.pareto import removed_of
from pages.ui.session import ensure_session

TERMS = (
    "consensus",
    "layer",
    "attention",
    "MLP",
    "ablation",
    "Block Influence (BI)",
    "angular distance",
    "CKA",
    "plan",
    "prune",
    "skip",
    "slice",
    "token",
    "perplexity",
    "calibration / verification examples",
    "confidence interval",
    "measured",
    "projected",
)

ensure_session("consensus")
t = words()
with stopping_on_errors():
    subject = ranked_subject()
    found = subject.ranking
about, profile = subject.about, subject.found
if found is None and profile is None:
    empty_state(about, t("There is nothing to vote on yet: the measures look at the layers of a model that was run."))
answer, jobs = st.container(), st.container()
with jobs:
    watch_result("ranking_job", "ranking")
busy = running("ranking_job")

if found is None and profile is not None:
    with answer:
        ask_first(about)
    with st.container(border=True):
        ranking_box(profile, None, primary=not busy)
    footer(TERMS)
    st.stop()

shown = subject.shown
assert found is not None
assert shown is not None
box, head, matrix, weights = st.container(border=True), st.container(), st.container(), st.container()
with box:
    kept, choices = st.container(), st.container()
with choices:
    weighed, op, stepwise = weigh(found, weights)
try:
    now = voted(mark_of_ranking(found), weighed, found)
    sentence = answer_of(found, weighed)
except StrataError as error:
    stop_with(answer, about, error, TERMS)
with answer:
    headline(sentence)
    standing(about, sample=found.workload.is_sample or found.model.source.kind == "sample")
    ranking_picker(subject.past, shown)
taken: UnitSet = ()
with kept, saying_errors():
    plan = drafted(found, profile, weighed, op, stepwise)
    taken = removed_of(plan)
    plan_box(plan, profile, stepwise)

with head, st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
    with st.container(width="content"):
        section(t("What every measure says"), "measured", help=term("consensus"))
    with st.container(width="content"):
        by_consensus = order_field()
order = free_order(found, now)
looked_at = first_looked_at(found, order)
columns = columns_of(found, now, by_consensus, taken, alone(found, looked_at))
with matrix:
    show_matrix(found, weighed, now, columns)
order_table(found, weighed, now)
if looked_at:
    show_lost(found, looked_at)
left, right = st.columns([6, 5], gap="large")
with left:
    show_sureness(found, weighed, now, columns_of(found, now, by_consensus, order[: weighed.k]))
with right:
    show_agreement(found, weighed)
show_film(found)
if profile is not None:
    with st.expander(t("Let the measures vote again, otherwise"), icon=":material/replay:", key=f"rank_form_{found.id}_{busy}"):
        ranking_box(profile, found, primary=False)
about_ranking(found, shown)
footer(TERMS)
