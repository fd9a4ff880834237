"""Jobs in the store: who waits, who works, how far, and what became of it.

A job is queued, running under a worker's lease, then done, failed or cancelled. Whoever holds the lease is the only
one who may change a running job; a lease that ran out puts the job back to its old place in the queue.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, Select, and_, delete, func, or_, select, update

from analysis.contracts import Job, JobKind, JobState, Message, Progress
from analysis.runs.database import Database
from analysis.runs.tables import jobs

MAX_ATTEMPTS = 3
KEPT_FINISHED_JOBS = 200
Pulse = Literal["go_on", "cancel", "lost"]


@dataclass(frozen=True)
class NewJob:
    """A job to be queued. `twin_key` is the same for work that would be the same."""

    kind: JobKind
    host: str
    device: str
    name: str
    payload: dict[str, Any] = field(default_factory=dict)
    twin_key: str = ""


@dataclass(frozen=True)
class ClaimedJob:
    """A job as the worker that holds its lease sees it."""

    id: str
    kind: str
    name: str
    payload: dict[str, Any]
    attempts: int


class Queue:
    """The queue of every device of every host."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: NewJob, *, result_id: str | None = None) -> str:
        """Queues a job and returns its id; the same work, if it is already waiting or running, is not queued twice.

        With `result_id` the job is done already: it was answered from the store.
        """

        def work(connection: Connection) -> str:
            if twin := _twin(connection, new):
                return twin
            return _insert(connection, new, result_id)

        return self._database.write(work)

    def job(self, job_id: str) -> Job | None:
        """The job with that id."""
        return next(iter(self._jobs(select(jobs).where(jobs.c.id == job_id))), None)

    def jobs(self, limit: int = 100) -> list[Job]:
        """Jobs, newest first."""
        return self._jobs(select(jobs).order_by(jobs.c.seq.desc()).limit(limit))

    def asked(self, job_id: str) -> NewJob | None:
        """What a job was asked to do, to ask for it once more; None: no such job."""

        def work(connection: Connection) -> NewJob | None:
            row = connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().first()
            names = ("kind", "host", "device", "name", "payload", "twin_key")
            return None if row is None else NewJob(**{name: row[name] for name in names})

        return self._database.read(work)

    def waiting(self, host: str, device: str) -> list[str]:
        """Ids of the jobs that wait for a device, oldest first."""
        query = select(jobs.c.id).where(_of(host, device), jobs.c.state == "queued").order_by(jobs.c.seq)
        return list(self._database.read(lambda connection: connection.execute(query).scalars().all()))

    def load(self, host: str) -> dict[str, int]:
        """Device -> jobs waiting or running there."""
        query = select(jobs.c.device, func.count().label("waiting")).where(jobs.c.host == host, _active()).group_by(jobs.c.device)
        return {row.device: row.waiting for row in self._database.read(lambda connection: connection.execute(query).all())}

    def cancel(self, job_id: str) -> None:
        """Stops a job: one that waits at once, one that runs as soon as its worker looks (it looks often)."""

        def work(connection: Connection) -> None:
            mine = jobs.c.id == job_id
            connection.execute(update(jobs).where(mine, jobs.c.state == "queued").values(state="cancelled", finished_at=time.time()))
            connection.execute(update(jobs).where(mine, jobs.c.state == "running").values(cancel=True))

        self._database.write(work)

    def claim(self, host: str, device: str, owner: str, lease_seconds: float, *, only: str | None = None) -> ClaimedJob | None:
        """Takes the oldest waiting job of a device under a lease."""
        if not self._anything_to_do(host, device):  # an idle worker asks often: only look, take no write lock
            return None

        def work(connection: Connection) -> ClaimedJob | None:
            _reap(connection, host, device)
            waiting = select(jobs).where(_of(host, device), jobs.c.state == "queued").order_by(jobs.c.seq).limit(1)
            row = connection.execute(waiting if only is None else waiting.where(jobs.c.id == only)).mappings().first()
            if row is None:
                return None
            now = time.time()
            taken = connection.execute(
                update(jobs)
                .where(jobs.c.seq == row["seq"], jobs.c.state == "queued")  # another host's database may let two workers this far
                .values(state="running", owner=owner, heartbeat=now, lease_until=now + lease_seconds, attempts=row["attempts"] + 1)
            )
            return ClaimedJob(row["id"], row["kind"], row["name"], row["payload"], row["attempts"] + 1) if taken.rowcount else None

        return self._database.write(work)

    def beat(self, job_id: str, owner: str, lease_seconds: float, progress: Progress | None) -> Pulse:
        """Renews a running job's lease, writes its progress if there is news, and says whether to go on."""
        now = time.time()
        values: dict[str, Any] = {"heartbeat": now, "lease_until": now + lease_seconds}
        if progress is not None:
            values["progress"] = progress.model_dump(mode="json")

        def work(connection: Connection) -> Pulse:
            if not connection.execute(update(jobs).where(_held(job_id, owner)).values(**values)).rowcount:
                return "lost"
            return "cancel" if connection.execute(select(jobs.c.cancel).where(jobs.c.id == job_id)).scalar() else "go_on"

        return self._database.write(work)

    def look(self, job_id: str, owner: str) -> Pulse:
        """Whether a running job should go on, without writing anything."""
        cancel = self._database.read(lambda connection: connection.execute(select(jobs.c.cancel).where(_held(job_id, owner))).scalar())
        return "lost" if cancel is None else "cancel" if cancel else "go_on"

    def finish(
        self,
        job_id: str,
        owner: str,
        state: JobState,
        *,
        result_id: str | None = None,
        error: Message | None = None,
        notes: Sequence[Message] = (),
    ) -> bool:
        """Ends a running job; False when its lease had gone to somebody else."""
        values = {
            "state": state,
            "finished_at": time.time(),
            "result_id": result_id,
            "error": error and error.model_dump(mode="json"),
            "notes": [note.model_dump(mode="json") for note in notes],
        }
        return bool(
            self._database.write(lambda connection: connection.execute(update(jobs).where(_held(job_id, owner)).values(**values)).rowcount)
        )

    def give_back(self, job_id: str, owner: str) -> None:
        """Puts a running job back to its place because its worker ends; that does not count as an attempt."""
        values = {"state": "queued", "owner": None, "lease_until": None, "attempts": jobs.c.attempts - 1}
        self._database.write(lambda connection: connection.execute(update(jobs).where(_held(job_id, owner)).values(**values)))

    def reap(self, host: str, device: str) -> None:
        """Puts jobs whose lease ran out back into the queue; after the last attempt they have failed."""
        self._database.write(lambda connection: _reap(connection, host, device))

    def fail_waiting(self, host: str, device: str, error: Message) -> None:
        """Marks every waiting job of a device failed: nobody can be started to do it."""
        values = {"state": "failed", "finished_at": time.time(), "error": error.model_dump(mode="json")}
        self._database.write(
            lambda connection: connection.execute(update(jobs).where(_of(host, device), jobs.c.state == "queued").values(**values))
        )

    def _anything_to_do(self, host: str, device: str) -> bool:
        lost = and_(jobs.c.state == "running", jobs.c.lease_until < time.time())
        query = select(jobs.c.seq).where(_of(host, device), or_(jobs.c.state == "queued", lost)).limit(1)
        return self._database.read(lambda connection: connection.execute(query).first()) is not None

    def _jobs(self, query: Select[Any]) -> list[Job]:
        def work(connection: Connection) -> list[Job]:
            return [_job(row, _place(connection, row)) for row in connection.execute(query).mappings().all()]

        return self._database.read(work)


def _of(host: str, device: str) -> Any:
    return and_(jobs.c.host == host, jobs.c.device == device)


def _held(job_id: str, owner: str) -> Any:
    return and_(jobs.c.id == job_id, jobs.c.state == "running", jobs.c.owner == owner)


def _active() -> Any:
    return jobs.c.state.in_(("queued", "running"))


def _twin(connection: Connection, new: NewJob) -> str | None:
    query = select(jobs.c.id).where(jobs.c.twin_key == new.twin_key, jobs.c.host == new.host, jobs.c.cancel.is_(False), _active())
    return connection.execute(query).scalar() if new.twin_key else None


def _insert(connection: Connection, new: NewJob, result_id: str | None) -> str:
    job_id, now = uuid.uuid4().hex[:12], time.time()
    state = {"state": "queued"} if result_id is None else {"state": "done", "result_id": result_id, "finished_at": now}
    fixed = {"id": job_id, "created_at": now, "notes": [], "attempts": 0, "cancel": False}
    described = {
        "kind": new.kind,
        "host": new.host,
        "device": new.device,
        "name": new.name,
        "payload": new.payload,
        "twin_key": new.twin_key,
    }
    connection.execute(jobs.insert().values(**fixed, **described, **state))
    oldest = select(jobs.c.seq).where(~_active()).order_by(jobs.c.seq.desc()).offset(KEPT_FINISHED_JOBS).limit(1)
    if (limit := connection.execute(oldest).scalar()) is not None:
        connection.execute(delete(jobs).where(~_active(), jobs.c.seq <= limit))
    return job_id


def _reap(connection: Connection, host: str, device: str) -> None:
    expired = and_(_of(host, device), jobs.c.state == "running", jobs.c.lease_until < time.time())
    ended = {"finished_at": time.time(), "owner": None}
    lost = Message(
        id="The worker process ended {attempts} times while it ran this job, so it was given up. Memory may have run out: "
        "close other programs, lower the batch size, or choose a smaller model; the log is in the folder logs of the storage folder.",
        values={"attempts": MAX_ATTEMPTS},
    )
    connection.execute(update(jobs).where(expired, jobs.c.cancel.is_(True)).values(state="cancelled", **ended))
    connection.execute(
        update(jobs).where(expired, jobs.c.attempts >= MAX_ATTEMPTS).values(state="failed", error=lost.model_dump(mode="json"), **ended)
    )
    connection.execute(update(jobs).where(expired).values(state="queued", owner=None, lease_until=None))


def _place(connection: Connection, row: RowMapping) -> int:
    if row["state"] != "queued":
        return 0
    before = select(func.count()).where(_of(row["host"], row["device"]), _active(), jobs.c.seq < row["seq"])
    return connection.execute(before).scalar() or 0


def _job(row: RowMapping, place: int) -> Job:
    return Job(
        id=row["id"],
        kind=row["kind"],
        state=row["state"],
        device=row["device"],
        name=row["name"],
        created_at=datetime.fromtimestamp(row["created_at"], UTC).isoformat(timespec="seconds"),
        place=place,
        progress=row["progress"] and Progress.model_validate(row["progress"]),
        error=row["error"] and Message.model_validate(row["error"]),
        result_id=row["result_id"],
        notes=tuple(Message.model_validate(note) for note in row["notes"]),
        attempts=row["attempts"],
    )
