"""How alike measures rank, who is the odd one, and who agrees to what is taken out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from analysis.contracts import Vote, Voter
from analysis.planning.agreement import agreement, n_agreeing, spearman
from tests.consensus_builders import make_ranking
from tests.planning.test_consensus import a_vote, layers, silent

UP: list[float | None] = [1.0, 2.0, 3.0, 4.0, 5.0]
NEAR: list[float | None] = [2.0, 1.0, 3.0, 4.0, 5.0]
DOWN: list[float | None] = [5.0, 4.0, 3.0, 2.0, 1.0]


def votes(*ranks: list[float | None]) -> list[Vote]:
    names: tuple[Voter, ...] = ("cka", "cca", "taylor", "wasserstein")
    return [a_vote(name, one) for name, one in zip(names, ranks, strict=False)]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=15))
def test_the_correlation_is_spearmans_with_ties(pairs: list[tuple[int, int]]) -> None:
    first, second = zip(*pairs, strict=True)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert math.isnan(spearman(first, second))
    else:
        assert spearman(first, second) == pytest.approx(float(spearmanr(first, second).statistic))


def test_only_what_both_rank_is_compared() -> None:
    assert spearman([1, 2, math.nan, 3], [1, 2, 3, 4]) == pytest.approx(1.0)
    assert math.isnan(spearman([1, 2, math.nan], [1, 2, 3]))


def test_a_measure_agrees_with_itself_and_the_table_is_symmetric() -> None:
    found = agreement(make_ranking().steps[0].votes)
    table = np.array(found.matrix, dtype=float)
    assert np.allclose(np.diag(table), 1.0)
    assert np.allclose(table, table.T)
    assert "cca" not in found.voters


def test_the_measure_far_below_the_others_is_the_odd_one_with_its_unit() -> None:
    found = agreement(votes(UP, NEAR, DOWN), layers(5))
    assert found.odd == "taylor"
    assert found.odd_unit == ("block", 4)
    assert found.mean[2] == pytest.approx(-0.95)


def test_measures_that_agree_alike_have_no_odd_one() -> None:
    assert agreement(votes(UP, NEAR, UP), layers(5)).odd is None
    assert agreement(votes(UP, UP, DOWN, DOWN), layers(5)).odd is None


def test_of_two_measures_neither_is_the_odd_one() -> None:
    found = agreement(votes(UP, DOWN), layers(5))
    assert (found.odd, found.odd_unit) == (None, None)


def test_a_measure_that_ranks_all_alike_has_no_correlation() -> None:
    found = agreement(votes([3.0] * 5, UP, NEAR))
    assert found.matrix[0][1] is None
    assert found.mean[0] is None


def test_who_abstains_is_not_in_the_table() -> None:
    assert agreement([*votes(UP, NEAR), silent("wasserstein", 5)]).voters == ("cka", "cca")
    assert agreement([]).voters == ()


def test_who_has_half_of_the_removed_units_among_its_lowest_agrees() -> None:
    asked = votes([1, 2, 3, 4, 5, 6, 7, 8], [1, 5, 2, 3, 4, 6, 7, 8], [3, 4, 1, 2, 5, 6, 7, 8], [8, 7, 6, 5, 4, 3, 2, 1])
    assert n_agreeing(asked, layers(8), [("block", 0), ("block", 1)]) == 2
    assert n_agreeing(asked, layers(8), [("block", 0)]) == 2


def test_where_most_layers_go_half_of_them_is_no_agreement() -> None:
    asked = votes([1, 2, 3, 4, 5], [1, 2, 3, 5, 4], [5, 4, 3, 2, 1])
    removed = layers(5)[:4]
    assert n_agreeing(asked, layers(5), removed) == 1  # three of four is fewer than lots would put there


def test_who_has_every_removed_unit_among_its_lowest_agrees() -> None:
    asked = votes(UP, NEAR, DOWN)
    assert n_agreeing(asked, layers(5), [("block", 0)]) == 1
    assert n_agreeing(asked, layers(5), [("block", 0), ("block", 1)]) == 2
    assert n_agreeing(asked, layers(5), layers(5)) == 3


def test_protected_layers_are_passed_over_when_agreement_is_counted() -> None:
    assert n_agreeing(votes(UP, NEAR), layers(5), [("block", 1)], protect=(0,)) == 2


def test_who_does_not_rank_a_removed_unit_does_not_agree_to_it() -> None:
    assert n_agreeing(votes([None, 1.0, 2.0], [1.0, 2.0, 3.0]), layers(3), [("block", 0)]) == 1
