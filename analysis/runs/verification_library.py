"""Stored verifications, with the texts that both models wrote: those never leave the store unless someone asks for them."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, select

from analysis.contracts import ProjectionError, Verification, VerificationSummary
from analysis.errors import DocumentError, InputError
from analysis.runs.artifacts import Artifacts
from analysis.runs.database import Database
from analysis.runs.documents import parse_document
from analysis.runs.run_library import NAME_LIMIT, Origin, free_id, stem_of
from analysis.runs.samples import Samples
from analysis.runs.tables import verifications

_PLAIN_ID = re.compile(r"[A-Za-z0-9-]{6,48}")


class VerificationLibrary:
    """Verifications by id; each belongs to a plan and stays when the plan is deleted."""

    def __init__(self, database: Database, artifacts: Artifacts, samples: Samples) -> None:
        self._database = database
        self._artifacts = artifacts
        self._samples = samples

    def add(self, verification: Verification, *, origin: Origin = "measured", request_key: str = "") -> str:
        """Stores a verification and returns its id; an imported one that is there already is not stored twice.

        Args:
            request_key: the request that it answers from now on; empty: none.
        """
        if origin == "imported" and (known := self._same(verification)):
            return known
        artifact = f"verifications/{stem_of(verification.id)}-{uuid.uuid4().hex[:8]}.json.gz"
        self._artifacts.write(artifact, verification.model_dump_json())
        about = {"plan_id": verification.plan_id, "artifact": artifact, "origin": origin, "request_key": request_key}
        errors = [error.model_dump(mode="json") for error in verification.projection_errors]

        def work(connection: Connection) -> str:
            wanted = verification.id if _PLAIN_ID.fullmatch(verification.id) else stem_of(verification.id)
            found = free_id(connection, verifications.c.id, wanted)
            row = {"id": found, "summary": _facts(verification), "projection_errors": errors, "stored_at": time.time()}
            connection.execute(verifications.insert().values(**about, **row))
            return found

        try:
            return self._database.write(work)
        except BaseException:
            self._artifacts.delete(artifact)
            raise

    def verifications(self, plan_id: str | None = None) -> list[VerificationSummary]:
        """All verifications, or those of one plan, newest first; the bundled samples come last."""
        rows = self._rows() if plan_id is None else self._rows(verifications.c.plan_id == plan_id)
        samples = [found for found in self._samples.verifications() if plan_id in (None, found.plan_id)]
        return [*map(_summary, rows), *map(_sample_summary, samples)]

    def verification(self, verification_id: str) -> Verification:
        """The verification with that id.

        Raises:
            InputError: there is no such verification.
            DocumentError: its file is gone or damaged.
        """
        rows = self._rows(verifications.c.id == verification_id)
        if rows:
            return self._open(rows[0])
        found = next((found for found in self._samples.verifications() if found.id == verification_id), None)
        if found is None:
            raise _no_verification(verification_id)
        return found

    def newest_of(self, plan_id: str) -> Verification | None:
        """The newest readable verification of a plan."""
        for row in self._rows(verifications.c.plan_id == plan_id):
            with suppress(DocumentError):
                return self._open(row)
        return None

    def answer(self, request_key: str) -> str | None:
        """The id of the verification that answered this request on this machine before."""
        rows = self._rows(verifications.c.request_key == request_key) if request_key else []
        return str(rows[0]["id"]) if rows else None

    def calibration(self) -> list[tuple[VerificationSummary, tuple[ProjectionError, ...]]]:
        """How far projections were off in every verification run here that had any, newest first."""
        rows = self._rows(verifications.c.origin == "measured")
        errors = ((row, tuple(ProjectionError.model_validate(error) for error in row["projection_errors"])) for row in rows)
        return [(_summary(row), found) for row, found in errors if found]

    def delete(self, verification_id: str) -> str | None:
        """Takes a verification out of the store and returns its plan's id; a sample is only hidden (None)."""

        def work(connection: Connection) -> RowMapping | None:
            mine = verifications.c.id == verification_id
            row = connection.execute(select(verifications).where(mine)).mappings().first()
            connection.execute(delete(verifications).where(mine))
            return row

        row = self._database.write(work)
        if row is not None:
            self._artifacts.delete(row["artifact"])
            return str(row["plan_id"])
        if not any(found.id == verification_id for found in self._samples.verifications()):
            raise _no_verification(verification_id)
        self._samples.hide(verification_id)
        return None

    def _same(self, verification: Verification) -> str | None:
        if verification in self._samples.verifications():
            return verification.id
        for row in self._rows(verifications.c.plan_id == verification.plan_id):
            with suppress(DocumentError):
                found = self._open(row).model_copy(update={"id": verification.id})
                if found.without_texts() == verification.without_texts():
                    return str(row["id"])
        return None

    def _rows(self, where: ColumnElement[bool] | None = None) -> Sequence[RowMapping]:
        query = select(verifications).order_by(verifications.c.stored_at.desc())
        chosen = query if where is None else query.where(where)
        return self._database.read(lambda connection: connection.execute(chosen).mappings().all())

    def _open(self, row: RowMapping) -> Verification:
        document = parse_document(self._artifacts.read(row["artifact"]), row["artifact"])
        if not isinstance(document, Verification):
            raise DocumentError(
                "{file} holds no verification. Put it back from a backup, or delete its entry and verify the plan again.",
                file=row["artifact"],
            )
        return document.model_copy(update={"id": row["id"]})


def _facts(verification: Verification) -> dict[str, Any]:
    return {
        "plan_name": verification.plan_name[:NAME_LIMIT],
        "model_name": verification.model_name[:NAME_LIMIT],
        "workload_name": verification.workload.name[:NAME_LIMIT],
        "verdict": verification.verdict,
        "n_examples": verification.quality.n_examples,
        "device_name": verification.machine.device_name[:NAME_LIMIT],
    }


def _summary(row: RowMapping) -> VerificationSummary:
    stored = datetime.fromtimestamp(row["stored_at"], UTC).isoformat(timespec="seconds")
    return VerificationSummary(id=row["id"], plan_id=row["plan_id"], created_at=stored, **row["summary"])


def _sample_summary(found: Verification) -> VerificationSummary:
    created = found.machine.started_at
    return VerificationSummary(id=found.id, plan_id=found.plan_id, created_at=created, is_sample=True, **_facts(found))


def _no_verification(verification_id: str) -> InputError:
    return InputError(
        "There is no verification {verification} in this store. Choose one from the list; it may have been deleted.",
        verification=verification_id[:80],
    )
