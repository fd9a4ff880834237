"""Pruned for good: the same numbers as skipped, weights gone, and the model still runs, generates and knows itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from analysis.contracts.search import UnitRef
from analysis.errors import PlanError
from analysis.models.anatomy import count
from analysis.surgery import prune as pruning
from analysis.surgery.calls import counting
from analysis.surgery.prune import prune_model
from analysis.surgery.skip import left_out, refusal
from tests.profiling.tiny import loaded as as_loaded
from tests.profiling.tiny import tiny_llama
from tests.surgery.tiny_surgery import DECODERS, STACKS, build, outputs, tokens

SETS: dict[str, tuple[UnitRef, ...]] = {
    "first block": (("block", 0),),
    "last block": (("block", -1),),
    "first attention": (("attention", 0),),
    "mlp": (("mlp", 1),),
    "mixed": (("block", 0), ("attention", 1), ("mlp", -1)),
}

ANATOMIES = ("llama", "gemma2", "opt", "bloom", "falcon", "gpt_oss", "bert", "t5", "whisper", "vit")


def placed(removed, n_blocks):
    return tuple(dict.fromkeys((unit, block % n_blocks) for unit, block in removed))


@pytest.mark.parametrize("removed", SETS.values(), ids=SETS)
@pytest.mark.parametrize(("name", "place"), STACKS)
def test_pruned_gives_exactly_what_skipped_gives(name, place, removed):
    loaded = build(name)
    stack = loaded.stacks[place]
    removed = placed(removed, len(stack.blocks))
    if (why := refusal(stack, removed)) is not None or (name, place, removed) == ("t5", 0, (("block", 2),)):
        assert name == "t5"
        with pytest.raises(PlanError) as caught:
            prune_model(loaded, removed, stack=stack.info.name)
        assert why is None or caught.value.message == why
        return
    with left_out(stack, removed), counting(stack) as ran:
        wanted = outputs(loaded)
    pruned = prune_model(loaded, removed, stack=stack.info.name)
    shorter = pruned.stacks[place]
    with counting(shorter) as runs:
        assert (outputs(pruned) - wanted).abs().max() == 0.0
    assert runs == ran
    assert len(shorter.blocks) == len(stack.blocks) - sum(unit == "block" for unit, _ in removed)


@pytest.mark.parametrize("name", DECODERS)
def test_a_pruned_model_generates_with_its_cache(name):
    loaded, removed = build(name), SETS["mixed"]
    removed = placed(removed, 3)
    options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "max_new_tokens": 4}
    with left_out(loaded.stack(), removed):
        wanted = loaded.model.generate(tokens(), **options)
    pruned = prune_model(loaded, removed)
    for more in ({}, {"cache_implementation": "static"}):
        assert torch.equal(pruned.model.generate(tokens(), **options, **more), wanted)


@pytest.mark.parametrize(("name", "place"), [(name, place) for name, place in STACKS if name in ANATOMIES])
def test_the_weights_are_gone_and_the_anatomy_says_so(name, place):
    loaded = build(name)
    before = loaded.stacks[place].info
    blocks = [] if (name, place) == ("t5", 0) else [("block", 1)]
    pruned = prune_model(loaded, [*blocks, ("mlp", 0)], stack=before.name)
    after = pruned.info.stacks[place]
    freed = before.blocks[0].n_parameters - after.blocks[0].n_parameters
    assert 0 < freed <= before.blocks[0].mlp.n_parameters
    assert pruned.info.n_parameters == count(pruned.model) == loaded.info.n_parameters - len(blocks) * before.blocks[1].n_parameters - freed
    assert after.blocks[0].mlp is None
    assert after.blocks[0].attention == before.blocks[0].attention
    assert [block.index for block in after.blocks] == list(range(len(before.blocks) - len(blocks)))
    assert after.causal == before.causal
    assert pruned.info.commit != loaded.info.commit


def test_the_config_and_the_cache_count_the_layers_that_stay():
    pruned = prune_model(build("gemma3"), [("block", 0)])
    assert pruned.model.config.num_hidden_layers == 2
    assert pruned.model.config.layer_types == ["sliding_attention", "full_attention"]
    assert [block.self_attn.layer_idx for block in pruned.stack().blocks] == [0, 1]
    assert len(pruned.model.model.layers) == 2


def test_a_pruned_model_can_be_pruned_and_skipped_again():
    loaded = build("qwen3")
    with left_out(loaded.stack(), [("block", 0), ("attention", 1), ("mlp", 2)]):
        wanted = outputs(loaded)
    once = prune_model(loaded, [("attention", 1)])
    twice = prune_model(once, [("block", 0)])
    with left_out(twice.stack(), [("mlp", 1)]):
        assert torch.equal(outputs(twice), wanted)
    assert refusal(twice.stack(), [("attention", 0)]).in_english() == (
        "Layer 0 of this model has no separate attention that could be removed. Make the plan again with whole layers."
    )


def test_taking_out_everything_is_refused():
    loaded = build("llama")
    with pytest.raises(PlanError) as caught:
        prune_model(loaded, [("block", 0), ("block", 1), ("block", 2)])
    assert str(caught.value) == "The plan takes out all 3 layers. At least one has to stay: make the plan again with less."


@pytest.mark.parametrize("removed", [[("block", 3)], [("block", 0), ("mlp", -1)]])
def test_a_layer_that_is_not_there_is_refused_and_nothing_is_pruned(removed):
    loaded = build("llama")
    before = outputs(loaded)
    with pytest.raises(PlanError, match="is not in this model: it has 3 layers"):
        prune_model(loaded, removed)
    assert torch.equal(outputs(loaded), before)
    assert loaded.model.config.num_hidden_layers == 3


def test_a_result_that_differs_is_put_back_and_refused(monkeypatch):
    loaded = build("gemma3")
    before, config, tree = outputs(loaded), loaded.model.config.to_dict(), [path for path, _ in loaded.model.named_modules()]
    original, runs = pruning.run_on_few_tokens, []

    def another(stack):
        runs.append(stack)
        return original(stack) + len(runs)

    monkeypatch.setattr(pruning, "run_on_few_tokens", another)
    with pytest.raises(PlanError) as caught:
        prune_model(loaded, [("block", 0), ("attention", 1), ("mlp", 2)])
    assert str(caught.value) == (
        "Without these layers the model did not give what it gives with them skipped, so they were put back. Skip them instead."
    )
    assert torch.equal(outputs(loaded), before)
    assert loaded.model.config.to_dict() == config
    assert [path for path, _ in loaded.model.named_modules()] == tree
    assert [block.self_attn.layer_idx for block in loaded.stack().blocks] == [0, 1, 2]
    assert not any("forward" in vars(module) for module in loaded.model.modules())


def test_a_shorter_encoder_that_could_not_generate_any_more_is_refused():
    loaded = build("t5")
    with pytest.raises(PlanError) as caught:
        prune_model(loaded, [("block", 2)], stack="encoder")
    assert str(caught.value) == (
        "With fewer layers in the encoder than in the decoder this model could not generate any more: its config counts both as one "
        "when it makes room for them. Skip the layers instead."
    )
    assert loaded.model.config.num_layers == 3


@torch.no_grad()
def test_planted_redundancy_goes_at_no_loss_at_all():
    model = tiny_llama(n_blocks=5)
    for index in (1, 3):
        block = model.model.layers[index]
        block.self_attn.o_proj.weight.zero_()
        block.mlp.down_proj.weight.zero_()
    ids = tokens(12)
    loss = model(input_ids=ids, labels=ids).loss
    pruned = prune_model(as_loaded(model), [("block", 1), ("block", 3)])
    assert pruned.model(input_ids=ids, labels=ids).loss - loss == 0.0
    assert len(pruned.stack().blocks) == 3


def test_a_pruned_model_is_what_hand_made_surgery_makes():
    loaded, by_hand = build("llama"), build("llama").model
    del by_hand.model.layers[1]
    by_hand.config.num_hidden_layers = 2
    pruned = prune_model(loaded, [("block", 1)])
    with torch.no_grad():
        assert torch.equal(outputs(pruned), by_hand(input_ids=tokens(), use_cache=False).logits)
    assert pruned.model.state_dict().keys() == by_hand.state_dict().keys()
    assert replace(pruned, info=loaded.info).tokenizer_folder == loaded.tokenizer_folder
