"""Freezing plans in trainers' words: what is in every text, what is refused, and names that would break a format."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from analysis.contracts import Freeze, ModelRef, ModelSource, Plan, Provenance, Prune
from analysis.errors import PlanError
from analysis.i18n import render
from analysis.reporting.exports import EXPORTS, FREEZING, export_text, exports_for, refusal
from analysis.reporting.freeze_exports import axolotl_yaml, llama_factory_yaml, peft_config, peft_json, transformers_script
from tests.trained_builders import make_trial

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
SCRIPTS = ("transformers", "trl", "peft")


def make_plan(*operations: Any, kind: str = "folder", location: str = "/models/own", path: str = "model.layers", name: str = "own") -> Plan:
    source = ModelSource.model_validate({"kind": kind, "location": location})
    model = ModelRef(
        name=name, source=source, commit="c0ffee", architecture="LlamaForCausalLM", n_blocks=10, stack="decoder", stack_path=path
    )
    return Plan(model=model, operations=operations or (Freeze(eof_layer=6),), provenance=Provenance(criterion="gain", amount="3 layers"))


@pytest.mark.parametrize("form", sorted(FREEZING))
def test_every_text_names_its_plan_how_layers_are_counted_and_the_trap(form: str) -> None:
    if form == "layers":
        found = json.loads(export_text(make_plan(), form))
        assert (found["plan"], found["trained"]) == (make_plan().id, [7, 8, 9])
    text = export_text(make_plan(), form)
    assert make_plan().id in text
    assert "ounted from 0" in text
    assert "use_reentrant=True" in text
    assert "enable_input_require_grads" in text


@pytest.mark.parametrize("form", sorted(FREEZING))
def test_plans_that_freeze_nothing_or_cut_as_well_are_refused_in_words(form: str) -> None:
    for operations, said in (((Prune(blocks=(3,)),), "freezes no layer"), ((Freeze(eof_layer=3), Prune(blocks=(4,))), "takes layers out")):
        told = refusal(make_plan(*operations), form)
        assert told is not None
        assert said in render(told, "en")
        assert render(told, "ja") != render(told, "en")


def test_forms_for_cuts_refuse_plans_that_freeze() -> None:
    for form in ("mergekit", "llama.cpp", "python"):
        told = refusal(make_plan(), form)
        assert told is not None
        assert "takes no layer out" in render(told, "en")


def test_only_forms_that_fit_are_offered() -> None:
    assert {export.format for export in exports_for(make_plan())} == FREEZING | {"words"}
    assert {export.format for export in exports_for(make_plan(Prune(blocks=(3,))))} == set(EXPORTS) - FREEZING


@pytest.mark.parametrize("form", sorted(FREEZING))
def test_a_plan_with_nothing_left_to_train_is_refused(form: str) -> None:
    with pytest.raises(PlanError, match="at least the last one must train"):
        export_text(make_plan(Freeze(eof_layer=9)), form)


@pytest.mark.parametrize("path", ["", "model.layers'); import os; ('", "model layers", "layers."])
@pytest.mark.parametrize("form", sorted(FREEZING))
def test_a_place_of_the_layers_that_is_none_is_refused(form: str, path: str) -> None:
    with pytest.raises(PlanError, match="Make the plan again"):
        export_text(make_plan(path=path), form)


@given(location=NAMES, name=NAMES)
def test_no_name_breaks_a_script_or_a_yaml(location: str, name: str) -> None:
    plan = make_plan(location=location, name=name)
    for form in SCRIPTS:
        text = export_text(plan, form)
        assigned = {
            node.targets[0].id: node.value
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign) and hasattr(node.targets[0], "id")
        }
        assert ast.literal_eval(assigned["MODEL"]) == location
    assert yaml.safe_load(axolotl_yaml(plan))["base_model"] == location
    assert yaml.safe_load(llama_factory_yaml(plan))["model_name_or_path"] == location


def test_a_hub_model_is_pinned_and_the_sample_leaves_a_place_to_fill_in() -> None:
    hub = make_plan(kind="hub", location="own/model")
    assert "REVISION = 'c0ffee'" in transformers_script(hub)
    assert yaml.safe_load(axolotl_yaml(hub))["revision_of_model"] == "c0ffee"
    assert yaml.safe_load(llama_factory_yaml(hub))["model_revision"] == "c0ffee"
    assert "PATH/TO/MODEL" in transformers_script(make_plan(kind="sample", location=""))


def test_lora_takes_the_rank_that_was_tried() -> None:
    plan = make_plan()
    assert (peft_config(plan)["r"], peft_config(plan)["lora_alpha"]) == (16, 32)
    trial = make_trial(6, n_blocks=10)
    tried = trial.model_copy(update={"settings": trial.settings.model_copy(update={"lora_rank": 4, "lora_alpha": 12})})
    assert (peft_config(plan.model_copy(update={"trial": tried}))["r"], json.loads(peft_json(plan))["r"]) == (4, 16)
    assert peft_config(plan)["layers_to_transform"] == [7, 8, 9]


def test_llama_factory_counts_the_last_layers_with_a_positive_number() -> None:
    found = yaml.safe_load(llama_factory_yaml(make_plan()))
    assert (found["finetuning_type"], found["freeze_trainable_layers"], found["freeze_trainable_modules"]) == ("freeze", 3, "all")
    assert yaml.safe_load(llama_factory_yaml(make_plan(Freeze(eof_layer=-1))))["freeze_trainable_layers"] == 10
