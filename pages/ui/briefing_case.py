"""Which plan the business pages are about, and what it is worth: as assumed in this visit, as stored, or made with starting values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal, NoReturn

import streamlit as st

from analysis.contracts import Assumptions, BusinessCase, CaseEvidence, Message, PlanSummary, Rollout
from analysis.economics.stages import default_rollout, in_language
from analysis.i18n import Language
from pages.ui.business_plan import business_plan
from pages.ui.frame import PLAN_STATES, Subject, footer, headline, standing
from pages.ui.language import language, say, title_of, words
from pages.ui.roi_work import case_of, work_on
from pages.ui.session import client, remember, working

__all__ = ["CaseFrom", "Worth", "business_plan", "no_worth_yet", "nothing_to_decide", "plan_chooser", "say_source", "worth_of"]

CaseFrom = Literal["working", "stored", "starting values"]


@dataclass(frozen=True)
class Worth:
    """A plan with its stages, and what it is worth.

    Attributes:
        plan: the plan.
        evidence: what was measured or projected of it.
        assumptions: as they stand, whether or not they are complete.
        rollout: its stages, what Strata proposed in them in the language asked for.
        rollout_stored: whether its stages were decided by a person; False: they are a proposal.
        case: what it is worth, with its stages in it; None: a figure is still missing.
        problem: why there is no case.
        source: where the assumptions come from.
        stale: the assumptions of this visit cannot be worked out; `case` is the last answer before.
    """

    plan: PlanSummary
    evidence: CaseEvidence
    assumptions: Assumptions
    rollout: Rollout
    rollout_stored: bool
    case: BusinessCase | None
    problem: Message | None
    source: CaseFrom
    stale: bool


def worth_of(plan: PlanSummary, spoken: Language | None = None) -> Worth:
    """What a plan is worth, from what this visit assumes, else from its stored case, else from starting values; its stages are in it.

    Args:
        plan: the plan.
        spoken: in which language a proposal's words are; None: the visit's. What a person wrote stays as it is.
    """
    work, code = work_on(plan), spoken or language()
    stored = client().rollout(plan.id, code)
    assumptions = work.case.assumptions if work.case else work.assumptions
    staged = (
        in_language(stored, work.evidence, code)
        if stored
        else default_rollout(work.evidence, assumptions, today=date.today(), language=code)
    )
    source: CaseFrom = "working" if working(plan.id) is not None else "stored" if client().cases(plan.id) else "starting values"
    case = case_of(work.evidence, assumptions, staged) if work.case else None
    problem = None if case else next(iter(work.problems.values()), None)
    return Worth(plan, work.evidence, assumptions, staged, stored is not None and not stored.is_sample, case, problem, source, work.stale)


def say_source(worth: Worth) -> None:
    """Says where the assumptions come from, unless a stored case speaks for itself."""
    t = words()
    if worth.case is None:
        return
    if worth.stale:
        st.warning(t("A figure on the ROI page cannot be used as it is; this is the last answer before it."), icon=":material/warning:")
    if worth.source == "starting values":
        st.info(
            t("Nobody has entered your own figures yet: this is worked out with starting values. Enter yours on the ROI page."),
            icon=":material/info:",
        )
    elif worth.source == "working":
        st.caption(t("With the assumptions of this visit; store them on the ROI page to keep them."))


def plan_chooser(about: Subject, plan: PlanSummary | None, *, key: str) -> None:
    """Which plan the page is about, to change."""
    t = words()
    plans = {one.id: one for one in client().plans()}
    if len(plans) < 2:
        return

    def picked() -> None:
        remember("plan", st.session_state[key])

    ids = list(plans)
    st.session_state[key] = plan.id if plan else ids[0]
    st.selectbox(
        t("Plan in use"),
        ids,
        format_func=lambda found: t(
            "{plan} ({state})", plan=title_of(plans[found].name, plans[found].is_sample), state=t(PLAN_STATES[plans[found].state])
        ),
        key=key,
        on_change=picked,
        width=360,
    )


def no_worth_yet(about: Subject, worth: Worth) -> NoReturn:
    """What the briefing says while a figure is missing without which nothing can be worked out: which one, and where it is filled in."""
    t = words()
    headline(t("There is nothing to brief on yet: a figure is missing, and none is guessed."))
    standing(about, next_label=t("Answer the questions"), next_page="roi", sample=worth.evidence.is_sample)
    plan_chooser(about, worth.plan, key="briefing_plan")
    if worth.problem is not None:
        st.warning(say(worth.problem), icon=":material/edit:")
    st.markdown(t("Five questions on the ROI page give a first answer; then this page is one click away."))
    footer(("plan", "ROI", "assumed"))
    st.stop()


def nothing_to_decide(about: Subject) -> NoReturn:
    """What a business page says before there is any plan: what is missing, and the one button that helps."""
    t = words()
    headline(t("There is no proposal to decide on yet: a plan comes first."))
    if about.run is None:
        standing(about, next_label=t("Go to Workload"), next_page="workload")
        st.markdown(t("Measure a model first: choose it and its prompts on the Workload page. The sample is a good start."))
    else:
        standing(about, next_label=t("Go to Plans"), next_page="plans")
        st.markdown(t("Make a plan from what was measured, then come back: the button above leads there."))
    footer(("plan", "workload", "ROI"))
    st.stop()
