"""Which plan that cuts and which of its healings are shown, and the one to take away or delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import streamlit as st

from analysis.contracts import Healing, HealingSummary, PlanSummary
from analysis.i18n.numbers import percent
from pages.ui.frame import Subject, footer, headline, standing
from pages.ui.language import language, title_of, words
from pages.ui.picker import delete_button, json_button, made_at, pick_plan, pick_result
from pages.ui.session import client, stored_plan


def cutting_plans() -> list[PlanSummary]:
    """Stored plans that take something out, newest first."""
    return [plan for plan in client().plans() if cuts(plan)]


def cuts(plan: PlanSummary) -> bool:
    """Whether a stored plan takes something out of its model."""
    return any(stored_plan(plan).removed.values())


def cut_picker(about: Subject, plans: Sequence[PlanSummary]) -> None:
    """The plan that is healed; another one can be chosen."""
    pick_plan(words()("Plan that is healed"), about, plans, lambda plan: title_of(plan.name, plan.is_sample), key="plan_to_heal")


def no_cutting_plan(about: Subject, plans: Sequence[PlanSummary]) -> NoReturn:
    """What the part says before a plan that cuts is chosen: which ones there are, or where one is made."""
    t = words()
    headline(t("No plan that takes layers out is chosen yet: healing trains one for a short time and shows how much quality comes back."))
    standing(about, next_label=t("Go to Plans"), next_page="plans")
    if plans:
        cut_picker(about, plans)
    else:
        st.markdown(t("Make a plan first, save it, and come back: the button above leads there."))
    footer(("healing", "prune", "skip", "plan"))
    st.stop()


def healing_picker(past: Sequence[HealingSummary], shown: str) -> None:
    """All healings of the plan, one of them shown."""
    pick_result(words()("Healing shown"), past, shown, "healing", _in_words)


def _in_words(one: HealingSummary) -> str:
    t, code = words(), language()
    won = t("nothing to win back") if one.recovered is None else t("won back {share}", share=percent(one.recovered, code))
    return " · ".join([made_at(one), won, one.workload_name, one.device_name])


def healing_file(found: Healing) -> None:
    """healing.json, and deleting the healing that is shown."""
    t = words()
    st.markdown(t("Figures only: no text of any example is in it."))
    gone = t(
        "The healing is deleted from this machine and cannot be brought back. The plan and a model that was written stay. "
        "Files you downloaded stay."
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        json_button(found, "healing")
        delete_button(t("Delete this healing"), found.id, "healing", gone, client().delete_healing)
