"""Jobs on a Ray cluster: the same worker, one per job, wherever the cluster has room.

The store stays the only channel, so every machine must reach it: set STRATA_DATABASE to a shared database and
STRATA_HOME (and STRATA_ARTIFACTS, if used) to storage that all machines see under the same path.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from analysis.errors import InputError
from analysis.home import home
from analysis.runs.devices import DeviceInfo, choose_device
from analysis.runs.executor import CODE, MAX_FAILED_STARTS, will_not_start
from analysis.runs.store import Store, artifacts_url, database_url

_EXCLUDED = [".git", ".venv", "tests", "**/__pycache__", ".strata"]


class RayExecutor:
    """Hands each job to Ray as a task that claims it in the store.

    Raises:
        InputError: Ray is not installed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ray = _ray()
        self._tasks: dict[str, Any] = {}
        self._tries: dict[str, int] = {}
        if not self._ray.is_initialized():  # RAY_ADDRESS names the cluster; without it Ray starts one on this machine
            self._ray.init(include_dashboard=False, log_to_driver=False, runtime_env={"working_dir": str(CODE), "excludes": _EXCLUDED})

    @property
    def host(self) -> str:
        """All machines of the cluster share one queue."""
        return "ray"

    def devices(self) -> tuple[DeviceInfo, ...]:
        """GPUs of the cluster taken together, and its processors."""
        found = self._ray.cluster_resources()
        gpus = int(found.get("GPU", 0))
        cpu = DeviceInfo("cpu", f"Ray cluster, {int(found.get('CPU', 0))} threads")
        return (DeviceInfo("cuda", f"Ray cluster, {gpus} GPUs"), cpu) if gpus else (cpu,)

    def place(self, device: str) -> str:
        """cuda or cpu; Ray picks the machine."""
        return choose_device("cuda" if device.startswith("cuda") else device, self.devices(), {})

    def submit(self, job_id: str, device: str) -> None:
        """Queues a task that does this job."""
        settings = {"STRATA_HOME": str(home()), "STRATA_DATABASE": database_url(), "STRATA_ARTIFACTS": artifacts_url()}
        task = self._ray.remote(num_gpus=1 if device == "cuda" else 0, num_cpus=1, max_retries=0)(do_one)
        self._tries[job_id] = self._tries.get(job_id, 0) + 1
        self._tasks[job_id] = task.remote(settings, device, job_id)

    def ensure(self, device: str) -> None:
        """Hands jobs in again whose task was lost with its machine or its server; those that never start have failed."""
        self._store.queue.reap(self.host, device)
        for job_id in self._store.queue.waiting(self.host, device):
            if self._pending(job_id):
                continue
            if self._tries.get(job_id, 0) >= 2 * MAX_FAILED_STARTS:
                self._store.queue.fail_waiting(self.host, device, will_not_start(device))
                return
            self.submit(job_id, device)

    def cancel(self, job_id: str) -> None:
        """Nothing more to do: the worker looks at the store."""

    def close(self) -> None:
        """Leaves the cluster; its tasks end with it if it was started here."""
        self._ray.shutdown()

    def _pending(self, job_id: str) -> bool:
        task = self._tasks.get(job_id)
        return task is not None and bool(self._ray.wait([task], timeout=0)[1])


def do_one(settings: dict[str, str], device: str, job_id: str) -> int:
    """Runs in the cluster: a worker that does one job and ends."""
    os.environ.update(settings)
    from analysis.runs.store import open_store
    from analysis.runs.worker import Worker

    return Worker(device, open_store(), host="ray", only=job_id).run()


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as exc:
        raise InputError(
            "STRATA_EXECUTOR is ray, but Ray is not installed. Run pip install -r requirements-ray.txt, or leave STRATA_EXECUTOR unset."
        ) from exc
