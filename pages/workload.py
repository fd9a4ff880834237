"""Workload: which model, which prompts, what would run, and running it."""

import streamlit as st

from analysis.errors import StrataError
from pages.ui.frame import footer, headline, standing, subject
from pages.ui.job_box import finished_box, profile_button
from pages.ui.jobs import watch
from pages.ui.language import say, words
from pages.ui.preview import finding, preview_of, show_estimates, show_preview
from pages.ui.session import ensure_session, remembered
from pages.ui.workload_form import choose

TERMS = ("layer", "token", "workload", "slice", "critical case", "calibration / verification examples", "profile", "measured", "projected")

ensure_session("workload")
t, about = words(), subject()
answer, running = st.container(), st.container()

with running:
    job_id = remembered("job")
    over = watch(job_id) if job_id else None
    if over:
        finished_box(over)

request, preview, problem = None, None, None
with st.container(border=True):
    try:
        request = choose()
    except StrataError as error:
        problem = error
start = st.container()
try:
    preview = preview_of(request) if request else None
except StrataError as error:
    request, problem = None, error
with start:
    if problem:
        st.error(say(problem), icon=":material/error:")
        if "--map" in problem.message.id:
            st.caption(t("On this page: write it into the field for columns above."))
    profile_button(request if preview else None, primary=job_id is None)
    if request and preview:
        show_estimates(request, preview)

with answer:
    headline(finding(request, preview, problem))
    standing(about, sample=request is not None and (request.model.kind == "sample" or not request.workload_paths))
if request and preview:
    show_preview(request, preview)
footer(TERMS)
