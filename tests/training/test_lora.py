"""Adapters: on the free layers only, found by structure, and gone afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from analysis.errors import ModelError
from analysis.training import lora
from analysis.training.lora import adapters, pattern_of, targets
from tests.training.tiny_training import model_named, run_arm, weights_of


def adapted(name: str, eof_layer: int) -> tuple[set[str], bool]:
    """Paths with an adapter, and whether the model was afterwards what it was."""
    model = model_named(name)
    before, modules, own = weights_of(model), [id(module) for module in model.model.modules()], set(vars(model.model))
    with adapters(model, model.stack(), eof_layer, rank=2, alpha=4, seed=0) as new:
        found = {path.split(".lora_A")[0] for path, _ in model.model.named_parameters() if ".lora_A" in path}
        assert {id(parameter) for parameter in model.model.parameters() if parameter.requires_grad} == {id(parameter) for parameter in new}
    after = weights_of(model)
    same = before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    return found, same and modules == [id(module) for module in model.model.modules()] and own == set(vars(model.model))


def test_every_linear_part_of_the_free_layers_gets_one_and_nothing_else() -> None:
    found, same = adapted("llama", 0)
    parts = (
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        "mlp.gate_proj",
        "mlp.up_proj",
        "mlp.down_proj",
    )
    assert found == {f"model.layers.{layer}.{part}" for layer in (1, 2) for part in parts}
    assert same


@pytest.mark.parametrize("name", ["gpt2", "gemma3", "gpt_neox", "bloom", "opt", "falcon", "phi3", "mixtral", "deepseek_v3", "gpt_oss"])
@pytest.mark.parametrize("eof_layer", [-1, 1])
def test_architectures_get_their_adapters_and_give_them_back(name: str, eof_layer: int) -> None:
    found, same = adapted(name, eof_layer)
    layers = {int(next(part for part in path.split(".") if part.isdigit())) for path in found}
    assert layers == set(range(eof_layer + 1, 3))
    assert same


def test_with_experts_the_attention_alone_gets_adapters_and_the_arm_says_so() -> None:
    found, _ = adapted("mixtral", 0)
    assert all(".self_attn." in path for path in found)
    run = run_arm(model_named("mixtral"), "lora_freeze", 0)
    assert "adapters were put on their attention only" in run.notes[0].in_english()


def test_the_path_of_the_layers_is_taken_from_the_model_itself() -> None:
    model = model_named("gpt2")
    assert pattern_of(model, model.stack()) == r"transformer\.h"


def test_the_same_seed_gives_the_same_adapters() -> None:
    model = model_named("llama")
    values = []
    for seed in (0, 0, 1):
        with adapters(model, model.stack(), 0, rank=2, alpha=4, seed=seed) as new:
            values.append([parameter.detach().clone() for parameter in new])
    assert all(torch.equal(one, other) for one, other in zip(values[0], values[1], strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(values[0], values[2], strict=True))


def test_adapters_are_taken_off_after_an_exception_too() -> None:
    model = model_named("llama")
    before = weights_of(model)
    with pytest.raises(RuntimeError, match="in between"), adapters(model, model.stack(), 0, rank=2, alpha=4, seed=0):
        raise RuntimeError("in between")
    assert weights_of(model).keys() == before.keys()


def test_layers_without_linear_parts_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_named("llama")
    monkeypatch.setattr(lora.nn, "Linear", torch.nn.Embedding)
    with pytest.raises(ModelError, match="no linear parts of their own"):
        targets(model.stack(), 0)


def test_adapters_somewhere_else_than_in_the_free_layers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_named("llama")
    before = weights_of(model)

    def wrong(*_: Any) -> tuple[str, ...]:
        return ("self_attn.q_proj",)

    monkeypatch.setattr(lora, "targets", wrong)
    monkeypatch.setattr(lora, "pattern_of", lambda *_: "layers")
    known = {id(parameter) for parameter in model.model.parameters()}
    with pytest.raises(ModelError, match="no linear parts"), adapters(model, model.stack(), 0, rank=2, alpha=4, seed=0):
        lora._check_places(model.stack(), 1, known)
    assert weights_of(model).keys() == before.keys()
