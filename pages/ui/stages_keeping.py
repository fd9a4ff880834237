"""Changing a rollout: what was decided is kept with who and when, and the plan's own state follows."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from analysis.contracts import PlanState, PlanSummary, Rollout, StageAction, StageEvent
from analysis.economics.stages import act, in_language
from analysis.runs.plan_life import check_move
from pages.ui.language import language, words
from pages.ui.session import client, stored_plan

NAME_LIMIT = 120
NOTE_LIMIT = 2000


def event(stage: int, action: StageAction, who: str, note: str) -> StageEvent:
    """Something that happens now."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return StageEvent(stage=stage, action=action, who=who.strip()[:NAME_LIMIT], at=at, note=note.strip()[:NOTE_LIMIT])


def decide(plan: PlanSummary, rollout: Rollout, done: StageEvent) -> None:
    """Applies an action, keeps it, and moves the plan where the action moves it.

    Whether the plan may be moved is asked before anything is kept: a plan that may not go into use must not leave a started stage.

    Raises:
        PlanError: the action or the plan's move is not allowed now.
    """
    then, states = act(rollout, done), states_that_follow(plan, rollout, done)
    if states:
        check_move(plan.state, states[0], stored_plan(plan).verification, done.note)
    client().save_rollout(then, seen=_as_stored(rollout))
    for state in states:
        client().set_plan_state(plan.id, state, who=done.who, note=done.note)
    st.toast(words()("Kept: who decided, when and why."))
    st.rerun()


def keep(then: Rollout, said: str, *, seen: Rollout) -> None:
    """Stores a changed rollout and draws the page anew.

    Raises:
        PlanError: someone else changed it since `seen` was read.
    """
    client().save_rollout(then, seen=_as_stored(seen))
    st.toast(said)
    st.rerun()


def _as_stored(seen: Rollout) -> Rollout:
    """What was read before the change, as it is stored: the page shows the proposed sentences in the visit's language."""
    stored = client().rollout(seen.plan_id, language())
    if stored is None or in_language(stored, client().evidence(seen.plan_id), language()) != seen:
        return seen
    return stored


def states_that_follow(plan: PlanSummary, rollout: Rollout, done: StageEvent) -> tuple[PlanState, ...]:
    """The plan's states that an action leads through, in order; empty: it stays where it is.

    Starting the first stage is the pilot; passing the last one is the rollout; stopping the project withdraws the plan.
    """
    if done.action == "start" and done.stage == rollout.stages[0].number and plan.state not in ("in_pilot", "approved", "rolled_out"):
        return ("in_pilot",)
    if done.action == "pass" and done.stage == rollout.stages[-1].number:
        left: dict[PlanState, tuple[PlanState, ...]] = {"in_pilot": ("approved", "rolled_out"), "approved": ("rolled_out",)}
        return left.get(plan.state, ())
    if done.action == "stop" and plan.state != "withdrawn":
        return ("withdrawn",)
    return ()
