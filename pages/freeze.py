"""Freeze: up to which layer a fine-tune may leave the model as it is, why there, and what that saves."""

from dataclasses import replace

import streamlit as st

from analysis.contracts import Plan
from analysis.errors import StrataError
from analysis.reporting import headlines
from pages.ui.evidence import section
from pages.ui.exports import export_box
from pages.ui.frame import empty_state, footer, headline, standing, subject
from pages.ui.freeze_charts import curve_fields, deviation_heading, know_deviation, show_deviation, show_gain, show_lens, show_trace
from pages.ui.freeze_evidence import show_fidelity, show_gradients, show_rules, show_slice_choices, why_here
from pages.ui.freeze_rule import boundary_slider, every_choice, placed_by_hand, proposed_by, rule_fields
from pages.ui.freeze_saving import show_savings, steps_box, training_fields
from pages.ui.freeze_shelf import keep_box, why_box
from pages.ui.freeze_subject import freeze_plan, gathered, of_its_run, stored_twin, with_stored
from pages.ui.freeze_traces import response_gap, traces_form, watch_traces
from pages.ui.job_box import running
from pages.ui.language import say, words
from pages.ui.messages import stopping_on_errors
from pages.ui.session import ensure_session, profile, semantics_of

TERMS = (
    "freeze",
    "eof-layer",
    "fine-tuning",
    "semantic deviation",
    "layer",
    "token",
    "workload",
    "slice",
    "plan",
    "trial fine-tune",
    "FLOPs",
    "confidence interval",
    "measured",
    "projected",
    "assumed",
)

ensure_session("freeze")
t = words()
with stopping_on_errors():
    asked = subject()
    about = of_its_run(asked)
    about = about if about.run else replace(about, run=asked.run)
if about.run is None:
    empty_state(about, t("There is nothing to freeze yet: the boundary is chosen from what a run measured."))
with stopping_on_errors():
    found = profile(about.run.id)
    traces = semantics_of(about.run.id)
    chosen = freeze_plan(about, found)

answer, jobs, choices = st.container(), st.container(), st.container(border=True)
with jobs:
    watch_traces()
left, right = st.columns([6, 5], gap="large")
with left:
    form, moved, drawn, why = (st.container() for _ in range(4))
with right:
    saved, fields = st.container(), st.container()
with fields:
    training = training_fields(found)
with stopping_on_errors():
    evidence = gathered(found, traces, training.shape)
with choices:
    rule = rule_fields(evidence)

recommended: Plan | None = None
try:
    recommended = proposed_by(rule, training, evidence)
except StrataError as error:
    with choices:
        st.error(say(error), icon=":material/error:")
start = chosen if chosen is not None else recommended
begin = found.n_blocks // 2 - 1 if start is None or start.eof_layer is None else start.eof_layer
with moved:
    deviation_heading(traces)
    eof_layer = boundary_slider(about.run.id, found.n_blocks, begin, (rule, evidence.mark), stored=chosen.id if chosen else None)
with stopping_on_errors():
    fits = recommended is not None and recommended.eof_layer == eof_layer
    plan = recommended if recommended and fits else placed_by_hand(eof_layer, training, evidence)
    stored = stored_twin(plan)
    plan = with_stored(plan, stored)
gap = response_gap(found)
untold = traces is None and stored is None
with answer:
    ask = t("Up to which layer can a fine-tune leave this model as it is? Measure how near each layer comes to the right word.")
    headline((gap or ask) if untold else say(headlines.freeze(plan, plan.trial)))
    standing(replace(about, plan=stored), sample=headlines.is_sample(found))
    keep_box(plan, stored, primary=not untold or bool(gap))

if traces is None and not gap:
    with form:
        traces_form(found, primary=untold and not running("semantics_job"))
if traces is not None:
    with drawn:
        show_deviation(traces, eof_layer, about.run.id)
with why:
    why_here(plan, recommended, found.n_blocks)
    if traces is not None:
        with st.expander(t("Other curves and slices"), icon=":material/tune:"):
            curve_fields(traces)
        know_deviation(traces)
with saved:
    if plan.projection and plan.projection.training:
        show_savings(plan.projection.training, evidence.steps)
    steps_box(found, training.shape, evidence.steps)

if traces is not None:
    choice = recommended.provenance.eof_choice if recommended else None
    show_rules(every_choice(evidence), evidence.trial)
    left, right = st.columns([6, 5], gap="large")
    with left:
        show_gain(traces, eof_layer, choice)
        show_trace(traces, eof_layer)
        show_gradients(traces)
    with right:
        show_fidelity(traces)
        show_lens(traces)
        show_slice_choices(choice)
    with st.expander(t("Measure the traces again, with other words"), icon=":material/replay:"):
        traces_form(found, primary=False)

left, right = st.columns(2, gap="large")
with left:
    section(t("Why this layer"), None)
    why_box(plan, traces, plan.trial)
with right:
    section(t("Take the plan away"), None)
    export_box(plan, found.model)
footer(TERMS)
