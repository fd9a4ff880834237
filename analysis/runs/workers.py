"""Worker processes in the store: one per device and host, by a lease."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, and_, delete, select, update

from analysis.runs.database import Database
from analysis.runs.tables import jobs, workers

WorkerState = Literal["starting", "ready", "loading", "busy"]


@dataclass(frozen=True)
class WorkerInfo:
    """A worker process that is alive. `model` is the name of the model it holds; None: none."""

    id: str
    host: str
    device: str
    pid: int
    state: WorkerState
    model: str | None
    memory_bytes: int | None


class Workers:
    """Who works on which device."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, host: str, device: str, worker_id: str, pid: int, lease_seconds: float) -> bool:
        """Takes a device for a worker; False when another one holds it."""
        now = time.time()
        values = {"id": worker_id, "pid": pid, "state": "starting", "model": None, "memory_bytes": None, "unload": False}
        times = {"heartbeat": now, "lease_until": now + lease_seconds}

        def work(connection: Connection) -> bool:
            free = and_(_of(host, device), workers.c.lease_until < now)
            if connection.execute(update(workers).where(free).values(**values, **times)).rowcount:
                return True
            if connection.execute(select(workers.c.id).where(_of(host, device))).first():
                return False
            connection.execute(workers.insert().values(host=host, device=device, **values, **times))
            return True

        return self._database.write(work)

    def beat(self, worker_id: str, lease_seconds: float, *, state: WorkerState, model: str | None, memory_bytes: int | None) -> bool:
        """Renews a worker's lease and says what it does; False when it has lost its device."""
        now = time.time()
        values: dict[str, Any] = {
            "state": state,
            "model": model,
            "memory_bytes": memory_bytes,
            "heartbeat": now,
            "lease_until": now + lease_seconds,
        }
        mine = workers.c.id == worker_id
        return bool(self._database.write(lambda connection: connection.execute(update(workers).where(mine).values(**values)).rowcount))

    def ask_to_unload(self, host: str, device: str) -> None:
        """Asks a device's worker to give its model's memory back."""
        self._database.write(lambda connection: connection.execute(update(workers).where(_of(host, device)).values(unload=True)))

    def asked_to_unload(self, worker_id: str) -> bool:
        """Whether a worker was asked to unload since it last looked."""
        asked = and_(workers.c.id == worker_id, workers.c.unload.is_(True))
        if not self._database.read(lambda connection: connection.execute(select(workers.c.id).where(asked)).first()):
            return False
        return bool(self._database.write(lambda connection: connection.execute(update(workers).where(asked).values(unload=False)).rowcount))

    def release(self, worker_id: str) -> None:
        """Gives a worker's device back."""
        self._database.write(lambda connection: connection.execute(delete(workers).where(workers.c.id == worker_id)))

    def bury(self, host: str, device: str, pid: int) -> None:
        """Ends the leases of a worker that is known to be dead, so that nobody waits for them to run out."""

        def work(connection: Connection) -> None:
            dead = select(workers.c.id).where(_of(host, device), workers.c.pid == pid)
            for worker_id in connection.execute(dead).scalars().all():
                connection.execute(update(jobs).where(jobs.c.owner == worker_id, jobs.c.state == "running").values(lease_until=0.0))
                connection.execute(delete(workers).where(workers.c.id == worker_id))

        self._database.write(work)

    def alive(self, host: str | None = None, device: str | None = None) -> tuple[WorkerInfo, ...]:
        """Workers whose lease holds."""
        query = select(workers).where(workers.c.lease_until >= time.time())
        query = query if host is None else query.where(workers.c.host == host)
        query = query if device is None else query.where(workers.c.device == device)
        rows = self._database.read(lambda connection: connection.execute(query).mappings().all())
        return tuple(WorkerInfo(**{name: row[name] for name in WorkerInfo.__dataclass_fields__}) for row in rows)


def _of(host: str, device: str) -> Any:
    return and_(workers.c.host == host, workers.c.device == device)
