"""The front of a sweep, marks of the rules on it, and shares of full fine-tuning's gain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.contracts import ArmKind, EofChoice, EofStrategy, Estimate, Message, TrialArm
from analysis.planning import at_cost, front, kept
from analysis.planning.sweep_front import recommended
from tests.trained_builders import make_arm

WHY = Message(id="Because.")


def choice(strategy: EofStrategy, eof: int | None) -> EofChoice:
    return EofChoice(strategy=strategy, eof_layer=eof, reason=WHY)


def arm(eof: int, seconds: float, loss: float) -> TrialArm:
    made = make_arm("freeze" if eof >= 0 else "full", eof)
    last = made.points[-1].model_copy(update={"seconds": seconds})
    return made.model_copy(update={"points": (*made.points[:-1], last), "loss_after": Estimate(value=loss)})


def test_a_point_is_on_the_front_unless_another_is_as_cheap_and_as_good() -> None:
    arms = [arm(-1, 10.0, 2.0), arm(9, 8.0, 2.1), arm(14, 9.0, 2.2), arm(19, 5.0, 2.05), arm(24, 3.0, 2.6)]
    points = {point.arm: point.on_front for point in front(arms, ())}
    assert points == {"freeze 24": True, "freeze 19": True, "freeze 9": False, "freeze 14": False, "full": True}


@given(st.lists(st.tuples(st.floats(0.1, 9), st.floats(0.1, 9)), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_front_points_do_not_beat_each_other_and_beat_all_others(figures: list[tuple[float, float]]) -> None:
    points = front([arm(eof, *figure) for eof, figure in enumerate(figures)], ())
    best = [point for point in points if point.on_front]
    assert best
    assert [point.seconds for point in points] == sorted(point.seconds for point in points)
    for point in points:
        better = [
            o for o in best if o.seconds <= point.seconds and o.loss <= point.loss and (o.seconds, o.loss) != (point.seconds, point.loss)
        ]
        assert bool(better) != point.on_front


def test_a_rule_marks_the_nearest_tried_boundary_and_of_two_the_one_after() -> None:
    arms = [arm(-1, 10.0, 2.0), arm(9, 8.0, 2.1), arm(19, 5.0, 2.05)]
    choices = [choice("gain", 12), choice("lens", 14), choice("exponent", 28), choice("gradient", -1), choice("plasticity", None)]
    marked = {point.arm: set(point.chosen_by) for point in front(arms, choices)}
    assert marked == {"freeze 9": {"gain"}, "freeze 19": {"lens", "exponent"}, "full": {"gradient"}}


def test_lora_arms_and_arms_that_were_not_judged_have_no_place() -> None:
    lost = make_arm("freeze", 9).model_copy(update={"loss_after": Estimate(value=None)})
    assert front([make_arm("lora", -1), lost, make_arm("freeze", 14, points=())], [choice("gain", 9)]) == ()


def judged(name: str, gains: np.ndarray, before: np.ndarray) -> TrialArm:  # type: ignore[type-arg]
    made = make_arm("full" if name == "full" else "freeze", -1 if name == "full" else 19)
    losses = {f"p{number}": float(value) for number, value in enumerate(before - gains)}
    return made.model_copy(update={"name": name, "example_losses": losses, "reduction": Estimate(value=float(gains.mean()))})


def test_the_share_kept_is_paired_over_prompts() -> None:
    rng = np.random.default_rng(0)
    before = rng.uniform(1, 5, 60)
    gains = rng.uniform(0.1, 2.0, 60)
    start = {f"p{number}": float(value) for number, value in enumerate(before)}
    full, part = judged("full", gains, before), judged("part", 0.9 * gains, before)
    share = kept(part, full, before=start)
    assert share.value == pytest.approx(0.9)
    assert (share.low, share.high) == pytest.approx((0.9, 0.9))  # the same share of every prompt: nothing is left to chance
    noisy = kept(judged("part", 0.9 * gains + rng.normal(0, 0.2, 60), before), full, before=start)
    assert noisy.low is not None
    assert noisy.high is not None
    assert noisy.low < (noisy.value or 0) < noisy.high
    assert noisy.high - noisy.low < 0.2


def test_without_the_losses_before_the_difference_between_the_arms_is_resampled() -> None:
    rng = np.random.default_rng(0)
    before, gains = rng.uniform(1, 5, 60), rng.uniform(0.5, 1.5, 60)
    share = kept(judged("part", 0.9 * gains, before), judged("full", gains, before))
    assert share.value == pytest.approx(0.9)
    assert share.low is not None
    assert share.high is not None
    assert share.low < 0.9 < share.high


def test_tokens_weigh_prompts() -> None:
    before, gains = np.array([3.0, 3.0, 3.0]), np.array([1.0, 1.0, 1.0])
    part = judged("part", np.array([1.0, 0.0, 0.0]), before)
    share = kept(part, judged("full", gains, before), before={f"p{n}": 3.0 for n in range(3)}, tokens={"p0": 10_000, "p1": 1, "p2": 1})
    assert share.high == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("gained", [0.0, -0.2, None])
def test_no_share_of_nothing(gained: float | None) -> None:
    full = make_arm("full", -1, reduction=Estimate(value=gained))
    assert kept(make_arm("freeze", 19), full).value is None


def test_too_few_prompts_have_a_share_and_no_interval() -> None:
    share = kept(make_arm("freeze", 19), make_arm("full", -1))
    assert share.value is not None
    assert share.low is None


def with_course(course: list[tuple[float, float | None]], reduction: float) -> TrialArm:
    made = make_arm("full", -1)
    points = tuple(made.points[0].model_copy(update={"seconds": s, "verification_loss": loss}) for s, loss in course)
    return made.model_copy(update={"points": points, "reduction": Estimate(value=reduction)})


def test_equal_cost_is_read_off_full_fine_tunings_course() -> None:
    full = with_course([(0.0, 3.0), (10.0, 2.0), (20.0, 1.8)], 1.2)
    assert at_cost(with_course([(0.0, 3.0), (5.0, 2.4)], 0.6), full) == pytest.approx(0.6 / 0.5)
    assert at_cost(with_course([(0.0, 3.0), (15.0, 2.0)], 1.0), full) == pytest.approx(1.0 / 1.1)
    assert at_cost(with_course([(0.0, 3.0), (99.0, 2.0)], 1.0), full) == pytest.approx(1.0 / 1.2)  # it could have stopped at 20 s
    assert at_cost(full, full) == pytest.approx(1.0)


def test_equal_cost_is_undefined_before_full_fine_tuning_gained_anything() -> None:
    assert at_cost(with_course([(0.0, 3.0), (5.0, 2.4)], 0.6), with_course([(0.0, 3.0), (10.0, 3.5)], -0.5)) is None
    assert at_cost(with_course([(0.0, 3.0), (5.0, 2.4)], 0.6), with_course([(0.0, 3.0), (10.0, None)], 0.5)) is None


def test_the_recommended_boundary_is_the_last_that_keeps_enough_of_the_gain_on_the_tuning_part() -> None:
    def tuned(kind: ArmKind, eof: int, gained: float | None) -> TrialArm:
        return make_arm(kind, eof, tuning_reduction=Estimate(value=gained))

    full = tuned("full", -1, 0.5)
    arms = [full, tuned("freeze", 9, 0.49), tuned("freeze", 14, 0.46), tuned("freeze", 19, 0.40), tuned("freeze", 24, None)]
    assert recommended(arms) == 14
    assert recommended(arms, share=0.97) == 9
    assert recommended([full, tuned("freeze", 9, 0.1)]) == -1
    assert recommended(arms[1:]) is None
    assert recommended([tuned("full", -1, -0.1), *arms[1:]]) is None
