"""Energy of reading the verification prompts with the original and with the plan, in turns; and the carbon of it.

Measured by the device's own counter where it has one. Elsewhere the time is measured and taken times a power that somebody assumed:
then the energy is projected, and its ratio is the ratio of times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.contracts import Message
from analysis.contracts.robustness import EnergyUse, GridIntensity, RobustnessSettings
from analysis.models.device import device_name
from analysis.planning.carbon import grams
from analysis.verification.batches import Batch, Ints, Runner, batch_of, packed
from analysis.verification.energy import Meter, energy_meter
from analysis.verification.sensitivity import Applied
from analysis.verification.statistics import Bootstrap
from analysis.verification.timing import Rounds, Stopwatch, in_turns, undisturbed, warm_up

MEASURING_ENERGY = Message(id="Measuring the energy of both models")
ROUNDS = 6
SECONDS = 1.0
"""A counter moves some ten times a second: each turn reads the prompts again and again for about this long."""
_SECONDS_BY_THE_CLOCK = 0.2
"""Where only the time is measured."""
_LONGEST_SECONDS = 10.0
"""Of one turn: of many or long prompts, as many are read as fit into it."""
_PER = 1000
"""Prompts that energy is told for."""
_JOULES_PER_WH = 3600.0


@dataclass(frozen=True)
class Unmeasured:
    """Why there is no energy."""

    reason: Message


def measure_energy(
    runner: Runner,
    prompts: Sequence[Ints],
    settings: RobustnessSettings,
    applied: Applied,
    *,
    grid: GridIntensity | None = None,
    meter: Meter | None = None,
) -> EnergyUse | Unmeasured:
    """Energy per 1,000 prompts of the original and of the plan.

    Args:
        runner: the model.
        prompts: token ids; the longest are the first to be left out where all of them take too long.
        settings: the assumed power.
        applied: carries the plan out.
        grid: for the carbon; None: it is not worked out.
        meter: the device's counter; None: looked for.

    Raises:
        Cancelled: whoever waits said so.
    """
    meter = meter or energy_meter(runner.loaded.device)
    if meter is None and settings.watts is None:
        return Unmeasured(
            Message(
                id="{device} does not tell how much energy it uses. Give its power in watts to have the energy projected from the time.",
                values={"device": device_name(runner.loaded.device)},
            )
        )
    turns = _turns(_Bench(runner, meter, settings.watts), prompts, applied)
    if meter is not None and min(*turns.original, *turns.plan) <= 0:  # nothing runs on nothing: such a counter is no counter
        if settings.watts is None:
            return Unmeasured(
                Message(
                    id="The energy counter of {device} stood still while the models ran, so it is not believed. Give the device's power in "
                    "watts to have the energy projected from the time.",
                    values={"device": device_name(runner.loaded.device)},
                )
            )
        turns = _turns(_Bench(runner, None, settings.watts), prompts, applied)
    return _use(turns, settings, grid)


@dataclass(frozen=True)
class _Turns:
    """Joules of each turn of both models."""

    reading: _Reading
    original: Sequence[float]
    plan: Sequence[float]


def _turns(bench: _Bench, prompts: Sequence[Ints], applied: Applied) -> _Turns:
    with undisturbed():
        reading = bench.reading(prompts)
        rounds = Rounds(bench.runner.watch, MEASURING_ENERGY, 2 * ROUNDS)
        original, plan = in_turns((reading.joules, _within(applied, reading.joules)), ROUNDS, between=rounds.step)
    return _Turns(reading, original, plan)


def _within(applied: Applied, run: Callable[[], float]) -> Callable[[], float]:
    def inside() -> float:
        with applied():
            return run()

    return inside


@dataclass(frozen=True)
class _Reading:
    """Some prompts, read `times` times in every turn."""

    bench: _Bench
    batches: Sequence[Batch]
    times: int

    @property
    def n_prompts(self) -> int:
        return sum(len(batch.members) for batch in self.batches)

    @property
    def n_tokens(self) -> int:
        return sum(int(batch.mask.sum()) for batch in self.batches)

    def once(self) -> float:
        """Milliseconds of reading all of them once."""
        watch = self.bench.stopwatch
        watch.start()
        for batch in self.batches:
            self.bench.runner.states(batch)
        return watch.lap_ms()

    def joules(self) -> float:
        """Joules of reading all of them once, from `times` readings."""
        before = self.bench.millijoules()
        elapsed = sum(self.once() for _ in range(self.times)) / 1e3
        used = (self.bench.millijoules() - before) / 1e3 if self.bench.meter else elapsed * (self.bench.watts or 0.0)
        return max(used, 0.0) / self.times


@dataclass(frozen=True)
class _Bench:
    runner: Runner
    meter: Meter | None
    watts: float | None

    @property
    def stopwatch(self) -> Stopwatch:
        devices = dict.fromkeys(parameter.device for parameter in self.runner.loaded.model.parameters())
        return Stopwatch(devices)

    def millijoules(self) -> float:
        return self.meter() if self.meter else 0.0

    def reading(self, prompts: Sequence[Ints]) -> _Reading:
        """As many prompts as fit into the longest turn, and how often they are read to fill the shortest."""
        lengths = [len(ids) for ids in prompts]
        batches = [self._batch(members, prompts) for members in packed(lengths, self.runner.batch_tokens)]
        first = _Reading(self, batches[:1], 1)
        warm_up(first.once)
        per_token = first.once() / first.n_tokens / 1e3
        kept, spent = list[Batch](), 0.0
        for batch in batches:
            spent += int(batch.mask.sum()) * per_token
            if not kept or spent <= _LONGEST_SECONDS:
                kept.append(batch)
        reading = _Reading(self, kept, 1)
        wanted = SECONDS if self.meter else _SECONDS_BY_THE_CLOCK
        return _Reading(self, kept, max(1, round(wanted * 1e3 / max(reading.once(), 1e-3))))

    @staticmethod
    def _batch(members: Sequence[int], prompts: Sequence[Ints]) -> Batch:
        last = [np.arange(len(ids)) == len(ids) - 1 for ids in prompts]
        return batch_of(members, prompts, last, causal=False)


def _use(turns: _Turns, settings: RobustnessSettings, grid: GridIntensity | None) -> EnergyUse:
    original, plan, reading = turns.original, turns.plan, turns.reading
    counted = reading.bench.meter is not None
    rounds = np.column_stack([original, plan, np.ones(len(original))])
    resampled = Bootstrap(rounds, replicates=settings.replicates, seed=settings.seed)
    per_prompts = _PER / reading.n_prompts / _JOULES_PER_WH
    original_wh = resampled.estimate(lambda sums: sums[..., 0] / sums[..., 2] * per_prompts)
    plan_wh = resampled.estimate(lambda sums: sums[..., 1] / sums[..., 2] * per_prompts)
    return EnergyUse(
        original_wh=original_wh,
        plan_wh=plan_wh,
        ratio=resampled.estimate(lambda sums: sums[..., 1] / sums[..., 0]),
        origin="measured" if counted else "projected",
        counter="assumed_power" if not counted else "nvml" if reading.bench.runner.loaded.device.type == "cuda" else "powercap",
        watts=None if counted else settings.watts,
        n_rounds=len(original),
        mean_tokens=reading.n_tokens / reading.n_prompts,
        grid=grid,
        original_co2_g=None if grid is None else grams(original_wh, grid),
        plan_co2_g=None if grid is None else grams(plan_wh, grid),
    )
