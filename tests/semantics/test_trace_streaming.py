"""Traces streamed = whole = merged halves; the profile beside them is the same to the last bit."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from analysis.contracts import Profile, ProfileSettings, Semantics, SemanticSettings
from analysis.errors import Cancelled
from analysis.profiling.run import ProfileJob, profile_model, resolve_settings
from analysis.profiling.stream import Saving, Watch
from analysis.semantics.run import _TraceJob, trace_model
from analysis.semantics.scores import TraceBook
from analysis.semantics.tokens import plan_tokens
from tests.profiling import oracle, tiny

SETTINGS = ProfileSettings(unit_tokens=100, cka_minibatch=16, batch_tokens=100)
SEMANTIC = SemanticSettings(gradients=False, lens_tokens=30, traces=3)
EXAMPLES = tiny.examples(16, slices=("a", "b"))
MEASURED = ("overall", "slices", "examples", "traces", "fidelity", "default_curve")


@pytest.fixture(scope="module")
def model():
    return tiny.loaded(tiny.tiny_llama())


@pytest.fixture(scope="module")
def whole(model) -> tuple[Profile, Semantics]:
    return trace_model(model, tiny.encoded(EXAMPLES), SETTINGS, SEMANTIC)


def trace_job(model, settings: ProfileSettings = SETTINGS, **more) -> _TraceJob:
    encoded = tiny.encoded(EXAMPLES)
    job = ProfileJob(model, encoded, resolve_settings(settings, model.info, model.device, model.dtype), **more)
    return _TraceJob(job, SEMANTIC, plan_tokens(encoded, SEMANTIC, None), None, None)


def flat(value: object, path: str = "") -> dict[str, object]:
    """Every leaf by its path."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: leaf for key, inner in pairs for name, leaf in flat(inner, f"{path}/{key}").items()}
    return {path: value}


def assert_same(one: Semantics, other: Semantics, atol: float = 2e-6) -> None:
    a, b = (flat(json.loads(each.model_dump_json(include=set(MEASURED)))) for each in (one, other))
    assert a.keys() == b.keys()
    for path, value in a.items():
        if isinstance(value, float):
            assert b[path] == pytest.approx(value, abs=max(atol, 1e-4 * abs(value))), path
        else:
            assert b[path] == value, path


def test_the_profile_beside_the_traces_is_the_same_to_the_last_bit(model, whole):
    alone = profile_model(model, tiny.encoded(EXAMPLES), SETTINGS)
    for name in ("id", "overall", "slices", "examples", "rank_stability", "counts", "settings"):
        assert getattr(whole[0], name) == getattr(alone, name), name


@pytest.mark.parametrize("change", [{"batch_tokens": 30}, {"batch_tokens": 1000}, {"unit_tokens": 1000}])
def test_neither_batches_nor_units_move_the_traces(model, whole, change):
    _, other = trace_model(model, tiny.encoded(EXAMPLES), SETTINGS.model_copy(update=change), SEMANTIC)
    assert_same(whole[1], other)


def test_small_pieces_of_a_unit_give_the_same(model, whole, monkeypatch):
    monkeypatch.setattr("analysis.semantics.sums.PIECE_BYTES", {"cpu": 1})
    monkeypatch.setattr("analysis.semantics.lens._CHUNK_BYTES", {"cpu": 1})
    monkeypatch.setattr("analysis.semantics.bases.BLOCK_BYTES", {"cpu": 1})
    _, other = trace_model(model, tiny.encoded(EXAMPLES), SETTINGS, SEMANTIC)
    assert_same(whole[1], other)


def test_merged_halves_are_the_whole(model, whole):
    found = []
    for part in range(2):
        traced = trace_job(model)
        sums = traced._sums()
        traced.job.accumulators = (sums,)
        traced.job.stream(traced.job.units()[part::2]).run()
        found.append(sums)
    found[0].merge(found[1])
    book = TraceBook(found[0])
    assert book.default == whole[1].default_curve
    assert_same(
        whole[1], whole[1].model_copy(update={"overall": book.of("overall"), "slices": {name: book.of(name) for name in book.measured()}})
    )


def test_a_stopped_run_goes_on_and_ends_with_the_same_traces(model, whole, tmp_path):
    calls = iter(range(10**9))
    saving = Saving(tmp_path / "run.npz", "key")
    with pytest.raises(Cancelled):
        trace_job(model, saving=saving, watch=Watch(should_stop=lambda: next(calls) > 14)).run()
    assert saving.path.exists()
    profile, resumed = trace_job(model, saving=saving).run()
    assert profile.timing.resumed
    assert resumed.overall == whole[1].overall
    assert resumed.traces == whole[1].traces
    assert profile.overall == whole[0].overall


def test_a_profile_does_not_go_on_from_a_checkpoint_with_traces(model, tmp_path):
    saving = Saving(tmp_path / "run.npz", "key")
    trace_job(model, saving=saving).run()
    assert not profile_model(model, tiny.encoded(EXAMPLES), SETTINGS, saving=saving).timing.resumed


def test_a_stop_in_the_middle_of_a_unit_leaves_whole_sums(model):
    traced = trace_job(model)
    sums = traced._sums()
    stops = iter([False, True])
    sums.check = lambda: (_ for _ in ()).throw(Cancelled("Stopped at your request.")) if next(stops, True) else None
    traced.job.accumulators = (sums,)
    with pytest.raises(Cancelled):
        traced.job.stream(traced.job.units()).run()
    assert {name: float(tensor.double().abs().sum()) for name, tensor in sums.tensors.items() if name != "seconds"} == {
        name: 0.0 for name in sums.tensors if name != "seconds"
    }


def test_other_accumulators_get_the_states_as_the_model_made_them(model):
    """Although the profile takes the mean out of its buffer afterwards."""
    seen: dict[str, torch.Tensor] = {}

    class Keeping:
        def update(self, unit):
            for member, example in enumerate(unit.unit.examples):
                seen[example.example_id] = unit.states(torch.from_numpy(unit.unit.slots[member]))

        def state(self):
            return {}

    profile_model(model, tiny.encoded(EXAMPLES), SETTINGS, accumulators=[Keeping()])
    assert len(seen) == len(EXAMPLES)
    for example in EXAMPLES:
        wanted, _ = oracle.states_of(model.stack(), example)
        np.testing.assert_allclose(seen[example.example_id].numpy(), wanted, atol=1e-4)


def test_intervals_hold_their_means(whole):
    for curve in whole[1].overall.curves.values():
        assert all(low <= mean <= high for mean, (low, high) in zip(curve.mean, curve.intervals, strict=True))
        assert all(low <= gain <= high for gain, (low, high) in zip(curve.gain, curve.gain_intervals, strict=True))


def test_slices_and_examples_add_up_to_the_whole(whole):
    _, found = whole
    assert sum(part.n_tokens for part in found.slices.values()) == found.overall.n_tokens == sum(one.n_tokens for one in found.examples)
    weights = np.array([one.weight * one.n_tokens for one in found.examples])
    deviations = np.array([one.deviation for one in found.examples])
    np.testing.assert_allclose(weights @ deviations / weights.sum(), found.overall.curves[found.default_curve].mean, atol=2e-5)


def test_every_position_of_the_lens_is_measured_on_the_tokens_asked_for(whole):
    _, found = whole
    assert found.overall.lens is not None
    assert found.overall.lens.n_tokens == 30 == found.fidelity[0].n_tokens == sum(part.lens.n_tokens for part in found.slices.values())
    assert abs(found.slices["a"].lens.n_tokens - found.slices["b"].lens.n_tokens) <= 2  # as many as one prompt gives


def test_the_cost_of_the_traces_is_told_and_not_counted_as_the_profiles(whole):
    profile, found = whole
    assert found.extra_seconds > 0
    assert found.extra_share == pytest.approx(found.extra_seconds / profile.timing.profile_seconds, rel=0.2)
