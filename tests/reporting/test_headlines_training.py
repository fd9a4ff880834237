"""Headlines of Freeze and Trials: the sentences as agreed, their certainty, and every form of bad news in both languages."""

from __future__ import annotations

import doctest
from typing import Any, get_args

import pytest

from analysis.contracts import (
    ArmKind,
    Distribution,
    EofChoice,
    EofStrategy,
    Estimate,
    Message,
    Plan,
    Projection,
    Quantity,
    StepModel,
    StepPoint,
    StopReason,
    Trial,
    TrialArm,
)
from analysis.contracts.freezing import Change, TrainingProjection, TrainingShape
from analysis.contracts.semantics import CURVES
from analysis.i18n import render
from analysis.reporting import figures, headlines
from analysis.reporting import training_words as words
from analysis.reporting.step_times import how_timed
from tests.trained_builders import make_arm, make_freeze_plan, make_semantics, make_trial


def both(message: Message) -> tuple[str, str]:
    return render(message, "en"), render(message, "ja")


def training(*, step_ms: Change | None = None, flops: float = 0.6) -> TrainingProjection:
    change = Change(full=1.0, plan=1.0)
    names = ("n_trainable", "weight_bytes", "gradient_bytes", "optimizer_bytes", "activation_bytes", "peak_memory_bytes")
    return TrainingProjection(
        shape=TrainingShape(),
        epochs=3,
        n_sequences=10,
        step_flops=Change(full=1.0, plan=1.0 - flops),
        step_ms=step_ms,
        **dict.fromkeys(names, change),
    )


def plan_with(projected: TrainingProjection | None, eof_layer: int = 19, choice: EofChoice | None = None) -> Plan:
    same = Quantity(before=1.0, after=1.0)
    names = ("n_blocks", "n_parameters", "weight_bytes", "prefill_flops_per_token", "decode_flops_per_token")
    kv = ("kv_bytes_per_token", "kv_bytes_at_context")
    projection = Projection(context_tokens=512, training=projected, **dict.fromkeys((*names, *kv), same))
    plan = make_freeze_plan(eof_layer, projection=projection)
    return plan.model_copy(update={"provenance": plan.provenance.model_copy(update={"eof_choice": choice})})


def arm(
    kind: ArmKind = "freeze",
    eof_layer: int = 19,
    *,
    ms: float = 62.0,
    kept: Any = (0.96, 0.93, 0.99),
    reduction: float = 0.5,
    **changes: Any,
) -> TrialArm:
    made = make_arm(kind, eof_layer)
    cost = made.cost.model_copy(update={"first_epoch_ms": Distribution(p50=ms, p95=1.1 * ms, n=8), "later_epochs_ms": None, "cache": "off"})
    value, low, high = kept if kept is not None else (None, None, None)
    given = {
        "cost": cost,
        "kept_at_tokens": None if kept is None else Estimate(value=value, low=low, high=high),
        "reduction": Estimate(value=reduction, low=reduction - 0.1, high=reduction + 0.1),
    }
    return made.model_copy(update={**given, **changes})


def full(*, ms: float = 100.0, reduction: float = 0.52) -> TrialArm:
    return arm("full", -1, ms=ms, kept=None, reduction=reduction)


def trial(*arms: TrialArm, **changes: Any) -> Trial:
    return make_trial(19, arms=arms, **changes)


def test_a_good_trial_is_told_as_agreed() -> None:
    english, japanese = both(headlines.freeze(plan_with(None), trial(arm(), full())))
    assert english == "Freeze layers 0 to 19 and train 20 to 29: a training step takes 38% less time, and the trial kept 96% of the gain."
    assert japanese == "0〜19層を凍結し、20〜29層だけを学習します。1回の学習時間は38%短くなり、試行では改善効果の96%を保ちました。"


def test_before_a_trial_time_is_projected_as_agreed() -> None:
    projected = training(step_ms=Change(full=100.0, plan=58.0))
    english, japanese = both(headlines.freeze(plan_with(projected)))
    assert english == "Freeze layers 0 to 19: a step is projected to take 42% less time. Quality is not known until a trial has run."
    assert japanese == "0〜19層の凍結で、学習時間は42%短くなる予測です。品質は試行学習を行うまで分かりません。"
    assert headlines.freeze_no_trial(plan_with(projected)) == headlines.freeze(plan_with(projected))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (plan_with(training()), "60% fewer FLOPs; how much time that saves was not measured"),
        (plan_with(training(step_ms=Change(full=100.0, plan=103.0))), "projected to make a step take 3% more time"),
        (plan_with(None), "what a step saves has not been worked out"),
        (plan_with(training(), eof_layer=-1), "Nothing is frozen"),
    ],
)
def test_what_is_not_measured_is_said(plan: Plan, said: str) -> None:
    english, japanese = both(headlines.freeze(plan))
    assert said in english
    assert english != japanese


def test_a_weak_measure_or_an_unsettled_choice_is_said_before_a_trial_only() -> None:
    semantics = make_semantics(default_curve="literal")
    assert "names the right word in only 6.6% of cases" in both(headlines.freeze(plan_with(training()), None, semantics))[0]
    unsure = EofChoice(strategy="gain", eof_layer=19, agreement=0.31, reason=Message(id="no layer frozen"))
    assert "Only 31% of resamples" in both(headlines.freeze(plan_with(training(), choice=unsure), None, make_semantics()))[0]
    told = both(headlines.freeze(plan_with(training(), choice=unsure), trial(arm(), full()), semantics))[0]
    assert "resamples" not in told
    assert "names the right word" not in told


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ((arm(kept=(0.71, 0.6, 0.8)), full()), "the trial kept only 71% of the gain"),
        (
            (arm(kept=(0.71, 0.6, 0.8), ms=110.0), full()),
            "does not pay: the trial kept only 71% of the gain, and a training step takes 10% more",
        ),
        ((arm(ms=110.0), full()), "kept 96% of the gain in the trial, but a training step took 10% more time"),
        ((arm(reduction=-0.01), full(reduction=0.0)), "did not lower the loss at all, not even with every layer trained"),
        ((arm(reduction=-0.01), full()), "Do not freeze layers 0 to 19"),
        ((arm(kept=None),), "without full fine-tuning beside it"),
        ((arm(kept=(0.93, 0.7, 1.1)), full()), "may lie between 70% and 110%"),
        ((arm(kept=(1.04, 1.0, 1.1)), full()), "kept 100% of the gain"),
    ],
)
def test_bad_and_uncertain_news_is_told(arms: tuple[TrialArm, ...], said: str) -> None:
    found = trial(*arms)
    for message in (headlines.freeze(plan_with(training()), found), headlines.trials(found)):
        english, japanese = both(message)
        assert said in english
        assert english != japanese


def test_what_the_cache_adds_from_the_second_epoch_on_is_said() -> None:
    own = arm()
    cost = own.cost.model_copy(update={"later_epochs_ms": Distribution(p50=31.0, p95=33.0, n=8), "cache": "memory"})
    english, japanese = both(headlines.freeze(plan_with(None), trial(own.model_copy(update={"cost": cost}), full())))
    assert english.endswith("From the second epoch on it takes 69% less.")
    assert japanese.endswith("2エポック目からは69%短くなります。")


def in_turns(*times: tuple[int, bool, float]) -> StepModel:
    points = tuple(StepPoint(eof_layer=eof, cached=cached, p50_ms=ms, p95_ms=ms, repeats=9, in_fit=eof < 0) for eof, cached, ms in times)
    names = {"model_commit": "c", "stack": "s", "device": "cpu", "device_name": "CPU", "n_blocks": 30, "measured_at": "2026-01-01"}
    times = {"fixed_ms": 1.0, "frozen_block_ms": 1.0, "trained_block_ms": 3.0, "points": points}
    return StepModel.model_validate({**names, **times, "shape": TrainingShape()})


def test_steps_that_took_turns_speak_before_arms_that_ran_minutes_apart() -> None:
    noisy = (arm(ms=110.0), full())
    steps = in_turns((-1, False, 50.0), (19, False, 25.0), (19, True, 10.0))
    told = both(headlines.freeze(plan_with(None), trial(*noisy, steps=steps)))[0]
    assert "takes 50% less time" in told
    assert "From the second epoch" not in told  # the arm kept no cache
    cost = arm(ms=110.0).cost.model_copy(update={"cache": "disk"})
    assert "From the second epoch on it takes 80% less." in both(headlines.trials(trial(arm(cost=cost), full(), steps=steps)))[0]
    assert "took 10% more time" in both(headlines.trials(trial(*noisy, steps=in_turns((-1, False, 50.0)))))[0]
    assert "takes 50% less time" in both(headlines.trials(sweep(*noisy).model_copy(update={"steps": steps})))[0]


def test_arms_times_that_do_not_give_the_share_told_are_explained() -> None:
    steps = in_turns((-1, False, 50.0), (19, False, 25.0))
    explained = how_timed(trial(arm(), full(), steps=steps))
    assert explained is not None
    assert "took turns" in both(explained)[0]
    assert "交互に" in both(explained)[1]
    assert how_timed(trial(arm(), full())) is None
    assert how_timed(trial(arm(), full(), steps=in_turns((-1, False, 50.0)))) is None


def test_a_trial_of_another_boundary_does_not_speak_for_the_plan() -> None:
    other = make_trial(14, arms=(arm(eof_layer=14), full()))
    assert "Quality is not known" in both(headlines.freeze(plan_with(training()), other))[0]
    assert "no arm that freezes the plan's layers" in both(headlines.trials(trial(full())))[0]


def sweep(*arms: TrialArm) -> Trial:
    made = make_trial(19, boundaries=(9, 19))
    return made.model_copy(update={"arms": arms})


def test_a_sweep_names_the_deepest_boundary_that_kept_enough() -> None:
    found = sweep(
        arm(eof_layer=9, ms=80.0, kept=(0.99, 0.95, 1.0)), arm(eof_layer=19), arm(eof_layer=25, ms=50.0, kept=(0.7, 0.6, 0.8)), full()
    )
    english, japanese = both(headlines.trials(found))
    assert english.startswith(
        "Of 3 boundaries tried, freezing layers 0 to 19 is the deepest that kept 90% of the gain or more: it kept 96%"
    )
    assert "38% less time" in english
    assert "0〜19層" in japanese


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        (
            (arm(eof_layer=9, kept=(0.8, 0.7, 0.9)), arm(kept=(0.5, 0.4, 0.6)), full()),
            "None of 2 boundaries kept 90% of the gain; the best",
        ),
        ((arm(eof_layer=9, kept=None), arm(kept=None)), "without full fine-tuning beside them"),
        ((arm(reduction=-0.1), full(reduction=-0.2)), "did not lower the loss at all"),
        ((arm(ms=120.0), full()), f"20% more time on {make_trial(19).machine.device_name}."),
    ],
)
def test_a_sweep_can_say_no(arms: tuple[TrialArm, ...], said: str) -> None:
    english, japanese = both(headlines.trials(sweep(*arms)))
    assert said in english
    assert english != japanese


@pytest.mark.parametrize(("stop", "said"), [("budget", "The time given was spent"), ("cancelled", "It was stopped"), ("done", "")])
def test_a_trial_that_ended_early_says_so(stop: StopReason, said: str) -> None:
    assert said in both(headlines.trials(trial(arm(stop=stop), full())))[0]


def test_every_rule_curve_arm_and_stop_has_words_in_both_languages() -> None:
    assert tuple(words.RULES) == get_args(EofStrategy)
    assert tuple(words.CURVE_TITLES) == tuple(words.CURVE_MEANINGS) == CURVES
    assert set(words.KINDS) == set(get_args(ArmKind))
    assert set(words.STOPS) == set(get_args(StopReason))
    assert set(words.FIGURES) == {name for name, field in TrainingProjection.model_fields.items() if "Change" in str(field.annotation)}
    assert {name for name, rule in words.RULES.items() if rule.ours} == {"gain", "scaled_gain", "exponent", "lens", "gradient"}
    for sentence in (*(rule.meaning for rule in words.RULES.values()), *words.CURVE_MEANINGS.values()):
        english, japanese = both(Message(id=sentence))
        assert english.endswith(".")
        assert japanese.endswith("。")


def test_percent_figures_are_as_fine_as_a_headline_needs() -> None:
    assert doctest.testmod(figures).attempted == 1
    assert doctest.testmod(figures).failed == 0
    assert [figures.percent_figure(share) for share in (0.0, 0.004, 0.0996, 1.0, -0.25)] == ["0", "0.4", "10", "100", "-25"]


@pytest.mark.parametrize(
    ("eof_layer", "frozen", "trained"),
    [
        (-1, "no layer frozen", "layers 0 to 3 train"),
        (0, "layer 0 frozen", "layers 1 to 3 train"),
        (2, "layers 0 to 2 frozen", "layer 3 trains"),
    ],
)
def test_layers_are_said_in_words(eof_layer: int, frozen: str, trained: str) -> None:
    assert both(words.frozen_layers(eof_layer))[0] == frozen
    assert both(words.trained_layers(eof_layer, 4))[0] == trained


def test_ways_of_training_are_named_in_short() -> None:
    said = [both(words.way(kind, eof))[0] for kind, eof in (("freeze", 19), ("freeze", -1), ("full", -1), ("lora", -1), ("lora_freeze", 9))]
    assert said == ["freeze 0–19", "freeze none", "full fine-tuning", "LoRA on all layers", "LoRA, freeze 0–9"]
    assert both(words.rule("gain")) == ("largest gain (our reading)", "改善幅最大（独自の解釈）")
    assert both(words.rule("plasticity"))[0] == "settled gradients"
