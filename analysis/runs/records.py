"""Two small kinds of record: how long a model takes on a device of one machine, and what an export wrote."""

from __future__ import annotations

import time
import uuid
from typing import Any

from sqlalchemy import Connection, delete, select

from analysis.contracts import ExportReport, LatencyModel, content_hash
from analysis.errors import InputError
from analysis.runs.database import Database
from analysis.runs.tables import exports, latencies


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
        query = select(latencies.c.document).where(latencies.c.model_commit == model_commit).order_by(latencies.c.stored_at.desc())
        for column, wanted in (("device_name", device_name), ("host", host), ("dtype", dtype), ("stack", stack)):
            query = query if wanted is None else query.where(latencies.c[column] == wanted)
        found: Any = self._database.read(lambda connection: connection.execute(query.limit(1)).scalar())
        return None if found is None else LatencyModel.model_validate(found)


def _with_other_sizes(model: LatencyModel, before: LatencyModel) -> LatencyModel:
    """The new times, and the old ones of batch sizes and lengths that were not measured again."""
    if before.n_blocks != model.n_blocks:
        return model
    sizes = {(shape.phase, shape.batch_size, shape.context_tokens) for shape in model.shapes}
    shapes = tuple(old for old in before.shapes if (old.phase, old.batch_size, old.context_tokens) not in sizes)
    points = tuple(old for old in before.points if (old.phase, old.batch_size, old.context_tokens) not in sizes)
    return model.model_copy(update={"shapes": (*model.shapes, *shapes), "points": (*model.points, *points)})


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
