"""Stored healings: how much of a cut's loss a short training won back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping

from analysis.contracts import Healing, HealingSummary
from analysis.errors import DocumentError, InputError
from analysis.runs.document_library import NAME_LIMIT, iso
from analysis.runs.plan_documents import PlanDocuments
from analysis.runs.tables import healings


class HealingLibrary(PlanDocuments[Healing]):
    """Healings by id; each belongs to a plan and stays when the plan is deleted."""

    table = healings
    kind = Healing
    folder = "healings"
    evidence = "healing"

    def healings(self, plan_id: str | None = None) -> list[HealingSummary]:
        """All healings, or those of one plan, newest first; the bundled samples come last."""
        rows = self._rows() if plan_id is None else self._rows(healings.c.plan_id == plan_id)
        samples = [found for found in self._bundled() if plan_id in (None, found.plan_id)]
        return [*map(_summary, rows), *map(self._sample_summary, samples)]

    def healing(self, healing_id: str) -> Healing:
        """The healing with that id. InputError: there is none. DocumentError: its file is gone or damaged."""
        return self.find(healing_id)

    def _bundled(self) -> Sequence[Healing]:
        return self._samples.healings()

    def _facts(self, document: Healing) -> dict[str, Any]:
        against = document.recovered_against_control
        return {
            "plan_name": document.plan_name[:NAME_LIMIT],
            "model_name": document.model_name[:NAME_LIMIT],
            "workload_name": document.workload.name[:NAME_LIMIT],
            "n_removed": len(document.removed),
            "recovered": document.recovered.value,
            "recovered_against_control": against.value if against is not None else None,
            "device_name": document.machine.device_name[:NAME_LIMIT],
        }

    def _sample_summary(self, found: Healing) -> HealingSummary:
        return HealingSummary(id=found.id, plan_id=found.plan_id, created_at=found.machine.started_at, is_sample=True, **self._facts(found))

    def _not_here(self, document_id: str) -> InputError:
        return InputError(
            "There is no healing {healing} in this store. Choose one from the list; it may have been deleted.", healing=document_id[:80]
        )

    def _not_mine(self, file: str) -> DocumentError:
        return DocumentError("{file} holds no healing. Put it back from a backup, or delete its entry and heal the plan again.", file=file)


def _summary(row: RowMapping) -> HealingSummary:
    return HealingSummary(id=row["id"], plan_id=row["plan_id"], created_at=iso(row["stored_at"]), **row["summary"])
