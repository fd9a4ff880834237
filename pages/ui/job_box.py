"""Starting a job, and what is said once it is over."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Job, JobKind, ProfileRequest
from pages.ui.jobs import Show, watch
from pages.ui.language import plain, say, words
from pages.ui.messages import saying_errors
from pages.ui.session import Remembered, client, forget, forget_plans, go, remember, remembered

_GO_ON: frozenset[JobKind] = frozenset({"profile", "semantics", "search", "ranking", "trial", "heal"})
"""Kinds of job that keep what they had finished."""


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


def watched(what: Remembered, show: Show | None = None) -> Job | None:
    """Follows the job this visit started; one that is over without a result is said to be, until it is put away.

    Args:
        what: the name under which this visit remembers the job.
        show: draws what the job has found so far, under its bar.

    Returns:
        The job once it is done, and once only: after that the page shows its result.
    """
    job_id = remembered(what)
    if job_id and st.session_state.pop(f"{what}_is_new", False):  # here and not where it was asked for: a rerun takes toasts away
        st.toast(words()("It is on its way: the progress is at the top of this page."), icon=":material/hourglass_top:", duration="long")
    over = watch(job_id, what, show) if job_id else None
    if over is None:
        return None
    if over.state == "done":
        forget(what)
        return over
    with st.container(border=True, key=f"over_{what}"):
        _said_over(over)
        _ways_on(over, what)
    return None


def started(what: Remembered, job: Job) -> None:
    """Remembers a job that was just asked for and says where to watch it: its form may lie far below its bar."""
    remember(what, job.id)
    st.session_state[f"{what}_is_new"] = job.active


def watch_result(job: Remembered, result: Remembered, show: Show | None = None) -> None:
    """Follows the job that makes a result, and shows the result as soon as it is there."""
    over = watched(job, show)
    if over is None:
        return
    forget_plans()
    if over.result_id:
        remember(result, over.result_id)
    st.rerun()


def running(what: Remembered) -> bool:
    """Whether the job this visit started still waits or runs."""
    job_id = remembered(what)
    job = client().job(job_id) if job_id else None
    return job is not None and job.active


def finished_box(job: Job) -> None:
    """What came of a run: the way to its result, or why there is none."""
    t = words()
    with st.container(border=True, key="job_over"):
        for note in job.notes:
            st.caption(say(note))
        if job.state == "done":
            st.markdown(f":material/check: {t('Done: {name}.', name=plain(job.name))}")
            if st.button(t("See the similarity"), type="primary", icon=":material/arrow_forward:", icon_position="right", key="see_result"):
                _open(job)
            st.button(t("Put this away"), key="put_away", type="tertiary", on_click=forget, args=("job",))
        else:
            _said_over(job)
            _ways_on(job, "job")


def _said_over(job: Job) -> None:
    t = words()
    if job.state == "failed":
        st.error(say(job.error) if job.error else t("The job failed without saying why. Start it again."), icon=":material/error:")
    elif job.kind in _GO_ON:
        st.info(t("The run was cancelled. Start it again and it goes on from what it had finished."), icon=":material/stop_circle:")
    else:
        st.info(
            t("The run was cancelled, and nothing of it was kept. Started again, it runs from its beginning."),
            icon=":material/stop_circle:",
        )


def _ways_on(job: Job, what: Remembered) -> None:
    """The same once more, whatever the form says by now; or nothing more of it."""
    t = words()

    def again() -> None:
        with saying_errors():
            remember(what, client().again(job.id).id)

    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        label = t("Go on with it") if job.state == "cancelled" and job.kind in _GO_ON else t("Start it again")
        st.button(label, key=f"again_{what}", icon=":material/replay:", on_click=again, help=t("The same model, examples and settings."))
        st.button(t("Put this away"), key=f"put_away_{what}", type="tertiary", on_click=forget, args=(what,))


def _open(job: Job) -> None:
    forget("job")
    forget("plan")
    if job.result_id:
        remember("run", job.result_id)
    go("similarity")
