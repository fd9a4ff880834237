"""Starting a job, and what is said once it is over."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Job, ProfileRequest
from pages.ui.language import plain, say, words
from pages.ui.messages import saying_errors
from pages.ui.session import client, forget, go, remember


def profile_button(request: ProfileRequest | None, *, primary: bool) -> None:
    """The button that starts the run; the job's id goes into the URL, so that a reload keeps it."""
    t = words()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        pressed = st.button(
            t("Profile it"),
            type="primary" if primary else "secondary",
            icon=":material/play_arrow:",
            key="profile",
            disabled=request is None,
        )
        again = st.checkbox(
            t("Measure again"),
            key="again",
            help=t("The same model, prompts and settings are answered from the store at once. Tick to run them anew."),
        )
    if pressed and request is not None:
        with saying_errors():
            remember("job", client().submit_profile(request, force=again).id)
            st.rerun()


def finished_box(job: Job) -> None:
    """What came of a job: the way to its result, or why there is none."""
    t = words()
    with st.container(border=True, key="job_over"):
        for note in job.notes:
            st.caption(say(note))
        if job.state == "done":
            st.markdown(f":material/check: {t('Done: {name}.', name=plain(job.name))}")
            if st.button(t("See the similarity"), type="primary", icon=":material/arrow_forward:", icon_position="right", key="see_result"):
                _open(job)
        elif job.state == "failed":
            st.error(say(job.error) if job.error else t("The job failed without saying why. Start it again."), icon=":material/error:")
        else:
            st.info(t("The run was cancelled. Start it again and it goes on from what it had finished."), icon=":material/stop_circle:")
        st.button(t("Put this away"), key="put_away", type="tertiary", on_click=forget, args=("job",))


def _open(job: Job) -> None:
    forget("job")
    forget("plan")
    if job.result_id:
        remember("run", job.result_id)
    go("similarity")
