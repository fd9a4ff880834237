"""How long the model takes on this device: measured once, so that plans for it can be projected."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Profile
from pages.ui.job_box import running, watched
from pages.ui.language import plain, say, words
from pages.ui.messages import saying_errors
from pages.ui.session import client, latency_of, remember


def latency_box(found: Profile) -> None:
    """Where projected times come from, or the button that makes them possible."""
    t = words()
    known = latency_of(found.model.commit, found.stack)
    if known:
        st.caption(t("Times: from points measured on {device} on {date}.", device=plain(known.device_name), date=known.measured_at[:10]))
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        pressed = st.button(
            t("Measure times on this device"),
            key="measure_latency",
            icon=":material/timer:",
            disabled=running("latency_job"),
            help=t("A few points of this very model on this very device; from then on plans show projected times."),
        )
    if pressed:
        with saying_errors():
            remember("latency_job", client().submit_latency(found.model.source, found.settings.device).id)
            st.rerun()
    _watch()


def _watch() -> None:
    """The measurement that this visit started; a finished one brings the page up to date."""
    over = watched("latency_job")
    if over is None:
        return
    for note in over.notes:
        st.caption(say(note))
    st.rerun()
