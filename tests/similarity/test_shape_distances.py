"""CKA, Procrustes, CCA, permutation and Wasserstein: the published numbers, what they forgive, and what they cannot tell."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.similarity import (
    cka_distance,
    linear_shape_distance,
    permutation,
    permutation_distance,
    shape,
    wasserstein,
    wasserstein_distance,
)
from analysis.similarity.polar import by_products, newton, one_by_one, polar, side_by_side
from tests.similarity import oracle

PUBLISHED = {  # noise -> CKA, CCA, Procrustes, permutation, CCA judged on the last fifth: printed by the reference at 2000 x 64
    0.0: (0.0, 0.0, 0.0, 0.0, 0.0),
    0.1: (0.005, 0.377, 0.099, 0.1, 0.384),
    1.0: (0.355, 0.967, 0.775, 0.782, 1.001),
    10.0: (0.964, 1.4, 1.406, 1.471, 1.541),
}


@pytest.fixture(scope="module")
def published() -> tuple[np.ndarray, dict[float, np.ndarray]]:
    """The reference's own features: drawn in its order from its seed."""
    rng = np.random.default_rng(0)
    for n in (80, 640, 2000):
        x = rng.normal(size=(n, 64)) @ rng.normal(size=(64, 64))
        noisy = {noise: x + noise * rng.normal(size=x.shape) * x.std() for noise in PUBLISHED}
    return x, noisy


def pair(seed: int = 0, n: int = 300, d: int = 12, noise: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64) @ torch.randn(d, d, generator=generator, dtype=torch.float64) + 3
    return x, x + noise * x.std() * torch.randn(n, d, generator=generator, dtype=torch.float64)


def rotation(d: int, seed: int = 1) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).Q


@pytest.mark.parametrize("noise", PUBLISHED)
def test_the_oracle_prints_the_reference_table_and_the_members_agree_with_it(published, noise):
    x, y = published[0], published[1][noise]
    n = int(0.8 * len(x))
    wanted = (
        oracle.cka(x, y),
        oracle.linear(x, y, 0.0),
        oracle.linear(x, y, 1.0),
        oracle.permutation(x, y),
        oracle.linear(x[:n], y[:n], 0.0, x[n:], y[n:]),
    )
    assert np.round(wanted, 3) == pytest.approx(PUBLISHED[noise], abs=1e-9)
    for dtype, tolerance in ((torch.float64, 1e-7), (torch.float32, 1e-4)):
        a, b = torch.from_numpy(x).to(dtype), torch.from_numpy(y).to(dtype)
        found = (
            cka_distance(a, b),
            linear_shape_distance(a, b, 0.0),
            linear_shape_distance(a, b, 1.0),
            permutation_distance(a, b),
            linear_shape_distance(a[:n], b[:n], 0.0, a[n:], b[n:]),
        )
        assert [float(one) for one in found] == pytest.approx(wanted, abs=tolerance)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.7, 1.0])
def test_partly_whitened_distances_agree_with_the_oracle(alpha):
    x, y = pair(3)
    assert float(linear_shape_distance(x, y, alpha)) == pytest.approx(oracle.linear(x.numpy(), y.numpy(), alpha), abs=1e-8)


def test_cka_is_the_same_from_positions_and_from_dimensions():
    x, y = pair(n=9, d=12)
    assert float(cka_distance(x, y)) == pytest.approx(oracle.cka(x.numpy(), y.numpy()), abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_wasserstein_agrees_with_scipy(dtype):
    x, y = (part.to(dtype) for part in pair())
    assert float(wasserstein_distance(x, y)) == pytest.approx(oracle.wasserstein(x.double().numpy(), y.double().numpy()), abs=1e-9)


def test_what_each_distance_forgives_and_what_it_does_not():
    x, y = pair()
    turned, mixed = y @ rotation(12), y @ (rotation(12) * torch.linspace(0.5, 3, 12, dtype=torch.float64)) + 5
    renamed = y[:, torch.randperm(12, generator=torch.Generator().manual_seed(4))]
    for distance in (cka_distance, lambda a, b: linear_shape_distance(a, b, 1.0)):
        assert distance(x, turned).item() == pytest.approx(distance(x, y).item(), abs=1e-9)
        assert abs(distance(x, mixed).item() - distance(x, y).item()) > 1e-3
    assert linear_shape_distance(x, mixed, 0.0).item() == pytest.approx(linear_shape_distance(x, y, 0.0).item(), abs=1e-9)
    assert permutation_distance(x, renamed).item() == pytest.approx(permutation_distance(x, y).item(), abs=1e-9)
    assert abs(permutation_distance(x, turned).item() - permutation_distance(x, y).item()) > 1e-3
    assert wasserstein_distance(x, renamed).item() == pytest.approx(wasserstein_distance(x, y).item(), abs=1e-12)


@given(st.integers(0, 10_000), st.integers(30, 80), st.integers(2, 8))
@settings(max_examples=25, deadline=None)
def test_a_copy_is_at_no_distance_and_the_distance_is_the_same_both_ways(seed, n, d):
    x, y = pair(seed, n, d)
    for distance in DISTANCES.values():
        assert 0 <= float(distance(x, x)) <= 1e-6
        assert 0 <= float(distance(x.float(), x.float())) <= 1e-3
        assert float(distance(x, y)) > 1e-4
        assert float(distance(x, y)) == pytest.approx(float(distance(y, x)), abs=1e-6)


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_more_noise_is_further_away(seed):
    x, _ = pair(seed, n=400, d=6)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64) * x.std()
    for distance in DISTANCES.values():
        steps = [float(distance(x, x + share * noise)) for share in (0.0, 0.1, 1.0, 10.0)]
        assert steps == sorted(steps)
        assert steps[-1] > steps[0] + 0.1


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_features_that_do_not_vary_have_no_distance(alpha):
    x, _ = pair()
    still = torch.zeros_like(x)
    for one, other in ((x, still), (still, x), (still, still)):
        assert math.isnan(linear_shape_distance(one, other, alpha))
        assert math.isnan(cka_distance(one, other))
        assert math.isnan(permutation_distance(one, other))


def test_values_that_are_no_numbers_have_no_distance():
    x, y = pair()
    y[3, 2] = torch.nan
    for distance in DISTANCES.values():
        assert math.isnan(distance(x, y))


def test_with_as_many_dimensions_as_positions_some_map_fits_anything_so_there_is_no_distance():
    x, y = pair(n=12, d=12)
    assert oracle.linear(x.numpy(), y.numpy(), 0.0) < 1e-3  # what the released code would say: the same, whatever is compared
    assert math.isnan(linear_shape_distance(x, y, 0.0))
    assert float(linear_shape_distance(x, y, 1.0)) > 0.1


def test_a_candidate_that_lost_directions_is_far_not_near():
    x, _ = pair()
    lost = x.clone()
    lost[:, 6:] = 0
    assert float(linear_shape_distance(x, lost, 0.0)) > 0.5


@pytest.mark.parametrize("decades", [0, 5, 9, 20])
def test_the_quick_rotation_is_orthogonal_and_gains_as_much_as_the_exact_one(decades):
    many = torch.randn(5, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    many = many * torch.logspace(0, -decades, 16, dtype=torch.float64)
    found = one_by_one(many)
    assert torch.allclose(found.mT @ found, torch.eye(16, dtype=torch.float64).expand(5, -1, -1), atol=1e-9)
    assert torch.allclose((found * many).sum((-2, -1)), torch.linalg.svdvals(many).sum(-1), rtol=1e-12)
    if decades < 5:
        assert torch.allclose(found, polar(many), atol=1e-8)


@pytest.mark.parametrize("decades", [0, 4, 7])
def test_the_rotation_is_the_same_by_products_alone(decades):
    many = torch.randn(5, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    many = many * torch.logspace(0, -decades, 16, dtype=torch.float64)
    assert torch.allclose(by_products(many), polar(many), atol=1e-8)


def test_the_rotation_is_the_same_by_newton_and_by_decomposition_even_where_one_is_singular():
    many = torch.randn(5, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    many[1] *= torch.logspace(0, -9, 16, dtype=torch.float64)
    assert torch.allclose(newton(many), polar(many), atol=1e-8)
    many[2, :, 3] = 0
    found = side_by_side(many)
    assert torch.allclose(found.mT @ found, torch.eye(16, dtype=torch.float64).expand(5, -1, -1), atol=1e-9)
    kept = [0, 1, 3, 4]
    assert torch.allclose(found[kept], polar(many)[kept], atol=1e-8)
    assert torch.allclose((found * many).sum((-2, -1)), torch.linalg.svdvals(many).sum(-1))


@pytest.mark.parametrize("module", [shape, permutation, wasserstein])
def test_the_examples_in_the_docstrings_of_shape_distances_hold(module):
    found = doctest.testmod(module, extraglobs={"torch": torch})
    assert found.attempted > 0
    assert found.failed == 0


DISTANCES = {
    "cka": cka_distance,
    "procrustes": lambda x, y: linear_shape_distance(x, y, 1.0),
    "cca": lambda x, y: linear_shape_distance(x, y, 0.0),
    "permutation": permutation_distance,
    "wasserstein": wasserstein_distance,
}
