"""The order of fewest contradictions: no other order is better where it says so, and majorities between groups are always kept."""

from __future__ import annotations

import math
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis.contracts import MEMBERS
from analysis.planning import kemeny
from analysis.planning.consensus import consensus
from analysis.planning.consensus_rules import mid_ranks
from analysis.planning.kemeny import EXACT_UP_TO, kemeny_order, kemeny_places, pair_costs
from tests.planning.test_consensus import a_vote, layers

Floats = NDArray[np.float64]


def some_ranks(n_voters: int, n: int, seed: int, holes: float = 0.0) -> Floats:
    random = np.random.default_rng(seed)
    values = random.integers(0, 8, (n_voters, n)).astype(float)
    values[random.random((n_voters, n)) < holes] = math.nan
    return mid_ranks(values)


def cost_of(ranks: Floats, order: tuple[int, ...]) -> float:
    """Pairs told the other way round, counted voter by voter in plain words."""
    total = 0.0
    for ranked in ranks:
        for at, first in enumerate(order):
            for second in order[at + 1 :]:
                total += 1.0 if ranked[second] < ranked[first] else 0.5 if ranked[second] == ranked[first] else 0.0
    return total


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 10_000), st.sampled_from([0.0, 0.3]))
@settings(max_examples=40, deadline=None)
def test_no_other_order_contradicts_the_voters_less(n_voters: int, n: int, seed: int, holes: float) -> None:
    ranks = some_ranks(n_voters, n, seed, holes)
    found = kemeny_order(ranks)
    assert found.exact
    assert found.cost == pytest.approx(cost_of(ranks, found.order))
    assert found.cost == pytest.approx(min(cost_of(ranks, order) for order in permutations(range(n))))


def test_a_circle_of_majorities_is_cut_where_it_hurts_least() -> None:
    ranks = np.array([[1.0, 2, 3], [1, 2, 3], [2, 3, 1], [2, 3, 1], [3, 1, 2]])
    found = kemeny_order(ranks)
    assert found.cost == min(cost_of(ranks, order) for order in permutations(range(3))) == 6
    assert found.order == (2, 0, 1)  # as costly as (0, 1, 2); by mean rank 1 is the worst and goes last


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_who_beats_everybody_comes_first(seed: int) -> None:
    ranks = some_ranks(5, 9, seed)
    costs = pair_costs(ranks)
    for candidate in range(9):
        others = [other for other in range(9) if other != candidate]
        if all(costs[candidate, other] < costs[other, candidate] for other in others):
            assert kemeny_order(ranks).order[0] == candidate
            assert kemeny_places(np.stack([ranks, ranks]))[0, candidate] == 1


def test_the_order_where_groups_are_exact_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = some_ranks(4, 11, 3)
    whole = kemeny_order(ranks)
    monkeypatch.setattr(kemeny, "_groups", lambda costs, start: [[int(one) for one in start]])
    assert kemeny_order(ranks).cost == pytest.approx(whole.cost)


def test_a_large_group_in_doubt_is_said_not_to_be_proved() -> None:
    n = EXACT_UP_TO + 4
    circle = np.stack([np.roll(np.arange(1.0, n + 1), shift) for shift in (0, n // 3, 2 * n // 3)])
    found = kemeny_order(circle)
    assert not found.exact
    votes = [a_vote(voter, list(map(float, ranked))) for voter, ranked in zip(MEMBERS, circle, strict=False)]
    assert not consensus(votes, layers(n), rule="kemeny").proved
    assert consensus(votes, layers(n), rule="rank_sum").proved
    assert sorted(found.order) == list(range(n))
    assert found.cost == pytest.approx(cost_of(circle, found.order))


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_improving_steps_end_where_no_single_move_helps(seed: int) -> None:
    ranks = some_ranks(5, 10, seed)
    costs = pair_costs(ranks)
    order = kemeny._improved(costs, list(range(10)))
    best = cost_of(ranks, tuple(order))
    for candidate in order:
        rest = [one for one in order if one != candidate]
        assert all(cost_of(ranks, (*rest[:at], candidate, *rest[at:])) >= best - 1e-9 for at in range(10))


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_of_many_at_once_no_majority_wants_two_neighbours_changed(seed: int) -> None:
    many = np.stack([some_ranks(5, 8, seed + one, 0.1) for one in range(4)])
    places = kemeny_places(many)
    for ranks, placed in zip(many, places, strict=True):
        costs, order = pair_costs(ranks), np.argsort(placed)
        assert all(costs[first, second] <= costs[second, first] for first, second in pairwise(order))


def test_equal_candidates_keep_their_order() -> None:
    assert kemeny_order(np.full((3, 5), 3.0)).order == (0, 1, 2, 3, 4)


def test_what_nobody_ranks_has_no_place() -> None:
    ranks = np.array([[2.0, math.nan, 1.0], [2.0, math.nan, 1.0]])
    assert np.array_equal(kemeny_places(ranks), [2.0, math.nan, 1.0], equal_nan=True)
