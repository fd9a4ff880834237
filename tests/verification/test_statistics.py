"""Intervals and tests against closed forms, published values and simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.verification.statistics import (
    Bootstrap,
    at_most,
    mcnemar,
    paired_change,
    replicate_sums,
    share,
    sign_flip_test,
    upper_bound,
)


@pytest.mark.parametrize(
    ("changed", "n", "low", "high"),
    [  # scipy.stats.beta.ppf, rounded
        (0, 12, 0.0, 0.264648),
        (1, 12, 0.002108, 0.384796),
        (6, 12, 0.210945, 0.789055),
        (12, 12, 0.735352, 1.0),
        (3, 100, 0.006230, 0.085176),
        (50, 1000, 0.037335, 0.065390),
    ],
)
def test_a_share_has_the_exact_interval(changed: int, n: int, low: float, high: float) -> None:
    found = share(changed, n)
    assert found.value == changed / n
    assert found.low == pytest.approx(low, abs=2e-6)
    assert found.high == pytest.approx(high, abs=2e-6)


@pytest.mark.parametrize("n", [1, 2, 12, 59, 299, 5000])
def test_no_event_among_n_has_the_closed_upper_bound(n: int) -> None:
    bound = upper_bound(0, n)
    assert bound == pytest.approx(1 - 0.05 ** (1 / n))
    assert bound is not None
    assert at_most(0, n, bound) == pytest.approx(0.05)


def test_upper_bounds_at_the_ends() -> None:
    assert upper_bound(0, 0) is None
    assert upper_bound(5, 5) == 1.0
    assert upper_bound(1, 12) == pytest.approx(0.338681, abs=2e-6)  # scipy.stats.beta.ppf(0.95, 2, 11)
    assert share(0, 0).value is None


@pytest.mark.parametrize(("k", "n", "rate"), [(0, 5, 0.3), (3, 10, 0.4), (9, 10, 0.9), (200, 400, 0.5)])
def test_the_binomial_tail_is_the_sum_of_its_terms(k: int, n: int, rate: float) -> None:
    assert at_most(k, n, rate) == pytest.approx(sum(math.comb(n, i) * rate**i * (1 - rate) ** (n - i) for i in range(k + 1)))


@pytest.mark.parametrize(("lost", "won", "p"), [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (6, 1, 0.125), (10, 2, 0.03857421875)])
def test_mcnemar_is_exact(lost: int, won: int, p: float) -> None:
    assert mcnemar(lost, won) == pytest.approx(p)
    assert mcnemar(won, lost) == pytest.approx(p)


def test_a_change_in_right_answers_is_never_certain() -> None:
    same = paired_change(0, 0, 20)
    assert same.value == 0
    assert same.low is not None
    assert same.low < -0.1  # none of 20 changed, and still more than a tenth may be lost
    worse = paired_change(10, 0, 20)
    assert worse.value == -0.5
    assert worse.high is not None
    assert worse.high < 0


def test_the_permutation_test_is_exact_for_few_prompts() -> None:
    assert sign_flip_test(np.zeros(5), replicates=10, seed=0) == 1.0
    assert sign_flip_test(np.ones(10), replicates=10, seed=0) == 2 / 2**10
    assert sign_flip_test(np.array([1.0, -1.0, 2.0]), replicates=10, seed=0) == 0.75
    assert sign_flip_test(np.array([]), replicates=10, seed=0) is None


def test_the_permutation_test_of_many_prompts_is_near_the_exact_one() -> None:
    differences = np.random.default_rng(3).normal(0.5, 1.0, 14)
    signs = 1.0 - 2.0 * ((np.arange(2**14)[:, None] >> np.arange(14)) & 1)
    exact = float(np.mean(np.abs(signs @ differences) >= abs(differences.sum()) * (1 - 1e-12)))
    assert sign_flip_test(differences, replicates=20_000, seed=0) == pytest.approx(exact, abs=0.01)


def test_chance_alone_is_called_significant_in_about_one_case_of_twenty() -> None:
    random = np.random.default_rng(0)
    found = [sign_flip_test(random.standard_t(3, 25), replicates=400, seed=1) for _ in range(400)]
    assert np.mean([p is not None and p <= 0.05 for p in found]) == pytest.approx(0.05, abs=0.03)


def test_resampling_is_the_same_for_the_same_seed_and_has_the_right_mean_and_spread() -> None:
    values = np.random.default_rng(0).normal(size=(50, 2))
    drawn = replicate_sums(values, 4000, seed=7)
    assert (drawn == replicate_sums(values, 4000, seed=7)).all()
    assert (drawn != replicate_sums(values, 4000, seed=8)).any()
    np.testing.assert_allclose(drawn.mean(axis=0), values.sum(axis=0), atol=0.6)
    np.testing.assert_allclose(drawn.std(axis=0), values.std(axis=0) * math.sqrt(50), rtol=0.05)


def test_large_workloads_are_resampled_in_pieces_with_the_same_law() -> None:
    values = np.ones((30_000, 1))
    assert (replicate_sums(values, 300, seed=0) == 30_000).all()


def test_a_single_prompt_has_a_value_and_no_interval_and_none_has_neither() -> None:
    def ratio(sums: np.ndarray) -> np.ndarray:
        return np.asarray(sums[..., 0] / sums[..., 1])

    one = Bootstrap(np.array([[2.0, 4.0]]), replicates=100, seed=0).estimate(ratio)
    assert (one.value, one.low, one.high) == (0.5, None, None)
    assert Bootstrap(np.zeros((0, 2)), replicates=100, seed=0).estimate(ratio).value is None
    assert Bootstrap(np.zeros((3, 2)), replicates=100, seed=0).estimate(ratio).value is None  # 0 / 0


def test_the_interval_of_a_token_weighted_ratio_covers_the_truth() -> None:
    """Prompts of very different lengths, 40 of them: the 95 % interval holds the truth in 91 to 98 of 100 cases."""
    random = np.random.default_rng(5)
    inside = 0
    for trial in range(400):
        tokens = random.integers(5, 60, 40).astype(float)
        sums = random.normal(0.1, 0.3, 40) * tokens
        found = Bootstrap(np.stack([sums, tokens], axis=1), replicates=400, seed=trial).estimate(
            lambda s: np.asarray(s[..., 0] / s[..., 1])
        )
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 0.1 <= found.high
    assert 0.91 <= inside / 400 <= 0.98


def test_the_interval_of_a_few_prompts_is_wide_enough_for_how_few_they_are() -> None:
    random = np.random.default_rng(5)
    runs, held = 400, 0
    for run in range(runs):
        changes = random.normal(0.1, 0.2, 8)
        found = Bootstrap(np.stack([changes, np.ones(8)], axis=1), replicates=600, seed=run).estimate(
            lambda sums: sums[..., 0] / sums[..., 1]
        )
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.1 <= found.high
    assert held / runs >= 0.91  # plain percentiles: 0.89
