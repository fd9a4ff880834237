"""Chunks, groups, batches, padding and memory change how sets travel, never what they cost."""

from __future__ import annotations

import itertools

import pytest
import torch

from analysis.contracts import Message, SearchSettings, UnitSet
from analysis.contracts.search import ordered
from analysis.errors import ResourceError
from analysis.models.stack import LoadedModel
from analysis.search import losses
from analysis.search.losses import Measurer
from analysis.search.room import Room
from analysis.search.scan import ablation_scan, candidates
from analysis.search.walk import Walk
from tests.models.tiny import build
from tests.profiling.tiny import encoded, examples, loaded, tiny_llama

STAGE = Message(id="")


def _sets(model: LoadedModel) -> list[UnitSet]:
    """All single units, all pairs of them, and some larger sets."""
    units = candidates(model.stack(), ("block", "attention", "mlp"))
    pairs = {ordered(pair) for pair in itertools.combinations(units, 2)}
    return [(), *((unit,) for unit in units), *sorted(pairs), ordered(units[1::2]), ordered(units[::3])]


def _measured(
    model: LoadedModel, sets: list[UnitSet], *, naive: bool = False, room: Room | None = None, batch: int = 90
) -> dict[UnitSet, float]:
    measurer = Measurer(model, encoded(examples(6, longest=18)), SearchSettings(batch_tokens=batch), naive=naive)
    if room is not None:
        measurer.room = room
    return {removed: found.loss for removed, found in measurer.measure(sets, STAGE).items()}


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt_neox", "bert", "gpt2"])
def test_sets_of_any_units_equal_whole_runs(name: str) -> None:
    model = loaded(build(name))
    sets = _sets(model)
    assert _measured(model, sets) == pytest.approx(_measured(model, sets, naive=True), abs=1e-5)


@pytest.mark.parametrize(("streams", "group"), [(1, 1 << 30), (3, 1 << 30), (4, 7), (1 << 20, 5), (2, 1)])
def test_chunks_and_groups_change_nothing(streams: int, group: int) -> None:
    model = loaded(tiny_llama())
    sets = _sets(model)
    room = Room(streams * 90 * 32 * 4, 64, group, 16)
    assert _measured(model, sets, room=room) == pytest.approx(_measured(model, sets), abs=1e-6)


def test_batches_change_nothing() -> None:
    model = loaded(build("gemma3"))
    sets = _sets(model)
    assert _measured(model, sets, batch=18) == pytest.approx(_measured(model, sets, batch=500), abs=1e-5)


def test_the_trunk_is_run_once_however_many_chunks_there_are() -> None:
    model, work = loaded(tiny_llama(8)), encoded(examples(4))
    units = [((("block", block)),) for block in range(8)]
    calls = []
    for room in (Room(1 << 30, 1 << 20), Room(3 * 4 * 24 * 32 * 4, 1 << 20)):
        measurer = Measurer(model, work, SearchSettings(batch_tokens=1000))
        measurer.room = room
        measurer.measure([(), *units], STAGE)
        calls.append(measurer.tally.block_calls)
    assert calls[0] == pytest.approx(8 * 9 / 2)
    assert calls[1] == pytest.approx(calls[0])


def test_halves_seen_in_passing_cost_nothing_more() -> None:
    model, work = loaded(tiny_llama(4)), encoded(examples(4))
    costs = {}
    for units in (("block",), ("mlp",), ("attention",)):
        scan = ablation_scan(model, work, SearchSettings(units=units))
        costs[units[0]] = scan.costs["scan"].block_calls
    assert costs["mlp"] == pytest.approx(4 * 5 / 2)
    assert costs["attention"] == pytest.approx(4 * 5 / 2 + 4 * 0.5)
    assert costs["block"] == costs["mlp"]


def test_running_out_of_memory_makes_chunks_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    model, sets = loaded(tiny_llama()), _sets(loaded(tiny_llama()))
    whole, run = _measured(model, sets), Walk.block
    failed = []

    def block(self: Walk, started: object, index: int, state: torch.Tensor) -> torch.Tensor:
        if state.shape[0] > 30:
            failed.append(state.shape[0])
            raise torch.OutOfMemoryError("out of memory")
        return run(self, started, index, state)  # type: ignore[arg-type]

    monkeypatch.setattr(Walk, "block", block)
    assert _measured(model, sets, room=Room(1 << 30, 1 << 20)) == pytest.approx(whole, abs=1e-6)
    assert failed


def test_what_does_not_fit_at_all_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(tiny_llama())

    def travel(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(losses.Traveller, "travel", travel)
    with pytest.raises(ResourceError, match="does not fit the memory with even one set"):
        _measured(model, [(), (("block", 1),)])


def test_a_model_that_cannot_be_walked_is_measured_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, work = loaded(tiny_llama()), encoded(examples(6))
    right = ablation_scan(model, work, SearchSettings())
    monkeypatch.setattr(Walk, "_matches", lambda *_: False)
    slow = ablation_scan(model, work, SearchSettings())
    assert [m.loss for m in slow.singles] == pytest.approx([m.loss for m in right.singles], abs=1e-5)
    assert "cannot be run one by one" in slow.notes[0].in_english()


def test_the_model_is_what_it_was_afterwards() -> None:
    model = tiny_llama()
    ids = torch.arange(12)[None]
    with torch.no_grad():
        before = model(ids).logits
        ablation_scan(loaded(model), encoded(examples(5)), SearchSettings())
        after = model(ids).logits
    assert torch.equal(before, after)
    assert not any("forward" in vars(module) for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_intervals_are_paired_over_prompts() -> None:
    found = ablation_scan(loaded(tiny_llama()), encoded(examples(12)), SearchSettings()).singles
    for measured in found:
        assert measured.interval is not None
        assert measured.interval[0] < measured.change < measured.interval[1]
    one = ablation_scan(loaded(tiny_llama()), encoded(examples(1)), SearchSettings(units=("block",))).singles
    assert all(measured.interval is None for measured in one)
