"""Over how many resamples a layer is among the most replaceable: counted by hand, shared among k, fast enough for sliders."""

from __future__ import annotations

import pytest

from analysis.contracts import RULES, Ranking, Rule, Voter
from analysis.errors import PlanError
from analysis.planning.consensus_odds import membership
from tests.consensus_builders import make_ranking


def drawn(*resamples: tuple[tuple[int, ...], ...]) -> Ranking:
    """A ranking of three layers by two measures with these resampled ranks."""
    made = make_ranking(3, voters=("cka", "taylor"), n_taken=0, replicates=0)
    return made.model_copy(update={"replicate_ranks": resamples})


def test_the_share_is_counted_over_the_resamples() -> None:
    ranking = drawn(((1, 2, 3), (1, 2, 3)), ((1, 2, 3), (2, 1, 3)), ((3, 1, 2), (3, 1, 2)), ((2, 3, 1), (2, 3, 1)))
    assert membership(ranking, 1) == (0.5, 0.25, 0.25)
    assert membership(ranking, 3) == (1.0, 1.0, 1.0)
    assert membership(ranking, 0) == (0.0, 0.0, 0.0)


def test_a_weight_moves_the_shares() -> None:
    ranking = drawn(((1, 2, 3), (3, 2, 1)), ((1, 2, 3), (3, 2, 1)))
    assert membership(ranking, 1, rule="borda", weights={"cka": 3.0}) == (1.0, 0.0, 0.0)
    assert membership(ranking, 1, rule="borda", weights={"taylor": 3.0}) == (0.0, 0.0, 1.0)
    assert membership(ranking, 1, voters=("taylor",)) == (0.0, 0.0, 1.0)


def test_protected_layers_are_passed_over() -> None:
    ranking = drawn(((1, 2, 3), (1, 2, 3)))
    assert membership(ranking, 1, protect=(0,)) == (None, 1.0, 0.0)


def test_what_is_ranked_in_no_resample_has_no_share() -> None:
    ranking = drawn(((1, 0, 2), (2, 0, 1)), ((1, 0, 2), (2, 0, 1)))
    assert membership(ranking, 2) == (1.0, None, 1.0)


def test_a_layer_without_a_rank_never_fills_a_place_that_is_left() -> None:
    ranking = drawn(((1, 0, 2), (1, 0, 2)), ((1, 3, 2), (1, 3, 2)))
    assert membership(ranking, 3) == (1.0, 0.5, 1.0)


def test_without_resamples_nothing_is_said() -> None:
    assert set(membership(make_ranking(replicates=0), 6)) == {None}


@pytest.mark.parametrize("rule", RULES)
def test_shares_add_up_to_the_number_taken(rule: Rule) -> None:
    shares = membership(make_ranking(), 6, rule=rule)
    assert sum(share or 0.0 for share in shares) == pytest.approx(6)


def test_the_rule_and_weights_of_the_ranking_are_the_starting_point() -> None:
    ranking = make_ranking()
    weighted: dict[Voter, float] = {"taylor": 20.0}
    settings = ranking.settings.model_copy(update={"rule": "borda", "weights": weighted})
    assert membership(ranking.model_copy(update={"settings": settings}), 6) == membership(ranking, 6, rule="borda", weights=weighted)
    assert membership(ranking, 6, rule="borda", weights=weighted) != membership(ranking, 6)


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(PlanError, match="The rule"):
        membership(make_ranking(), 6, rule="majority")  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="not asked"):
        membership(make_ranking(), 6, voters=("conductance",))
