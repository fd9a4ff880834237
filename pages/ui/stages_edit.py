"""Changing the stages: three dials, dates, owner, conditions and limits, each field checked in words before anything is kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import get_args

import streamlit as st

from analysis.contracts import Assumptions, CaseEvidence, FieldProblem, RoleName, Rollout, Stage
from analysis.economics.dates import day
from analysis.economics.stage_language import reworded, step_words
from analysis.economics.stages import check_rollout
from pages.ui.language import plain, say, words
from pages.ui.messages import saying_errors
from pages.ui.similarity_view import slice_title
from pages.ui.stages_keeping import NAME_LIMIT, keep
from pages.ui.stages_more import chosen_stage, more_or_less
from pages.ui.stages_words import ROLES

TEXT_LIMIT = 2000


def edit_box(rollout: Rollout, evidence: CaseEvidence, assumptions: Assumptions) -> None:
    """The whole rollout first (dates, people), then one stage, and how many there are."""
    left, right = st.columns(2, gap="large")
    with left:
        _whole(rollout, evidence)
    with right:
        _one_stage(rollout, evidence, assumptions)


def _whole(rollout: Rollout, evidence: CaseEvidence) -> None:
    t, key = words(), f"{rollout.plan_id}_{len(rollout.events)}"
    with st.form(f"rollout_{key}", border=False):
        st.subheader(t("Dates and people"), anchor=False)
        dates = {
            "starts_on": st.date_input(t("Start of stage 1"), value=day(rollout.starts_on), key=f"starts_on_{key}"),
            "decision_on": st.date_input(t("Decision by"), value=day(rollout.decision_on), key=f"decision_on_{key}"),
            "review_on": st.date_input(
                t("Review of plan against actual"),
                value=day(rollout.review_on),
                key=f"review_on_{key}",
                help=t("Six months after the start unless you say otherwise."),
            ),
        }
        people = {
            name: st.text_input(t(ROLES[name]), value=rollout.roles.get(name, ""), key=f"role_{name}_{key}", max_chars=NAME_LIMIT)
            for name in get_args(RoleName)
        }
        pressed = st.form_submit_button(t("Keep dates and people"), icon=":material/save:")
    if pressed:
        roles = {name: who.strip() for name, who in people.items() if who and who.strip()}
        update = {field: _iso(value) for field, value in dates.items()} | {"roles": roles}
        _try(rollout.model_copy(update=update), rollout, evidence, t("Dates and people are kept."))


def _iso(value: date | None) -> str:
    return value.isoformat() if value else ""


def _one_stage(rollout: Rollout, evidence: CaseEvidence, assumptions: Assumptions) -> None:
    t = words()
    st.subheader(t("One stage"), anchor=False)
    stage = chosen_stage(rollout)
    if stage.state != "planned":
        st.caption(t("This stage has begun: what is changed here counts from now on; what happened stays in the record."))
    if changed := _stage_form(rollout, stage, evidence):
        n = len(rollout.stages)
        changed = reworded(changed, step_words(stage, n, evidence), step_words(changed, n, evidence), evidence)
        others = tuple(changed if one.number == stage.number else one for one in rollout.stages)
        dated = {} if changed.guardrails == stage.guardrails else {"guardrails_set_on": date.today().isoformat()}
        _try(rollout.model_copy(update={"stages": others, **dated}), rollout, evidence, t("The stage is kept."))
    more_or_less(rollout, stage, evidence, assumptions)


def _stage_form(rollout: Rollout, stage: Stage, evidence: CaseEvidence) -> Stage | None:
    """The fields of a stage; returns the changed stage when the button was pressed."""
    t, key = words(), f"{rollout.plan_id}_{stage.number}_{len(rollout.events)}"
    with st.form(f"stage_{key}", border=False):
        a, b = st.columns(2, gap="small")
        lighter = a.number_input(t("How much lighter (%)"), 0.0, 100.0, 100 * stage.compression, 1.0, format="%g", key=f"lighter_{key}")
        traffic = b.number_input(t("Share of their requests (%)"), 1.0, 100.0, 100 * stage.traffic, 5.0, format="%g", key=f"traffic_{key}")
        weeks = a.number_input(t("Weeks"), 0.5, 104.0, float(stage.weeks), 1.0, format="%g", key=f"weeks_{key}")
        days = b.number_input(t("Person-days it takes"), 0.0, 1000.0, float(stage.start_days), 1.0, format="%g", key=f"days_{key}")
        slices = st.multiselect(
            t("Slices it serves"),
            list(dict.fromkeys((*evidence.slices, *stage.slices))),
            default=list(stage.slices),
            format_func=slice_title,
            placeholder=t("all slices"),
            key=f"slices_{key}",
        )
        c, d = st.columns(2, gap="small")
        starts = c.date_input(
            t("Starts on"), value=day(stage.starts_on), key=f"stage_starts_{key}", help=t("Empty: right after the stage before.")
        )
        owner = d.text_input(t("Owner"), value=stage.owner, key=f"owner_{key}", max_chars=NAME_LIMIT)
        texts = _texts(stage, key)
        pressed = st.form_submit_button(t("Keep this stage"), icon=":material/save:")
    if not pressed:
        return None
    dials = {"compression": (lighter or 0) / 100, "traffic": (traffic or 1) / 100, "weeks": weeks or 1, "start_days": days or 0}
    return stage.model_copy(update={**dials, **texts, "slices": tuple(slices), "starts_on": _iso(starts), "owner": (owner or "").strip()})


def _texts(stage: Stage, key: str) -> dict[str, object]:
    """Conditions and limits, one a line."""
    t = words()

    def lines(field: str, label: str, value: Sequence[str], help: str | None = None) -> tuple[str, ...]:
        text = st.text_area(label, "\n".join(value), key=f"{field}_{key}", height="content", max_chars=TEXT_LIMIT, help=help)
        return tuple(line.strip() for line in (text or "").splitlines() if line.strip())

    written = t("Written as metric, sign and value, such as {example}; the table above says each in words.", example="flips<=10%")
    return {
        "entry": lines("entry", t("Begin if (one a line)"), stage.entry),
        "exit": lines("exit", t("Go on if (one a line)"), stage.exit),
        "guardrails": lines("limits", t("Limits watched daily (one a line)"), stage.guardrails, written),
        "stop_rule": (st.text_input(t("Stop if"), stage.stop_rule, key=f"stop_{key}", max_chars=TEXT_LIMIT) or "").strip(),
    }


def _try(then: Rollout, seen: Rollout, evidence: CaseEvidence, said: str) -> None:
    """Keeps the change if every field can be used as it is; else says which cannot, and keeps nothing."""
    problems = check_rollout(then, evidence)
    say_problems(problems)
    if not problems:
        with saying_errors():
            keep(then, said, seen=seen)


def say_problems(problems: Sequence[FieldProblem]) -> None:
    """Each field that cannot be used, with the reason."""
    for problem in problems:
        st.error(
            words()("{about}: {limit}", about=f"**{field_words(problem.field)}**", limit=say(problem.message)), icon=":material/error:"
        )


def field_words(field: str) -> str:
    """The name of a field as the form calls it: `stages[0].guardrails[1]` is stage 1, limits watched daily."""
    t = words()
    place, _, rest = field.partition("].") if field.startswith("stages[") else ("", "", field)
    name = rest.partition("[")[0]
    known = {
        "compression": t("How much lighter (%)"),
        "traffic": t("Share of their requests (%)"),
        "weeks": t("Weeks"),
        "start_days": t("Person-days it takes"),
        "slices": t("Slices it serves"),
        "starts_on": t("Starts on") if place else t("Start of stage 1"),
        "owner": t("Owner"),
        "entry": t("Begin if (one a line)"),
        "exit": t("Go on if (one a line)"),
        "guardrails": t("Limits watched daily (one a line)"),
        "stop_rule": t("Stop if"),
        "decision_on": t("Decision by"),
        "review_on": t("Review of plan against actual"),
        "plan_id": t("Plan"),
    }.get(name, plain(name))
    index = place.removeprefix("stages[")
    return t("Stage {n}, {field}", n=int(index) + 1, field=known) if index.isdigit() else known
