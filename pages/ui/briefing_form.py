"""What a person adds to the briefing: its language, who wrote it, the two dates, and the names of those who sign."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import streamlit as st

from analysis.contracts import BusinessCase
from analysis.economics.dates import day
from analysis.i18n import LANGUAGES, Language
from pages.ui.briefing_case import Worth
from pages.ui.language import language, words

NAME_LIMIT = 120
_TITLES: dict[Language, str] = {"en": "English", "ja": "日本語"}


@dataclass(frozen=True)
class Given:
    """What was entered for the document. Names are as typed, not verified."""

    language: Language
    author: str
    decision_on: str
    review_on: str
    signed: tuple[str, str, str]


def briefing_fields(worth: Worth) -> Given:
    """The fields of the document; dates begin with those of the stages."""
    t, rollout = words(), worth.rollout
    st.session_state.setdefault("briefing_language", language())
    spoken: Language = (
        st.radio(t("Language of the document"), LANGUAGES, format_func=lambda code: _TITLES[code], horizontal=True, key="briefing_language")
        or "en"
    )
    author = _name(t("Author"), "briefing_author")
    a, b = st.columns(2, gap="small")
    decision = a.date_input(t("Decision by"), value=day(rollout.decision_on), key=f"briefing_decision_{worth.plan.id}")
    review = b.date_input(t("Review of plan against actual"), value=day(rollout.review_on), key=f"briefing_review_{worth.plan.id}")
    with st.expander(t("Names for the signatures"), icon=":material/approval:"):
        st.caption(t("Printed as you type them, marked as entered, not verified."))
        drafted = _name(t("Drafted by"), "briefing_drafted")
        reviewed = _name(t("Reviewed by"), "briefing_reviewed")
        decided = _name(t("Decided by"), "briefing_approved")
    return Given(spoken, author, _iso(decision), _iso(review), (drafted, reviewed, decided))


def with_dates(case: BusinessCase, given: Given) -> BusinessCase:
    """The case whose stages carry the dates of the document."""
    if case.rollout is None:
        return case
    dated = case.rollout.model_copy(update={"decision_on": given.decision_on, "review_on": given.review_on})
    return case.model_copy(update={"rollout": dated})


def _name(label: str, key: str) -> str:
    return (st.text_input(label, key=key, max_chars=NAME_LIMIT, persist_state="session") or "").strip()


def _iso(value: date | None) -> str:
    return value.isoformat() if value else ""
