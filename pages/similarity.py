"""Similarity: what every layer changes, which positions are alike, and the prompts behind a pair."""

import streamlit as st

from analysis.reporting import headlines
from pages.ui.evidence import section
from pages.ui.frame import empty_state, footer, headline, standing, subject
from pages.ui.language import say, words
from pages.ui.messages import stopping_on_errors
from pages.ui.next_step import to_consensus
from pages.ui.pair import open_pair, show_pair
from pages.ui.run_facts import run_facts
from pages.ui.session import ensure_session, profile
from pages.ui.similarity_charts import show_bars, show_heatmap
from pages.ui.similarity_view import controls
from pages.ui.spans import show_sinks, show_spans, show_stability

TERMS = (
    "similarity",
    "angular distance",
    "CKA",
    "Block Influence (BI)",
    "layer",
    "attention",
    "MLP",
    "slice",
    "token",
    "confidence interval",
    "measured",
)

ensure_session("similarity")
t, about = words(), subject()
if about.run is None:
    empty_state(about, t("There is nothing to see yet: similarity is drawn from the figures of a run."))
with stopping_on_errors():
    found = profile(about.run.id)
headline(say(headlines.similarity(found)))
standing(about, next_label=t("Make a plan"), next_page="plans", sample=headlines.is_sample(found))
to_consensus()

view = controls(about.run.id, found)
pair = open_pair(about.run.id, found)
left, right = st.columns(2, gap="medium")
with left:
    show_heatmap(found, view, pair)
with right:
    show_bars(found, view, pair)
show_pair(found, view, pair)
show_sinks(found)
left, right = st.columns(2, gap="medium")
with left:
    show_spans(about.run.id, found)
with right:
    show_stability(about.run.id, found)
section(t("About this run"), "measured")
run_facts(found)
footer(TERMS)
