"""Reading and writing profile.json and plan.json from the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from analysis.contracts import Contract, Profile
from analysis.errors import DocumentError
from analysis.home import write_atomically

Document = TypeVar("Document", bound=Contract)


def read_profile(path: Path) -> Profile:
    """The profile in a file.

    Raises:
        DocumentError: no such file, not JSON, or not a profile of this version.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise DocumentError(
            "{path} cannot be read. Give --profile a file written by: python -m analysis profile --out profile.json", path=str(path)
        ) from exc
    try:
        return Profile.model_validate_json(data)
    except ValidationError as exc:
        raise DocumentError(
            "{path} is not a profile of this version of Strata: {problem}. Profile the model again.",
            path=str(path),
            problem=first_problem(exc),
        ) from exc


def first_problem(error: ValidationError) -> str:
    """Where a document departs from its contract, and how: "overall.norms: Field required"."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def write_document(document: Contract, out: Path) -> None:
    """Writes a contract as JSON to a file, or to stdout when the file is named ``-``."""
    text = document.model_dump_json(indent=2) + "\n"
    if str(out) == "-":
        sys.stdout.write(text)
    else:
        write_atomically(out, text.encode())
