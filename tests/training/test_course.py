"""One bar over many pieces of work: it never goes back, ends full, and tells the time left from the pace so far."""

from __future__ import annotations

import pytest

from analysis.contracts import Message, Progress
from analysis.errors import Cancelled
from analysis.profiling.stream import Watch
from analysis.training.course import Course

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


def test_a_stop_is_passed_on() -> None:
    course = Course(Watch(should_stop=lambda: True), total=1.0)
    with course.part(STAGE, 1.0) as watch:
        assert watch.should_stop()
    with pytest.raises(Cancelled):
        course.check()
