"""A plan is carried out on its own model only, skip and prune alike, and taken back."""

from __future__ import annotations

import pytest
import torch

from analysis.contracts import Freeze, ModelRef, Plan, Provenance, Prune, Skip
from analysis.errors import PlanError
from analysis.surgery.apply import apply_plan, removed_units
from analysis.surgery.calls import counting
from analysis.surgery.skip import left_out
from tests.surgery.tiny_surgery import build, outputs


@pytest.fixture
def llama():
    return build("llama")


def plan_for(loaded, *operations, **changes):
    info = loaded.info
    ref = ModelRef(
        name=info.name,
        source=info.source,
        commit=info.commit,
        architecture=info.architecture,
        n_blocks=info.stacks[0].n_blocks,
        stack=info.stacks[0].name,
    )
    return Plan(model=ref.model_copy(update=changes), operations=operations, provenance=Provenance(criterion="block_influence", amount="1"))


def refused(loaded, plan):
    with pytest.raises(PlanError) as caught, apply_plan(loaded, plan):
        outputs(loaded)
    return str(caught.value)


@pytest.mark.parametrize("kind", [Skip, Prune])
def test_skip_and_prune_run_alike_and_are_taken_back(llama, kind):
    before, plan = outputs(llama), plan_for(llama, kind(blocks=(1,)), kind(unit="mlp", blocks=(0,)))
    with left_out(llama.stack(), [("block", 1), ("mlp", 0)]):
        wanted = outputs(llama)
    with apply_plan(llama, plan) as changed, counting(changed.stack()) as calls:
        assert torch.equal(outputs(changed), wanted)
    assert (calls.blocks, calls.attentions, calls.mlps) == (2, 2, 1)
    with pytest.raises(ZeroDivisionError), apply_plan(llama, plan):
        raise ZeroDivisionError
    assert torch.equal(outputs(llama), before)


def test_a_freeze_changes_nothing_in_a_run(llama):
    before, plan = outputs(llama), plan_for(llama, Freeze(eof_layer=1))
    assert removed_units(plan) == ()
    with apply_plan(llama, plan), counting(llama.stack()) as calls:
        assert torch.equal(outputs(llama), before)
    assert calls.blocks == 3


def test_units_of_several_operations_are_one_set_in_order(llama):
    operations = (Skip(unit="mlp", blocks=(0, 2)), Prune(blocks=(2,)), Freeze(eof_layer=0), Skip(unit="attention", blocks=(0,)))
    wanted = (("attention", 0), ("mlp", 0), ("block", 2))
    assert removed_units(plan_for(llama, *operations)) == removed_units(operations) == wanted


def test_a_plan_may_reach_into_both_stacks():
    loaded = build("t5")
    operations = (Skip(blocks=(1,)), Skip(unit="mlp", blocks=(0,), stack=loaded.stacks[1].info.name))
    plan = plan_for(loaded, *operations)
    assert removed_units(plan, loaded.stacks[0].info.name) == (("block", 1),)
    assert removed_units(plan, loaded.stacks[1].info.name) == (("mlp", 0),)
    with apply_plan(loaded, plan), counting(loaded.stacks[0]) as first, counting(loaded.stacks[1]) as second:
        outputs(loaded)
    assert (first.blocks, second.mlps) == (2, 2)


def test_a_plan_for_another_model_is_refused(llama):
    assert refused(llama, plan_for(llama, Skip(blocks=(1,)), commit="0ther", name="other")) == (
        "The plan is for the model other, not for tiny. Open that model, or make the plan again for this one."
    )


def test_a_plan_for_another_version_is_refused(llama):
    assert refused(llama, plan_for(llama, Skip(blocks=(1,)), commit="0ther")).startswith("The plan was made for version 0ther of tiny")


def test_a_plan_for_another_depth_is_refused(llama):
    assert refused(llama, plan_for(llama, Skip(blocks=(1,)), n_blocks=30)) == (
        "The plan is for 30 layers and this model has 3. Make the plan again for this model."
    )


def test_a_plan_for_another_stack_is_refused(llama):
    assert refused(llama, plan_for(llama, Skip(blocks=(1,), stack="encoder"))).startswith('The plan is for a stack named "encoder"')


def test_a_layer_that_is_not_there_is_refused(llama):
    assert refused(llama, plan_for(llama, Prune(blocks=(1, 7)))).startswith("Layer 7 is not in this model: it has 3 layers (0 to 2).")


def test_a_plan_that_leaves_nothing_is_refused(llama):
    assert refused(llama, plan_for(llama, Skip(blocks=(0, 1, 2)))).startswith("The plan takes out all 3 layers.")


def test_a_plan_for_a_layer_that_others_need_is_refused():
    loaded = build("t5")
    before = outputs(loaded)
    assert refused(loaded, plan_for(loaded, Skip(blocks=(0,)))).startswith("Layer 0 works something out that later layers need")
    assert torch.equal(outputs(loaded), before)
