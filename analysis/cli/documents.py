"""Reading and writing profile.json and plan.json from the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

from analysis.contracts import Contract, Profile
from analysis.errors import DocumentError, InputError
from analysis.home import write_atomically


def read_profile(given: str) -> Profile:
    """The profile in a file, or of a kept run.

    Raises:
        DocumentError: not a readable file and not a kept run, or not a profile of this version.
    """
    from analysis.runs.documents import parse_document

    path = Path(given)
    if not path.exists():
        return _kept(given)
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise DocumentError(
            "{path} cannot be read ({problem}). Give another file, or allow reading it.", path=given, problem=str(exc.strerror)
        ) from exc
    document = parse_document(data, path.name)
    if not isinstance(document, Profile):
        raise DocumentError(
            "{path} is a plan, and a profile is needed. Make one: python -m analysis profile --out profile.json", path=given
        )
    return document


def _kept(run_id: str) -> Profile:
    from analysis.runs.store import open_store

    try:
        return open_store().runs.profile(run_id)
    except InputError as exc:
        raise DocumentError(
            "{given} is neither a file nor the id of a kept run. Make one: python -m analysis profile --out profile.json", given=run_id
        ) from exc


def write_document(document: Contract, out: Path) -> None:
    """Writes a contract as JSON to a file, or to stdout when the file is named ``-``."""
    text = document.model_dump_json(indent=2) + "\n"
    if str(out) == "-":
        sys.stdout.write(text)
    else:
        write_atomically(out, text.encode())
