"""Whatever happens inside, the model is afterwards what it was; and what cannot be left out is refused in words."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch
import transformers
from torch import nn

from analysis.errors import PlanError
from analysis.models.stack import SubBlockTaps, find_stacks
from analysis.surgery import skip
from analysis.surgery.calls import counting
from analysis.surgery.skip import left_out, refusal
from tests.models import tiny as models
from tests.surgery.tiny_surgery import build, outputs, undone


@pytest.fixture
def llama():
    return build("llama")


@pytest.mark.parametrize("block", [3, 99, -1])
def test_a_layer_that_is_not_there_is_refused_with_the_range(llama, block):
    with pytest.raises(PlanError) as caught, left_out(llama.stack(), [("block", 0), ("block", block)]):
        outputs(llama)
    assert str(caught.value) == (f"Layer {block} is not in this model: it has 3 layers (0 to 2). Make the plan again for this model.")
    assert refusal(llama.stack(), [("block", block)]) == caught.value.message


def test_a_half_the_layer_has_not_is_refused(llama):
    stack = llama.stack()
    blocks = (stack.info.blocks[0], stack.info.blocks[1].model_copy(update={"attention": None}), stack.info.blocks[2])
    bare = replace(stack, info=stack.info.model_copy(update={"blocks": blocks}))
    assert refusal(bare, [("attention", 1)]).in_english() == (
        "Layer 1 of this model has no separate attention that could be removed. Make the plan again with whole layers."
    )
    assert refusal(bare, [("mlp", 1)]) is None


def test_a_half_that_was_not_proved_is_refused_and_the_whole_layer_is_not(llama):
    stack = replace(llama.stack(), taps=(SubBlockTaps("unknown"),) * 3)
    assert refusal(stack, [("mlp", 2)]).in_english() == (
        "The MLP of layer 2 cannot be left out: a test run did not show that it then adds exactly nothing. "
        "Leave out the whole layer, or choose another one."
    )
    assert refusal(stack, [("block", 2)]) is None


def test_a_branch_that_always_adds_something_is_refused(llama):
    class Doubled(nn.Module):
        """An attention whose block adds its own input once more, whatever the attention gives."""

        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, hidden_states, **kwargs):
            states, weights = self.inner(hidden_states=hidden_states, **kwargs)
            return states, weights

    class Block(type(llama.model.model.layers[1])):
        def forward(self, hidden_states, **kwargs):
            return super().forward(hidden_states, **kwargs) + 0.5 * hidden_states

    for block in llama.model.model.layers:
        block.__class__ = Block
    stack = find_stacks(llama.model)[0]
    assert stack.info.layout == "unknown"
    assert "adds exactly nothing" in refusal(stack, [("attention", 1)]).in_english()


def test_a_model_without_weights_is_refused():
    with torch.device("meta"):
        model = models.TINY["llama"]()
    sentence = refusal(find_stacks(model)[0], [("block", 0)]).in_english()
    assert sentence == "The weights of this model are not loaded, so no layer can be left out. Load the model first."


def test_layers_that_do_not_run_are_refused_with_the_reason(llama):
    stack = llama.stack()
    del llama.model.model.layers[0].self_attn.o_proj
    sentence = refusal(stack, [("block", 1)]).in_english()
    assert "could not be run" in sentence
    assert "o_proj" in sentence


@pytest.mark.skipif(not hasattr(transformers, "Gemma4ForCausalLM"), reason="this transformers has no Gemma 4")
def test_layers_whose_keys_others_share_are_refused_and_the_others_are_not():
    sizes = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4}
    small = {"num_key_value_heads": 2, "head_dim": 8, "vocab_size_per_layer_input": 96, "hidden_size_per_layer_input": 8}
    kinds = {"num_kv_shared_layers": 2, "layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 4}
    model = transformers.Gemma4ForCausalLM(transformers.Gemma4TextConfig(**sizes, **small, **kinds)).eval()
    stack = find_stacks(model)[0]
    for unit in ("block", "attention"):
        assert refusal(stack, [(unit, 1)]).in_english() == (
            "Layer 1 works something out that later layers need, so it cannot be left out. Choose other layers."
        )
    options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "max_new_tokens": 5}
    with left_out(stack, [("block", 2), ("attention", 3), ("mlp", 0)]):
        assert torch.equal(*(model.generate(torch.arange(20, 29)[None], use_cache=cache, **options) for cache in (True, False)))


def test_leaving_nothing_out_changes_nothing(llama):
    before = outputs(llama)
    with left_out(llama.stack(), []):
        assert torch.equal(outputs(llama), before)


def test_the_model_is_back_after_an_exception_inside(llama):
    before, stack = outputs(llama), llama.stack()
    with pytest.raises(ZeroDivisionError), left_out(stack, [("block", 0), ("attention", 1)]):
        raise ZeroDivisionError
    assert torch.equal(outputs(llama), before)
    assert not any("forward" in vars(module) for module in llama.model.modules())


def test_the_model_is_back_after_a_run_that_fails_inside(llama):
    before = outputs(llama)
    with pytest.raises(IndexError), left_out(llama.stack(), [("mlp", 0)]):
        outputs(llama, torch.tensor([[10_000]]))
    assert torch.equal(outputs(llama), before)


def test_entering_that_fails_half_way_leaves_nothing_behind(llama, monkeypatch):
    entered, original = [], skip.standing

    def third_fails(module, stand_in):
        if len(entered) == 2:
            raise MemoryError
        entered.append(module)
        return original(module, stand_in)

    before = outputs(llama)
    monkeypatch.setattr(skip, "standing", third_fails)
    with pytest.raises(MemoryError), left_out(llama.stack(), [("block", 0), ("attention", 1), ("mlp", 2)]):
        outputs(llama)
    assert len(entered) == 2
    assert torch.equal(outputs(llama), before)
    assert not any("forward" in vars(module) for module in llama.model.modules())


def test_what_stood_in_a_modules_place_before_comes_back(llama):
    attention = llama.model.model.layers[1].self_attn
    original, seen = attention.forward, []

    def hooked(*args, **kwargs):
        seen.append(len(args))
        return original(*args, **kwargs)

    attention.forward = hooked
    before = outputs(llama)
    with left_out(llama.stack(), [("attention", 1)]):
        seen.clear()
        outputs(llama)
        assert seen == []
    assert vars(attention)["forward"] is hooked
    assert torch.equal(outputs(llama), before)


def test_contexts_nest_in_any_mixture(llama):
    stack, before = llama.stack(), outputs(llama)
    with undone(stack, [("block", 1)]):
        one = outputs(llama)
    with undone(stack, [("block", 1), ("mlp", 0)]):
        both = outputs(llama)
    with left_out(stack, [("block", 1)]):
        with left_out(stack, [("mlp", 0), ("attention", 1)]), left_out(stack, [("block", 1)]):
            assert torch.equal(outputs(llama), both)
        assert torch.equal(outputs(llama), one)
        with pytest.raises(ZeroDivisionError), left_out(stack, [("block", 1), ("mlp", 0)]):
            raise ZeroDivisionError
        assert torch.equal(outputs(llama), one)
    assert torch.equal(outputs(llama), before)


def test_a_unit_named_twice_or_inside_a_left_out_layer_counts_once(llama):
    stack = llama.stack()
    with left_out(stack, [("block", 1)]):
        wanted = outputs(llama)
    with left_out(stack, [("mlp", 1), ("block", 1), ("block", 1), ("attention", 1)]), counting(stack) as calls:
        assert torch.equal(outputs(llama), wanted)
    assert calls.blocks == 2


def test_it_is_proved_once_and_then_costs_no_run(llama):
    stack = llama.stack()
    with counting(stack) as first:
        assert refusal(stack, [("mlp", 1)]) is None
    with counting(stack) as later, left_out(stack, [("block", 0), ("attention", 2)]):
        pass
    assert first.blocks > 0
    assert later.blocks == 0


def test_a_model_that_nobody_needs_any_more_is_freed():
    import gc
    import weakref

    loaded = build("llama")
    with left_out(loaded.stack(), [("block", 0), ("mlp", 1)]):
        outputs(loaded)
    gone = weakref.ref(loaded.model.model.layers[0])
    del loaded
    gc.collect()
    assert gone() is None


def test_gradients_flow_around_a_left_out_unit(llama):
    with left_out(llama.stack(), [("block", 1)]):
        llama.model(input_ids=torch.arange(5)[None]).logits.sum().backward()
    weights = [block.mlp.down_proj.weight.grad for block in llama.model.model.layers]
    assert [grad is None for grad in weights] == [False, True, False]


def test_contexts_may_end_in_any_order_as_those_of_two_threads_do(llama):
    before = outputs(llama)
    first, second = left_out(llama.stack(), [("block", 1)]), left_out(llama.stack(), [("block", 1), ("mlp", 0)])
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with left_out(llama.stack(), [("block", 1), ("mlp", 0)]):
        alone = outputs(llama)
    assert torch.equal(outputs(llama), alone)  # the second still holds
    second.__exit__(None, None, None)
    assert torch.equal(outputs(llama), before)
    assert not any("forward" in vars(module) for module in llama.model.modules())


def test_two_threads_prove_and_leave_out_at_once(llama):
    failures: list[Exception] = []

    def work(block: int) -> None:
        try:
            for _ in range(20):
                with left_out(llama.stack(), [("block", block)]):
                    pass
        except Exception as exc:  # whatever it is, it is the finding
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(block,)) for block in (0, 1, 1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert not any("forward" in vars(module) for module in llama.model.modules())


def test_a_model_that_remembers_in_its_own_way_is_refused():
    torch.manual_seed(0)
    config = transformers.RwkvConfig(vocab_size=64, hidden_size=32, num_hidden_layers=3, attention_hidden_size=32, context_length=64)
    model = transformers.RwkvForCausalLM(config).eval()
    (stack,) = find_stacks(model)
    said = refusal(stack, [("block", 1)])
    assert said is not None
    assert "in a way of its own" in said.in_english()
