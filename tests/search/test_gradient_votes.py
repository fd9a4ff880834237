"""Taylor scores: equal to gradients by hand, whatever the batches, and a model that shows no trace of it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from analysis.contracts import UnitRef
from analysis.errors import Cancelled
from analysis.models.stack import LoadedModel
from analysis.models.structure import parts_of
from analysis.search import gradient_votes
from analysis.search.gradient_votes import GradientScores, taylor_scores
from analysis.surgery.skip import left_out
from analysis.workload import EncodedExample, scored
from tests.models.tiny import build
from tests.profiling import tiny

EXAMPLES = tiny.examples(10, longest=20, slices=("a", "b"))


@pytest.fixture
def model() -> LoadedModel:
    return tiny.loaded(tiny.tiny_llama())


def blocks(model: LoadedModel) -> list[UnitRef]:
    return [("block", number) for number in range(len(model.stack().blocks))]


def loss_of(model: LoadedModel, examples: Sequence[EncodedExample]) -> torch.Tensor:
    """Mean loss per judged token by transformers' own forward, prompt by prompt."""
    causal = model.stack().info.causal
    losses, total = [], 0.0
    for example in examples:
        places = np.flatnonzero(scored(example, causal=causal))
        ids = torch.from_numpy(example.input_ids)
        logits = model.model(input_ids=ids[None]).logits[0]
        losses.append(example.weight * nn.functional.cross_entropy(logits[places - causal], ids[places], reduction="sum"))
        total += example.weight * len(places)
    return sum(losses) / total


def by_hand(model: LoadedModel, found: GradientScores, weights: Sequence[Sequence[str]]) -> np.ndarray:
    """[G, M] from whole gradients in float64."""
    other = tiny.loaded(copy.deepcopy(model.model).double())
    named = dict(other.model.named_parameters())
    rows = []
    for group in found.groups:
        other.model.zero_grad()
        loss_of(other, [EXAMPLES[index] for index in group]).backward()
        rows.append(
            [sum(float((named[n].grad * named[n].detach()).abs().sum()) for n in unit if named[n].grad is not None) for unit in weights]
        )
    return np.array(rows)


def names_of(model: LoadedModel, modules: Sequence[nn.Module]) -> list[str]:
    inside = {id(parameter) for module in modules for parameter in module.parameters()}
    return [name for name, parameter in model.model.named_parameters() if id(parameter) in inside]


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "qwen2", "mixtral", "gpt_oss", "bert", "opt_post_norm"])
def test_values_are_gradient_times_weight_by_hand(name: str) -> None:
    model = tiny.loaded(build(name))
    found = taylor_scores(model, model.stack(), EXAMPLES, blocks(model))
    wanted = by_hand(model, found, [names_of(model, [block]) for block in model.stack().blocks])
    np.testing.assert_allclose(found.per_group, wanted, rtol=2e-3)
    np.testing.assert_allclose(found.values, np.average(wanted, axis=0, weights=found.group_weights), rtol=2e-3)


@pytest.mark.parametrize("name", ["llama", "gpt_neox"])
def test_halves_count_the_weights_that_go_with_them(name: str) -> None:
    model = tiny.loaded(build(name))
    refs: list[UnitRef] = [("attention", 0), ("mlp", 0), ("mlp", 2)]
    found = taylor_scores(model, model.stack(), EXAMPLES, refs)
    parts = [parts_of(block) for block in model.stack().blocks]
    modules = [[parts[0].attention], parts[0].mlp, parts[2].mlp]
    np.testing.assert_allclose(found.per_group, by_hand(model, found, [names_of(model, one) for one in modules]), rtol=2e-3)


@pytest.mark.parametrize("name", ["llama", "gpt_oss"])
def test_batches_change_nothing(name: str) -> None:
    model = tiny.loaded(build(name))
    wide = taylor_scores(model, model.stack(), EXAMPLES, blocks(model), batch_tokens=10_000)
    narrow = taylor_scores(model, model.stack(), EXAMPLES, blocks(model), batch_tokens=20)
    np.testing.assert_allclose(narrow.per_group, wide.per_group, rtol=1e-4)
    assert narrow.groups == wide.groups


def test_it_is_taken_while_other_units_are_out(model: LoadedModel) -> None:
    out = (("block", 1),)
    refs: list[UnitRef] = [("block", 0), ("block", 2), ("block", 3)]
    found = taylor_scores(model, model.stack(), EXAMPLES, refs, out)
    shorter = tiny.loaded(tiny.tiny_llama())
    with left_out(shorter.stack(), out):
        rows = []
        named = [list(shorter.stack().blocks[number].parameters()) for _, number in refs]
        for group in found.groups:
            shorter.model.zero_grad()
            loss_of(shorter, [EXAMPLES[index] for index in group]).backward()
            rows.append([sum(float((p.grad * p.detach()).abs().sum()) for p in unit) for unit in named])
    np.testing.assert_allclose(found.per_group, rows, rtol=1e-3)


def test_a_unit_that_no_gradient_reaches_is_undefined(model: LoadedModel) -> None:
    found = taylor_scores(model, model.stack(), EXAMPLES, [("block", 1), ("block", 2)], (("block", 1),))
    assert np.isnan(found.values[0])
    assert np.isfinite(found.values[1])


def test_weights_that_are_nearly_nothing_are_the_most_replaceable(model: LoadedModel) -> None:
    with torch.no_grad():
        for parameter in model.stack().blocks[2].parameters():
            parameter.mul_(1e-3)
    assert int(np.argmin(taylor_scores(model, model.stack(), EXAMPLES, blocks(model)).values)) == 2


def test_the_model_is_left_as_it_was(model: LoadedModel) -> None:
    parameters = dict(model.model.named_parameters())
    parameters["model.norm.weight"].requires_grad_(False)
    kept = torch.full_like(parameters["model.layers.0.mlp.up_proj.weight"], 3.0)
    parameters["model.layers.0.mlp.up_proj.weight"].grad = kept
    model.model.model.layers[1].train()
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    modes = {name: module.training for name, module in model.model.named_modules()}
    taylor_scores(model, model.stack(), EXAMPLES, blocks(model), (("block", 2),))
    assert all(torch.equal(value, before[name]) for name, value in model.model.state_dict().items())
    assert {name: module.training for name, module in model.model.named_modules()} == modes
    assert {name for name, value in parameters.items() if not value.requires_grad} == {"model.norm.weight"}
    assert {name for name, value in parameters.items() if value.grad is not None} == {"model.layers.0.mlp.up_proj.weight"}
    assert parameters["model.layers.0.mlp.up_proj.weight"].grad is kept
    loss_of(model, EXAMPLES[:1]).backward()  # no reader is left that would take the gradients away
    assert parameters["model.layers.3.mlp.up_proj.weight"].grad is not None


def test_no_two_gradients_are_held_when_a_group_is_one_batch(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    note = gradient_votes._Reader._note

    def counting(reader: gradient_votes._Reader, parameter: torch.Tensor) -> None:
        held.append(sum(one.grad is not None for one in reader.parameters))
        note(reader, parameter)

    monkeypatch.setattr(gradient_votes._Reader, "_note", counting)
    taylor_scores(model, model.stack(), EXAMPLES, blocks(model), batch_tokens=10_000)
    assert set(held) == {1}


def test_slices_take_turns_and_the_tokens_that_may_be_run_are_kept_to(model: LoadedModel) -> None:
    found = taylor_scores(model, model.stack(), EXAMPLES, blocks(model), tokens=80)
    taken = [index for group in found.groups for index in group]
    assert sum(len(EXAMPLES[index].input_ids) for index in taken) <= 80
    assert {EXAMPLES[index].slice for index in taken} == {"a", "b"}
    assert "of 10 prompts" in found.notes[-1].in_english()
    assert found.n_tokens == 3 * len(taken)


def test_there_are_groups_to_draw_from(model: LoadedModel) -> None:
    many = tiny.examples(40, longest=20)
    found = taylor_scores(model, model.stack(), many, blocks(model))
    assert len(found.groups) == 8
    assert sorted(index for group in found.groups for index in group) == list(range(40))


def test_drawing_every_prompt_once_gives_the_values_and_leaving_groups_out_their_rest(model: LoadedModel) -> None:
    found = taylor_scores(model, model.stack(), EXAMPLES, blocks(model))
    np.testing.assert_allclose(found.resampled(np.ones((1, 10)))[0], found.values)
    only = np.zeros((1, 10))
    only[0, list(found.groups[1])] = 2
    np.testing.assert_allclose(found.resampled(only)[0], found.per_group[1])
    assert np.isnan(found.resampled(np.zeros((1, 10)))).all()


@pytest.mark.parametrize("name", ["t5", "vit"])
def test_a_model_that_names_no_words_abstains(name: str) -> None:
    model = tiny.loaded(build(name))
    found = taylor_scores(model, model.stack(), EXAMPLES, blocks(model))
    assert found.abstained is not None
    assert "names no words" in found.abstained.in_english()
    assert np.isnan(found.values).all()
    assert np.isnan(found.resampled(np.ones((2, 10)))).all()


def test_prompts_that_are_all_too_long_make_it_abstain(model: LoadedModel) -> None:
    found = taylor_scores(model, model.stack(), EXAMPLES, blocks(model), tokens=4)
    assert found.abstained is not None
    assert "4 tokens" in found.abstained.in_english()


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "not enough memory"),
        (RuntimeError("derivative is not implemented"), "not implemented"),
    ],
)
def test_what_fails_makes_it_abstain_and_leaves_no_trace(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch, raised: Exception, said: str
) -> None:
    def fails(*_: object) -> None:
        raise raised

    monkeypatch.setattr(gradient_votes, "token_losses", fails)
    found = taylor_scores(model, model.stack(), EXAMPLES, blocks(model))
    assert found.abstained is not None
    assert said in found.abstained.in_english()
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.model.parameters())


def test_whole_number_weights_make_it_abstain(model: LoadedModel) -> None:
    projection = model.stack().blocks[1].mlp.up_proj
    projection.weight = nn.Parameter(projection.weight.to(torch.int8), requires_grad=False)
    found = taylor_scores(model, model.stack(), EXAMPLES, blocks(model))
    assert found.abstained is not None
    assert "whole numbers" in found.abstained.in_english()


def test_a_stop_is_a_stop_and_leaves_no_trace(model: LoadedModel) -> None:
    calls: list[int] = []

    def pause() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Cancelled("Stopped at your request.")

    with pytest.raises(Cancelled):
        taylor_scores(model, model.stack(), EXAMPLES, blocks(model), batch_tokens=20, pause=pause)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.model.parameters())


def test_numbers_that_overflow_are_undefined_never_nothing(model: LoadedModel) -> None:
    with torch.no_grad():
        model.model.lm_head.weight[5] = float("inf")
    found = taylor_scores(model, model.stack(), EXAMPLES, blocks(model))
    assert np.isnan(found.values).all()


def test_prompts_that_count_for_nothing_are_not_run(model: LoadedModel) -> None:
    silent = [replace(one, weight=0.0 if number < 4 else one.weight) for number, one in enumerate(EXAMPLES)]
    found = taylor_scores(model, model.stack(), silent, blocks(model))
    assert sorted(index for group in found.groups for index in group) == [4, 5, 6, 7, 8, 9]
