"""Weights that are learned: they find who knows, stay equal where nobody does, and are judged on layers they never saw."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.contracts import CHEAP_VOTERS, Vote, Voter
from analysis.errors import PlanError
from analysis.planning.consensus_rules import mid_ranks
from analysis.planning.consensus_weights import PULLS, _judged_unseen, fit_weights
from tests.planning.test_consensus import a_vote, silent


def votes(truth: np.ndarray, noise: dict[Voter, float], seed: int = 0) -> list[Vote]:
    random = np.random.default_rng(seed)
    return [a_vote(voter, mid_ranks(truth + spread * random.standard_normal(len(truth))).tolist()) for voter, spread in noise.items()]


def some_truth(n: int = 30, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random(n)


def test_a_measure_that_knows_outweighs_those_that_guess() -> None:
    truth = some_truth()
    found = fit_weights(votes(truth, {"taylor": 0.02, "cka": 5.0, "cca": 5.0, "wasserstein": 5.0}), tuple(truth))
    assert found.weights["taylor"] > 3 * max(weight for voter, weight in found.weights.items() if voter != "taylor")
    assert found.better
    assert found.cv_spearman is not None
    assert found.cv_spearman > 0.8
    assert found.n == 30


def test_measures_that_know_alike_are_weighted_nearly_alike() -> None:
    truth = some_truth()
    found = fit_weights(votes(truth, dict.fromkeys(CHEAP_VOTERS[:6], 0.3)), tuple(truth))
    assert max(found.weights.values()) < 4 * min(found.weights.values())


def test_measures_that_know_nothing_promise_nothing() -> None:
    judged = []
    for seed in range(6):
        truth = some_truth(seed=seed)
        noise = votes(np.zeros(30), dict.fromkeys(CHEAP_VOTERS, 1.0), seed=100 + seed)
        found = fit_weights(noise, tuple(truth), seed=seed)
        assert found.cv_spearman is not None
        judged.append(found.cv_spearman)
    assert float(np.mean(judged)) < 0.25


def test_a_layers_score_does_not_hang_on_its_own_truth() -> None:
    truth, table = some_truth(20), np.random.default_rng(2).random((20, 4)) - 0.5
    unseen = np.array_split(np.random.default_rng(3).permutation(20), 5)[0]  # the first part that is drawn
    other = truth.copy()
    other[unseen] = other[unseen] * 0.1 - 1
    scores = [_judged_unseen(table, (mid_ranks(one) - 10.5) / 19, 5, np.random.default_rng(3)) for one in (truth, other)]
    assert scores[0][unseen].tolist() == scores[1][unseen].tolist()


def test_a_measure_that_says_the_opposite_gets_no_negative_weight() -> None:
    truth = some_truth()
    against = a_vote("cka", mid_ranks(-truth).tolist())
    found = fit_weights([*votes(truth, {"taylor": 0.1, "cca": 0.1}), against], tuple(truth))
    assert found.weights["cka"] < 0.2
    assert all(weight >= 0 for weight in found.weights.values())


def test_weights_average_one_and_are_the_same_every_time() -> None:
    truth = some_truth()
    asked = votes(truth, {"taylor": 0.2, "cka": 0.4, "cca": 0.8})
    found = fit_weights(asked, tuple(truth))
    assert found == fit_weights(asked, tuple(truth))
    assert sum(found.weights.values()) == pytest.approx(3)
    assert found.pull in PULLS


def test_the_loss_itself_and_who_abstained_get_no_weight() -> None:
    truth = some_truth()
    asked = [*votes(truth, {"taylor": 0.2, "cka": 0.4, "ablation_loss": 0.0}), silent("cca", 30)]
    assert set(fit_weights(asked, tuple(truth)).weights) == {"taylor", "cka"}


def test_layers_without_a_known_loss_are_left_aside() -> None:
    truth = some_truth()
    known = tuple(None if at % 3 == 0 else float(value) for at, value in enumerate(truth))
    assert fit_weights(votes(truth, {"taylor": 0.2, "cka": 0.4}), known).n == 20


def test_undefined_ranks_do_not_stop_the_fit() -> None:
    truth = some_truth()
    asked = votes(truth, {"taylor": 0.2, "cka": 0.4})
    holed = a_vote("cca", [None, *mid_ranks(truth[1:]).tolist()])
    assert fit_weights([*asked, holed], tuple(truth)).cv_spearman is not None


def test_a_truth_that_tells_no_layer_from_another_has_no_correlation() -> None:
    found = fit_weights(votes(some_truth(), {"taylor": 0.2, "cka": 0.4}), (1.0,) * 30)
    assert (found.cv_spearman, found.unweighted_spearman, found.better) == (None, None, False)


def test_too_few_layers_measures_or_folds_are_refused() -> None:
    truth = some_truth()
    asked = votes(truth, {"taylor": 0.2, "cka": 0.4})
    with pytest.raises(PlanError, match="9 layers.*at least 10"):
        fit_weights(asked, (*map(float, truth[:9]), *(None,) * 21))
    with pytest.raises(PlanError, match="at least two measures"):
        fit_weights(asked[:1], tuple(truth))
    with pytest.raises(PlanError, match="1 folds"):
        fit_weights(asked, tuple(truth), folds=1)
