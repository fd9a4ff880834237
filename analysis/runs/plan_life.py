"""A plan's life: from draft to rolled out, step by step, and who may skip none of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from analysis.contracts import Freeze, Message, Plan, PlanState, Verification
from analysis.errors import InputError, PlanError
from analysis.i18n import N_

PLAN_STATES: tuple[PlanState, ...] = get_args(PlanState)
NOTE_LIMIT = 2000
_NEXT: Mapping[PlanState, tuple[PlanState, ...]] = {
    "draft": ("withdrawn",),  # a draft is verified by being run, by nobody's word
    "verified": ("in_pilot", "withdrawn"),
    "in_pilot": ("approved", "withdrawn"),
    "approved": ("rolled_out", "withdrawn"),
    "rolled_out": ("withdrawn",),
    "withdrawn": ("draft",),
}
_WORDS: Mapping[PlanState, str] = {
    "draft": N_("draft"),
    "verified": N_("verified"),
    "in_pilot": N_("in pilot"),
    "approved": N_("approved"),
    "rolled_out": N_("rolled out"),
    "withdrawn": N_("withdrawn"),
}


def next_states(state: PlanState) -> tuple[PlanState, ...]:
    """Where a plan may be moved to by hand from here."""
    return _NEXT[state]


def is_proven(plan: Plan) -> bool:
    """Whether the plan was run: by a verification, or by a trial if it freezes and removes nothing that a trial would not judge."""
    only_freezes = all(isinstance(operation, Freeze) for operation in plan.operations)
    return plan.verification is not None or (only_freezes and plan.trial is not None)


def check_move(now: PlanState, then: PlanState, verification: Verification | None, note: str) -> None:
    """Refuses a step that is not allowed.

    Raises:
        InputError: there is no such state.
        PlanError: the step leaves something out, or needs a reason and none is given.
    """
    if then not in PLAN_STATES:
        raise InputError("A plan cannot be in the state {state}. Choose one of: {states}.", state=str(then)[:40], states=PLAN_STATES)
    if then == "verified":
        raise PlanError(
            "A plan is verified by running it, not by saying so. Run a verification, or a trial training if the plan only freezes layers; "
            "the state then follows by itself."
        )
    if then not in _NEXT[now]:
        raise _refused(now, then)
    if then == "in_pilot" and verification is not None and verification.verdict == "outside" and not note.strip():
        raise PlanError(
            "The verification of this plan is outside its limits. Write a note that says why the pilot goes ahead all the same."
        )


def _refused(now: PlanState, then: PlanState) -> PlanError:
    places = {"now": _said(now), "then": _said(then), "next": [_said(state) for state in _NEXT[now]]}
    message = Message(id='A plan that is "{now}" cannot become "{then}" at once. From here it can become: {next}.', values=places)
    error = PlanError.from_message(message)
    assert isinstance(error, PlanError)
    return error


def _said(state: PlanState) -> Message:
    return Message(id=_WORDS[state])
