"""One stage more or one less: added after the last with the next wider step, taken out only after a second press."""

from __future__ import annotations

from datetime import date

import streamlit as st

from analysis.contracts import Assumptions, CaseEvidence, Rollout, Stage
from analysis.economics.stage_list import MOST_STAGES, add_stage, remove_stage, why_not_removed
from pages.ui.language import language, say, words
from pages.ui.messages import saying_errors
from pages.ui.shelf import ask_delete
from pages.ui.stages_keeping import keep
from pages.ui.stages_view import stage_label


def chosen_stage(rollout: Rollout) -> Stage:
    """The stage to change: the one picked, or the one that was just added."""
    t, key, then = words(), f"edit_{rollout.plan_id}", _next(rollout)
    stages = {stage.number: stage for stage in rollout.stages}
    if then in st.session_state:
        st.session_state[key] = st.session_state.pop(then)
    if st.session_state.get(key) not in stages:
        st.session_state[key] = rollout.stages[0].number
    picked = st.selectbox(t("Stage to change"), list(stages), format_func=lambda one: stage_label(stages[one]), key=key)
    return stages[picked or 1]


def more_or_less(rollout: Rollout, stage: Stage, evidence: CaseEvidence, assumptions: Assumptions) -> None:
    """Both buttons, and in words what they do or why one of them cannot be pressed now."""
    t, following = words(), len(rollout.stages) + 1
    problem = why_not_removed(rollout, stage.number)
    with st.container(horizontal=True, gap="small"):
        add = st.button(
            t("Add stage {n}", n=following),
            icon=":material/add:",
            key=f"add_stage_{rollout.plan_id}",
            disabled=len(rollout.stages) >= MOST_STAGES,
        )
        remove = st.button(
            t("Delete stage {n}", n=stage.number),
            icon=":material/delete:",
            key=f"remove_stage_{rollout.plan_id}",
            disabled=problem is not None,
        )
    st.caption(t("A new stage follows the last one: the next wider step, with the same limits, for you to change."))
    if problem is not None:
        st.caption(say(problem))
    if add:
        with saying_errors():
            grown = add_stage(rollout, evidence, assumptions, today=date.today(), language=language())
            st.session_state[_next(rollout)] = grown.stages[-1].number
            keep(grown, t("Stage {n} is added.", n=following), seen=rollout)
    if remove:
        _ask(rollout, stage, evidence)


def _ask(rollout: Rollout, stage: Stage, evidence: CaseEvidence) -> None:
    """Says what would be gone, and takes it out only then."""
    t = words()

    def remove() -> None:
        shorter = remove_stage(rollout, stage.number, evidence)
        st.session_state[_next(rollout)] = min(stage.number, len(shorter.stages))
        keep(shorter, t("Stage {n} is deleted.", n=stage.number), seen=rollout)

    said = t(
        "{stage} is taken out with its limits and conditions, and later stages move up. Nothing is recorded of it, so no decision is lost.",
        stage=f"**{stage_label(stage)}**",
    )
    ask_delete(said, remove, key=f"stage_{rollout.plan_id}")


def _next(rollout: Rollout) -> str:
    """Where the stage that is to be shown after the next drawing is remembered."""
    return f"edit_next_{rollout.plan_id}"
