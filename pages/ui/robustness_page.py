"""Verify's second question: does the cut make the model more sensitive to disturbed input?"""

from __future__ import annotations

from functools import partial
from typing import NoReturn

import streamlit as st

from analysis.contracts import Plan, Profile
from analysis.i18n import N_
from analysis.reporting import robustness_words
from pages.ui.evidence import section
from pages.ui.frame import Subject, footer, headline, next_of_plan, standing
from pages.ui.job_box import running, watch_result
from pages.ui.language import plain, say, words
from pages.ui.messages import stopping_on_errors
from pages.ui.picker import shown_of
from pages.ui.robustness_energy import show_energy
from pages.ui.robustness_form import robustness_box
from pages.ui.robustness_picker import robustness_file, robustness_picker
from pages.ui.robustness_view import how_robustness, machine_line, show_open, show_rises, show_unknown_work
from pages.ui.session import client, remember, robustness

PARTS = {"limits": N_("Quality and cost against limits"), "robustness": N_("Robustness, energy and carbon")}
TERMS = (
    "robustness",
    "verification",
    "plan",
    "slice",
    "critical case",
    "token",
    "perplexity",
    "calibration / verification examples",
    "confidence interval",
    "measured",
    "projected",
    "assumed",
)


def robustness_part(about: Subject, plan: Plan, run: Profile | None) -> NoReturn:
    """The whole part: the answer, the evidence, the controls.

    Args:
        about: the run and plan in use.
        plan: what is put to the test.
        run: the stored run it was made from, where it is here.
    """
    t = words()
    answer, box = st.container(), st.container()
    with box:
        watch_result("robustness_job", "robustness")
    busy = running("robustness_job")
    past = client().robustness_tests(plan.id)
    shown = shown_of(past, "robustness")
    info, workload = (run.model, run.workload) if run else (None, None)
    sample = bool(plan.workload and plan.workload.is_sample) or plan.model.source.kind == "sample"
    if shown is None:
        with answer:
            name = plain(about.plan.name if about.plan else plan.name)
            headline(t('How "{plan}" bears typing errors, other words and attacks is not known yet: test it.', plan=name))
            standing(about, sample=sample)
        with st.expander(t("What is tested"), expanded=not busy, icon=":material/tune:", key=f"robustness_form_{busy}"):
            robustness_box(plan, info, workload, primary=not busy)
        footer(TERMS)
        st.stop()
    with stopping_on_errors():
        found = robustness(shown)
    with answer:
        headline(say(robustness_words.robustness(found)))
        st.caption(machine_line(found))
        _standing(about, sample or found.workload.is_sample)
        robustness_picker(past, shown)
    show_rises(found)
    show_unknown_work(found)
    left, right = st.columns(2, gap="large")
    with left:
        show_energy(found)
    with right:
        show_open(found)
    with st.expander(t("Test again, with other disturbances or settings"), icon=":material/replay:", key=f"robustness_more_{shown}_{busy}"):
        robustness_box(plan, info, workload, primary=False)
    how_robustness(found)
    section(t("Documents"), None)
    robustness_file(found)
    footer(TERMS)
    st.stop()


def _standing(about: Subject, sample: bool) -> None:
    """Run, plan, and what comes next for the plan; its verification is the other part of this page."""
    label, page = next_of_plan(about.plan) if about.plan else (None, None)
    here = partial(remember, "verify_part", "limits") if page == "verify" else None
    standing(about, next_label=label, next_page=page, sample=sample, on_next=here)
