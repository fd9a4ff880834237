"""Documents made elsewhere, brought in."""

from __future__ import annotations

import streamlit as st

from analysis.runs.stored import DocumentKind
from pages.ui.language import words
from pages.ui.messages import saying_errors
from pages.ui.session import client, go, remember


def import_box() -> None:
    """Opens a file made by another Strata, by the terminal or by a colleague."""
    t = words()
    with st.expander(t("Open a profile.json, plan.json, search.json or verification.json made elsewhere"), icon=":material/upload_file:"):
        file = st.file_uploader(t("File"), type=["json", "gz"], key="document", max_upload_size=64)
        if file and st.button(t("Open this file"), key="open_document"):
            with saying_errors():
                kind, found = client().import_document(file.getvalue(), file.name)
                _open(kind, found)


def _open(kind: DocumentKind, found: str) -> None:
    """Shows what came in where it belongs."""
    if kind == "profile":
        remember("run", found)
        go("similarity")
    if kind == "plan":
        remember("plan", found)
    if kind == "verification":
        remember("plan", client().verification(found).plan_id)
        st.session_state.chosen_verification = found
        go("verify")
    go("plans")
