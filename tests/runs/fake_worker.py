"""A worker whose jobs are fakes; started by the tests as a process of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from analysis.contracts import Message, Progress
from analysis.errors import Cancelled, ModelError
from analysis.runs.executor import PARENT_VARIABLE
from analysis.runs.jobs import JobContext, Outcome
from analysis.runs.pulse import Timings
from analysis.runs.store import open_store
from analysis.runs.worker import Worker

STAGE = Message(id="Counting")
TIMINGS = Timings(tick=0.1, heartbeat=0.3, lease=2.0, grace=1.0, idle_poll=0.05)


def count(context: JobContext) -> Outcome:
    """Counts to `n`, one every 50 ms, going on from its checkpoint; may kill its own process at a count."""
    payload = context.job.payload
    checkpoint = Path(os.environ["STRATA_HOME"]) / f"{context.job.id}.count"
    start = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for number in range(start, payload["n"]):
        if context.should_stop():
            raise Cancelled("Stopped.")
        if number == payload.get("die_at"):
            checkpoint.write_text(str(number + payload.get("step", 1)))
            os.kill(os.getpid(), signal.SIGKILL)
        context.report(Progress(stage=STAGE, done=number, total=payload["n"]))
        time.sleep(0.05)
    return Outcome(result_id=f"from-{start}")


def stubborn(context: JobContext) -> Outcome:
    """Looks at nothing."""
    time.sleep(context.job.payload.get("n", 60))
    return Outcome()


def fail(context: JobContext) -> Outcome:
    """Fails in the way asked for."""
    raise {
        "words": ModelError("Model {name} is not here.", name="x"),
        "memory": MemoryError(),
        "bug": KeyError("secret"),
    }[context.job.payload["how"]]


JOBS = {"profile": count, "describe": stubborn, "sample_model": fail}

if __name__ == "__main__":
    parent = None if "--detach" in sys.argv else int(os.environ.get(PARENT_VARIABLE) or os.getppid())
    sys.exit(Worker(sys.argv[1], open_store(), jobs=JOBS, timings=TIMINGS, parent=parent).run())
