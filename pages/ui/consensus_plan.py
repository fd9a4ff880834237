"""The plan in one click: what the consensus takes out as it is weighed now, kept, and the way on to it."""

from __future__ import annotations

import streamlit as st

from analysis.contracts import Plan, Profile, Ranking
from analysis.planning import DEFAULT_CONTEXT_TOKENS
from analysis.planning.from_ranking import plan_from_ranking
from analysis.reporting import headlines
from pages.ui.consensus_weights import Op, Weighed, mark_of_ranking
from pages.ui.freeze_subject import stored_twin
from pages.ui.language import say, words
from pages.ui.messages import saying_errors
from pages.ui.plan_shelf import say_in_short
from pages.ui.session import client, forget, forget_plans, go, remember


def drafted(found: Ranking, profile: Profile | None, weighed: Weighed, op: Op, step_by_step: bool) -> Plan:
    """The plan for what was asked; the same for the same ranking and the same question.

    Raises:
        PlanError: nothing can be taken out; the sentence says why.
    """
    run = profile.id if profile else ""
    return _drafted((*mark_of_ranking(found), run), weighed, op, step_by_step, found, profile)


@st.cache_data(show_spinner=False, max_entries=256)
def _drafted(
    mark: tuple[str, str, int, bool, str], weighed: Weighed, op: Op, step_by_step: bool, _found: Ranking, _profile: Profile | None
) -> Plan:
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


def plan_box(plan: Plan, profile: Profile | None, stepwise: bool) -> None:
    """What the plan would be in one sentence, and the button that keeps it: the page's next step."""
    choice = plan.provenance.consensus
    as_asked = choice is None or choice.step_by_step == stepwise  # else the second note says why not
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
        with st.container(width=860, gap="small"):
            st.markdown(f"{say(headlines.plans(plan))} {_origins(plan)}")
            st.caption(" ".join(say(note) for note in plan.provenance.notes[: 1 if as_asked else 2]))
        _keep_button(plan, profile)
    warnings = [say(reason.warning) for reason in plan.provenance.reasons if reason.warning]
    if warnings:
        with st.expander(words()("What speaks against single removals: {n}", n=len(warnings)), icon=":material/warning:"):
            st.markdown("\n".join(f"- {warning}" for warning in warnings))


def _origins(plan: Plan) -> str:
    """Savings are worked out; what the loss does may have been measured."""
    t = words()
    quality = plan.projection.quality if plan.projection else None
    marks = [t("compute: projected"), *([t("perplexity: measured")] if quality and quality.measured else [])]
    return " ".join(f":gray-badge[{mark}]" for mark in marks)


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
