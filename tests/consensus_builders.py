"""Rankings, healings and robustness tests that look real without a model: deterministic, plausible, with figures that are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from analysis.contracts import (
    DEFAULT_VOTERS,
    NOISES,
    TOKEN_KINDS,
    Disturbance,
    Disturbed,
    EnergyUse,
    Estimate,
    FeatureInfo,
    GridIntensity,
    HealArm,
    HealArmName,
    Healing,
    HealPoint,
    HealSettings,
    HealSlice,
    LostWith,
    Machine,
    Message,
    ModelInfo,
    ModelSource,
    PartLoss,
    Plan,
    PromptLoss,
    Ranking,
    RankingCost,
    RankingSettings,
    RankingStep,
    Robustness,
    RobustnessSettings,
    UnitRef,
    UnknownWork,
    Vote,
    Voter,
)
from analysis.planning import propose_plan
from tests.builders import SLICES, make_counts, make_model, make_profile, make_workload

_KINDS: tuple[Disturbance, ...] = (*NOISES, "fgsm", "pgd")
_SPREAD = {"block_influence": 0.5, "taylor": 0.9, "gradient_x_activation": 0.7, "wasserstein": 0.6, "ablation_loss": 0.05}


def make_ranking(
    n_blocks: int = 30,
    *,
    seed: int = 0,
    model: ModelInfo | None = None,
    voters: Sequence[Voter] = DEFAULT_VOTERS,
    n_taken: int = 6,
    replicates: int = 40,
    **changes: Any,
) -> Ranking:
    """A ranking of the layers in which `cca` abstains, one value is undefined, and the first layers and the last are needed."""
    model = model or make_model(n_blocks)
    truth = _truth(n_blocks, seed)
    steps, order = list[RankingStep](), list[int]()
    for number in range(max(n_taken, 1)):
        steps.append(_step(truth, order, voters, seed + number, take=n_taken > 0))
        order = [*order, *(block for _, block in steps[-1].chosen)]
    singles = [_lost((("block", block),), float(truth[block])) for block in range(n_blocks)]
    together = [
        _lost(tuple(("block", int(b)) for b in sorted(order[: n + 1])), float(sum(truth[order[: n + 1]]) * 1.2)) for n in range(n_taken)
    ]
    fields: dict[str, Any] = {
        "id": f"ranking-{n_blocks}-{seed}",
        "name": "sample ranking",
        "model": model,
        "stack": model.stacks[0].name,
        "workload": make_workload(),
        "counts": make_counts(),
        "settings": RankingSettings(device="cpu", dtype="float32", voters=tuple(voters), amount=f"{n_taken} layers" if n_taken else ""),
        "base_loss": 2.41,
        "n_tokens": 1300,
        "n_examples": 84,
        "methods": dict.fromkeys(voters, "1"),
        "features": FeatureInfo(
            n_positions=1300, n_fit=1040, n_test=260, width=576, dimension=64, variance_kept=0.83, classes_by="slices", n_classes=4
        ),
        "steps": tuple(steps),
        "replicate_ranks": _replicates(steps[0], replicates, seed),
        "lost": tuple(singles),
        "lost_together": tuple(together),
        "device_name": "CPU, 2 cores",
        "created_at": "2026-05-02T09:00:00+00:00",
        "versions": {"torch": "2.13.0"},
    }
    return Ranking(**(fields | changes))


def _truth(n_blocks: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    random = np.random.default_rng(seed)
    truth = 0.11 + 0.14 * random.random(n_blocks)
    truth[[0, 1, n_blocks - 1]] = 7.7, 3.3, 2.3
    truth[n_blocks // 3] = 1.5
    return truth


def _step(truth: Any, out: list[int], voters: Sequence[Voter], seed: int, *, take: bool) -> RankingStep:
    candidates = [block for block in range(len(truth)) if block not in out]
    votes = tuple(_vote(voter, truth[candidates], seed + place) for place, voter in enumerate(voters))
    ranks = np.array([vote.ranks for vote in votes if vote.votes], dtype=float)
    scores = np.nansum(ranks, axis=0)
    best = candidates[int(np.argmin(scores))]
    spent = float(sum(truth[out]) + truth[best]) * (1 + 0.1 * len(out))
    return RankingStep(
        removed=tuple(("block", int(block)) for block in sorted(out)),
        candidates=tuple(("block", block) for block in candidates),
        votes=votes,
        scores=tuple(map(float, scores)),
        chosen=(("block", best),) if take else (),
        loss=2.41 + spent if take else None,
        change=spent if take else None,
        interval=(0.8 * spent, 1.2 * spent) if take else None,
        cost=RankingCost(block_calls=480, head_passes=31, naive_block_calls=6960, backward_passes=1, pass_seconds=31, metric_seconds=4),
        seconds=36,
    )


def _vote(voter: Voter, truth: Any, seed: int) -> Vote:
    if voter == "cca":
        why = Message(id="Not measured: {have} positions, {need} are needed.", values={"have": 400, "need": 640})
        return Vote(voter=voter, values=(None,) * len(truth), ranks=(None,) * len(truth), abstained=why)
    random = np.random.default_rng(seed)
    values = np.log1p(truth) * np.exp(_SPREAD.get(voter, 0.3) * random.standard_normal(len(truth)))
    ranks = [float(rank) for rank in rankdata(values)]
    told: list[float | None] = [float(value) for value in values]
    if voter == "permutation":
        told[5], missing = None, ranks[5]
        ranks = [rank - (rank > missing) for rank in ranks]
    return Vote(
        voter=voter,
        values=tuple(told),
        ranks=tuple(None if value is None else rank for value, rank in zip(told, ranks, strict=True)),
        intervals=tuple(None if value is None else (0.8 * value, 1.2 * value) for value in told),
        n_samples=1040,
        seconds=0.4,
    )


def _replicates(step: RankingStep, n: int, seed: int) -> tuple[tuple[tuple[int, ...], ...], ...]:
    random = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        rows = []
        for vote in step.votes:
            if not vote.votes:
                rows.append((0,) * len(step.candidates))
                continue
            known = [place for place, value in enumerate(vote.values) if value is not None]
            noisy = np.array([vote.values[place] for place in known]) * np.exp(0.15 * random.standard_normal(len(known)))
            row = [0] * len(step.candidates)
            for rank, place in enumerate(np.argsort(noisy, kind="stable"), start=1):
                row[known[int(place)]] = rank
            rows.append(tuple(row))
        found.append(tuple(rows))
    return tuple(found)


def _lost(removed: tuple[UnitRef, ...], change: float) -> LostWith:
    return LostWith(
        removed=removed,
        change=near(change),
        slices={name: _part(change * (1 + 0.3 * place)) for place, name in enumerate(SLICES)},
        kinds={kind: _part(change * (0.6 + 0.2 * place)) for place, kind in enumerate(TOKEN_KINDS) if kind != "kanji"},
        prompts=tuple(
            PromptLoss(
                example_id=f"p{place}",
                slice=SLICES[place % len(SLICES)],
                n_tokens=14,
                change=change * (4 - place),
                excerpt=f"Order no. {place}",
            )
            for place in range(3)
        ),
    )


def _part(change: float) -> PartLoss:
    return PartLoss(change=near(change), loss_before=2.3, n_tokens=160, n_examples=20)


def near(value: float, width: float = 0.2) -> Estimate:
    """A figure with an interval around it."""
    return Estimate(value=value, low=value - width * abs(value), high=value + width * abs(value))


def make_cut_plan(n_blocks: int = 30, **changes: Any) -> Plan:
    """A plan that takes six layers out."""
    return propose_plan(make_profile(n_blocks), amount="6 layers").model_copy(update=changes)


def make_heal_arm(name: HealArmName = "healed", before: float = 3.92, after: float = 3.02, **changes: Any) -> HealArm:
    """One training of 200 steps."""
    fields: dict[str, Any] = {
        "name": name,
        "objective": "distillation" if name == "distillation" else "next_token" if name == "next_token" else "both",
        "method": "lora",
        "removed": () if name == "control" else tuple(("block", block) for block in (3, 8, 13, 14, 22, 26)),
        "learning_rate": 3e-4,
        "tried": {"0.0001": after + 0.05, "0.0003": after, "0.001": None},
        "n_trainable": 2_400_000,
        "points": tuple(
            HealPoint(
                step=step,
                tokens=step * 512,
                seconds=step * 0.4,
                train_loss=None if step == 0 else after + (before - after) * 0.5 ** (step / 40),
                selection_loss=after + (before - after) * 0.5 ** (step / 40),
            )
            for step in range(0, 225, 25)
        ),
        "best_step": 200,
        "loss_before": near(before, 0.02),
        "loss_after": near(after, 0.02),
        "seconds": 80.0,
        "all_seconds": 240.0,
        "teacher_seconds": 25.0,
        "peak_memory_bytes": 3 * 2**30,
        "energy_wh": None,
    }
    return HealArm(**(fields | changes))


def make_healing(plan: Plan | None = None, *, recovered: float = 0.68, **changes: Any) -> Healing:
    """A plan that takes six layers out, healed; the control gained too."""
    plan = plan or make_cut_plan()
    base, cut = 2.60, 3.92
    healed, control = cut - recovered * (cut - base), base - 0.1
    removed = tuple(("block", block) for block in plan.removed["block"])
    fields: dict[str, Any] = {
        "id": f"healing-{plan.id}",
        "plan_id": plan.id,
        "plan_name": plan.name or "six layers out",
        "model_name": plan.model.name,
        "model_source": ModelSource(kind="sample"),
        "model_commit": plan.model.commit,
        "architecture": plan.model.architecture,
        "stack": plan.model.stack,
        "removed": removed,
        "workload": make_workload(),
        "counts": make_counts(),
        "verification_counts": make_counts(),
        "settings": HealSettings(device="cpu", dtype="float32"),
        "n_train": 67,
        "n_selection": 17,
        "n_report": 84,
        "base_loss": near(base, 0.02),
        "cut_loss": near(cut, 0.02),
        "healed": make_heal_arm("healed", cut, healed, removed=removed),
        "control": make_heal_arm("control", base, control),
        "others": (make_heal_arm("distillation", cut, healed + 0.1, removed=removed),),
        "recovered": near(recovered, 0.1),
        "recovered_against_control": near(1 - (healed - control) / (cut - base), 0.1),
        "slices": {
            name: HealSlice(n_examples=21, n_tokens=300, base=near(2.6), cut=near(3.9), healed=near(healed), control=near(control))
            for name in SLICES
        },
        "machine": make_machine(),
        "versions": {"torch": "2.13.0"},
    }
    return Healing(**(fields | changes))


def make_machine() -> Machine:
    """Where it ran."""
    return Machine(device="cpu", device_name="CPU, 2 cores", dtype="float32", started_at="2026-05-02T09:00:00+00:00", seconds=312.0)


def make_robustness(plan: Plan | None = None, **changes: Any) -> Robustness:
    """A plan under every noise and attack: worse under capitals, better under keyboard slips, else no difference; one slice unknown."""
    plan = plan or make_cut_plan()
    disturbed: list[Disturbed] = []
    for kind in _KINDS:
        levels = (0.05, 0.1, 0.2) if kind in ("fgsm", "pgd") else (0.02, 0.05, 0.1)
        disturbed += [_disturbed(kind, level) for level in levels]
    fields: dict[str, Any] = {
        "id": f"robustness-{plan.id}",
        "plan_id": plan.id,
        "plan_name": plan.name or "six layers out",
        "model_name": plan.model.name,
        "model_source": ModelSource(kind="sample"),
        "model_commit": plan.model.commit,
        "architecture": plan.model.architecture,
        "stack": plan.model.stack,
        "workload": make_workload(),
        "counts": make_counts(),
        "settings": RobustnessSettings(device="cpu", dtype="float32", country="JPN"),
        "n_examples": 84,
        "clean_original": near(2.6, 0.05),
        "clean_plan": near(3.0, 0.05),
        "results": tuple(disturbed),
        "unknown_work": (
            UnknownWork(
                slice=SLICES[-1], n_examples=20, n_tokens=260, change=near(0.6), others=near(0.4), difference=near(0.2), comparison="worse"
            ),
        ),
        "energy": EnergyUse(
            original_wh=near(1.9, 0.03),
            plan_wh=near(1.6, 0.03),
            ratio=near(0.84, 0.02),
            origin="projected",
            counter="assumed_power",
            watts=65.0,
            n_rounds=6,
            mean_tokens=31.0,
            grid=GridIntensity(kg_per_kwh=0.46, country="JPN", country_name="Japan", year=2023, source="a test's table"),
            original_co2_g=near(0.87, 0.03),
            plan_co2_g=near(0.74, 0.03),
        ),
        "machine": make_machine(),
        "versions": {"torch": "2.13.0"},
    }
    return Robustness(**(fields | changes))


def _disturbed(kind: Disturbance, level: float) -> Disturbed:
    rise = level * 6
    more = {"case": 0.12, "keyboard": -0.1}.get(kind, 0.004)
    comparison = "worse" if kind == "case" else "better" if kind == "keyboard" else "no_difference"
    return Disturbed(
        kind=kind,
        level=level,
        touched=None if kind in ("fgsm", "pgd") else level * 0.97,
        n_examples=24 if kind in ("fgsm", "pgd") else 84,
        n_tokens=900,
        loss_original=near(2.6 + rise, 0.05),
        loss_plan=near(3.0 + rise + more, 0.05),
        rise_original=near(rise),
        rise_plan=near(rise + more),
        difference=Estimate(value=more, low=more - 0.05, high=more + 0.05),
        comparison=comparison,
        agreement_original=near(0.9 - level, 0.02),
        agreement_plan=near(0.88 - level, 0.02),
        found_nothing=2 if kind == "fgsm" else 0,
        slices={name: near(more) for name in SLICES},
        examples=() if kind in ("fgsm", "pgd") else (("order", "ordwr"), ("bearings", "bearinga")),
        note=None,
    )
