"""Which robustness test of a plan is shown, the one that is running, and the one to take away or delete."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.contracts import Robustness, RobustnessSummary
from pages.ui.job_box import watched
from pages.ui.language import say, words
from pages.ui.messages import saying_errors
from pages.ui.session import chosen, client, forget, forget_plans, remember, remembered


def watch_robustness() -> None:
    """The test this visit started, while it runs and when it failed; a finished one is shown at once."""
    over = watched("robustness_job")
    if over is None:
        return
    for note in over.notes:
        st.caption(say(note))
    forget_plans()
    if over.result_id:
        remember("robustness", over.result_id)
    st.rerun()


def chosen_robustness(past: Sequence[RobustnessSummary]) -> str | None:
    """The test in the address, else the newest. None: there is none yet."""
    asked = remembered("robustness")
    if asked and asked not in {one.id for one in past}:
        forget("robustness")
        asked = None
    return asked or (past[0].id if past else None)


def robustness_picker(past: Sequence[RobustnessSummary], shown: str) -> None:
    """All tests of the plan, one of them shown."""
    if len(past) < 2:
        return
    t, known = words(), {one.id: one for one in past}
    st.session_state.robustness_shown = shown

    def changed() -> None:
        remember("robustness", st.session_state.robustness_shown)

    st.selectbox(
        t("Test shown"),
        list(known),
        format_func=lambda found: _in_words(known[found]),
        key="robustness_shown",
        on_change=changed,
        width=640,
    )


def _in_words(one: RobustnessSummary) -> str:
    return words()(
        "{date}: more sensitive in {worse} of {n} comparisons, {workload}, {device}",
        date=one.created_at[:16].replace("T", " "),
        worse=one.n_worse,
        n=one.n_tested,
        workload=one.workload_name,
        device=one.device_name,
    )


def robustness_file(found: Robustness) -> None:
    """robustness.json, and deleting the test that is shown."""
    t = words()
    st.markdown(t("Figures and a few disturbed words only: no whole prompt is in it."))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.download_button(
            t("Download {file}", file="robustness.json"),
            data=lambda: found.model_dump_json().encode(),
            file_name="robustness.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
            key="download_robustness",
        )
        _delete_button(found.id)


def _delete_button(robustness_id: str) -> None:
    t = words()
    if not st.button(t("Delete this test"), key="delete_robustness", type="tertiary", icon=":material/delete:"):
        return

    @st.dialog(t("Delete for good?"))
    def ask() -> None:
        st.markdown(t("The test is deleted from this machine and cannot be brought back. The plan stays. Files you downloaded stay."))
        with st.container(horizontal=True):
            if st.button(t("Delete"), type="primary", key="delete_robustness_sure"):
                with saying_errors():
                    client().delete_robustness(robustness_id)
                    forget_plans()
                    if chosen("robustness") == robustness_id:
                        forget("robustness")
                    st.rerun()
            if st.button(t("Keep it"), key="keep_robustness"):
                st.rerun()

    ask()
