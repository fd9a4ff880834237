"""Freeze plans: whole, honest about where they come from, and accepted wherever plans go."""

from __future__ import annotations

import pytest

from analysis.contracts import Change, Freeze, Plan, StepModel, TrainingShape
from analysis.errors import PlanError
from analysis.planning import (
    check_plan,
    compare_plans,
    enriched,
    plan_in_words,
    plan_to_json,
    project,
    project_training,
    propose_freeze,
    read_plan,
    step_flops,
    training_bytes,
)
from analysis.planning.freeze import ASSUMED_SEQUENCES
from tests.builders import make_model
from tests.planning.test_eof_budget import MODEL, SHAPE, measured
from tests.trained_builders import make_semantics


def notes_of(plan: Plan) -> str:
    return " ".join(note.in_english() for note in plan.provenance.notes)


def test_a_plan_is_whole_and_fits_its_model() -> None:
    semantics = make_semantics()
    plan = propose_freeze(semantics.model, semantics=semantics, strategy="gain", profile_id="profile1")
    assert plan.name == "Freeze layers 0 to 22"
    assert plan.operations == (Freeze(eof_layer=22, stack="decoder"),)
    assert check_plan(plan, semantics.model) == ()
    assert plan.workload is not None
    assert plan.workload.content_hash == semantics.workload.content_hash
    source = plan.provenance
    assert (source.criterion, source.semantics_id, source.profile_id, source.amount) == ("gain", semantics.id, "profile1", "no budget")
    assert source.eof_choice is not None
    assert source.eof_choice.eof_layer == 22
    assert "our own reading" in notes_of(plan)
    assert "profile your own model" in notes_of(plan)
    assert read_plan(plan_to_json(plan).encode()) == plan


def test_freezing_changes_nothing_at_inference_and_training_is_projected() -> None:
    plan = propose_freeze(MODEL, semantics=make_semantics())
    assert plan.projection is not None
    assert plan.projection.decode_flops_per_token.saved_share == 0
    training = plan.projection.training
    assert training is not None
    assert (training.n_sequences, training.epochs) == (make_semantics().counts.n_examples, 3)
    assert training.step_ms is None
    assert training.step_flops.plan < training.step_flops.full
    assert (training.step_flops.cached or 0) < training.step_flops.plan


def test_later_refinements_keep_the_training_projection() -> None:
    plan = propose_freeze(MODEL, semantics=make_semantics())
    assert plan.projection is not None
    more = enriched(plan.projection, MODEL, plan)
    assert more.training == plan.projection.training
    assert more.peak_memory_bytes is not None
    anew = project(MODEL, plan.operations, 512)
    assert enriched(anew, MODEL, plan).training == plan.projection.training


def test_two_freeze_plans_are_compared_by_what_training_costs() -> None:
    a, b = (propose_freeze(MODEL, eof_layer=eof) for eof in (9, 19))
    rows = {row.label: row for row in compare_plans(a, b)}
    assert rows["layers frozen"].only_b == tuple(range(10, 20))
    flops = rows["FLOPs of a training step"]
    assert flops.shared == pytest.approx(step_flops(MODEL, -1, TrainingShape()))
    assert (flops.a, flops.b) == (step_flops(MODEL, 9, TrainingShape()), step_flops(MODEL, 19, TrainingShape()))
    assert flops.only_a < flops.only_b  # type: ignore[operator]


def test_by_hand_no_rule_is_asked_and_a_missed_budget_is_said() -> None:
    plan = propose_freeze(MODEL, eof_layer=9, budget="6layers")
    assert (plan.eof_layer, plan.provenance.criterion, plan.provenance.eof_choice) == (9, "by hand", None)
    assert "more layers train than the budget" in notes_of(plan)
    assert f"{ASSUMED_SEQUENCES} were assumed" in notes_of(plan)
    assert propose_freeze(MODEL, eof_layer=-1).name == "Train all layers"
    assert propose_freeze(MODEL, eof_layer=0).name == "Freeze layer 0"
    assert propose_freeze(MODEL, eof_layer=0, name="mine").name == "mine"


@pytest.mark.parametrize("eof_layer", [-2, 29, 30])
def test_a_layer_by_hand_that_leaves_nothing_to_train_is_refused(eof_layer: int) -> None:
    with pytest.raises(PlanError, match="at least one layer must train"):
        propose_freeze(MODEL, eof_layer=eof_layer)


def test_the_tighter_of_two_budgets_holds() -> None:
    assert propose_freeze(MODEL, strategy="train_last", budget="8layers", max_trainable=4).eof_layer == 25
    assert propose_freeze(MODEL, strategy="train_last", budget="4layers", max_trainable=8).eof_layer == 25
    limited = propose_freeze(MODEL, semantics=make_semantics(), strategy="gain", budget="3layers")
    assert limited.eof_layer == 26
    assert limited.provenance.eof_choice is not None
    assert limited.provenance.eof_choice.unlimited == 22


def test_rules_without_an_answer_refuse_the_plan_with_their_reason() -> None:
    with pytest.raises(PlanError, match="none were measured"):
        propose_freeze(MODEL, strategy="gain")
    with pytest.raises(PlanError, match="watches how gradients change"):
        propose_freeze(MODEL, semantics=make_semantics(), strategy="plasticity")


def test_traces_of_another_version_are_refused() -> None:
    with pytest.raises(PlanError, match="Measure the traces of this model"):
        propose_freeze(make_model(30, commit="other"), semantics=make_semantics())


def test_no_epochs_are_refused() -> None:
    with pytest.raises(PlanError, match="more than zero"):
        propose_freeze(MODEL, eof_layer=3, epochs=0)


def test_measured_steps_give_times_energy_and_money() -> None:
    steps = measured().model_copy(update={"power_watts": 300.0})
    found = project_training(MODEL, 19, SHAPE, epochs=3, n_sequences=805, mean_tokens=200, steps=steps, price_per_hour=2.5, currency="EUR")
    full, plan, cached = 46.0, 10 + 0.4 * 20 + 1.2 * 10, 10 + 1.2 * 10
    assert found.step_ms is not None
    assert (found.step_ms.full, found.step_ms.plan, found.step_ms.cached) == pytest.approx((full, plan, cached), rel=1e-3)
    assert found.hours is not None
    hour = 101 / 3.6e6
    expected = (3 * full * hour, 3 * plan * hour, (plan + 2 * cached) * hour)
    assert (found.hours.full, found.hours.plan, found.hours.cached) == pytest.approx(expected, rel=1e-3)
    assert found.cost is not None
    assert found.energy_wh is not None
    assert found.cost.plan == pytest.approx(found.hours.plan * 2.5)
    assert found.energy_wh.full == pytest.approx(found.hours.full * 300)
    assert found.tokens_per_second is not None
    assert found.tokens_per_second.full == pytest.approx(8 * 200 / 0.046, rel=1e-3)
    assert (found.currency, found.device_name) == ("EUR", "a CPU")
    assert found.cache_bytes == 805 * 200 * 576 * 2


def test_no_price_means_no_money_and_no_power_no_energy() -> None:
    found = project_training(MODEL, 19, SHAPE, epochs=1, n_sequences=80, mean_tokens=200, steps=measured())
    assert found.cost is None
    assert found.energy_wh is None
    assert found.hours is not None
    assert found.hours.cached == pytest.approx(found.hours.plan)  # one epoch: the cache has not helped yet


def test_steps_of_another_shape_or_model_are_left_aside_and_said() -> None:
    other: StepModel = measured(TrainingShape(batch_size=2))
    found = project_training(MODEL, 19, SHAPE, epochs=1, n_sequences=80, mean_tokens=200, steps=other, price_per_hour=2.0)
    assert found.step_ms is None
    assert found.cost is None
    assert "left aside" in notes_of(propose_freeze(MODEL, eof_layer=19, shape=SHAPE, steps=other))
    assert "left aside" not in notes_of(propose_freeze(MODEL, eof_layer=19, shape=SHAPE, steps=measured()))


def test_bytes_are_those_of_the_parts() -> None:
    found = project_training(MODEL, 14, SHAPE, epochs=1, n_sequences=10, mean_tokens=100)
    full, plan = training_bytes(MODEL, -1, SHAPE), training_bytes(MODEL, 14, SHAPE)
    assert found.gradient_bytes == Change(full=full.gradients, plan=plan.gradients)
    assert found.optimizer_bytes.plan == 2 * plan.gradients
    assert found.peak_memory_bytes == Change(full=full.peak, plan=plan.peak)
    assert found.n_trainable == Change(full=full.n_trainable, plan=plan.n_trainable)


def test_nothing_frozen_saves_nothing_and_caches_nothing() -> None:
    found = project_training(MODEL, -1, SHAPE, epochs=3, n_sequences=10, mean_tokens=100, steps=measured())
    assert found.cache_bytes == 0
    for change in (found.step_flops, found.peak_memory_bytes, found.step_ms, found.hours):
        assert change is not None
        assert change.cached is None
        assert change.saved_share == 0


def test_traces_of_another_stack_are_refused() -> None:
    elsewhere = make_semantics().model_copy(update={"stack": "encoder"})
    with pytest.raises(PlanError, match="Measure the traces of that stack"):
        propose_freeze(MODEL, semantics=elsewhere, stack="decoder")


def test_a_choice_that_prompts_do_not_agree_on_is_said_to_be_not_firm() -> None:
    semantics = make_semantics()
    apart = [
        example.model_copy(update={"deviation": (1.0, *(0.9 if block < 5 + 20 * (number % 2) else 0.4 for block in range(30)))})
        for number, example in enumerate(semantics.examples)
    ]
    plan = propose_freeze(MODEL, semantics=semantics.model_copy(update={"examples": tuple(apart)}), strategy="gain")
    assert "not firm" in notes_of(plan)


def test_a_quantised_base_can_only_carry_adapters() -> None:
    with pytest.raises(PlanError, match="only adapters"):
        propose_freeze(MODEL, eof_layer=9, shape=TrainingShape(weight_bits=4))
    adapted = propose_freeze(MODEL, eof_layer=9, shape=TrainingShape(method="lora", weight_bits=4))
    assert adapted.projection is not None
    assert adapted.projection.training is not None
    assert adapted.projection.training.weight_bytes.full < MODEL.weight_bytes


def test_a_plan_that_freezes_nothing_says_so_in_words() -> None:
    assert plan_in_words(propose_freeze(MODEL, eof_layer=-1)).in_english() == "All 30 layers train; none is frozen"
    assert plan_in_words(propose_freeze(MODEL, eof_layer=9)).in_english() == "10 of 30 layers frozen (0 to 9); counted from 0"
