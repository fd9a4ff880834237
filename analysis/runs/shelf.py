"""Stored plans: named, with a state and how they came to it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select, update

from analysis.contracts import Freeze, Operation, Plan, PlanEvent, PlanState, PlanSummary, Verification
from analysis.errors import DocumentError, InputError
from analysis.runs.artifacts import Artifacts
from analysis.runs.database import Database
from analysis.runs.documents import parse_document
from analysis.runs.plan_life import NOTE_LIMIT, PLAN_STATES, check_move
from analysis.runs.run_library import NAME_LIMIT, clipped
from analysis.runs.samples import Samples
from analysis.runs.tables import plan_events, plans

__all__ = ["PLAN_STATES", "PlanShelf", "in_short"]


class PlanShelf:
    """Plans by id. The id is the hash of model and operations: the same operations are the same plan.

    Bundled sample plans are listed beside the stored ones; one that is renamed, verified or moved is copied first.
    """

    def __init__(self, database: Database, artifacts: Artifacts, samples: Samples) -> None:
        self._database = database
        self._artifacts = artifacts
        self._samples = samples

    def save(self, plan: Plan, name: str | None = None) -> str:
        """Stores a plan, or the new form of one that is there (which keeps its state and its verification), and returns its id."""
        named = plan if name is None else plan.model_copy(update={"name": name})

        def work(connection: Connection) -> None:
            known = self._row(connection, plan.id)
            kept = named
            if known is not None and named.verification is None:
                kept = named.model_copy(update={"verification": self._verification(known)})
            self._write(connection, kept, known)
            if kept.verification is not None:
                _verified(connection, plan.id)

        self._database.write(work)
        return plan.id

    def attach(self, plan: Plan, verification: Verification) -> None:
        """Writes a verification (without texts) into its plan, which is stored if it is not yet; a draft is then verified."""

        def work(connection: Connection) -> None:
            known = self._row(connection, plan.id)
            current = self._open_or(known, plan)
            self._write(connection, current.model_copy(update={"verification": verification.without_texts()}), known, moved=False)
            _verified(connection, plan.id)

        self._database.write(work)

    def detach(self, plan_id: str, verification_id: str, other: Verification | None) -> None:
        """Takes a deleted verification out of its plan, for an older one if there is one; without any it is a draft again."""

        def work(connection: Connection) -> None:
            known = self._row(connection, plan_id)
            attached = self._verification(known) if known is not None else None
            if known is None or attached is None or attached.id != verification_id:
                return
            left = other.without_texts() if other is not None else None
            self._write(connection, self._open(known).model_copy(update={"verification": left}), known, moved=False)
            if left is None and known["state"] == "verified":
                _move(connection, plan_id, "draft", "", "")

        self._database.write(work)

    def plans(self) -> list[PlanSummary]:
        """All plans, newest first; the bundled samples come last."""
        rows = self._database.read(lambda connection: connection.execute(select(plans).order_by(plans.c.stored_at.desc())).mappings().all())
        stored = [_summary(row) for row in rows]
        known = {plan.id for plan in stored}
        return [*stored, *(_sample_summary(plan) for plan in self._samples.plans() if plan.id not in known)]

    def plan(self, plan_id: str) -> Plan:
        """The plan with that id.

        Raises:
            InputError: there is no such plan.
            DocumentError: its file is gone or damaged.
        """
        row = self._database.read(lambda connection: self._row(connection, plan_id))
        if row is not None:
            return self._open(row).model_copy(update={"name": row["name"]})
        return self._sample(plan_id)

    def history(self, plan_id: str) -> list[PlanEvent]:
        """A plan's states, oldest first, with who and why."""

        def work(connection: Connection) -> tuple[RowMapping | None, list[RowMapping]]:
            mine = select(plan_events).where(plan_events.c.plan_id == plan_id).order_by(plan_events.c.seq)
            return self._row(connection, plan_id), list(connection.execute(mine).mappings().all())

        row, events = self._database.read(work)
        if row is None:
            return _sample_history(self._sample(plan_id))
        if not events:  # stored before histories were kept
            return [PlanEvent(state=row["state"], at=_iso(row["stored_at"]))]
        return [PlanEvent(state=event["state"], who=event["who"], at=_iso(event["at"]), note=event["note"]) for event in events]

    def rename(self, plan_id: str, name: str) -> None:
        """Gives a plan another name."""
        clean = clipped(name)
        self._own(plan_id)
        self._database.write(lambda connection: connection.execute(update(plans).where(plans.c.id == plan_id).values(name=clean)))

    def set_state(self, plan_id: str, state: PlanState, who: str = "", note: str = "") -> None:
        """Moves a plan to another state and writes down who said so and why.

        Raises:
            PlanError: the step is not allowed from the state it is in, or needs a note.
            InputError: no such plan, no such state.
        """
        self._own(plan_id)

        def work(connection: Connection) -> None:
            row = self._row(connection, plan_id)
            if row is None:
                raise _no_plan(plan_id)
            check_move(row["state"], state, self._verification(row) if state == "in_pilot" else None, note)
            _move(connection, plan_id, state, clipped(who) if who.strip() else "", note.strip()[:NOTE_LIMIT])

        self._database.write(work)

    def delete(self, plan_id: str) -> None:
        """Takes a plan and its history out of the store; a bundled sample is hidden."""

        def work(connection: Connection) -> int:
            connection.execute(delete(plan_events).where(plan_events.c.plan_id == plan_id))
            return connection.execute(delete(plans).where(plans.c.id == plan_id)).rowcount

        hidden = self._samples.hide(plan_id) if self._is_sample(plan_id) else False
        if self._database.write(work):
            self._artifacts.delete(_file(plan_id))
        elif not hidden:
            raise _no_plan(plan_id)

    def _row(self, connection: Connection, plan_id: str) -> RowMapping | None:
        """With a lock where the database has row locks: two processes then change one plan one after the other."""
        return connection.execute(select(plans).where(plans.c.id == plan_id).with_for_update()).mappings().first()

    def _write(self, connection: Connection, plan: Plan, known: RowMapping | None, *, moved: bool = True) -> None:
        values: dict[str, Any] = {"summary": _facts(plan), "stored_at": time.time()}
        self._artifacts.write(_file(plan.id), plan.model_dump_json())
        if known is None:
            connection.execute(plans.insert().values(id=plan.id, state="draft", name=_named(plan), **values))
            _event(connection, plan.id, "draft", "", "")
            return
        changed = {**values, "name": _named(plan)} if moved else {"summary": values["summary"]}
        connection.execute(update(plans).where(plans.c.id == plan.id).values(**changed))

    def _open(self, row: RowMapping) -> Plan:
        return _parsed(self._artifacts.read(_file(row["id"])), _file(row["id"]))

    def _open_or(self, row: RowMapping | None, plan: Plan) -> Plan:
        """The stored plan; the one at hand where there is none, or its file is gone."""
        if row is not None:
            with suppress(DocumentError):
                return self._open(row)
        return plan

    def _verification(self, row: RowMapping) -> Verification | None:
        """What the stored plan was verified by; a file that is gone or damaged has nothing to say."""
        try:
            return self._open(row).verification
        except DocumentError:
            return None

    def _is_sample(self, plan_id: str) -> bool:
        return any(plan.id == plan_id for plan in self._samples.plans())

    def _sample(self, plan_id: str) -> Plan:
        found = next((plan for plan in self._samples.plans() if plan.id == plan_id), None)
        if found is None:
            raise _no_plan(plan_id)
        return found

    def _own(self, plan_id: str) -> None:
        """A copy of a sample plan, so that it can be changed; a stored plan is there already."""
        if self._database.read(lambda connection: self._row(connection, plan_id)) is None:
            self.save(self._sample(plan_id))


def in_short(plan: Plan) -> str:
    """A plan's operations in a few words: prune block 3, 14, 26."""
    return "; ".join(map(_operation, plan.operations))


def _operation(operation: Operation) -> str:
    if isinstance(operation, Freeze):
        return f"freeze up to {operation.eof_layer}"
    return f"{operation.op} {operation.unit} {', '.join(map(str, operation.blocks))}"


def _verified(connection: Connection, plan_id: str) -> None:
    """A draft that has been run is verified, whatever came of it; a later state stays."""
    if connection.execute(select(plans.c.state).where(plans.c.id == plan_id)).scalar() == "draft":
        _move(connection, plan_id, "verified", "", "")


def _move(connection: Connection, plan_id: str, state: PlanState, who: str, note: str) -> None:
    connection.execute(update(plans).where(plans.c.id == plan_id).values(state=state))
    _event(connection, plan_id, state, who, note)


def _event(connection: Connection, plan_id: str, state: PlanState, who: str, note: str) -> None:
    connection.execute(plan_events.insert().values(plan_id=plan_id, state=state, who=who, at=time.time(), note=note))


def _parsed(data: bytes, name: str) -> Plan:
    document = parse_document(data, name)
    if not isinstance(document, Plan):
        raise DocumentError("{file} holds no plan. Put it back from a backup, or delete its entry and make the plan again.", file=name)
    return document


def _named(plan: Plan) -> str:
    return clipped(plan.name or in_short(plan))


def _facts(plan: Plan) -> dict[str, Any]:
    verdict = plan.verification.verdict if plan.verification is not None else None
    about: Mapping[str, Any] = {"model_name": plan.model.name[:NAME_LIMIT], "profile_id": plan.provenance.profile_id}
    return {**about, "operations": in_short(plan), "verdict": verdict}


def _summary(row: RowMapping) -> PlanSummary:
    return PlanSummary(id=row["id"], name=row["name"], state=row["state"], created_at=_iso(row["stored_at"]), **row["summary"])


def _sample_summary(plan: Plan) -> PlanSummary:
    state: PlanState = "draft" if plan.verification is None else "verified"
    created = plan.provenance.created_at
    return PlanSummary(id=plan.id, name=_named(plan), state=state, created_at=created, is_sample=True, **_facts(plan))


def _sample_history(plan: Plan) -> list[PlanEvent]:
    drafted = PlanEvent(state="draft", at=plan.provenance.created_at)
    found = plan.verification
    return [drafted] if found is None else [drafted, PlanEvent(state="verified", at=found.machine.started_at)]


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _file(plan_id: str) -> str:
    return f"plans/{plan_id}/plan.json.gz"


def _no_plan(plan_id: str) -> InputError:
    return InputError(
        "There is no plan {plan} in this store. Choose one from the list of plans; it may have been deleted.", plan=plan_id[:80]
    )
