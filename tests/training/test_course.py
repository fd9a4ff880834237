"""One bar over many pieces of work: it never goes back, ends full, and tells the time left from the pace so far."""

from __future__ import annotations

import doctest
import math

import pytest

from analysis.contracts import Message, Progress, TrialPoint
from analysis.errors import Cancelled
from analysis.profiling.stream import Watch
from analysis.training import curve
from analysis.training.course import Course
from analysis.training.curve import MOST, RunningCurve

STAGE = Message(id="Judging the original model")


def test_parts_add_up_and_the_rest_is_told_from_the_pace() -> None:
    told: list[Progress] = []
    now = [0.0]
    course = Course(Watch(told.append), total=4.0, clock=lambda: now[0])
    with course.part(STAGE, 1.0) as watch:
        now[0] = 5.0
        watch.on_progress(Progress(stage=STAGE, done=1, total=2))
    assert told[-2].fraction == pytest.approx(0.125)
    assert told[-2].eta_seconds == pytest.approx(35.0)
    assert told[-1].fraction == pytest.approx(0.25)


def test_passes_that_begin_anew_do_not_move_it_back() -> None:
    told: list[Progress] = []
    course = Course(Watch(told.append), total=1.0)
    with course.part(STAGE, 1.0) as watch:
        for done in (1, 2, 0, 1):
            watch.on_progress(Progress(stage=STAGE, done=done, total=2))
    shares = [progress.fraction for progress in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_more_work_than_was_expected_is_not_more_than_all() -> None:
    told: list[Progress] = []
    course = Course(Watch(told.append), total=1.0)
    for _ in range(3):
        with course.part(STAGE, 1.0):
            pass
    assert max(progress.fraction for progress in told) == 1.0


def test_a_stop_that_comes_with_the_end_of_a_part_lets_it_be_kept() -> None:
    def told(progress: Progress) -> None:
        if progress.done == progress.total:
            raise Cancelled("Stopped.")

    kept: list[str] = []
    course = Course(Watch(told), total=1.0)
    with course.part(STAGE, 1.0):
        kept.append("arm")
    assert kept == ["arm"]
    with pytest.raises(Cancelled), course.part(STAGE, 1.0):
        kept.append("next arm")
    assert kept == ["arm"]


def test_curves_of_arms_and_of_the_training_that_runs_go_with_the_bar() -> None:
    told: list[Progress] = []
    course = Course(Watch(told.append), total=2.0)
    points = [TrialPoint(step=n, tokens=9 * n, seconds=n, flops=0, train_loss=2.0 + n, tuning_loss=3.0 - n) for n in range(2)]
    course.plot("freeze 1", points)
    course.plot("full", [point.model_copy(update={"tuning_loss": None}) for point in points])
    with course.part(STAGE, 1.0) as watch:
        watch.on_progress(Progress(stage=STAGE, done=1, total=2, training_curve=((4.0, 2.5),)))
        assert told[-1].training_curve == ((4.0, 2.5),)
    assert told[-1].training_curve == ()
    assert told[-1].curves == {"freeze 1": ((0.0, 3.0), (9.0, 2.0)), "full": ((0.0, 2.0), (9.0, 3.0))}
    assert Progress.model_validate(told[-1].model_dump(mode="json")) == told[-1]


def test_curves_stay_short_and_hold_numbers_only() -> None:
    running = RunningCurve(1000)
    for step in range(1000):
        running.add(10 * step, math.nan if step % 7 == 0 else 1.0)
    assert len(running.points) <= MOST
    assert {loss for _, loss in running.points} == {1.0}
    course = Course(Watch(), total=1.0)
    course.plot("full", [TrialPoint(step=n, tokens=n, seconds=n, flops=0, tuning_loss=1.0) for n in range(500)])
    assert len(course.curves["full"]) == MOST
    assert (course.curves["full"][0][0], course.curves["full"][-1][0]) == (0.0, 499.0)
    assert doctest.testmod(curve).failed == 0


def test_a_stop_is_passed_on() -> None:
    course = Course(Watch(should_stop=lambda: True), total=1.0)
    with course.part(STAGE, 1.0) as watch:
        assert watch.should_stop()
    with pytest.raises(Cancelled):
        course.check()
