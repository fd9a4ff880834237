"""What is planted is found: dead blocks, sink tokens, uncertainty, the prompts behind a score."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.contracts import ProfileSettings
from analysis.profiling.bootstrap import intervals, poisson_weights, rank_stability, ranks
from analysis.profiling.run import profile_model
from tests.profiling import tiny

SETTINGS = ProfileSettings(unit_tokens=100, cka_minibatch=16)


def with_identity_blocks(*dead: int):
    model = tiny.tiny_llama(n_blocks=6)
    with torch.no_grad():
        for index in dead:
            model.model.layers[index].self_attn.o_proj.weight.zero_()
            model.model.layers[index].mlp.down_proj.weight.zero_()
    return tiny.loaded(model)


def test_planted_identity_blocks_are_found_out():
    found = profile_model(with_identity_blocks(2, 4), tiny.encoded(tiny.examples(12)), SETTINGS).overall
    assert np.argsort(found.block_influence)[:2].tolist() in ([2, 4], [4, 2])
    for index in (2, 4):
        assert abs(found.block_influence[index]) < 1e-6
        assert abs(found.attention_influence[index]) < 1e-6
        assert abs(found.mlp_influence[index]) < 1e-6
        assert found.angular_distance[index][index + 1] < 1e-5
        assert found.linear_cka[index][index + 1] == pytest.approx(1, abs=1e-6)
        assert found.relative_contribution[index] < 1e-5


def test_a_dead_attention_is_found_beside_a_living_mlp():
    model = tiny.tiny_llama()
    with torch.no_grad():
        model.model.layers[1].self_attn.o_proj.weight.zero_()
    found = profile_model(tiny.loaded(model), tiny.encoded(tiny.examples(12)), SETTINGS).overall
    assert abs(found.attention_influence[1]) < 1e-6
    assert found.mlp_influence[1] == pytest.approx(found.block_influence[1], abs=1e-6)


def test_a_massive_token_is_a_sink_and_stays_out_of_the_default_scores():
    model = tiny.tiny_llama()
    with torch.no_grad():
        model.model.embed_tokens.weight[7] = 200.0
    plain = tiny.examples(12)
    for example in plain:
        example.input_ids[example.input_ids == 7] = 8
    spiked = [type(e)(**{**vars(e), "input_ids": e.input_ids.copy()}) for e in plain]
    for example in spiked:
        example.input_ids[4] = 7
    found = profile_model(tiny.loaded(model), tiny.encoded(spiked), SETTINGS)
    assert found.slices["sink"].n_tokens == 2 * len(spiked)
    assert found.overall.n_tokens == profile_model(tiny.loaded(model), tiny.encoded(plain), SETTINGS).overall.n_tokens - len(spiked)
    assert found.overall.norms[0] < 20 < found.slices["sink"].norms[0]


def test_weights_count():
    heavy = tiny.examples(2, slices=("a",))
    heavy = [type(e)(**{**vars(e), "weight": w}) for e, w in zip(heavy, (1e6, 1.0), strict=True)]
    alone = profile_model(tiny.loaded(tiny.tiny_llama()), tiny.encoded(heavy[:1]), SETTINGS).overall
    both = profile_model(tiny.loaded(tiny.tiny_llama()), tiny.encoded(heavy), SETTINGS).overall
    np.testing.assert_allclose(both.block_influence, alone.block_influence, atol=1e-5)


def test_scores_lie_inside_their_intervals_and_ranks_are_ranks():
    found = profile_model(tiny.loaded(tiny.tiny_llama()), tiny.encoded(tiny.examples(40)), SETTINGS).overall
    for score, (low, high) in zip(found.block_influence, found.intervals.block_influence, strict=True):
        assert low <= score <= high
    for low, high in found.intervals.block_rank:
        assert 1 <= low <= high <= len(found.block_influence)


def test_the_prompts_own_scores_average_to_the_whole():
    made = tiny.examples(12)
    found = profile_model(tiny.loaded(tiny.tiny_llama()), tiny.encoded(made), SETTINGS)
    weight = {example.example_id: example.weight for example in made}
    share = np.array([row.n_tokens * weight[row.example_id] for row in found.examples])
    own = np.array([row.block_influence for row in found.examples])
    np.testing.assert_allclose(share @ own / share.sum(), found.overall.block_influence, atol=1e-4)


def test_excerpts_can_be_left_out():
    found = profile_model(tiny.loaded(tiny.tiny_llama()), tiny.encoded(tiny.examples(4)), SETTINGS.model_copy(update={"excerpts": False}))
    assert {row.excerpt for row in found.examples} == {""}


def test_few_tokens_leave_cka_undefined_not_invented():
    short = tiny.examples(1, longest=9)
    found = profile_model(tiny.loaded(tiny.tiny_llama()), tiny.encoded(short), SETTINGS)
    assert found.overall.linear_cka is None
    assert found.overall.cka_minibatches == 0


def test_poisson_weights_are_the_same_everywhere_and_have_mean_one():
    one, other = poisson_weights(["ab" * 32, "cd" * 32], 20000).T
    assert (one == poisson_weights(["ab" * 32], 20000)[:, 0]).all()
    assert abs(one.mean() - 1) < 0.03
    assert abs(one.var() - 1) < 0.05
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.03


def test_bootstrap_intervals_cover_the_true_mean_about_95_times_in_100():
    generator = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        values = generator.normal(size=60)
        weights = poisson_weights([f"{trial * 1000 + i:016x}" for i in range(60)], 200)
        (interval,) = intervals((weights @ values / weights.sum(1))[:, None])
        hits += interval[0] <= 0 <= interval[1]
    assert 0.88 <= hits / 200 <= 0.99


def test_ranks_share_ties_and_leave_undefined_scores_out():
    assert ranks(np.array([0.3, 0.1, 0.3, np.nan])).tolist()[:3] == [2.5, 1.0, 2.5]


def test_rank_stability_grows_to_one():
    generator = np.random.default_rng(1)
    scores = np.arange(10) / 10 + generator.normal(scale=0.4, size=(100, 10))
    curve = rank_stability(scores, np.ones(100))
    assert curve[-1].n_examples == 100
    assert curve[-1].spearman_median == pytest.approx(1)
    assert curve[0].spearman_median < curve[-2].spearman_median
