"""How far a ranking of several steps is, told as one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from analysis.contracts import Message, Progress
from analysis.profiling.stream import Watch


@dataclass
class Course:
    """Progress over all steps, from that of one walk after the other.

    Args:
        whole: who is told of all, and asked whether to stop.
        sizes: candidates that each step is expected to have.
        tokens: that one set runs.
    """

    whole: Watch
    sizes: tuple[int, ...]
    tokens: int
    _number: int = 0
    _told: Progress | None = None
    _seconds: list[float] = field(default_factory=list)
    _from: float = 0.0

    @property
    def watch(self) -> Watch:
        """What a step tells of itself goes here."""
        return Watch(self._tell, self.whole.should_stop)

    def begin(self, number: int) -> None:
        """A step (0: the first) begins."""
        self._number = number

    def stage(self, n_candidates: int) -> Message:
        """What a step does while it walks."""
        if len(self.sizes) == 1:
            return Message(id="Leaving out each of {n} candidates in turn", values={"n": n_candidates})
        return Message(
            id="Step {step} of {steps}: leaving out each of {n} candidates in turn",
            values={"step": self._number + 1, "steps": max(len(self.sizes), self._number + 1), "n": n_candidates},
        )

    def arithmetic(self) -> None:
        """The walk is over; the voters work out what they say."""
        self._from = time.monotonic()
        stage = Message(id="Working out what each measure says")
        self.whole.on_progress(Progress(stage=stage) if self._told is None else self._told.model_copy(update={"stage": stage}))

    def end(self) -> None:
        """The step is over."""
        self._seconds.append(time.monotonic() - self._from)

    def _tell(self, progress: Progress) -> None:
        total = self._tokens_of(len(self.sizes))
        before = 0 if self._told is None else self._told.done
        done = max(before, min(total, self._tokens_of(self._number) + progress.done))
        rate = progress.tokens_per_second
        eta = (total - done) / rate + self._arithmetic_left() if rate else None
        self._told = progress.model_copy(update={"done": done, "total": total, "eta_seconds": eta})
        self.whole.on_progress(self._told)

    def _tokens_of(self, steps: int) -> int:
        return sum(size + 1 for size in self.sizes[:steps]) * self.tokens

    def _arithmetic_left(self) -> float:
        """Seconds of the voters' own arithmetic in the steps to come, as long as in those that were."""
        mean = sum(self._seconds) / len(self._seconds) if self._seconds else 0.0
        return mean * max(0, len(self.sizes) - self._number)
