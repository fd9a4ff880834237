"""Times that can be compared: warm, synchronised, several things in turns in one run, medians with an interval.

Two models timed one after the other differ by whatever the machine did in between. Here they take turns, and the turn
itself turns round (a b, b a, a b ...), so that a slow drift falls on both alike.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from analysis.contracts import Distribution, Estimate, Measured, Message, Progress
from analysis.errors import Cancelled
from analysis.profiling.stream import Watch

T = TypeVar("T")
Floats = npt.NDArray[np.float64]
AGREEMENT = 0.1
"""Two timings in a row that differ by less are warm."""
WARM_UPS = 6
"""Where no two agree, as on a busy machine, this many runs have to do."""
REPLICATES = 2000


class Stopwatch:
    """Milliseconds of work that is really done: it waits for the devices before it looks at the clock.

    Args:
        devices: where the work runs.
        clock: seconds; another one for tests.
    """

    def __init__(self, devices: Iterable[torch.device], clock: Callable[[], float] = time.perf_counter) -> None:
        self._devices = tuple(dict.fromkeys(device for device in devices if device.type in ("cuda", "mps")))
        self._clock = clock
        self._last = 0.0

    def start(self) -> None:
        """Waits for what is still running, then starts."""
        self._wait()
        self._last = self._clock()

    def lap_ms(self) -> float:
        """Milliseconds since the start or the last lap, all work done."""
        self._wait()
        before, self._last = self._last, self._clock()
        return (self._last - before) * 1e3

    def _wait(self) -> None:
        for device in self._devices:
            torch.mps.synchronize() if device.type == "mps" else torch.cuda.synchronize(device)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Garbage is collected before and not during."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def warm_up(run: Callable[[], float], *, most: int = WARM_UPS) -> int:
    """Runs until two timings in a row agree within 10 %, at most `most` times.

    Args:
        run: does the work once and says how long it took.

    Returns:
        How often it ran.
    """
    last = run()
    for count in range(2, most + 1):
        now = run()
        if abs(now - last) <= AGREEMENT * max(now, last):
            return count
        last = now
    return most


def in_turns(runs: Sequence[Callable[[], T]], repeats: int, *, between: Callable[[], None] = lambda: None) -> list[list[T]]:
    """Runs every one of `runs` in each of `repeats` rounds, every other round backwards.

    Args:
        runs: what to do; each returns its own timing.
        repeats: how many rounds.
        between: called before every run, outside any timing: progress, and a way to stop.

    Returns:
        [runs][repeats] what each returned.
    """
    results: list[list[T]] = [[] for _ in runs]
    for number in range(repeats):
        order = range(len(runs)) if number % 2 == 0 else reversed(range(len(runs)))
        for index in order:
            between()
            results[index].append(runs[index]())
    return results


def distribution(values: Sequence[float]) -> Distribution:
    """Median and slow tail of durations.

    >>> distribution([1.0, 2.0, 3.0]).p50
    2.0
    """
    return Distribution(p50=float(np.median(values)), p95=float(np.quantile(values, 0.95)), n=len(values))


def measured(original: Sequence[float], plan: Sequence[float], *, seed: int = 0) -> Measured:
    """Both models' durations and the ratio of their medians.

    The interval resamples whole rounds, as the two timings of a round shared whatever the machine did then.

    Args:
        original: durations of the untouched model, by round.
        plan: durations with the plan carried out, of the same rounds.
        seed: of the bootstrap.
    """
    return Measured(original=distribution(original), plan=distribution(plan), ratio=_ratio(np.array(original), np.array(plan), seed))


def rates(original_ms: Sequence[float], plan_ms: Sequence[float], per_run: int, *, seed: int = 0) -> Measured:
    """Tokens per second from the durations of runs of `per_run` tokens; p95 is the slow tail: 95 % were at least as fast."""
    ratio = _ratio(1.0 / np.array(original_ms), 1.0 / np.array(plan_ms), seed)
    return Measured(original=_rate(original_ms, per_run), plan=_rate(plan_ms, per_run), ratio=ratio)


def _rate(durations_ms: Sequence[float], per_run: int) -> Distribution:
    slow = distribution(durations_ms)
    return Distribution(p50=1e3 * per_run / slow.p50, p95=1e3 * per_run / slow.p95, n=slow.n)


def _ratio(
    original: np.ndarray[tuple[int], np.dtype[np.float64]], plan: np.ndarray[tuple[int], np.dtype[np.float64]], seed: int
) -> Estimate:
    drawn = np.random.default_rng(seed).integers(0, len(original), (REPLICATES, len(original)))
    ratios = np.median(plan[drawn], axis=1) / np.median(original[drawn], axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Estimate(value=float(np.median(plan) / np.median(original)), low=float(low), high=float(high))


class Rounds:
    """Progress and cancel between timed runs.

    Args:
        watch: who waits.
        total: runs expected.
        stage: what is going on.
    """

    def __init__(self, watch: Watch, stage: Message, total: int) -> None:
        self._watch, self._stage, self._total = watch, stage, total
        self._done, self._started = 0, time.monotonic()

    def listen(self) -> None:
        """Asks whether to stop.

        Raises:
            Cancelled: whoever waits said so.
        """
        if self._watch.should_stop():
            raise Cancelled("Stopped at your request.")

    def step(self) -> None:
        """One more run begins.

        Raises:
            Cancelled: whoever waits said so.
        """
        self.listen()
        spent = time.monotonic() - self._started
        left = spent / self._done * max(self._total - self._done, 0) if self._done else None
        self._watch.on_progress(Progress(stage=self._stage, done=min(self._done, self._total), total=max(self._total, 1), eta_seconds=left))
        self._done += 1
