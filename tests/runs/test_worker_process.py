"""A real worker process behind the real store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.errors import ResourceError
from analysis.runs.executor import PARENT_VARIABLE, LocalExecutor
from analysis.runs.store import Store, this_host

Add = Callable[..., str]
Until = Callable[..., None]
FAKE_WORKER = Path(__file__).parent / "fake_worker.py"


def _state(store: Store, job_id: str) -> str:
    job = store.queue.job(job_id)
    assert job is not None
    return job.state


def _running(store: Store, job_id: str) -> bool:
    job = store.queue.job(job_id)
    return job is not None and job.state == "running" and job.progress is not None


def test_jobs_are_done_first_in_first_out_and_know_their_place(store: Store, executor: LocalExecutor, add: Add, until: Until) -> None:
    first, second, third = (add(n=6) for _ in range(3))
    assert [store.queue.job(job_id).place for job_id in (first, second, third)] == [0, 1, 2]  # type: ignore[union-attr]
    executor.submit(first, "cpu")
    until(lambda: _running(store, first))
    assert store.queue.job(third).place == 2  # type: ignore[union-attr]
    seen: list[str] = []
    until(lambda: seen.extend(j for j in (first, second, third) if j not in seen and _state(store, j) == "done") or len(seen) == 3)
    assert seen == [first, second, third]
    assert store.queue.job(first).result_id == "from-0"  # type: ignore[union-attr]


def test_cancel_is_quick_and_the_worker_goes_on_with_the_next_job(store: Store, executor: LocalExecutor, add: Add, until: Until) -> None:
    long, waiting, after = add(n=10_000), add(n=10_000), add(n=1)
    executor.submit(long, "cpu")
    until(lambda: _running(store, long))
    store.queue.cancel(waiting)
    assert _state(store, waiting) == "cancelled"
    store.queue.cancel(long)
    until(lambda: _state(store, long) == "cancelled")
    until(lambda: _state(store, after) == "done")


def test_a_job_that_never_looks_is_cancelled_by_ending_its_worker(store: Store, executor: LocalExecutor, add: Add, until: Until) -> None:
    stubborn = add(kind="describe", n=600)
    executor.submit(stubborn, "cpu")
    until(lambda: _state(store, stubborn) == "running")
    store.queue.cancel(stubborn)
    until(lambda: _state(store, stubborn) == "cancelled")
    after = add(n=1)
    until(lambda: executor.ensure("cpu") or _state(store, after) == "done")


def test_a_killed_worker_is_started_again_and_its_job_goes_on_from_its_checkpoint(
    store: Store, executor: LocalExecutor, add: Add, until: Until
) -> None:
    job_id = add(n=8, die_at=4)
    executor.submit(job_id, "cpu")
    until(lambda: executor.ensure("cpu") or _state(store, job_id) == "done")
    job = store.queue.job(job_id)
    assert job is not None
    assert (job.result_id, job.attempts) == ("from-5", 2)


def test_a_job_that_kills_its_worker_three_times_fails_in_words(store: Store, executor: LocalExecutor, add: Add, until: Until) -> None:
    job_id = add(n=8, die_at=0, step=0)
    executor.submit(job_id, "cpu")
    until(lambda: executor.ensure("cpu") or _state(store, job_id) == "failed")
    job = store.queue.job(job_id)
    assert job is not None
    assert job.attempts == 3
    assert job.error is not None
    assert "3 times" in job.error.in_english()


def test_a_lease_keeps_a_second_worker_out(store: Store, executor: LocalExecutor, until: Until) -> None:
    executor.ensure("cpu")
    until(lambda: store.workers.alive(this_host(), "cpu"))
    second = subprocess.run([sys.executable, FAKE_WORKER, "cpu"], capture_output=True, timeout=30, check=False)
    assert second.returncode == 0
    another_server = LocalExecutor(store, command=lambda _device: ["never", "started"])
    another_server.ensure("cpu")
    assert another_server._children == {}
    assert len(store.workers.alive()) == 1


def test_a_worker_ends_with_its_parent_and_gives_its_job_back(store: Store, add: Add, until: Until) -> None:
    job_id = add(n=10_000)
    start = f"subprocess.Popen([sys.executable, {str(FAKE_WORKER)!r}, 'cpu'], start_new_session=True)"
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys, time; {start}; time.sleep(60)"],
        env={k: v for k, v in os.environ.items() if k != PARENT_VARIABLE},
    )
    until(lambda: _running(store, job_id))
    (worker,) = store.workers.alive()
    parent.kill()
    parent.wait()
    until(lambda: not Path(f"/proc/{worker.pid}").exists() or "Z" in Path(f"/proc/{worker.pid}/stat").read_text().split()[2])
    job = store.queue.job(job_id)
    assert job is not None
    assert (job.state, job.attempts) == ("queued", 0)
    assert store.workers.alive() == ()


def test_sigterm_ends_a_worker_cleanly(store: Store, executor: LocalExecutor, add: Add, until: Until) -> None:
    job_id = add(n=10_000)
    executor.submit(job_id, "cpu")
    until(lambda: _running(store, job_id))
    (worker,) = store.workers.alive()
    os.kill(worker.pid, signal.SIGTERM)
    until(lambda: _state(store, job_id) == "queued")
    until(lambda: store.workers.alive() == ())
    assert executor._children["cpu"].wait(5) == 0


def test_failures_are_said_in_words_and_the_traceback_is_only_in_the_log(
    store: Store, executor: LocalExecutor, add: Add, until: Until
) -> None:
    ids = [add(kind="sample_model", how=how) for how in ("words", "memory", "bug")] + [add(kind="latency")]
    executor.submit(ids[0], "cpu")
    until(lambda: all(_state(store, job_id) == "failed" for job_id in ids))
    words, memory, bug, unknown = (store.queue.job(job_id).error.in_english() for job_id in ids)  # type: ignore[union-attr]
    assert words == "Model x is not here."
    assert "memory of cpu ran out" in memory
    assert "KeyError" in bug
    assert "secret" not in bug
    assert "latency" in unknown
    log = Path(os.environ["STRATA_HOME"]) / "logs" / "worker-cpu.log"
    assert "Traceback" in log.read_text()
    assert "logs/worker-cpu.log" in bug


def test_a_program_that_is_not_there_is_said_in_words(store: Store) -> None:
    with pytest.raises(ResourceError, match="could not be started"):
        LocalExecutor(store, command=lambda _device: ["/no/such/program"]).ensure("cpu")


def test_a_worker_that_cannot_start_gives_its_jobs_up_in_words(store: Store, add: Add, until: Until) -> None:
    executor = LocalExecutor(store, command=lambda _device: [sys.executable, "-c", "raise SystemExit(3)"])
    job_id = add(n=1)
    executor.submit(job_id, "cpu")
    until(lambda: executor.ensure("cpu") or _state(store, job_id) == "failed")
    assert "worker-cpu.log" in store.queue.job(job_id).error.in_english()  # type: ignore[union-attr]
