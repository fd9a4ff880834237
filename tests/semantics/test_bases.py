"""Vocabulary bases against numpy's pseudo-inverse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.semantics.bases import Bases, Weigher
from tests.semantics.trace_oracle import whole_bases


def head(words: int, width: int, seed: int = 1) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    return torch.from_numpy(generator.normal(size=(words, width)) + generator.normal(size=width))


@pytest.mark.parametrize("words", [500, 40, 32, 20])
@pytest.mark.parametrize("basis", ["literal", "centred", "whitened"])
def test_a_basis_is_its_row_of_the_pseudo_inverse(words, basis):
    weight = head(words, 32)
    found = Bases.of(weight).full(torch.arange(words), basis)
    np.testing.assert_allclose(found.numpy(), whole_bases(weight.numpy())[basis][0], atol=1e-8)


def test_logits_of_the_bases_are_the_projector_onto_the_heads_columns():
    weight = head(500, 32)
    logits = Bases.of(weight).full(torch.arange(500), "literal") @ weight.T
    torch.testing.assert_close(logits @ logits, logits)


@pytest.mark.parametrize("words", [500, 20])
def test_the_nearest_basis_is_found_in_blocks(words, monkeypatch):
    monkeypatch.setattr("analysis.semantics.bases.BLOCK_BYTES", {"cpu": 1})
    weight, states = head(words, 32), torch.from_numpy(np.random.default_rng(5).normal(size=(40, 32)))
    found = Bases.of(weight).nearest(states)
    for row, (basis, mapping) in enumerate(whole_bases(weight.numpy()).values()):
        scores = (states.numpy() @ mapping.T) @ basis.T / np.linalg.norm(basis, axis=1)
        np.testing.assert_array_equal(found[row].numpy(), scores.argmax(1))


def test_the_condition_number_is_that_of_the_gram():
    weight = head(500, 32)
    assert Bases.of(weight).condition_number == pytest.approx(np.linalg.cond((weight.T @ weight).numpy()))


def test_ill_conditioned_words_get_a_ridge():
    weight = head(500, 32)
    weight[:, 0] *= 1e-4
    found = Bases.of(weight)
    assert found.condition_number > 1e8
    assert found.ridge == pytest.approx(1e-6 * float((weight.T @ weight).trace()) / 32)
    assert found.full(torch.arange(500), "literal").isfinite().all()


def test_a_dimension_that_no_word_uses_gets_a_ridge_too():
    weight = head(500, 32)
    weight[:, 0] = 0
    found = Bases.of(weight)
    assert found.condition_number is None
    assert found.ridge > 0
    assert not found.small


def test_a_row_of_zeros_is_never_the_nearest():
    weight = head(64, 8)
    weight[5] = 0
    found = Bases.of(weight).nearest(-torch.ones(1, 8))
    assert int(found[0]) != 5


def test_chosen_words_are_a_vocabulary_of_their_own():
    weight, ids = head(500, 32), torch.tensor([3, 8, 20, 77, 400])
    some, own = Bases.of(weight, ids), Bases.of(weight[ids])
    torch.testing.assert_close(some.directions(torch.arange(5)), own.directions(torch.arange(5)))
    assert some.small


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.bfloat16, 2**-15), (torch.float16, 2**-19)])
def test_half_precision_parts_keep_the_gram(dtype, rtol, monkeypatch):
    """The CPU has no half-precision product with float32 results, so it is written out here."""
    monkeypatch.setattr(torch, "bmm", lambda a, b, out_dtype: (a.double() @ b.double()).to(out_dtype))
    weight, states = head(500, 32), torch.from_numpy(np.random.default_rng(5).normal(size=(4, 3, 32))).to(dtype)
    gram = weight.T @ weight
    wanted = states.double() @ gram
    found = Weigher.split(gram, dtype)(states).double()
    assert float((found - wanted).norm() / wanted.norm()) < rtol


def test_the_weigher_multiplies_by_the_gram():
    gram, states = torch.eye(8, dtype=torch.float64) * 3, torch.ones(2, 4, 8)
    torch.testing.assert_close(Weigher.of(gram, torch.float32)(states), 3 * states)
