"""Trials' second question: how much of what a cut lost does a short training win back?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import streamlit as st

from analysis.contracts import Healing, Plan, PlanSummary, Profile
from analysis.i18n import N_
from analysis.reporting import healing_words
from pages.ui.evidence import section
from pages.ui.frame import Subject, footer, headline, next_of_plan, standing
from pages.ui.healing_form import healing_box
from pages.ui.healing_picker import (
    cut_picker,
    cuts,
    cutting_plans,
    healing_file,
    healing_picker,
    no_cutting_plan,
)
from pages.ui.healing_view import how_healing, show_heal_cost, show_heal_curves, show_heal_live, show_heal_slices, show_losses, show_parts
from pages.ui.job_box import running, watch_result
from pages.ui.language import language, plain, say, words
from pages.ui.messages import stopping_on_errors
from pages.ui.picker import shown_of
from pages.ui.session import client, healing, stored_plan
from pages.ui.trial_picker import newest_of_run
from pages.ui.verify_picker import made_from

PARTS = {"freezing": N_("Trial of a freeze plan"), "healing": N_("Healing after a cut")}
TERMS = (
    "healing",
    "prune",
    "skip",
    "plan",
    "distil",
    "fine-tuning",
    "perplexity",
    "token",
    "slice",
    "calibration / verification examples",
    "confidence interval",
    "measured",
)


def first_part(about: Subject) -> str:
    """What Trials opens with: healing where the plan in use cuts and freezes nothing."""
    return "healing" if about.plan is not None and about.plan.eof_layer is None and cuts(about.plan) else "freezing"


def healing_part(about: Subject) -> NoReturn:
    """The whole part: the answer, the evidence, the controls."""
    plans = cutting_plans()
    about = _about_a_cut(about, plans)
    if about.plan is None:
        no_cutting_plan(about, plans)
    with stopping_on_errors():
        plan = stored_plan(about.plan)
        run = made_from(plan)
    answer, box = st.container(), st.container()
    with box:
        watch_result("heal_job", "healing", show_heal_live)
    past = client().healings(plan.id)
    shown = shown_of(past, "healing")
    if shown is None:
        with answer:
            _not_yet(about, plan, plans)
        _form(plan, run, words()("Examples and settings of the healing"), first=True)
        footer(TERMS)
        st.stop()
    with stopping_on_errors():
        found = healing(shown)
    with answer:
        _answer(about, plan, found)
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            cut_picker(about, plans)
            healing_picker(past, shown)
    _evidence(found)
    _form(plan, run, words()("Heal again, with other examples or settings"), first=False)
    how_healing(found)
    section(words()("Documents"), None)
    healing_file(found)
    footer(TERMS)
    st.stop()


def _about_a_cut(about: Subject, plans: Sequence[PlanSummary]) -> Subject:
    """The plan in use where it cuts, else the run's newest one that does."""
    if about.plan is not None and about.plan.id in {plan.id for plan in plans}:
        return about
    return replace(about, plan=newest_of_run(plans, about.run.id) if about.run else None)


def _not_yet(about: Subject, plan: Plan, plans: Sequence[PlanSummary]) -> None:
    t = words()
    name = plain(about.plan.name if about.plan else plan.name)
    headline(t('"{plan}" has not been healed yet: a short training shows how much of the lost quality comes back.', plan=name))
    standing(about, sample=_sample(plan))
    cut_picker(about, plans)


def _form(plan: Plan, run: Profile | None, title: str, *, first: bool) -> None:
    """The form; it folds away while a healing runs, so that its progress is in sight."""
    busy = running("heal_job")
    icon = ":material/tune:" if first else ":material/replay:"
    with st.expander(title, expanded=first and not busy, icon=icon, key=f"heal_form_{plan.id}_{first}_{busy}"):
        healing_box(plan, run.model if run else None, run.workload if run else None, primary=first and not busy)


def _answer(about: Subject, plan: Plan, found: Healing) -> None:
    """The sentence, where it was measured, and what comes next for the plan."""
    t, machine = words(), found.machine
    headline(say(healing_words.healing(found, language())))
    st.caption(
        t(
            "Healed on {device} in {dtype} on {date}: {method}, {objective}; {n} prompts judge.",
            device=plain(machine.device_name),
            dtype=machine.dtype,
            date=machine.started_at[:10],
            method=t(healing_words.METHODS[found.settings.method]),
            objective=t(healing_words.OBJECTIVES[found.settings.objective]),
            n=found.n_report,
        )
    )
    label, page = next_of_plan(about.plan) if about.plan else (None, None)
    standing(about, next_label=label, next_page=page, sample=_sample(plan) or found.workload.is_sample)


def _evidence(found: Healing) -> None:
    left, right = st.columns([6, 5], gap="large")
    with left:
        show_losses(found)
    with right:
        show_heal_curves(found)
    show_heal_slices(found)
    show_heal_cost(found)
    show_parts(found)


def _sample(plan: Plan) -> bool:
    return bool(plan.workload and plan.workload.is_sample) or plan.model.source.kind == "sample"
