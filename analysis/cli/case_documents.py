"""Reading what a business case is made of, and what came of it, from the terminal: files, or ids of what is kept."""

from __future__ import annotations

from analysis.cli.documents import client_of, kept, kind_of, opened, whole_id
from analysis.contracts import Assumptions, BusinessCase, Message, Rollout, Verification
from analysis.errors import DocumentError


def read_case(given: str) -> BusinessCase:
    """The business case in a file, or a kept one.

    Raises:
        DocumentError: not a readable file and not a kept case, not a case of this version, or changed by hand.
    """
    document = opened(given)
    if document is None:
        missing = DocumentError(
            "{given} is neither a file nor the id of a kept business case. "
            "Make one: python -m analysis roi --plan plan.json --out case.json",
            given=given,
        )
        client = client_of()
        return kept(given, lambda _: client.case(whole_id(given, [one.id for one in client.cases()])), missing)
    if not isinstance(document, BusinessCase):
        raise DocumentError.from_message(
            Message(
                id="{path} is a {kind}, and a business case is needed. Make one: python -m analysis roi --plan plan.json --out case.json",
                values={"path": given, "kind": kind_of(document)},
            )
        )
    return document


def read_verification(given: str) -> Verification:
    """The verification in a file, or a kept one.

    Raises:
        DocumentError: not a readable file and not a kept verification, or not a verification of this version.
    """
    document = opened(given)
    if document is None:
        missing = DocumentError(
            "{given} is neither a file nor the id of a kept verification. "
            "Make one: python -m analysis verify --plan plan.json --out verification.json",
            given=given,
        )
        client = client_of()
        return kept(given, lambda _: client.verification(whole_id(given, [one.id for one in client.verifications()])), missing)
    if not isinstance(document, Verification):
        raise DocumentError.from_message(
            Message(
                id="{path} is a {kind}, and a verification is needed. "
                "Make one: python -m analysis verify --plan plan.json --out verification.json",
                values={"path": given, "kind": kind_of(document)},
            )
        )
    return document


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
    if not isinstance(document, Assumptions):
        raise DocumentError.from_message(
            Message(
                id="{path} is a {kind}, and assumptions or a business case are needed. "
                "Make some: python -m analysis roi --plan plan.json --assumptions-out assumptions.json",
                values={"path": given, "kind": kind_of(document)},
            )
        )
    return document


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
    if not isinstance(document, Rollout):
        raise DocumentError.from_message(
            Message(
                id="{path} is a {kind}, and a rollout is needed. Make one: python -m analysis stages --case case.json --out rollout.json",
                values={"path": given, "kind": kind_of(document)},
            )
        )
    return document
