"""Trials: a freeze plan tried by a short training, beside full fine-tuning and LoRA; or a cut healed by one."""

from dataclasses import replace
from functools import partial

import streamlit as st

from analysis.reporting import headlines
from pages.ui.evidence import how_do_we_know, section
from pages.ui.exports import export_box
from pages.ui.frame import footer, headline, standing, subject
from pages.ui.freeze_subject import of_its_run
from pages.ui.healing_page import PARTS, first_part, healing_part
from pages.ui.job_box import running, watch_result
from pages.ui.language import plain, say, words
from pages.ui.messages import stopping_on_errors
from pages.ui.part_switch import part_switch
from pages.ui.picker import shown_of
from pages.ui.session import client, ensure_session, profile, semantics_of, stored_plan, trial
from pages.ui.trial_documents import trial_documents
from pages.ui.trial_form import trial_box
from pages.ui.trial_live import show_live
from pages.ui.trial_picker import freeze_plans, newest_of_run, no_freeze_plan, plan_picker, trial_picker
from pages.ui.trial_sweep import show_sweep
from pages.ui.trial_view import curve_rows, origin_of_trial, show_arms, show_checks, show_costs, show_curves, show_projections, show_slices

TERMS = (
    "trial fine-tune",
    "fine-tuning",
    "freeze",
    "eof-layer",
    "plan",
    "token",
    "slice",
    "calibration / verification examples",
    "confidence interval",
    "measured",
    "projected",
)

ensure_session("trials")
t, about = words(), subject()
if part_switch("trials_part", PARTS, first=first_part(about)) == "healing":
    healing_part(about)
plans = freeze_plans()
if about.plan is None and about.run is not None:
    about = replace(about, plan=newest_of_run(plans, about.run.id))
if about.plan is None or about.plan.eof_layer is None:
    no_freeze_plan(replace(about, plan=None), plans)
with stopping_on_errors():
    tried = about.plan
    plan = stored_plan(tried)
    about = of_its_run(about)
    run = profile(about.run.id) if about.run else None
    traces = semantics_of(about.run.id) if about.run else None
answer, box = st.container(), st.container()
with box:
    watch_result("trial_job", "trial", show_live)
busy = running("trial_job")  # the form folds away while a trial runs, so that its progress is in sight
past = client().trials(plan.id)
chosen = shown_of(past, "trial")
info, workload = (run.model, run.workload) if run else (None, None)
sample = bool(plan.workload and plan.workload.is_sample) or plan.model.source.kind == "sample"

if chosen is None:
    with answer:
        headline(t('"{plan}" has not been tried yet: a short training shows what it costs and gains.', plan=plain(tried.name)))
        standing(about, sample=sample)
        plan_picker(about, plans)
    with st.expander(t("Examples and settings of the trial"), expanded=not busy, icon=":material/tune:", key=f"trial_form_{busy}"):
        trial_box(plan, info, workload, primary=not busy)
    footer(TERMS)
    st.stop()

with stopping_on_errors():
    found = trial(chosen)
taking = st.session_state.get("taking") == found.id
with answer:
    headline(say(headlines.trials(found)))
    if origin_of_trial(found) == "elsewhere":
        st.markdown(f":gray-badge[{t('measured on another machine')}]")
    standing(
        about,
        next_label=None if taking else t("Take the plan away"),
        sample=sample or found.workload.is_sample,
        on_next=partial(st.session_state.__setitem__, "taking", found.id),
    )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        plan_picker(about, plans)
        trial_picker(past, chosen)
    if taking:
        with st.container(border=True):
            section(t("Take the plan away"), None)
            export_box(plan, info, primary=True)

left, right = st.columns([6, 5], gap="large")
with left:
    show_curves(found)
with right:
    show_checks(found)
    show_projections(found)
show_arms(found)
if found.is_sweep:
    show_sweep(found, about.run.id if about.run else None)
left, right = st.columns([6, 5], gap="large")
with left:
    show_costs(found)
with right:
    show_slices(found)
with st.expander(t("Try again, with other examples or settings"), icon=":material/replay:", key=f"trial_more_{found.id}_{busy}"):
    trial_box(plan, info, workload, primary=False)
how_do_we_know(
    formula=t("gain = loss before - loss after on the same examples; kept = gain / full fine-tuning's gain at the same number of tokens"),
    source=t("Real training on the first half of the examples; the loss is taken on the second half, from which nothing is learnt"),
    sample=t(
        "{n} training examples, {judges} judging examples, {tokens} response tokens",
        n=found.n_training,
        judges=found.verification_counts.n_examples,
        tokens=found.verification_counts.n_response,
    ),
    interval=t("95%, paired bootstrap over prompts, {n} replicates", n=found.settings.replicates),
    rows=curve_rows(found),
    file_name="learning_curves.csv",
    key="trial",
)
section(t("Documents"), None)
trial_documents(found, plan, traces)
if not taking:
    section(t("Take the plan away"), None)
    export_box(plan, info)
footer(TERMS)
