"""What the evidence advises, and what a person decides: actions with name and note, and the record of all of them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.contracts import MonitoredLimit, PlanSummary, Rollout, Stage, StageAction, StageAdvice
from analysis.errors import StrataError
from analysis.i18n.numbers import number
from analysis.reporting.headlines_business import ADVICE
from analysis.reporting.verification_words import estimate
from pages.ui.evidence import section, table
from pages.ui.language import language, plain, words
from pages.ui.stages_keeping import NAME_LIMIT, NOTE_LIMIT, decide, event
from pages.ui.stages_view import stage_label
from pages.ui.stages_words import ACTIONS, guardrail_words, note_words, say_plainly, who_words
from pages.ui.verdicts import verdict_word

_MARKS = {"go": "green", "hold": "gray", "roll_back": "red", "stop": "red"}
_OFFERED: dict[str, tuple[StageAction, ...]] = {
    "planned": ("approve", "start", "note", "stop"),
    "running": ("pass", "hold", "roll_back", "stop", "note"),
    "held": ("resume", "roll_back", "stop", "note"),
    "rolled_back": ("approve", "start", "stop", "note"),
    "passed": ("roll_back", "note"),
}
_AS_ADVISED: dict[str, StageAction] = {"go": "pass", "hold": "hold", "roll_back": "roll_back", "stop": "stop"}


def show_advice(rollout: Rollout, advice: StageAdvice | None) -> None:
    """Go on, hold, roll back or stop, with the reasons; before a stage runs, what is left to settle."""
    t = words()
    if advice is None:
        _before_the_start(rollout)
        return
    section(t("What the evidence advises"), "measured" if advice.days else None)
    st.markdown(t("Stage {n}: {advice}", n=advice.stage, advice=f":{_MARKS[advice.advice]}-badge[{t(ADVICE[advice.advice])}]"))
    st.markdown("\n".join(f"- {say_plainly(reason)}" for reason in advice.reasons))
    st.caption(
        t(
            "Days with figures: {days} (wanted: {wanted}). Days in a row within the limits: {held}. A person decides; this is advice.",
            days=advice.days,
            wanted=advice.days_wanted,
            held=advice.days_held,
        )
    )


def _before_the_start(rollout: Rollout) -> None:
    """What has to be there before the next stage starts, each with how it stands."""
    t, stage = words(), rollout.next_stage
    if stage is None:
        section(t("What the evidence advises"), None)
        st.caption(t("No stage runs and none is to come."))
        return
    section(t("Before stage {n} starts", n=stage.number), None)
    done = sum(item.done for item in rollout.checklist)
    approved = any(one.action == "approve" and one.stage in (0, stage.number) for one in rollout.events)
    tried = rollout.rehearsal
    rows = {
        t("Checklist"): t("{done} of {n} settled", done=done, n=len(rollout.checklist)),
        t("Rehearsal of the roll-back"): t("{minutes} minutes", minutes=tried.minutes) if tried else t("not yet"),
        t("Approval"): t("given") if approved else t("not given yet"),
        t("Owner"): plain(stage.owner or rollout.roles.get("owner", "")) or t("nobody yet"),
    }
    st.markdown("\n".join("- " + t("{about}: {limit}", about=name, limit=f"**{value}**") for name, value in rows.items()))
    st.caption(t("All of it is settled further down; a stage that is not ready is refused, with the reason."))


def show_limits(limits: Sequence[MonitoredLimit]) -> None:
    """The limits against the days so far, as a table."""
    t = words()
    if not limits:
        st.caption(t("No limit can be held against the days yet."))
        return
    table([_limit_row(one) for one in limits], alt=t("The limits against the days so far"))
    for one in limits:
        if one.verdict == "undecided":
            st.caption(f"{plain(guardrail_words(one.guardrail))}: {say_plainly(one.reason)}")


def _limit_row(one: MonitoredLimit) -> dict[str, object]:
    t = words()
    return {
        t("Limit"): guardrail_words(one.guardrail),
        t("Result with its 95% interval"): estimate(one.measured, one.guardrail, language()),
        t("Behind it"): number(one.n, language()),
        t("Verdict"): verdict_word(one.verdict, run=True),
        t("First day outside"): one.first_missed_on or t("none"),
    }


def decide_box(plan: PlanSummary, rollout: Rollout, advice: StageAdvice | None = None) -> None:
    """A stage, a decision (the advised one is offered first), a name and a note; what is refused is said and nothing changes."""
    t = words()
    stages = {stage.number: stage for stage in rollout.stages if stage.state in _OFFERED}
    if not stages:
        st.caption(t("Every stage is over; there is nothing left to decide."))
        return
    now = rollout.current or rollout.next_stage or next(iter(stages.values()))
    key = f"{plan.id}_{len(rollout.events)}"
    number_ = st.selectbox(
        t("Stage"),
        list(stages),
        index=list(stages).index(now.number) if now.number in stages else 0,
        format_func=lambda found: stage_label(stages[found]),
        key=f"decide_stage_{key}",
    )
    stage = stages[number_ or now.number]
    with st.form(f"decide_{key}_{stage.number}", border=False):
        action = st.radio(
            t("Decision"),
            _OFFERED[stage.state],
            index=_advised(stage, advice),
            format_func=lambda found: t(ACTIONS[found]),
            key=f"decide_action_{key}_{stage.number}",
        )
        who = st.text_input(
            t("Your name"),
            key=f"decide_who_{key}",
            max_chars=NAME_LIMIT,
            help=t("Kept as you type it. There is no login here, so it is marked as entered, not verified."),
        )
        note = st.text_input(
            t("Note"), key=f"decide_note_{key}", max_chars=NOTE_LIMIT, help=t("Why: whoever reads the record later wants to know.")
        )
        pressed = st.form_submit_button(t("Keep this decision"), icon=":material/gavel:")
    if pressed and action:
        try:
            decide(plan, rollout, event(stage.number, action, who or "", note or ""))
        except StrataError as error:
            st.error(say_plainly(error), icon=":material/error:")


def _advised(stage: Stage, advice: StageAdvice | None) -> int:
    """The place of what the evidence advises among the decisions on offer; the first without advice."""
    offered = _OFFERED[stage.state]
    wanted = _AS_ADVISED[advice.advice] if advice is not None and advice.stage == stage.number else offered[0]
    return offered.index(wanted) if wanted in offered else 0


def show_history(rollout: Rollout) -> None:
    """Everything that was decided or done, newest first, with who and when."""
    t = words()
    if not rollout.events:
        st.caption(t("Nothing was decided yet. Every decision is kept here with who made it, when and why."))
        return
    rows = [
        {
            t("When"): one.at[:16].replace("T", " "),
            t("Stage"): str(one.stage) if one.stage else t("all of it"),
            t("What"): t(ACTIONS[one.action]),
            t("Who"): who_words(one.who),
            t("Advised then"): t(ADVICE[one.advice]) if one.advice else t("no advice"),
            t("Note"): plain(note_words(one)),
        }
        for one in reversed(rollout.events)
    ]
    table(rows, alt=t("What was decided, newest first, with who and when"), marked=(t("Who"), t("Note")))
