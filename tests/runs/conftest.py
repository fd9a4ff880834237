"""A store in a folder of its own, and workers whose jobs are fakes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analysis.runs.executor import LocalExecutor
from analysis.runs.queue import NewJob
from analysis.runs.store import Store, open_store, this_host

FAKE_WORKER = Path(__file__).parent / "fake_worker.py"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    for name in ("STRATA_DATABASE", "STRATA_ARTIFACTS", "STRATA_EXECUTOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    opened = open_store(sample=tmp_path / "no_sample.json.gz")
    yield opened
    opened.database.close()


@pytest.fixture
def executor(store: Store) -> Iterator[LocalExecutor]:
    made = LocalExecutor(store, command=lambda device: [sys.executable, str(FAKE_WORKER), device])
    yield made
    made.close()


@pytest.fixture
def add(store: Store) -> Callable[..., str]:
    """Queues a fake job and returns its id."""

    def queued(kind: str = "profile", device: str = "cpu", **payload: object) -> str:
        return store.queue.add(NewJob(kind=kind, host=this_host(), device=device, name="a job", payload=payload))  # type: ignore[arg-type]

    return queued


def wait_until(condition: Callable[[], object], seconds: float = 15.0) -> float:
    """Waits for something to come true and returns how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it never came true"
        time.sleep(0.03)
    return time.monotonic() - started


@pytest.fixture
def until() -> Callable[..., float]:
    return wait_until
