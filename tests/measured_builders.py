"""Searches and verifications that look real without a model: deterministic, plausible, with intervals and figures that are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from analysis.contracts import (
    CostPoint,
    Distribution,
    Estimate,
    ExampleOutcome,
    FlipCount,
    Generation,
    Guardrail,
    GuardrailResult,
    Machine,
    Measured,
    MeasuredSet,
    Message,
    ModelInfo,
    Plan,
    ProjectionError,
    QualityScores,
    Search,
    SearchCost,
    SearchSettings,
    Strategy,
    TaskScore,
    Unit,
    UnitRef,
    Verdict,
    Verification,
    VerificationSettings,
)
from analysis.contracts.search import STRATEGIES, ordered
from analysis.planning import propose_plan
from tests.builders import SLICES, make_counts, make_model, make_profile, make_workload

_COST = {"block": 1.0, "attention": 0.28, "mlp": 0.62}


def make_search(
    n_blocks: int = 30,
    *,
    seed: int = 0,
    model: ModelInfo | None = None,
    strategies: Sequence[Strategy] = STRATEGIES,
    most: int = 8,
    **changes: Any,
) -> Search:
    """A search whose every strategy answered sizes 1 to `most`; the mixed ones also take attentions and MLPs out."""
    model = model or make_model(n_blocks)
    units: tuple[Unit, ...] = ("block", "attention", "mlp")
    price = {(unit, block): _price(unit, block, n_blocks, seed) for unit in units for block in range(n_blocks)}
    paths = {name: _path(name, price, n_blocks, most, seed) for name in strategies}
    found: dict[tuple[UnitRef, ...], set[Strategy]] = {}
    for name, answers in paths.items():
        for removed in answers:
            found.setdefault(removed, set()).add(name)
    cheap = sorted(price, key=lambda ref: price[ref])[:8]
    pairs = [ordered((a, b)) for place, a in enumerate(cheap) for b in cheap[place + 1 :] if a[1] != b[1]]
    fields: dict[str, Any] = {
        "id": f"search-{n_blocks}-{seed}",
        "name": "sample search",
        "model": model,
        "stack": model.stacks[0].name,
        "workload": make_workload(),
        "counts": make_counts(),
        "settings": SearchSettings(strategies=tuple(strategies), device="cpu", dtype="float32"),
        "base_loss": 2.41,
        "n_tokens": 1300,
        "singles": tuple(_measured((ref,), price, found.get((ref,), set())) for ref in price),
        "pairs": tuple(_measured(pair, price, found.get(pair, set())) for pair in pairs),
        "sets": tuple(_measured(removed, price, by) for removed, by in found.items() if len(removed) > 1 and removed not in pairs),
        "paths": paths,
        "costs": {
            "scan": SearchCost(block_calls=480, head_passes=90, naive_block_calls=2700, naive_head_passes=90, seconds=41),
            "greedy": SearchCost(block_calls=900, head_passes=180, naive_block_calls=6000, naive_head_passes=200, seconds=75),
        },
        "device_name": "CPU, 2 cores",
        "created_at": "2026-04-02T09:00:00+00:00",
        "versions": {"torch": "2.13.0"},
    }
    return Search(**(fields | changes))


def _price(unit: Unit, block: int, n_blocks: int, seed: int) -> float:
    """Dear at both ends, cheap in the last third, with one layer that only looks cheap."""
    depth = block / max(1, n_blocks - 1)
    jitter = float(np.random.default_rng([seed, block, ord(unit[0])]).random())
    shape = 0.02 + 1.6 * np.exp(-depth * 11) + 0.9 * np.exp(-(1 - depth) * 13) + 0.05 * abs(depth - 0.7)
    return float(_COST[unit] * (shape + 0.02 * jitter) + (0.6 if block == int(n_blocks * 0.37) and unit != "attention" else 0.0))


def _path(name: Strategy, price: dict[UnitRef, float], n_blocks: int, most: int, seed: int) -> tuple[tuple[UnitRef, ...], ...]:
    blocks = list(range(1, n_blocks - 1))
    by_price = sorted(blocks, key=lambda block: price["block", block])
    orders: dict[str, list[int]] = {
        "block_influence": [int(n_blocks * 0.37), *by_price[3:], *by_price[:3]],
        "angular_run": list(range(n_blocks - 3 - most, n_blocks - 2)),
        "one_shot": by_price,
        "last_n": blocks[::-1],
        "random": [int(block) for block in np.random.default_rng(seed).permutation(blocks)],
    }
    if name in ("greedy", "beam"):
        refs = sorted(
            (ref for ref in price if 0 < ref[1] < n_blocks - 1), key=lambda ref: price[ref] / (_COST[ref[0]] if name == "beam" else 1)
        )
        return tuple(dict.fromkeys(ordered(tuple(refs[: 1 + 2 * size])) for size in range(most)))
    order = list(dict.fromkeys(orders[name]))
    return tuple(ordered(tuple(("block", block) for block in order[:size])) for size in range(1, min(most, len(order)) + 1))


def _measured(removed: tuple[UnitRef, ...], price: dict[UnitRef, float], found_by: set[Strategy]) -> MeasuredSet:
    change = sum(price[ref] for ref in removed) + 0.004 * len(removed) * (len(removed) - 1)
    return MeasuredSet(
        removed=removed,
        loss=2.41 + change,
        change=change,
        interval=(0.85 * change - 0.005, 1.15 * change + 0.005),
        n_tokens=1300,
        found_by=tuple(name for name in STRATEGIES if name in found_by),
    )


def make_verification(
    plan: Plan | None = None,
    *,
    verdict: Verdict | None = "within",
    slices: Sequence[str] = SLICES,
    texts: bool = True,
    flips: int | None = None,
    cost: bool = True,
    **changes: Any,
) -> Verification:
    """A plan's test with the verdict asked for; `flips` critical answers changed (None: as the verdict suggests)."""
    plan = plan or propose_plan(make_profile(), amount="10%")
    ratio = {"within": 1.021, "undecided": 1.043, "outside": 1.38, None: 1.021}[verdict]
    changed = flips if flips is not None else 5 if verdict == "outside" else 0
    results = _results(verdict, ratio, changed)
    fields: dict[str, Any] = {
        "id": f"verification-{plan.id}-{verdict or 'none'}",
        "plan_id": plan.id,
        "plan_name": plan.name,
        "model_name": plan.model.name,
        "model_source": plan.model.source,
        "model_commit": plan.model.commit,
        "architecture": plan.model.architecture,
        "stack": plan.model.stack,
        "workload": make_workload(slices),
        "counts": make_counts(),
        "settings": VerificationSettings(device="cpu", dtype="float32"),
        "quality": _quality(80, ratio, FlipCount(n=24, changed=changed, rate=_near(changed / 24), upper=0.117 if changed == 0 else 0.39)),
        "slices": {name: _quality(10, ratio + 0.01 * place, None) for place, name in enumerate(slices)},
        "critical": _quality(8, ratio, FlipCount(n=8, changed=changed, rate=_near(changed / 8), upper=0.312 if changed == 0 else 0.9)),
        "examples": _outcomes(slices, ratio, changed),
        "generations": _generations(slices, changed) if texts else (),
        "cost": (make_cost_point(1), make_cost_point(8)) if cost else (),
        "guardrails": results,
        "verdict": verdict,
        "projection_errors": _errors(ratio),
        "machine": Machine(
            device="cpu", device_name="CPU, 2 cores", dtype="float32", started_at="2026-04-03T10:00:00+00:00", seconds=212.0
        ),
        "versions": {"torch": "2.13.0"},
        "notes": (Message(id="Energy was not measured: this device cannot tell."),),
    }
    return Verification(**(fields | changes))


def make_cost_point(batch_size: int = 1, *, faster: float = 0.88) -> CostPoint:
    """What a batch costs under both models."""
    return CostPoint(
        batch_size=batch_size,
        prompt_tokens=256,
        new_tokens=32,
        prefill_ms=_times(212.0 * batch_size, faster),
        first_token_ms=_times(240.0 * batch_size, faster),
        decode_tokens_per_second=_times(21.0 * batch_size**0.7, 1 / faster),
        tokens_per_second_gain_at_double_batch=1.62,
        peak_memory_bytes=None,
        weight_bytes=(269_030_016, 247_000_000),
        kv_cache_bytes=(6_635_520 * batch_size, 5_971_968 * batch_size),
        prefill_flops=(69_000_000_000, 62_000_000_000),
        layer_calls=(60, 54),
        energy_mwh=None,
    )


def _times(original: float, ratio: float) -> Measured:
    return Measured(
        original=Distribution(p50=original, p95=original * 1.12, n=10),
        plan=Distribution(p50=original * ratio, p95=original * ratio * 1.13, n=10),
        ratio=Estimate(value=ratio, low=ratio * 0.97, high=ratio * 1.03),
    )


def _near(value: float, width: float = 0.05) -> Estimate:
    return Estimate(value=value, low=max(0.0, value - width), high=value + width)


def _quality(n: int, ratio: float, flips: FlipCount | None) -> QualityScores:
    change = float(np.log(ratio))
    half = 0.012 if n >= 80 else 0.03
    return QualityScores(
        n_examples=n,
        n_tokens=n * 18,
        perplexity_original=_near(11.2, 0.6),
        perplexity_plan=_near(11.2 * ratio, 0.7),
        perplexity_ratio=_near(ratio, half),
        loss_change=Estimate(value=change, low=change - half, high=change + half),
        p_value=0.003 if ratio > 1.03 else 0.11,
        kl=_near(0.05 * (ratio - 1) * 10, 0.01),
        top1_agreement=Estimate(value=0.93, low=0.91, high=0.95),
        flips=flips,
        tasks=()
        if flips is None
        else (
            TaskScore(
                kind="normalised",
                n=24,
                original=_near(0.62, 0.1),
                plan=_near(0.6, 0.1),
                change=Estimate(value=-0.02, low=-0.09, high=0.05),
                p_value=1.0,
            ),
        ),
    )


def _results(verdict: Verdict | None, ratio: float, changed: int) -> tuple[GuardrailResult, ...]:
    if verdict is None:
        return ()
    percent = 100 * (ratio - 1)
    perplexity = GuardrailResult(
        guardrail=Guardrail(text="perplexity<=+5%", metric="perplexity", op="<=", value=5, unit="%"),
        verdict=verdict,
        measured=Estimate(value=percent, low=percent - 1.2, high=percent + 1.2),
        n=80,
        reason=Message(id="Perplexity came out at {value}.", values={"value": f"{percent:.1f}%"}),
        decided_by=("example-003", "example-017") if verdict != "within" else (),
        worst_slice="order entry" if verdict != "within" else None,
    )
    flips_verdict: Literal["within", "outside"] = "outside" if changed else "within"
    flips = GuardrailResult(
        guardrail=Guardrail(text="flips@critical<=40%", metric="flips", slice="critical", op="<=", value=40, unit="%"),
        verdict=flips_verdict,
        measured=Estimate(value=12.5 * changed, low=max(0.0, 12.5 * changed - 20), high=31.2 if changed == 0 else 90.0),
        n=8,
        reason=Message(id="{changed} of {n} answers changed.", values={"changed": changed, "n": 8}),
    )
    return (perplexity, flips)


def _outcomes(slices: Sequence[str], ratio: float, changed: int) -> tuple[ExampleOutcome, ...]:
    random = np.random.default_rng(5)
    return tuple(
        ExampleOutcome(
            example_id=f"example-{place:03d}",
            slice=slices[place % len(slices)],
            critical=place % 10 == 0,
            n_tokens=18,
            loss_original=2.4,
            loss_plan=round(2.4 + float(np.log(ratio)) + float(random.normal(0, 0.05)), 4),
            kl=round(float(random.gamma(2, 0.02)), 4),
            top1_agreement=0.93,
            flipped=place < changed if place < 24 else None,
            right_original=True if place < 24 else None,
            right_plan=place >= changed if place < 24 else None,
        )
        for place in range(80)
    )


def _generations(slices: Sequence[str], changed: int) -> tuple[Generation, ...]:
    return tuple(
        Generation(
            example_id=f"example-{place:03d}",
            slice=slices[place % len(slices)],
            critical=place % 10 == 0,
            prompt=f"Enter an order of {place + 3} bearings 6204 for Suzuki Works.",
            reference="Order entered.",
            original=f"Order entered: {place + 3} bearings 6204.",
            plan=f"Order of {place + 30} bearings." if place < changed else f"Order entered: {place + 3} bearings 6204.",
            changed=place < changed,
        )
        for place in range(24)
    )


def _errors(ratio: float) -> tuple[ProjectionError, ...]:
    return (
        ProjectionError(quantity="parameters", projected=1.24e8, measured=1.24e8, error_share=0.0),
        ProjectionError(quantity="prefill_flops", projected=6.2e10, measured=6.2e10, error_share=0.0),
        ProjectionError(
            quantity="prefill_ms", projected=190.0, low=181.0, high=199.0, measured=186.6, error_share=190 / 186.6 - 1, inside=True
        ),
        ProjectionError(
            quantity="perplexity_ratio",
            projected=1.03,
            low=1.0,
            high=1.07,
            measured=ratio,
            error_share=1.03 / ratio - 1,
            inside=ratio <= 1.07,
        ),
    )
