"""What a trial can be taken away as: its file, and "why this layer" with what the trial showed."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Plan, Semantics, Trial
from pages.ui.freeze_shelf import why_box
from pages.ui.language import words
from pages.ui.picker import delete_button, json_button
from pages.ui.session import client


def trial_documents(found: Trial, plan: Plan, traces: Semantics | None) -> None:
    """The one-page reason and trial.json side by side."""
    t = words()
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader(t("Why this layer"), anchor=False)
        why_box(plan, traces, found)
    with right:
        st.subheader("trial.json", anchor=False)
        st.markdown(t("Figures only: no text of any example is in it."))
        json_button(found, "trial")
        gone = t("The trial is deleted from this machine and cannot be brought back. The plan stays. Files you downloaded stay.")
        delete_button(t("Delete this trial"), found.id, "trial", gone, client().delete_trial)
