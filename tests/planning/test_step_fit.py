"""Step times at any boundary from a few measured ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.contracts import StepModel, StepPoint, TrainingShape
from analysis.errors import InputError, PlanError
from analysis.planning import fit_steps, predict_peak, predict_step

L = 30
HERE: dict[str, Any] = {
    "model_commit": "c0ffee",
    "stack": "decoder",
    "device": "cpu",
    "device_name": "a CPU",
    "shape": TrainingShape(),
    "n_blocks": L,
    "measured_at": "2026-11-22T06:00:00+00:00",
}
PLACES = ((-1, False), (14, False), (28, False), (14, True), (28, True))


def truth(eof: int, cached: bool, *, fixed: float = 12.0, frozen: float = 0.3, trained: float = 1.1, reading: float = 0.4) -> float:
    return fixed + (reading if cached else frozen * (eof + 1)) + trained * (L - 1 - eof)


def point(eof: int, cached: bool, ms: float, peak: int | None = None) -> StepPoint:
    return StepPoint(eof_layer=eof, cached=cached, p50_ms=ms, p95_ms=1.1 * ms, repeats=20, peak_memory_bytes=peak)


def fitted(places: tuple[tuple[int, bool], ...] = PLACES, **times: float) -> StepModel:
    return fit_steps([point(eof, cached, truth(eof, cached, **times)) for eof, cached in places], **HERE)


@given(st.floats(1, 100), st.floats(0, 3), st.floats(0, 9), st.floats(0, 5))
@settings(max_examples=40, deadline=None)
def test_times_that_follow_the_model_are_found_again(fixed: float, frozen: float, trained: float, reading: float) -> None:
    times = {"fixed": fixed, "frozen": frozen, "trained": trained, "reading": reading}
    model = fitted(**times)
    for eof, cached in (*PLACES, (5, False), (20, True)):
        assert predict_step(model, eof, cached) == pytest.approx(truth(eof, cached, **times), rel=0.01)


def test_the_contracts_formula_is_what_is_predicted() -> None:
    model = fitted()
    parts = (model.fixed_ms, model.frozen_block_ms, model.trained_block_ms, model.cached_ms)
    assert parts == pytest.approx((12.0, 0.3, 1.1, 0.4), rel=1e-3)
    assert predict_step(model, 9) == pytest.approx(model.fixed_ms + 10 * model.frozen_block_ms + 20 * model.trained_block_ms)


def test_without_cached_points_uncached_steps_are_still_right_and_frozen_layers_cost_a_third() -> None:
    model = fitted(((-1, False), (14, False), (28, False)))
    assert predict_step(model, 20) == pytest.approx(truth(20, False))
    assert model.frozen_block_ms == pytest.approx(model.trained_block_ms / 3, rel=1e-3)


@given(st.lists(st.floats(0.5, 200), min_size=5, max_size=5))
@settings(max_examples=60, deadline=None)
def test_whatever_was_measured_no_slope_is_negative(measured: list[float]) -> None:
    points = [point(eof, cached, ms) for (eof, cached), ms in zip(PLACES, measured, strict=True)]
    model = fit_steps(points, **HERE)
    assert min(model.frozen_block_ms, model.trained_block_ms) >= 0
    assert all(predict_step(model, eof, cached) >= 0 for eof in range(-1, L - 1) for cached in (False, True))


def test_the_error_is_told_by_points_outside_the_fit() -> None:
    points = [point(eof, cached, truth(eof, cached)) for eof, cached in PLACES]
    model = fit_steps(points, check=[point(20, False, 1.25 * truth(20, False))], **HERE)
    assert model.error_share == pytest.approx(0.2, abs=1e-3)
    assert len(model.points) == 6
    assert fit_steps(points, **HERE).error_share is None


def test_peak_memory_grows_with_the_layers_that_train() -> None:
    points = [point(eof, False, truth(eof, False), peak=10**9 + 10**8 * (L - 1 - eof)) for eof in (-1, 14, 28)]
    model = fit_steps(points, **HERE)
    assert predict_peak(model, 19) == pytest.approx(2 * 10**9)
    assert predict_peak(model, 19, cached=True) == predict_peak(model, 19)
    assert predict_peak(fitted(), 19) is None


def test_one_boundary_is_too_few() -> None:
    with pytest.raises(InputError, match="two at least"):
        fit_steps([point(3, False, 10.0), point(3, True, 8.0)], **HERE)


@pytest.mark.parametrize("eof", [-2, 29])
def test_a_boundary_of_another_model_is_refused(eof: int) -> None:
    with pytest.raises(PlanError, match="at least one layer must train"):
        predict_step(fitted(), eof)
