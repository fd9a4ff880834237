"""How far work of several parts is, told as one bar that never goes back, with the time left from the pace so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from analysis.contracts import Message, Progress
from analysis.errors import Cancelled
from analysis.profiling.stream import Watch

SCALE = 100
"""Progress is told in hundredths of a unit of work."""


@dataclass
class Whole:
    """What is done and what is still to do, in units of work that its parts have in common.

    `total` may be corrected while it runs, as when a part is left out or its pace becomes known.
    """

    watch: Watch
    total: float
    done: float = 0.0
    clock: Callable[[], float] = time.monotonic
    started: float = field(default=0.0)
    furthest: float = 0.0
    """What was told so far: the bar never goes back, also where one part of the work has several passes of its own."""

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self.clock() - self.started

    def check(self) -> None:
        """Raises Cancelled when whoever waits said so."""
        if self.watch.should_stop():
            raise Cancelled("Stopped at your request.")

    @contextmanager
    def part(self, stage: Message, weight: float) -> Iterator[Watch]:
        """A piece of work that counts `weight`: inside, whatever it tells of itself moves the whole bar under this stage."""
        self.tell(stage, 0.0, weight)

        def heard(progress: Progress) -> None:
            self.tell(stage, progress.fraction, weight, tokens_per_second=progress.tokens_per_second, **self.besides(progress))

        yield Watch(heard, self.watch.should_stop)
        self.done += weight
        with suppress(Cancelled):  # what was finished is kept first; whoever goes on is stopped
            self.tell(stage, 0.0, 0.0)

    def besides(self, progress: Progress) -> dict[str, Any]:
        """What is passed on of a part's own progress beside how far it is."""
        return {}

    def tell(self, stage: Message, fraction: float, weight: float, **more: Any) -> None:
        """Tells how far all of it is, inside a part of this weight; `more` are further fields of `Progress`."""
        done = self.furthest = max(self.done + min(max(fraction, 0.0), 1.0) * weight, self.furthest)
        total = max(self.total, done)
        left = self.seconds / done * (total - done) if done > 0 else None
        told = Progress(stage=stage, done=round(done * SCALE), total=max(round(total * SCALE), 1), eta_seconds=left)
        self.watch.on_progress(told.model_copy(update=more))
