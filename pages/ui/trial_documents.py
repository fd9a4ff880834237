"""What a trial can be taken away as: its file, and "why this layer" with what the trial showed."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Plan, Semantics, Trial
from pages.ui.freeze_shelf import why_box
from pages.ui.language import words
from pages.ui.trial_picker import delete_button


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
        st.download_button(
            t("Download {file}", file="trial.json"),
            data=lambda: found.model_dump_json().encode(),
            file_name="trial.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
            key="download_trial",
        )
        delete_button(found.id)
