"""The rules that choose the last frozen layer: closed forms, both ways of counting, votes, stability, budgets, words."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.contracts import EOF_STRATEGIES, DeviationCurve, EofStrategy, ExampleTrace, LensScores, Semantics
from analysis.errors import PlanError
from analysis.planning import all_choices, choose_eof, default_rule, virtual_curve
from analysis.planning.eof import INTERPRETATIONS
from analysis.planning.eof_rules import CURVE_RULES, chosen, exponent, gain, prefix_below_median, scaled_gain, smallest_deviation
from tests.trained_builders import make_arm, make_semantics, make_trial

CURVE_STRATEGIES: tuple[EofStrategy, ...] = ("smallest_deviation", "gain", "scaled_gain", "exponent")


def eof_of(rule_scores: np.ndarray) -> int:  # type: ignore[type-arg]
    return int(chosen(rule_scores)) - 1


def traced(mean: tuple[float | None, ...], examples: tuple[ExampleTrace, ...] = (), **changes: object) -> Semantics:
    """Traces whose default curve is exactly this one."""
    n_blocks = len(mean) - 1
    made = make_semantics(n_blocks)
    steps = tuple(None if a is None or b is None else a - b for a, b in pairwise(mean))
    curve = DeviationCurve(mean=mean, intervals=(None,) * len(mean), gain=steps, gain_intervals=(None,) * n_blocks)
    overall = made.overall.model_copy(update={"curves": {"whitened": curve}})
    return made.model_copy(update={"overall": overall, "slices": {}, "examples": examples, **changes})


def no_lens() -> Semantics:
    """Traces whose lens was switched off."""
    made = make_semantics(3)
    return made.model_copy(update={"overall": made.overall.model_copy(update={"lens": None, "curves": {}})})


def example(number: int, deviation: tuple[float | None, ...], *, weight: float = 1.0, n_tokens: int = 10) -> ExampleTrace:
    return ExampleTrace(example_id=f"{number:064x}", slice="a", weight=weight, n_tokens=n_tokens, deviation=deviation)


# -- formulas ----------------------------------------------------------------------------------------------------------


def test_the_papers_layer_2_is_eof_layer_1() -> None:
    """A model of 4 layers has 5 latent spaces; the largest gain is layer 2's: freeze layers 1 and 2, train 3 and 4."""
    spaces = np.array([0.9, 0.85, 0.4, 0.35, 0.3])  # d_0 .. d_4
    assert eof_of(gain(spaces)) == 1  # blocks 0 and 1 frozen, 2 and 3 train


def test_the_smallest_deviation_of_space_k_freezes_k_layers() -> None:
    assert eof_of(smallest_deviation(np.array([0.9, 0.2, 0.5, 0.4, 0.1]))) == 0  # d_1 is the smallest of d_0..d_3: one layer
    assert eof_of(smallest_deviation(np.array([0.1, 0.2, 0.5, 0.4, 0.0]))) == -1  # d_0: none
    assert eof_of(smallest_deviation(np.array([0.9, 0.8, 0.5, 0.4, 0.0]))) == 2  # d_4 is smaller still, but nothing would train


def test_the_scaling_rule_is_its_formula() -> None:
    curve = np.array([1.0, 0.2, 0.9, 0.8, 0.0])
    expected = {k: curve[k] * (1 - (k / 4) ** 0.076) for k in (1, 2, 3)}
    scores = scaled_gain(curve)
    assert {k: scores[k] for k in (1, 2, 3)} == pytest.approx(expected)
    assert np.isneginf(scores[[0, 4]]).all()
    assert eof_of(scores) == max(expected, key=expected.__getitem__) - 1


def test_the_exponent_is_the_slope_of_a_power_law_and_begins_at_the_second_layer() -> None:
    scores = exponent(np.array([5.0, 1.0, 2.0**-3, 3.0**-3, 4.0**-3, 5.0**-3]))
    assert scores[2:5] == pytest.approx([3.0, 3.0, 3.0])
    assert np.isneginf(scores[[0, 1, 5]]).all()


def test_the_exponent_passes_over_deviations_that_have_no_logarithm() -> None:
    scores = exponent(np.array([1.0, 0.9, 0.0, -0.1, 0.5, 0.4, 0.3]))
    assert np.isneginf(scores[[2, 3, 4]]).all()
    assert scores[5] == pytest.approx(math.log(0.5 / 0.4) / math.log(5 / 4))


@pytest.mark.parametrize("rule", CURVE_RULES.values())
def test_undefined_values_are_skipped(rule: object) -> None:
    curve = np.array([0.9, np.nan, 0.7, 0.5, np.nan, 0.2, 0.1])
    scores = rule(curve)  # type: ignore[operator]
    assert not np.isnan(scores).any()
    assert eof_of(scores) in range(-1, 5)
    assert np.isneginf(rule(np.full(5, np.nan))).all()  # type: ignore[operator]


@given(st.lists(st.one_of(st.floats(-0.5, 2.0), st.just(math.nan)), min_size=2, max_size=40))
@settings(max_examples=200, deadline=None)
def test_every_rule_stays_in_the_legal_range(values: list[float]) -> None:
    curve, n_blocks = np.array(values), len(values) - 1
    for rule in CURVE_RULES.values():
        scores = rule(curve)
        assert scores.shape == curve.shape
        assert eof_of(scores) == -2 or -1 <= eof_of(scores) <= n_blocks - 2


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=40))
def test_a_prefix_below_the_median_leaves_at_least_half_to_train(values: list[float]) -> None:
    eof = eof_of(prefix_below_median(np.array(values)))
    assert -1 <= eof <= len(values) // 2 - 1
    assert all(value < np.median(values) for value in values[: eof + 1])


# -- choices -----------------------------------------------------------------------------------------------------------


def test_a_choice_says_why_with_its_figure() -> None:
    choice = choose_eof(make_semantics(), "gain")
    assert (choice.eof_layer, choice.unlimited, choice.aggregate) == (22, 22, "mean")
    said = choice.reason.in_english()
    assert said == "Layer 22 brings the state nearer to the right word than any other layer that may be frozen (gain 0.1492 of 0.47)."
    assert len(choice.scores) == 30
    assert choice.scores[-1] is None
    assert max((score, block) for block, score in enumerate(choice.scores) if score is not None)[1] == 22
    assert choice.by_slice.keys() == make_semantics().slices.keys()


@pytest.mark.parametrize("strategy", ["smallest_deviation", "gain", "exponent"])
def test_no_reason_claims_what_the_last_layer_does_better(strategy: EofStrategy) -> None:
    choice = choose_eof(traced((0.9, 0.85, 0.6, 0.59, 0.2)), strategy)
    assert choice.eof_layer is not None
    assert "may be frozen" in choice.reason.in_english()


@pytest.mark.parametrize("strategy", ["gain", "scaled_gain", "lens"])
def test_a_choice_that_only_the_first_layers_step_decides_is_not_to_be_relied_on(strategy: EofStrategy) -> None:
    """As on the sample model: the step out of the embeddings outdoes all others, or the rule's weights outdo the curve."""
    semantics = traced((0.944, 0.902, 0.895, 0.896, 0.866, 0.815))
    lens = LensScores(n_tokens=9, loss=(99.6, 16.4, 18.1, 17.3, 9.0, 3.5), top1=(0.0,) * 6, reciprocal_rank=(0.0,) * 6, entropy=(0.0,) * 6)
    choice = choose_eof(semantics.model_copy(update={"overall": semantics.overall.model_copy(update={"lens": lens})}), strategy)
    assert choice.eof_layer == 0
    assert "do not rely on this rule here" in choice.reason.in_english()


def test_a_curve_that_only_rises_has_no_steepest_fall() -> None:
    choice = choose_eof(traced((0.5, 0.6, 0.7, 0.75, 0.9)), "exponent")
    assert "No layer that may be frozen brings the state nearer" in choice.reason.in_english()


def test_our_readings_are_marked() -> None:
    marked = {choice.strategy for choice in all_choices(make_semantics(), max_trainable=5) if choice.interpretation}
    assert marked == INTERPRETATIONS == {"gain", "scaled_gain", "exponent", "lens", "gradient"}


def test_votes_are_prompts_own_choices_and_weights_decide() -> None:
    early, late = (1.0, 0.5, 0.45, 0.4, 0.35), (1.0, 0.95, 0.9, 0.4, 0.35)
    prompts = (*(example(n, early) for n in range(3)), *(example(3 + n, late, weight=5.0) for n in range(2)))
    semantics = traced((1.0, 0.9, 0.6, 0.5, 0.3), prompts)
    choice = choose_eof(semantics, "gain", aggregate="vote")
    assert choice.votes == {0: 3, 2: 2}
    assert choice.eof_layer == 2
    assert choice.reason.in_english() == "2 of 5 prompts choose layer 2 for themselves, and together they weigh most."
    assert choose_eof(semantics, "gain").eof_layer == 1  # the mean curve's own


def test_stability_is_the_share_of_resamples_that_agree() -> None:
    same = traced((1.0, 0.5, 0.45, 0.4, 0.35), tuple(example(n, (1.0, 0.5, 0.45, 0.4, 0.35)) for n in range(5)))
    assert choose_eof(same, "gain").agreement == 1.0
    halves = [(1.0, 0.5, 0.45, 0.4, 0.35), (1.0, 0.95, 0.9, 0.4, 0.35)]
    split = choose_eof(traced((1.0, 0.7, 0.65, 0.4, 0.35), tuple(example(n, halves[n % 2]) for n in range(8))), "gain")
    assert split.agreement is not None
    assert 0.1 < split.agreement < 0.9
    assert (split.low, split.high) == (0, 2)
    assert choose_eof(make_semantics(), "gain") == choose_eof(make_semantics(), "gain")


def test_a_heavy_prompt_moves_the_resampled_mean() -> None:
    halves = [(1.0, 0.5, 0.45, 0.4, 0.35), (1.0, 0.95, 0.9, 0.4, 0.35)]
    mean = (1.0, 0.94, 0.89, 0.4, 0.35)
    prompts = tuple(example(n, halves[n % 2], weight=(1.0, 100.0)[n % 2]) for n in range(8))
    assert choose_eof(traced(mean, prompts), "gain").agreement == pytest.approx(1.0, abs=0.01)


def test_prompts_cannot_vote_on_a_curve_that_was_not_kept_for_them() -> None:
    choice = choose_eof(make_semantics(), "gain", aggregate="vote", curve="literal")
    assert choice.eof_layer is None
    assert "default curve or the logit lens" in choice.reason.in_english()
    mean = choose_eof(make_semantics(), "gain", curve="literal")
    assert mean.eof_layer == 22
    assert mean.agreement is None


@pytest.mark.parametrize(
    ("strategy", "semantics", "words"),
    [
        ("gain", None, "run a profile with the traces"),
        ("lens", no_lens(), "logit lens on"),
        ("gradient", make_semantics(gradients=None), "gradients switched on"),
        ("plasticity", make_semantics(), "run a trial that compares with full fine-tuning"),
        ("sweep", make_semantics(), "run a sweep"),
        ("exponent", make_semantics(2), "no layer"),
    ],
)
def test_a_rule_without_an_answer_says_what_to_do(strategy: EofStrategy, semantics: Semantics | None, words: str) -> None:
    choice = choose_eof(semantics, strategy, n_blocks=30)
    assert choice.eof_layer is None
    assert words.lower() in choice.reason.in_english().lower()


def test_without_a_budget_the_later_half_trains() -> None:
    assert [choose_eof(None, "train_last", n_blocks=n).eof_layer for n in (1, 2, 5, 30)] == [-1, 0, 1, 14]


def test_a_sweep_that_recommends_is_the_default_and_marked_as_what_it_is() -> None:
    swept = make_trial(boundaries=(9, 14, 19), recommended=14)
    choice = choose_eof(None, "sweep", trial=swept)
    assert choice.eof_layer == 14
    assert "kept at least 90%" in choice.reason.in_english()
    assert default_rule(swept) == "sweep"
    assert default_rule(make_trial()) == default_rule(None) == "train_last"
    assert "sweep" in {one.strategy for one in all_choices(None, trial=swept)}
    assert "sweep" not in {one.strategy for one in all_choices(None, n_blocks=30)}


def test_a_model_of_one_layer_can_only_be_trained_whole() -> None:
    choices = {choice.strategy: choice.eof_layer for choice in all_choices(traced((1.0, 0.5)), n_blocks=1, max_trainable=1)}
    assert set(choices.values()) <= {-1, None}
    assert choices["train_last"] == -1


def test_a_curve_that_only_rises_is_not_praised() -> None:
    choice = choose_eof(traced((0.1, 0.2, 0.5, 0.9, 1.0)), "gain")
    assert choice.eof_layer == 0
    assert "do not rely on this rule" in choice.reason.in_english()


def test_gradients_freeze_the_prefix_below_the_median() -> None:
    given = make_semantics(6).gradients
    assert given is not None
    norms = given.model_copy(update={"per_parameter": (0.1, 0.2, 0.9, 0.3, 0.8, 0.7)})  # median 0.5
    choice = choose_eof(make_semantics(6, gradients=norms), "gradient")
    assert choice.eof_layer == 1
    assert "Layer 2 is the first" in choice.reason.in_english()


def test_plasticity_compares_the_last_two_intervals_of_full_fine_tuning() -> None:
    history = ((9.0,) * 6, (1.0, 1.0, 1.0, 1.0, 1.0, 0.0), (0.99, 0.9, 0.5, 0.8, 0.4, 1.0))  # changes 0.01 0.1 0.5 0.2 0.6 -
    trial = make_trial(2, n_blocks=6)
    trial = trial.model_copy(update={"arms": (make_arm("full", -1, 6, block_gradients=history),)})
    choice = choose_eof(None, "plasticity", trial=trial)
    assert choice.eof_layer == 1  # the median of the five is 0.2: layers 0 and 1 change by less


# -- budgets -----------------------------------------------------------------------------------------------------------


@given(st.integers(2, 40), st.integers(1, 50), st.sampled_from(EOF_STRATEGIES), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_no_more_layers_train_than_the_budget_lets(n_blocks: int, most: int, strategy: EofStrategy, seed: int) -> None:
    choice = choose_eof(make_semantics(n_blocks, seed=seed, n_examples=3), strategy, max_trainable=most)
    if choice.eof_layer is not None:
        assert -1 <= choice.eof_layer <= n_blocks - 2
        assert n_blocks - 1 - choice.eof_layer <= most
        if strategy != "smallest_deviation":
            assert choice.unlimited is not None
            assert choice.eof_layer == max(choice.unlimited, n_blocks - 1 - most, -1)


@given(st.integers(2, 12), st.sampled_from(EOF_STRATEGIES))
@settings(max_examples=10, deadline=None)
def test_a_larger_budget_never_freezes_more(n_blocks: int, strategy: EofStrategy) -> None:
    semantics = make_semantics(n_blocks, n_examples=2)
    found = [choose_eof(semantics, strategy, max_trainable=most).eof_layer for most in range(1, n_blocks)]
    known = [eof for eof in found if eof is not None]
    assert known == sorted(known, reverse=True)


def test_a_deviation_that_falls_all_the_way_gives_way_to_the_budget() -> None:
    falling = traced((1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4))
    alone = choose_eof(falling, "smallest_deviation")
    assert alone.eof_layer == 4
    assert "give a budget" in alone.reason.in_english()
    with_budget = choose_eof(falling, "smallest_deviation", max_trainable=3)
    assert (with_budget.eof_layer, with_budget.unlimited) == (2, 4)
    assert "3 of 6 layers train, and layers 0 to 2 are frozen" in with_budget.reason.in_english()
    valley = traced((1.0, 0.9, 0.8, 0.2, 0.6, 0.5, 0.4))
    assert choose_eof(valley, "smallest_deviation", max_trainable=4).eof_layer == 2


def test_train_last_is_the_budget_alone() -> None:
    assert choose_eof(None, "train_last", max_trainable=6, n_blocks=30).eof_layer == 23
    assert choose_eof(None, "train_last", max_trainable=99, n_blocks=30).eof_layer == -1


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(PlanError, match="nothing would"):
        choose_eof(make_semantics(), "gain", max_trainable=0)
    with pytest.raises(PlanError, match="is not one of"):
        choose_eof(make_semantics(), "magic")  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="how many layers"):
        choose_eof(None, "train_last", max_trainable=3)


# -- the straight way --------------------------------------------------------------------------------------------------


def test_the_straight_way_turns_evenly_and_ends_at_the_word() -> None:
    curve = make_semantics(8).overall.curves["whitened"]
    way = virtual_curve(curve)
    assert way[0] == pytest.approx(curve.mean[0])
    assert way[-1] == pytest.approx(0.0)
    angles = [math.acos(1 - value) for value in way if value is not None]
    assert np.diff(angles) == pytest.approx(-angles[0] / 8)


def test_the_straight_way_of_the_lens_falls_evenly_in_nats() -> None:
    way = virtual_curve(make_semantics(8).overall.curves["lens"], nats=True)
    assert np.diff([value for value in way if value is not None]) == pytest.approx(-(way[0] or 0.0) / 8)


def test_an_undefined_beginning_has_no_straight_way() -> None:
    curve = DeviationCurve(mean=(None, 0.5), intervals=(None, None), gain=(None,), gain_intervals=(None,))
    assert virtual_curve(curve) == (None, None)
