"""Many rankings become one: ties, silence, five rules, and every wrong request in words."""

from __future__ import annotations

import doctest
import importlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import rankdata

from analysis.contracts import MEMBERS, RULES, VOTERS, Message, Rule, Unit, UnitRef, Vote, Voter
from analysis.errors import PlanError
from analysis.planning import RULE_WORDS, VOTER_WORDS
from analysis.planning.consensus import Consensus, a_fifth, consensus
from analysis.planning.consensus_rules import consensus_scores, mid_ranks, order_by, stretched, weights_of
from tests.consensus_builders import make_ranking

NAN = math.nan


def a_vote(voter: Voter, ranks: list[float | None]) -> Vote:
    return Vote(voter=voter, values=tuple(ranks), ranks=tuple(ranks))


def silent(voter: Voter, n: int) -> Vote:
    return Vote(voter=voter, values=(None,) * n, ranks=(None,) * n, abstained=Message(id="Not measured."))


def layers(n: int, unit: Unit = "block") -> tuple[UnitRef, ...]:
    return tuple((unit, block) for block in range(n))


def blocks(found: Consensus) -> list[int]:
    return [block for _, block in found.order]


def tables(draw: st.DrawFn, undefined: bool = False) -> NDArray[np.float64]:
    n_voters, n = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    values = random.integers(0, 5, (n_voters, n)).astype(float)
    if undefined:
        values[random.random((n_voters, n)) < 0.3] = NAN
    return mid_ranks(values)


@st.composite
def full_tables(draw: st.DrawFn) -> NDArray[np.float64]:
    return tables(draw)


@st.composite
def holed_tables(draw: st.DrawFn) -> NDArray[np.float64]:
    return tables(draw, undefined=True)


@pytest.mark.parametrize("module", ["consensus_rules", "kemeny", "agreement"])
def test_examples_in_docstrings_hold(module: str) -> None:
    assert doctest.testmod(importlib.import_module(f"analysis.planning.{module}")).failed == 0


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12))
def test_equal_values_share_their_mean_rank(values: list[int]) -> None:
    assert mid_ranks(values).tolist() == rankdata(values).tolist()


def test_an_undefined_value_has_no_rank_and_takes_none() -> None:
    assert np.array_equal(mid_ranks([5.0, NAN, 1.0, None]), [2.0, NAN, 1.0, NAN], equal_nan=True)


def test_infinite_values_rank_last_and_share_it() -> None:
    assert mid_ranks([math.inf, 2.0, math.inf]).tolist() == [2.5, 1.0, 2.5]


@given(full_tables())
def test_scores_of_the_rank_sum_add_up_to_what_the_formula_says(ranks: NDArray[np.float64]) -> None:
    n_voters, n = ranks.shape
    assert consensus_scores(ranks).sum() == pytest.approx(n_voters * n * (n + 1) / 2)


@given(holed_tables())
def test_equal_weights_of_any_size_give_the_rank_sum(ranks: NDArray[np.float64]) -> None:
    weighted = consensus_scores(ranks, "borda", (2.5,) * len(ranks))
    assert np.allclose(weighted, consensus_scores(ranks), equal_nan=True)


@given(full_tables(), st.sampled_from(RULES))
def test_voters_that_all_agree_are_followed_by_every_rule(ranks: NDArray[np.float64], rule: Rule) -> None:
    alike = np.repeat(ranks[:1], 4, axis=0)
    order = order_by(consensus_scores(alike, rule), alike)
    assert np.array_equal(order, np.argsort(ranks[0], kind="stable"))


@given(holed_tables(), st.sampled_from(RULES))
def test_the_order_of_the_voters_does_not_matter(ranks: NDArray[np.float64], rule: Rule) -> None:
    shuffled = ranks[np.random.default_rng(len(ranks)).permutation(len(ranks))]
    assert np.allclose(consensus_scores(ranks, rule), consensus_scores(shuffled, rule), equal_nan=True)


@given(holed_tables(), st.sampled_from([rule for rule in RULES if rule != "kemeny"]))
def test_many_tables_at_once_are_scored_like_one_after_the_other(ranks: NDArray[np.float64], rule: Rule) -> None:
    both = np.stack([ranks, ranks[:, ::-1]])
    one_by_one = np.stack([consensus_scores(one, rule) for one in both])
    assert np.allclose(consensus_scores(both, rule), one_by_one, equal_nan=True)


def test_what_a_voter_does_not_say_is_what_the_others_say_on_average() -> None:
    ranks = np.array([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], [2.0, 1.0, NAN, 3.0]])
    scores = consensus_scores(ranks)
    assert scores[2] == pytest.approx(3 * 3.0)
    # Three ranks on the scale of four: 1, 2, 3 become 7/6, 15/6, 23/6.
    assert scores[0] == pytest.approx(1 + 1 + 15 / 6)


def test_a_voter_that_ranks_few_candidates_has_no_louder_voice() -> None:
    few = np.array([[NAN, 2.0, 1.0, NAN, NAN, NAN]])
    assert np.nanmean(stretched(few)) == pytest.approx((6 + 1) / 2)
    assert np.isnan(stretched(few)).sum() == 4


@pytest.mark.parametrize("rule", RULES)
def test_what_nobody_ranks_has_no_score_and_is_not_in_the_order(rule: Rule) -> None:
    votes = [a_vote("cka", [2.0, None, 1.0]), a_vote("taylor", [1.0, None, 2.0])]
    found = consensus(votes, layers(3), rule=rule)
    assert found.scores[1] is None
    assert 1 not in blocks(found)
    assert found.unranked == (("block", 1),)
    assert found.place(("block", 1)) is None


@pytest.mark.parametrize("rule", RULES)
def test_what_breaks_most_measures_does_not_look_replaceable_to_the_rest(rule: Rule) -> None:
    """Without layer 0 the states overflow: only the measure that never takes it out can rank it, and ranks it first."""
    broken = [a_vote(voter, [None, 1.0, 2.0]) for voter in MEMBERS]
    found = consensus([*broken, a_vote("block_influence", [1.0, 2.0, 3.0])], layers(3), rule=rule)
    assert blocks(found) == [1, 2]
    assert found.scores[0] is None
    assert found.unranked == (("block", 0),)


def test_what_half_of_the_measures_rank_has_a_score() -> None:
    found = consensus([a_vote("cka", [None, 1.0, 2.0]), a_vote("taylor", [1.0, 2.0, 3.0])], layers(3))
    assert found.place(("block", 0)) == 1


def test_a_tie_is_named_and_decided_by_the_order_of_the_candidates() -> None:
    found = consensus([a_vote("cka", [1.0, 2.0, 3.0]), a_vote("taylor", [2.0, 1.0, 3.0])], layers(3))
    assert blocks(found) == [0, 1, 2]
    assert found.ties == ((("block", 0), ("block", 1)),)
    assert found.scores == (3.0, 3.0, 6.0)


def test_one_objection_is_enough_for_unanimity_and_none_for_the_median() -> None:
    votes = [a_vote("cka", [1.0, 2.0, 3.0, 4.0]), a_vote("cca", [1.0, 2.0, 3.0, 4.0]), a_vote("taylor", [4.0, 1.0, 2.0, 3.0])]
    assert blocks(consensus(votes, layers(4), rule="unanimity"))[0] == 1
    assert blocks(consensus(votes, layers(4), rule="median_rank"))[0] == 0


def test_equal_worst_ranks_are_decided_by_the_rank_sum() -> None:
    votes = [a_vote("cka", [3.0, 1.0, 2.0]), a_vote("taylor", [2.0, 3.0, 1.0])]
    assert blocks(consensus(votes, layers(3), rule="unanimity")) == [2, 1, 0]


def test_a_weight_moves_the_order_and_only_with_the_rule_that_has_weights() -> None:
    votes = [a_vote("cka", [1.0, 2.0]), a_vote("taylor", [2.0, 1.0])]
    heavy: dict[Voter, float] = {"taylor": 3.0}
    assert blocks(consensus(votes, layers(2), rule="borda", weights=heavy)) == [1, 0]
    assert blocks(consensus(votes, layers(2), rule="rank_sum", weights=heavy)) == [0, 1]
    assert consensus(votes, layers(2), rule="rank_sum", weights=heavy).weights == {}
    assert consensus(votes, layers(2), rule="borda", weights=heavy).weights == {"cka": 1.0, "taylor": 3.0}


def test_a_weight_of_nothing_leaves_a_measure_out() -> None:
    votes = [a_vote("cka", [1.0, 2.0, 3.0]), a_vote("taylor", [3.0, 2.0, 1.0])]
    assert blocks(consensus(votes, layers(3), rule="borda", weights={"cka": 0.0})) == [2, 1, 0]


def test_what_all_find_low_is_told() -> None:
    votes = [a_vote("cka", [1.0, 2.0, 3.0, 4.0, 5.0]), a_vote("taylor", [2.0, 1.0, 5.0, 3.0, 4.0])]
    found = consensus(votes, layers(5), k=2)
    assert found.unanimous == (("block", 0), ("block", 1))
    assert found.unanimous_within(1) == ()
    assert consensus(votes, layers(5)).k == a_fifth(5) == 1


def test_who_abstained_is_named_and_does_not_count() -> None:
    found = consensus([a_vote("cka", [2.0, 1.0]), silent("cca", 2)], layers(2))
    assert found.voters == ("cka",)
    assert found.abstained["cca"].id == "Not measured."
    assert found.scores == (2.0, 1.0)


def test_only_the_measures_asked_for_have_a_say() -> None:
    votes = [a_vote("cka", [1.0, 2.0]), a_vote("taylor", [2.0, 1.0])]
    assert blocks(consensus(votes, layers(2), voters=("taylor",))) == [1, 0]


def test_halves_are_candidates_as_layers_are() -> None:
    found = consensus([a_vote("cka", [2.0, 1.0])], layers(2, "attention"))
    assert found.order == (("attention", 1), ("attention", 0))


def test_a_single_candidate_is_first() -> None:
    for rule in RULES:
        assert consensus([a_vote("cka", [1.0])], layers(1), rule=rule).order == (("block", 0),)


@pytest.mark.parametrize("rule", RULES)
def test_a_made_ranking_puts_the_layers_that_are_needed_last(rule: Rule) -> None:
    step = make_ranking().steps[0]
    assert set(blocks(consensus(step.votes, step.candidates, rule=rule))[-3:]) <= {0, 1, 10, 29}


def test_nobody_votes() -> None:
    with pytest.raises(PlanError, match="all that were asked abstained"):
        consensus([silent("cka", 2), silent("cca", 2)], layers(2))
    with pytest.raises(PlanError, match="all that were asked abstained"):
        consensus([a_vote("cka", [1.0, 2.0])], layers(2), voters=())


def test_a_rule_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(PlanError, match="majority.*rank_sum"):
        consensus([a_vote("cka", [1.0])], layers(1), rule="majority")  # type: ignore[arg-type]


def test_a_measure_that_is_not_known_is_refused() -> None:
    with pytest.raises(PlanError, match='"rsa" is not a measure'):
        consensus([a_vote("cka", [1.0])], layers(1), voters=("rsa",))  # type: ignore[arg-type]


def test_a_measure_that_was_not_asked_is_refused_with_those_that_were() -> None:
    with pytest.raises(PlanError, match="taylor.*was not asked.*cka"):
        consensus([a_vote("cka", [1.0])], layers(1), voters=("taylor",))


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"cka": -1.0}, "below 0"),
        ({"cka": math.nan}, "not a number"),
        ({"cka": math.inf}, "not a number"),
        ({"cka": 0.0}, "All weights are 0"),
        ({"rsa": 1.0}, '"rsa", which is not a measure'),
    ],
)
def test_weights_that_say_nothing_are_refused(weights: dict[Voter, float], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        consensus([a_vote("cka", [1.0, 2.0])], layers(2), rule="borda", weights=weights)


def test_weights_of_another_number_are_refused() -> None:
    with pytest.raises(PlanError, match="2 weights were given for 1 measures"):
        consensus_scores([[1.0, 2.0]], "borda", (1.0, 2.0))


def test_weights_by_name_need_their_order() -> None:
    with pytest.raises(TypeError, match="weights_of"):
        consensus_scores([[1.0, 2.0]], "borda", {"cka": 1.0})
    assert weights_of({"cka": 2.0}, ("taylor", "cka")) == (1.0, 2.0)


def test_votes_on_another_number_of_candidates_are_refused() -> None:
    with pytest.raises(PlanError, match="cka ranks 2 candidates where there are 3"):
        consensus([a_vote("cka", [1.0, 2.0])], layers(3))


def test_every_measure_and_every_rule_has_words() -> None:
    assert set(VOTER_WORDS) == set(VOTERS)
    assert tuple(VOTER_WORDS)[: len(MEMBERS)] == MEMBERS
    assert tuple(RULE_WORDS) == RULES
    assert all(len(words.title) <= 24 and words.meaning.startswith("Low: ") and words.source for words in VOTER_WORDS.values())
    assert len({words.title for words in VOTER_WORDS.values()}) == len(VOTERS)
