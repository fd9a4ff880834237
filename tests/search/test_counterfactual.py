"""One walk gives what one whole run of the model per candidate gives: features, losses and influence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from analysis.contracts import Message, SearchSettings, Unit, UnitSet
from analysis.models.head import Head
from analysis.models.stack import LoadedModel
from analysis.profiling.run import profile_model
from analysis.profiling.stream import Watch
from analysis.search.counterfactual import Counterfactual, Subject, look, look_at_sets
from analysis.search.positions import draw_positions
from analysis.search.room import Room
from analysis.search.scan import candidates
from analysis.search.steering import with_unit
from analysis.search.walk import Walk
from analysis.surgery.skip import left_out
from tests.models.tiny import build
from tests.profiling.tiny import encoded, examples, loaded, tiny_llama

STAGE = Message(id="")


def subject(model: LoadedModel, n: int = 6, **settings: Any) -> Subject:
    given = SearchSettings(**({"batch_tokens": 60} | settings))
    return Subject(model, encoded(examples(n, longest=18)), given, Walk(model, model.stack()), Watch())


def seen(model: LoadedModel, base: UnitSet = (), unit: Unit = "block", **settings: Any) -> Counterfactual:
    about = subject(model, **settings)
    refs = [ref for ref in candidates(model.stack(), [unit]) if with_unit(base, ref) != base]
    untouched = look_at_sets(about, [()], STAGE).losses if base else None
    return look(about, base, refs, STAGE, positions=draw_positions(about.encoded.examples, 40), untouched=untouched)


@torch.no_grad()
def _by_hand(model: LoadedModel, removed: UnitSet, found: Counterfactual) -> tuple[torch.Tensor, list[float]]:
    """Final states at the positions and the loss of every judged token, one example at a time."""
    stack, states, losses = model.stack(), [], []
    head = Head(model, stack)
    with left_out(stack, removed):
        for number, example in enumerate(found.losses.examples):
            final = stack.root(input_ids=torch.from_numpy(example.input_ids)[None])[0][0]
            assert found.features is not None
            states.append(final[found.features.positions.places[found.features.positions.examples == number]])
            for place in found.losses.positions[found.losses.owners == number]:
                scores = head.logits(final[None, place - 1 if stack.info.causal else place])
                losses.append(float(torch.nn.functional.cross_entropy(scores, torch.tensor([example.input_ids[place]]))))
    return torch.cat(states), losses


@pytest.mark.parametrize("unit", ["block", "attention", "mlp"])
@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt_neox", "gpt2", "bert", "mixtral"])
def test_one_walk_equals_one_whole_run_for_each_candidate(name: str, unit: Unit) -> None:
    model = loaded(build(name))
    found = seen(model, unit=unit)
    assert found.features is not None
    for number, removed in enumerate(found.losses.sets):
        states, losses = _by_hand(model, removed, found)
        mine = found.features.base if number == 0 else found.features.ablated[number - 1]
        assert torch.allclose(mine, states, atol=2e-5)
        assert found.losses.losses[number].tolist() == pytest.approx(losses, abs=2e-5)


@pytest.mark.parametrize(("base", "unit"), [((("block", 1),), "block"), ((("mlp", 1),), "attention"), ((("attention", 2),), "mlp")])
def test_the_same_with_units_out_already(base: UnitSet, unit: Unit) -> None:
    model = loaded(tiny_llama(4))
    found = seen(model, base, unit)
    assert found.features is not None
    for number, removed in enumerate(found.losses.sets):
        states, losses = _by_hand(model, removed, found)
        mine = found.features.base if number == 0 else found.features.ablated[number - 1]
        assert torch.allclose(mine, states, atol=2e-5)
        assert found.losses.losses[number].tolist() == pytest.approx(losses, abs=2e-5)


@pytest.mark.parametrize("name", ["llama", "gpt_neox", "gemma3", "gpt2"])
def test_influence_is_a_profile_s(name: str) -> None:
    model = loaded(build(name))
    profile = profile_model(model, encoded(examples(6, longest=18)))
    wanted = {
        "block": profile.overall.block_influence,
        "attention": profile.overall.attention_influence,
        "mlp": profile.overall.mlp_influence,
    }
    for unit, values in wanted.items():
        found = seen(model, unit=unit)  # type: ignore[arg-type]
        assert found.influence.block_influence().tolist() == pytest.approx(list(values), abs=1e-5)
        assert found.influence.n_tokens == profile.overall.n_tokens
    angles = [profile.overall.angular_distance[block][block + 1] for block in range(len(model.stack().blocks))]
    assert seen(model).influence.angular_distance().tolist() == pytest.approx(angles, abs=1e-5)


@pytest.mark.parametrize("unit", ["block", "attention", "mlp"])
def test_a_model_that_cannot_be_walked_gives_the_same(monkeypatch: pytest.MonkeyPatch, unit: Unit) -> None:
    model = loaded(tiny_llama())
    right = seen(model, (("block", 0),), unit)
    monkeypatch.setattr(Walk, "_matches", lambda *_: False)
    slow = seen(model, (("block", 0),), unit)
    assert "cannot be run one by one" in slow.notes[0].in_english()
    _same(slow, right)


@pytest.mark.parametrize("base", [(), (("block", 2),)])
@pytest.mark.parametrize(("streams", "batch"), [(1, 90), (2, 90), (3, 20), (1 << 20, 500)])
def test_chunks_and_batches_change_nothing(streams: int, batch: int, base: UnitSet, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(tiny_llama(5))
    right = seen(model, base)
    monkeypatch.setattr("analysis.search.losses.room_for", lambda *_: (Room(streams * 90 * 32 * 4, 64, 1, 16), batch))
    _same(seen(model, base), right)


def _same(one: Counterfactual, other: Counterfactual) -> None:
    assert one.losses.losses == pytest.approx(other.losses.losses, abs=1e-5)
    assert one.influence.cosines == pytest.approx(other.influence.cosines, abs=1e-5)
    assert one.features is not None
    assert other.features is not None
    assert (one.features.positions.places == other.features.positions.places).all()
    assert torch.allclose(one.features.base, other.features.base, atol=1e-5)
    assert torch.allclose(one.features.ablated, other.features.ablated, atol=1e-5)
    assert one.measured.keys() == other.measured.keys()
    assert [m.change for m in one.measured.values()] == pytest.approx([m.change for m in other.measured.values()], abs=1e-5)


def test_the_walk_costs_no_more_than_the_scan() -> None:
    model = loaded(tiny_llama(8))
    assert seen(model).tally.block_calls == pytest.approx(8 * 9 / 2)
    assert seen(model).tally.head_passes == pytest.approx(9)


def test_sinks_are_no_features_and_not_counted() -> None:
    model = loaded(tiny_llama())
    with torch.no_grad():
        model.model.get_input_embeddings().weight[7] *= 1e4
    work = examples(6, longest=18)
    for example in work:
        example.input_ids[4] = 7
        example.input_ids[6:][example.input_ids[6:] == 7] = 8
    about = Subject(model, encoded(work), SearchSettings(), Walk(model, model.stack()), Watch())
    found = look(about, (), candidates(model.stack(), ["block"]), STAGE, positions=draw_positions(about.encoded.examples, 1000))
    assert found.features is not None
    assert 4 not in found.features.positions.places
    assert (found.influence.counts == [int((example.kinds != 0).sum()) - 1 for example in found.losses.examples]).all()


def test_a_model_without_a_head_is_held_against_its_own_states() -> None:
    model = loaded(build("llama").model)
    found, later = seen(model), seen(model, (("block", 1),))
    assert found.losses.losses[0] == pytest.approx(np.zeros(found.losses.n_tokens), abs=1e-6)
    assert (found.losses.means()[1:] > 1e-3).all()
    assert later.losses.means()[0] == pytest.approx(found.losses.means()[2], abs=1e-6)


def test_a_candidate_whose_numbers_overflow_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(tiny_llama())
    run = Walk.end

    def end(self: Walk, started: Any, state: torch.Tensor, rows: torch.Tensor | None = None) -> torch.Tensor:
        final = run(self, started, state, rows).clone()
        if rows is not None and final.shape[0] >= 2 * len(rows):
            final[-len(rows) :] = torch.inf  # one of the candidates: the base arrives first
        return final

    about = subject(model)
    about.walk.prove(about.measurer().batches[0])
    monkeypatch.setattr(Walk, "end", end)
    monkeypatch.setattr("analysis.search.losses.room_for", lambda *_: (Room(1 << 30, 1 << 20, 1, 1 << 20), 60))
    refs = candidates(model.stack(), ["block"])
    found = look(about, (), refs, STAGE, positions=draw_positions(about.encoded.examples, 40))
    broken = _rows_with_nan(found)
    assert broken
    assert 0 not in broken
    assert np.isnan(found.losses.means()[broken[0]])


def _rows_with_nan(found: Counterfactual) -> Sequence[int]:
    return [number for number in range(len(found.losses.sets)) if np.isnan(found.losses.losses[number]).any()]


def test_positions_are_spread_evenly_and_are_the_same_whatever_else_is_there() -> None:
    work = examples(12, longest=24)
    drawn = draw_positions(work, 60)
    per_example = np.bincount(drawn.examples, minlength=12)
    assert len(drawn) == 60
    assert per_example.max() - per_example.min() <= 1
    assert (drawn.places > 0).all()
    assert all(work[owner].kinds[place] != 0 for owner, place in zip(drawn.examples, drawn.places, strict=True))
    again = draw_positions(work[:6], 30)
    assert again.places.tolist() == drawn.places[drawn.examples < 6].tolist()


def test_all_positions_are_taken_where_there_are_too_few() -> None:
    work = examples(3)
    assert len(draw_positions(work, 10_000)) == sum(int((example.kinds != 0).sum()) for example in work)
