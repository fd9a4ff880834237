"""A job while it runs: bar, rate, time left, place in the queue, cancel."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from analysis.contracts import Job, Progress
from analysis.errors import StrataError
from analysis.i18n.numbers import duration, number, percent
from pages.ui.language import language, plain, say, words
from pages.ui.session import Remembered, client, forget

POLL_SECONDS = 0.5
Show = Callable[[Progress | None], None]


def watch(job_id: str, what: Remembered = "job", show: Show | None = None) -> Job | None:
    """Draws the job's progress while it is active and returns it once it is over; None while active or unknown.

    Args:
        job_id: the job.
        what: the name under which this visit remembers it.
        show: draws what the job has found so far, under its bar.
    """
    job = client().job(job_id)
    if job is None:
        t = words()
        st.warning(t("There is no job {job} here any more. What it had finished is listed on the Overview page.", job=plain(job_id[:12])))
        forget(what)
        return None
    if not job.active:
        return job
    _progress(job_id, show)
    return None


@st.fragment(run_every=POLL_SECONDS)
def _progress(job_id: str, show: Show | None) -> None:
    """Redraws itself twice a second; when the job is over, the page draws what came of it."""
    job = client().job(job_id)
    if job is None or not job.active:
        st.rerun()
    t = words()
    with st.container(border=True, key=f"job_{job_id}"):
        try:
            client().ensure_worker(job.device)
        except StrataError as error:
            st.error(say(error))
        st.markdown(f"**{t('Job: {name}', name=plain(job.name))}**")
        if job.state == "queued":
            st.progress(0.0, text=_waiting(job))
        else:
            st.progress(min(job.progress.fraction, 1.0) if job.progress else 0.0, text=_figures(job.progress))
        _cancel_button(job_id)
        if show is not None and job.state == "running":
            show(job.progress)


def _waiting(job: Job) -> str:
    t = words()
    if job.place:
        return t("Waiting on {device}: {place} jobs go first.", device=plain(job.device), place=job.place)
    return t("Next on {device}; it starts in a moment.", device=plain(job.device))


def _figures(progress: Progress | None) -> str:
    t, code = words(), language()
    if progress is None:
        return t("Starting")
    parts = [say(progress.stage), percent(min(progress.fraction, 1.0), code)]
    if progress.tokens_per_second:
        parts.append(t("{rate} tokens/s", rate=number(progress.tokens_per_second, code, 0)))
    if progress.eta_seconds is not None:
        parts.append(t("{eta} left", eta=duration(progress.eta_seconds, code)))
    return "  ·  ".join(parts)


def _cancel_button(job_id: str) -> None:
    t, asked = words(), f"cancelling_{job_id}"

    def cancel() -> None:
        client().cancel(job_id)
        st.session_state[asked] = True

    stopping = bool(st.session_state.get(asked))
    st.button(
        t("Stopping …") if stopping else t("Cancel"),
        key=f"cancel_{job_id}",
        on_click=cancel,
        disabled=stopping,
        icon=":material/stop_circle:",
    )
