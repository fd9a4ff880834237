"""The frozen prefix: without a graph, without dropout, and not computed at all once its output is kept."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from analysis.contracts import Message
from analysis.errors import PlanError, ResourceError
from analysis.models.stack import LoadedModel
from analysis.training import prefix as prefixes
from analysis.training import prefix_cache
from analysis.training.callbacks import inputs_of
from analysis.training.data import TrainingSet
from analysis.training.prefix import Prefix, norms_behind
from analysis.training.prefix_cache import PrefixCache, open_cache
from analysis.training.trainee import Trainee
from tests.training.tiny_training import examples_with_responses, model_named, run_arm, weights_of

CACHED = (
    "llama",
    "qwen2",
    "gemma2",
    "gemma3",
    "gpt2",
    "gpt_neox",
    "opt",
    "opt_post_norm",
    "falcon",
    "bloom",
    "olmo2",
    "mixtral",
    "deepseek_v3",
)
CPU = torch.device("cpu")


def made_cache(data: TrainingSet, kind: Any = "memory", folder: Path | None = None, width: int = 32) -> PrefixCache:
    return PrefixCache(kind, None, folder, lengths=data.lengths, width=width, dtype=torch.float32, device=CPU)


def gradients(
    model: LoadedModel, eof_layer: int, cache: PrefixCache | None, data: TrainingSet, groups: list[tuple[int, ...]]
) -> list[Tensor]:
    """Of the free blocks, after a pass over each group."""
    stack = model.stack()
    for parameter in model.model.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    free = [parameter for block in stack.blocks[eof_layer + 1 :] for parameter in block.parameters()]
    for parameter in free:
        parameter.requires_grad_(True)
    prefix = Prefix(stack, eof_layer)
    trainee = Trainee(model, stack, prefix, cache)
    with prefix.watched():
        for group in groups:
            batch, weights = data.micro_batches(group, len(group))[0]
            trainee(**inputs_of(batch, weights, CPU)).backward()
        assert not prefix.had_graph
    return [parameter.grad.clone() for parameter in free if parameter.grad is not None]


@pytest.mark.parametrize("name", CACHED)
@pytest.mark.parametrize("eof_layer", [0, 1])
def test_gradients_with_the_cache_are_those_without_it_in_padded_batches_made_up_anew(name: str, eof_layer: int) -> None:
    model, data = model_named(name), TrainingSet(examples_with_responses(6))
    assert len({len(example.input_ids) for example in data.examples}) > 2
    cache = made_cache(data)
    first, later = [(0, 1, 2), (3, 4, 5)], [(5, 1, 3), (4, 0, 2)]
    gradients(model, eof_layer, cache, data, first)
    assert cache.knows(range(6))
    cached, computed = gradients(model, eof_layer, cache, data, later), gradients(model, eof_layer, None, data, later)
    assert len(cached) == len(computed) > 0
    for one, other in zip(cached, computed, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    assert any(gradient.abs().max() > 1e-3 for gradient in computed)


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_from_the_second_epoch_on_the_frozen_layers_are_not_called(kind: Any, tmp_path: Path) -> None:
    model, called = model_named("llama"), Counter[int]()
    handles = [
        block.self_attn.q_proj.register_forward_hook(lambda *_, index=index: called.update([index]))  # type: ignore[union-attr]
        for index, block in enumerate(model.stack().blocks)
    ]
    seen: list[Counter[int]] = []
    run = run_arm(
        model, "freeze", 1, cache=kind, epochs=3, evaluate=lambda point: (seen.append(called.copy()), point)[1], folder=tmp_path / "arm"
    )
    for handle in handles:
        handle.remove()
    start, end = seen[0], seen[-1]
    done = end - start
    assert run.n_steps == 9
    assert (done[0], done[1], done[2]) == (3, 3, 9)  # three steps of the first epoch, nine of all
    assert run.cost.cache == kind
    assert run.cost.cache_bytes == 4 * 32 * sum(len(example.input_ids) for example in examples_with_responses(8))
    assert not (tmp_path / "arm").exists()


def test_weights_after_a_cached_arm_are_those_after_an_uncached_one() -> None:
    model, ends = model_named("gemma3"), []
    for kind in ("off", "memory"):
        run_arm(model, "freeze", 0, cache=kind, epochs=3, evaluate=lambda point: (ends.append(weights_of(model)), point)[1])
    off, memory = ends[2], ends[5]
    assert any(not torch.equal(off[name], ends[0][name]) for name in off)
    for name in off:
        torch.testing.assert_close(memory[name], off[name], atol=1e-5, rtol=1e-4)


def test_dropout_reaches_the_free_layers_only_so_that_the_boundary_is_the_same_each_time() -> None:
    model, data = model_named("gpt2"), TrainingSet(examples_with_responses(2))
    stack = model.stack()
    assert any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.model.modules())
    prefix = Prefix(stack, 0)
    trainee = Trainee(model, stack, prefix).train()
    batch, weights = data.micro_batches((0, 1), 2)[0]
    states, losses = [], []
    with prefix.watched():
        for _ in range(2):
            losses.append(float(trainee(**inputs_of(batch, weights, CPU)).detach()))
            states.append(prefix.entered)
    assert torch.equal(*states)  # type: ignore[arg-type]
    assert losses[0] != losses[1]
    assert [block.training for block in stack.blocks] == [False, True, True]
    assert not any(module.training for module in trainee.eval().modules())


def test_the_loss_is_the_weighted_mean_over_response_tokens_that_the_whole_model_gives() -> None:
    model, data = model_named("gemma2"), TrainingSet(examples_with_responses(3))
    batch, weights = data.micro_batches((0, 1, 2), 3)[0]
    trainee = Trainee(model, model.stack(), Prefix(model.stack(), -1))
    with torch.no_grad():
        loss = trainee(**inputs_of(batch, weights, CPU))
        total, n = 0.0, 0.0
        for example in data.examples:
            ids = torch.from_numpy(example.input_ids)[None]
            log_p = model.model(input_ids=ids).logits[0].float().log_softmax(-1)
            for place in [place for place, kind in enumerate(example.kinds) if kind == 2]:
                total -= example.weight * float(log_p[place - 1, ids[0, place]])
                n += example.weight
    assert float(loss) == pytest.approx(total / n, rel=1e-5)


def test_a_model_whose_first_layers_cannot_be_left_out_trains_without_a_cache_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> list[Any]:
        raise PlanError("Layer {block} works something out that later layers need, so it cannot be left out. Choose other layers.", block=0)

    monkeypatch.setattr(prefixes, "ways_of", refuses)
    run = run_arm(model_named("llama"), "freeze", 0, cache="memory")
    assert run.cost.cache == "off"
    assert run.frozen_identical
    assert "cannot be run without its first layers: Layer 0 works something out" in run.notes[0].in_english()


def test_a_graph_below_the_boundary_is_noticed() -> None:
    model = model_named("llama")
    prefix = Prefix(model.stack(), 0)
    trainee = Trainee(model, model.stack(), prefix)
    with prefix.watched():
        trainee.final_states(torch.tensor([[5, 6, 7]]), None)
    assert prefix.had_graph  # nothing was frozen


@pytest.mark.parametrize(("name", "count"), [("llama", 1), ("gpt2", 1), ("opt", 1), ("bloom", 1), ("opt_post_norm", 0)])
def test_the_final_norm_is_found_by_what_runs_behind_the_last_layer(name: str, count: int) -> None:
    assert len(norms_behind(model_named(name).stack())) == count


@pytest.mark.parametrize("kind", ["memory", "disk"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_kept_comes_back_bit_for_bit_and_padded(kind: Any, dtype: torch.dtype, tmp_path: Path) -> None:
    cache = PrefixCache(kind, None, tmp_path, lengths=[2, 5, 3], width=4, dtype=dtype, device=CPU)
    states = {index: torch.randn(6, 4).to(dtype) for index in range(3)}
    for index in (2, 0, 1):
        assert not cache.knows((0, 1, 2))
        cache.put(index, states[index])
    found = cache.get((2, 0))
    assert found.shape == (2, 3, 4)
    assert torch.equal(found[0], states[2][:3])
    assert torch.equal(found[1, :2], states[0][:2])
    assert not found[1, 2:].any()
    assert cache.n_bytes == 10 * 4 * dtype.itemsize
    cache.close()
    assert list(tmp_path.iterdir()) == []
    assert not cache.knows((0,))


def opened(kind: Any, limit: int | None, folder: Path | None) -> prefix_cache.Opened:
    return open_cache(kind, limit, folder, lengths=[1000], width=256, dtype=torch.float32, device=CPU)


def test_auto_takes_memory_then_disk_then_nothing_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plenty = opened("auto", None, tmp_path)
    assert plenty.cache is not None
    assert plenty.cache.kind == "memory"
    monkeypatch.setattr(prefix_cache, "available_bytes", lambda _: 1000)
    on_disk = opened("auto", None, tmp_path)
    assert on_disk.cache is not None
    assert on_disk.cache.kind == "disk"
    on_disk.cache.close()
    none = opened("auto", 1000, tmp_path)
    assert none.cache is None
    assert isinstance(none.note, Message)
    assert "was not kept" in none.note.in_english()
    assert opened("off", None, tmp_path).cache is None


def test_a_disk_that_fills_up_meanwhile_is_said_and_nothing_is_left_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prefix_cache.os, "posix_fallocate", full)
    with pytest.raises(ResourceError, match="could not be kept on disk .* No space left on device"):
        opened("disk", None, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_disk_too_small_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_cache, "_free_disk", lambda _: 1000)
    with pytest.raises(ResourceError, match="The disk is too small for the cache"):
        opened("disk", None, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_memory_asked_for_by_name_is_refused_when_it_does_not_fit_the_limit(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="Keep it on disk"):
        opened("memory", 1000, tmp_path)
