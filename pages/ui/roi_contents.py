"""What stands on the page, as links: it is longer than a screen."""

from __future__ import annotations

from collections.abc import Iterator

import streamlit as st

from analysis.contracts import BusinessCase
from pages.ui.language import words
from pages.ui.roi_answer import ANCHOR
from pages.ui.roi_questions import QUESTIONS


def contents(case: BusinessCase) -> None:
    """Every heading that is shown, in reading order, each a link to it."""
    with st.popover(words()("On this page"), icon=":material/toc:", type="tertiary"):
        st.markdown("\n".join(f"- [{title}](#{anchor})" for title, anchor in headings(case)))


def headings(case: BusinessCase) -> Iterator[tuple[str, str]]:
    """(heading, anchor) of what is shown."""
    t, found = words(), case.result
    yield t("Five questions, one answer"), QUESTIONS
    yield t("What changes in the monthly cost"), "what-changes"
    yield t("When the money is back"), "payback"
    yield t("What matters most"), "matters-most"
    yield t("What it comes to"), "comes-to"
    yield t("Cost by line"), "cost-lines"
    if found.machines is not None:
        yield t("Machines, before and after"), "machines"
    yield t("By fiscal year"), "fiscal-years"
    if found.bands:
        yield t("Targets, not results"), "targets"
    if found.alternatives:
        yield t("Other ways"), "other-ways"
    yield t("Scenarios"), "scenarios"
    yield t("Where every figure comes from"), ANCHOR
    yield t("Take the case away"), "take-away"
