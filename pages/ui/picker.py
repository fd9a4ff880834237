"""One result of several: the one that is shown, the others to choose from, its file, and deleting it after asking.

What a result is called in the address also begins the keys of its widgets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import streamlit as st
from pydantic import BaseModel

from analysis.contracts import PlanSummary
from pages.ui.frame import PLAN_STATES, Subject
from pages.ui.language import words
from pages.ui.session import Remembered, chosen, forget, forget_plans, remember, remembered
from pages.ui.shelf import ask_delete
from pages.ui.stored import use_plan


class Stored(Protocol):
    """What the store tells of every result without opening it."""

    @property
    def id(self) -> str: ...
    @property
    def created_at(self) -> str: ...


Kept = TypeVar("Kept", bound=Stored)


def shown_of(past: Sequence[Stored], what: Remembered) -> str | None:
    """The result in the address, else the newest. None: there is none yet."""
    asked = remembered(what)
    if asked and asked not in {one.id for one in past}:
        forget(what)
        asked = None
    return asked or (past[0].id if past else None)


def pick_result(label: str, past: Sequence[Kept], shown: str, what: Remembered, said: Callable[[Kept], str], *, width: int = 560) -> None:
    """All results of the kind, newest first, one of them shown; nothing where there is only one."""
    if len(past) < 2:
        return
    key, known = f"{what}_shown", {one.id: one for one in past}
    st.session_state[key] = shown

    def changed() -> None:
        remember(what, st.session_state[key])

    st.selectbox(label, list(known), format_func=lambda found: said(known[found]), key=key, on_change=changed, width=width)


def made_at(one: Stored) -> str:
    """When a result was made, to the minute."""
    return one.created_at[:16].replace("T", " ")


def pick_plan(label: str, about: Subject, plans: Sequence[PlanSummary], named: Callable[[PlanSummary], str], *, key: str) -> None:
    """The plan that the page is about; another one can be chosen."""
    if not plans:
        return
    t, known = words(), {plan.id: plan for plan in plans}
    st.session_state[key] = about.plan.id if about.plan and about.plan.id in known else None

    def picked() -> None:
        if st.session_state[key]:
            use_plan(st.session_state[key])

    def said(found: str) -> str:
        plan = known.get(found)
        return t("{plan} ({state})", plan=named(plan), state=t(PLAN_STATES[plan.state])) if plan else ""

    st.selectbox(
        label,
        list(known),
        index=0 if st.session_state[key] else None,
        placeholder=t("Choose one"),
        format_func=said,
        key=key,
        on_change=picked,
        width=560,
    )


def json_button(found: BaseModel, what: Remembered, *, note: str | None = None) -> None:
    """The result that is shown, as the terminal writes it."""
    st.download_button(
        words()("Download {file}", file=f"{what}.json"),
        data=lambda: found.model_dump_json().encode(),
        file_name=f"{what}.json",
        mime="application/json",
        icon=":material/download:",
        on_click="ignore",
        key=f"download_{what}",
        help=note,
    )


def delete_button(label: str, result_id: str, what: Remembered, said: str, delete: Callable[[str], object]) -> None:
    """Deletes the result that is shown, after saying what goes with it and what stays."""

    def gone() -> None:
        delete(result_id)
        forget_plans()
        if chosen(what) == result_id:
            forget(what)

    if st.button(label, key=f"delete_{what}", type="tertiary", icon=":material/delete:"):
        ask_delete(said, gone, key=what)
