"""Which plan the business pages are about when nobody has chosen one: a plan that holds."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.contracts import PlanSummary
from pages.ui.frame import Subject
from pages.ui.session import client, only_freezes

HELD_GAIN = 0.9
"""A trial that keeps less of full fine-tuning's gain is no plan that holds."""


def business_plan(about: Subject) -> PlanSummary | None:
    """The plan in use; else the newest one that holds; else the newest."""
    return about.plan or plan_that_holds(client().plans())


def of_plan(about: Subject, plan: PlanSummary) -> Subject:
    """The page's plan with the run that it was made from: as it says, else the sample's, else one of its model; else the visit's."""
    runs = [*([about.run] if about.run else []), *client().runs()]
    made_from = next((run for run in runs if run.id == plan.profile_id), None)
    alike = (run for run in runs if run.is_sample == plan.is_sample and run.model_name == plan.model_name)
    return Subject(made_from or next(alike, about.run), plan)


def plan_that_holds(plans: Sequence[PlanSummary]) -> PlanSummary | None:
    """The newest plan that was proven: freeze plans whose trial kept the gain first, then verified ones; None: there is no plan."""
    alive = [plan for plan in plans if plan.state != "withdrawn"] or list(plans)
    return next((plan for plan in alive if _tried(plan)), None) or next((plan for plan in alive if _holds(plan)), next(iter(alive), None))


def _tried(plan: PlanSummary) -> bool:
    return plan.kept_gain is not None and plan.kept_gain >= HELD_GAIN and plan.verdict in (None, "within") and only_freezes(plan)


def _holds(plan: PlanSummary) -> bool:
    return plan.verdict == "within"
