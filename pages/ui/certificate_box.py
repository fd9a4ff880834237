"""What a verification can be taken away as: its file, and the certificate on one page."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Plan, Verification
from analysis.errors import StrataError
from analysis.i18n import LANGUAGES, Language
from analysis.reporting.certificate import Names, certificate_html
from pages.ui.language import language, say, words

NAME_LIMIT = 120
_TITLES: dict[Language, str] = {"en": "English", "ja": "日本語"}


def documents(found: Verification, plan: Plan) -> None:
    """Certificate and verification.json side by side; no text of any prompt goes along unless it is ticked."""
    t = words()
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader(t("Verification certificate"), anchor=False)
        _certificate(found, plan)
    with right:
        st.subheader("verification.json", anchor=False)
        texts = st.checkbox(
            t("With the texts of prompts and answers"),
            key="json_texts",
            help=t("Off: figures only. On: whoever gets the file can read your prompts."),
            disabled=not found.generations,
        )
        shown = found if texts else found.without_texts()
        st.download_button(
            t("Download verification.json"),
            data=lambda: shown.model_dump_json().encode(),
            file_name="verification.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
            key="download_verification",
        )


def _certificate(found: Verification, plan: Plan) -> None:
    t = words()
    st.caption(t("One page to print. Names are printed as you type them, marked as entered, not verified."))
    first, second, third = st.columns(3, gap="small")
    made = first.text_input(t("Made by"), key="made_by", max_chars=NAME_LIMIT, persist_state="session")
    checked = second.text_input(t("Checked by"), key="checked_by", max_chars=NAME_LIMIT, persist_state="session")
    approved = third.text_input(t("Approved by"), key="approved_by", max_chars=NAME_LIMIT, persist_state="session")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        spoken = st.radio(
            t("Language of the certificate"),
            LANGUAGES,
            index=LANGUAGES.index(language()),
            format_func=lambda code: _TITLES[code],
            horizontal=True,
            key=f"certificate_language_{language()}",
        )
        texts = st.checkbox(t("With example answers"), key="certificate_texts", disabled=not found.generations)
    names = Names(made_by=(made or "").strip(), checked_by=(checked or "").strip(), approved_by=(approved or "").strip())

    def page() -> bytes:
        return certificate_html(found, plan, language=spoken or language(), names=names, with_texts=texts).encode()

    try:
        st.download_button(
            t("Download the certificate (HTML)"),
            data=page,
            file_name=f"certificate-{found.plan_id}.html",
            mime="text/html",
            icon=":material/workspace_premium:",
            on_click="ignore",
            key="download_certificate",
        )
    except StrataError as error:
        st.error(say(error), icon=":material/error:")
