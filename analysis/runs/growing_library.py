"""What grows under one id while it is measured: the part that searches and rankings share."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, RowMapping, select, update

from analysis.contracts import Profile, Ranking, Search
from analysis.errors import DocumentError
from analysis.runs.document_library import NAME_LIMIT, DocumentLibrary, Origin, clipped, free_id, note_answer, stem_of

G = TypeVar("G", Search, Ranking)
Grow = Callable[[RowMapping | None, G | None], tuple[G, dict[str, Any]]]
"""From the row and the document stored so far to the document to store, and further columns of its row."""


class GrowingLibrary(DocumentLibrary[G]):
    """Documents by id, one for every content key that was measured here. An imported one is kept beside it and answers nothing."""

    @abstractmethod
    def _facts(self, document: G) -> dict[str, Any]:
        """What a list shows of a document."""

    def add_imported(self, document: G) -> str:
        """Stores a document made elsewhere; the same one is not stored twice."""
        rows = self._rows(self.table.c.content_key == document.id)
        if known := next((row["id"] for row in rows if self._readable(row) == document), None):
            return str(known)
        return self._insert(document, stem_of(document.id), {"summary": self._facts(document), **self._about(document, "imported")})

    def measured(self, content_key: str) -> G | None:
        """What was measured here under a content key, to go on from; None: nothing, or its file is gone."""
        with suppress(DocumentError):
            return self._find((self.table.c.content_key == content_key) & (self.table.c.origin == "measured"))
        return None

    def for_profile(self, profile: Profile) -> G | None:
        """What was measured over the same model and workload as a profile."""
        return self.for_model(profile.model.commit, profile.stack, profile.workload.content_hash)

    @abstractmethod
    def for_model(self, commit: str, stack: str, workload_hash: str) -> G | None:
        """What was measured of a model on a workload."""

    def remember(self, request_key: str, document_id: str) -> None:
        """Notes which document answers a request from now on."""
        note_answer(self._database, request_key, document_id)

    def delete(self, document_id: str) -> None:
        """Takes a document out of the store; the sample is only hidden."""
        self._remove(document_id)

    def _keep(self, found: G, grow: Grow[G]) -> str:
        """Stores the new form of what was measured under a content key, and returns its id.

        Two processes may do so at once: the row is locked, and every form has a file of its own.
        """
        columns = self.table.c
        written: list[str] = []

        def work(connection: Connection) -> tuple[str, str | None]:
            mine = (columns.content_key == found.id) & (columns.origin == "measured")
            row = connection.execute(select(self.table).where(mine).with_for_update()).mappings().first()
            grown, more = grow(row, None if row is None else self._readable(row))
            written.append(artifact := self._write(grown))
            changing = {"artifact": artifact, "summary": self._facts(grown), "stored_at": time.time(), **more}
            if row is not None:
                connection.execute(update(self.table).where(columns.id == row["id"]).values(**changing))
                return row["id"], row["artifact"]
            found_id = free_id(connection, columns.id, stem_of(grown.id))
            connection.execute(self.table.insert().values(id=found_id, **{**self._about(grown, "measured"), **changing}))
            return found_id, None

        return self._changed(work, written)

    def _changed(self, work: Callable[[Connection], tuple[str, str | None]], written: list[str]) -> str:
        """Runs a change; files that no row names afterwards are taken away: of tries that failed, and the one before."""
        try:
            changed: tuple[str, str | None] = self._database.write(work)
        except BaseException:
            self._forget(written)
            raise
        self._forget([*written[:-1], *filter(None, changed[1:])])
        return changed[0]

    def _find(self, where: ColumnElement[bool]) -> G | None:
        """Reads twice at most: a document that grows between finding its file and reading it has a new file."""
        for last in (False, True):
            rows = self._rows(where)
            if not rows:
                return None
            try:
                return self._open(rows[0])
            except DocumentError:
                if last:
                    raise
        return None

    def _by_id(self, document_id: str) -> G:
        """The document of an id or a content key, the sample among them."""
        found = self._find((self.table.c.id == document_id) | (self.table.c.content_key == document_id))
        if found is None:
            found = next((sample for sample in self._bundled() if sample.id == document_id), None)
        if found is None:
            raise self._not_here(document_id)
        return found

    def _fits(self, document: G, commit: str, stack: str, workload_hash: str) -> bool:
        return (document.model.commit, document.stack, document.workload.content_hash) == (commit, stack, workload_hash)

    def _about(self, document: G, origin: Origin) -> dict[str, Any]:
        about = {"model_commit": document.model.commit, "stack": document.stack, "workload_hash": document.workload.content_hash}
        return {"content_key": document.id, "origin": origin, "name": _name(document), **about}


def facts_of(document: Search | Ranking) -> dict[str, Any]:
    """What every list shows: which model on which workload, and where it was measured."""
    return {
        "model_name": document.model.name[:NAME_LIMIT],
        "model_commit": document.model.commit,
        "stack": document.stack[:NAME_LIMIT],
        "workload_name": document.workload.name[:NAME_LIMIT],
        "workload_hash": document.workload.content_hash,
        "device_name": document.device_name[:NAME_LIMIT],
    }


def sample_facts(document: Search | Ranking) -> dict[str, Any]:
    """The same for one that is bundled."""
    return {"id": document.id, "name": _name(document), "created_at": document.created_at, "is_sample": True}


def _name(document: Search | Ranking) -> str:
    return clipped(document.name, fallback=document.model.name)
