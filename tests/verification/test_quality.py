"""Loss, KL and agreement against full logits in float64; planted redundancy; batches, memory, stopping."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.contracts import ModelSource, Progress
from analysis.errors import Cancelled, ModelError, ResourceError
from analysis.models.head import Head
from analysis.models.stack import Identity, LoadedModel, assemble
from analysis.profiling.stream import Watch
from analysis.surgery.skip import left_out
from analysis.verification.answers import Answers
from analysis.verification.batches import Runner
from analysis.verification.quality import KL, LOSS_ORIGINAL, LOSS_PLAN, compare_words, measure_quality, scores
from analysis.verification.scoring import score_all
from analysis.workload import EncodedExample, scored
from tests.models.tiny import build
from tests.profiling import tiny

EXAMPLES = [replace(example, critical=number % 5 == 0) for number, example in enumerate(tiny.examples(20, slices=("a", "b", "c")))]
CAUSAL = ("llama", "gemma2", "gemma3", "gpt2", "gpt_neox", "opt", "mixtral")


def loaded(name: str) -> LoadedModel:
    model = build(name)
    info, stacks = assemble(model, Identity(name, ModelSource(kind="folder", location=name), "c0ffee", model.dtype))
    return LoadedModel(model, info, stacks, Path("."), model.device, model.dtype)


def runner(model: LoadedModel, batch_tokens: int = 64, watch: Watch | None = None) -> Runner:
    return Runner(model, model.stack(), batch_tokens, watch or Watch())


def measured(model: LoadedModel, removed, batch_tokens: int = 64, watch: Watch | None = None):
    return measure_quality(runner(model, batch_tokens, watch), EXAMPLES, lambda: left_out(model.stack(), removed))


@torch.no_grad()
def by_full_logits(model: LoadedModel, example: EncodedExample, removed) -> tuple[float, float, float, int]:
    """The same sums from the model's own full logits, one example at a time, in float64."""
    ids = torch.from_numpy(example.input_ids)[None]
    original = model.model(input_ids=ids).logits[0].double().log_softmax(-1)
    with left_out(model.stack(), removed):
        plan = model.model(input_ids=ids).logits[0].double().log_softmax(-1)
    losses, plans, kl, agreed = 0.0, 0.0, 0.0, 0
    for place in np.flatnonzero(scored(example)):
        before = place - 1
        losses -= float(original[before, ids[0, place]])
        plans -= float(plan[before, ids[0, place]])
        kl += float((original[before].exp() * (original[before] - plan[before])).sum())
        agreed += int(original[before].argmax() == plan[before].argmax())
    return losses, plans, kl, agreed


@pytest.mark.parametrize("name", CAUSAL)
def test_loss_kl_and_agreement_are_those_of_full_logits_in_float64(name: str) -> None:
    model = loaded(name)
    removed = [("block", 1)]
    tally = measured(model, removed)
    for row, example in enumerate(EXAMPLES):
        losses, plans, kl, agreed = by_full_logits(model, example, removed)
        assert tally.sums[row, LOSS_ORIGINAL] == pytest.approx(losses, rel=2e-5, abs=2e-5)
        assert tally.sums[row, LOSS_PLAN] == pytest.approx(plans, rel=2e-5, abs=2e-5)
        assert tally.sums[row, KL] == pytest.approx(kl, rel=1e-4, abs=1e-4)
        assert tally.sums[row, 3] == agreed


def test_perplexity_is_the_exponential_of_the_weighted_mean_loss() -> None:
    model = loaded("llama")
    removed = [("attention", 0)]
    found = scores(measured(model, removed), range(len(EXAMPLES)), replicates=100, seed=0)
    weight, losses, plans = 0.0, 0.0, 0.0
    for example in EXAMPLES:
        one = by_full_logits(model, example, removed)
        weight += example.weight * int(scored(example).sum())
        losses += example.weight * one[0]
        plans += example.weight * one[1]
    assert found.perplexity_original.value == pytest.approx(math.exp(losses / weight), rel=1e-5)
    assert found.perplexity_plan.value == pytest.approx(math.exp(plans / weight), rel=1e-5)
    assert found.perplexity_ratio.value == pytest.approx(math.exp((plans - losses) / weight), rel=1e-5)
    assert found.loss_change.value == pytest.approx((plans - losses) / weight, rel=1e-3)


@pytest.mark.parametrize("removed", [[("block", 2)], [("attention", 2)], [("mlp", 2)], [("attention", 2), ("mlp", 2)]])
def test_a_plan_that_removes_what_does_nothing_changes_nothing(removed) -> None:
    model = tiny.tiny_llama()
    with torch.no_grad():
        model.model.layers[2].self_attn.o_proj.weight.zero_()
        model.model.layers[2].mlp.down_proj.weight.zero_()
    found = scores(measured(tiny.loaded(model), removed), range(len(EXAMPLES)), replicates=100, seed=0)
    assert (found.perplexity_ratio.value, found.perplexity_ratio.low, found.perplexity_ratio.high) == (1.0, 1.0, 1.0)
    assert found.kl.value == 0.0
    assert found.top1_agreement.value == 1.0
    assert found.p_value == 1.0


@pytest.mark.parametrize("batch_tokens", [1, 30, 1000])
def test_the_batch_size_changes_nothing(batch_tokens: int) -> None:
    model = loaded("llama")
    one, other = measured(model, [("block", 0)]), measured(model, [("block", 0)], batch_tokens)
    np.testing.assert_allclose(one.sums, other.sums, rtol=1e-5, atol=1e-5)


def test_the_model_is_what_it_was_afterwards() -> None:
    model = loaded("llama")
    ids = torch.arange(3, 20)[None]
    before = model.model(input_ids=ids).logits
    measured(model, [("block", 1)])
    assert torch.equal(before, model.model(input_ids=ids).logits)


def test_the_scores_of_slices_add_up_to_the_whole() -> None:
    tally = measured(loaded("llama"), [("block", 1)])
    found = score_all(tally, EXAMPLES, Answers(), replicates=100, seed=0)
    assert sorted(found.slices) == ["a", "b", "c"]
    assert sum(part.n_examples for part in found.slices.values()) == found.quality.n_examples == len(EXAMPLES)
    assert sum(part.n_tokens for part in found.slices.values()) == found.quality.n_tokens
    weights = {name: sum(e.weight * int(scored(e).sum()) for e in EXAMPLES if e.slice == name) for name in found.slices}
    mean = sum(weights[name] * (part.loss_change.value or 0.0) for name, part in found.slices.items()) / sum(weights.values())
    assert mean == pytest.approx(found.quality.loss_change.value)
    assert found.critical is not None
    assert found.critical.n_examples == sum(example.critical for example in EXAMPLES) == 4
    total = sum(one.n_tokens * ((one.loss_plan or 0) - (one.loss_original or 0)) for one in found.examples if one.critical)
    own = measured_only(tally, [number for number, example in enumerate(EXAMPLES) if example.critical])
    assert total == pytest.approx(own)


def measured_only(tally, members) -> float:
    return float((tally.sums[members, LOSS_PLAN] - tally.sums[members, LOSS_ORIGINAL]).sum())


def test_intervals_hold_the_figure_and_a_broken_plan_is_significantly_worse() -> None:
    model = tiny.loaded(tiny.tiny_llama())
    examples = in_the_models_own_words(model)
    tally = measure_quality(runner(model, 500), examples, lambda: left_out(model.stack(), [("block", 0)]))
    found = scores(tally, range(len(examples)), replicates=1000, seed=0)
    for estimate in (found.perplexity_original, found.perplexity_plan, found.perplexity_ratio, found.kl, found.top1_agreement):
        assert estimate.value is not None
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= estimate.value <= estimate.high
    assert found.perplexity_ratio.low is not None
    assert found.perplexity_ratio.low > 1.0
    assert found.p_value is not None
    assert found.p_value < 0.01


@torch.no_grad()
def in_the_models_own_words(model: LoadedModel) -> list[EncodedExample]:
    """The examples, each gone on with what the model itself would say, so that every layer is worth something."""
    ids = torch.stack([torch.from_numpy(example.input_ids[:9]) for example in EXAMPLES])
    for _ in range(8):
        ids = torch.cat([ids, model.model(input_ids=ids).logits[:, -1:].argmax(-1)], dim=1)
    kinds = np.array([0] * 9 + [2] * 8, dtype=np.uint8)
    return [replace(example, input_ids=row, kinds=kinds) for example, row in zip(EXAMPLES, ids.numpy(), strict=True)]


def test_a_masked_model_gets_no_perplexity_but_kl_and_similarity() -> None:
    found = scores(measured(loaded("bert"), [("block", 1)]), range(len(EXAMPLES)), replicates=100, seed=0)
    assert found.perplexity_ratio.value is None
    assert found.p_value is None
    assert found.kl.value is not None
    assert found.kl.value > 0
    assert found.similarity is not None
    assert found.similarity.value is not None
    assert 0 < found.similarity.value < 1


def test_a_bare_encoder_is_judged_by_the_states_it_ends_with() -> None:
    bare = build("bert").bert
    info, stacks = assemble(bare, Identity("bert", ModelSource(kind="folder", location="bert"), "c0ffee", bare.dtype))
    model = LoadedModel(bare, info, stacks, Path("."), bare.device, bare.dtype)
    found = scores(measured(model, [("mlp", 1)]), range(len(EXAMPLES)), replicates=100, seed=0)
    assert found.perplexity_original.value is None
    assert found.kl.value is None
    assert found.similarity is not None
    cosines, total = 0.0, 0.0
    with torch.no_grad():
        for example in EXAMPLES:
            ids = torch.from_numpy(example.input_ids)[None]
            one = bare(input_ids=ids)[0][0]
            with left_out(model.stack(), [("mlp", 1)]):
                other = bare(input_ids=ids)[0][0]
            kept = torch.from_numpy(scored(example, causal=False))
            cosines += example.weight * float(torch.nn.functional.cosine_similarity(one, other)[kept].double().sum())
            total += example.weight * int(kept.sum())
    assert found.similarity.value == pytest.approx(cosines / total, rel=1e-5)


def test_an_encoder_decoder_is_judged_by_its_states_too() -> None:
    tally = measured(loaded("t5"), [("block", 1)])
    assert not tally.words
    assert np.isfinite(tally.sums).all()


def test_words_that_a_model_forbids_do_not_spoil_kl() -> None:
    original = torch.tensor([[1.0, 2.0, -math.inf]])
    figures = compare_words(original, torch.tensor([[2.0, 1.0, -math.inf]]), torch.tensor([1]))
    p = math.e / (1 + math.e)
    assert figures[0, KL] == pytest.approx(p * 1 + (1 - p) * -1)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@contextmanager
def overflowing(model: LoadedModel) -> Iterator[None]:
    weight = model.model.model.norm.weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight.fill_(math.inf)
    try:
        yield
    finally:
        with torch.no_grad():
            weight.copy_(before)


def test_numbers_that_overflow_are_refused_in_words() -> None:
    model = tiny.loaded(tiny.tiny_llama())
    with pytest.raises(ModelError, match=r"With the plan the model's numbers overflowed in float32"):
        measure_quality(runner(model), EXAMPLES, lambda: overflowing(model))
    with overflowing(model), pytest.raises(ModelError, match=r"The original model's numbers overflowed"):
        measured(model, [("block", 1)])


class Scarce:
    """A stack that holds only so many tokens at once."""

    def __init__(self, root, most: int) -> None:
        self.root, self.most = root, most

    def __enter__(self):
        def refuse(_, __, kwargs):
            if kwargs["input_ids"].numel() > self.most:
                raise torch.OutOfMemoryError("out of memory")

        self.handle = self.root.register_forward_pre_hook(refuse, with_kwargs=True)

    def __exit__(self, *_):
        self.handle.remove()


def test_batches_are_halved_when_memory_runs_short_and_nothing_counts_twice() -> None:
    model = loaded("llama")
    whole = measured(model, [("block", 1)])
    with Scarce(model.stack().root, 40):
        job = runner(model, 500)
        halved = measure_quality(job, EXAMPLES, lambda: left_out(model.stack(), [("block", 1)]))
    assert job.halvings > 0
    np.testing.assert_allclose(halved.sums, whole.sums, rtol=1e-5, atol=1e-5)


def test_a_prompt_that_does_not_fit_alone_is_refused_in_words() -> None:
    model = loaded("llama")
    with Scarce(model.stack().root, 5), pytest.raises(ResourceError, match=r"does not fit the memory even on its own"):
        measured(model, [("block", 1)])


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    model = loaded("llama")

    @contextmanager
    def broken() -> Iterator[None]:
        raise RuntimeError("shapes differ")
        yield

    with pytest.raises(RuntimeError, match="shapes differ"):
        measure_quality(runner(model), EXAMPLES, broken)


def test_stopping_does_not_wait_for_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.verification.batches._ASK_EVERY_SECONDS", 0.0)
    model, passed = loaded("llama"), []
    first = model.stack().blocks[0].register_forward_hook(lambda *_: passed.append(0))
    last = model.stack().blocks[-1].register_forward_hook(lambda *_: passed.append(-1))
    try:
        with pytest.raises(Cancelled, match="Stopped at your request"):
            measured(model, [("block", 1)], 10_000, Watch(should_stop=lambda: bool(passed)))
    finally:
        first.remove()
        last.remove()
    assert passed == [0], "left inside the first pass"
    assert not any(block._forward_pre_hooks for block in model.stack().blocks)


def test_progress_counts_tokens_and_ends_at_all_of_them() -> None:
    told: list[Progress] = []
    measured(loaded("llama"), [("block", 1)], 64, Watch(on_progress=told.append))
    total = sum(len(example.input_ids) for example in EXAMPLES)
    assert told[0].done == 0
    assert told[-1].done == told[-1].total == total
    assert [one.done for one in told] == sorted(one.done for one in told)
    assert told[-2].tokens_per_second
    assert told[-2].eta_seconds is not None


@pytest.mark.parametrize(("name", "has_words"), [("llama", True), ("bert", True), ("t5", False)])
def test_a_head_says_whether_it_can_be_used(name: str, has_words: bool) -> None:
    model = loaded(name)
    assert [Head(model, stack).exists for stack in model.stacks] == [has_words] * len(model.stacks)
