"""Plan against actual: the real bill by month, what made the difference, and what that makes of the payback."""

from __future__ import annotations

from datetime import date

import streamlit as st

from analysis.contracts import BusinessCase, PlanAgainstActual, Rollout
from analysis.economics.actuals import ACTUAL_COLUMNS, against, read_actuals, review, with_actuals
from analysis.economics.business_csv import write_table
from analysis.economics.dates import day, month_number, month_text
from analysis.reporting.charts.actuals import actuals_figure, actuals_rows, causes_figure
from analysis.reporting.money_words import months
from pages.ui.charts import draw, look
from pages.ui.evidence import download_rows, section, table
from pages.ui.glossary import term
from pages.ui.language import language, say, words
from pages.ui.messages import saying_errors
from pages.ui.stages_keeping import keep
from pages.ui.stages_watch import LARGEST_MB, TABLES, say_encoding


def actuals_box(case: BusinessCase | None, rollout: Rollout) -> None:
    """The months so far beside the plan, and the file that brings new ones."""
    t = words()
    if case is None:
        st.info(
            t("There is no plan in money yet to hold the bill against: answer the questions on the ROI page first."), icon=":material/info:"
        )
        return
    found: PlanAgainstActual | None = None
    left, right = st.columns([3, 2], gap="large")
    with right:
        st.subheader(t("The real bill"), anchor=False)
        st.download_button(
            t("Download the template"),
            data=lambda: template(case).encode(),
            file_name="actuals.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="template_actuals",
            help=t("A table for a spreadsheet: one line a month with the bill, the requests and, if known, the hours."),
        )
        _upload(case, rollout)
        due = review(rollout.review_on, date.today())
        st.caption(t("Review of plan against actual: no date yet.") if due is None else say(due))
    with left:
        section(t("Plan against actual"), "measured" if rollout.actuals else None)
        if rollout.actuals:
            with saying_errors():
                found = against(case, rollout.actuals)
                _show(found, case.assumptions.currency)
        else:
            st.caption(t("No month is in yet. Enter the real bill every month: a saving counts when the bill shows it."))
    if found is not None:
        _months_table(found, case.assumptions.currency)


def _show(found: PlanAgainstActual, currency: str) -> None:
    t = words()
    st.markdown(f"**{say(found.reason)}**")
    a, b = st.columns(2, gap="small")
    a.metric(t("Payback as planned"), _months(found.planned_payback_months), help=term("payback period"))
    b.metric(t("Payback as it looks now"), _months(found.new_payback_months))
    of = (found.model_dump_json(), currency)
    drawn = look()
    draw(
        lambda: actuals_figure(found, drawn, currency=currency),
        of=of,
        key="actuals",
        alt=t("Planned and actual cost by month; the table below says the same."),
    )
    draw(
        lambda: causes_figure(found, drawn, currency=currency),
        of=of,
        key="causes",
        alt=t("Difference by month and cause; the table below says the same."),
    )


def _months_table(found: PlanAgainstActual, currency: str) -> None:
    """Every month with its causes; a month is not broken in two by a narrow column."""
    t = words()
    rows = actuals_rows(found, look(), currency=currency)
    month = t("Month")
    shown = [row | {month: str(row[month]).replace("-", "\u2011")} for row in rows]
    table(shown, alt=t("Plan against actual by month: volume, price and effect add up to the difference"))
    st.caption(t("Volume: more or fewer requests. Price: a dearer or cheaper hour. Effect: the plan saved more or less than planned."))
    download_rows(rows, "plan_against_actual.csv", key="actuals")


def _months(found: float | None) -> str:
    return words()("not in sight") if found is None else months(found, language())


def _upload(case: BusinessCase, rollout: Rollout) -> None:
    t = words()
    file = st.file_uploader(t("Bill by month (CSV or .xlsx)"), type=TABLES, key=f"actuals_{rollout.plan_id}", max_upload_size=LARGEST_MB)
    if file is None:
        return
    data = file.getvalue()
    with saying_errors():
        say_encoding(data, file.name)
        rows = read_actuals(data, file.name, currency=case.assumptions.currency)
        read = sorted(row.month for row in rows)
        said = t("{n} months read, {first} to {last}.", n=len(rows), first=read[0], last=read[-1]) if read else t("No line was read.")
        st.markdown(f":material/check_circle: {said}")
        if st.button(t("Keep these months"), key="keep_actuals", icon=":material/save:", disabled=not rows):
            keep(with_actuals(rollout, rows, case), t("The months are kept."), seen=rollout)


def template(case: BusinessCase) -> str:
    """An empty file to fill in: the columns, and a line for each month of the case that is over."""
    first = month_number((day(case.assumptions.starts_on) or date.today()).isoformat())
    last = max(first, month_number(date.today().isoformat()) - 1)
    lines = [[month_text(month), *[None] * (len(ACTUAL_COLUMNS) - 1)] for month in range(first, last + 1)]
    return write_table(ACTUAL_COLUMNS, lines)
