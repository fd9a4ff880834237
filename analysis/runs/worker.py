"""The worker: a process that holds one device and does the jobs of its queue, oldest first."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from analysis.contracts import Message
from analysis.errors import Cancelled, InputError, ResourceError, StrataError
from analysis.runs.devices import choose_device, find_devices, worker_environment
from analysis.runs.executor import DEVICE_VARIABLE, PARENT_VARIABLE, log_name
from analysis.runs.jobs import JOBS, JobContext, JobFunction, discard_old_checkpoints
from analysis.runs.pulse import PulseThread, Ticket, Timings, close_ticket
from analysis.runs.queue import ClaimedJob
from analysis.runs.slot import Load, ModelSlot, free_memory, load_from_disk
from analysis.runs.store import Store, open_store, this_host

log = logging.getLogger(__name__)


def main(device: str, detach: bool) -> int:
    """Works on a device until told to end; 0 also when another worker has the device already.

    Args:
        device: auto, cpu, cuda:0, mps.
        detach: live on when the process that started it ends.

    Raises:
        ModelError: this machine has no such device.
        ResourceError: the store cannot be used.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    store = open_store()
    if os.environ.get(DEVICE_VARIABLE) != device:  # started by hand: nobody has narrowed its view yet
        devices = find_devices()
        device = choose_device(device, devices, store.queue.load(this_host()))
        os.environ.update(worker_environment(device, devices))
    if detach and hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal it was started in may be closed
    return Worker(device, store, parent=None if detach else _parent()).run()


def _parent() -> int:
    """The process whose end ends this one. It was named beforehand, in case it is gone already."""
    return int(os.environ.get(PARENT_VARIABLE) or os.getppid())


class Worker:
    """Does the jobs of one device.

    Args:
        jobs: kind of job -> what does it.
        load: how its one model is loaded.
        parent: process id whose end ends it; None: nobody's.
        host: whose queue it serves; by default this machine's.
        only: do this one job and end (for an executor that starts a worker per job).
    """

    def __init__(
        self,
        device: str,
        store: Store,
        *,
        jobs: Mapping[str, JobFunction] = JOBS,
        load: Load = load_from_disk,
        timings: Timings | None = None,
        parent: int | None = None,
        host: str | None = None,
        only: str | None = None,
    ) -> None:
        self.id = uuid.uuid4().hex
        self._device, self._store, self._jobs, self._only = device, store, jobs, only
        self._host = host or this_host()
        self._timings = timings or Timings(idle_unload=_idle_seconds())
        self._slot = ModelSlot(load, self._loading)
        self._pulse = PulseThread(store, self.id, self._slot, self._timings, parent=parent)
        self._idle_since = time.monotonic()

    def run(self) -> int:
        """Takes the device and works until told to end."""
        lease = self._device if self._only is None else f"{self._device}/{self._only}"
        if not self._store.workers.acquire(self._host, lease, self.id, os.getpid(), self._timings.lease):
            log.info("Another worker has %s; this one ends.", self._device)
            return 0
        previous = self._catch_signals()
        self._pulse.state = "ready"
        self._pulse.start()
        log.info("Worker %s on %s is ready.", self.id[:8], self._device)
        try:
            self._work()
        finally:
            self._pulse.silence()
            self._slot.unload()
            self._store.workers.release(self.id)
            for number, handler in previous.items():
                signal.signal(number, handler)
        log.info("Worker %s ends.", self.id[:8])
        return 0

    def _work(self) -> None:
        discard_old_checkpoints()
        while not self._pulse.ending.is_set():
            job = self._next()
            if job is not None:
                self._do(job)
                self._idle_since = time.monotonic()
            elif not self._only:
                self._rest()
            if self._only:
                return

    def _next(self) -> ClaimedJob | None:
        try:
            return self._store.queue.claim(self._host, self._device, self.id, self._timings.lease, only=self._only)
        except ResourceError as exc:
            log.warning("queue: %s", exc)
            return None

    def _rest(self) -> None:
        idle = time.monotonic() - self._idle_since >= self._timings.idle_unload
        if self._pulse.unload.is_set() or (idle and self._slot.model_name):
            self._pulse.unload.clear()
            self._slot.unload()
            log.info("Model unloaded.")
        self._pulse.ending.wait(self._timings.idle_poll)

    def _do(self, job: ClaimedJob) -> None:
        """Runs a job and writes down what became of it. Nothing that goes wrong in a job passes this line."""
        log.info("Job %s (%s), attempt %d: %s", job.id, job.kind, job.attempts, job.name)
        ticket = Ticket(job)
        self._pulse.state, self._pulse.ticket = "busy", ticket
        try:
            self._settle(ticket, self._result(ticket))
        finally:
            self._pulse.ticket, self._pulse.state = None, "ready"
            free_memory()

    def _result(self, ticket: Ticket) -> Message | None:
        """Runs the job function; None when it is done or was stopped, else what went wrong."""
        job = ticket.job
        context = JobContext(job, self._store, self._slot, ticket.report, lambda: ticket.stop is not None)
        try:
            outcome = self._function(job)(context)
            if not self._store.queue.finish(job.id, self.id, "done", result_id=outcome.result_id, notes=outcome.notes):
                log.warning("Job %s was done, but its lease had gone to another worker.", job.id)
            return None
        except Cancelled:
            ticket.ask_to_stop("cancel")
            return None
        except StrataError as exc:
            log.warning("Job %s failed: %s", job.id, exc)
            return exc.message
        except BaseException as exc:
            log.exception("Job %s failed", job.id)
            return self._in_words(exc)

    def _function(self, job: ClaimedJob) -> JobFunction:
        if job.kind not in self._jobs:
            raise StrataError(
                "This worker does not know jobs of the kind {kind}. Restart Strata, so that all of it is of one version.", kind=job.kind
            )
        return self._jobs[job.kind]

    def _settle(self, ticket: Ticket, error: Message | None) -> None:
        try:
            if ticket.stop is not None:
                close_ticket(self._store, self.id, ticket)
            elif error is not None:
                self._store.queue.finish(ticket.job.id, self.id, "failed", error=error)
        except ResourceError as exc:  # the lease runs out and the job comes back
            log.warning("job %s: %s", ticket.job.id, exc)

    def _in_words(self, exc: BaseException) -> Message:
        if _out_of_memory(exc):
            self._slot.unload()
            return Message(
                id="The memory of {device} ran out. Lower the batch size or the longest prompt, choose a smaller model or another device, "
                "or close other programs that use it.",
                values={"device": self._device},
            )
        return Message(
            id="Something unexpected went wrong ({kind}). The details are in the log {file} in the storage folder; "
            "try again, and report it if it stays.",
            values={"kind": type(exc).__name__, "file": log_name(self._device)},
        )

    def _loading(self, begins: bool) -> None:
        self._pulse.state = "loading" if begins else "busy"

    def _catch_signals(self) -> dict[int, Any]:
        """SIGTERM and Ctrl-C end it cleanly: the job in hand goes back into the queue."""
        if threading.current_thread() is not threading.main_thread():
            return {}  # only a main thread may

        def end(_number: int, _frame: object) -> None:
            self._pulse.ending.set()

        return {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}


def _idle_seconds() -> float:
    given = os.environ.get("STRATA_IDLE_MINUTES") or "10"
    if not re.fullmatch(r"\d{1,6}(\.\d+)?", given):
        raise InputError("STRATA_IDLE_MINUTES is {given}; it must be a number of minutes such as 10, or unset.", given=given[:40])
    return 60 * float(given)


def _out_of_memory(exc: BaseException) -> bool:
    text = str(exc).lower()
    return (
        isinstance(exc, MemoryError)
        or type(exc).__name__ == "OutOfMemoryError"
        or (isinstance(exc, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text))
    )
