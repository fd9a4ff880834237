"""Watching a stage: the daily figures of real use, read from a file, against the limits."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Rollout, StageAdvice
from analysis.economics.business_sheets import is_workbook
from analysis.economics.monitoring import read_monitoring, template, to_csv, with_monitoring
from analysis.workload.decoding import decode
from pages.ui.evidence import section
from pages.ui.language import plain, words
from pages.ui.messages import saying_errors
from pages.ui.stages_decide import show_limits
from pages.ui.stages_keeping import keep

ENCODINGS = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8 (BOM)", "cp932": "Shift_JIS (cp932)", "utf-16": "UTF-16", "xlsx": "Excel (.xlsx)"}
TABLES = ["csv", "txt", "xlsx"]
LARGEST_MB = 16


def watch_box(rollout: Rollout, advice: StageAdvice | None) -> None:
    """The figures so far against the limits, and the file that brings new ones."""
    t = words()
    left, right = st.columns([3, 2], gap="large")
    with left:
        section(t("Limits against the days"), "measured" if rollout.monitoring else None)
        if not rollout.monitoring:
            st.caption(t("No daily figures yet. Fill in the template, one line a day and slice, and open it here."))
        show_limits(advice.limits if advice else ())
        if rollout.monitoring:
            _days(rollout)
    with right:
        st.subheader(t("Daily figures"), anchor=False)
        _template(rollout)
        _upload(rollout)


def _days(rollout: Rollout) -> None:
    t = words()
    box = st.expander(t("The daily figures as they were read"), key="days", on_change="rerun")
    if box.open:
        with box:
            st.dataframe(
                [row.model_dump() for row in rollout.monitoring],
                hide_index=True,
                height=260,
                alt=t("The daily figures, one day and slice a row"),
            )
            st.download_button(
                t("Download as CSV"),
                data=lambda: to_csv(rollout.monitoring).encode(),
                file_name="monitoring.csv",
                mime="text/csv",
                icon=":material/download:",
                on_click="ignore",
                key="csv_monitoring",
            )


def _template(rollout: Rollout) -> None:
    t = words()
    st.download_button(
        t("Download the template"),
        data=lambda: template(rollout).encode(),
        file_name="monitoring.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="template_monitoring",
        help=t("A table for a spreadsheet: one line a day and slice. A request log may write the same columns."),
    )


def _upload(rollout: Rollout) -> None:
    """A file of days: read, said back, and kept when a person says so."""
    t = words()
    file = st.file_uploader(t("Daily figures (CSV or .xlsx)"), type=TABLES, key=f"monitoring_{rollout.plan_id}", max_upload_size=LARGEST_MB)
    if file is None:
        return
    data = file.getvalue()
    with saying_errors():
        say_encoding(data, file.name)
        rows = read_monitoring(data, file.name, rollout)
        days = sorted({row.date for row in rows})
        said = t("{n} lines read, {first} to {last}.", n=len(rows), first=days[0], last=days[-1]) if days else t("No line was read.")
        st.markdown(f":material/check_circle: {said}")
        if st.button(t("Keep these figures"), key="keep_monitoring", icon=":material/save:", disabled=not rows):
            keep(with_monitoring(rollout, rows), t("The daily figures are kept."), seen=rollout)


def say_encoding(data: bytes, file: str) -> None:
    """Says in which way of writing characters a file was read, before anything is made of it."""
    encoding = "xlsx" if is_workbook(data) else decode(data, file)[1]
    st.caption(words()("{file}: read as {encoding}.", file=plain(file), encoding=ENCODINGS.get(encoding, encoding)))
