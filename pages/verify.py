"""Verify: the limits set first, the plan run beside the original, and the verdict in one sentence."""

from functools import partial

import streamlit as st

from analysis.reporting import headlines
from pages.ui.certificate_box import documents
from pages.ui.evidence import how_do_we_know, section
from pages.ui.exports import export_box
from pages.ui.frame import footer, headline, no_plan, standing, subject, tried_not_verified
from pages.ui.job_box import running, watch_result
from pages.ui.language import plain, say, words
from pages.ui.messages import stopping_on_errors
from pages.ui.part_switch import part_switch
from pages.ui.robustness_page import PARTS, robustness_part
from pages.ui.session import client, ensure_session, only_freezes, stored_plan, verification
from pages.ui.verdicts import origin_of, verdict_mark, verdict_word
from pages.ui.verify_cost import show_calibration, show_cost, show_projection
from pages.ui.verify_form import verify_box
from pages.ui.verify_picker import chosen_verification, made_from
from pages.ui.verify_view import prompt_rows, show_answers, show_limits, show_prompts, show_slices, show_stack, spoken

TERMS = (
    "verification",
    "plan",
    "guardrail",
    "critical case",
    "slice",
    "calibration / verification examples",
    "perplexity",
    "confidence interval",
    "latency",
    "KV cache",
    "measured",
    "projected",
)

ensure_session("verify")
t, about = words(), subject()
if about.plan is None:
    no_plan(about)
if only_freezes(about.plan):
    tried_not_verified(about)
with stopping_on_errors():
    plan = stored_plan(about.plan)
    found_run = made_from(plan)
if any(plan.removed.values()) and part_switch("verify_part", PARTS, first="limits") == "robustness":
    robustness_part(about, plan, found_run)
answer, box = st.container(), st.container()
with box:
    watch_result("verify_job", "verification")
busy = running("verify_job")  # the form folds away while a run goes on, so that its progress is in sight
past = client().verifications(plan.id)
chosen = chosen_verification(past)
info, workload = (found_run.model, found_run.workload) if found_run else (None, None)

if chosen is None:
    with answer:
        headline(t('"{plan}" has not been run yet: set the limits, then verify it.', plan=plain(about.plan.name)))
        standing(about, sample=bool(plan.workload and plan.workload.is_sample) or plan.model.source.kind == "sample")
    with st.expander(t("Limits, examples and settings"), expanded=not busy, icon=":material/tune:", key=f"verify_form_{busy}"):
        verify_box(plan, info, workload, primary=True)
    footer(TERMS)
    st.stop()

with stopping_on_errors():
    found = verification(chosen)
with answer:
    headline(say(headlines.verify(spoken(found))))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(verdict_mark(found.verdict, run=True), width="content")
        if found.verdict == "outside":
            st.markdown(f"**{t('Not recommended')}**", width="content")
        if origin_of(found) == "elsewhere":
            st.markdown(f":gray-badge[{t('measured on another machine')}]", width="content")
    taking = st.session_state.get("taking") == found.id
    label = {"within": None if taking else t("Take the plan away"), "outside": t("Make another plan")}.get(found.verdict or "within")
    standing(
        about,
        next_label=label,
        next_page="plans",
        sample=found.workload.is_sample or found.model_source.kind == "sample",
        leaving_plan=found.verdict == "outside",
        on_next=None if found.verdict == "outside" else partial(st.session_state.__setitem__, "taking", found.id),
    )
    if chosen != past[0].id:
        newest = t("This is an earlier verification. The newest one says: {verdict}.", verdict=verdict_word(past[0].verdict, run=True))
        st.warning(newest, icon=":material/history:")
    if taking:
        with st.container(border=True):
            section(t("Take the plan away"), None)
            export_box(plan, info, primary=True)

drawn, beside = st.columns([5, 2], gap="large") if found_run else (st.container(), None)
with drawn:
    show_limits(found)
if beside and found_run:
    with beside:
        show_stack(found_run, plan)
undecided = found.verdict == "undecided"
again = t("Verify again, with other limits, prompts or settings")
with st.expander(again, expanded=undecided and not busy, icon=":material/replay:", key=f"verify_more_{found.id}_{busy}"):
    verify_box(plan, info, workload, primary=undecided)
show_slices(found)
left, right = st.columns(2, gap="large")
with left:
    show_cost(found)
    show_prompts(found)
with right:
    show_projection(found)
    show_calibration(client().calibration(), found.machine.device_name)
show_answers(found)
for note in found.notes:
    st.caption(say(note))
how_do_we_know(
    formula=t("perplexity = exp(mean loss over the tokens that count); the change compares plan and original on the same tokens"),
    source=t("Paired bootstrap over prompts; exact intervals for counted answers; McNemar's test for right answers"),
    sample=t("{n} prompts, {tokens} tokens", n=found.quality.n_examples, tokens=found.quality.n_tokens),
    interval=t("95%, two-sided; {n} bootstrap replicates", n=found.settings.replicates),
    rows=prompt_rows(found, whole_ids=True),
    file_name="verification.csv",
    key="verification",
)
section(t("Documents"), None)
documents(found, plan)
if not taking:
    section(t("Take the plan away"), None)
    export_box(plan, info)
footer(TERMS)
