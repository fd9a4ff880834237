"""Responses are judged alone, prompt by prompt, in any batches; what changed is paired over prompts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.errors import Cancelled
from analysis.profiling.stream import Watch
from analysis.training.data import learned_tokens
from analysis.training.evaluate import Chance, Judged, judge, loss, reduction, slice_reductions, with_response
from analysis.workload import EncodedExample
from tests.profiling.tiny import loaded, tiny_llama
from tests.training.tiny_training import examples_with_responses, model_named

CHANCE = Chance(replicates=300)


def by_hand(model: torch.nn.Module, example: EncodedExample) -> float:
    """Summed loss of the response, from whole logits."""
    ids = torch.from_numpy(example.input_ids)[None]
    with torch.no_grad():
        log_p = model(input_ids=ids).logits[0].log_softmax(-1)
    return -sum(float(log_p[place - 1, ids[0, place]]) for place in np.flatnonzero(learned_tokens(example)))


@pytest.mark.parametrize("batch_tokens", [1, 30, 10_000])
@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_losses_are_those_of_whole_logits_however_they_are_batched(name: str, batch_tokens: int) -> None:
    model, made = model_named(name), examples_with_responses(6)
    found = judge(model, model.stack(), made, batch_tokens)
    assert found.sums == pytest.approx([by_hand(model.model, example) for example in made], rel=1e-4)
    assert list(found.tokens) == [int(learned_tokens(example).sum()) for example in made]
    weights = np.array([example.weight for example in made])
    assert found.loss == pytest.approx(float((weights * found.sums).sum() / (weights * found.tokens).sum()))


def test_prompts_without_a_response_count_no_token() -> None:
    model, made = loaded(tiny_llama(2)), list(examples_with_responses(3))
    silent = EncodedExample("silent", "a", 1.0, False, made[0].input_ids, np.ones_like(made[0].kinds), 0, "")
    assert with_response([*made, silent]) == tuple(made)
    found = judge(model, model.stack(), [*made, silent], 64)
    assert (found.sums[-1], found.tokens[-1]) == (0.0, 0)
    assert "silent" not in found.by_example()


def test_nothing_is_learnt_and_no_gradient_kept() -> None:
    model = loaded(tiny_llama(2))
    before = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    judge(model, model.stack(), examples_with_responses(3), 64)
    assert all(torch.equal(tensor, model.model.state_dict()[name]) for name, tensor in before.items())
    assert all(parameter.grad is None for parameter in model.model.parameters())


def test_a_stop_is_heard() -> None:
    model = loaded(tiny_llama(2))
    with pytest.raises(Cancelled):
        judge(model, model.stack(), examples_with_responses(3), 64, Watch(should_stop=lambda: True))


def judged(losses: list[float]) -> Judged:
    made = examples_with_responses(len(losses))
    tokens = np.array([int(learned_tokens(example).sum()) for example in made])
    return Judged(made, np.array(losses) * tokens, tokens)


def test_a_reduction_that_is_the_same_for_all_prompts_is_certain() -> None:
    before, after = judged([3.0, 1.0, 5.0, 2.0, 4.0, 3.5]), judged([2.0, 0.0, 4.0, 1.0, 3.0, 2.5])
    found = reduction(before, after, CHANCE)
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0))
    level = loss(before, CHANCE)
    assert level.low is not None
    assert level.high is not None
    assert level.high - level.low > 0.5


def test_no_interval_from_a_single_prompt() -> None:
    found = reduction(judged([3.0]), judged([2.0]), CHANCE)
    assert (found.value, found.low, found.high) == (pytest.approx(1.0), None, None)


def test_numbers_that_overflowed_have_no_value() -> None:
    found = judged([3.0, float("nan")])
    assert loss(found, CHANCE).value is None
    assert list(found.by_example()) == ["p00"]


def test_slices_are_judged_on_their_own() -> None:
    before, after = judged([3.0] * 6), judged([2.0, 3.0] * 3)
    found = slice_reductions(before, after, CHANCE)
    assert found["a"].value == pytest.approx(1.0)
    assert found["b"].value == pytest.approx(0.0)
