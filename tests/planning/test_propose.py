"""Rankings and proposed plans."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.contracts import Plan, Profile, Scores
from analysis.errors import PlanError
from analysis.planning import CRITERIA, best_span, check_plan, criteria_for, propose_plan, rank_units, says_harmless, spans_of
from tests.builders import make_model, make_profile


@pytest.fixture(scope="module")
def profile() -> Profile:
    return make_profile()


def changed(profile: Profile, slice_name: str | None = None, **fields: Any) -> Profile:
    if slice_name is None:
        return profile.model_copy(update={"overall": profile.overall.model_copy(update=fields)})
    scores: Scores = profile.slices[slice_name].model_copy(update=fields)
    return profile.model_copy(update={"slices": {**profile.slices, slice_name: scores}})


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"criterion": "magic"}, "Choose one of: block_influence"),
        ({"criterion": "linear_cka", "unit": "mlp"}, "ranks whole layers only"),
        ({"op": "explode"}, "prune, skip"),
        ({"unit": "head"}, "block, attention, mlp"),
        ({"protect": (30,)}, r"30 layers \(0 to 29\)"),
        ({"protect": (-1,)}, "cannot be protected"),
        ({"protect": range(30)}, "protected. Protect fewer"),
        ({"amount": "3%"}, "at least 4%"),
        ({"amount": "1MiB"}, "less than the first removal takes"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_one_sentence(profile: Profile, request_: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        propose_plan(profile, **request_)


def test_the_least_influential_layers_go_first(profile: Profile) -> None:
    plan = propose_plan(profile, amount="20%")
    order = sorted(range(30), key=lambda block: profile.overall.block_influence[block] or 0)
    assert plan.removed["block"] == tuple(sorted(order[:6]))
    assert {reason.rank for reason in plan.provenance.reasons} == {1, 2, 3, 4, 5, 6}
    assert all(reason.interval and reason.sink_score is not None and reason.worst_slice for reason in plan.provenance.reasons)


@pytest.mark.parametrize("criterion", sorted(CRITERIA))
@pytest.mark.parametrize("amount", ["1 layer", "50%", "100%", "20%params", "30%flops", "30%memory", "60MiB"])
def test_every_criterion_and_amount_gives_a_plan_that_fits_its_model(profile: Profile, criterion: str, amount: str) -> None:
    plan = propose_plan(profile, criterion=criterion, amount=amount, protect=(0, 29))
    assert check_plan(plan, profile.model) == ()
    assert not {0, 29} & set(plan.removed["block"])
    assert 1 <= len(plan.removed["block"]) <= 28
    assert plan.projection is not None


@pytest.mark.parametrize("unit", ["attention", "mlp"])
def test_halves_are_planned_like_layers(profile: Profile, unit: Any) -> None:
    for criterion in criteria_for(unit):
        plan = propose_plan(profile, op="skip", unit=unit, criterion=criterion, amount="10%")
        assert len(plan.removed[unit]) == 3


@pytest.mark.parametrize("amount", ["20%params", "30%memory", "60MiB"])
def test_an_amount_of_bytes_or_parameters_is_used_but_not_exceeded(profile: Profile, amount: str) -> None:
    plan = propose_plan(profile, amount=amount)
    assert plan.projection is not None
    limit = 60 * 2**20 / profile.model.weight_bytes if amount == "60MiB" else float(amount.split("%")[0]) / 100
    per_layer = profile.model.stacks[0].blocks[0].n_parameters / profile.model.n_parameters
    assert limit - per_layer < plan.projection.weight_bytes.saved_share <= limit


def test_a_share_of_flops_counts_at_the_context_asked_for(profile: Profile) -> None:
    for context in (1, 8192):
        plan = propose_plan(profile, amount="25%flops", context_tokens=context)
        assert plan.projection is not None
        assert plan.projection.context_tokens == context
        assert 0.2 < plan.projection.prefill_flops_per_token.saved_share <= 0.25


def test_one_layer_always_stays_and_that_is_said(profile: Profile) -> None:
    plan = propose_plan(profile, amount="100%")
    assert len(plan.removed["block"]) == 29
    assert any("only {n} could be taken" in note.id for note in plan.provenance.notes)


def test_a_planted_redundant_run_is_found() -> None:
    profile = make_profile(12)
    matrix = [list(row) for row in profile.overall.angular_distance]
    matrix[4][7] = matrix[7][4] = 0.001
    planted = changed(profile, angular_distance=tuple(map(tuple, matrix)))
    span = best_span(planted, "angular_distance", 3)
    assert span is not None
    assert span.blocks == (4, 5, 6)
    assert propose_plan(planted, criterion="angular_distance", amount="3").removed["block"] == (4, 5, 6)
    avoided = best_span(planted, "angular_distance", 3, protect=(5,))
    assert avoided is not None
    assert 5 not in avoided.blocks


def test_spans_are_only_those_with_a_value() -> None:
    profile = make_profile(6)
    assert len(spans_of(profile, "angular_distance", 2)) == 5
    matrix = [list(row) for row in profile.overall.angular_distance]
    matrix[1][3] = None
    assert len(spans_of(changed(profile, angular_distance=tuple(map(tuple, matrix))), "angular_distance", 2)) == 4


def test_the_baseline_goes_backwards_and_keeps_the_last_layer(profile: Profile) -> None:
    assert propose_plan(profile, criterion="last_layers", amount="3").removed["block"] == (26, 27, 28)
    ranking = rank_units(profile, "block", "last_layers")
    assert ranking.order[0] == 28
    assert ranking.excluded[0][0] == 29


def test_undefined_scores_are_left_in_and_said(profile: Profile) -> None:
    series = tuple(None if block == 17 else value for block, value in enumerate(profile.overall.block_influence))
    plan = propose_plan(changed(profile, block_influence=series), amount="50%")
    assert 17 not in plan.removed["block"]
    assert any("without a score" in note.id and note.values["blocks"] == (17,) for note in plan.provenance.notes)


def test_a_measure_that_was_not_taken_is_refused(profile: Profile) -> None:
    with pytest.raises(PlanError, match="holds no values"):
        propose_plan(changed(profile, linear_cka=None), criterion="linear_cka")
    with pytest.raises(PlanError, match="holds no values"):
        propose_plan(changed(profile, angular_distance_last_token=None), criterion="angular_distance_last_token")


def test_a_layer_that_turns_only_sink_tokens_is_not_called_harmless(profile: Profile) -> None:
    plan = propose_plan(profile, amount="60%")
    reason = next(reason for reason in plan.provenance.reasons if reason.block == 11)
    assert reason.score is not None
    assert reason.score < 0.05
    assert not says_harmless(reason.score, reason.sink_score, 0.05)
    assert reason.warning is not None
    assert "first tokens" in reason.warning.id


def test_a_measure_without_sink_tokens_still_warns_of_them(profile: Profile) -> None:
    reason = next(one for one in propose_plan(profile, criterion="linear_cka", amount="70%").provenance.reasons if one.block == 11)
    assert reason.sink_score is None
    assert reason.warning is not None
    assert "first tokens" in reason.warning.id


def test_a_run_of_layers_is_explained_as_a_run(profile: Profile) -> None:
    plan = propose_plan(profile, criterion="angular_distance", amount="4")
    assert plan.provenance.notes[0].values["n"] == 4
    assert not any("together" in note.id for note in propose_plan(profile, criterion="angular_distance", amount="1").provenance.notes)


def test_a_run_that_turns_the_sink_tokens_is_warned_of(profile: Profile) -> None:
    distances = tuple(tuple(min(1.0, 4 * (cell or 0.0)) for cell in row) for row in profile.overall.angular_distance)
    plan = propose_plan(changed(profile, "sink", angular_distance=distances), criterion="angular_distance", amount="4")
    assert any("more harm" in note.id for note in plan.provenance.notes)


def test_a_slice_that_contradicts_is_named(profile: Profile) -> None:
    block = propose_plan(profile, amount="1").removed["block"][0]
    series = tuple(0.4 if index == block else value for index, value in enumerate(profile.slices["code"].block_influence))
    reason = propose_plan(changed(profile, "code", block_influence=series), amount="1").provenance.reasons[0]
    assert (reason.worst_slice, reason.worst_slice_score) == ("code", 0.4)
    assert reason.warning is not None
    assert reason.warning.values["slice"] == "code"


def test_a_profile_without_sink_tokens_calls_nothing_harmless(profile: Profile) -> None:
    without = profile.model_copy(update={"slices": {name: scores for name, scores in profile.slices.items() if name != "sink"}})
    plan = propose_plan(without, amount="1")
    assert plan.provenance.reasons[0].sink_score is None
    assert any("Sink tokens" in note.id for note in plan.provenance.notes)


def test_figures_of_the_sample_are_named_as_such(profile: Profile) -> None:
    assert any("sample's figures" in note.id for note in propose_plan(profile).provenance.notes)
    own = make_profile(
        6, model=make_model(6, kind="hub", name="org/model"), workload=profile.workload.model_copy(update={"is_sample": False})
    )
    assert not any("sample's figures" in note.id for note in propose_plan(own, amount="2").provenance.notes)


def test_a_model_of_one_layer_has_nothing_to_give() -> None:
    with pytest.raises(PlanError, match="Nothing can be removed"):
        propose_plan(make_profile(1), amount="1")


def test_the_same_request_gives_the_same_plan(profile: Profile) -> None:
    first, second = propose_plan(profile), propose_plan(profile)
    assert isinstance(first, Plan)
    assert first.id == second.id
    assert first.operations == second.operations
