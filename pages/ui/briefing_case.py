"""Which plan the business pages are about, and what it is worth: as assumed in this visit, as stored, or made with starting values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal, NoReturn

import streamlit as st

from analysis.contracts import BusinessCase, PlanSummary, Rollout
from analysis.economics.stages import default_rollout
from analysis.errors import InputError
from pages.ui.business_plan import business_plan
from pages.ui.frame import PLAN_STATES, Subject, footer, headline, standing
from pages.ui.language import language, words
from pages.ui.roi_work import Work, case_of, work_on
from pages.ui.session import client, remember, working

__all__ = ["CaseFrom", "Worth", "business_plan", "nothing_to_decide", "plan_chooser", "say_source", "worth_of"]

CaseFrom = Literal["working", "stored", "starting values"]


@dataclass(frozen=True)
class Worth:
    """A plan's business case, with its rollout in it.

    Attributes:
        plan: the plan.
        case: what it is worth.
        source: where the assumptions come from.
        stale: the assumptions of this visit cannot be worked out; this is the last answer before.
        rollout_stored: whether its stages were decided by a person; False: they are a proposal.
    """

    plan: PlanSummary
    case: BusinessCase
    source: CaseFrom
    stale: bool
    rollout_stored: bool

    @property
    def rollout(self) -> Rollout:
        """The stages of the case."""
        assert self.case.rollout is not None
        return self.case.rollout


def worth_of(plan: PlanSummary) -> Worth:
    """What a plan is worth, from what this visit assumes, else from its stored case, else from starting values; its stages are in it.

    Raises:
        InputError: nothing can be worked out from the figures as they stand.
    """
    work = work_on(plan)
    if work.case is None:
        raise _no_answer(work)
    assumptions = work.case.assumptions
    staged = work.rollout or default_rollout(work.evidence, assumptions, today=date.today(), language=language())
    source: CaseFrom = "working" if working(plan.id) is not None else "stored" if client().cases(plan.id) else "starting values"
    return Worth(plan, case_of(work.evidence, assumptions, staged), source, work.stale, work.rollout is not None)


def _no_answer(work: Work) -> InputError:
    """Why there is no figure yet: the first field that stands against it, with the way to it."""
    problem = next(iter(work.problems.values()))
    return InputError("This plan's worth cannot be worked out yet: {problem} Enter the figure on the ROI page.", problem=problem)  # type: ignore[arg-type]  # put into words with the sentence


def say_source(worth: Worth) -> None:
    """Says where the assumptions come from, unless a stored case speaks for itself."""
    t = words()
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
        t("Plan"),
        ids,
        format_func=lambda found: t("{plan} ({state})", plan=plans[found].name, state=t(PLAN_STATES[plans[found].state])),
        key=key,
        on_change=picked,
        width=360,
    )


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
