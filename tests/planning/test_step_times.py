"""The time of a whole training beside full fine-tuning's, and how sure it is."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.planning.step_times import StepTimes, step_times, steps_in_turns, time_share
from tests.trained_builders import make_trial


def test_the_first_epoch_computes_what_the_later_ones_read() -> None:
    times = StepTimes(full=100, own=90, cached=60)
    assert time_share(times, 1 / 3).value == pytest.approx((90 + 60 + 60) / 300)


def test_without_a_cache_every_epoch_is_the_same() -> None:
    assert time_share(StepTimes(full=100, own=80, cached=None), 1 / 3).value == pytest.approx(0.8)


def test_without_repeats_there_is_no_interval() -> None:
    found = time_share(StepTimes(full=100, own=80, cached=None), 1.0)
    assert found.low == found.value == found.high


def test_the_interval_holds_what_it_says() -> None:
    """Medians of 24 normal times each: the true ratio lies inside in about 95 of 100 measurements."""
    rng, inside = np.random.default_rng(0), 0
    for _ in range(1000):
        full, own, cached = rng.normal(100, 6, 24), rng.normal(90, 6, 24), rng.normal(70, 6, 24)
        errors = tuple(1.2533 * float(each.std(ddof=1)) / 24**0.5 for each in (full, own, cached))
        times = StepTimes(float(np.median(full)), float(np.median(own)), float(np.median(cached)), True, errors)  # type: ignore[arg-type]
        found = time_share(times, 1 / 3)
        inside += found.low <= (90 + 70 + 70) / 300 <= found.high
    assert 0.92 <= inside / 1000 <= 0.98


def test_steps_that_took_turns_come_before_arms_that_did_not() -> None:
    trial = make_trial()
    own, full = trial.own, trial.arm("full")
    assert own is not None
    assert full is not None
    assert steps_in_turns(trial, own) is None
    assert not step_times(trial, own, full).in_turns
    assert step_times(trial, own, full).full == full.cost.first_epoch_ms.p50
