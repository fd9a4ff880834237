"""Energy of both models: why there is none, by a counter, by the clock, and its carbon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import pytest

from analysis.contracts.robustness import EnergyUse, RobustnessSettings
from analysis.errors import Cancelled
from analysis.planning.carbon import grid_of
from analysis.profiling.stream import Watch
from analysis.surgery.skip import left_out
from analysis.verification import energy_use
from analysis.verification.batches import Runner
from analysis.verification.energy_use import Unmeasured, measure_energy
from tests.profiling.tiny import loaded
from tests.verification.tiny_verification import tiny_llama

PROMPTS = [np.arange(3, 3 + n) for n in (4, 6, 8)]
SETTINGS = RobustnessSettings(replicates=100)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setattr(energy_use, "energy_meter", lambda _device: None)
    monkeypatch.setattr(energy_use, "SECONDS", 0.01)
    monkeypatch.setattr(energy_use, "_SECONDS_BY_THE_CLOCK", 0.01)
    model = loaded(tiny_llama())
    return Runner(model, model.stack(None), 12)


def cut(runner: Runner) -> AbstractContextManager[None]:
    return left_out(runner.stack, (("block", 1), ("block", 2)))


def test_without_counter_and_without_an_assumed_power_there_is_a_reason_instead(runner: Runner) -> None:
    found = measure_energy(runner, PROMPTS, SETTINGS, lambda: cut(runner))
    assert isinstance(found, Unmeasured)
    assert "does not tell how much energy it uses. Give its power in watts" in found.reason.in_english()


def test_time_times_an_assumed_power_is_marked_as_projected(runner: Runner) -> None:
    found = measure_energy(runner, PROMPTS, SETTINGS.model_copy(update={"watts": 65.0}), lambda: cut(runner), grid=grid_of("JPN"))
    assert isinstance(found, EnergyUse)
    assert (found.origin, found.counter, found.watts, found.n_rounds, found.mean_tokens) == ("projected", "assumed_power", 65.0, 6, 6.0)
    assert found.original_wh.value
    assert found.original_co2_g is not None
    assert found.original_co2_g.value == pytest.approx(found.original_wh.value * 0.485392)


def test_twice_the_power_is_twice_the_energy_of_the_same_time(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy_use._Reading, "once", lambda _: 10.0)
    one, two = (
        measure_energy(runner, PROMPTS, SETTINGS.model_copy(update={"watts": watts}), lambda: cut(runner)) for watts in (50.0, 100.0)
    )
    assert isinstance(one, EnergyUse)
    assert isinstance(two, EnergyUse)
    assert one.original_wh.value == pytest.approx(0.010 * 50 / 3600 / 3 * 1000)
    assert two.original_wh.value == pytest.approx(2 * one.original_wh.value)
    assert one.ratio.value == 1.0


def test_a_counter_is_read_around_each_turn_and_nothing_is_assumed(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    used, light = [0.0], [False]

    @contextmanager
    def applied() -> Iterator[None]:
        light[0] = True
        with cut(runner):
            yield
        light[0] = False

    def once(_: object) -> float:
        used[0] += 1500.0 if light[0] else 3000.0
        return 4.0

    monkeypatch.setattr(energy_use._Reading, "once", once)
    found = measure_energy(runner, PROMPTS, SETTINGS.model_copy(update={"watts": 65.0}), applied, meter=lambda: used[0])
    assert isinstance(found, EnergyUse)
    assert (found.origin, found.counter, found.watts) == ("measured", "powercap", None)
    assert found.original_wh.value == pytest.approx(3.0 / 3600 / 3 * 1000)
    assert (found.ratio.value, found.ratio.low, found.ratio.high) == (0.5, 0.5, 0.5)
    assert found.original_co2_g is None


def test_a_counter_that_stands_still_is_not_believed(runner: Runner) -> None:
    """Virtual machines show one that never moves: 0 Wh would be a figure that nobody measured."""
    found = measure_energy(runner, PROMPTS, SETTINGS, lambda: cut(runner), meter=lambda: 7.0)
    assert isinstance(found, Unmeasured)
    assert "stood still while the models ran" in found.reason.in_english()
    assumed = measure_energy(runner, PROMPTS, SETTINGS.model_copy(update={"watts": 65.0}), lambda: cut(runner), meter=lambda: 7.0)
    assert isinstance(assumed, EnergyUse)
    assert (assumed.origin, assumed.counter, assumed.watts) == ("projected", "assumed_power", 65.0)
    assert assumed.original_wh.value


def test_of_prompts_that_take_too_long_only_some_are_read_and_told(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy_use, "_LONGEST_SECONDS", 0.0)
    found = measure_energy(runner, PROMPTS, SETTINGS.model_copy(update={"watts": 65.0}), lambda: cut(runner))
    assert isinstance(found, EnergyUse)
    assert found.mean_tokens == 5.0  # the first batch: 4 and 6 tokens


def test_stopping_stops(runner: Runner) -> None:
    runner.watch = Watch(should_stop=lambda: True)
    with pytest.raises(Cancelled):
        measure_energy(runner, PROMPTS, SETTINGS.model_copy(update={"watts": 65.0}), lambda: cut(runner))
