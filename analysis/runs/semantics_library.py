"""Stored traces, and the requests they answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping

from analysis.contracts import Message, Profile, Semantics, SemanticsSummary
from analysis.errors import DocumentError, InputError
from analysis.runs.document_library import NAME_LIMIT, DocumentLibrary, Origin, answered, clipped, iso, note_answer, stem_of
from analysis.runs.documents import DOCUMENT_LIMIT_BYTES
from analysis.runs.tables import semantics as table


class SemanticsLibrary(DocumentLibrary[Semantics]):
    """Traces by id. The id is the start of the content key, with a number when they were measured again."""

    table = table
    kind = Semantics
    folder = "semantics"

    def add(self, found: Semantics, *, origin: Origin = "measured", again: bool = False) -> str:
        """Stores traces and returns their id; those that are there already are not stored twice, except `again`."""
        if not again and (known := self._known(found, origin)):
            return known
        about = {"model_commit": found.model.commit, "stack": found.stack, "workload_hash": found.workload.content_hash}
        name = clipped(found.name, fallback=found.model.name)
        values = {"content_key": found.id, "origin": origin, "name": name, "summary": _facts(found), **about}
        return self._insert(small_enough(found), stem_of(found.id), values)

    def semantics_list(self) -> list[SemanticsSummary]:
        """All traces, newest first; the bundled sample comes last."""
        return [*map(_summary, self._rows()), *map(_sample_summary, self._bundled())]

    def semantics(self, semantics_id: str) -> Semantics:
        """The traces of an id or a content key.

        Raises:
            InputError: there are none.
            DocumentError: their file is gone or damaged.
        """
        rows = self._rows((table.c.id == semantics_id) | (table.c.content_key == semantics_id))
        if rows:
            return self._open(rows[0])
        found = next((sample for sample in self._bundled() if sample.id == semantics_id), None)
        if found is None:
            raise self._not_here(semantics_id)
        return found

    def for_model(self, commit: str, stack: str, workload_hash: str) -> Semantics | None:
        """The traces of a model on a workload: measured here before imported, the newest first, the sample last."""
        stored = map(self._readable, self._of_model(commit, stack, workload_hash))
        wanted = (commit, stack, workload_hash)
        fits = (found for found in self._bundled() if (found.model.commit, found.stack, found.workload.content_hash) == wanted)
        return next(filter(None, stored), None) or next(fits, None)

    def for_profile(self, profile: Profile) -> Semantics | None:
        """The traces over the same model and workload as a profile's."""
        return self.for_model(profile.model.commit, profile.stack, profile.workload.content_hash)

    def answer(self, request_key: str) -> str | None:
        """The id of the traces that answered this request before."""
        row = answered(self._database, table, request_key)
        return None if row is None else str(row["id"])

    def remember(self, request_key: str, semantics_id: str) -> None:
        """Notes which traces answer a request from now on."""
        note_answer(self._database, request_key, semantics_id)

    def delete(self, semantics_id: str) -> None:
        """Takes traces out of the store; the sample is only hidden. Plans made from them stay."""
        self._remove(semantics_id)

    def _known(self, found: Semantics, origin: Origin) -> str | None:
        """Traces measured here answer their key; imported ones are known only when they are the same document."""
        rows = self._rows(table.c.content_key == found.id)
        if origin == "measured":
            return next((row["id"] for row in rows if row["origin"] == "measured" and self._readable(row) is not None), None)
        if found in self._bundled():
            return found.id
        return next((row["id"] for row in rows if self._readable(row) == found), None)

    def _bundled(self) -> Sequence[Semantics]:
        sample = self._samples.semantics()
        return () if sample is None else (sample,)

    def _not_here(self, document_id: str) -> InputError:
        return InputError(
            "There are no traces {semantics} in this store. Choose some from the list; they may have been deleted.",
            semantics=document_id[:80],
        )

    def _not_mine(self, file: str) -> DocumentError:
        return DocumentError("{file} holds no traces. Put it back from a backup, or delete its entry and measure again.", file=file)


def small_enough(found: Semantics, limit: int = DOCUMENT_LIMIT_BYTES) -> Semantics:
    """Traces that can be opened again: with fewer prompts token by token where the document would be larger than any may be."""
    size, kept = len(found.model_dump_json()), len(found.traces)
    if size <= limit or not kept:
        return found
    left = found.model_copy(update={"traces": found.traces[: kept // 2]})
    short = small_enough(left, limit)
    note = Message(
        id="Of {n} prompts kept token by token, {kept} are stored: all of them would be more than a document may hold.",
        values={"n": kept, "kept": len(short.traces)},
    )
    return short.model_copy(update={"notes": (*found.notes, note)})


def _facts(found: Semantics) -> dict[str, Any]:
    return {
        "model_name": found.model.name[:NAME_LIMIT],
        "model_commit": found.model.commit,
        "stack": found.stack[:NAME_LIMIT],
        "workload_name": found.workload.name[:NAME_LIMIT],
        "workload_hash": found.workload.content_hash,
        "n_tokens": found.overall.n_tokens,
        "device_name": found.timing.device_name[:NAME_LIMIT],
    }


def _summary(row: RowMapping) -> SemanticsSummary:
    return SemanticsSummary(id=row["id"], name=row["name"], created_at=iso(row["stored_at"]), **row["summary"])


def _sample_summary(found: Semantics) -> SemanticsSummary:
    name = clipped(found.name, fallback=found.model.name)
    return SemanticsSummary(id=found.id, name=name, created_at=found.timing.started_at, is_sample=True, **_facts(found))
