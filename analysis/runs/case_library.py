"""Stored business cases: several of a plan, each a scenario. A case stays when its plan is deleted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, select, update

from analysis.contracts import BusinessCase, CaseSummary
from analysis.errors import DocumentError, InputError
from analysis.runs.document_library import NAME_LIMIT, DocumentLibrary, Origin, clipped, iso
from analysis.runs.tables import cases


class CaseLibrary(DocumentLibrary[BusinessCase]):
    """Business cases by id, the hash of evidence and assumptions: the same evidence and assumptions are the same case."""

    table = cases
    kind = BusinessCase
    folder = "cases"

    def cases(self, plan_id: str | None = None) -> list[CaseSummary]:
        """All cases, or those of one plan, newest first; the bundled samples come last."""
        rows = self._rows() if plan_id is None else self._rows(cases.c.plan_id == plan_id)
        known = {row["id"] for row in rows}
        samples = [case for case in self._bundled() if case.id not in known and plan_id in (None, case.evidence.plan_id)]
        return [*map(_summary, rows), *map(_sample_summary, samples)]

    def case(self, case_id: str) -> BusinessCase:
        """The case with that id.

        Raises:
            InputError: there is no such case.
            DocumentError: its file is gone or damaged.
        """
        rows = self._rows(cases.c.id == case_id)
        if rows:
            return self._open(rows[0]).model_copy(update={"name": rows[0]["name"]})
        return self._sample(case_id)

    def save(self, case: BusinessCase, name: str | None = None, *, origin: Origin = "measured") -> str:
        """Stores a case, or the new form of one that is there (which keeps its name unless another is given), and returns its id."""
        artifact = self._write(case.model_copy(update={"is_sample": False}))
        values = {"artifact": artifact, "summary": _facts(case), "stored_at": time.time()}

        def work(connection: Connection) -> str | None:
            mine = cases.c.id == case.id
            before = connection.execute(select(cases.c.artifact).where(mine).with_for_update()).scalar()
            if before is None:
                about = {"plan_id": case.evidence.plan_id, "origin": origin, "name": _named(case, name)}
                connection.execute(cases.insert().values(id=case.id, **about, **values))
                return None
            connection.execute(update(cases).where(mine).values(**values, **({} if name is None else {"name": clipped(name)})))
            return str(before)

        try:
            before = self._database.write(work)
        except BaseException:
            self._artifacts.delete(artifact)
            raise
        if before is not None:
            self._artifacts.delete(before)
        return case.id

    def rename(self, case_id: str, name: str) -> None:
        """Gives a case another name; a bundled one is copied first."""
        clean = clipped(name)
        if not self._database.read(lambda connection: connection.execute(select(cases.c.id).where(cases.c.id == case_id)).first()):
            self.save(self._sample(case_id))
        self._database.write(lambda connection: connection.execute(update(cases).where(cases.c.id == case_id).values(name=clean)))

    def delete(self, case_id: str) -> None:
        """Takes a case out of the store; a bundled one is hidden. InputError: there is no such case."""
        bundled = any(case.id == case_id for case in self._bundled())
        self._remove(case_id)
        if bundled:
            self._samples.hide(case_id)

    def _sample(self, case_id: str) -> BusinessCase:
        found = next((case for case in self._bundled() if case.id == case_id), None)
        if found is None:
            raise self._not_here(case_id)
        return found

    def _bundled(self) -> Sequence[BusinessCase]:
        return self._samples.cases()

    def _not_here(self, document_id: str) -> InputError:
        return InputError(
            "There is no business case {case} in this store. Choose one from the list; it may have been deleted.", case=document_id[:80]
        )

    def _not_mine(self, file: str) -> DocumentError:
        return DocumentError(
            "{file} holds no business case. Put it back from a backup, or delete its entry and make the case again.", file=file
        )


def _named(case: BusinessCase, name: str | None) -> str:
    if name is not None:
        return clipped(name)
    return clipped(case.name or case.assumptions.name, fallback=case.evidence.plan_name or case.evidence.model_name)


def _facts(case: BusinessCase) -> dict[str, Any]:
    """What a list shows of a case."""
    result = case.result
    return {
        "model_name": case.evidence.model_name[:NAME_LIMIT],
        "currency": case.assumptions.currency,
        "standing": case.standing,
        "net_per_month": result.net_per_month,
        "payback_months": result.payback_months,
        "npv": result.npv,
        "payback_share": result.simulation.payback_share,
    }


def _summary(row: RowMapping) -> CaseSummary:
    return CaseSummary(id=row["id"], plan_id=row["plan_id"], name=row["name"], created_at=iso(row["stored_at"]), **row["summary"])


def _sample_summary(case: BusinessCase) -> CaseSummary:
    about = {"plan_id": case.evidence.plan_id, "name": _named(case, None), "created_at": case.created_at}
    return CaseSummary(id=case.id, is_sample=True, **about, **_facts(case))
