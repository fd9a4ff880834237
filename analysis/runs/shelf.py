"""Stored plans: named, with a state."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, get_args

from sqlalchemy import RowMapping, delete, select, update

from analysis.contracts import Freeze, Operation, Plan, PlanState, PlanSummary
from analysis.errors import DocumentError, InputError
from analysis.runs.artifacts import Artifacts
from analysis.runs.database import Database
from analysis.runs.documents import parse_document
from analysis.runs.run_library import NAME_LIMIT, clipped
from analysis.runs.tables import plans

PLAN_STATES: tuple[PlanState, ...] = get_args(PlanState)


class PlanShelf:
    """Plans by id. The id is the hash of model and operations: the same operations are the same plan."""

    def __init__(self, database: Database, artifacts: Artifacts) -> None:
        self._database = database
        self._artifacts = artifacts

    def save(self, plan: Plan, name: str | None = None) -> str:
        """Stores a plan, or the new form of one that is there (which keeps its state), and returns its id."""
        named = plan if name is None else plan.model_copy(update={"name": name})
        values = {"name": clipped(named.name or in_short(plan)), "summary": _facts(plan), "stored_at": time.time()}
        self._artifacts.write(_file(plan.id), named.model_dump_json())
        changed = update(plans).where(plans.c.id == plan.id).values(**values)
        fresh = plans.insert().values(id=plan.id, state="draft", **values)
        self._database.write(lambda connection: connection.execute(changed).rowcount or connection.execute(fresh).rowcount)
        return plan.id

    def plans(self) -> list[PlanSummary]:
        """All plans, newest first."""
        rows = self._database.read(lambda connection: connection.execute(select(plans).order_by(plans.c.stored_at.desc())).mappings().all())
        return [_summary(row) for row in rows]

    def plan(self, plan_id: str) -> Plan:
        """The plan with that id.

        Raises:
            InputError: there is no such plan.
            DocumentError: its file is gone or damaged.
        """
        name = self._database.read(lambda connection: connection.execute(select(plans.c.name).where(plans.c.id == plan_id)).scalar())
        if name is None:
            raise _no_plan(plan_id)
        document = parse_document(self._artifacts.read(_file(plan_id)), _file(plan_id))
        if not isinstance(document, Plan):
            raise DocumentError(
                "{file} holds no plan. Put it back from a backup, or delete its entry and make the plan again.", file=_file(plan_id)
            )
        return document.model_copy(update={"name": name})

    def rename(self, plan_id: str, name: str) -> None:
        """Gives a plan another name."""
        self._change(plan_id, {"name": clipped(name)})

    def set_state(self, plan_id: str, state: PlanState) -> None:
        """Moves a plan to another state."""
        if state not in PLAN_STATES:
            raise InputError("A plan cannot be in the state {state}. Choose one of: {states}.", state=str(state)[:40], states=PLAN_STATES)
        self._change(plan_id, {"state": state})

    def delete(self, plan_id: str) -> None:
        """Takes a plan out of the store."""
        if not self._database.write(lambda connection: connection.execute(delete(plans).where(plans.c.id == plan_id)).rowcount):
            raise _no_plan(plan_id)
        self._artifacts.delete(_file(plan_id))

    def _change(self, plan_id: str, values: dict[str, Any]) -> None:
        if not self._database.write(
            lambda connection: connection.execute(update(plans).where(plans.c.id == plan_id).values(**values)).rowcount
        ):
            raise _no_plan(plan_id)


def in_short(plan: Plan) -> str:
    """A plan's operations in a few words: prune block 3, 14, 26."""
    return "; ".join(map(_operation, plan.operations))


def _operation(operation: Operation) -> str:
    if isinstance(operation, Freeze):
        return f"freeze up to {operation.eof_layer}"
    return f"{operation.op} {operation.unit} {', '.join(map(str, operation.blocks))}"


def _facts(plan: Plan) -> dict[str, Any]:
    return {"model_name": plan.model.name[:NAME_LIMIT], "profile_id": plan.provenance.profile_id, "operations": in_short(plan)}


def _summary(row: RowMapping) -> PlanSummary:
    stored = datetime.fromtimestamp(row["stored_at"], UTC).isoformat(timespec="seconds")
    return PlanSummary(id=row["id"], name=row["name"], state=row["state"], created_at=stored, **row["summary"])


def _file(plan_id: str) -> str:
    return f"plans/{plan_id}/plan.json.gz"


def _no_plan(plan_id: str) -> InputError:
    return InputError(
        "There is no plan {plan} in this store. Choose one from the list of plans; it may have been deleted.", plan=plan_id[:80]
    )
