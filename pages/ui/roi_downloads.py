"""Taking the case away: the file itself, every table for a spreadsheet, and the plan with its case inside."""

from __future__ import annotations

import io
import zipfile

import streamlit as st

from analysis.contracts import BusinessCase
from analysis.planning import plan_to_json
from pages.ui.evidence import section
from pages.ui.language import language, words
from pages.ui.roi_work import Work
from pages.ui.session import stored_plan


def downloads(work: Work) -> None:
    """Files of the case that is shown."""
    t, case = words(), work.case
    if case is None:
        return
    section(t("Take the case away"), None, anchor="take-away")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _button("case.json", lambda: case.model_dump_json(indent=1).encode(), "application/json")
        _button("assumptions.json", lambda: case.assumptions.model_dump_json(indent=1).encode(), "application/json")
        _button("tables.zip", lambda: zipped(case), "application/zip", label=t("Every table as CSV"))
        inside = st.checkbox(t("with the business case inside"), key="roi_plan_with_case", value=True)
        _button("plan.json", lambda: _plan(work, case if inside else None), "application/json")
    st.caption(t("Figures only: no prompt and no answer is in any of these files."))


def _button(name: str, data: object, mime: str, *, label: str | None = None) -> None:
    st.download_button(
        label or words()("Download {file}", file=name),
        data=data,  # type: ignore[arg-type]
        file_name=name,
        mime=mime,
        icon=":material/download:",
        on_click="ignore",
        key=f"roi_download_{name}",
    )


def zipped(case: BusinessCase) -> bytes:
    """Every table of the case as CSV that spreadsheets open in any language."""
    from analysis.reporting.case_csv import tables

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in tables(case, language()).items():
            archive.writestr(name if name.endswith(".csv") else f"{name}.csv", text)
    return packed.getvalue()


def _plan(work: Work, case: BusinessCase | None) -> bytes:
    """The plan, with what it is worth where that is wanted."""
    return plan_to_json(stored_plan(work.plan).model_copy(update={"business_case": case})).encode()
