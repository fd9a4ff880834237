"""A document made elsewhere (profile, traces, plan, search, ranking, trial, case, ...): read with suspicion, refused in one sentence."""

from __future__ import annotations

import gzip
import io
import string
import zlib
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from analysis.contracts import (
    Assumptions,
    BusinessCase,
    Healing,
    Plan,
    Profile,
    Ranking,
    Robustness,
    Rollout,
    Search,
    Semantics,
    Trial,
    Verification,
)
from analysis.errors import DocumentError
from analysis.runs.odds import odds

DOCUMENT_LIMIT_BYTES = 64 * 2**20
Document = (
    Profile | Plan | Search | Verification | Semantics | Trial | BusinessCase | Rollout | Assumptions | Ranking | Healing | Robustness
)
_CONTRACTS: dict[str, type[Document]] = {
    "profile": Profile,
    "plan": Plan,
    "search": Search,
    "verification": Verification,
    "semantics": Semantics,
    "trial": Trial,
    "business_case": BusinessCase,
    "rollout": Rollout,
    "assumptions": Assumptions,
    "ranking": Ranking,
    "healing": Healing,
    "robustness": Robustness,
}


def parse_document(data: bytes, filename: str) -> Document:
    """The document in a file's bytes (gzipped or not).

    Raises:
        DocumentError: too large, not text, not JSON, not ours, another version, damaged, or at odds with itself.
    """
    fields = _fields(unpacked(data, filename), filename)
    contract = _CONTRACTS[_kind(fields, filename)]
    _check_version(fields, filename)
    _check_messages(fields, filename)
    said_id = fields.pop("id", None) if contract is Plan else None  # worked out from the rest, never believed
    try:
        document = contract.model_validate(fields)
        problem = odds(document)
    except (ValidationError, RecursionError) as exc:
        problem = first_problem(exc) if isinstance(exc, ValidationError) else "too deep"
    if problem:
        raise _damaged(filename, problem)
    if isinstance(document, Plan) and said_id not in (None, document.id):  # edited to other layers: what was projected was for others
        return document.model_copy(update={"projection": None})
    return document


def first_problem(error: ValidationError) -> str:
    """The first field that does not fit, and how: "overall.norms: Field required"."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))[:200]
    return f"{place}: {first['msg'][:200]}" if place else str(first["msg"])[:200]


def _damaged(filename: str, problem: str) -> DocumentError:
    return DocumentError(
        "{file} is damaged or was changed by hand ({problem}). Download it again from the Strata that made it.",
        file=filename,
        problem=problem,
    )


def unpacked(data: bytes, filename: str) -> bytes:
    """The plain bytes of a document that may be gzipped, as long as that is not too much."""
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(data)) as file:
                data = file.read(DOCUMENT_LIMIT_BYTES + 1)
        except (OSError, EOFError, zlib.error) as exc:
            raise DocumentError(
                "{file} is a gzip file that cannot be unpacked. Download it again from the Strata that made it.", file=filename
            ) from exc
    if len(data) > DOCUMENT_LIMIT_BYTES:
        raise DocumentError(
            "{file} is larger than {limit} MiB, which no document of Strata is. "
            "Choose one that Strata wrote: a profile, traces, a plan, a search, a ranking, a verification, a trial, a healing, "
            "a robustness test, a business case, assumptions or a rollout.",
            file=filename,
            limit=DOCUMENT_LIMIT_BYTES // 2**20,
        )
    return data.removeprefix(b"\xef\xbb\xbf")


def _fields(data: bytes, filename: str) -> dict[str, Any]:
    try:
        data.decode()
    except UnicodeDecodeError as exc:
        raise DocumentError(
            "{file} is not UTF-8 text. "
            "Choose one that Strata wrote: a profile, traces, a plan, a search, a ranking, a verification, a trial, a healing, "
            "a robustness test, a business case, assumptions or a rollout.",
            file=filename,
        ) from exc
    try:
        fields = from_json(data, allow_inf_nan=False)
    except ValueError as exc:
        raise DocumentError(
            "{file} is not JSON ({problem}). "
            "Choose one that Strata wrote: a profile, traces, a plan, a search, a ranking, a verification, a trial, a healing, "
            "a robustness test, a business case, assumptions or a rollout.",
            file=filename,
            problem=str(exc)[:200],
        ) from exc
    return fields if isinstance(fields, dict) else {}


def _kind(fields: dict[str, Any], filename: str) -> str:
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind not in _CONTRACTS:
        raise DocumentError(
            "{file} is JSON, but neither a profile nor a plan, nor any other document of Strata. "
            "Choose one that Strata wrote: a profile, traces, a plan, a search, a ranking, a verification, a trial, a healing, "
            "a robustness test, a business case, assumptions or a rollout.",
            file=filename,
        )
    return kind


def _check_version(fields: dict[str, Any], filename: str) -> None:
    version = fields.get("schema_version")
    if version != 1 or isinstance(version, bool):
        raise DocumentError(
            "{file} has schema version {found}; this Strata reads version 1. Open it with the Strata that made it, or make it again here.",
            file=filename,
            found=str(version)[:20],
        )


def _check_messages(fields: dict[str, Any], filename: str) -> None:
    """Sentences in a document are filled with values when they are shown: only plain named places are let in."""
    for message in _messages(fields):
        sentence, values = message["id"], message.get("values", {})
        try:
            places = [(name, spec, conversion) for _, name, spec, conversion in string.Formatter().parse(sentence) if name is not None]
        except (ValueError, TypeError):
            places = [("", "", None)]
        if not isinstance(values, dict) or any(
            name not in values or not name.isidentifier() or spec or conversion for name, spec, conversion in places
        ):
            raise _damaged(filename, "notes")


def _messages(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(part for part in item if isinstance(part, list | dict))
        elif isinstance(item, dict):
            if isinstance(item.get("id"), str) and set(item) <= {"id", "values"}:
                yield item
            waiting.extend(item.values())
