"""The plan in one click: what the consensus takes out as it is weighed now, kept, and the way on to it."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from analysis.contracts import Plan, Profile, Ranking
from analysis.planning import DEFAULT_CONTEXT_TOKENS
from analysis.planning.from_ranking import plan_from_ranking
from analysis.reporting import headlines
from pages.ui.consensus_weights import Weighed, mark_of_ranking
from pages.ui.evidence import badge
from pages.ui.freeze_subject import stored_twin
from pages.ui.language import plain, say, words
from pages.ui.messages import saying_errors
from pages.ui.plan_form import operation_field
from pages.ui.plan_shelf import say_in_short
from pages.ui.session import client, forget, forget_plans, go, remember

Op = Literal["prune", "skip"]


@st.cache_data(show_spinner=False, max_entries=256)
def drafted(
    mark: tuple[str, str, int, bool], weighed: Weighed, op: Op, step_by_step: bool, _found: Ranking, _profile: Profile | None
) -> Plan:
    """The plan for what was asked; the same for the same ranking and the same question.

    Raises:
        PlanError: nothing can be taken out; the sentence says why.
    """
    return plan_from_ranking(
        _found,
        amount=f"{weighed.k} layers",
        rule=weighed.rule,
        weights=weighed.by_voter,
        voters=weighed.voters,
        step_by_step=step_by_step,
        op=op,
        context_tokens=DEFAULT_CONTEXT_TOKENS,
        profile=_profile,
    )


def plan_fields(found: Ranking) -> tuple[Op, bool]:
    """How the plan takes out what was voted: for good or only while running; as it was measured step by step, or by one ranking."""
    t = words()
    op = operation_field()
    if not found.taken:
        return op, False
    return op, st.toggle(
        t("Step by step, as measured"),
        value=True,
        key=f"stepwise_{found.id}",
        persist_state="session",
        help=t("On: what the ranking took out one after the other, as far as it did. Off: the lowest of its first step, all at once."),
    )


def plan_box(found: Ranking, profile: Profile | None, weighed: Weighed, how: tuple[Op, bool]) -> None:
    """What the plan would be in one sentence, and the button that keeps it: the page's next step."""
    t = words()
    with saying_errors():
        plan = drafted(mark_of_ranking(found), weighed, *how, found, profile)
        with st.container(border=True, horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
            with st.container(width=760, gap=None):
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    st.markdown(say(headlines.plans(plan)), width="content")
                    badge("projected")
                st.caption(_notes(plan))
            _keep_button(plan, profile)
    if found.settings.held_out:
        st.caption(t("Nothing was chosen by these slices: {slices}.", slices=tuple(map(plain, found.settings.held_out))))


def _notes(plan: Plan) -> str:
    """How it was found, in the plan's own words."""
    return " ".join(say(note) for note in plan.provenance.notes[:2])


def _keep_button(plan: Plan, profile: Profile | None) -> None:
    t, stored = words(), stored_twin(plan)
    label = t("Open this plan") if stored else t("Make this plan")
    icon = ":material/arrow_forward:" if stored else ":material/bookmark_add:"
    if st.button(label, type="primary", key="make_plan", icon=icon):
        with saying_errors():
            remember("plan", stored.id if stored else client().save_plan(plan, say_in_short(plan)))
            forget_plans()
            forget("set")
            go("plans" if profile is not None else "verify")
