"""Stored verifications, with the texts that both models wrote: those never leave the store unless someone asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping

from analysis.contracts import ProjectionError, Verification, VerificationSummary
from analysis.errors import DocumentError, InputError
from analysis.runs.document_library import NAME_LIMIT, iso
from analysis.runs.plan_documents import PlanDocuments, projection_errors, projections_compared
from analysis.runs.tables import verifications


class VerificationLibrary(PlanDocuments[Verification]):
    """Verifications by id; each belongs to a plan and stays when the plan is deleted."""

    table = verifications
    kind = Verification
    folder = "verifications"
    evidence = "verification"

    def verifications(self, plan_id: str | None = None) -> list[VerificationSummary]:
        """All verifications, or those of one plan, newest first; the bundled samples come last."""
        rows = self._rows() if plan_id is None else self._rows(verifications.c.plan_id == plan_id)
        samples = [found for found in self._bundled() if plan_id in (None, found.plan_id)]
        return [*map(_summary, rows), *map(self._sample_summary, samples)]

    def verification(self, verification_id: str) -> Verification:
        """The verification with that id. InputError: there is none. DocumentError: its file is gone or damaged."""
        return self.find(verification_id)

    def calibration(self) -> list[tuple[VerificationSummary, tuple[ProjectionError, ...]]]:
        """How far projections were off in every verification run here that had any, newest first."""
        rows = self._rows(verifications.c.origin == "measured")
        errors = ((row, projection_errors(row["projection_errors"])) for row in rows)
        return [(_summary(row), found) for row, found in errors if found]

    def _bundled(self) -> Sequence[Verification]:
        return self._samples.verifications()

    def _about(self, document: Verification) -> dict[str, Any]:
        return projections_compared(document)

    def _facts(self, document: Verification) -> dict[str, Any]:
        return {
            "plan_name": document.plan_name[:NAME_LIMIT],
            "model_name": document.model_name[:NAME_LIMIT],
            "workload_name": document.workload.name[:NAME_LIMIT],
            "verdict": document.verdict,
            "n_examples": document.quality.n_examples,
            "device_name": document.machine.device_name[:NAME_LIMIT],
        }

    def _compared(self, document: Verification) -> Verification:
        return document.without_texts()

    def _sample_summary(self, found: Verification) -> VerificationSummary:
        created = found.machine.started_at
        return VerificationSummary(id=found.id, plan_id=found.plan_id, created_at=created, is_sample=True, **self._facts(found))

    def _not_here(self, document_id: str) -> InputError:
        return InputError(
            "There is no verification {verification} in this store. Choose one from the list; it may have been deleted.",
            verification=document_id[:80],
        )

    def _not_mine(self, file: str) -> DocumentError:
        return DocumentError(
            "{file} holds no verification. Put it back from a backup, or delete its entry and verify the plan again.", file=file
        )


def _summary(row: RowMapping) -> VerificationSummary:
    return VerificationSummary(id=row["id"], plan_id=row["plan_id"], created_at=iso(row["stored_at"]), **row["summary"])
