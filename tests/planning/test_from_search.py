"""Plans from what a search measured: a chosen set, or a strategy's answer to any amount, without a forward pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.contracts import Message, Plan, Prune, Search, Skip
from analysis.contracts.search import STRATEGIES, ordered
from analysis.errors import PlanError
from analysis.i18n import render
from analysis.planning import STRATEGY_WORDS, check_plan, limit_of, plan_from_set, propose_from_search, read_plan
from analysis.planning.documents import plan_to_json
from tests.builders import make_model, make_profile
from tests.measured_builders import make_search


@pytest.fixture(scope="module")
def search() -> Search:
    return make_search(12, most=6)


def notes(plan: Plan) -> str:
    return " ".join(render(note, "en") for note in plan.provenance.notes)


@pytest.mark.parametrize(
    ("removed", "words"),
    [
        ([], "Nothing was chosen"),
        ([("block", 12)], r"Layer 12 is not in this model: it has 12 layers \(0 to 11\)"),
        ([("head", 1)], 'The unit "head" is not one of'),
        ([("block", block) for block in range(12)], "takes out all 12 layers"),
        ([(half, block) for half in ("attention", "mlp") for block in range(12)], "takes out all 12 layers"),
    ],
)
def test_a_set_that_no_plan_can_have_is_refused(search: Search, removed: list[tuple[str, int]], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        plan_from_set(search, removed)


def test_an_operation_that_does_not_remove_is_refused(search: Search) -> None:
    with pytest.raises(PlanError, match='The operation "freeze" is not one of'):
        plan_from_set(search, [("block", 3)], op="freeze")


def test_a_half_that_the_model_does_not_have_is_refused(search: Search) -> None:
    stack = search.model.stacks[0]
    bare = stack.model_copy(update={"blocks": tuple(block.model_copy(update={"mlp": None}) for block in stack.blocks)})
    other = search.model_copy(update={"model": search.model.model_copy(update={"stacks": (bare,)})})
    with pytest.raises(PlanError, match="has no separate MLP"):
        plan_from_set(other, [("mlp", 3)])


@pytest.mark.parametrize(("op", "kind"), [("skip", Skip), ("prune", Prune)])
def test_units_of_several_kinds_become_operations_of_one_plan(search: Search, op: str, kind: type) -> None:
    removed = [("mlp", 7), ("block", 4), ("attention", 7), ("attention", 4), ("attention", 9)]
    plan = plan_from_set(search, removed, op=op)
    assert all(isinstance(operation, kind) for operation in plan.operations)
    assert plan.removed == {"block": (4,), "attention": (7, 9), "mlp": (7,)}
    assert [reason.unit for reason in plan.provenance.reasons] == ["block", "attention", "mlp", "attention"]
    assert not check_plan(plan, search.model)
    assert read_plan(plan_to_json(plan).encode()).id == plan.id


def test_a_measured_set_says_so_and_carries_its_measurement(search: Search) -> None:
    answer = search.paths["greedy"][2]
    plan = plan_from_set(search, answer, strategy="greedy")
    assert plan.projection is not None
    assert plan.projection.quality is not None
    assert plan.projection.quality.measured
    assert plan.projection.quality.loss_change == search.measured()[answer].change
    assert "was measured by the search sample search on 1,300 calibration tokens" in notes(plan)


def test_a_set_that_was_not_run_is_projected_and_says_so(search: Search) -> None:
    plan = plan_from_set(search, [("mlp", 2), ("attention", 8), ("block", 5)])
    assert plan.projection is not None
    assert plan.projection.quality is not None
    assert not plan.projection.quality.measured
    assert "This set was not run" in notes(plan)


def test_units_that_need_each_other_are_said(search: Search) -> None:
    pair = search.pairs[0]
    dear = pair.model_copy(update={"change": 2.0, "loss": 4.41})
    plan = plan_from_set(search.model_copy(update={"pairs": (dear, *search.pairs[1:])}), pair.removed)
    assert "They need each other" in notes(plan)


def test_each_unit_carries_its_own_change_and_place(search: Search) -> None:
    plan = plan_from_set(search, [("block", 4), ("mlp", 6)], profile=make_profile(12))
    by_unit = {(reason.unit, reason.block): reason for reason in plan.provenance.reasons}
    alone = {found.removed[0]: found for found in search.singles}
    for ref, reason in by_unit.items():
        assert (reason.score, reason.interval) == (alone[ref].change, alone[ref].interval)
        cheaper = [other for other, found in alone.items() if other[0] == ref[0] and found.change < alone[ref].change]
        assert reason.rank == 1 + len(cheaper)
        assert reason.worst_slice in make_profile(12).slices


def test_a_model_without_words_gets_no_perplexity(search: Search) -> None:
    plan = plan_from_set(search.model_copy(update={"objective": "state_change"}), [("block", 4)])
    assert plan.projection is not None
    assert plan.projection.quality is None
    assert "not perplexity" in notes(plan)


@given(
    strategy=st.sampled_from(STRATEGIES),
    share=st.integers(9, 60),
    kind=st.sampled_from(["", "params", "flops", "memory"]),
)
def test_any_amount_is_answered_within_it_by_the_largest_answer(strategy: str, share: int, kind: str) -> None:
    search, amount = SEARCH, f"{share}%{kind}"
    limit = limit_of(search.model, amount, units=search.settings.units)
    plan = propose_from_search(search, strategy=strategy, amount=amount)
    removed = ordered(tuple((unit, block) for unit, blocks in plan.removed.items() for block in blocks))
    assert limit.allows(removed)
    assert removed in search.paths[strategy]
    assert all(limit.used(other) <= limit.used(removed) or not limit.allows(other) for other in search.paths[strategy])
    assert plan.provenance.criterion == strategy
    assert plan.provenance.amount == amount


SEARCH = make_search(12, most=6)


def test_nothing_that_fits_names_the_nearest_and_that_amount_works(search: Search) -> None:
    with pytest.raises(PlanError, match="the smallest takes") as caught:
        propose_from_search(search, strategy="one_shot", amount="0.5%params")
    least = caught.value.message.values["least"]
    assert propose_from_search(search, strategy="one_shot", amount=least).removed["block"]


def test_a_strategy_that_was_not_run_names_those_that_were(search: Search) -> None:
    only = search.model_copy(update={"paths": {"greedy": search.paths["greedy"]}})
    with pytest.raises(PlanError, match=r'nothing of the strategy "beam"\. It holds: greedy, one_shot'):
        propose_from_search(only, strategy="beam", amount="20%")


def test_protected_layers_and_other_kinds_stay(search: Search) -> None:
    found = propose_from_search(search, strategy="one_shot", amount="50%", protect=[], units=["block"])
    spared = found.removed["block"][0]
    with pytest.raises(PlanError, match="leaves the protected layers"):
        propose_from_search(search, strategy="one_shot", amount="50%", protect=range(12))
    scan = search.model_copy(update={"paths": {}})
    plan = propose_from_search(scan, strategy="one_shot", amount="40%", protect=[spared], units=["attention"])
    assert set(plan.removed["attention"]).isdisjoint([spared])
    assert not plan.removed["block"]
    assert plan.provenance.protected == (spared,)


def test_a_scan_alone_answers_one_shot_with_projected_quality(search: Search) -> None:
    scan = search.model_copy(update={"paths": {}, "pairs": (), "sets": ()})
    plan = propose_from_search(scan, strategy="one_shot", amount="30%", units=["block"])
    cheapest = sorted((found.change, found.removed[0][1]) for found in scan.singles if found.removed[0][0] == "block")[:3]
    assert plan.removed["block"] == tuple(sorted(block for _, block in cheapest))
    assert plan.projection is not None
    assert plan.projection.quality is not None
    assert not plan.projection.quality.measured


def test_an_amount_beyond_what_was_searched_is_said(search: Search) -> None:
    plan = propose_from_search(search, strategy="greedy", amount="100%")
    assert "Search again with that amount" in notes(plan)


def test_the_sample_is_never_sold_as_ones_own(search: Search) -> None:
    own = search.model_copy(
        update={"model": make_model(12, kind="folder", name="own"), "workload": search.workload.model_copy(update={"is_sample": False})}
    )
    assert "sample's figures" in notes(plan_from_set(search, [("block", 4)]))
    assert "sample's figures" not in notes(plan_from_set(own, [("block", 4)]))


def test_every_strategy_has_words_in_both_languages() -> None:
    assert set(STRATEGY_WORDS) == set(STRATEGIES)
    for words in STRATEGY_WORDS.values():
        for text in (words.title, words.meaning):
            assert render(Message(id=text), "ja") != text
