"""Which freeze plan and which of its trials are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import streamlit as st

from analysis.contracts import PlanSummary, TrialSummary
from analysis.i18n.numbers import percent
from pages.ui.frame import Subject, footer, headline, standing
from pages.ui.freeze_words import frozen_words
from pages.ui.language import language, words
from pages.ui.picker import made_at, pick_plan, pick_result
from pages.ui.session import client, stored_plan
from pages.ui.verify_picker import run_of


def freeze_plans() -> list[PlanSummary]:
    """Stored plans that freeze layers, newest first."""
    return [plan for plan in client().plans() if plan.eof_layer is not None]


def newest_of_run(plans: Sequence[PlanSummary], run_id: str) -> PlanSummary | None:
    """What the page opens with where no plan is chosen: the run's newest freeze plan."""
    return next((plan for plan in plans if (run := run_of(stored_plan(plan))) is not None and run.id == run_id), None)


def plan_picker(about: Subject, plans: Sequence[PlanSummary]) -> None:
    """The freeze plan that is tried; another one can be chosen."""
    pick_plan(words()("Plan that is tried"), about, plans, _plan_words, key="plan_to_try")


def _plan_words(plan: PlanSummary) -> str:
    boundary = frozen_words(-1 if plan.eof_layer is None else plan.eof_layer)
    return boundary if plan.name == boundary else f"{plan.name} · {boundary}"


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


def trial_picker(past: Sequence[TrialSummary], shown: str) -> None:
    """All trials of the plan, one of them shown."""
    pick_result(words()("Trial shown"), past, shown, "trial", _trial_words)


def _trial_words(one: TrialSummary) -> str:
    t = words()
    kind = t("several boundaries") if one.is_sweep else frozen_words(one.eof_layer)
    kept = t("kept gain not known") if one.kept is None else t("kept {share} of the gain", share=percent(one.kept, language()))
    return " · ".join([made_at(one), kind, kept, one.workload_name, one.device_name])
