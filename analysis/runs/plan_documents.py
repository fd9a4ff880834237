"""What belongs to a plan and stays when the plan is deleted: what verifications, trials, healings and robustness tests share."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import Any, TypeVar

from analysis.contracts import Healing, ProjectionError, Robustness, Trial, Verification
from analysis.runs.document_library import DocumentLibrary, Origin, stem_of
from analysis.runs.plan_evidence import EvidenceField

P = TypeVar("P", Trial, Verification, Healing, Robustness)
_PLAIN_ID = re.compile(r"[A-Za-z0-9-]{6,48}")


class PlanDocuments(DocumentLibrary[P]):
    """Documents by id, each about one plan. What was run here answers the same request here and on no other machine.

    Attributes:
        evidence: the field of a plan that holds the newest of them.
    """

    evidence: EvidenceField

    @abstractmethod
    def _facts(self, document: P) -> dict[str, Any]:
        """What a list shows of a document."""

    def _compared(self, document: P) -> P:
        """What two documents have in common when they are the same one, under whatever id each is stored."""
        return document

    def _about(self, document: P) -> dict[str, Any]:
        """Further columns of the row."""
        return {}

    def add(self, document: P, *, origin: Origin = "measured", request_key: str = "") -> str:
        """Stores a document and returns its id; an imported one that is there already is not stored twice.

        Args:
            request_key: the request that it answers from now on; empty: none.
        """
        if origin == "imported" and (known := self._same(document)):
            return known
        values = {"plan_id": document.plan_id, "origin": origin, "request_key": request_key, "summary": self._facts(document)}
        wanted = document.id if _PLAIN_ID.fullmatch(document.id) else stem_of(document.id)
        return self._insert(document, wanted, {**values, **self._about(document)})

    def find(self, document_id: str) -> P:
        """The document with that id.

        Raises:
            InputError: there is no such document.
            DocumentError: its file is gone or damaged.
        """
        rows = self._rows(self.table.c.id == document_id)
        if rows:
            return self._numbered(self._open(rows[0]), document_id)
        found = next((found for found in self._bundled() if found.id == document_id), None)
        if found is None:
            raise self._not_here(document_id)
        return found

    def newest_of(self, plan_id: str) -> P | None:
        """The newest readable document of a plan."""
        rows = self._rows(self.table.c.plan_id == plan_id)
        return next((self._numbered(found, row["id"]) for row in rows if (found := self._readable(row)) is not None), None)

    def answer(self, request_key: str) -> str | None:
        """The id of the document that answered this request on this machine before."""
        rows = self._rows(self.table.c.request_key == request_key) if request_key else []
        return str(rows[0]["id"]) if rows else None

    def delete(self, document_id: str) -> str | None:
        """Takes a document out of the store and returns its plan's id; a sample is only hidden (None)."""
        row = self._remove(document_id)
        return None if row is None else str(row["plan_id"])

    def _same(self, document: P) -> str | None:
        if document in self._bundled():
            return document.id
        for row in self._rows(self.table.c.plan_id == document.plan_id):
            found = self._readable(row)
            if found is not None and self._compared(self._numbered(found, document.id)) == self._compared(document):
                return str(row["id"])
        return None

    @staticmethod
    def _numbered(document: P, document_id: str) -> P:
        """The document under the id it is stored by."""
        return document.model_copy(update={"id": document_id})


def projections_compared(document: Trial | Verification) -> dict[str, Any]:
    """The column of a row that holds how far projections were off."""
    return {"projection_errors": [error.model_dump(mode="json") for error in document.projection_errors]}


def projection_errors(stored: list[Any]) -> tuple[ProjectionError, ...]:
    """A row's projection errors."""
    return tuple(ProjectionError.model_validate(error) for error in stored)
