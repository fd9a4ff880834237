"""Projected loss: what was measured is answered by its measurement, the rest by what was measured of its parts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.contracts import MeasuredSet, Search, UnitRef, UnitSet
from analysis.contracts.search import ordered
from analysis.planning import QualityModel
from tests.builders import make_model
from tests.measured_builders import make_search

N_BLOCKS = 16


class World:
    """A made-up truth: single losses, pairs that need each other, losses that add up to more than their sum, and an end."""

    def __init__(self, seed: int) -> None:
        draw = np.random.default_rng(seed)
        depth = np.linspace(0, 1, N_BLOCKS)
        whole = 0.04 + 0.1 * draw.random(N_BLOCKS) + 1.5 * np.exp(-depth * 12) + 0.8 * np.exp(-(1 - depth) * 12)
        self.alone: dict[UnitRef, float] = {}
        for block, share in enumerate(draw.uniform(0.2, 0.6, N_BLOCKS)):
            self.alone |= {
                ("block", block): float(whole[block]),
                ("attention", block): float(share * whole[block]),
                ("mlp", block): float((1 - share) * whole[block]),
            }
        self.needs = {
            (int(i), int(i + d)): float(w)
            for i, d, w in zip(draw.integers(0, N_BLOCKS - 3, 8), draw.integers(1, 3, 8), draw.exponential(0.8, 8), strict=True)
        }

    def loss(self, removed: UnitSet) -> float:
        single = [self.alone[ref] for ref in removed]
        pairs = 0.0
        for (i, j), weight in self.needs.items():
            first, second = (sum(self.alone[ref] for ref in removed if ref[1] == block) for block in (i, j))
            pairs += weight * float(np.sqrt(first * second))
        return 9.0 * (1 - float(np.exp(-(sum(single) * (1 + 0.02 * len(single)) + pairs) / 9.0)))

    def measured(self, removed: UnitSet) -> MeasuredSet:
        change = self.loss(removed)
        return MeasuredSet(removed=removed, loss=2 + change, change=change, interval=(0.9 * change, 1.1 * change), n_tokens=100)

    def search(self, larger: list[UnitSet]) -> Search:
        plain = make_search(N_BLOCKS, model=make_model(N_BLOCKS), strategies=())
        singles = tuple(self.measured((ref,)) for ref in self.alone)
        return plain.model_copy(update={"singles": singles, "pairs": (), "sets": tuple(map(self.measured, larger))})

    def draw(self, n: int, seed: int, sizes: range = range(2, 9)) -> list[UnitSet]:
        generator, refs = np.random.default_rng(seed), list(self.alone)
        sets: list[UnitSet] = []
        while len(sets) < n:
            size = sizes[len(sets) % len(sizes)]
            drawn = ordered(tuple(refs[place] for place in generator.choice(len(refs), size, replace=False)))
            if len(drawn) == size and drawn not in sets:
                sets.append(drawn)
        return sets


def greedy(world: World, most: int) -> list[UnitSet]:
    """What a greedy search measures: at every step each unit on top of what is gone."""
    seen: list[UnitSet] = []
    base: UnitSet = ()
    for _ in range(most):
        children = [ordered((*base, ref)) for ref in world.alone if all(ref[1] != block for _, block in base)]
        seen += [child for child in children if len(child) > 1]
        base = min(children, key=world.loss)
    return seen


def spearman(one: list[float], other: list[float]) -> float:
    ranks = [np.argsort(np.argsort(values)) for values in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("known", ["scan", "greedy", "greedy and random sets"])
def test_random_plans_are_ranked_right_and_their_intervals_hold(seed: int, known: str) -> None:
    world = World(seed)
    learned = [] if known == "scan" else greedy(world, 5)
    learned += world.draw(24, 100 + seed) if "random" in known else []
    model = QualityModel.fit(world.search(learned))
    plans = [plan for plan in world.draw(80, 200 + seed) if plan not in learned]
    projected = [model.predict(plan) for plan in plans]
    truth = [world.loss(plan) for plan in plans]
    assert not any(one.measured for one in projected)
    assert spearman([one.loss_change for one in projected], truth) >= 0.9
    inside = [one.interval[0] <= found <= one.interval[1] for one, found in zip(projected, truth, strict=True)]
    assert np.mean(inside) >= 0.85


def test_a_measured_set_is_answered_by_its_measurement() -> None:
    world = World(0)
    known: UnitSet = (("attention", 4), ("block", 7), ("mlp", 9))
    found = QualityModel.fit(world.search([known])).predict([("mlp", 9), ("attention", 4), ("block", 7)])
    assert found.measured
    assert found.loss_change == world.loss(known)
    assert found.interval == (0.9 * world.loss(known), 1.1 * world.loss(known))
    assert found.perplexity_ratio == pytest.approx(np.exp(world.loss(known)))
    assert found.search_id == world.search([]).id


def test_one_unit_more_than_a_measured_set_leans_on_that_measurement() -> None:
    """Two units that cannot go together: once seen, a set with both is no longer projected as their sum."""
    world = World(1)
    world.needs = {(7, 9): 3.0}
    pair: UnitSet = (("block", 7), ("block", 9))
    asked = [*pair, ("attention", 12)]
    truth = world.loss(ordered(tuple(asked)))
    before, after = (QualityModel.fit(world.search(sets)).predict(asked) for sets in ([], [pair]))
    assert abs(after.loss_change - truth) < 0.5 * abs(before.loss_change - truth)


def test_both_halves_of_a_layer_cost_about_what_the_layer_costs() -> None:
    world = World(2)
    world.alone["block", 6] = 0.9  # far from the sum of its halves
    found = QualityModel.fit(world.search([])).predict([("attention", 6), ("mlp", 6)])
    assert found.loss_change == pytest.approx(world.loss((("block", 6),)))
    assert not found.measured


def test_the_interval_grows_with_the_number_of_units() -> None:
    model = QualityModel.fit(World(0).search([]))
    removed = [("mlp", block) for block in range(4, 12)]
    widths = [interval[1] - interval[0] for interval in (model.predict(removed[:n]).interval for n in (2, 4, 6, 8))]
    assert all(narrow < wide for narrow, wide in itertools.pairwise(widths))


def test_nothing_taken_out_changes_nothing() -> None:
    found = QualityModel.fit(World(0).search([])).predict([])
    assert (found.loss_change, found.perplexity_ratio, found.interval) == (0.0, 1.0, (0.0, 0.0))


def test_a_unit_that_was_never_measured_is_guessed_and_said_to_be_uncertain() -> None:
    world = World(0)
    search = world.search([])
    blocks_only = search.model_copy(update={"singles": tuple(found for found in search.singles if found.removed[0][0] == "block")})
    asked = [("attention", 5), ("block", 8)]
    known, guessed = (QualityModel.fit(one).predict(asked).interval for one in (search, blocks_only))
    assert guessed[1] - guessed[0] > 1.5 * (known[1] - known[0])


def test_units_that_help_when_they_go_do_not_break_the_scale() -> None:
    world = World(0)
    world.alone = dict.fromkeys(world.alone, -0.05)
    found = QualityModel.fit(world.search([])).predict([("mlp", 3), ("mlp", 9), ("attention", 12)])
    assert found.loss_change < 0
    assert found.interval[0] < found.loss_change < found.interval[1]


def test_a_ruined_model_has_a_ratio_that_can_be_written() -> None:
    world = World(0)
    world.alone["block", 0] = 900.0
    found = QualityModel.fit(world.search([])).predict([("block", 0), ("block", 5)])
    assert np.isfinite(found.perplexity_ratio_interval[1])


def test_many_measured_sets_are_thinned_not_refused() -> None:
    world = World(0)
    model = QualityModel.fit(world.search(world.draw(700, 1)))
    assert len(model.interactions.seen) == 400
