"""Reading and writing profiles, traces, plans, searches, rankings, verifications and trials from the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from analysis.cli.terminal import Terminal
from analysis.contracts import BusinessCase, Contract, Message, Plan, Profile, Ranking, Search, Semantics, Trial
from analysis.errors import DocumentError, InputError
from analysis.home import write_atomically
from analysis.i18n import N_

if TYPE_CHECKING:
    from analysis.runs.client import Client
    from analysis.runs.store import Store

_KINDS = {
    "profile": N_("profile"),
    "semantics": N_("set of traces"),
    "plan": N_("plan"),
    "search": N_("search"),
    "verification": N_("verification"),
    "trial": N_("trial"),
    "business_case": N_("business case"),
    "rollout": N_("rollout"),
    "assumptions": N_("set of assumptions"),
    "ranking": N_("ranking"),
    "healing": N_("healing"),
    "robustness": N_("robustness test"),
}
"""What a document is, by its own name for it."""
Wanted = TypeVar("Wanted", bound=Contract)


def read_profile(given: str) -> Profile:
    """The profile in a file, or of a kept run.

    Raises:
        DocumentError: not a readable file and not a kept run, or not a profile of this version.
    """
    return read(
        given,
        Profile,
        lambda store: store.runs.profile(given),
        missing=N_("{given} is neither a file nor the id of a kept run. Make one: python -m analysis profile --out profile.json"),
        other=N_("{path} is a {kind}, and a profile is needed. Make one: python -m analysis profile --out profile.json"),
    )


def read_search(given: str) -> Search:
    """The search in a file, or a kept one.

    Raises:
        DocumentError: not a readable file and not a kept search, or not a search of this version.
    """
    return read(
        given,
        Search,
        lambda store: store.searches.search(whole_id(given, [one.id for one in store.searches.searches()])),
        missing=N_("{given} is neither a file nor the id of a kept search. Make one: python -m analysis search --search-out search.json"),
        other=N_("{path} is a {kind}, and a search is needed. Make one: python -m analysis search --search-out search.json"),
    )


def read_ranking(given: str) -> Ranking:
    """The ranking in a file, or a kept one.

    Raises:
        DocumentError: not a readable file and not a kept ranking, or not a ranking of this version.
    """
    return read(
        given,
        Ranking,
        lambda store: store.rankings.ranking(whole_id(given, [one.id for one in store.rankings.rankings()])),
        missing=N_(
            "{given} is neither a file nor the id of a kept ranking. Make one: "
            "python -m analysis rank --profile profile.json --out ranking.json"
        ),
        other=N_(
            "{path} is a {kind}, and a ranking is needed. Make one: python -m analysis rank --profile profile.json --out ranking.json"
        ),
    )


def read_semantics(given: str) -> Semantics:
    """The traces in a file, or kept ones.

    Raises:
        DocumentError: not a readable file and not kept traces, or not traces of this version.
    """
    return read(
        given,
        Semantics,
        lambda store: store.semantics.semantics(whole_id(given, [one.id for one in store.semantics.semantics_list()])),
        missing=N_(
            "{given} is neither a file nor the id of kept traces. Make some: "
            "python -m analysis profile --semantics --semantics-out semantics.json"
        ),
        other=N_(
            "{path} is a {kind}, and traces are needed. Make some: python -m analysis profile --semantics --semantics-out semantics.json"
        ),
    )


def read_trial(given: str) -> Trial:
    """The trial in a file, or a kept one.

    Raises:
        DocumentError: not a readable file and not a kept trial, or not a trial of this version.
    """
    return read(
        given,
        Trial,
        lambda store: store.trials.trial(whole_id(given, [one.id for one in store.trials.trials()])),
        missing=N_(
            "{given} is neither a file nor the id of a kept trial. Make one: python -m analysis trial --plan plan.json --out trial.json"
        ),
        other=N_("{path} is a {kind}, and a trial is needed. Make one: python -m analysis trial --plan plan.json --out trial.json"),
    )


def read_plan(given: str, terminal: Terminal) -> Plan:
    """The plan in a file, or a kept one. What was changed by hand since it was written is said.

    Raises:
        DocumentError: not a readable file and not a kept plan, or not a plan of this version.
    """
    plan = read(
        given,
        Plan,
        lambda store: store.plans.plan(whole_id(given, [one.id for one in store.plans.plans()])),
        missing=N_("{given} is neither a file nor the id of a kept plan. Make one: python -m analysis plan --out plan.json"),
        other=N_("{path} is a {kind}, and a plan is needed. Make one: python -m analysis plan --out plan.json"),
    )
    return _as_it_stands(plan, given, terminal) if given and Path(given).exists() else plan


def _as_it_stands(plan: Plan, given: str, terminal: Terminal) -> Plan:
    """A plan edited by hand is another plan: what was projected for the first one does not hold for it."""
    import json

    from analysis.runs.documents import unpacked

    said = json.loads(unpacked(Path(given).read_bytes(), given)).get("id")
    if said in (None, plan.id):
        return plan
    terminal.tell(
        "{path} was changed since it was written: its layers make it plan {now}, not {before}. "
        "It is used as it stands, without the figures projected for the other one.",
        path=given,
        now=plan.id,
        before=str(said)[:12],
    )
    return plan


def read(given: str, kind: type[Wanted], find: Callable[[Store], Wanted], *, missing: str, other: str) -> Wanted:
    """The document in a file, or a kept one.

    Args:
        given: the file or the id.
        kind: what it has to be.
        find: takes it from the store.
        missing: what is said where there is neither.
        other: what is said of a file that holds something else.
    """
    document = opened(given)
    return _kept(given, find, missing) if document is None else of_kind(document, kind, given, other)


def of_kind(document: Contract, kind: type[Wanted], given: str, other: str) -> Wanted:
    """What was read, as long as it is what was wanted; else `other` says what it is."""
    if not isinstance(document, kind):
        raise DocumentError.from_message(Message(id=other, values={"path": given, "kind": _kind_of(document)}))
    return document


def opened(given: str) -> Contract | None:
    """What stands in a file; None: there is no file of that name."""
    from analysis.runs.documents import parse_document

    path = Path(given)
    try:
        if not given or not path.exists():
            return None
        if path.is_dir():
            raise DocumentError("{path} is a folder, and a file is needed. Name the file in it.", path=given)
        document = parse_document(path.read_bytes(), path.name)
    except OSError as exc:
        raise DocumentError(
            "{path} cannot be read ({problem}). Give another file, or allow reading it.", path=given, problem=str(exc.strerror)
        ) from exc
    if isinstance(document, BusinessCase | Plan):
        from analysis.runs.case_check import checked

        return checked(document, path.name)
    return document


def _kept(given: str, find: Callable[[Store], Wanted], missing: str) -> Wanted:
    from analysis.runs.store import open_store

    store = open_store()
    try:
        return find(store)
    except DocumentError:
        raise
    except InputError as exc:
        raise DocumentError.from_message(Message(id=missing, values={"given": given})) from exc


def client_of() -> Client:
    """The client of this process, opened only when something kept is asked for."""
    from analysis.runs.client import open_client

    return open_client()


def whole_id(given: str, known: list[str]) -> str:
    """An id may be shortened while only one begins with it."""
    found = [one for one in known if one.startswith(given)]
    return found[0] if len(found) == 1 else given


def _kind_of(document: Contract) -> Message:
    """What a document is, in a word."""
    return Message(id=_KINDS[str(getattr(document, "kind", ""))])


def write_document(document: Contract, out: Path) -> None:
    """Writes a contract as JSON to a file, or to stdout when the file is named ``-``."""
    write_text(document.model_dump_json(indent=2) + "\n", out)


def write_text(text: str, out: Path) -> None:
    """Writes a text to a file whole or not at all, or to stdout when the file is named ``-``."""
    if str(out) == "-":
        sys.stdout.write(text)
    else:
        write_atomically(out, text.encode())
