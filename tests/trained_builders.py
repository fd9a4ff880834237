"""Semantics and trials that look real without a model: deterministic, plausible, with intervals and figures that are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.contracts import (
    ArmKind,
    DeviationCurve,
    Distribution,
    Estimate,
    ExampleTrace,
    Fidelity,
    Freeze,
    GradientNorms,
    LensScores,
    Machine,
    ModelInfo,
    Plan,
    Semantics,
    SemanticSettings,
    StepCost,
    SweepPoint,
    TokenTrace,
    TraceScores,
    TrainingShape,
    Trial,
    TrialArm,
    TrialPoint,
    TrialSettings,
)
from analysis.contracts.semantics import CURVES, CurveName
from analysis.planning import propose_plan
from tests.builders import SLICES, make_counts, make_model, make_profile, make_workload


def make_semantics(n_blocks: int = 30, *, seed: int = 0, n_examples: int = 40, model: ModelInfo | None = None, **changes: Any) -> Semantics:
    """Traces that stay flat over two thirds of the stack and then fall; the largest gain before the last block is three quarters up."""
    model = model or make_model(n_blocks)
    profile = make_profile(n_blocks, model=model) if "profile" not in changes else changes.pop("profile")
    rng = np.random.default_rng(seed)
    base = _fall(n_blocks)
    of_examples = base[None] + rng.normal(0, 0.02, (n_examples, n_blocks + 1))
    given: dict[str, Any] = {
        "id": "semantics0000001",
        "name": f"{model.name} · sample",
        "model": model,
        "stack": model.stacks[0].name,
        "workload": profile.workload,
        "counts": profile.counts,
        "settings": profile.settings,
        "semantic": SemanticSettings(),
        "methods": {"deviation": "1"},
        "default_curve": "whitened",
        "fidelity": tuple(_fidelity(name, place) for place, name in enumerate(CURVES)),
        "condition_number": 8123.0,
        "n_words": model.vocab_size,
        "overall": _scores(base, 812, n_examples),
        "slices": {name: _scores(base + 0.03 * place, 90, 5) for place, name in enumerate(SLICES)},
        "examples": tuple(_example(row, number) for number, row in enumerate(of_examples)),
        "traces": (_tokens(base, 0), _tokens(base, 1)),
        "gradients": _gradients(n_blocks),
        "n_without_response": 2,
        "extra_seconds": 6.5,
        "extra_share": 0.21,
        "timing": profile.timing,
    }
    return Semantics(**{**given, **changes})


def make_freeze_plan(eof_layer: int = 19, *, n_blocks: int = 30, model: ModelInfo | None = None, **changes: Any) -> Plan:
    """A plan that freezes blocks 0..eof_layer of a made-up model."""
    profile = make_profile(n_blocks, model=model or make_model(n_blocks))
    plan = propose_plan(
        profile, op="prune", unit="block", criterion="block_influence", amount="1layers", name="Freeze for the next fine-tune"
    )
    return plan.model_copy(update={"operations": (Freeze(eof_layer=eof_layer),), **changes})


def make_trial(
    eof_layer: int = 19,
    *,
    n_blocks: int = 30,
    plan: Plan | None = None,
    boundaries: Sequence[int] = (),
    kinds: Sequence[ArmKind] = ("full", "lora"),
    **changes: Any,
) -> Trial:
    """A trial of a freeze plan beside full fine-tuning and LoRA; with `boundaries` a sweep with its front."""
    plan = plan or make_freeze_plan(eof_layer, n_blocks=n_blocks)
    arms = [make_arm("freeze", eof, n_blocks) for eof in sorted({*boundaries, eof_layer})]
    arms += [make_arm(kind, eof_layer if kind == "lora_freeze" else -1, n_blocks) for kind in kinds]
    workload = make_workload()
    given: dict[str, Any] = {
        "id": "trial00000000001",
        "plan_id": plan.id,
        "plan_name": plan.name,
        "model_name": plan.model.name,
        "model_source": plan.model.source,
        "model_commit": plan.model.commit,
        "architecture": plan.model.architecture,
        "stack": plan.model.stack,
        "n_blocks": n_blocks,
        "eof_layer": eof_layer,
        "workload": workload,
        "counts": make_counts(),
        "verification_counts": make_counts(),
        "settings": TrialSettings(boundaries=tuple(boundaries)),
        "shape": TrainingShape(),
        "arms": tuple(arms),
        "front": _front(arms) if boundaries else (),
        "n_training": 64,
        "n_tuning": 16,
        "machine": Machine(device="cpu", device_name="a CPU", dtype="float32", started_at="2026-11-22T06:00:00+00:00", seconds=321.0),
        "versions": {"strata": "0", "torch": "2.13.0"},
    }
    return Trial(**{**given, **changes})


def make_arm(kind: ArmKind, eof_layer: int, n_blocks: int = 30, **changes: Any) -> TrialArm:
    """One arm; the deeper the boundary, the cheaper and the less is gained."""
    trained = n_blocks if kind in ("full", "lora") else n_blocks - 1 - eof_layer
    share = trained / n_blocks
    gained = 0.6 * (1 - 0.15 * (1 - share) ** 2)
    ms = 20 + 38 * share
    full = kind == "full"
    name = kind if kind in ("full", "lora") else f"{kind} {eof_layer}"
    given: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "eof_layer": eof_layer,
        "learning_rate": 1e-4 if "lora" in kind else 3e-5,
        "tried": {"1e-05": 2.9, "3e-05": 2.7, "0.0001": None},
        "n_trainable": int(1e6 * trained),
        "n_frozen": int(1e6 * (n_blocks - trained) + 28e6),
        "points": tuple(_point(number, ms, gained) for number in range(4)),
        "cost": _cost(ms, cached=not full),
        "loss_before": Estimate(value=3.3, low=3.1, high=3.5),
        "loss_after": Estimate(value=3.3 - gained, low=3.1 - gained, high=3.5 - gained),
        "reduction": Estimate(value=gained, low=gained - 0.1, high=gained + 0.1),
        "slices": {name: Estimate(value=gained + 0.01 * place) for place, name in enumerate(SLICES)},
        "tuning_reduction": Estimate(value=gained, low=gained - 0.15, high=gained + 0.15),
        "kept_at_tokens": None if full else Estimate(value=gained / 0.6, low=gained / 0.6 - 0.08, high=gained / 0.6 + 0.07),
        "kept_at_cost": None if full else gained / 0.6 * 1.08,
        "frozen_identical": None if full else True,
        "gradient_free": None if full else True,
        "block_gradients": (tuple(float(n_blocks - b) for b in range(n_blocks)),) * 2 if full else (),
    }
    return TrialArm(**{**given, **changes})


def _fall(n_blocks: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[P] flat, then falling, with the largest single step at three quarters of the stack."""
    places = np.arange(n_blocks + 1) / n_blocks
    fall = 1.0 - 0.35 * np.clip((places - 0.6) / 0.4, 0, 1)
    fall[int(0.75 * n_blocks) + 1 :] -= 0.12
    return fall


def _curve(mean: np.ndarray[Any, np.dtype[np.float64]]) -> DeviationCurve:
    gain = mean[:-1] - mean[1:]
    return DeviationCurve(
        mean=tuple(map(float, mean)),
        intervals=tuple((float(value) - 0.02, float(value) + 0.02) for value in mean),
        gain=tuple(map(float, gain)),
        gain_intervals=tuple((float(value) - 0.01, float(value) + 0.01) for value in gain),
    )


def _scores(mean: np.ndarray[Any, np.dtype[np.float64]], n_tokens: int, n_examples: int) -> TraceScores:
    n_blocks = len(mean) - 1
    curves = {name: _curve(mean * 8 if name == "lens" else mean + 0.01 * place) for place, name in enumerate(CURVES)}
    top1 = np.clip((1.1 - mean) * 0.8, 0, 1)
    lens = LensScores(
        n_tokens=n_tokens,
        loss=tuple(map(float, mean * 8)),
        top1=tuple(map(float, top1)),
        reciprocal_rank=tuple(map(float, np.clip(top1 + 0.1, 0, 1))),
        entropy=tuple(map(float, mean * 5)),
    )
    return TraceScores(n_tokens=n_tokens, n_examples=n_examples, curves=curves, alignment=(0.1,) * n_blocks, lens=lens)


def _fidelity(name: CurveName, place: int) -> Fidelity:
    right = {"lens": 0.445, "whitened": 0.41, "literal": 0.066}.get(name, 0.05 + 0.03 * place)
    return Fidelity(curve=name, n_tokens=812, right=right, interval=(right - 0.03, right + 0.03))


def _example(row: np.ndarray[Any, np.dtype[np.float64]], number: int) -> ExampleTrace:
    return ExampleTrace(
        example_id=f"{number:064x}",
        slice=SLICES[number % len(SLICES)],
        critical=number % 7 == 0,
        n_tokens=20,
        deviation=tuple(map(float, row)),
        lens_loss=tuple(map(float, row * 8)),
        excerpt=f"Prompt number {number}",
    )


def _tokens(mean: np.ndarray[Any, np.dtype[np.float64]], number: int) -> TokenTrace:
    words = ("pass", ":", " in", " tolerance", ".")
    rows = tuple(tuple(float(value) + 0.02 * place for value in mean) for place in range(len(words)))
    return TokenTrace(
        example_id=f"{number:064x}", slice=SLICES[number % len(SLICES)], excerpt=f"Prompt number {number}", tokens=words, deviation=rows
    )


def _gradients(n_blocks: int) -> GradientNorms:
    norms = tuple(float(1 + 0.05 * abs(block - n_blocks / 2)) for block in range(n_blocks))
    small = tuple(value / 1e3 for value in norms)
    return GradientNorms(
        n_tokens=4000, n_examples=60, l1=tuple(1e3 * value for value in norms), l2=norms, per_parameter=small, relative=small
    )


def _point(number: int, ms: float, gained: float) -> TrialPoint:
    loss = 3.3 - gained * (1 - 0.4**number) / (1 - 0.4**3)
    return TrialPoint(
        step=8 * number,
        tokens=4000 * number,
        seconds=8 * number * ms / 1000,
        flops=1e12 * number,
        train_loss=None if number == 0 else loss - 0.1,
        tuning_loss=loss,
        verification_loss=loss,
    )


def _cost(ms: float, *, cached: bool) -> StepCost:
    return StepCost(
        first_epoch_ms=Distribution(p50=ms, p95=1.1 * ms, n=8),
        later_epochs_ms=Distribution(p50=0.6 * ms, p95=0.7 * ms, n=16) if cached else None,
        n_steps=24,
        tokens_per_second=8e6 / ms,
        weight_bytes=540_000_000,
        gradient_bytes=int(4e6 * ms),
        optimizer_bytes=int(8e6 * ms),
        activation_bytes=int(2e7 * ms),
        cache="memory" if cached else "off",
        cache_bytes=9_000_000 if cached else 0,
    )


def _front(arms: Sequence[TrialArm]) -> tuple[SweepPoint, ...]:
    points = [arm for arm in arms if arm.kind in ("freeze", "full")]
    costs = {arm.name: arm.points[-1].seconds for arm in points}
    losses = {arm.name: float(arm.loss_after.value or 0.0) for arm in points}
    return tuple(
        SweepPoint(
            arm=arm.name,
            seconds=costs[arm.name],
            loss=losses[arm.name],
            on_front=not any(costs[other] <= costs[arm.name] and losses[other] < losses[arm.name] for other in costs),
            chosen_by=("gain",) if arm.eof_layer == 19 else (),
        )
        for arm in points
    )
