"""What is planted is found: a block that writes the right word, words that no head knows, a vocabulary of a few words."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.contracts import ProfileSettings, SemanticSettings
from analysis.models.final_norm import final_norm
from analysis.semantics import curves
from analysis.semantics.bases import Bases
from analysis.semantics.curves import Squares, Tracer, trace
from analysis.semantics.run import semantics_key, trace_model
from tests.profiling import tiny
from tests.semantics import trace_oracle

SETTINGS = ProfileSettings(unit_tokens=100, cka_minibatch=16, batch_tokens=100)
PLAIN = SemanticSettings(gradients=False)
EXAMPLES = tiny.examples(10, slices=("a", "b"))


@pytest.fixture(scope="module")
def model():
    return tiny.loaded(tiny.tiny_llama())


@pytest.mark.parametrize("block", [0, 2, 3])
def test_a_block_that_writes_the_right_word_has_the_largest_gain(block):
    """Every response is the token that stands before it, so a block can know it: it adds that token's basis."""
    planted = tiny.loaded(tiny.tiny_llama())
    said = [_echoing(example) for example in EXAMPLES]
    bases = Bases.of(planted.model.lm_head.weight)
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        planted.stack().root.register_forward_pre_hook(lambda _m, _a, kwargs: seen.update(ids=kwargs["input_ids"]), with_kwargs=True),
        planted.stack().blocks[block].register_forward_hook(lambda _m, _a, out: _towards(out, bases, seen["ids"])),
    ]
    _, found = trace_model(planted, tiny.encoded(said), SETTINGS, PLAIN)
    for hook in hooks:
        hook.remove()
    for name in ("literal", "literal_raw"):
        gain = np.array(found.overall.curves[name].gain, dtype=float)
        assert gain.argmax() == block
        assert gain[block] > 0.5
    assert np.array(found.overall.alignment, dtype=float).argmax() == block


def _echoing(example):
    ids = example.input_ids.copy()
    answer = np.flatnonzero(example.kinds == 2)
    ids[answer] = ids[answer[0] - 1]
    return replace(example, input_ids=ids)


def _towards(out: torch.Tensor, bases: Bases, ids: torch.Tensor) -> torch.Tensor:
    basis = bases.full(ids.flatten(), "literal").float().view_as(out)
    return out + 20 * out.norm(dim=-1, keepdim=True) * basis / basis.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("n", [12, 60])
def test_a_restricted_vocabulary_agrees_with_its_definition_and_leaves_other_tokens_out(model, n, monkeypatch):
    chosen = np.sort(np.random.default_rng(3).permutation(tiny.VOCABULARY)[:n])
    monkeypatch.setattr("analysis.semantics.run.chosen_words", lambda *_: chosen)
    _, found = trace_model(model, tiny.encoded(EXAMPLES), SETTINGS, PLAIN)
    wide = trace_oracle.wide(tiny.loaded(copy.deepcopy(model.model)))
    wanted = trace_oracle.traces(wide, wide.model.model.norm, EXAMPLES, chosen)
    assert found.n_words == n
    assert found.overall.n_tokens == wanted.n_tokens
    assert found.overall.n_tokens + found.n_outside_vocabulary == 30
    for curve, values in wanted.deviation.items():
        np.testing.assert_allclose(np.array(found.overall.curves[curve].mean), values, atol=5e-5, err_msg=curve)
    np.testing.assert_allclose(np.array(found.overall.lens.loss), wanted.lens[0], atol=1e-3)
    assert any("fewer words" in note.in_english() for note in found.notes) == (n < 32)
    assert (found.condition_number is None) == (n < 32)


def test_the_words_of_the_responses_leave_nothing_out(model):
    _, found = trace_model(model, tiny.encoded(EXAMPLES), SETTINGS, PLAIN.model_copy(update={"vocabulary": "responses"}))
    words = {int(word) for example in EXAMPLES for word in example.input_ids[example.kinds == 2]}
    assert found.n_words == len(words)
    assert found.n_outside_vocabulary == 0


def test_without_the_lens_the_literal_basis_is_used_unjudged(model):
    _, found = trace_model(model, tiny.encoded(EXAMPLES), SETTINGS, SemanticSettings(lens_tokens=0, gradients=False, traces=2))
    assert (found.default_curve, found.fidelity, found.overall.lens) == ("literal", (), None)
    assert "lens" not in found.overall.curves
    assert found.examples[0].lens_loss is None
    assert found.traces[0].lens_loss is None


def test_the_basis_that_names_the_right_word_most_often_is_the_default(model):
    _, found = trace_model(model, tiny.encoded(EXAMPLES), SETTINGS, PLAIN)
    best = max((one for one in found.fidelity if one.curve != "lens"), key=lambda one: one.right)
    assert found.default_curve == best.curve


def test_where_the_final_norm_is_not_to_be_had_states_are_traced_as_they_are(model, monkeypatch):
    monkeypatch.setattr("analysis.semantics.run.final_norm", lambda *_: None)
    _, found = trace_model(model, tiny.encoded(EXAMPLES), SETTINGS, PLAIN)
    assert set(found.overall.curves) == {"literal_raw", "centred_raw", "whitened_raw"}
    assert found.default_curve == "literal_raw"
    assert any("as they are" in note.in_english() for note in found.notes)


def test_a_norm_that_mixes_tokens_is_not_taken_for_one():
    class Mixing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x - x.mean(1, keepdim=True)

    odd = tiny.tiny_llama()
    odd.model.norm = Mixing()
    loaded = tiny.loaded(odd)
    assert final_norm(loaded, loaded.stack()) is None


def test_states_that_overflow_are_left_out_and_counted():
    broken = tiny.loaded(tiny.tiny_llama())
    target = EXAMPLES[0]

    def overflow(_m, _a, out):
        out = out.clone()
        hit = (seen["ids"] == int(target.input_ids[-5])).nonzero()
        out[hit[:, 0], hit[:, 1]] = torch.inf
        return out

    seen: dict[str, torch.Tensor] = {}
    hooks = [
        broken.stack().root.register_forward_pre_hook(lambda _m, _a, kwargs: seen.update(ids=kwargs["input_ids"]), with_kwargs=True),
        broken.stack().blocks[-1].register_forward_hook(overflow),
    ]
    _, found = trace_model(broken, tiny.encoded(EXAMPLES), SETTINGS, PLAIN)
    for hook in hooks:
        hook.remove()
    assert found.overall.n_tokens < 30
    assert any("overflowed" in note.in_english() for note in found.notes)
    assert all(np.isfinite(np.array(curve.mean, dtype=float)).all() for curve in found.overall.curves.values())


def test_half_precision_comes_near_the_same(model):
    half = tiny.loaded(copy.deepcopy(model.model).to(torch.bfloat16))
    _, exact = trace_model(model, tiny.encoded(EXAMPLES), SETTINGS, PLAIN)
    _, found = trace_model(half, tiny.encoded(EXAMPLES), SETTINGS, PLAIN)
    for name, curve in exact.overall.curves.items():
        np.testing.assert_allclose(np.array(found.overall.curves[name].mean), np.array(curve.mean), atol=0.05, err_msg=name)


def test_critical_prompts_are_traced_first_and_slices_take_turns(model):
    made = [replace(example, critical=number in (4, 7)) for number, example in enumerate(EXAMPLES)]
    _, found = trace_model(model, tiny.encoded(made), SETTINGS, PLAIN.model_copy(update={"traces": 4}))
    assert [trace.critical for trace in found.traces] == [True, True, False, False]
    assert {trace.slice for trace in found.traces[2:]} == {"a", "b"}
    assert all(len(trace.deviation) == len(trace.tokens) == 3 for trace in found.traces)


def test_the_key_depends_on_what_was_asked_and_not_on_the_batch(model):
    asked = SETTINGS.model_copy(update={"stack": "decoder"})
    key = semantics_key(model.info, "w", asked, PLAIN)
    assert key == semantics_key(model.info, "w", asked.model_copy(update={"batch_tokens": 7}), PLAIN)
    assert key != semantics_key(model.info, "w", asked, PLAIN.model_copy(update={"lens_tokens": 1}))
    assert key != semantics_key(model.info, "v", asked, PLAIN)


def test_measuring_on_a_gpu_takes_the_same_products_from_one_matrix(monkeypatch):
    """Small steps on large states, as in a deep model: nothing may cancel."""
    generator = torch.Generator().manual_seed(3)
    large = torch.randn(5, 1, 64, generator=generator) * 40
    states = large + 0.01 * torch.randn(5, 7, 64, generator=generator).cumsum(1)
    directions = torch.nn.functional.normalize(torch.randn(5, 3, 64, generator=generator), dim=-1)
    bases = Bases.of(torch.randn(200, 64, generator=generator, dtype=torch.float64))
    tracer = Tracer.of(bases, None, torch.float32)
    deviation, alignment = tracer.measure(states, directions)
    exact = trace(
        (states.double() @ directions.double().mT).mT,
        Squares(*(found[:, None] for found in _whole(states.double()))),
    )
    for basis in (0, 1):
        torch.testing.assert_close(deviation[:, basis], exact[0][:, basis], rtol=0, atol=1e-6)
        torch.testing.assert_close(alignment[:, basis], exact[1][:, basis], rtol=0, atol=1e-3)
    monkeypatch.setattr(curves, "_dots", lambda a, b, *shifts: [one.double() for one in curves._diagonals(a, b, shifts)])
    for again, first in zip(tracer.measure(states, directions), (deviation, alignment), strict=True):
        torch.testing.assert_close(again, first, rtol=0, atol=1e-3)


def _whole(states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    step = states[:, 1:] - states[:, :-1]
    return states.square().sum(-1), (step * states[:, :-1]).sum(-1), step.square().sum(-1)
