"""Every text decoder, in padded batches, gives the traces of their definition on unpadded single prompts."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from analysis.contracts import ProfileSettings, SemanticSettings
from analysis.errors import ModelError
from analysis.models.final_norm import final_norm
from analysis.semantics.run import trace_model
from tests.models.tiny import TINY, build
from tests.profiling import tiny
from tests.semantics import trace_oracle

SETTINGS = ProfileSettings(unit_tokens=60, cka_minibatch=16, batch_tokens=80)
EXAMPLES = tiny.examples(6, longest=20, slices=("a", "b"))
ENCODERS = ("bert", "distilbert", "modernbert")
OTHERS = ("t5", "whisper", "vit")
NORMS = {
    "gpt2": "transformer.ln_f",
    "gpt_neox": "gpt_neox.final_layer_norm",
    "gpt_neox_sequential": "gpt_neox.final_layer_norm",
    "falcon": "transformer.ln_f",
    "falcon_new": "transformer.ln_f",
    "falcon_sequential": "transformer.ln_f",
    "bloom": "transformer.ln_f",
    "phi": "model.final_layernorm",
    "opt": "model.decoder.final_layer_norm",
    "opt_post_norm": None,
}
DECODERS = [name for name in TINY if name not in (*ENCODERS, *OTHERS)]


@pytest.mark.parametrize("name", DECODERS)
def test_the_traces_agree_with_their_definitions(name):
    model = tiny.loaded(build(name))
    _, found = trace_model(model, tiny.encoded(EXAMPLES), SETTINGS, SemanticSettings(gradients=False))
    wide = trace_oracle.wide(tiny.loaded(copy.deepcopy(model.model)))
    path = NORMS.get(name, "model.norm")
    wanted = trace_oracle.traces(wide, None if path is None else wide.model.get_submodule(path), EXAMPLES)
    assert found.overall.n_tokens == wanted.n_tokens
    for curve, values in wanted.deviation.items():
        np.testing.assert_allclose(np.array(found.overall.curves[curve].mean), values, atol=3e-5, err_msg=curve)
        np.testing.assert_allclose(np.array(found.overall.curves[curve].gain), values[:-1] - values[1:], atol=5e-5, err_msg=curve)
    np.testing.assert_allclose(np.array(found.overall.alignment), wanted.alignment[found.default_curve], atol=1e-4)
    lens = found.overall.lens
    assert lens is not None
    np.testing.assert_allclose(np.array([lens.loss, lens.top1, lens.reciprocal_rank, lens.entropy]), wanted.lens, atol=1e-3)
    right = {one.curve: one.right for one in found.fidelity}
    assert right.pop("lens") == pytest.approx(wanted.lens[1, -1], abs=1e-4)
    assert right == pytest.approx(wanted.right, abs=1e-4)


@pytest.mark.parametrize("name", DECODERS)
def test_the_final_norm_is_found_by_running(name):
    model = tiny.loaded(build(name))
    norm = final_norm(model, model.stack())
    path = NORMS.get(name, "model.norm")
    assert norm is not None
    assert [id(module) for module in norm.modules] == ([] if path is None else [id(model.model.get_submodule(path))])


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_is_refused_and_told_what_works(name):
    with pytest.raises(ModelError, match="no output head that predicts the next word.*train_last"):
        trace_model(tiny.loaded(build(name)), tiny.encoded(EXAMPLES), SETTINGS)


def test_an_encoder_decoder_is_refused_and_told_what_works():
    with pytest.raises(ModelError, match="encoder-decoder.*train_last"):
        trace_model(tiny.loaded(build("t5")), tiny.encoded(EXAMPLES), SETTINGS)


@pytest.mark.parametrize("name", ["vit", "whisper"])
def test_what_reads_no_text_is_refused_in_its_own_words(name):
    model = tiny.loaded(build(name))
    with pytest.raises(ModelError) as refused:
        trace_model(model, tiny.encoded(EXAMPLES), SETTINGS)
    assert refused.value.message == model.info.refusal


def test_a_model_without_a_head_is_refused():
    bare = build("llama").model
    with pytest.raises(ModelError, match="no output head"):
        trace_model(tiny.loaded(bare), tiny.encoded(EXAMPLES), SETTINGS)


def test_a_head_of_another_width_is_refused_with_both_widths():
    """As OPT-350m has it: its head reads fewer numbers than its layers hand on."""
    from transformers import OPTConfig, OPTForCausalLM

    config = OPTConfig(
        vocab_size=tiny.VOCABULARY, hidden_size=32, word_embed_proj_dim=16, num_hidden_layers=2, num_attention_heads=2, ffn_dim=32
    )
    with pytest.raises(ModelError, match=r"reads 16 numbers.*hand on 32.*train_last"):
        trace_model(tiny.loaded(OPTForCausalLM(config)), tiny.encoded(EXAMPLES), SETTINGS)
