"""One backward pass: the right norms, and a model that shows no trace of it."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.contracts import ProfileSettings, SemanticSettings
from analysis.errors import Cancelled, ModelError, ResourceError, WorkloadError
from analysis.profiling.stream import Watch
from analysis.semantics.gradients import gradient_norms
from analysis.semantics.run import trace_model
from analysis.workload import RESPONSE
from tests.models.tiny import TINY, build
from tests.profiling import tiny
from tests.semantics.test_trace_architectures import DECODERS

EXAMPLES = tiny.examples(6, longest=20, slices=("a", "b"))


@pytest.fixture
def model():
    return tiny.loaded(tiny.tiny_llama())


def plainly(model, examples) -> list[torch.Tensor]:
    """The gradient of the mean response loss, all at once, by blocks."""
    other = copy.deepcopy(model.model).double()
    losses, weights = [], 0.0
    for example in examples:
        ids = torch.from_numpy(example.input_ids)
        places = torch.from_numpy(np.flatnonzero(example.kinds == RESPONSE))
        logits = other(input_ids=ids[None]).logits[0]
        losses.append(example.weight * torch.nn.functional.cross_entropy(logits[places - 1], ids[places], reduction="sum"))
        weights += example.weight * len(places)
    (sum(losses) / weights).backward()
    stack = tiny.loaded(other).stack()
    return [
        torch.cat([torch.zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in block.parameters()]) for block in stack.blocks
    ]


@pytest.mark.parametrize("name", DECODERS)
def test_the_norms_are_those_of_the_mean_loss(name):
    model = tiny.loaded(build(name))
    found = gradient_norms(model, model.stack(), tiny.encoded(EXAMPLES))
    wanted = plainly(model, EXAMPLES)
    weights = [torch.cat([p.detach().flatten() for p in block.parameters()]).norm() for block in model.stack().blocks]
    np.testing.assert_allclose(np.array(found.l1), [float(g.abs().sum()) for g in wanted], rtol=2e-3)
    np.testing.assert_allclose(np.array(found.l2), [float(g.norm()) for g in wanted], rtol=2e-3)
    np.testing.assert_allclose(np.array(found.per_parameter), [float(g.abs().mean()) for g in wanted], rtol=2e-3)
    np.testing.assert_allclose(np.array(found.relative), [float(g.norm() / w) for g, w in zip(wanted, weights, strict=True)], rtol=2e-3)
    assert (found.n_tokens, found.n_examples) == (18, 6)


def test_the_model_is_left_as_it_was(model):
    parameters = dict(model.model.named_parameters())
    parameters["model.norm.weight"].requires_grad_(False)
    kept = torch.full_like(parameters["lm_head.weight"], 3.0)
    parameters["lm_head.weight"].grad = kept
    model.model.model.layers[1].train()
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    modes = {name: module.training for name, module in model.model.named_modules()}
    gradient_norms(model, model.stack(), tiny.encoded(EXAMPLES))
    assert all(torch.equal(value, before[name]) for name, value in model.model.state_dict().items())
    assert {name: module.training for name, module in model.model.named_modules()} == modes
    assert {name for name, value in parameters.items() if not value.requires_grad} == {"model.norm.weight"}
    assert {name for name, value in parameters.items() if value.grad is not None} == {"lm_head.weight"}
    assert parameters["lm_head.weight"].grad is kept


def test_only_so_many_tokens_are_run(model):
    found = gradient_norms(model, model.stack(), tiny.encoded(EXAMPLES), tokens=40)
    assert 1 <= found.n_examples < 6


def test_no_prompt_short_enough_is_said(model):
    with pytest.raises(WorkloadError, match="No answered prompt fits into the 3 tokens"):
        gradient_norms(model, model.stack(), tiny.encoded(EXAMPLES), tokens=3)


def test_prompts_of_no_weight_pull_at_nothing(model):
    weightless = [replace(example, weight=0.0) for example in EXAMPLES]
    with pytest.raises(WorkloadError):
        gradient_norms(model, model.stack(), tiny.encoded(weightless))


def test_a_stop_is_obeyed_and_leaves_the_model_clean(model, monkeypatch):
    monkeypatch.setattr("analysis.semantics.gradients.BATCH_TOKENS", {"cpu": 1})
    calls = iter([False, True])
    with pytest.raises(Cancelled):
        gradient_norms(model, model.stack(), tiny.encoded(EXAMPLES), watch=Watch(should_stop=lambda: next(calls)))
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.model.parameters())


def test_how_many_prompts_run_together_moves_nothing(model, monkeypatch):
    together = gradient_norms(model, model.stack(), tiny.encoded(EXAMPLES))
    monkeypatch.setattr("analysis.semantics.gradients.BATCH_TOKENS", {"cpu": 1})
    apart = gradient_norms(model, model.stack(), tiny.encoded(EXAMPLES))
    np.testing.assert_allclose(np.array(apart.l1), np.array(together.l1), rtol=1e-5)


@pytest.mark.parametrize(
    ("failure", "error", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), ResourceError, "not enough memory for the gradients"),
        (RuntimeError("derivative for aten::packed is not implemented"), ModelError, "could not be run backwards"),
    ],
)
def test_a_failing_backward_pass_is_said_and_skipped_in_a_job(model, failure, error, sentence):
    encoded = tiny.encoded(EXAMPLES)

    def fail(_module, _args, out):
        if torch.is_grad_enabled():
            raise failure

    hook = model.stack().blocks[1].register_forward_hook(fail)
    with pytest.raises(error, match=sentence):
        gradient_norms(model, model.stack(), encoded)
    _, found = trace_model(model, encoded, ProfileSettings(unit_tokens=100, cka_minibatch=16), SemanticSettings())
    hook.remove()
    assert found.gradients is None
    assert any(sentence in note.in_english() for note in found.notes)


def test_gradients_that_do_not_fit_are_refused_before_anything_is_run(model, monkeypatch):
    monkeypatch.setattr("analysis.models.memory.available_bytes", lambda _device: 100)
    with pytest.raises(ResourceError):
        gradient_norms(model, model.stack(), tiny.encoded(EXAMPLES))


def test_every_architecture_is_looked_at():
    assert len(DECODERS) == len(TINY) - 6
