"""A profile's numbers are the published definitions' numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.contracts import Profile, ProfileSettings
from analysis.profiling.run import profile_model
from analysis.profiling.units import cut_units
from analysis.similarity import block_influence, linear_cka
from tests.profiling import oracle, tiny

SETTINGS = ProfileSettings(unit_tokens=120, cka_minibatch=16, batch_tokens=64)
EXAMPLES = tiny.examples(14, slices=("a", "b", "c"))


@pytest.fixture(scope="module")
def model():
    return tiny.loaded(tiny.tiny_llama())


@pytest.fixture(scope="module")
def profile(model) -> Profile:
    return profile_model(model, tiny.encoded(EXAMPLES), SETTINGS)


@pytest.mark.parametrize("group", ["overall", "prompt", "response", "template", "sink", "a", "b", "c"])
def test_every_measure_agrees_with_its_definition_within_1e_5(model, profile, group):
    found = profile.overall if group == "overall" else profile.slices[group]
    wanted = oracle.scores(model.stack(), EXAMPLES, group)
    pairs = {
        "block": found.block_influence,
        "attention": found.attention_influence,
        "mlp": found.mlp_influence,
        "contribution": found.relative_contribution,
        "cosine": found.cosine_similarity,
        "angle": found.angular_distance,
    }
    for name, values in pairs.items():
        np.testing.assert_allclose(np.array(values, dtype=float), wanted[name], atol=1e-5, err_msg=name)
    np.testing.assert_allclose(np.array(found.norms), wanted["norms"], rtol=1e-5)
    if group in ("overall", "a", "b", "c"):
        np.testing.assert_allclose(np.array(found.angular_distance_last_token, dtype=float), wanted["last"], atol=1e-5)


def _token_states(model) -> dict[str, np.ndarray]:
    return {example.example_id: oracle.states_of(model.stack(), example)[0] for example in EXAMPLES}


def _hsic_matrix(states: np.ndarray) -> np.ndarray:
    p = states.shape[1]
    return np.array([[oracle.unbiased_hsic(states[:, i], states[:, j]) for j in range(p)] for i in range(p)])


def test_cka_is_the_unbiased_estimate_averaged_over_minibatches(model, profile):
    states = _token_states(model)
    total = 0.0
    for unit in cut_units(EXAMPLES, 120, 16):
        rows = np.concatenate([states[example.example_id] for example in unit.examples])
        by_slot = np.empty_like(rows)
        by_slot[np.concatenate(unit.slots)] = rows
        view = unit.minibatches
        for number in range(view.count):
            slots = np.arange(number, view.n_tokens, view.count)
            total = total + len(slots) * _hsic_matrix(by_slot[view.start + slots])
    own = np.sqrt(np.diag(total))
    np.testing.assert_allclose(np.array(profile.overall.linear_cka, dtype=float), total / np.outer(own, own), atol=1e-5)


def test_minibatch_cka_is_close_to_the_cka_of_all_tokens_at_once(model, profile):
    states = _token_states(model)
    counted = np.concatenate([states[e.example_id][oracle.groups(e, states[e.example_id])["overall"]] for e in EXAMPLES])
    hsic = _hsic_matrix(counted)
    whole = hsic / np.sqrt(np.outer(np.diag(hsic), np.diag(hsic)))
    np.testing.assert_allclose(np.array(profile.overall.linear_cka, dtype=float), whole, atol=0.05)


def test_the_last_block_is_read_before_the_final_norm(model, profile):
    example = EXAMPLES[0]
    with torch.no_grad():
        hidden = model.model(input_ids=torch.from_numpy(example.input_ids)[None], output_hidden_states=True).hidden_states
    own = oracle.states_of(model.stack(), example)[0]
    normed = model.model.model.norm(torch.from_numpy(own[:, -1]).float())
    torch.testing.assert_close(hidden[-1][0], normed, atol=1e-5, rtol=1e-5)
    assert np.abs(hidden[-1][0].numpy() - own[:, -1]).max() > 0.01


def test_identical_vectors_have_distance_zero_and_cka_one():
    x = torch.randn(40, 16)
    assert float(block_influence(x, x)) < 1e-12
    assert abs(float(linear_cka(x, x)) - 1) < 1e-12


def test_cka_ignores_rotation_scale_and_shift():
    torch.manual_seed(0)
    x = torch.randn(40, 16, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64)).Q
    assert abs(float(linear_cka(x, 3 * x @ rotation + 5)) - 1) < 1e-9


def test_unrelated_random_features_read_zero_where_the_biased_form_would_not():
    torch.manual_seed(0)
    draws = [float(linear_cka(torch.randn(32, 512), torch.randn(32, 512))) for _ in range(40)]
    assert abs(float(np.mean(draws))) < 0.05
