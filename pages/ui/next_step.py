"""What comes next on the way through the product, by what is stored already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.contracts import Message, PlanSummary
from analysis.reporting import headlines
from pages.ui.frame import Subject
from pages.ui.language import words
from pages.ui.session import only_freezes


@dataclass(frozen=True)
class Step:
    """The next step as a sentence part, as a button, and where it leads."""

    message: Message
    label: str
    page: str


def step_after(about: Subject, plans: Sequence[PlanSummary], sample: bool) -> Step:
    """Measured, but no plan: make one. A plan that was not run: verify it. Else compare, or leave the sample behind."""
    t = words()
    if not plans:
        return Step(headlines.next_step(has_plan=False, sample=sample), t("Make a plan"), "plans")
    if about.plan is not None and only_freezes(about.plan) and about.plan.state == "draft":
        return Step(Message(id="try the plan {plan}", values={"plan": about.plan.name}), t("Try it"), "trials")
    if about.plan is not None and about.plan.verdict is None and about.plan.state == "draft":
        return Step(Message(id="verify the plan {plan}", values={"plan": about.plan.name}), t("Verify this plan"), "verify")
    if sample:
        return Step(headlines.next_step(has_plan=True, sample=True), t("Profile your own model"), "workload")
    return Step(headlines.next_step(has_plan=True, sample=False), t("Compare plans"), "plans")
