"""Every architecture and every unit: left out means what it says, costs nothing, and comes back bit for bit."""

from __future__ import annotations

import pytest
import torch

from analysis.contracts.search import UnitRef
from analysis.surgery.calls import Calls, counting
from analysis.surgery.skip import left_out, refusal
from tests.surgery.tiny_surgery import STACKS, build, outputs, products, undone

SETS: dict[str, tuple[UnitRef, ...]] = {
    "first block": (("block", 0),),
    "last block": (("block", -1),),
    "first attention": (("attention", 0),),
    "last attention": (("attention", -1),),
    "first mlp": (("mlp", 0),),
    "last mlp": (("mlp", -1),),
    "both halves": (("attention", 1), ("mlp", 1)),
    "mixed": (("attention", 0), ("mlp", 0), ("block", 1), ("mlp", -1)),
    "all": (("block", 0), ("block", 1), ("block", -1)),
}
NEEDED_LATER = "Layer 0 works something out that later layers need, so it cannot be left out. Choose other layers."


def placed(removed: tuple[UnitRef, ...], n_blocks: int) -> tuple[UnitRef, ...]:
    return tuple(dict.fromkeys((unit, block % n_blocks) for unit, block in removed))


@pytest.mark.parametrize("removed", SETS.values(), ids=SETS)
@pytest.mark.parametrize(("name", "place"), STACKS)
def test_a_left_out_unit_adds_exactly_nothing(name, place, removed):
    loaded = build(name, torch.float64)
    stack = loaded.stacks[place]
    removed = placed(removed, len(stack.blocks))
    if name == "t5" and any(unit != "mlp" and block == 0 for unit, block in removed):
        assert refusal(stack, removed).in_english() == NEEDED_LATER
        return
    before = outputs(loaded)
    with undone(stack, removed):
        wanted = outputs(loaded)
    with left_out(stack, removed):
        got = outputs(loaded)
    assert torch.equal(got, wanted)
    assert not torch.equal(got, before)
    assert torch.equal(outputs(loaded), before)


@pytest.mark.parametrize(("name", "place"), STACKS)
def test_a_left_out_half_makes_no_matrix_product(name, place):
    loaded = build(name)
    stack = loaded.stacks[place]
    block, cross = stack.blocks[1], stack.info.blocks[1].cross_attention
    found = {}
    for removed in ((), (("attention", 1),), (("mlp", 1),), (("attention", 1), ("mlp", 1)), (("block", 1),)):
        with left_out(stack, removed):
            found[tuple(unit for unit, _ in removed)] = products(loaded, block)
    others = found["attention", "mlp"]
    assert found["block",] == 0
    assert (others == 0) == (cross is None)
    assert found["attention",] - others >= 2
    assert found["mlp",] - others >= 3
    assert found["attention",] + found["mlp",] - others == found[()]


@pytest.mark.parametrize(("name", "place"), STACKS)
def test_what_really_ran_is_counted(name, place):
    loaded = build(name)
    stack = loaded.stacks[place]
    n = len(stack.blocks)
    with counting(stack) as whole:
        outputs(loaded)
    with left_out(stack, [("block", 1)]), counting(stack) as without_a_block:
        outputs(loaded)
    with counting(stack) as without_halves, left_out(stack, [("attention", 1), ("mlp", n - 1)]):
        outputs(loaded)
        outputs(loaded)
    assert whole == Calls(n, n, n)
    assert without_a_block == Calls(n - 1, n - 1, n - 1)
    assert without_halves == Calls(2 * n, 2 * (n - 1), 2 * (n - 1))


@pytest.mark.parametrize(("name", "place"), STACKS)
def test_nothing_of_the_model_is_touched_while_units_are_left_out(name, place):
    loaded = build(name)
    stack = loaded.stacks[place]
    weights = {key: value.clone() for key, value in loaded.model.state_dict().items()}
    tree = {path: (type(module), set(vars(module))) for path, module in loaded.model.named_modules()}
    with left_out(stack, [("block", 1), ("mlp", 0)]):
        outputs(loaded)
        assert [path for path, _ in loaded.model.named_modules()] == list(tree)
        assert all(torch.equal(weights[key], value) for key, value in loaded.model.state_dict().items())
    assert {path: (type(module), set(vars(module))) for path, module in loaded.model.named_modules()} == tree


@pytest.mark.parametrize("name", ["llama", "bloom", "gpt_neox", "bert", "gpt_oss"])
def test_sixteen_bit_models_leave_out_exactly_too(name):
    loaded = build(name, torch.bfloat16)
    stack = loaded.stack()
    for removed in ([("attention", 1)], [("mlp", 1)], [("block", 0)]):
        with undone(stack, removed):
            wanted = outputs(loaded)
        with left_out(stack, removed):
            assert torch.equal(outputs(loaded), wanted)
