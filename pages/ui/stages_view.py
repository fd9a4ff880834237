"""The stages in sight: the timeline, what each stage does, and what it costs, brings and risks."""

from __future__ import annotations

from datetime import date

import streamlit as st

from analysis.contracts import BusinessCase, Rollout, Stage, StageMoney
from analysis.economics.dates import day
from analysis.i18n.numbers import number
from analysis.reporting.charts.actuals import cell, with_unit
from analysis.reporting.charts.timeline import timeline_alt, timeline_figure, timeline_rows
from pages.ui.charts import draw, look
from pages.ui.evidence import download_rows, section, table
from pages.ui.language import language, words
from pages.ui.similarity_view import slice_title
from pages.ui.stages_words import limit_words


def show_timeline(rollout: Rollout) -> None:
    """The stages as bars over time."""
    today = date.today()
    section(words()("The stages over time"), "assumed")
    draw(
        lambda: timeline_figure(rollout, look(), today=today),
        of=(rollout.plan_id, rollout.model_dump_json(exclude={"monitoring", "actuals"}), today),
        key="timeline",
        alt=timeline_alt(rollout, look()),
    )


def show_stages(rollout: Rollout) -> None:
    """What each stage does, as a table: its three dials, its dates, its limits."""
    t = words()
    section(t("What each stage does"), "assumed", help=t("The three dials of a stage: how much lighter, which slices, what share."))
    rows = [{head: _whole_date(str(value)) for head, value in row.items()} for row in stage_rows(rollout)]
    long = (t("Which slices"), t("Limits"), t("Go on if"))  # a table of their own: on a telephone ten columns would leave no room for words
    table(
        [{head: value for head, value in row.items() if head not in long} for row in rows],
        alt=t("The stages with their dials, dates and owners"),
    )
    table([{head: row[head] for head in (t("Stage"), *long)} for row in rows], alt=t("The stages with their slices, limits and conditions"))
    download_rows(stage_rows(rollout), "stages.csv", key="stages")


def _whole_date(text: str) -> str:
    """A date that a narrow column does not break."""
    return text.replace("-", "\u2011") if day(text) else text


def stage_rows(rollout: Rollout) -> list[dict[str, object]]:
    """One stage a row."""
    t, names = words(), {name: slice_title(name) for stage in rollout.stages for name in stage.slices}
    rows = timeline_rows(rollout, look(), today=date.today(), names=names)
    for row, stage in zip(rows, rollout.stages, strict=True):
        row[t("Limits")] = t("; ").join(limit_words(text) for text in stage.guardrails) or t("none")
        row[t("Go on if")] = t("; ").join(said_condition(text) for text in stage.exit) or t("no condition")
    return rows


def said_condition(text: str) -> str:
    """A condition in the visit's language where it is one of ours, else as a person wrote it."""
    return words()(text) if text else ""


def show_money(case: BusinessCase | None) -> None:
    """What each stage costs, brings and risks; without a case the way to its figures."""
    t = words()
    section(t("What each stage costs, brings and risks"), "projected" if case else None)
    if case is None or not case.result.stages:
        st.caption(t("The money by stage is not known yet: enter your figures on the ROI page."))
        return
    rows = [_money_row(one, case.assumptions.currency) for one in case.result.stages]
    table(rows, alt=t("Cost, saving and risk of each stage"))
    st.caption(t("At stake: what is spent or bound until the decision that ends the stage. Amounts exclude tax."))


def _money_row(one: StageMoney, currency: str) -> dict[str, object]:
    t, code, seen = words(), language(), look()

    def head(text: str) -> str:
        return with_unit(text, currency, seen)

    return {
        t("Stage"): str(one.stage),
        t("Months"): number(one.months, code, 1),
        head(t("Cost of the stage")): cell(one.cost, currency, seen),
        head(t("Saving in the stage")): cell(one.saving, currency, seen),
        head(t("At stake")): cell(one.at_stake, currency, seen),
        t("Requests answered by the plan"): number(round(one.requests), code),
        t("Extra wrong answers"): _errors(one),
    }


def _errors(one: StageMoney) -> str:
    t, code = words(), language()
    if one.extra_errors is None:
        return t("not known: no answers could be judged")
    said = number(round(one.extra_errors), code)
    if one.extra_errors_high is None:
        return said
    return t("{n} (up to {high})", n=said, high=number(round(one.extra_errors_high), code))


def stage_label(stage: Stage) -> str:
    """A stage in a list."""
    t = words()
    slices = t("{slices}", slices=tuple(slice_title(name) for name in stage.slices)) if stage.slices else t("all slices")
    return t("Stage {n}: {slices}", n=stage.number, slices=slices)
