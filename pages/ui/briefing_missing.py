"""What the briefing cannot say yet, in words, each with the way to where it is filled in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import streamlit as st

from analysis.contracts import BusinessCase
from analysis.economics.defaults import unsourced
from analysis.reporting.briefing_parts import Briefing
from pages.ui.briefing_form import Given
from pages.ui.language import plain, words
from pages.ui.session import go


@dataclass(frozen=True)
class Missing:
    """One gap: the sentence, the page that fills it (empty: the fields on this page), and the tab to open there."""

    sentence: str
    page: str = ""
    tab: str = ""


def show_missing(case: BusinessCase, briefing: Briefing, given: Given) -> None:
    """The gaps as a list, before anything else is shown; nothing missing is said too."""
    t, found = words(), list(_gaps(case, given))
    if not found and not briefing.dropped:
        st.caption(t("Nothing is missing: every sentence has its figure."))
        return
    said = t(
        "Still open: {n}. The document prints them as not yet tested, or leaves the sentence out.", n=len(found) + len(briefing.dropped)
    )
    box = st.expander(said, icon=":material/rule:", expanded=True, key="briefing_missing")
    with box:
        for place, gap in enumerate(found):
            _line(gap, place)
        if briefing.dropped:
            listed = tuple(t("{value} ({range})", value=one.number, range=plain(one.why)) for one in briefing.dropped)
            st.markdown(t("Sentences for the meeting that are left out, and why: {sentences}.", sentences=listed))


def _line(gap: Missing, place: int) -> None:
    t = words()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(gap.sentence, width="stretch")
        labels = {"stages": t("To Stages"), "roi": t("To ROI"), "verify": t("To Verify"), "trials": t("To Trials")}
        if gap.page and st.button(labels[gap.page], key=f"missing_{place}", icon=":material/arrow_forward:", icon_position="right"):
            if gap.tab:
                st.session_state.stages_tabs = gap.tab
            go(gap.page)


def _gaps(case: BusinessCase, given: Given) -> Iterator[Missing]:
    """Gaps in the order in which a board would ask; a plan that is not recommended asks for nothing, so it needs no way back."""
    t, evidence = words(), case.evidence
    if evidence.standing == "rough":
        where = "trials" if evidence.eof_layer is not None and evidence.serving is None else "verify"
        yield Missing(t("The plan has not been run yet: every figure of it is projected."), where)
    if starting := unsourced(case.assumptions, evidence):
        yield Missing(t("Starting values without a source, to be confirmed: {n}.", n=len(starting)), "roi")
    if evidence.standing != "outside":
        yield from _gaps_of_the_stages(case)
    if not evidence.n_critical:
        yield Missing(t("No prompt is marked as a critical case, so nothing is known about expensive errors."))
    if not given.author:
        yield Missing(t("The author's name is empty (field beside the preview)."))
    if not given.decision_on:
        yield Missing(t("The date of the decision is empty (field beside the preview)."))
    if not given.review_on:
        yield Missing(t("The date of the review is empty (field beside the preview)."))


def _gaps_of_the_stages(case: BusinessCase) -> Iterator[Missing]:
    """What the stages do not say yet."""
    t, rollout = words(), case.rollout
    if rollout is None or rollout.rehearsal is None:
        yield Missing(t("The roll-back was not rehearsed: how long the way back takes is not known."), "stages", t("Before the start"))
    if rollout is None or not (rollout.roles.get("owner") or any(stage.owner for stage in rollout.stages)):
        yield Missing(t("Nobody is named as owner."), "stages", t("Change the stages"))
