"""Streamed = whole = merged halves, whatever the batches, the order, a crash or a lack of memory."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.contracts import Profile, ProfileSettings
from analysis.errors import Cancelled, ModelError, ResourceError, WorkloadError
from analysis.profiling import checkpoint
from analysis.profiling.run import ProfileJob, profile_model, resolve_settings
from analysis.profiling.stream import Saving, Watch
from tests.profiling import tiny

SETTINGS = ProfileSettings(unit_tokens=100, cka_minibatch=16, batch_tokens=100)
EXAMPLES = tiny.examples(16, slices=("a", "b"))


@pytest.fixture(scope="module")
def model():
    return tiny.loaded(tiny.tiny_llama())


@pytest.fixture(scope="module")
def whole(model) -> Profile:
    return profile_model(model, tiny.encoded(EXAMPLES), SETTINGS)


def numbers(profile: Profile) -> dict[str, np.ndarray]:
    found = {}
    for group, scores in {"overall": profile.overall, **profile.slices}.items():
        for name, value in json.loads(scores.model_dump_json()).items():
            if isinstance(value, list):
                found[f"{group}/{name}"] = np.array(value, dtype=float)
    return found


def assert_same(one: Profile, other: Profile, atol: float = 2e-6) -> None:
    a, b = numbers(one), numbers(other)
    assert a.keys() == b.keys()
    for name, values in a.items():
        np.testing.assert_allclose(b[name], values, atol=atol, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("batch_tokens", [1, 30, 64, 1000])
def test_the_batch_size_changes_nothing(model, whole, batch_tokens):
    other = profile_model(model, tiny.encoded(EXAMPLES), SETTINGS.model_copy(update={"batch_tokens": batch_tokens}))
    assert_same(whole, other)


def test_order_of_the_units_changes_nothing(model, whole):
    job = ProfileJob(model, tiny.encoded(EXAMPLES), resolve_settings(SETTINGS, model.info, model.device, model.dtype))
    stream = job.stream(job.units()[::-1])
    stream.run()
    assert_same(whole, job.profile(stream, _now()))


def test_merged_halves_are_the_whole(model, whole):
    settings = resolve_settings(SETTINGS, model.info, model.device, model.dtype)
    halves = [ProfileJob(model, tiny.encoded(EXAMPLES), settings) for _ in range(2)]
    for part, job in enumerate(halves):
        stream = job.stream(job.units()[part::2])
        stream.run()
    halves[0].sums.merge(halves[1].sums)
    assert_same(whole, halves[0].profile(stream, _now()))


def test_the_size_of_a_unit_moves_only_the_cut_of_the_minibatches(model, whole):
    other = profile_model(model, tiny.encoded(EXAMPLES), SETTINGS.model_copy(update={"unit_tokens": 1000}))
    a, b = numbers(whole), numbers(other)
    for name in a:
        if "cka" not in name:
            np.testing.assert_allclose(b[name], a[name], atol=2e-6, rtol=1e-5, err_msg=name)


def test_a_stopped_run_goes_on_and_ends_with_the_same_numbers(model, whole, tmp_path):
    calls = iter(range(10**9))
    saving = Saving(tmp_path / "run.npz", "key")
    with pytest.raises(Cancelled):
        profile_model(model, tiny.encoded(EXAMPLES), SETTINGS, watch=Watch(should_stop=lambda: next(calls) > 9), saving=saving)
    assert saving.path.exists()
    resumed = profile_model(model, tiny.encoded(EXAMPLES), SETTINGS, saving=saving)
    assert resumed.timing.resumed
    assert numbers(resumed).keys() == numbers(whole).keys()
    assert resumed.overall == whole.overall
    assert resumed.slices == whole.slices


def test_a_finished_run_can_be_read_from_its_checkpoint_until_it_is_stored(model, whole, tmp_path):
    saving = Saving(tmp_path / "run.npz", "key")
    profile_model(model, tiny.encoded(EXAMPLES), SETTINGS, saving=saving)
    asked = []
    again = profile_model(model, tiny.encoded(EXAMPLES), SETTINGS, saving=saving, watch=Watch(should_stop=lambda: bool(asked.append(1))))
    assert again.overall == whole.overall
    assert not asked  # nothing was computed
    checkpoint.forget(tmp_path, "run")
    assert not saving.path.exists()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nothing", b"not an archive"])
def test_a_damaged_or_foreign_checkpoint_is_not_used(model, whole, tmp_path, damage):
    path = tmp_path / "run.npz"
    path.write_bytes(damage)
    fresh = profile_model(model, tiny.encoded(EXAMPLES), SETTINGS, saving=Saving(path, "key"))
    assert not fresh.timing.resumed
    assert fresh.overall == whole.overall


class Short:
    """A root that runs out of memory for batches wider than it can take."""

    def __init__(self, root: torch.nn.Module, limit: int, error: Exception) -> None:
        self.root, self.limit, self.error, self.forward = root, limit, error, root.forward

    def __call__(self, **inputs: torch.Tensor) -> object:
        if inputs["input_ids"].numel() > self.limit:
            raise self.error
        return self.root(**inputs)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory"), torch.OutOfMemoryError("CUDA out of memory.")]
)
def test_short_memory_halves_the_batch_and_changes_nothing(model, whole, error):
    job = ProfileJob(model, tiny.encoded(EXAMPLES), resolve_settings(SETTINGS, model.info, model.device, model.dtype))
    stream = job.stream(job.units())
    object.__setattr__(job.stack, "root", job.stack.root)
    stream.stack = type(job.stack)(job.stack.info, Short(job.stack.root, 60, error), job.stack.blocks, job.stack.taps)
    stream.run()
    assert stream.halvings >= 1
    found = job.profile(stream, _now())
    assert_same(whole, found)
    assert any("Memory ran short" in note.id for note in found.notes)


def test_an_example_that_never_fits_is_said_in_one_sentence(model):
    job = ProfileJob(model, tiny.encoded(EXAMPLES), resolve_settings(SETTINGS, model.info, model.device, model.dtype))
    stream = job.stream(job.units())
    stream.stack = type(job.stack)(job.stack.info, Short(job.stack.root, 5, MemoryError()), job.stack.blocks, job.stack.taps)
    with pytest.raises(ResourceError, match="does not fit the memory even on its own"):
        stream.run()


def test_memory_that_runs_out_while_measuring_is_said_in_one_sentence(model, monkeypatch):
    def measure(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("analysis.profiling.stream.measure_unit", measure)
    with pytest.raises(ResourceError, match="not enough memory to measure"):
        profile_model(model, tiny.encoded(EXAMPLES), SETTINGS)


def test_a_tokenizer_of_another_model_is_refused_before_anything_runs(model):
    foreign = [replace(EXAMPLES[0], input_ids=np.full_like(EXAMPLES[0].input_ids, 10_000)), *EXAMPLES[1:]]
    with pytest.raises(ModelError, match="token number 10,?000"):
        profile_model(model, tiny.encoded(foreign), SETTINGS)


def test_prompts_are_cut_to_what_the_model_can_read(model):
    asked = SETTINGS.model_copy(update={"max_tokens": 10**9})
    assert resolve_settings(asked, model.info, model.device, model.dtype).max_tokens == model.info.max_context_tokens
    endless = model.info.model_copy(update={"max_context_tokens": None})
    assert resolve_settings(asked, endless, model.device, model.dtype).max_tokens == 10**9


def test_a_place_that_the_model_does_not_have_is_said_in_words(model, monkeypatch):
    def missing(*_: object) -> None:
        raise IndexError("index out of range in self")

    monkeypatch.setattr("analysis.profiling.stream.Pass._forward", missing)
    with pytest.raises(ModelError, match="Allow fewer tokens"):
        profile_model(model, tiny.encoded(EXAMPLES), SETTINGS)


def test_a_model_that_adds_in_place_is_found_out(whole):
    changed = tiny.loaded(tiny.tiny_llama())
    for block in changed.stack().blocks:
        block.mlp.register_forward_hook(_adds_in_place(block))
    original = profile_model(tiny.loaded(tiny.tiny_llama()), tiny.encoded(EXAMPLES), SETTINGS)
    found = profile_model(changed, tiny.encoded(EXAMPLES), SETTINGS)
    np.testing.assert_allclose(np.array(found.overall.attention_influence), np.array(original.overall.attention_influence), atol=2e-6)
    np.testing.assert_allclose(np.array(found.overall.mlp_influence), np.array(original.overall.mlp_influence), atol=2e-6)


def _adds_in_place(block):
    """x + mlp(x) done as x += mlp(x); y = x + 0: same function, but the state seen before is overwritten."""
    kept = {}
    block.post_attention_layernorm.register_forward_pre_hook(lambda _m, args: kept.update(mid=args[0]))

    def hook(_module, _args, out):
        kept["mid"].add_(out)
        return torch.zeros_like(out)

    return hook


def test_hooks_are_gone_afterwards_even_after_an_error(model):
    calls = iter(range(10**9))
    with pytest.raises(Cancelled):
        profile_model(model, tiny.encoded(EXAMPLES), SETTINGS, watch=Watch(should_stop=lambda: next(calls) > 3))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.model.modules())


def test_tokens_whose_numbers_overflow_are_left_out_and_said():
    model = tiny.tiny_llama()
    with torch.no_grad():
        model.model.embed_tokens.weight[5] = float("inf")
    made = tiny.examples(10)
    made[0].input_ids[5] = 5
    found = profile_model(tiny.loaded(model), tiny.encoded(made), SETTINGS)
    assert any("overflowed" in note.id for note in found.notes)
    assert all(value is not None for value in found.overall.block_influence)


def test_no_tokens_is_refused(model):
    with pytest.raises(WorkloadError, match="No example of this workload"):
        profile_model(model, tiny.encoded([]), SETTINGS)


def test_progress_reaches_the_end_with_a_rate(model):
    seen = []
    profile_model(model, tiny.encoded(EXAMPLES), SETTINGS, watch=Watch(on_progress=seen.append))
    assert seen[-1].done == seen[-1].total
    assert seen[-1].tokens_per_second > 0
    assert [one.done for one in seen] == sorted(one.done for one in seen)


def _now():
    from datetime import UTC, datetime

    return datetime.now(UTC)
