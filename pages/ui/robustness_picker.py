"""Which robustness test of a plan is shown, and the one to take away or delete."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.contracts import Robustness, RobustnessSummary
from pages.ui.language import words
from pages.ui.picker import delete_button, json_button, made_at, pick_result
from pages.ui.session import client


def robustness_picker(past: Sequence[RobustnessSummary], shown: str) -> None:
    """All tests of the plan, one of them shown."""
    pick_result(words()("Test shown"), past, shown, "robustness", _in_words, width=640)


def _in_words(one: RobustnessSummary) -> str:
    return words()(
        "{date}: more sensitive in {worse} of {n} comparisons, {workload}, {device}",
        date=made_at(one),
        worse=one.n_worse,
        n=one.n_tested,
        workload=one.workload_name,
        device=one.device_name,
    )


def robustness_file(found: Robustness) -> None:
    """robustness.json, and deleting the test that is shown."""
    t = words()
    st.markdown(t("Figures and a few disturbed words only: no whole prompt is in it."))
    gone = t("The test is deleted from this machine and cannot be brought back. The plan stays. Files you downloaded stay.")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        json_button(found, "robustness")
        delete_button(t("Delete this test"), found.id, "robustness", gone, client().delete_robustness)
