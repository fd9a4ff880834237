"""How far a ranking of several steps is, told as one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from analysis.contracts import Message, Progress
from analysis.profiling.stream import Watch

ARITHMETIC = 0.5
"""A step's arithmetic beside its walk, until one was measured: 40 s to 80 s on two CPU cores, 15 s to 19 s on an H200."""
_EVERY_SECONDS = 1.0
"""How often the voters' arithmetic, which has no count of its own, is told of."""


@dataclass
class Course:
    """Progress over all steps, from that of one walk after the other. A step is its walk and then the voters' arithmetic.

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
    _begun: float = 0.0
    _from: float | None = None
    _said: float = 0.0
    _walked: float = 0.0
    _choosing: bool = False

    @property
    def watch(self) -> Watch:
        """What a step tells of itself goes here."""
        return Watch(self._tell, self._should_stop)

    def begin(self, number: int) -> None:
        """A step (0: the first) begins."""
        self._number, self._begun = number, time.monotonic()

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
        self._walked = self._from - self._begun
        self._tell_arithmetic()

    def end(self) -> None:
        """The step is over."""
        if self._from is not None:
            self._seconds.append(time.monotonic() - self._from)
        self._from, self._choosing = None, False
        if self._told is not None:
            self._say(
                self._told.stage, self._counted(self._number + 1), None, self._told.eta_seconds if self.sizes[self._number + 1 :] else 0
            )

    def _should_stop(self) -> bool:
        """Asked often, also by the arithmetic, which is told of on the way."""
        if self._from is not None and not self._choosing and time.monotonic() - self._said >= _EVERY_SECONDS:
            self._tell_arithmetic()
        return self.whole.should_stop()

    def _tell(self, progress: Progress) -> None:
        """A walk's own progress, in the whole; what is measured of the choice, after the arithmetic, does not move the bar back."""
        if self._from is not None:
            self._choosing = True
            self._say(progress.stage, 0, None, None)
            return
        rate, eta = progress.tokens_per_second, None
        if rate:
            arithmetic = sum(self._expected(size * self.tokens / rate) for size in self._sizes_from(self._number))
            left = sum(size * self.tokens for size in self._sizes_from(self._number)) - progress.done
            eta = max(0.0, left) / rate + arithmetic
        self._say(progress.stage, self._before() + progress.done, rate, eta)

    def _tell_arithmetic(self) -> None:
        assert self._from is not None
        self._said = time.monotonic()
        took, expected = self._said - self._from, self._expected(self._walked)
        part = min(1.0, took / expected) if expected else 1.0
        walk = self._here() * self.tokens
        later = sum(self._walked + self._expected(self._walked) for _ in self.sizes[self._number + 1 :])
        eta = later + expected - took if took < expected else None  # it takes longer than expected: nobody knows how long
        done = self._before() + round(walk * (1 + ARITHMETIC * part))
        self._say(Message(id="Working out what each measure says"), min(done, self._total() - 1), None, eta)

    def _say(self, stage: Message, done: int, rate: float | None, eta: float | None) -> None:
        before = 0 if self._told is None else self._told.done
        done = max(before, min(done, self._total()))
        self._told = Progress(stage=stage, done=done, total=self._total(), tokens_per_second=rate, eta_seconds=eta)
        self.whole.on_progress(self._told)

    def _expected(self, walked: float) -> float:
        """Seconds of one step's arithmetic: as long as in the steps that were, else in proportion to the walk."""
        return sum(self._seconds) / len(self._seconds) if self._seconds else ARITHMETIC * walked

    def _sizes_from(self, number: int) -> tuple[int, ...]:
        """Sets that the steps from here on run: their candidates and the base itself."""
        return tuple(size + 1 for size in self.sizes[number:])

    def _here(self) -> int:
        return next(iter(self._sizes_from(self._number)), 0)

    def _before(self) -> int:
        """What the steps that are over count for."""
        return self._counted(self._number)

    def _total(self) -> int:
        return max(1, self._counted(len(self.sizes)))

    def _counted(self, steps: int) -> int:
        return round(sum(size + 1 for size in self.sizes[:steps]) * self.tokens * (1 + ARITHMETIC))
