"""A worker's second thread: keeps its leases alive, carries progress out and stop requests in.

The thread that computes never touches the database, so neither a long forward nor a slow disk can cost the lease,
and asking whether to stop costs nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from analysis.contracts import Progress
from analysis.errors import Cancelled, StrataError
from analysis.runs.queue import ClaimedJob
from analysis.runs.slot import ModelSlot, memory_in_use
from analysis.runs.store import Store
from analysis.runs.workers import WorkerState

log = logging.getLogger(__name__)
StopReason = Literal["cancel", "lost", "ending"]


@dataclass(frozen=True)
class Timings:
    """How often and how long, in seconds."""

    tick: float = 0.25
    heartbeat: float = 1.0
    lease: float = 10.0
    grace: float = 3.0  # from a stop request until the process is ended by force: cancel answers within 4 s in all
    idle_poll: float = 0.3
    idle_unload: float = 600.0


@dataclass
class Ticket:
    """The job in hand, shared by the two threads: one sets progress, the other sets stop."""

    job: ClaimedJob
    progress: Progress | None = None
    stop: StopReason | None = None
    stop_since: float = 0.0
    written: Progress | None = field(default=None, repr=False)

    def report(self, progress: Progress) -> None:
        """Takes progress; it is written with the next tick.

        Raises:
            Cancelled: the job is to stop.
        """
        self.progress = progress
        if self.stop:
            raise Cancelled("Stopped.")

    def ask_to_stop(self, reason: StopReason) -> None:
        """Asks the job to stop; the first reason counts."""
        if self.stop is None:
            self.stop_since = time.monotonic()
            self.stop = reason


class PulseThread(threading.Thread):
    """Ticks until told to stop.

    Args:
        parent: process id whose end ends the worker; None: it lives on alone.
        end_by_force: what to do with a job that does not stop in time; never returns in a real worker.
    """

    def __init__(
        self,
        store: Store,
        worker_id: str,
        slot: ModelSlot,
        timings: Timings,
        *,
        parent: int | None,
        end_by_force: Callable[[int], None] = os._exit,
    ) -> None:
        super().__init__(name="pulse", daemon=True)
        self._store, self._worker_id, self._slot, self._timings = store, worker_id, slot, timings
        self._parent = parent
        self._end_by_force = end_by_force
        self._quiet = threading.Event()
        self._last_beat = 0.0
        self.ending = threading.Event()
        self.unload = threading.Event()
        self.state: WorkerState = "starting"
        self.ticket: Ticket | None = None

    def run(self) -> None:
        """Ticks."""
        while not self._quiet.wait(self._timings.tick):
            try:
                self._tick()
            except StrataError as exc:  # a full or locked store: the job goes on, the next tick tries again
                log.warning("heartbeat: %s", exc)
            except Exception:
                log.exception("heartbeat")  # whatever it is, a worker without a pulse would lose its job

    def silence(self) -> None:
        """Stops ticking and waits until the last tick is over."""
        self._quiet.set()
        if self.is_alive():
            self.join()

    def _tick(self) -> None:
        if self._parent is not None and os.getppid() != self._parent:
            self.ending.set()
        ticket = self.ticket
        if ticket is not None:
            if self.ending.is_set():
                ticket.ask_to_stop("ending")
            self._end_if_overdue(ticket)
        due = time.monotonic() - self._last_beat >= self._timings.heartbeat
        if ticket is not None:
            self._tend(ticket, due)
        if due:
            self._beat()

    def _beat(self) -> None:
        held = self._store.workers.beat(
            self._worker_id, self._timings.lease, state=self.state, model=self._slot.model_name, memory_bytes=memory_in_use()
        )
        self._last_beat = time.monotonic()
        if not held:
            log.error("This worker lost its device to another one and ends.")
            self.ending.set()
        elif self._store.workers.asked_to_unload(self._worker_id):
            self.unload.set()

    def _tend(self, ticket: Ticket, due: bool) -> None:
        queue, job_id, latest = self._store.queue, ticket.job.id, ticket.progress
        if due or latest is not ticket.written:
            said = queue.beat(job_id, self._worker_id, self._timings.lease, latest if latest is not ticket.written else None)
            ticket.written = latest
        else:
            said = queue.look(job_id, self._worker_id)
        if said != "go_on" and self.ticket is ticket:
            ticket.ask_to_stop(said)

    def _end_if_overdue(self, ticket: Ticket) -> None:
        if not ticket.stop or time.monotonic() - ticket.stop_since < self._timings.grace:
            return
        log.warning("Job %s did not stop in time; this worker ends.", ticket.job.id)
        close_ticket(self._store, self._worker_id, ticket)
        self._store.workers.release(self._worker_id)
        self._end_by_force(0)


def close_ticket(store: Store, worker_id: str, ticket: Ticket) -> None:
    """Writes down what became of a job that was stopped: cancelled, or back in the queue because its worker ends."""
    if ticket.stop == "cancel":
        store.queue.finish(ticket.job.id, worker_id, "cancelled")
    elif ticket.stop == "ending":
        store.queue.give_back(ticket.job.id, worker_id)
