"""Stored trials and sweeps: what training really cost and gained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping

from analysis.contracts import Trial, TrialSummary
from analysis.errors import DocumentError, InputError
from analysis.runs.document_library import NAME_LIMIT, iso
from analysis.runs.plan_documents import PlanDocuments, projections_compared
from analysis.runs.tables import trials


class TrialLibrary(PlanDocuments[Trial]):
    """Trials by id; each belongs to a plan and stays when the plan is deleted."""

    table = trials
    kind = Trial
    folder = "trials"
    evidence = "trial"

    def trials(self, plan_id: str | None = None) -> list[TrialSummary]:
        """All trials, or those of one plan, newest first; the bundled samples come last."""
        rows = self._rows() if plan_id is None else self._rows(trials.c.plan_id == plan_id)
        samples = [found for found in self._bundled() if plan_id in (None, found.plan_id)]
        return [*map(_summary, rows), *map(self._sample_summary, samples)]

    def trial(self, trial_id: str) -> Trial:
        """The trial with that id. InputError: there is none. DocumentError: its file is gone or damaged."""
        return self.find(trial_id)

    def for_model(self, commit: str, stack: str, workload_hash: str) -> Trial | None:
        """What was learnt by training this model on this workload: sweeps before trials, measured here before imported,
        the newest first, the sample last."""
        rows = self._of_model(commit, stack, workload_hash)
        samples = [
            found
            for found in self._bundled()
            if (found.model_commit, found.stack, found.workload.content_hash) == (commit, stack, workload_hash)
        ]
        for sweep in (True, False):
            stored = (self._readable(row) for row in rows if row["summary"]["is_sweep"] is sweep)
            bundled = (found for found in samples if found.is_sweep is sweep)
            found = next(filter(None, stored), None) or next(bundled, None)
            if found is not None:
                return found
        return None

    def _bundled(self) -> Sequence[Trial]:
        return self._samples.trials()

    def _about(self, document: Trial) -> dict[str, Any]:
        about = {"model_commit": document.model_commit, "stack": document.stack}
        return {**about, "workload_hash": document.workload.content_hash, **projections_compared(document)}

    def _facts(self, document: Trial) -> dict[str, Any]:
        return {
            "plan_name": document.plan_name[:NAME_LIMIT],
            "model_name": document.model_name[:NAME_LIMIT],
            "workload_name": document.workload.name[:NAME_LIMIT],
            "eof_layer": document.eof_layer,
            "is_sweep": document.is_sweep,
            "n_arms": len(document.arms),
            "kept": kept_gain(document),
            "device_name": document.machine.device_name[:NAME_LIMIT],
        }

    def _sample_summary(self, found: Trial) -> TrialSummary:
        return TrialSummary(id=found.id, plan_id=found.plan_id, created_at=found.machine.started_at, is_sample=True, **self._facts(found))

    def _not_here(self, document_id: str) -> InputError:
        return InputError(
            "There is no trial {trial} in this store. Choose one from the list; it may have been deleted.", trial=document_id[:80]
        )

    def _not_mine(self, file: str) -> DocumentError:
        return DocumentError("{file} holds no trial. Put it back from a backup, or delete its entry and try the plan again.", file=file)


def kept_gain(trial: Trial | None) -> float | None:
    """The share of full fine-tuning's loss reduction that the plan's own arm kept at the same number of tokens."""
    own = trial.own if trial is not None else None
    return own.kept_at_tokens.value if own is not None and own.kept_at_tokens is not None else None


def _summary(row: RowMapping) -> TrialSummary:
    return TrialSummary(id=row["id"], plan_id=row["plan_id"], created_at=iso(row["stored_at"]), **row["summary"])
