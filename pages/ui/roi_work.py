"""What the ROI page works on: the plan, what was measured of it, what this visit assumes, and the case that follows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import streamlit as st

from analysis.contracts import Assumptions, BusinessCase, CaseEvidence, FieldProblem, Message, PlanSummary, Rollout
from analysis.economics.case import make_case
from analysis.economics.check import check_assumptions
from analysis.economics.defaults import default_assumptions
from analysis.errors import InputError
from pages.ui.language import language
from pages.ui.session import chosen, client, forget, forget_working, keep_working, remember, remembered, stored_plan, working

DRAWS = 10_000
"""Simulated cases: few enough that an answer follows a slider at once."""


@dataclass(frozen=True)
class Work:
    """One plan's business case as it stands in this visit.

    Attributes:
        plan: the plan.
        evidence: what was measured or projected of it.
        assumptions: what this visit assumes; not always something that can be worked out.
        problems: field -> what stands against it, in words.
        case: what follows; None: there never was an answer.
        stale: `case` is the last good answer, made before the fields with problems were changed.
        rollout: the plan's stages; None: nobody set any.
        said: fields whose problem was said where they stand, in this run of the page.
    """

    plan: PlanSummary
    evidence: CaseEvidence
    assumptions: Assumptions
    problems: Mapping[str, Message]
    case: BusinessCase | None
    stale: bool
    rollout: Rollout | None
    said: set[str] = field(default_factory=set, compare=False)

    @property
    def key(self) -> str:
        """Prefix of this plan's widgets."""
        return f"roi_{self.plan.id[:12]}"

    @property
    def now(self) -> Assumptions:
        """The assumptions of this moment: two fields that are left at once are both kept."""
        return working(self.plan.id) or self.assumptions

    def change(self, assumptions: Assumptions) -> None:
        """This visit goes on with these assumptions."""
        keep_working(self.plan.id, assumptions)

    def update(self, **changes: object) -> None:
        """This visit goes on with some settings changed."""
        self.change(self.now.model_copy(update=changes))


def plan_of_case() -> PlanSummary | None:
    """The plan of the case in the address, where no plan is in use; None: there is no such case."""
    asked = remembered("case")
    found = next((one.plan_id for one in client().cases() if one.id == asked), None) if asked else None
    return next((plan for plan in client().plans() if plan.id == found), None)


def work_on(plan: PlanSummary) -> Work:
    """The plan's case: from what this visit assumes, else from its stored case, else from starting values."""
    evidence, rollout = client().evidence(plan.id), client().rollout(plan.id, language())
    assumptions = _assumptions(plan, evidence)
    problems = {one.field: one.message for one in reversed(_checked(assumptions, evidence))} | _typed_problems(plan.id)
    case, found = None, None
    if not problems:
        try:
            case = case_of(evidence, assumptions, rollout)
            _last_good()[plan.id] = assumptions
        except InputError as error:  # what a check of single fields cannot see
            found = error.message
    if found is not None:
        problems = {"": found}
    good = _last_good().get(plan.id)
    if problems and good is not None and not check_assumptions(good, evidence):
        case = case_of(evidence, good, rollout)
    return Work(plan, evidence, assumptions, problems, case, bool(problems) and case is not None, rollout)


def case_of(evidence: CaseEvidence, assumptions: Assumptions, rollout: Rollout | None = None) -> BusinessCase:
    """A business case, kept: the same evidence and assumptions are worked out once."""
    parts = (evidence.model_dump_json(), assumptions.model_dump_json(), rollout.model_dump_json() if rollout else "")
    return _case(hashlib.sha256("\n".join(parts).encode()).hexdigest(), evidence, assumptions, rollout)


@st.cache_resource(show_spinner=False, max_entries=256)
def _case(mark: str, _evidence: CaseEvidence, _assumptions: Assumptions, _rollout: Rollout | None) -> BusinessCase:
    return make_case(_evidence, _assumptions, name=_assumptions.name, rollout=_rollout, draws=DRAWS)


def _assumptions(plan: PlanSummary, evidence: CaseEvidence) -> Assumptions:
    if (now := working(plan.id)) is not None:
        return now
    stored = client().cases(plan.id)
    known = next((case for case in stored if case.id == chosen("case")), next(iter(stored), None))
    if known is not None:
        return client().case(known.id).assumptions
    return default_assumptions(evidence, client().workload_of(stored_plan(plan)), today=date.today())


def _checked(assumptions: Assumptions, evidence: CaseEvidence) -> tuple[FieldProblem, ...]:
    return tuple(check_assumptions(assumptions, evidence))


def open_scenario(plan_id: str, case_id: str) -> None:
    """The visit goes on with a stored scenario, as it was stored."""
    forget_working(plan_id)
    forget_typed(plan_id)
    remember("case", case_id)


def begin_anew(plan_id: str) -> None:
    """Back to the stored case or the starting values."""
    forget_working(plan_id)
    forget_typed(plan_id)
    forget("case")


# What was typed and could not be read


def _typed() -> dict[tuple[str, str], tuple[str, Message]]:
    """(plan, field) -> the text as typed, and what is wrong with it."""
    kept: dict[tuple[str, str], tuple[str, Message]] = st.session_state.setdefault("roi_typed", {})
    return kept


def typed(plan_id: str, name: str) -> str | None:
    """What was typed into a field and could not be read; None: nothing."""
    found = _typed().get((plan_id, name))
    return None if found is None else found[0]


def keep_typed(plan_id: str, name: str, text: str, problem: Message) -> None:
    """A field keeps what was typed, with what is wrong with it."""
    _typed()[plan_id, name] = (text, problem)


def forget_typed(plan_id: str, name: str | None = None) -> None:
    """What was typed is read, or let go; None: every field of the plan."""
    for place in [one for one in _typed() if one[0] == plan_id and name in (None, one[1])]:
        del _typed()[place]


def _typed_problems(plan_id: str) -> dict[str, Message]:
    return {name: problem for (plan, name), (_, problem) in _typed().items() if plan == plan_id}


def _last_good() -> dict[str, Assumptions]:
    """Plan id -> the last assumptions of this visit from which an answer followed."""
    kept: dict[str, Assumptions] = st.session_state.setdefault("roi_good", {})
    return kept
