"""The briefing as files: a page to print, slides, and every table for a spreadsheet."""

from __future__ import annotations

import io
import zipfile

import streamlit as st

from analysis.contracts import BusinessCase
from analysis.i18n import Language
from analysis.reporting.briefing_parts import Briefing
from analysis.reporting.case_csv import tables
from analysis.reporting.deck import make_deck
from pages.ui.language import words
from pages.ui.session import go

PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"


def downloads(case: BusinessCase, briefing: Briefing, page: str) -> None:
    """HTML first: it is what this page is for; slides and tables are made when they are asked for."""
    t, code = words(), briefing.language
    name = f"briefing-{case.evidence.plan_id}-{code}"
    st.download_button(
        t("Download the briefing"),
        data=page.encode(),
        file_name=f"{name}.html",
        mime="text/html",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
        key="download_briefing",
        help=t("One file that opens in every browser and prints on A4."),
        width="stretch",
    )
    st.download_button(
        t("PowerPoint slides"),
        data=lambda: make_deck(briefing, case, code),
        file_name=f"{name}.pptx",
        mime=PPTX,
        icon=":material/slideshow:",
        on_click="ignore",
        key="download_deck",
        help=t("Six slides and one of sources, with charts that can be edited; made when you click, which takes some seconds."),
        width="stretch",
    )
    st.download_button(
        t("All tables (CSV)"),
        data=lambda: zipped(case, code),
        file_name=f"tables-{case.evidence.plan_id}-{code}.zip",
        mime="application/zip",
        icon=":material/table:",
        on_click="ignore",
        key="download_tables",
        help=t("Every table of the case for a spreadsheet, in one archive."),
        width="stretch",
    )
    if st.button(t("Set the stages"), key="to_stages", icon=":material/stairs:", width="stretch"):
        go("stages")


def zipped(case: BusinessCase, language: Language) -> bytes:
    """Every table of the case as one archive of CSV files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in tables(case, language).items():
            archive.writestr(f"{name}.csv", text.encode())
    return packed.getvalue()
