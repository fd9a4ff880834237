"""What comes next on the way through the product, by what is stored already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from analysis.contracts import Message, PlanSummary
from analysis.reporting import headlines
from pages.ui.frame import Subject, is_proven
from pages.ui.language import title_of, words
from pages.ui.session import go, only_freezes


@dataclass(frozen=True)
class Step:
    """The next step as a sentence part, as a button, and where it leads."""

    message: Message
    label: str
    page: str


def step_after(about: Subject, plans: Sequence[PlanSummary], sample: bool, *, ranked: bool = False) -> Step:
    """No plan: make one, from the consensus where measures have voted. A plan that was not run: run it. One that is proven: its worth.
    Else compare, or leave the sample behind.

    Args:
        about: the run and plan in use.
        plans: all that are stored.
        sample: whether the run is the sample's.
        ranked: whether several measures have voted on the run's layers.
    """
    t = words()
    if ranked and about.plan is None and not (sample and plans):
        return Step(Message(id="make a plan from what the measures agree on"), t("See what the measures agree on"), "consensus")
    if not plans:
        return Step(headlines.next_step(has_plan=False, sample=sample), t("Make a plan"), "plans")
    if about.plan is not None and only_freezes(about.plan) and about.plan.state == "draft":
        return Step(
            Message(id="try the plan {plan}", values={"plan": title_of(about.plan.name, about.plan.is_sample)}), t("Try it"), "trials"
        )
    if about.plan is not None and about.plan.verdict is None and about.plan.state == "draft":
        return Step(
            Message(id="verify the plan {plan}", values={"plan": title_of(about.plan.name, about.plan.is_sample)}),
            t("Verify this plan"),
            "verify",
        )
    if about.plan is not None and is_proven(about.plan):
        worth = Message(id="see what the plan {plan} is worth", values={"plan": title_of(about.plan.name, about.plan.is_sample)})
        return Step(worth, t("See what it is worth"), "roi")
    if sample:
        return Step(headlines.next_step(has_plan=True, sample=True), t("Profile your own model"), "workload")
    return Step(headlines.next_step(has_plan=True, sample=False), t("Compare plans"), "plans")


def doors(about: Subject, plans: Sequence[PlanSummary]) -> None:
    """The two ways in: for those who decide, and for those who examine. Where there is nothing behind a door, it is not there."""
    t = words()
    with st.container(horizontal=True, gap="small"):
        if plans and st.button(
            t("I decide on a proposal"),
            key="door_decide",
            icon=":material/gavel:",
            help=t("What a plan saves, what it costs, how sure that is, and a page for those who decide."),
        ):
            go("roi")
        if about.run is not None and st.button(
            t("I examine a model"), key="door", icon=":material/search:", help=t("Choose a model and its prompts, and measure it.")
        ):
            go("workload")


def to_consensus() -> None:
    """The way from one measure to several: a page that shows a single one says that others may rank otherwise."""
    t = words()
    label = t("One measure alone may err: see what several say")
    if st.button(label, key="to_consensus", type="tertiary", icon=":material/how_to_vote:"):
        go("consensus")
