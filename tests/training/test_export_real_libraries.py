"""Exports for trainers, loaded by the real libraries: exactly the layers after the last frozen one train, and nothing below."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from analysis.contracts import Freeze, ModelRef, ModelSource, Plan, Provenance
from analysis.models.stack import find_stacks
from analysis.reporting import freeze_exports as exports
from tests.models import tiny

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT with new transformers
NAMES = ("llama", "gpt2")
EOF_LAYERS = (-1, 0, 1)


@pytest.fixture(scope="module", params=NAMES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    tiny.build(request.param).save_pretrained(found)
    tiny.save_tokenizer(found)
    return found


def plan_for(folder: Path, eof_layer: int) -> Plan:
    model = AutoModelForCausalLM.from_pretrained(folder)
    stack = find_stacks(model)[0].info
    ref = ModelRef(
        name=folder.name,
        source=ModelSource(kind="folder", location=str(folder)),
        commit="c0ffee",
        architecture=type(model).__name__,
        n_blocks=stack.n_blocks,
        stack=stack.name,
        stack_path=stack.path,
    )
    return Plan(model=ref, operations=(Freeze(eof_layer=eof_layer),), provenance=Provenance(criterion="gain", amount="2 layers"))


def run(script: str) -> tuple[dict[str, Any], str]:
    """What a script leaves behind, and what it printed."""
    names: dict[str, Any] = {"__name__": "exported"}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(script, "exported.py", "exec"), names)
    return names, said.getvalue()


def trained_blocks(model: nn.Module, path: str) -> set[int]:
    inside = re.compile(rf"(?:^|.*\.){re.escape(path)}\.(\d+)\.")
    found = (inside.match(name) for name, parameter in model.named_parameters() if parameter.requires_grad)
    return {int(match.group(1)) for match in found if match}


def outside(model: nn.Module, path: str) -> Iterator[str]:
    return (name for name, parameter in model.named_parameters() if parameter.requires_grad and f"{path}." not in name)


def step(model: PreTrainedModel) -> None:
    """One backward pass on a few tokens."""
    ids = torch.arange(3, 12)[None]
    model(input_ids=ids, labels=ids).loss.backward()


@pytest.mark.parametrize("eof_layer", EOF_LAYERS)
def test_the_transformers_script_trains_the_last_layers_and_the_final_norm_only(folder: Path, eof_layer: int) -> None:
    plan = plan_for(folder, eof_layer)
    names, said = run(exports.transformers_script(plan))
    model, path = names["model"], plan.model.stack_path
    assert trained_blocks(model, path) == set(range(eof_layer + 1, 3))
    others = list(outside(model, path))
    assert others
    assert all(re.search(r"\.(norm|ln_f)\.(weight|bias)$", name) for name in others)
    n_training = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert said.startswith(f"{n_training:,} of ")
    step(model)
    assert all((parameter.grad is not None) == parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("eof_layer", EOF_LAYERS)
def test_peft_puts_adapters_into_exactly_the_layers_that_train(folder: Path, eof_layer: int) -> None:
    plan = plan_for(folder, eof_layer)
    names, _ = run(exports.peft_script(plan))
    model, path = names["model"], plan.model.stack_path
    assert trained_blocks(model, path) == set(range(eof_layer + 1, 3))
    assert all("lora_" in name for name, parameter in model.named_parameters() if parameter.requires_grad)
    step(model)
    below = [name for name, parameter in model.named_parameters() if parameter.grad is not None and "lora_" not in name]
    assert below == []


@pytest.mark.parametrize("eof_layer", EOF_LAYERS)
def test_the_adapter_config_loads_in_peft_and_reaches_the_same_layers(folder: Path, eof_layer: int, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    plan = plan_for(folder, eof_layer)
    (tmp_path / "adapter_config.json").write_text(exports.peft_json(plan), encoding="utf-8")
    config = peft.LoraConfig.from_pretrained(str(tmp_path))
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config)
    assert trained_blocks(model, plan.model.stack_path) == set(range(eof_layer + 1, 3))


@pytest.mark.parametrize("eof_layer", EOF_LAYERS)
def test_axolotls_patterns_match_what_trains(folder: Path, eof_layer: int) -> None:
    plan = plan_for(folder, eof_layer)
    found = yaml.safe_load(exports.axolotl_yaml(plan))
    assert found["base_model"] == str(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    # as axolotl reads a pattern: from the start of the name, every dot that no plus follows as a dot
    patterns = [re.compile(re.sub(r"\.(?!\+)", r"\\.", pattern)) for pattern in found["unfrozen_parameters"]]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(pattern.match(name) for pattern in patterns))
    expected, _ = run(exports.transformers_script(plan))
    assert [(name, one.requires_grad) for name, one in model.named_parameters()] == [
        (name, one.requires_grad) for name, one in expected["model"].named_parameters()
    ]
    plain = [re.compile(pattern) for pattern in found["unfrozen_parameters"]]
    assert [any(one.match(name) for one in plain) for name, _ in model.named_parameters()] == [
        parameter.requires_grad for parameter in model.parameters()
    ]


@pytest.mark.parametrize("eof_layer", EOF_LAYERS)
def test_llama_factory_trains_the_same_layers_by_its_own_rule(folder: Path, eof_layer: int) -> None:
    plan = plan_for(folder, eof_layer)
    found = yaml.safe_load(exports.llama_factory_yaml(plan))
    assert found["finetuning_type"] == "freeze"
    assert "freeze_extra_modules" not in found
    last = found["freeze_trainable_layers"]
    assert last > 0
    model = AutoModelForCausalLM.from_pretrained(folder)
    names = [f".{index}." for index in range(max(0, 3 - last), 3)]  # its rule: the last n, looked for anywhere in a name
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(part in name for part in names))
    assert trained_blocks(model, plan.model.stack_path) == set(range(eof_layer + 1, 3))


def test_the_norms_name_would_free_frozen_layers_in_llama_factory(tmp_path: Path) -> None:
    """Why `freeze_extra_modules` is left out: the name is looked for anywhere in a parameter's name."""
    model = tiny.build("llama")
    assert any("norm" in name and ".layers.0." in name for name, _ in model.named_parameters())


def test_lists_name_layers_that_are_there(folder: Path) -> None:
    plan = plan_for(folder, 0)
    model = AutoModelForCausalLM.from_pretrained(folder)
    lines = [line for line in exports.lmflow_list(plan).splitlines() if line and not line.startswith("#")]
    assert lines == [f"{plan.model.stack_path}.{index}" for index in (1, 2)]
    assert [isinstance(model.get_submodule(line), nn.Module) for line in lines] == [True, True]
    found = json.loads(exports.layers_json(plan))
    assert (found["frozen"], found["trained"], found["counted_from"]) == ([0], [1, 2], 0)
    assert all(any(name.startswith(prefix) for name, _ in model.named_parameters()) for prefix in found["trained_prefixes"])


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")  # TRL's own, of its version
def test_trl_trains_the_same_layers(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="TRL is not installed; it is no requirement")
    data = tmp_path / "examples.jsonl"
    data.write_text("".join(json.dumps({"prompt": "w5 w6", "completion": "w7 w8"}) + "\n" for _ in range(4)), encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token, tokenizer.eos_token = tokenizer.convert_ids_to_tokens([0, 2])
    tokenizer.save_pretrained(folder)
    script = exports.trl_script(plan_for(folder, 0))
    script = script.replace("'examples.jsonl'", repr(str(data))).replace('"examples.jsonl"', repr(str(data)))
    script = script.replace('"fine-tuned"', repr(str(tmp_path / "out")))
    script = script.replace("num_train_epochs=3,", "max_steps=1, report_to=[], use_cpu=True, per_device_train_batch_size=2,")
    names, _ = run(script)
    trainer, path = names["trainer"], plan_for(folder, 0).model.stack_path
    assert not trainer.args.gradient_checkpointing
    before = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    trainer.train()
    changed = {name for name, parameter in trainer.model.named_parameters() if not torch.equal(parameter, before[name])}
    assert {int(name.split(f"{path}.")[1].split(".")[0]) for name in changed if f"{path}." in name} == {1, 2}
