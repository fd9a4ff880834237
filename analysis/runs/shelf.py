"""Stored plans: named, with a state and how they came to it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select, update

from analysis.contracts import Freeze, Operation, Plan, PlanEvent, PlanState, PlanSummary, Trial
from analysis.errors import DocumentError, InputError
from analysis.runs.artifacts import Artifacts
from analysis.runs.database import Database
from analysis.runs.document_library import NAME_LIMIT, clipped, iso
from analysis.runs.documents import parse_document
from analysis.runs.plan_evidence import Evidence, EvidenceField, evidence_in, field_of, travelling
from analysis.runs.plan_life import NOTE_LIMIT, PLAN_STATES, check_move, is_proven
from analysis.runs.samples import Samples
from analysis.runs.tables import plan_events, plans
from analysis.runs.trial_library import kept_gain

__all__ = ["PLAN_STATES", "PlanShelf", "in_short"]


class PlanShelf:
    """Plans by id. The id is the hash of model and operations: the same operations are the same plan.

    Bundled sample plans are listed beside the stored ones; one that is renamed, run or moved is copied first.
    """

    def __init__(self, database: Database, artifacts: Artifacts, samples: Samples) -> None:
        self._database = database
        self._artifacts = artifacts
        self._samples = samples

    def save(self, plan: Plan, name: str | None = None) -> str:
        """Stores a plan, or the new form of one that is there (which keeps its state and what it was run by), and returns its id."""
        named = plan if name is None else plan.model_copy(update={"name": name})

        def work(connection: Connection) -> None:
            known = self._row(connection, plan.id)
            kept = named if known is None else _with_evidence_of(named, self._readable(known))
            self._write(connection, kept, known)
            _follow(connection, kept)

        self._database.write(work)
        return plan.id

    def attach(self, plan: Plan, evidence: Evidence) -> None:
        """Writes what a plan was run by (without texts) into it; the plan is stored if it is not yet. A draft is verified by a
        verification, and by a trial if it only freezes."""

        def work(connection: Connection) -> None:
            known = self._row(connection, plan.id)
            current = (self._readable(known) if known is not None else self._bundled(plan.id)) or plan
            proven = current.model_copy(update={field_of(evidence): travelling(evidence)})
            self._write(connection, proven, known, moved=False)
            _follow(connection, proven, evidence.id if isinstance(evidence, Trial) else "")

        self._database.write(work)

    def detach(self, plan_id: str, document_id: str, field: EvidenceField, other: Evidence | None) -> None:
        """Takes what was deleted out of its plan, for an older one if there is one; never run, the plan is a draft again."""

        def work(connection: Connection) -> None:
            known = self._row(connection, plan_id)
            plan = self._readable(known) if known is not None else None
            attached = evidence_in(plan).get(field) if plan is not None else None
            if known is None or plan is None or attached is None or attached.id != document_id:
                return
            without = plan.model_copy(update={field: None if other is None else travelling(other)})
            self._write(connection, without, known, moved=False)
            if not is_proven(without) and known["state"] == "verified":
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
            return [PlanEvent(state=row["state"], at=iso(row["stored_at"]))]
        return [PlanEvent(state=event["state"], who=event["who"], at=iso(event["at"]), note=event["note"]) for event in events]

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
            plan = self._readable(row) if state == "in_pilot" else None
            check_move(row["state"], state, plan.verification if plan is not None else None, note)
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
        alone = plan.model_copy(update={"business_case": None})  # cases are kept by themselves: a plan has several
        self._artifacts.write(_file(plan.id), alone.model_dump_json())
        if known is None:
            connection.execute(plans.insert().values(id=plan.id, state="draft", name=_named(plan), **values))
            _event(connection, plan.id, "draft", "", "")
            return
        changed = {**values, "name": _named(plan)} if moved else {"summary": values["summary"]}
        connection.execute(update(plans).where(plans.c.id == plan.id).values(**changed))

    def _open(self, row: RowMapping) -> Plan:
        return _parsed(self._artifacts.read(_file(row["id"])), _file(row["id"]))

    def _readable(self, row: RowMapping) -> Plan | None:
        """The stored plan; a file that is gone or damaged has nothing to say."""
        with suppress(DocumentError):
            return self._open(row)
        return None

    def _is_sample(self, plan_id: str) -> bool:
        return self._bundled(plan_id) is not None

    def _bundled(self, plan_id: str) -> Plan | None:
        return next((plan for plan in self._samples.plans() if plan.id == plan_id), None)

    def _sample(self, plan_id: str) -> Plan:
        found = self._bundled(plan_id)
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


def _with_evidence_of(plan: Plan, known: Plan | None) -> Plan:
    """The new form of a plan, with what the stored one was run by where it brings nothing itself."""
    return plan if known is None else plan.model_copy(update={**evidence_in(known), **evidence_in(plan)})


def _follow(connection: Connection, plan: Plan, note: str = "") -> None:
    """A draft that has been run is verified, whatever came of it; a later state stays."""
    if is_proven(plan) and connection.execute(select(plans.c.state).where(plans.c.id == plan.id)).scalar() == "draft":
        _move(connection, plan.id, "verified", "", note)


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
    trained = {"eof_layer": plan.eof_layer, "kept_gain": kept_gain(plan.trial)}
    return {**about, **trained, "operations": in_short(plan), "verdict": verdict}


def _summary(row: RowMapping) -> PlanSummary:
    return PlanSummary(id=row["id"], name=row["name"], state=row["state"], created_at=iso(row["stored_at"]), **row["summary"])


def _sample_summary(plan: Plan) -> PlanSummary:
    state: PlanState = "verified" if is_proven(plan) else "draft"
    created = plan.provenance.created_at
    return PlanSummary(id=plan.id, name=_named(plan), state=state, created_at=created, is_sample=True, **_facts(plan))


def _sample_history(plan: Plan) -> list[PlanEvent]:
    drafted = PlanEvent(state="draft", at=plan.provenance.created_at)
    if not is_proven(plan):
        return [drafted]
    if plan.verification is not None:
        return [drafted, PlanEvent(state="verified", at=plan.verification.machine.started_at)]
    assert plan.trial is not None
    return [drafted, PlanEvent(state="verified", at=plan.trial.machine.started_at, note=plan.trial.id)]


def _file(plan_id: str) -> str:
    return f"plans/{plan_id}/plan.json.gz"


def _no_plan(plan_id: str) -> InputError:
    return InputError(
        "There is no plan {plan} in this store. Choose one from the list of plans; it may have been deleted.", plan=plan_id[:80]
    )
