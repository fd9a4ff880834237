"""Which freeze plan and which of its trials are shown, and the trial that is running."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import streamlit as st

from analysis.contracts import PlanSummary, TrialSummary
from analysis.i18n.numbers import percent
from pages.ui.frame import PLAN_STATES, Subject, footer, headline, standing
from pages.ui.freeze_words import frozen_words
from pages.ui.job_box import watched
from pages.ui.language import language, words
from pages.ui.messages import saying_errors
from pages.ui.session import chosen, client, forget, forget_plans, remember, remembered, stored_plan
from pages.ui.stored import use_plan
from pages.ui.trial_live import show_live
from pages.ui.verify_picker import run_of


def freeze_plans() -> list[PlanSummary]:
    """Stored plans that freeze layers, newest first."""
    return [plan for plan in client().plans() if plan.eof_layer is not None]


def newest_of_run(plans: Sequence[PlanSummary], run_id: str) -> PlanSummary | None:
    """What the page opens with where no plan is chosen: the run's newest freeze plan."""
    return next((plan for plan in plans if (run := run_of(stored_plan(plan))) is not None and run.id == run_id), None)


def plan_picker(about: Subject, plans: Sequence[PlanSummary]) -> None:
    """The freeze plan that is tried; another one can be chosen."""
    if not plans:
        return
    t, known = words(), {plan.id: plan for plan in plans}
    st.session_state.plan_to_try = about.plan.id if about.plan and about.plan.id in known else None

    def picked() -> None:
        if st.session_state.plan_to_try:
            use_plan(st.session_state.plan_to_try)
            forget("trial")

    st.selectbox(
        t("Plan that is tried"),
        list(known),
        index=0 if st.session_state.plan_to_try else None,
        placeholder=t("Choose one"),
        format_func=lambda found: _plan_words(known[found]) if found in known else "",
        key="plan_to_try",
        on_change=picked,
        width=560,
    )


def _plan_words(plan: PlanSummary) -> str:
    t = words()
    boundary = frozen_words(-1 if plan.eof_layer is None else plan.eof_layer)
    said = boundary if plan.name == boundary else f"{plan.name} · {boundary}"
    return t("{plan} ({state})", plan=said, state=t(PLAN_STATES[plan.state]))


def no_freeze_plan(about: Subject, plans: Sequence[PlanSummary]) -> NoReturn:
    """What Trials says before a freeze plan is chosen: which ones there are, or where one is made."""
    t = words()
    headline(t("No freeze plan is chosen yet: a trial trains one for a short time and shows what it costs and gains."))
    standing(about, next_label=t("Go to Freeze"), next_page="freeze")
    if plans:
        plan_picker(about, plans)
    else:
        st.markdown(t("Choose a boundary first, save it, and come back: the button above leads there."))
    footer(("trial fine-tune", "freeze", "eof-layer", "plan"))
    st.stop()


def watch_trial() -> None:
    """The trial this visit started, while it runs and when it failed; a finished one is shown at once."""
    over = watched("trial_job", show_live)
    if over is None:
        return
    forget_plans()
    if over.result_id:
        remember("trial", over.result_id)
    st.rerun()


def chosen_trial(past: Sequence[TrialSummary]) -> str | None:
    """The trial in the address, else the newest; earlier ones can be chosen. None: there is none yet."""
    asked, known = remembered("trial"), {one.id: one for one in past}
    if asked and asked not in known:
        forget("trial")
        asked = None
    if not past:
        return None
    return asked or past[0].id


def trial_picker(past: Sequence[TrialSummary], shown: str) -> None:
    """All trials of the plan, one of them shown."""
    if len(past) < 2:
        return
    t, known = words(), {one.id: one for one in past}
    st.session_state.trial_shown = shown

    def changed() -> None:
        remember("trial", st.session_state.trial_shown)

    st.selectbox(
        t("Trial shown"),
        list(known),
        format_func=lambda found: _trial_words(known[found]),
        key="trial_shown",
        on_change=changed,
        width=560,
    )


def _trial_words(one: TrialSummary) -> str:
    t = words()
    kind = t("several boundaries") if one.is_sweep else frozen_words(one.eof_layer)
    kept = t("kept gain not known") if one.kept is None else t("kept {share} of the gain", share=percent(one.kept, language()))
    return " · ".join([one.created_at[:16].replace("T", " "), kind, kept, one.workload_name, one.device_name])


def delete_button(trial_id: str) -> None:
    """Deletes the trial that is shown, after asking."""
    t = words()
    if not st.button(t("Delete this trial"), key="delete_trial", type="tertiary", icon=":material/delete:"):
        return

    @st.dialog(t("Delete for good?"))
    def ask() -> None:
        st.markdown(t("The trial is deleted from this machine and cannot be brought back. The plan stays. Files you downloaded stay."))
        with st.container(horizontal=True):
            if st.button(t("Delete"), type="primary", key="delete_trial_sure"):
                with saying_errors():
                    client().delete_trial(trial_id)
                    forget_plans()
                    if chosen("trial") == trial_id:
                        forget("trial")
                    st.rerun()
            if st.button(t("Keep it"), key="keep_trial"):
                st.rerun()

    ask()
