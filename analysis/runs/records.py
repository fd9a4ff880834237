"""Small kinds of record: how long a model or a training step takes on a device of one machine, and what an export wrote."""

from __future__ import annotations

import time
import uuid
from typing import Any

from sqlalchemy import Connection, Table, delete, select

from analysis.contracts import ExportReport, LatencyModel, StepModel, TrainingShape, content_hash
from analysis.errors import InputError
from analysis.runs.database import Database
from analysis.runs.tables import exports, latencies, steps


class LatencyBook:
    """Latency models by model, stack, device, number format and machine. A time of another machine answers nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, model: LatencyModel, host: str) -> str:
        """Stores a latency model, the newer times for the same sizes in place of the older ones, and returns its key."""
        about = {
            "host": host,
            "model_commit": model.model_commit,
            "stack": model.stack,
            "device_name": model.device_name,
            "dtype": model.dtype,
        }
        key = content_hash("latency", about)[:32]

        def work(connection: Connection) -> None:
            before: Any = connection.execute(select(latencies.c.document).where(latencies.c.key == key).with_for_update()).scalar()
            grown = model if before is None else _with_other_sizes(model, LatencyModel.model_validate(before))
            connection.execute(delete(latencies).where(latencies.c.key == key))
            values = {"key": key, **about, "document": grown.model_dump(mode="json"), "stored_at": time.time()}
            connection.execute(latencies.insert().values(**values))

        self._database.write(work)
        return key

    def model(
        self,
        model_commit: str,
        device_name: str | None = None,
        *,
        host: str | None,
        dtype: str | None = None,
        stack: str | None = None,
    ) -> LatencyModel | None:
        """The newest latency model that fits; None for a device, format or stack means any, for a host: any of a cluster's."""
        wanted = {"model_commit": model_commit, "device_name": device_name, "host": host, "dtype": dtype, "stack": stack}
        found = _newest(self._database, latencies, wanted)
        return None if found is None else LatencyModel.model_validate(found)


def _with_other_sizes(model: LatencyModel, before: LatencyModel) -> LatencyModel:
    """The new times, and the old ones of batch sizes and lengths that were not measured again."""
    if before.n_blocks != model.n_blocks:
        return model
    sizes = {(shape.phase, shape.batch_size, shape.context_tokens) for shape in model.shapes}
    shapes = tuple(old for old in before.shapes if (old.phase, old.batch_size, old.context_tokens) not in sizes)
    points = tuple(old for old in before.points if (old.phase, old.batch_size, old.context_tokens) not in sizes)
    return model.model_copy(update={"shapes": (*model.shapes, *shapes), "points": (*model.points, *points)})


class StepBook:
    """Step models by model, stack, device, kind of step and machine: the newest of each. Another machine's answer nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, model: StepModel, host: str) -> str:
        """Stores a step model in place of an older one of the same, and returns its key."""
        about = {
            "host": host,
            "model_commit": model.model_commit,
            "stack": model.stack,
            "device_name": model.device_name,
            "shape": shape_key(model.shape),
        }
        key = content_hash("steps", about)[:32]

        def work(connection: Connection) -> None:
            connection.execute(delete(steps).where(steps.c.key == key))
            values = {"key": key, **about, "document": model.model_dump(mode="json"), "stored_at": time.time()}
            connection.execute(steps.insert().values(**values))

        self._database.write(work)
        return key

    def model(
        self,
        model_commit: str,
        device_name: str | None = None,
        *,
        host: str | None,
        stack: str | None = None,
        shape: TrainingShape | None = None,
    ) -> StepModel | None:
        """The newest step model that fits; None for a device, stack or shape means any, for a host: any of a cluster's."""
        wanted = {"model_commit": model_commit, "device_name": device_name, "host": host, "stack": stack}
        found = _newest(self._database, steps, {**wanted, "shape": None if shape is None else shape_key(shape)})
        return None if found is None else StepModel.model_validate(found)


def shape_key(shape: TrainingShape) -> str:
    """The same for steps that take the same time: a rank that no adapter has changes nothing, the length of the responses does."""
    return content_hash(shape.model_dump(mode="json", exclude=set() if shape.method == "lora" else {"lora_rank"}))[:32]


def _newest(database: Database, table: Table, wanted: dict[str, str | None]) -> Any:
    """The document of the newest row in which every wanted column that is not None has that value; None: there is none."""
    query = select(table.c.document).order_by(table.c.stored_at.desc()).limit(1)
    for column, value in wanted.items():
        query = query if value is None else query.where(table.c[column] == value)
    return database.read(lambda connection: connection.execute(query).scalar())


class ExportBook:
    """What every export wrote, and its proof."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, report: ExportReport) -> str:
        """Keeps a report and returns its id."""
        values = {"id": uuid.uuid4().hex[:12], "plan_id": report.plan_id, "document": report.model_dump(mode="json")}
        self._database.write(lambda connection: connection.execute(exports.insert().values(**values, stored_at=time.time())))
        return str(values["id"])

    def report(self, export_id: str) -> ExportReport:
        """The report with that id. InputError: there is no such export."""
        query = select(exports.c.document).where(exports.c.id == export_id)
        found: Any = self._database.read(lambda connection: connection.execute(query).scalar())
        if found is None:
            raise InputError("There is no export {export} in this store. Export the plan again.", export=export_id[:80])
        return ExportReport.model_validate(found)

    def of_plan(self, plan_id: str) -> list[tuple[str, ExportReport]]:
        """A plan's exports, newest first, with their ids."""
        query = select(exports.c.id, exports.c.document).where(exports.c.plan_id == plan_id).order_by(exports.c.stored_at.desc())
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [(row.id, ExportReport.model_validate(row.document)) for row in rows]
