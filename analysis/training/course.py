"""How far a whole trial is: one bar over tuning, training and judging of all arms, with the time left from the pace so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from analysis.contracts import Message, Progress, TrialPoint
from analysis.errors import Cancelled
from analysis.profiling.stream import Watch
from analysis.training.curve import Point, thinned

SCALE = 100
"""Progress is told in hundredths of a full training step."""


@dataclass
class Course:
    """What is done and what is still to do, in units of one step of full fine-tuning.

    `total` may be corrected while it runs, as when arms are left out or the pace of cached steps becomes known.
    """

    watch: Watch
    total: float
    done: float = 0.0
    clock: Callable[[], float] = time.monotonic
    started: float = field(default=0.0)
    furthest: float = 0.0
    """What was told so far: the bar never goes back, also where one part of the work has several passes of its own."""
    curves: dict[str, tuple[Point, ...]] = field(default_factory=dict)
    """Arm -> (tokens, loss) as far as it was judged."""

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

    def plot(self, arm: str, points: Sequence[TrialPoint]) -> None:
        """Tells an arm's curve from now on: its loss on the tuning part, or in training where there is none."""
        found = [(point.tokens, point.train_loss if point.tuning_loss is None else point.tuning_loss) for point in points]
        self.curves[arm] = thinned(tuple((float(tokens), loss) for tokens, loss in found if loss is not None))

    @contextmanager
    def part(self, stage: Message, weight: float) -> Iterator[Watch]:
        """A piece of work that counts `weight`: inside, whatever it tells of itself moves the whole bar under this stage."""
        self._tell(stage, 0.0, weight, None)

        def heard(progress: Progress) -> None:
            self._tell(stage, progress.fraction, weight, progress.tokens_per_second, progress.training_curve)

        yield Watch(heard, self.watch.should_stop)
        self.done += weight
        with suppress(Cancelled):  # what was finished is kept first; whoever goes on is stopped
            self._tell(stage, 0.0, 0.0, None)

    def _tell(self, stage: Message, fraction: float, weight: float, pace: float | None, running: tuple[Point, ...] = ()) -> None:
        done = self.furthest = max(self.done + min(max(fraction, 0.0), 1.0) * weight, self.furthest)
        total = max(self.total, done)
        left = self.seconds / done * (total - done) if done > 0 else None
        self.watch.on_progress(
            Progress(
                stage=stage,
                done=round(done * SCALE),
                total=max(round(total * SCALE), 1),
                tokens_per_second=pace,
                eta_seconds=left,
                curves=dict(self.curves),
                training_curve=running,
            )
        )
