"""The work, its growth and how it moves over to the plan."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.contracts import Assumption, Pair, ServingEvidence, ServingPoint, SliceVolume
from analysis.economics.load import growth, ramp, requests, runs, scalar
from tests.economics.money_builders import figures, serving, training, volumes


def point(batch: int, ms: float) -> ServingPoint:
    return ServingPoint(batch_size=batch, prompt_tokens=100, new_tokens=10, prefill_ms=Pair(today=ms, plan=ms))


def test_a_batch_shares_its_time_among_its_requests() -> None:
    several = ServingEvidence(points=(point(1, 100), point(8, 400)), weight_bytes=Pair(today=1, plan=1))
    evidence = serving(serving=several)
    assert requests(volumes(), evidence, figures(batch_size=8.0)).seconds == pytest.approx(0.05)
    assert requests(volumes(), evidence, figures(batch_size=1.0)).seconds == pytest.approx(0.1)


def test_the_nearest_batch_speaks_for_one_that_was_not_measured() -> None:
    several = ServingEvidence(points=(point(1, 100), point(16, 400)), weight_bytes=Pair(today=1, plan=1))
    found = requests(volumes(), serving(serving=several), figures(batch_size=12.0))
    assert found.point is not None
    assert found.point.batch_size == 16


def test_a_slice_without_lengths_takes_the_workloads() -> None:
    found = requests(volumes(), serving(), figures())
    assert found.tokens == 110
    assert found.seconds == pytest.approx(1.0)
    own = volumes(slices=(SliceVolume(name="a", requests_per_month=1.0, new_tokens=0),))
    assert requests(own, serving(), figures()).seconds == pytest.approx(0.9)


def test_a_plan_that_trains_nothing_has_no_hours() -> None:
    assert runs(volumes(), serving(), figures(training_gpu_hours_per_run=5.0)).hours is None


def test_measured_hours_are_scaled_to_another_kind_of_device_and_a_persons_are_not() -> None:
    measured_there = training(device_kind="cpu")
    own = volumes(values={"training_gpu_hours_per_run": Assumption(value=30.0)})
    scaled = volumes(values={"training_gpu_hours_per_run": Assumption(value=30.0, origin="measured")})
    given = figures(speed_factor=10.0, training_gpu_hours_per_run=30.0)
    assert runs(own, measured_there, given).hours == 30
    assert runs(scaled, measured_there, given).hours == pytest.approx(3)
    assert runs(volumes(), measured_there, figures(speed_factor=10.0)).hours == pytest.approx(1)


def test_growth_is_even_over_the_months() -> None:
    found = growth({"growth_percent_per_year": 44.0}, 25)
    assert found[0] == 1
    assert found[6] == pytest.approx(1.2)
    assert found[24] == pytest.approx(1.44**2)


def test_no_growth_is_one_in_every_month() -> None:
    assert growth({}, 5).tolist() == [1.0] * 5
    assert growth({"growth_percent_per_year": np.zeros(3)}, 5).shape == (3, 5)


def test_the_ramp_is_even_and_ends_at_full_use() -> None:
    assert ramp({"rollout_months": 4.0}, 6).tolist() == [0.25, 0.5, 0.75, 1, 1, 1]
    assert ramp({"rollout_months": np.array([1.0, 2.0])}, 2).tolist() == [[1, 1], [0.5, 1]]


def test_a_figure_that_is_the_same_in_every_draw_is_one() -> None:
    assert scalar({"batch_size": np.full(4, 8.0)}, "batch_size") == 8
    assert scalar({}, "batch_size") is None


def test_a_machine_factor_saves_no_more_than_all() -> None:
    """Twice a share of 80 % would be work below nought."""
    found = requests(volumes(), serving(0.2), figures(0.2, machine_factor=2.0))
    assert found.ratio == 0
