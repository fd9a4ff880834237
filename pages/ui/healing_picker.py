"""Which plan that cuts and which of its healings are shown, the one that is running, and the one to take away or delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import streamlit as st

from analysis.contracts import Healing, HealingSummary, PlanSummary
from analysis.i18n.numbers import percent
from pages.ui.frame import PLAN_STATES, Subject, footer, headline, standing
from pages.ui.healing_view import show_heal_live
from pages.ui.job_box import watched
from pages.ui.language import language, say, title_of, words
from pages.ui.messages import saying_errors
from pages.ui.session import chosen, client, forget, forget_plans, remember, remembered, stored_plan
from pages.ui.stored import use_plan


def cutting_plans() -> list[PlanSummary]:
    """Stored plans that take something out, newest first."""
    return [plan for plan in client().plans() if cuts(plan)]


def cuts(plan: PlanSummary) -> bool:
    """Whether a stored plan takes something out of its model."""
    return any(stored_plan(plan).removed.values())


def cut_picker(about: Subject, plans: Sequence[PlanSummary]) -> None:
    """The plan that is healed; another one can be chosen."""
    if not plans:
        return
    t, known = words(), {plan.id: plan for plan in plans}
    st.session_state.plan_to_heal = about.plan.id if about.plan and about.plan.id in known else None

    def picked() -> None:
        if st.session_state.plan_to_heal:
            use_plan(st.session_state.plan_to_heal)
            forget("healing")

    st.selectbox(
        t("Plan that is healed"),
        list(known),
        index=0 if st.session_state.plan_to_heal else None,
        placeholder=t("Choose one"),
        format_func=lambda found: _plan_words(known[found]) if found in known else "",
        key="plan_to_heal",
        on_change=picked,
        width=560,
    )


def _plan_words(plan: PlanSummary) -> str:
    t = words()
    return t("{plan} ({state})", plan=title_of(plan.name, plan.is_sample), state=t(PLAN_STATES[plan.state]))


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


def watch_healing() -> None:
    """The healing this visit started, while it runs and when it failed; a finished one is shown at once."""
    over = watched("heal_job", show_heal_live)
    if over is None:
        return
    for note in over.notes:
        st.caption(say(note))
    forget_plans()
    if over.result_id:
        remember("healing", over.result_id)
    st.rerun()


def chosen_healing(past: Sequence[HealingSummary]) -> str | None:
    """The healing in the address, else the newest. None: there is none yet."""
    asked = remembered("healing")
    if asked and asked not in {one.id for one in past}:
        forget("healing")
        asked = None
    return asked or (past[0].id if past else None)


def healing_picker(past: Sequence[HealingSummary], shown: str) -> None:
    """All healings of the plan, one of them shown."""
    if len(past) < 2:
        return
    t, known = words(), {one.id: one for one in past}
    st.session_state.healing_shown = shown

    def changed() -> None:
        remember("healing", st.session_state.healing_shown)

    st.selectbox(
        t("Healing shown"),
        list(known),
        format_func=lambda found: _in_words(known[found]),
        key="healing_shown",
        on_change=changed,
        width=560,
    )


def _in_words(one: HealingSummary) -> str:
    t, code = words(), language()
    won = t("nothing to win back") if one.recovered is None else t("won back {share}", share=percent(one.recovered, code))
    return " · ".join([one.created_at[:16].replace("T", " "), won, one.workload_name, one.device_name])


def healing_file(found: Healing) -> None:
    """healing.json, and deleting the healing that is shown."""
    t = words()
    st.markdown(t("Figures only: no text of any example is in it."))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.download_button(
            t("Download {file}", file="healing.json"),
            data=lambda: found.model_dump_json().encode(),
            file_name="healing.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
            key="download_healing",
        )
        _delete_button(found.id)


def _delete_button(healing_id: str) -> None:
    t = words()
    if not st.button(t("Delete this healing"), key="delete_healing", type="tertiary", icon=":material/delete:"):
        return

    @st.dialog(t("Delete for good?"))
    def ask() -> None:
        st.markdown(
            t(
                "The healing is deleted from this machine and cannot be brought back. The plan and a model that was written stay. "
                "Files you downloaded stay."
            )
        )
        with st.container(horizontal=True):
            if st.button(t("Delete"), type="primary", key="delete_healing_sure"):
                with saying_errors():
                    client().delete_healing(healing_id)
                    forget_plans()
                    if chosen("healing") == healing_id:
                        forget("healing")
                    st.rerun()
            if st.button(t("Keep it"), key="keep_healing"):
                st.rerun()

    ask()
