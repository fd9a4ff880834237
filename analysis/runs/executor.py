"""Who does the jobs: a worker process on this machine, or a cluster.

The store stays the only channel. An executor only sees to it that somebody is there to take the job.
"""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol

from analysis.contracts import Message
from analysis.errors import InputError, ResourceError
from analysis.home import home, saying_disk_errors
from analysis.runs.devices import DeviceInfo, choose_device, find_devices, worker_environment
from analysis.runs.store import Store, this_host

PARENT_VARIABLE = "STRATA_WORKER_PARENT"
DEVICE_VARIABLE = "STRATA_WORKER_DEVICE"
MAX_FAILED_STARTS = 3
_EARLY_SECONDS = 60.0
_LOG_LIMIT_BYTES = 8 * 2**20
CODE = Path(__file__).parents[2]


class Executor(Protocol):
    """The seam behind which jobs are done."""

    @property
    def host(self) -> str:
        """Under which host's queue its jobs stand."""
        ...

    def devices(self) -> tuple[DeviceInfo, ...]:
        """What it can run on."""
        ...

    def place(self, device: str) -> str:
        """The device whose queue a job goes to.

        Raises:
            ModelError: there is no such device.
        """
        ...

    def submit(self, job_id: str, device: str) -> None:
        """Sees to it that a queued job is taken."""
        ...

    def ensure(self, device: str) -> None:
        """Sees to it that the device's queue is worked on, also after a worker died. Cheap; pages call it while they wait."""
        ...

    def cancel(self, job_id: str) -> None:
        """Called after the store was told; stops what does not look at the store."""
        ...

    def close(self) -> None:
        """Ends what it started."""
        ...


def worker_command(device: str) -> list[str]:
    """How a worker is started."""
    return [sys.executable, "-m", "analysis", "worker", "--device", device]


class LocalExecutor:
    """One worker process per device of this machine, started when there is something to do and again when it dies.

    Args:
        command: device -> what starts its worker.
    """

    def __init__(self, store: Store, command: Callable[[str], Sequence[str]] = worker_command) -> None:
        self._store = store
        self._command = command
        self._lock = threading.Lock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._failed_starts: dict[str, int] = {}

    @property
    def host(self) -> str:
        """This machine."""
        return this_host()

    def devices(self) -> tuple[DeviceInfo, ...]:
        """This machine's."""
        return find_devices()

    def place(self, device: str) -> str:
        """The device itself, or for auto and cuda the GPU with the shortest queue."""
        return choose_device(device, self.devices(), self._store.queue.load(self.host))

    def submit(self, job_id: str, device: str) -> None:
        """Starts the device's worker if it is not there."""
        self._failed_starts.pop(device, None)
        self.ensure(device)

    def ensure(self, device: str) -> None:
        """Starts the device's worker if it is not there; gives its jobs up when it will not start."""
        with self._lock:
            child = self._children.get(device)
            if child is not None and child.poll() is None:
                return
            if child is not None:
                self._after_death(device, child)
            if self._store.workers.alive(self.host, device):  # another server's, or one started by hand
                return
            self._store.queue.reap(self.host, device)
            if self._failed_starts.get(device, 0) >= MAX_FAILED_STARTS:
                self._store.queue.fail_waiting(self.host, device, will_not_start(device))
            else:
                self._children[device] = self._start(device)
                self._started[device] = time.monotonic()

    def cancel(self, job_id: str) -> None:
        """Nothing more to do: the worker looks at the store four times a second."""

    def close(self) -> None:
        """Ends the workers this process started."""
        with self._lock:
            for child in self._children.values():
                child.terminate()
            for child in self._children.values():
                child.wait(timeout=10)
            self._children.clear()

    def _after_death(self, device: str, child: subprocess.Popen[bytes]) -> None:
        del self._children[device]
        self._store.workers.bury(self.host, device, child.pid)
        # A signal is a crash, which the job's own attempts count; an early exit code is a worker that never got as far.
        early = child.returncode > 0 and time.monotonic() - self._started[device] < _EARLY_SECONDS
        self._failed_starts[device] = self._failed_starts.get(device, 0) + 1 if early else 0

    def _start(self, device: str) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(filter(None, (str(CODE), os.environ.get("PYTHONPATH"))))
        own = {DEVICE_VARIABLE: device, PARENT_VARIABLE: str(os.getpid()), "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}
        environment = {**os.environ, **worker_environment(device, self.devices()), **own}
        with _open_log(device) as output:
            try:
                return subprocess.Popen(
                    list(self._command(device)),
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C in the server's terminal is the server's
                )
            except OSError as exc:
                raise ResourceError(
                    "The worker process for {device} could not be started ({problem}). Close other programs and try again.",
                    device=device,
                    problem=exc.strerror or type(exc).__name__,
                ) from exc


class WaitingExecutor(LocalExecutor):
    """Starts nobody: jobs wait until a worker that was started by hand takes them (``python -m analysis worker --detach``)."""

    def ensure(self, device: str) -> None:
        """Puts the job of a worker that died back into the queue."""
        if not self._store.workers.alive(self.host, device):
            self._store.queue.reap(self.host, device)


def _open_log(device: str) -> IO[bytes]:
    path = home() / log_name(device)
    with saying_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".old.log"))
        return path.open("ab")


def will_not_start(device: str) -> Message:
    """Why the jobs of a device were given up before they began."""
    return Message(
        id="The worker process for {device} ends as soon as it is started. The reason is in the log {file} in the storage folder; "
        "run make setup again if a library is missing.",
        values={"device": device, "file": log_name(device)},
    )


def log_name(device: str) -> str:
    """The log of a device's worker, from the storage folder."""
    return f"logs/worker-{device.replace(':', '-').replace('/', '-')}.log"


# By name, so that the pages' process imports neither Ray nor what a job needs.
_EXECUTORS = {
    "local": "analysis.runs.executor:LocalExecutor",
    "none": "analysis.runs.executor:WaitingExecutor",
    "ray": "analysis.runs.cluster:RayExecutor",
}


def make_executor(store: Store) -> Executor:
    """The executor that ``STRATA_EXECUTOR`` names: local (default), none (workers are started by hand) or ray."""
    chosen = os.environ.get("STRATA_EXECUTOR") or "local"
    if chosen not in _EXECUTORS:
        raise InputError(
            "STRATA_EXECUTOR is {given}; it can be local, none or ray. Set one of these, or leave it unset.", given=chosen[:40]
        )
    executor: Executor = pkgutil.resolve_name(_EXECUTORS[chosen])(store)
    return executor
