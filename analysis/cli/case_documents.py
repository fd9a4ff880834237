"""Reading what a business case is made of, and what came of it, from the terminal: files, or ids of what is kept."""

from __future__ import annotations

from analysis.cli.documents import of_kind, opened, read, whole_id
from analysis.contracts import Assumptions, BusinessCase, Rollout, Verification
from analysis.errors import DocumentError
from analysis.i18n import N_


def read_case(given: str) -> BusinessCase:
    """The business case in a file, or a kept one.

    Raises:
        DocumentError: not a readable file and not a kept case, not a case of this version, or changed by hand.
    """
    return read(
        given,
        BusinessCase,
        lambda store: store.cases.case(whole_id(given, [one.id for one in store.cases.cases()])),
        missing=N_(
            "{given} is neither a file nor the id of a kept business case. "
            "Make one: python -m analysis roi --plan plan.json --out case.json"
        ),
        other=N_("{path} is a {kind}, and a business case is needed. Make one: python -m analysis roi --plan plan.json --out case.json"),
    )


def read_verification(given: str) -> Verification:
    """The verification in a file, or a kept one.

    Raises:
        DocumentError: not a readable file and not a kept verification, or not a verification of this version.
    """
    return read(
        given,
        Verification,
        lambda store: store.verifications.verification(whole_id(given, [one.id for one in store.verifications.verifications()])),
        missing=N_(
            "{given} is neither a file nor the id of a kept verification. "
            "Make one: python -m analysis verify --plan plan.json --out verification.json"
        ),
        other=N_(
            "{path} is a {kind}, and a verification is needed. Make one: python -m analysis verify --plan plan.json --out verification.json"
        ),
    )


def read_assumptions(given: str) -> Assumptions:
    """The assumptions in a file; those of a business case where it is one.

    Raises:
        DocumentError: not a readable file, or neither assumptions nor a case of this version.
    """
    document = opened(given)
    if isinstance(document, BusinessCase):
        return document.assumptions
    if document is None:
        raise DocumentError(
            "There is no file {given}. "
            "Write one with your figures: python -m analysis roi --plan plan.json --assumptions-out assumptions.json",
            given=given,
        )
    other = N_(
        "{path} is a {kind}, and assumptions or a business case are needed. "
        "Make some: python -m analysis roi --plan plan.json --assumptions-out assumptions.json"
    )
    return of_kind(document, Assumptions, given, other)


def read_rollout(given: str) -> Rollout:
    """The rollout in a file.

    Raises:
        DocumentError: not a readable file, or not a rollout of this version.
    """
    document = opened(given)
    if document is None:
        raise DocumentError(
            "There is no file {given}. Make one: python -m analysis stages --case case.json --out rollout.json", given=given
        )
    other = N_("{path} is a {kind}, and a rollout is needed. Make one: python -m analysis stages --case case.json --out rollout.json")
    return of_kind(document, Rollout, given, other)
