"""A ranking's progress: the voters' arithmetic is part of it, and nothing is said to be over before it is."""

from __future__ import annotations

import pytest

from analysis.contracts import Message, Progress
from analysis.profiling.stream import Watch
from analysis.search import ranking_course
from analysis.search.ranking_course import Course

WALK = Message(id="Leaving out each of {n} candidates in turn", values={"n": 9})


class Clock:
    """Seconds that pass when they are told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(ranking_course, "time", made)
    return made


def course(*sizes: int) -> tuple[Course, list[Progress]]:
    told: list[Progress] = []
    return Course(Watch(told.append), sizes, tokens=100), told


def walked(one: Course, clock: Clock, *, seconds: float, tokens: int) -> None:
    clock.now += seconds
    one.watch.on_progress(Progress(stage=WALK, done=tokens, total=tokens, tokens_per_second=tokens / seconds))


def test_the_bar_is_not_full_and_no_time_is_nought_while_the_measures_work_things_out(clock: Clock) -> None:
    one, told = course(9)
    one.begin(0)
    walked(one, clock, seconds=80, tokens=1000)
    one.arithmetic()
    assert told[-1].stage.id == "Working out what each measure says"
    assert told[-1].fraction == pytest.approx(2 / 3)
    assert told[-1].eta_seconds == pytest.approx(40)
    assert told[-1].tokens_per_second is None  # no tokens are run


def test_the_arithmetic_moves_the_bar_and_gives_no_time_once_it_takes_longer_than_was_thought(clock: Clock) -> None:
    one, told = course(9)
    one.begin(0)
    walked(one, clock, seconds=80, tokens=1000)
    one.arithmetic()
    clock.now += 20
    assert not one.watch.should_stop()
    assert told[-1].fraction == pytest.approx(5 / 6)
    assert told[-1].eta_seconds == pytest.approx(20)
    clock.now += 100
    one.watch.should_stop()
    assert told[-1].eta_seconds is None
    assert 0.9 < told[-1].fraction < 1


def test_the_arithmetic_is_told_of_once_a_second_at_most(clock: Clock) -> None:
    one, told = course(9)
    one.begin(0)
    walked(one, clock, seconds=80, tokens=1000)
    one.arithmetic()
    before = len(told)
    for _ in range(50):
        clock.now += 0.1
        one.watch.should_stop()
    assert len(told) - before <= 5


def test_what_is_left_counts_the_arithmetic_of_all_steps_as_it_was_measured(clock: Clock) -> None:
    one, told = course(9, 8)
    one.begin(0)
    walked(one, clock, seconds=10, tokens=500)
    assert told[-1].eta_seconds == pytest.approx(10 + 18 + 0.5 * 20 + 0.5 * 18)  # both walks, and half as long again for each
    walked(one, clock, seconds=10, tokens=1000)
    one.arithmetic()
    clock.now += 4
    one.end()
    one.begin(1)
    clock.now += 1
    one.watch.on_progress(Progress(stage=WALK, done=100, total=900, tokens_per_second=100))
    assert told[-1].eta_seconds == pytest.approx(8 + 4)


def test_the_choice_after_the_arithmetic_neither_moves_the_bar_back_nor_guesses(clock: Clock) -> None:
    one, told = course(9, 8)
    one.begin(0)
    walked(one, clock, seconds=20, tokens=1000)
    one.arithmetic()
    done = told[-1].done
    clock.now += 5
    choice = Message(id="What was chosen is measured together")
    one.watch.on_progress(Progress(stage=choice, done=10, total=20, tokens_per_second=10))
    assert (told[-1].stage, told[-1].eta_seconds) == (choice, None)
    assert told[-1].done >= done
    clock.now += 5
    one.watch.should_stop()
    assert told[-1].stage == choice


def test_who_asks_to_stop_is_heard_in_the_arithmetic(clock: Clock) -> None:
    one = Course(Watch(should_stop=lambda: True), (9,), tokens=100)
    one.begin(0)
    one.arithmetic()
    assert one.watch.should_stop()
