"""From a ranking to a plan: step by step as far as it was measured, else lowest first, and always with what was voted."""

from __future__ import annotations

import math
from typing import Any

import pytest

from analysis.contracts import Estimate, PartLoss, Plan, Ranking, RankingStep, Voter
from analysis.contracts.search import ordered
from analysis.errors import PlanError
from analysis.planning import check_plan, plan_from_ranking, plan_to_json, read_plan
from analysis.planning.consensus import consensus
from tests.builders import make_model, make_profile
from tests.consensus_builders import make_ranking


def notes(plan: Plan) -> str:
    return " ".join(note.in_english() for note in plan.provenance.notes)


def taken(ranking: Ranking, n: int) -> tuple[int, ...]:
    return tuple(sorted(block for _, block in ranking.taken[:n]))


def lowest(ranking: Ranking, n: int, **how: Any) -> tuple[int, ...]:
    step = ranking.steps[0]
    return tuple(sorted(block for _, block in consensus(step.votes, step.candidates, **how).order[:n]))


def test_all_that_was_taken_step_by_step_goes() -> None:
    ranking = make_ranking()
    plan = plan_from_ranking(ranking)
    assert plan.removed["block"] == taken(ranking, 6)
    assert plan.provenance.criterion == "consensus"
    assert plan.provenance.amount == "6 layers"
    assert plan.provenance.consensus is not None
    assert plan.provenance.consensus.step_by_step
    assert "measured again in between" in notes(plan)


@pytest.mark.parametrize("amount", ["3 layers", "10%", "10%params", "10%flops"])
def test_an_amount_takes_the_first_steps_only(amount: str) -> None:
    ranking = make_ranking()
    plan = plan_from_ranking(ranking, amount=amount)
    n = len(plan.removed["block"])
    assert 1 <= n <= 3
    assert plan.removed["block"] == taken(ranking, n)
    assert plan.provenance.consensus is not None
    assert plan.provenance.consensus.step_by_step


def test_more_than_was_taken_goes_lowest_first_and_says_so() -> None:
    ranking = make_ranking()
    plan = plan_from_ranking(ranking, amount="10 layers")
    assert plan.removed["block"] == lowest(ranking, 10)
    assert plan.provenance.consensus is not None
    assert not plan.provenance.consensus.step_by_step
    assert 'took out 6 step by step, and "10 layers" allows more' in notes(plan)


def test_one_ranking_without_steps_goes_lowest_first() -> None:
    ranking = make_ranking(n_taken=0)
    plan = plan_from_ranking(ranking)
    assert plan.removed["block"] == lowest(ranking, 6)
    assert plan.provenance.amount == "20%"
    assert "allows more" not in notes(plan)


def test_one_shot_is_taken_where_it_is_asked_for() -> None:
    ranking = make_ranking()
    plan = plan_from_ranking(ranking, step_by_step=False)
    assert plan.removed["block"] == lowest(ranking, 6)
    assert "How they act together was not looked at" in notes(plan)


def test_another_rule_leaves_the_steps_where_it_would_have_gone_another_way() -> None:
    ranking = make_ranking()
    plan = plan_from_ranking(ranking, rule="unanimity")
    assert plan.removed["block"] == lowest(ranking, 6, rule="unanimity")
    assert "gone another way after" in notes(plan)
    assert plan.provenance.consensus is not None
    assert (plan.provenance.consensus.rule, plan.provenance.consensus.step_by_step) == ("unanimity", False)


def test_weights_that_change_nothing_keep_the_steps() -> None:
    ranking = make_ranking()
    plan = plan_from_ranking(ranking, rule="borda", weights={"cka": 1.0})
    assert plan.removed["block"] == taken(ranking, 6)
    assert plan.provenance.consensus is not None
    assert plan.provenance.consensus.step_by_step
    assert plan.provenance.consensus.weights["cka"] == 1.0


def test_fewer_measures_are_a_vote_of_their_own() -> None:
    asked: tuple[Voter, ...] = ("taylor", "cka", "block_influence")
    plan = plan_from_ranking(make_ranking(), voters=asked)
    assert plan.provenance.consensus is not None
    assert set(plan.provenance.consensus.voters) == set(asked)
    assert plan.removed["block"] == lowest(make_ranking(), 6, voters=asked)


def test_a_layer_protected_afterwards_stays_and_the_steps_with_it_do_not_count() -> None:
    ranking = make_ranking()
    first = ranking.taken[0][1]
    plan = plan_from_ranking(ranking, protect=(first,))
    assert first not in plan.removed["block"]
    assert len(plan.removed["block"]) == 6
    assert plan.provenance.protected == (first,)
    assert plan.provenance.consensus is not None
    assert not plan.provenance.consensus.step_by_step


def test_a_layer_protected_afterwards_that_nobody_took_changes_nothing() -> None:
    assert plan_from_ranking(make_ranking(), protect=(0,)).removed["block"] == taken(make_ranking(), 6)


def test_what_the_ranking_protected_stays() -> None:
    ranking = make_ranking(n_taken=0)
    best = lowest(ranking, 1)[0]
    settings = ranking.settings.model_copy(update={"protect": (best,)})
    plan = plan_from_ranking(ranking.model_copy(update={"settings": settings}))
    assert best not in plan.removed["block"]


def limited(ranking: Ranking, amount: str, **changes: Any) -> Ranking:
    """The ranking as if it had been asked for this amount and a limit of quality had ended it."""
    settings = ranking.settings.model_copy(update={"most_perplexity": 1.5, "amount": amount})
    return ranking.model_copy(update={"settings": settings, **changes})


def test_what_a_limit_of_quality_refused_is_not_taken_after_all() -> None:
    ranking = limited(make_ranking(n_taken=4), "20%")
    plan = plan_from_ranking(ranking, amount="20%")
    assert plan.removed["block"] == taken(ranking, 4)
    assert notes(plan).startswith("The ranking stopped after 4: one more would have raised perplexity beyond 1.5 times")
    assert len(plan_from_ranking(ranking, amount="20%", step_by_step=False).removed["block"]) == 6


def test_where_the_limit_refused_nothing_it_is_not_mentioned() -> None:
    ranking = limited(make_ranking(n_taken=6), "20%")
    assert "The ranking stopped" not in notes(plan_from_ranking(ranking))
    assert "The ranking stopped" not in notes(plan_from_ranking(limited(make_ranking(n_taken=4), "20%"), amount="2 layers"))


def test_a_ranking_that_refused_the_first_removal_makes_no_plan_step_by_step() -> None:
    ranking = limited(make_ranking(n_taken=0), "20%")
    with pytest.raises(PlanError, match="first removal already raises perplexity beyond 1.5 times"):
        plan_from_ranking(ranking, amount="20%")
    assert plan_from_ranking(ranking, amount="1 layer", step_by_step=False).removed["block"] == lowest(ranking, 1)


def test_a_ranking_stopped_on_the_way_says_so() -> None:
    plan = plan_from_ranking(limited(make_ranking(n_taken=2), "20%", complete=False))
    assert "stopped on the way" in notes(plan)
    assert "The ranking stopped after" not in notes(plan)


def test_a_layer_without_which_the_model_breaks_is_never_taken() -> None:
    ranking = make_ranking(n_taken=0)
    best = lowest(ranking, 1)[0]
    broken = tuple(
        lost.model_copy(update={"change": Estimate(value=None)}) if lost.removed == (("block", best),) else lost for lost in ranking.lost
    )
    plan = plan_from_ranking(ranking.model_copy(update={"lost": broken}))
    assert best not in plan.removed["block"]
    assert f"no usable numbers were left in: {best}." in notes(plan)


def test_one_layer_always_stays() -> None:
    plan = plan_from_ranking(make_ranking(), amount="100%")
    assert len(plan.removed["block"]) == 29
    assert "only 29 could be taken" in notes(plan)


def test_quality_is_what_was_measured_with_exactly_these_units_out() -> None:
    ranking = make_ranking()
    plan = plan_from_ranking(ranking, amount="3 layers")
    step = ranking.steps[2]
    assert plan.projection is not None
    quality = plan.projection.quality
    assert quality is not None
    assert quality.measured
    assert (quality.loss_change, quality.interval) == (step.change, step.interval)
    assert step.change is not None
    assert quality.perplexity_ratio == pytest.approx(math.exp(step.change))


def test_quality_of_one_layer_is_what_was_lost_with_it_alone() -> None:
    ranking = make_ranking(n_taken=0)
    plan = plan_from_ranking(ranking, amount="1 layer")
    alone = next(lost for lost in ranking.lost if lost.removed == (("block", plan.removed["block"][0]),))
    assert plan.projection is not None
    assert plan.projection.quality is not None
    assert plan.projection.quality.loss_change == alone.change.value


def test_quality_of_a_set_that_was_not_run_is_not_guessed() -> None:
    plan = plan_from_ranking(make_ranking(), amount="10 layers")
    assert plan.projection is not None
    assert plan.projection.quality is None
    assert "not known until it is verified" in notes(plan)


def test_a_model_that_writes_no_words_has_no_perplexity() -> None:
    plan = plan_from_ranking(make_ranking(objective="state_change"))
    assert plan.projection is not None
    assert plan.projection.quality is None
    assert "writes no words" in notes(plan)


def test_every_unit_has_its_place_its_loss_and_its_worst_slice() -> None:
    ranking = make_ranking()
    plan = plan_from_ranking(ranking)
    step = ranking.steps[0]
    order = consensus(step.votes, step.candidates).order
    for reason in plan.provenance.reasons:
        lost = ranking.lost[reason.block]
        assert reason.rank == order.index((reason.unit, reason.block)) + 1
        assert (reason.score, reason.interval) == (lost.change.value, (lost.change.low, lost.change.high))
        assert reason.worst_slice == max(lost.slices, key=lambda name: lost.slices[name].change.value or 0.0)
        assert reason.warning is not None  # on this slice it loses three times as much


def test_a_place_that_other_prompts_would_not_confirm_is_warned_of() -> None:
    ranking = make_ranking()
    even = tuple(lost.model_copy(update={"slices": {}}) for lost in ranking.lost)
    plan = plan_from_ranking(ranking.model_copy(update={"lost": even}))
    assert plan.provenance.consensus is not None
    shares = plan.provenance.consensus.probabilities
    assert len(shares) == 6
    for reason, share in zip(plan.provenance.reasons, shares, strict=True):
        assert share is not None
        assert (reason.warning is not None) == (share < 0.5)


def test_nothing_is_made_up_where_nothing_was_measured() -> None:
    plan = plan_from_ranking(make_ranking(replicates=0, lost=(), lost_together=()))
    assert plan.provenance.consensus is not None
    assert set(plan.provenance.consensus.probabilities) == {None}
    assert all((reason.score, reason.worst_slice, reason.warning) == (None, None, None) for reason in plan.provenance.reasons)
    assert "nothing tells how sure" in notes(plan)


def test_a_slice_without_a_figure_is_not_the_worst() -> None:
    ranking = make_ranking(n_taken=0)
    unknown = PartLoss(change=Estimate(value=None), loss_before=1.0, n_tokens=0, n_examples=0)
    lost = tuple(one.model_copy(update={"slices": {"empty": unknown}}) for one in ranking.lost)
    plan = plan_from_ranking(ranking.model_copy(update={"lost": lost}))
    assert all(reason.worst_slice is None for reason in plan.provenance.reasons)


def test_the_odd_measure_and_its_slice_travel_with_the_plan() -> None:
    asked: tuple[Voter, ...] = ("taylor", "cka", "block_influence")
    choice = plan_from_ranking(make_ranking(), voters=asked).provenance.consensus
    assert choice is not None
    assert choice.odd == "block_influence"
    assert choice.odd_slice is not None


def test_slices_held_out_are_named() -> None:
    ranking = make_ranking()
    settings = ranking.settings.model_copy(update={"held_out": ("summaries",)})
    plan = plan_from_ranking(ranking.model_copy(update={"settings": settings}))
    assert "Nothing was chosen by these slices: summaries." in notes(plan)
    assert plan.provenance.consensus is not None
    assert plan.provenance.consensus.held_out == ("summaries",)


def test_who_could_not_vote_is_named() -> None:
    assert "These measures could not vote: CCA." in notes(plan_from_ranking(make_ranking()))


def test_a_skip_keeps_the_weights() -> None:
    plan = plan_from_ranking(make_ranking(), op="skip")
    assert plan.operations[0].op == "skip"
    assert plan.projection is not None
    assert plan.projection.n_parameters.saved_share == 0
    assert plan.projection.prefill_flops_per_token.saved_share > 0


def test_halves_are_taken_as_halves() -> None:
    plan = plan_from_ranking(_of_attention(make_ranking()), amount="2 layers")
    assert plan.removed["block"] == ()
    assert len(plan.removed["attention"]) == 2


def _of_attention(ranking: Ranking) -> Ranking:
    def halves(refs: tuple[tuple[Any, int], ...]) -> Any:
        return tuple(("attention", block) for _, block in refs)

    def step(one: RankingStep) -> RankingStep:
        return one.model_copy(update={"removed": halves(one.removed), "candidates": halves(one.candidates), "chosen": halves(one.chosen)})

    settings = ranking.settings.model_copy(update={"unit": "attention"})
    return ranking.model_copy(update={"settings": settings, "steps": tuple(map(step, ranking.steps)), "lost": (), "lost_together": ()})


def test_the_plan_fits_its_model_and_survives_its_file() -> None:
    ranking = make_ranking()
    plan = plan_from_ranking(ranking, name="by vote", profile=make_profile(30))
    check_plan(plan, ranking.model)
    assert plan_to_json(read_plan(plan_to_json(plan).encode())) == plan_to_json(plan)
    assert plan.provenance.profile_id == make_profile(30).id
    assert plan.workload is not None
    assert plan.workload.content_hash == ranking.workload.content_hash


def test_units_taken_several_at_once_are_a_group_of_one_step() -> None:
    ranking = make_ranking(n_taken=2)
    first = ranking.steps[0]
    both = first.model_copy(update={"chosen": ranking.taken, "change": 0.4, "interval": (0.3, 0.5)})
    settings = ranking.settings.model_copy(update={"per_step": 2})
    grouped = ranking.model_copy(update={"settings": settings, "steps": (both,), "lost_together": ()})
    whole, part = plan_from_ranking(grouped), plan_from_ranking(grouped, amount="1 layer")
    assert whole.projection is not None
    assert whole.projection.quality is not None
    assert whole.projection.quality.loss_change == 0.4
    assert tuple(("block", block) for block in whole.removed["block"]) == ordered(ranking.taken)
    assert len(part.removed["block"]) == 1
    assert "Taken out 2 at a time" in notes(whole)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"amount": "0 layers"}, "nothing"),
        ({"amount": "lots"}, "Write a share"),
        ({"amount": "1%"}, "less than the first removal takes"),
        ({"amount": "20%latency"}, "latency"),
        ({"op": "freeze"}, "prune, skip"),
        ({"protect": (30,)}, "30 layers"),
        ({"protect": (-1,)}, "30 layers"),
        ({"protect": tuple(range(30))}, "every layer that could go is protected"),
        ({"rule": "majority"}, "rank_sum"),
        ({"voters": ("conductance",)}, "not asked"),
        ({"voters": ("cca",)}, "abstained"),
        ({"rule": "borda", "weights": {"cka": -1.0}}, "below 0"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_words(given: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        plan_from_ranking(make_ranking(), **given)


def test_the_profile_of_another_model_is_refused() -> None:
    with pytest.raises(PlanError, match="The profile is of"):
        plan_from_ranking(make_ranking(model=make_model(30, commit="another")), profile=make_profile(30))
