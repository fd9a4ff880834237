"""The Gaussian stochastic distance: the published definition, what it forgives, and classes that are too small."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.contracts import Message
from analysis.similarity import gaussian_stochastic_distance, stochastic
from analysis.similarity.clouds import classes_of, clouds_of, costs_of, means_resampled, resampled
from analysis.similarity.stochastic import Clouds, align, symmetric_root
from tests.similarity import oracle

ALPHAS = (0.0, 1.0, 2.0)


def features(seed: int = 0, n: int = 400, d: int = 6, noise: float = 0.4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    x = rng.normal(size=(n, d)) * np.linspace(2, 0.3, d) * (1 + 0.3 * labels[:, None]) + rng.normal(size=(4, d))[labels]
    return x, x + noise * np.tanh(x @ rng.normal(size=(d, d))), labels


def distance(x: tuple[np.ndarray, np.ndarray], y: tuple[np.ndarray, np.ndarray], alpha: float) -> float:
    return float(gaussian_stochastic_distance(*(torch.from_numpy(part) for part in (*x, *y)), alpha))


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("seed", range(3))
def test_the_distance_agrees_with_plain_alternating_updates(alpha, seed):
    x, y, labels = features(seed)
    x, y = oracle.clouds(x, labels), oracle.clouds(y, labels)
    wanted = oracle.gaussian(*x, *y, alpha)
    assert distance(x, y, alpha) == pytest.approx(wanted, rel=1e-4)
    single = tuple(part.astype(np.float32) for part in x), tuple(part.astype(np.float32) for part in y)
    assert distance(*single, alpha) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_rotation_found_is_one_that_no_small_turn_betters(alpha):
    x, y, labels = features()
    (means, covariances), (others, spreads) = oracle.clouds(x, labels), oracle.clouds(y, labels)
    base, other = (Clouds(torch.from_numpy(m), symmetric_root(torch.from_numpy(c))) for m, c in ((means, covariances), (others, spreads)))
    found = align(base, Clouds(other.means[None], other.roots[None]), alpha)
    rotation = found.rotation[0].numpy()
    at = oracle.gaussian_at(means, covariances, others, spreads, alpha, rotation)
    assert at == pytest.approx(float(found.squared[0].sqrt()), abs=1e-6)
    rng = np.random.default_rng(1)
    for _ in range(20):
        turn = rng.normal(size=rotation.shape) * 0.02
        nearby, _ = np.linalg.qr(np.eye(len(turn)) + turn - turn.T)
        nearby = nearby * np.sign(np.diag(nearby))
        assert oracle.gaussian_at(means, covariances, others, spreads, alpha, rotation @ nearby) >= at - 1e-9


@given(st.integers(0, 10_000), st.sampled_from(ALPHAS))
@settings(max_examples=15, deadline=None)
def test_a_copy_of_the_clouds_is_at_no_distance(seed, alpha):
    x = oracle.clouds(*features(seed)[::2])
    assert distance(x, x, alpha) <= 1e-6


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_a_rotation_of_all_clouds_is_forgiven(alpha):
    x, _, labels = features(d=3)
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    assert distance(oracle.clouds(x, labels), oracle.clouds(x @ turn, labels), alpha) <= 1e-4


@pytest.mark.parametrize("alpha", ALPHAS)
def test_more_noise_moves_clouds_further(alpha):
    x, _, labels = features(n=800)
    noise = np.random.default_rng(3).normal(size=x.shape)
    base = oracle.clouds(x, labels)
    steps = [distance(base, oracle.clouds(x + share * noise * x.std(), labels), alpha) for share in (0.0, 0.2, 1.0, 5.0)]
    assert steps == sorted(steps)


def test_alpha_0_sees_covariances_only_and_alpha_2_means_only():
    x, y, labels = features()
    (means, covariances), (others, spreads) = oracle.clouds(x, labels), oracle.clouds(y, labels)
    assert distance((means, covariances), (others, covariances), 0.0) <= 1e-6
    assert distance((means, covariances), (means, spreads), 2.0) <= 1e-6
    assert distance((means, covariances), (means, spreads), 0.0) > 0.01


def test_many_candidates_at_once_are_the_candidates_one_by_one():
    x, _, labels = features()
    others = [oracle.clouds(features(noise=noise)[1], labels) for noise in (0.0, 0.1, 2.0)]
    together = gaussian_stochastic_distance(
        *(torch.from_numpy(part) for part in (*oracle.clouds(x, labels), *(np.stack(part) for part in zip(*others, strict=True)))), 1.0
    )
    assert together.tolist() == pytest.approx([distance(oracle.clouds(x, labels), other, 1.0) for other in others], abs=1e-9)


def test_a_singular_covariance_has_a_distance():
    x, _, labels = features()
    flat = x.copy()
    flat[:, 4:] = 0
    found = distance(oracle.clouds(x, labels), oracle.clouds(flat, labels), 0.0)
    assert 0.1 < found < 10


# -- classes and resamples ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("d", [6, 60])  # 60: classes of 100 positions are shrunk
def test_with_every_prompt_once_a_resample_is_the_distance_itself(alpha, d):
    x, y, labels = (torch.from_numpy(part) for part in features(d=d))
    classes = classes_of(x, labels)
    assert not isinstance(classes, Message)
    assert (classes.n_shrunk > 0) == (d == 60)
    base, other = clouds_of(x, classes), clouds_of(y[None], classes)
    found = align(base, other, alpha)
    each = torch.ones(len(x), 1, dtype=torch.float64)
    again = resampled(x, y @ found.rotation[0], classes, costs_of(base, other, found), each, alpha)
    assert float(again) == pytest.approx(float(found.squared[0].sqrt()), rel=1e-6)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_resamples_go_up_and_down_with_the_distance_of_what_was_drawn(alpha):
    x, y, labels = features(n=4000, d=3, noise=1.0)
    draws = np.random.default_rng(5).poisson(1, size=(8, 200)).repeat(20, axis=1)
    parts = tuple(torch.from_numpy(part) for part in (x, y, labels))
    classes = classes_of(parts[0], parts[2])
    assert not isinstance(classes, Message)
    each = torch.from_numpy(draws.T.astype(np.float64))
    if alpha == 2:
        found = means_resampled(parts[0], parts[1], classes, each).numpy()
    else:
        base, other = clouds_of(parts[0], classes), clouds_of(parts[1][None], classes)
        aligned = align(base, other, alpha)
        found = resampled(parts[0], parts[1] @ aligned.rotation[0], classes, costs_of(base, other, aligned), each, alpha).numpy()
    clouds = [[oracle.clouds(np.repeat(part, row, axis=0), np.repeat(labels, row)) for part in (x, y)] for row in draws]
    wanted = np.array([oracle.gaussian(*one, *other, alpha) for one, other in clouds])
    assert found == pytest.approx(wanted, rel=1e-6 if alpha == 2 else 0.03)
    assert np.corrcoef(found, wanted)[0, 1] > 0.9


def test_a_class_that_a_resample_does_not_draw_is_left_out_of_it():
    x, y, labels = (torch.from_numpy(part) for part in features())
    classes = classes_of(x, labels)
    assert not isinstance(classes, Message)
    each = torch.ones(len(x), 2, dtype=torch.float64)
    each[labels == 3, 0] = 0
    each[labels > 0, 1] = 0
    found = means_resampled(x, y, classes, each)
    wanted = oracle.gaussian(
        *oracle.clouds(x[labels < 3].numpy(), labels[labels < 3]), *oracle.clouds(y[labels < 3].numpy(), labels[labels < 3]), 2.0
    )
    assert float(found[0]) == pytest.approx(wanted, abs=1e-6)
    assert found[1].isnan()  # one class alone is no comparison


@pytest.mark.parametrize(
    ("labels", "n"), [([0] * 40, 1), ([0] * 35 + [1] * 5, 1), (list(range(40)), 0)], ids=["one class", "one too small", "all too small"]
)
def test_fewer_than_two_classes_are_refused_in_words(labels, n):
    found = classes_of(torch.from_numpy(features(n=40)[0]), torch.tensor(labels))
    assert isinstance(found, Message)
    assert f"there are {n}" in found.in_english()


def test_a_class_whose_positions_are_all_alike_is_not_looked_at():
    x, _, labels = (torch.from_numpy(part) for part in features())
    x[labels == 2] = 1.5
    classes = classes_of(x, labels)
    assert not isinstance(classes, Message)
    assert len(classes.places) == 3


def test_the_example_in_the_docstring_of_the_stochastic_distance_holds():
    found = doctest.testmod(stochastic, extraglobs={"torch": torch})
    assert found.attempted > 0
    assert found.failed == 0
