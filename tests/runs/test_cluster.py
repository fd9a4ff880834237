"""The Ray executor against a Ray that runs every task in a thread of this process."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from analysis.contracts import Profile
from analysis.errors import ModelError
from analysis.runs.cluster import RayExecutor
from analysis.runs.queue import NewJob
from analysis.runs.store import Store

REQUEST = {"model": {"kind": "folder", "location": "/models/tiny"}, "workload_paths": []}


class FakeRay(types.ModuleType):
    """As much of Ray as the executor uses."""

    def __init__(self, gpus: int = 0) -> None:
        super().__init__("ray")
        self.gpus, self.lose, self.threads = gpus, 0, []  # type: ignore[var-annotated]

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0, **({"GPU": float(self.gpus)} if self.gpus else {})}

    def remote(self, **_options: object) -> Callable[[Callable[..., int]], Any]:
        return lambda function: types.SimpleNamespace(remote=lambda *args: self._start(function, args))

    def wait(self, tasks: list[threading.Thread], timeout: float) -> tuple[list[threading.Thread], list[threading.Thread]]:
        return [task for task in tasks if not task.is_alive()], [task for task in tasks if task.is_alive()]

    def _start(self, function: Callable[..., int], args: tuple[object, ...]) -> threading.Thread:
        self.lose -= 1
        thread = threading.Thread(target=(lambda: None) if self.lose >= 0 else lambda: function(*args))
        thread.start()
        self.threads.append(thread)
        return thread


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch, make_profile: Callable[..., Profile]) -> Iterator[FakeRay]:
    fake = FakeRay()
    profiling = types.ModuleType("analysis.profiling.run")
    profiling.run_profile = lambda _request, **_: make_profile()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setitem(sys.modules, "analysis.profiling.run", profiling)
    for name in ("STRATA_DATABASE", "STRATA_ARTIFACTS"):  # the task sets them in its own process, which here is this one
        monkeypatch.setenv(name, "")
    yield fake
    for thread in fake.threads:
        thread.join()


def _add(store: Store) -> str:
    return store.queue.add(NewJob("profile", "ray", "cpu", "n", {"request": REQUEST}))


def _state(store: Store, job_id: str) -> str:
    job = store.queue.job(job_id)
    assert job is not None
    return job.state


def test_a_job_is_done_by_the_same_functions_through_the_store(store: Store, ray: FakeRay, until: Callable[..., None]) -> None:
    executor = RayExecutor(store)
    job_id = _add(store)
    executor.submit(job_id, executor.place("auto"))
    until(lambda: _state(store, job_id) == "done")
    assert store.queue.job(job_id).result_id == "0123456789ab"  # type: ignore[union-attr]


def test_a_lost_task_is_handed_in_again_and_one_that_never_starts_fails_in_words(
    store: Store, ray: FakeRay, until: Callable[..., None]
) -> None:
    executor = RayExecutor(store)
    ray.lose = 1
    job_id = _add(store)
    executor.submit(job_id, "cpu")
    until(lambda: executor.ensure("cpu") or _state(store, job_id) == "done")
    ray.lose = 1000
    hopeless = _add(store)
    until(lambda: executor.ensure("cpu") or _state(store, hopeless) == "failed")


def test_the_cluster_offers_what_it_has(store: Store, ray: FakeRay) -> None:
    executor = RayExecutor(store)
    assert [device.id for device in executor.devices()] == ["cpu"]
    with pytest.raises(ModelError, match="cuda is not on this machine"):
        executor.place("cuda:1")
    ray.gpus = 2
    assert (executor.place("auto"), executor.place("cuda:1"), executor.place("cpu")) == ("cuda", "cuda", "cpu")
