"""A profile.json or plan.json made elsewhere, brought in."""

from __future__ import annotations

import streamlit as st

from pages.ui.language import words
from pages.ui.messages import saying_errors
from pages.ui.session import client, go, remember


def import_box() -> None:
    """Opens a file made by another Strata, by the terminal or by a colleague."""
    t = words()
    with st.expander(t("Open a profile.json or plan.json made elsewhere"), icon=":material/upload_file:"):
        file = st.file_uploader(t("File"), type=["json", "gz"], key="document", max_upload_size=64)
        if file and st.button(t("Open this file"), key="open_document"):
            with saying_errors():
                kind, found = client().import_document(file.getvalue(), file.name)
                remember("run" if kind == "profile" else "plan", found)
                go("similarity" if kind == "profile" else "plans")
