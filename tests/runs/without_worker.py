"""An executor that starts nobody, and what a worker does with a job, without one."""

from __future__ import annotations

from collections.abc import Callable

from analysis.contracts import Job
from analysis.runs.devices import DeviceInfo, choose_device
from analysis.runs.jobs import JOBS, JobContext
from analysis.runs.slot import ModelSlot
from analysis.runs.store import Store, this_host

CPU = "a processor"


class Idle:
    """An executor that starts nobody."""

    host = this_host()

    def devices(self) -> tuple[DeviceInfo, ...]:
        return (DeviceInfo("cpu", CPU),)

    def place(self, device: str) -> str:
        return choose_device(device, self.devices(), {})

    def submit(self, job_id: str, device: str) -> None:
        assert device == "cpu"

    ensure = submit
    cancel = close = lambda *_: None


def claim(store: Store, job: Job, stop: Callable[[], bool] = lambda: False) -> JobContext:
    """The job as a worker gets it."""
    claimed = store.queue.claim(this_host(), "cpu", "w", 60)
    assert claimed is not None
    assert claimed.id == job.id
    return JobContext(claimed, store, ModelSlot(), lambda _progress: None, stop)


def work(store: Store, job: Job, stop: Callable[[], bool] = lambda: False) -> Job:
    """What a worker does with a job."""
    outcome = JOBS[job.kind](claim(store, job, stop))
    store.queue.finish(job.id, "w", "done", result_id=outcome.result_id, notes=outcome.notes)
    done = store.queue.job(job.id)
    assert done is not None
    return done
