"""What a case may rest on: the stored sample's plans, and plans with less behind them."""

from __future__ import annotations

import gzip
import json
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from analysis.contracts import Change, Plan, TrainingProjection, TrainingShape, Trial, Verification
from analysis.economics.check import check_assumptions
from analysis.economics.defaults import default_assumptions
from analysis.economics.evidence import device_kind, evidence_of
from analysis.economics.evidence_words import words_of
from analysis.errors import PlanError
from analysis.planning import propose_plan
from tests.builders import make_profile
from tests.measured_builders import make_cost_point, make_verification
from tests.trained_builders import make_freeze_plan, make_trial

SAMPLES = Path(__file__).parents[2] / "sample_data"


@cache
def stored(kind: str, name: str) -> Any:
    with gzip.open(SAMPLES / f"sample_{kind}" / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        return {"plans": Plan, "verifications": Verification, "trials": Trial}[kind].model_validate(json.load(file))


def said(evidence: Any) -> str:
    return " ".join(note.in_english() for note in evidence.notes)


def test_the_samples_freeze_plan_is_priced_by_its_trial() -> None:
    found = evidence_of(stored("plans", "freeze"), trial=stored("trials", "freeze"))
    assert (found.standing, found.origin, found.device_kind, found.eof_layer) == ("measured", "measured", "gpu", 4)
    assert found.serving is None
    assert found.training is not None
    assert found.training.n_trained == 25
    assert found.training.recommended
    assert "training only" in said(found)


def test_its_share_of_time_is_that_of_steps_that_took_turns() -> None:
    """9 steps of the first epoch at 95.6 ms, 18 from the cache at 82.2 ms, each 102.5 ms with everything trained."""
    training = evidence_of(stored("plans", "freeze"), trial=stored("trials", "freeze")).training
    assert training is not None
    hours = training.hours
    assert hours.ratio == pytest.approx((9 * 95.61023 + 18 * 82.20002) / (27 * 102.49416), rel=1e-5)
    assert hours.today == pytest.approx(27 * 102.49416 / 3.6e6, rel=1e-5)
    assert hours.ratio_low is not None
    assert hours.ratio_high is not None
    assert 0.7 < hours.ratio_low < hours.ratio < hours.ratio_high < 1.0


def test_the_samples_freeze_plan_is_judged_beside_full_fine_tuning() -> None:
    quality = evidence_of(stored("plans", "freeze"), trial=stored("trials", "freeze")).quality
    change = quality.quality_change
    assert change is not None
    assert change.value == pytest.approx(0.0589, abs=1e-4)
    assert change.low is not None
    assert change.high is not None
    assert change.low < change.value < change.high
    assert quality.accuracy_change is None
    assert len(quality.by_slice) == 8


def test_the_samples_attention_plan_is_within_its_limits_and_slower() -> None:
    found = evidence_of(stored("plans", "attention"), stored("verifications", "attention"))
    assert (found.standing, found.verdict) == ("measured", "within")
    assert found.serving is not None
    point = found.serving.points[0]
    assert point.prefill_ms.ratio > 1
    assert point.decode_ms is not None
    assert point.decode_ms.ratio > 1
    assert point.waits_for_work
    assert "took longer than without it (requests at a time: 1)" in said(found)
    assert found.quality.n_answers == 28
    assert found.n_judged == 84


def test_milliseconds_of_a_token_turn_the_interval_of_a_speed_round() -> None:
    measured = stored("verifications", "attention").cost[0].decode_tokens_per_second
    found = evidence_of(stored("plans", "attention"), stored("verifications", "attention")).serving
    assert found is not None
    decode = found.points[0].decode_ms
    assert decode is not None
    assert decode.today == pytest.approx(1000 / measured.original.p50)
    assert (decode.ratio_low, decode.ratio_high) == pytest.approx((1 / measured.ratio.high, 1 / measured.ratio.low))
    assert decode.ratio == pytest.approx(1 / measured.ratio.value, rel=1e-3)


def test_a_batch_writes_a_token_of_every_sequence_at_once() -> None:
    plan = propose_plan(make_profile(), amount="10%")
    point = make_cost_point(8)
    found = evidence_of(plan, make_verification(plan, cost=True).model_copy(update={"cost": (point,)})).serving
    assert found is not None
    decode, speed = found.points[0].decode_ms, point.decode_tokens_per_second
    assert decode is not None
    assert speed is not None
    assert decode.today == pytest.approx(8 * 1000 / speed.original.p50)


def test_the_samples_block_plan_is_outside_its_limits_and_not_recommended() -> None:
    found = evidence_of(stored("plans", "block"), stored("verifications", "block"))
    assert found.standing == "outside"
    assert "not recommended" in said(found)


@pytest.mark.parametrize(("name", "saved"), [("freeze", 0.127), ("attention", 0.0239), ("block", 0.0833)])
def test_a_projection_alone_is_a_range_from_half_to_all_of_it(name: str, saved: float) -> None:
    plan = stored("plans", name)
    found = evidence_of(plan)
    on = ("gpu", "NVIDIA H200") if plan.projection.latency else (None, "")
    assert (found.standing, found.origin, found.device_kind, found.device_name) == ("rough", "projected", *on)
    assert found.projected_saving is not None
    assert found.projected_saving[1] == pytest.approx(saved, abs=1e-3)
    assert found.projected_saving[0] == pytest.approx(found.projected_saving[1] / 2)
    assert "No time was measured" in said(found)


def test_times_projected_from_a_processor_are_a_processors() -> None:
    """They are never priced as a GPU's without a word: what was measured on a CPU and projected is still a CPU's time."""
    plan = stored("plans", "attention")
    slow = tuple(each.model_copy(update={"device_name": "CPU (x86_64, 8 threads)"}) for each in plan.projection.latency)
    plan = plan.model_copy(update={"projection": plan.projection.model_copy(update={"latency": slow})})
    found = evidence_of(plan)
    assert (found.device_kind, found.device_name) == ("cpu", "CPU (x86_64, 8 threads)")
    priced = default_assumptions(found, today=date(2026, 11, 22)).model_copy(
        update={"basis": "volume", "gpu": "h200", "device_kind": "gpu"}
    )
    assert "accept_other_device" in [problem.field for problem in check_assumptions(priced, found)]


def test_a_verification_of_quality_alone_leaves_the_cost_rough() -> None:
    plan = stored("plans", "attention")
    quality_only = stored("verifications", "attention").model_copy(update={"cost": ()})
    found = evidence_of(plan, quality_only)
    assert (found.standing, found.origin) == ("rough", "projected")
    assert found.quality.n_answers == 28
    missed = evidence_of(plan, quality_only.model_copy(update={"verdict": "outside"}))
    assert missed.standing == "outside"


def test_a_plans_own_verification_is_taken_where_none_is_given() -> None:
    plan, verification = stored("plans", "attention"), stored("verifications", "attention")
    assert evidence_of(plan.model_copy(update={"verification": verification})) == evidence_of(plan, verification)


def test_another_plans_evidence_is_refused_in_words() -> None:
    with pytest.raises(PlanError, match="verification is of plan 9babd09b75c3, not of plan 4ff51ef06f8b"):
        evidence_of(stored("plans", "attention"), stored("verifications", "block"))
    with pytest.raises(PlanError, match="trial is of plan"):
        evidence_of(stored("plans", "attention"), trial=stored("trials", "freeze"))


def test_a_plan_with_nothing_behind_it_is_refused_in_words() -> None:
    bare = stored("plans", "block").model_copy(update={"projection": None})
    with pytest.raises(PlanError, match="no measured times and no projection"):
        evidence_of(bare)


@pytest.mark.parametrize(
    ("verdict", "standing"), [("within", "measured"), ("undecided", "undecided"), ("outside", "outside"), (None, "undecided")]
)
def test_a_verdict_stands_behind_the_case(verdict: Any, standing: str) -> None:
    plan = propose_plan(make_profile(), amount="10%")
    assert evidence_of(plan, make_verification(plan, verdict=verdict)).standing == standing


@pytest.mark.parametrize(("kept", "standing"), [(0.95, "measured"), (0.9, "measured"), (0.89, "outside"), (None, "undecided")])
def test_a_trial_that_keeps_less_than_nine_tenths_missed_its_limit(kept: float | None, standing: str) -> None:
    plan, trial = stored("plans", "freeze"), stored("trials", "freeze")
    own = trial.own
    changed = own.model_copy(update={"kept_at_tokens": None if kept is None else own.kept_at_tokens.model_copy(update={"value": kept})})
    arms = tuple(changed if arm.name == own.name else arm for arm in trial.arms)
    assert evidence_of(plan, trial=trial.model_copy(update={"arms": arms})).standing == standing


def test_without_steps_in_turns_the_arms_own_steps_speak() -> None:
    plan = make_freeze_plan()
    trial = make_trial(plan=plan)
    found = evidence_of(plan, trial=trial).training
    own, full = trial.own, trial.arm("full")
    assert found is not None
    assert own is not None
    assert full is not None
    assert found.hours.today == pytest.approx(own.cost.n_steps * full.cost.first_epoch_ms.p50 / 3.6e6)


def test_a_trial_without_full_fine_tuning_cannot_be_priced() -> None:
    plan = make_freeze_plan()
    projected = TrainingProjection(
        shape=TrainingShape(),
        epochs=3,
        n_sequences=100,
        step_flops=Change(full=100, plan=70, cached=40),
        **{
            name: Change(full=1, plan=1)
            for name in ("n_trainable", "weight_bytes", "gradient_bytes", "optimizer_bytes", "activation_bytes", "peak_memory_bytes")
        },
    )
    assert plan.projection is not None
    plan = plan.model_copy(update={"projection": plan.projection.model_copy(update={"training": projected})})
    found = evidence_of(plan, trial=make_trial(plan=plan, kinds=("lora",)))
    assert found.standing == "rough"
    assert found.projected_saving == pytest.approx((0.25, 0.5))  # a third of 30 % and two thirds of 60 %, and half of that


def test_what_a_plan_does_is_said_in_one_line() -> None:
    assert [words_of(stored("plans", name).operations).in_english() for name in ("freeze", "attention", "block")] == [
        "Layers 0 to 4 frozen",
        "Attention of layers 19, 26 skipped",
        "Layers 12, 19, 26 removed",
    ]


def test_several_operations_are_all_named() -> None:
    both = (*stored("plans", "freeze").operations, *stored("plans", "attention").operations)
    assert words_of(both).in_english() == "Several steps: Layers 0 to 4 frozen, Attention of layers 19, 26 skipped"


def test_a_processor_is_no_accelerator() -> None:
    assert [device_kind(name) for name in ("cpu", "cuda:0", "mps", "xpu:1")] == ["cpu", "gpu", "gpu", "gpu"]
