"""Attributions of what units add: equal to autograd by hand and to captum's own sums, complete, and without a trace."""

from __future__ import annotations

import ast
import inspect
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from captum.attr import LayerConductance
from torch import Tensor, nn

from analysis.contracts import UnitRef, Voter
from analysis.errors import Cancelled
from analysis.models.stack import LoadedModel
from analysis.search import attribution
from analysis.search.attribution import attribution_cost, attribution_scores
from analysis.surgery.skip import left_out, ways_of
from analysis.workload import EncodedExample, scored
from tests.models.tiny import build
from tests.profiling import tiny

EXAMPLES = tiny.examples(6, longest=16, slices=("a", "b"))
ALL: tuple[Voter, ...] = ("gradient_x_activation", "conductance", "integrated_gradients")


@pytest.fixture
def model() -> LoadedModel:
    return tiny.loaded(tiny.tiny_llama(3))


def blocks(model: LoadedModel) -> list[UnitRef]:
    return [("block", number) for number in range(len(model.stack().blocks))]


def loss_of(model: LoadedModel, example: EncodedExample, **inputs: Tensor) -> Tensor:
    """Loss of an example's judged tokens, added up, by transformers' own forward."""
    causal = model.stack().info.causal
    places, ids = np.flatnonzero(scored(example, causal=causal)), torch.from_numpy(example.input_ids)
    logits = model.model(**(inputs or {"input_ids": ids[None]})).logits[0]
    return nn.functional.cross_entropy(logits[places - causal], ids[places], reduction="sum")


@contextmanager
def seen(block: nn.Module) -> Iterator[dict[str, Tensor]]:
    """A block's input (copied) and its output, whose gradient is kept."""
    found: dict[str, Tensor] = {}

    def enters(_: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        found["before"] = (args[0] if args else kwargs["hidden_states"]).detach().clone()

    def leaves(_: nn.Module, __: object, output: Tensor | tuple[Tensor, ...]) -> None:
        found["after"] = output if isinstance(output, Tensor) else output[0]
        found["after"].retain_grad()

    handles = [block.register_forward_pre_hook(enters, with_kwargs=True), block.register_forward_hook(leaves)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("name", ["llama", "gemma2", "bloom", "gpt_neox", "mixtral", "bert"])
def test_gradient_x_activation_is_gradient_times_what_a_layer_adds_by_hand(name: str) -> None:
    model = tiny.loaded(build(name))
    found = attribution_scores("gradient_x_activation", model, model.stack(), EXAMPLES, blocks(model))
    for row, (index,) in enumerate(found.groups):
        for number, block in enumerate(model.stack().blocks):
            with seen(block) as parts:
                loss_of(model, EXAMPLES[index]).backward()
            wanted = float((parts["after"].grad * (parts["after"].detach() - parts["before"])).sum(-1).abs().sum()) / 3
            assert found.per_group[row, number] == pytest.approx(wanted, rel=2e-3)
    np.testing.assert_allclose(found.values, np.average(found.per_group, axis=0, weights=found.group_weights))


def test_of_a_half_it_is_what_the_half_adds(model: LoadedModel) -> None:
    found = attribution_scores("gradient_x_activation", model, model.stack(), EXAMPLES, [("attention", 1), ("mlp", 1)])
    block = model.stack().blocks[1]
    for row, (index,) in enumerate(found.groups):
        for column, half in enumerate((block.self_attn, block.mlp)):
            with seen(half) as parts:
                loss_of(model, EXAMPLES[index]).backward()
            wanted = float((parts["after"].grad * parts["after"].detach()).sum(-1).abs().sum()) / 3
            assert found.per_group[row, column] == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_conductance_is_captums_own_layer_by_layer(name: str) -> None:
    model = tiny.loaded(build(name))
    found = attribution_scores("conductance", model, model.stack(), EXAMPLES, blocks(model), steps=4)
    embed = model.model.get_input_embeddings()
    average = embed(torch.from_numpy(np.concatenate([one.input_ids for one in EXAMPLES]))).detach().mean(dim=0)
    for row, (index,) in list(enumerate(found.groups))[:2]:
        example = EXAMPLES[index]
        words = embed(torch.from_numpy(example.input_ids)[None]).detach()

        places = np.flatnonzero(scored(example))
        targets = torch.from_numpy(example.input_ids[places])

        def losses(mixed: Tensor, places: np.ndarray = places, targets: Tensor = targets) -> Tensor:
            logits = model.model(inputs_embeds=mixed).logits[:, places - 1]
            return nn.functional.cross_entropy(logits.transpose(1, 2), targets.expand(len(mixed), -1), reduction="none").sum(dim=1)

        for number, block in enumerate(model.stack().blocks):
            with adding(block) as layer:
                way = LayerConductance(losses, layer)
                wanted = way.attribute(words, baselines=average.expand_as(words), n_steps=4)
            assert found.per_group[row, number] == pytest.approx(float(wanted.detach().sum(-1).abs().sum()) / 3, rel=2e-3)


@contextmanager
def adding(block: nn.Module) -> Iterator[nn.Module]:
    """A place that a block's contribution goes through, made by hand: input + place(output - input)."""
    place, own = nn.Identity(), block.forward

    def forward(*args: Tensor, **kwargs: Tensor) -> Tensor:
        before = args[0] if args else kwargs["hidden_states"]
        output = own(*args, **kwargs)
        return before + place((output if isinstance(output, Tensor) else output[0]) - before)

    block.forward = forward
    try:
        yield place
    finally:
        del block.forward


def test_shares_with_their_signs_add_up_to_the_loss_of_leaving_the_unit_out(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution, "_table", lambda found: torch.stack([one.flatten(1).sum(1) for one in found], dim=1).double().numpy())
    refs: list[UnitRef] = [("block", 1), ("attention", 0), ("mlp", 2)]
    found = attribution_scores("integrated_gradients", model, model.stack(), EXAMPLES[:3], refs, steps=32)
    with torch.no_grad():
        for row, (index,) in enumerate(found.groups):
            whole = float(loss_of(model, EXAMPLES[index]))
            for column, ref in enumerate(refs):
                with left_out(model.stack(), [ref]):
                    without = float(loss_of(model, EXAMPLES[index]))
                assert found.per_group[row, column] * 3 == pytest.approx(whole - without, abs=0.1)


@pytest.mark.parametrize("voter", ALL)
@pytest.mark.parametrize("name", ["llama", "gpt_oss"])
def test_batches_change_nothing(name: str, voter: Voter) -> None:
    model = tiny.loaded(build(name))
    refs: list[UnitRef] = [("block", 0), ("attention", 1), ("mlp", 2)]
    wide = attribution_scores(voter, model, model.stack(), EXAMPLES[:3], refs, steps=2, batch_tokens=10_000)
    narrow = attribution_scores(voter, model, model.stack(), EXAMPLES[:3], refs, steps=2, batch_tokens=16)
    assert wide.abstained is None
    assert (wide.values > 0).all()
    np.testing.assert_allclose(narrow.per_group, wide.per_group, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("voter", ALL)
def test_a_layer_that_adds_nothing_is_the_most_replaceable(voter: Voter) -> None:
    model = tiny.loaded(tiny.tiny_llama(3))
    block = model.stack().blocks[1]
    with torch.no_grad():
        block.self_attn.o_proj.weight.zero_()
        block.mlp.down_proj.weight.zero_()
    found = attribution_scores(voter, model, model.stack(), EXAMPLES, blocks(model), steps=3)
    assert found.values[1] == 0
    assert (found.values[[0, 2]] > 0).all()


@pytest.mark.parametrize("voter", ALL)
def test_it_is_taken_while_other_units_are_out_and_leaves_no_trace(model: LoadedModel, voter: Voter) -> None:
    model.model.lm_head.weight.requires_grad_(False)
    model.stack().blocks[2].train()
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    hooks = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.model.modules())
    refs: list[UnitRef] = [("block", 0), ("block", 2)]
    whole = attribution_scores(voter, model, model.stack(), EXAMPLES, refs, steps=3)
    found = attribution_scores(voter, model, model.stack(), EXAMPLES, refs, (("block", 1),), steps=3)
    assert not np.allclose(found.values, whole.values)
    assert all(torch.equal(value, before[name]) for name, value in model.model.state_dict().items())
    assert [name for name, one in model.model.named_parameters() if not one.requires_grad] == ["lm_head.weight"]
    assert all(parameter.grad is None for parameter in model.model.parameters())
    assert not model.stack().blocks[0].training
    assert model.stack().blocks[2].training
    assert sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.model.modules()) == hooks


def test_probes_change_no_bit_of_what_the_model_computes(model: LoadedModel) -> None:
    ids = torch.from_numpy(EXAMPLES[0].input_ids)[None]
    with torch.no_grad():
        plain = model.model(input_ids=ids).logits
        with attribution._probed(model.stack(), [("block", 0), ("attention", 1), ("mlp", 2)], attribution._Now()):
            assert torch.equal(model.model(input_ids=ids).logits, plain)


@pytest.mark.parametrize("voter", ALL)
def test_it_runs_as_often_as_was_said_before(model: LoadedModel, voter: Voter) -> None:
    runs: list[bool] = []
    ways_of(model.stack(), blocks(model))  # how layers are left out is tried once, on a few tokens of its own
    handle = model.stack().blocks[0].register_forward_pre_hook(lambda *_: runs.append(torch.is_grad_enabled()))
    found = attribution_scores(voter, model, model.stack(), EXAMPLES, blocks(model), steps=4, batch_tokens=10_000)
    handle.remove()
    cost = attribution_cost(voter, 3, 500, 4)
    assert len(runs) == cost.forward_passes == found.passes
    assert sum(runs) == cost.backward_passes
    assert cost.n_tokens == 500


def test_resamples_of_prompts_reweight_them(model: LoadedModel) -> None:
    found = attribution_scores("gradient_x_activation", model, model.stack(), EXAMPLES, blocks(model))
    np.testing.assert_allclose(found.resampled(np.ones((1, 6)))[0], found.values)
    twice = np.zeros((1, 6))
    twice[0, found.groups[2][0]] = 2
    np.testing.assert_allclose(found.resampled(twice)[0], found.per_group[2])


def test_without_captum_it_abstains(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    found = attribution_scores("gradient_x_activation", model, model.stack(), EXAMPLES, blocks(model))
    assert found.abstained is not None
    assert "captum is not installed" in found.abstained.in_english()
    assert np.isnan(found.values).all()


def test_captum_is_imported_only_where_it_is_asked() -> None:
    source = ast.parse(inspect.getsource(attribution))
    names = [alias.name for node in source.body if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in source.body if isinstance(node, ast.ImportFrom)]
    assert names
    assert not [name for name in names if name.startswith(("captum", "matplotlib"))]


@pytest.mark.parametrize("name", ["t5", "vit"])
def test_a_model_that_names_no_words_abstains(name: str) -> None:
    model = tiny.loaded(build(name))
    found = attribution_scores("conductance", model, model.stack(), EXAMPLES, blocks(model))
    assert found.abstained is not None
    assert "names no words" in found.abstained.in_english()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), ValueError("no inputs_embeds")])
def test_what_fails_makes_it_abstain(model: LoadedModel, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(attribution._Run, "_losses", fails)
    found = attribution_scores("conductance", model, model.stack(), EXAMPLES, blocks(model))
    assert found.abstained is not None
    assert all(parameter.requires_grad for parameter in model.model.parameters())


def test_a_stop_is_a_stop(model: LoadedModel) -> None:
    with pytest.raises(Cancelled):
        attribution_scores("conductance", model, model.stack(), EXAMPLES, blocks(model), pause=_stopping(3))


def _stopping(after: int) -> Callable[[], None]:
    left = iter(range(after))

    def pause() -> None:
        if next(left, None) is None:
            raise Cancelled("Stopped at your request.")

    return pause


def test_numbers_that_overflow_are_undefined(model: LoadedModel) -> None:
    with torch.no_grad():
        model.stack().blocks[2].mlp.down_proj.weight[0, 0] = math.inf
    assert np.isnan(attribution_scores("gradient_x_activation", model, model.stack(), EXAMPLES, blocks(model)).values).all()
