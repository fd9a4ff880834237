"""Stored robustness tests: how well a plan bears disturbed input, beside the original."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping

from analysis.contracts import Robustness, RobustnessSummary
from analysis.errors import DocumentError, InputError
from analysis.runs.document_library import NAME_LIMIT, iso
from analysis.runs.plan_documents import PlanDocuments
from analysis.runs.tables import robustness_tests


class RobustnessLibrary(PlanDocuments[Robustness]):
    """Robustness tests by id; each belongs to a plan and stays when the plan is deleted."""

    table = robustness_tests
    kind = Robustness
    folder = "robustness"
    evidence = "robustness"

    def robustness_tests(self, plan_id: str | None = None) -> list[RobustnessSummary]:
        """All tests, or those of one plan, newest first; the bundled samples come last."""
        rows = self._rows() if plan_id is None else self._rows(robustness_tests.c.plan_id == plan_id)
        samples = [found for found in self._bundled() if plan_id in (None, found.plan_id)]
        return [*map(_summary, rows), *map(self._sample_summary, samples)]

    def robustness(self, robustness_id: str) -> Robustness:
        """The test with that id. InputError: there is none. DocumentError: its file is gone or damaged."""
        return self.find(robustness_id)

    def _bundled(self) -> Sequence[Robustness]:
        return self._samples.robustness_tests()

    def _facts(self, document: Robustness) -> dict[str, Any]:
        return {
            "plan_name": document.plan_name[:NAME_LIMIT],
            "model_name": document.model_name[:NAME_LIMIT],
            "workload_name": document.workload.name[:NAME_LIMIT],
            "n_worse": sum(result.comparison == "worse" for result in document.results),
            "n_tested": len(document.results),
            "device_name": document.machine.device_name[:NAME_LIMIT],
        }

    def _sample_summary(self, found: Robustness) -> RobustnessSummary:
        created = found.machine.started_at
        return RobustnessSummary(id=found.id, plan_id=found.plan_id, created_at=created, is_sample=True, **self._facts(found))

    def _not_here(self, document_id: str) -> InputError:
        return InputError(
            "There is no robustness test {robustness} in this store. Choose one from the list; it may have been deleted.",
            robustness=document_id[:80],
        )

    def _not_mine(self, file: str) -> DocumentError:
        return DocumentError(
            "{file} holds no robustness test. Put it back from a backup, or delete its entry and test the plan again.", file=file
        )


def _summary(row: RowMapping) -> RobustnessSummary:
    return RobustnessSummary(id=row["id"], plan_id=row["plan_id"], created_at=iso(row["stored_at"]), **row["summary"])
