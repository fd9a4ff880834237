"""What stands on every page: the answer first, which run and plan it is about, the next step, and where things are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.contracts import PlanSummary, RunSummary
from analysis.errors import StrataError
from analysis.home import home
from analysis.i18n import N_
from pages.ui.glossary import glossary
from pages.ui.language import language_switch, plain, say, tell_document, title_of, words
from pages.ui.session import client, forget, go, only_freezes, remember, remembered
from pages.ui.verdicts import verdict_word

PLAN_STATES = {
    "draft": N_("draft"),
    "verified": N_("verified"),
    "in_pilot": N_("in pilot"),
    "approved": N_("approved"),
    "rolled_out": N_("rolled out"),
    "withdrawn": N_("withdrawn"),
}


@dataclass(frozen=True)
class Subject:
    """The run and the plan that a page is about."""

    run: RunSummary | None
    plan: PlanSummary | None


def subject() -> Subject:
    """The run and plan in the URL or chosen before; else the newest run. What was deleted elsewhere is forgotten in words."""
    runs, plans = {run.id: run for run in client().runs()}, {plan.id: plan for plan in client().plans()}
    asked = remembered("run")
    if asked and asked not in runs:
        _say_gone(asked)
        forget("run")
    run = runs.get(asked or "") or next(iter(runs.values()), None)
    if run:
        remember("run", run.id)
    chosen = remembered("plan")
    if chosen and chosen not in plans:
        forget("plan")
    return Subject(run, plans.get(chosen or ""))


def _say_gone(asked: str) -> None:
    t = words()
    st.warning(
        t(
            "There is no run {run} here: it was deleted, or the address comes from another machine. The newest run is shown instead.",
            run=plain(asked[:12]),
        )
    )


def headline(sentence: str) -> None:
    """The page's answer, and the language switch beside it."""
    tell_document()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="top", gap="medium"):
        with st.container(width=820):
            st.title(sentence, anchor=False)
        with st.container(width="content"):
            language_switch()


def standing(
    about: Subject,
    *,
    next_label: str | None = None,
    next_page: str | None = None,
    sample: bool | None = None,
    leaving_plan: bool = False,
    on_next: Callable[[], None] | None = None,
) -> None:
    """Which run and plan this is about, and the next step as the page's one primary button.

    Args:
        about: the run and the plan.
        next_label: what the primary button says; None: the page has its own.
        next_page: where it leads.
        sample: whether the page shows the sample; None: whether its run is the sample's.
        leaving_plan: whether the next step starts from the run again, without the plan.
        on_next: what the button does where the next step is on this page.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small", horizontal_alignment="distribute"):
        with st.container(width="content"):
            st.caption(_state_line(about))
        if about.run is not None and about.run.is_sample if sample is None else sample:
            sample_notice()
        if next_label and on_next:
            st.button(
                next_label, type="primary", icon=":material/arrow_downward:", icon_position="right", key="next_step", on_click=on_next
            )
        elif next_label and next_page:
            _next_step(next_label, next_page, leaving_plan)


def next_of_plan(plan: PlanSummary) -> tuple[str, str]:
    """What comes next for a stored plan: the words for a button, and the page it leads to."""
    t = words()
    if is_proven(plan):
        return t("See what it is worth"), "roi"
    if plan.eof_layer is not None and (plan.verdict or only_freezes(plan)):
        return (t("Try it"), "trials") if plan.kept_gain is None else (t("See its trial"), "trials")
    if plan.verdict is None and plan.state in ("draft", "withdrawn"):
        return t("Verify this plan"), "verify"
    return t("See its verification"), "verify"


def is_proven(plan: PlanSummary) -> bool:
    """Whether a plan was run and missed no limit: by a verification within its limits, or by a trial if it only freezes."""
    if plan.state == "withdrawn":
        return False
    return plan.verdict == "within" or (plan.eof_layer is not None and plan.kept_gain is not None and only_freezes(plan))


def _next_step(label: str, page: str, leaving_plan: bool) -> None:
    if st.button(label, type="primary", icon=":material/arrow_forward:", icon_position="right", key="next_step"):
        if leaving_plan:
            forget("plan")
        go(page)


def _state_line(about: Subject) -> str:
    t = words()
    run = t("Run: {run}", run=plain(about.run.name)) if about.run else t("No run yet")
    if about.plan is None:
        return f"{run}  ·  {t('No plan yet')}"
    state = t(PLAN_STATES[about.plan.state])
    if about.plan.verdict:
        state = t("{state}: {verdict}", state=state, verdict=verdict_word(about.plan.verdict))
    return f"{run}  ·  {t('Plan: {plan} ({state})', plan=plain(title_of(about.plan.name, about.plan.is_sample)), state=state)}"


def sample_notice() -> None:
    """The sample is a sample, said wherever it is shown, with the way to one's own figures."""
    t = words()
    opens = t("Opens the Workload page, where you choose your model and your prompts.")
    with st.container(horizontal=True, width="content", vertical_alignment="center", gap="small"):
        notice = t("These are the sample's figures, not yours.")
        st.markdown(f":material/info: {notice}", width="content")
        if st.button(t("Use our own figures"), key="own_figures", help=opens, on_click=_choose_own):
            go("workload")


def empty_state(about: Subject, sentence: str) -> NoReturn:
    """What a page says when there is no run yet: what is missing, and the one button that helps."""
    t = words()
    headline(sentence)
    standing(about, next_label=t("Go to Workload"), next_page="workload")
    st.markdown(t("Measure a model first: choose it and its prompts on the Workload page. The sample is a good start."))
    footer(("profile", "workload", "layer"))
    st.stop()


def no_plan(about: Subject) -> NoReturn:
    """What Verify says before a plan is chosen: which ones there are, or where one is made."""
    t = words()
    headline(t("No plan is chosen yet: a verification runs one plan beside the untouched model."))
    standing(about, next_label=t("Go to Plans"), next_page="plans")
    plans = [plan for plan in client().plans() if not only_freezes(plan)]
    if plans:
        names = {plan.id: plan for plan in plans}

        def picked() -> None:
            if st.session_state.plan_to_verify:
                remember("plan", st.session_state.plan_to_verify)

        st.selectbox(
            t("Choose a stored plan"),
            list(names),
            index=None,
            placeholder=t("Choose one"),
            format_func=lambda found: t("{plan} ({state})", plan=names[found].name, state=t(PLAN_STATES[names[found].state])),
            key="plan_to_verify",
            on_change=picked,
            width=480,
        )
    else:
        st.markdown(t("Make a plan first, save it, and come back: the button above leads there."))
    footer(("verification", "plan", "guardrail"))
    st.stop()


def tried_not_verified(about: Subject) -> NoReturn:
    """What Verify says of a plan that freezes: the model answers as before, so there is nothing to run beside the original."""
    t = words()
    headline(t("A plan that freezes changes no answer: it is tried by a short training, not verified."))
    standing(about, next_label=t("Go to Trials"), next_page="trials")
    footer(("freeze", "trial fine-tune", "verification", "plan"))
    st.stop()


def stop_with(answer: DeltaGenerator, about: Subject, error: StrataError, terms: Sequence[str]) -> NoReturn:
    """The page's answer when what was asked for cannot be: the reason, in place of the finding."""
    with answer:
        headline(say(error))
        standing(about)
    footer(terms)
    st.stop()


def _choose_own() -> None:
    st.session_state.model_kind, st.session_state.workload_kind = "other", "upload"


def footer(terms: Sequence[str]) -> None:
    """The page's terms, where things are kept, and that nothing leaves the machine."""
    t = words()
    st.divider()
    glossary(terms)
    st.caption(
        t(
            "Everything is read and kept on this machine only, in {folder}. Nothing is sent anywhere; "
            "a model is fetched from its hub only when you name one.",
            folder=plain(str(home())),
        )
    )
