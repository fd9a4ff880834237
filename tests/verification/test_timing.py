from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from analysis.contracts import Message, Progress
from analysis.errors import Cancelled
from analysis.profiling.stream import Watch
from analysis.verification.timing import Rounds, Stopwatch, distribution, in_turns, measured, rates, undisturbed, warm_up


def test_turns_turn_round_every_round() -> None:
    order: list[str] = []
    runs = [lambda: order.append("o"), lambda: order.append("p")]
    in_turns(runs, 3)
    assert "".join(order) == "oppoop"


def test_results_stay_with_their_run_and_round() -> None:
    ticks = iter(range(100))
    first, second = in_turns([lambda: next(ticks), lambda: next(ticks)], 4)
    assert first == [0, 3, 4, 7]
    assert second == [1, 2, 5, 6]


def test_a_steady_drift_falls_on_both_alike() -> None:
    """A machine that slows down by 1 % a run, and two models of the same speed."""
    clock = (1.01**n for n in range(1000))
    original, plan = in_turns([lambda: next(clock), lambda: next(clock)], 20)
    assert np.exp(np.mean(np.log(plan)) - np.mean(np.log(original))) == pytest.approx(1.0, abs=1e-12)
    ratio = measured(original, plan).ratio
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low <= 1.0 <= ratio.high


def test_warm_is_when_two_timings_in_a_row_agree() -> None:
    def times(*values: float) -> Iterator[float]:
        yield from values

    slow_start = times(9.0, 3.0, 1.0, 1.05, 1.0)
    assert warm_up(lambda: next(slow_start)) == 4
    steady = times(1.0, 1.0)
    assert warm_up(lambda: next(steady)) == 2
    restless = times(*(float(2**n) for n in range(50)))
    assert warm_up(lambda: next(restless), most=6) == 6


def test_the_ratios_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Fake timings of two models, the plan at 0.8, with noise of 5 % of which half is common to a round."""
    generator, covered, n = np.random.default_rng(0), 0, 300
    for seed in range(n):
        common, own = generator.normal(1, 0.035, 15), generator.normal(1, 0.035, (2, 15))
        ratio = measured((10 * common * own[0]).tolist(), (8 * common * own[1]).tolist(), seed=seed).ratio
        assert ratio.low is not None
        assert ratio.high is not None
        covered += ratio.low <= 0.8 <= ratio.high
    assert 0.90 <= covered / n <= 0.995


def test_medians_tails_and_rates_of_known_durations() -> None:
    durations = [10.0] * 19 + [20.0]
    assert distribution(durations).p50 == 10.0
    assert distribution(durations).p95 == pytest.approx(10.5)
    found = rates([100.0, 100.0, 200.0], [50.0, 50.0, 50.0], per_run=8)
    assert found.original.p50 == pytest.approx(80.0)
    assert found.original.p95 < found.original.p50  # the slow tail
    assert found.plan.p50 == pytest.approx(160.0)
    assert found.ratio.value == pytest.approx(2.0)


def test_the_stopwatch_tells_laps_of_its_clock() -> None:
    now = iter([1.0, 1.5, 1.75])
    watch = Stopwatch([torch.device("cpu")], clock=lambda: next(now))
    watch.start()
    assert watch.lap_ms() == pytest.approx(500.0)
    assert watch.lap_ms() == pytest.approx(250.0)


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collection_is_off_while_timing_and_as_before_afterwards(enabled: bool) -> None:
    def fail_while_timing() -> None:
        with undisturbed():
            assert not gc.isenabled()
            raise ValueError("inside")

    was = gc.isenabled()
    try:
        gc.enable() if enabled else gc.disable()
        with pytest.raises(ValueError, match="inside"):
            fail_while_timing()
        assert gc.isenabled() is enabled
    finally:
        gc.enable() if was else gc.disable()


def test_rounds_tell_how_far_and_stop_when_asked() -> None:
    told: list[Progress] = []
    rounds = Rounds(Watch(on_progress=told.append, should_stop=lambda: len(told) == 2), Message(id="Measuring latency"), 2)
    rounds.step()
    rounds.step()
    with pytest.raises(Cancelled, match="Stopped at your request"):
        rounds.step()
    assert [(progress.done, progress.total) for progress in told] == [(0, 2), (1, 2)]
    assert told[0].eta_seconds is None
    assert told[1].eta_seconds is not None
