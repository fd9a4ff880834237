"""What the libraries of stored documents have in common: rows in a table, each with a file of its own, and bundled samples beside them."""

from __future__ import annotations

import re
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain, count
from typing import Any, Generic, Literal, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, RowMapping, Table, delete, select

from analysis.contracts import BusinessCase, Healing, Ranking, Robustness, Search, Semantics, Trial, Verification, content_hash
from analysis.errors import DocumentError, InputError
from analysis.runs.artifacts import Artifacts
from analysis.runs.database import Database
from analysis.runs.documents import Document, parse_document
from analysis.runs.samples import Samples
from analysis.runs.tables import requests

D = TypeVar("D", BusinessCase, Search, Semantics, Trial, Verification, Ranking, Healing, Robustness)
Origin = Literal["measured", "imported"]
NAME_LIMIT = 200


class DocumentLibrary(ABC, Generic[D]):
    """Documents of one kind by id. Bundled samples are listed beside the stored ones; deleting one only hides it.

    Attributes:
        table: the rows; every one has id, artifact, origin and stored_at.
        kind: what its files hold.
        folder: where its files lie.
    """

    table: Table
    kind: type[D]
    folder: str

    def __init__(self, database: Database, artifacts: Artifacts, samples: Samples) -> None:
        self._database = database
        self._artifacts = artifacts
        self._samples = samples

    @abstractmethod
    def _bundled(self) -> Sequence[D]:
        """The samples that are not hidden."""

    @abstractmethod
    def _not_here(self, document_id: str) -> InputError:
        """There is no such document."""

    @abstractmethod
    def _not_mine(self, file: str) -> DocumentError:
        """A file of this library holds something else."""

    def _insert(self, document: D, wanted_id: str, values: dict[str, Any]) -> str:
        """Writes a new file and its row, or neither, and returns the id it got."""
        artifact = self._write(document)

        def work(connection: Connection) -> str:
            found = free_id(connection, self.table.c.id, wanted_id)
            connection.execute(self.table.insert().values(id=found, artifact=artifact, stored_at=time.time(), **values))
            return found

        try:
            return self._database.write(work)
        except BaseException:
            self._artifacts.delete(artifact)
            raise

    def _remove(self, document_id: str) -> RowMapping | None:
        """Takes a document out of the store and returns what its row was; a sample is only hidden (None)."""

        def work(connection: Connection) -> RowMapping | None:
            mine = self.table.c.id == document_id
            row = connection.execute(select(self.table).where(mine)).mappings().first()
            connection.execute(delete(requests).where(requests.c.run_id == document_id))
            connection.execute(delete(self.table).where(mine))
            return row

        row = self._database.write(work)
        if row is not None:
            self._artifacts.delete(row["artifact"])
        elif any(sample.id == document_id for sample in self._bundled()):
            self._samples.hide(document_id)
        else:
            raise self._not_here(document_id)
        return row

    def ran_here(self, document_id: str) -> bool:
        """Whether a document was made by this store's own workers: not a sample, not brought in as a file."""
        columns = self.table.c
        return bool(self._rows((columns.id == document_id) & (columns.origin == "measured")))

    def _rows(self, where: ColumnElement[bool] | None = None) -> list[RowMapping]:
        """Rows, newest first."""
        query = select(self.table).order_by(self.table.c.stored_at.desc())
        chosen = query if where is None else query.where(where)
        return list(self._database.read(lambda connection: connection.execute(chosen).mappings().all()))

    def _of_model(self, commit: str, stack: str, workload_hash: str) -> list[RowMapping]:
        """Rows of a model's stack on a workload: measured here before imported, the newest first."""
        columns = self.table.c
        same = (columns.model_commit == commit) & (columns.stack == stack) & (columns.workload_hash == workload_hash)
        return sorted(self._rows(same), key=lambda row: row["origin"] != "measured")

    def _open(self, row: RowMapping) -> D:
        document = _parsed(self._artifacts.read(row["artifact"]), row["artifact"])
        if not isinstance(document, self.kind):
            raise self._not_mine(row["artifact"])
        return document

    def _readable(self, row: RowMapping) -> D | None:
        with suppress(DocumentError):
            return self._open(row)
        return None

    def _write(self, document: D) -> str:
        artifact = f"{self.folder}/{stem_of(document.id)}-{uuid.uuid4().hex[:8]}.json.gz"
        self._artifacts.write(artifact, document.model_dump_json())
        return artifact

    def _forget(self, artifacts: Iterable[str]) -> None:
        for artifact in artifacts:
            self._artifacts.delete(artifact)


@lru_cache(maxsize=8)
def _parsed(data: bytes, name: str) -> Document:
    """Files are never written twice, so what was read of one stays true."""
    return parse_document(data, name)


def note_answer(database: Database, request_key: str, document_id: str) -> None:
    """Notes which document answers a request from now on."""

    def work(connection: Connection) -> None:
        connection.execute(delete(requests).where(requests.c.key == request_key))
        connection.execute(requests.insert().values(key=request_key, run_id=document_id))

    database.write(work)


def answered(database: Database, table: Table, request_key: str) -> RowMapping | None:
    """The row that answers a request; None: none does."""
    joined = select(table).join(requests, requests.c.run_id == table.c.id).where(requests.c.key == request_key)
    work: Callable[[Connection], RowMapping | None] = lambda connection: connection.execute(joined).mappings().first()  # noqa: E731
    return database.read(work)


def clipped(name: str, *, fallback: str | None = None) -> str:
    """A name as it is stored: one line, no control characters, not endless.

    Raises:
        InputError: nothing visible is left, and there is no fallback.
    """
    plain = " ".join("".join(character if character.isprintable() else " " for character in name).split())[:NAME_LIMIT]
    if not plain and fallback is not None:
        return clipped(fallback or "-")
    if not plain:
        raise InputError("A name needs at least one visible character. Give another name.")
    return plain


def stem_of(content_key: str) -> str:
    """The start of the content key, which a stranger's document may have filled with anything."""
    return content_key[:12] if re.fullmatch(r"[0-9a-f]{12,128}", content_key) else content_hash(content_key)[:12]


def free_id(connection: Connection, column: Column[str], stem: str) -> str:
    """The stem as an id, numbered when it is taken."""
    taken = set(connection.execute(select(column).where(column.like(f"{stem}%"))).scalars().all())
    numbered = (f"{stem}-{number}" for number in count(2))
    return next(found for found in chain((stem,), numbered) if found not in taken)


def iso(seconds: float) -> str:
    """A row's time as contracts write it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
