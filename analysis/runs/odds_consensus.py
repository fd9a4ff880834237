"""What contradicts itself in a ranking, a healing or a robustness test: shapes that do not fit, figures that cannot both be true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from analysis.contracts import (
    ConsensusChoice,
    Disturbed,
    EnergyUse,
    Estimate,
    HealArm,
    Healing,
    LostWith,
    Plan,
    Ranking,
    RankingStep,
    Robustness,
    UnitRef,
    Vote,
)
from analysis.contracts.search import ordered
from analysis.runs.odds_measured import beyond_share, close, units_of, upside_down


def ranking_odds(ranking: Ranking) -> Iterator[str]:
    """Places in a ranking that cannot be true."""
    stack = next((stack for stack in ranking.model.stacks if stack.name == ranking.stack), None)
    if stack is None or not stack.blocks:
        yield "stack"
        return
    if ranking.objective == "loss" and ranking.base_loss < 0:
        yield "base_loss"
    known = units_of(stack)
    out = tuple[UnitRef, ...]()
    for index, step in enumerate(ranking.steps):
        yield from (f"steps.{index}.{place}" for place in _wrong_step(step, ranking, known, out))
        out = ordered((*out, *step.chosen))
    yield from _wrong_replicates(ranking)
    yield from _wrong_lost(ranking)
    features = ranking.features
    if features is not None and (features.n_fit + features.n_test > features.n_positions or not _share(features.variance_kept)):
        yield "features"


def _wrong_step(step: RankingStep, ranking: Ranking, known: set[UnitRef], out: tuple[UnitRef, ...]) -> Iterator[str]:
    candidates = set(step.candidates)
    if step.removed != out:
        yield "removed"
    if len(candidates) != len(step.candidates) or not candidates <= known or candidates & set(step.removed) or not candidates:
        yield "candidates"
    if not set(step.chosen) <= candidates or {block for _, block in step.chosen} & set(ranking.settings.protect):
        yield "chosen"
    if len(step.scores) != len(step.candidates):
        yield "scores"
    if step.loss is not None and step.change is not None and not close(step.change, step.loss - ranking.base_loss, abs(step.loss)):
        yield "change"
    if step.interval is not None and step.interval[0] > step.interval[1]:
        yield "interval"
    voters = [vote.voter for vote in step.votes]
    if len(set(voters)) != len(voters) or not set(voters) <= set(ranking.settings.voters):
        yield "votes"
    for vote in step.votes:
        yield from (f"votes.{vote.voter}.{place}" for place in _wrong_vote(vote, len(step.candidates)))


def _wrong_vote(vote: Vote, n: int) -> Iterator[str]:
    if len(vote.values) != n:
        yield "values"
    said = [rank for rank in vote.ranks if rank is not None]
    fits = len(vote.ranks) == n and all(1 <= rank <= n for rank in said)
    if not fits or not _follow(vote.values, vote.ranks):
        yield "ranks"
    if vote.intervals and len(vote.intervals) != n:
        yield "intervals"
    if any(interval is not None and interval[0] > interval[1] for interval in vote.intervals):
        yield "intervals"
    if vote.abstained is not None and (said or any(value is not None for value in vote.values)):
        yield "abstained"


def _follow(values: Sequence[float | None], ranks: Sequence[float | None]) -> bool:
    """Whether ranks stand where values do and go the way they go; equal values may have any order among themselves."""
    both = list(zip(values, ranks, strict=False))
    pairs = sorted((value, rank) for value, rank in both if value is not None and rank is not None)
    matched = all((value is None) == (rank is None) for value, rank in both)
    return matched and all(rank <= later or value == after for (value, rank), (after, later) in pairwise(pairs))


def _wrong_replicates(ranking: Ranking) -> Iterator[str]:
    first = ranking.steps[0]
    n, voters = len(first.candidates), len(first.votes)
    for index, replicate in enumerate(ranking.replicate_ranks):
        if len(replicate) != voters or any(len(row) != n or max(row, default=0) > n for row in replicate):
            yield f"replicate_ranks.{index}"
            return


def _wrong_lost(ranking: Ranking) -> Iterator[str]:
    singles = tuple((ref,) for ref in ranking.steps[0].candidates)
    if ranking.lost and tuple(found.removed for found in ranking.lost) != singles:
        yield "lost"
    together, out = list[tuple[UnitRef, ...]](), tuple[UnitRef, ...]()
    for step in ranking.steps:
        out = ordered((*out, *step.chosen))
        together += [out] if step.chosen else []
    if ranking.lost_together and [found.removed for found in ranking.lost_together] != together:
        yield "lost_together"
    for name in ("lost", "lost_together"):
        found: Sequence[LostWith] = getattr(ranking, name)
        yield from (f"{name}.{index}" for index, part in enumerate(found) if any(map(upside_down, _estimates_of(part))))


def _estimates_of(part: LostWith) -> Iterator[Estimate]:
    yield part.change
    yield from (found.change for found in (*part.slices.values(), *part.kinds.values()))


def consensus_odds(choice: ConsensusChoice, plan: Plan) -> Iterator[str]:
    """Places in how a plan was voted for that do not fit the plan."""
    n_removed = sum(map(len, plan.removed.values()))
    if not choice.voters or len(set(choice.voters)) != len(choice.voters):
        yield "voters"
    if choice.n_agree > len(choice.voters):
        yield "n_agree"
    if choice.probabilities and len(choice.probabilities) != n_removed:
        yield "probabilities"
    if any(share is not None and not _share(share) for share in choice.probabilities):
        yield "probabilities"


def healing_odds(healing: Healing) -> Iterator[str]:
    """Places in a healing that cannot be true."""
    if not healing.removed:
        yield "removed"
    arms = {"healed": healing.healed, **{f"others.{index}": arm for index, arm in enumerate(healing.others)}}
    for name, arm in arms.items():
        yield from (f"{name}.{place}" for place in _wrong_arm(arm))
        if arm.removed != healing.removed:
            yield f"{name}.removed"
    if healing.control is not None:
        yield from (f"control.{place}" for place in _wrong_arm(healing.control))
        if healing.control.removed:
            yield "control.removed"
    yield from (f"slices.{name}" for name, part in healing.slices.items() if part.n_examples > healing.n_report)
    if len(healing.example_losses) > healing.n_report:
        yield "example_losses"
    yield from _wrong_recovery(healing)


def _wrong_arm(arm: HealArm) -> Iterator[str]:
    steps = [point.step for point in arm.points]
    if steps != sorted(steps):
        yield "points"
    if arm.best_step > max(steps, default=0):
        yield "best_step"
    yield from (name for name in ("loss_before", "loss_after") if upside_down(getattr(arm, name)))


def _wrong_recovery(healing: Healing) -> Iterator[str]:
    """The share won back is what the losses say it is."""
    base, cut = healing.base_loss.value, healing.cut_loss.value
    healed = healing.healed.loss_after.value
    control = healing.control.loss_after.value if healing.control is not None else None
    figures = {
        "recovered": (healing.recovered, healed, base),
        "recovered_against_control": (healing.recovered_against_control, healed, control),
    }
    for name, (share, after, against) in figures.items():
        if share is None:
            continue
        if upside_down(share):
            yield name
        if share.value is None or base is None or cut is None or after is None or against is None:
            continue
        lost = cut - base
        won = lost - (after - against)
        if not close(share.value * lost, won, abs(cut)):
            yield name


def robustness_odds(found: Robustness) -> Iterator[str]:
    """Places in a robustness test that cannot be true."""
    tested = Counter((result.kind, result.level) for result in found.results)
    for index, result in enumerate(found.results):
        yield from (f"results.{index}.{place}" for place in _wrong_disturbed(result, found.n_examples))
        if tested[result.kind, result.level] > 1:
            yield f"results.{index}.level"
    for index, part in enumerate(found.unknown_work):
        if part.n_examples > found.n_examples:
            yield f"unknown_work.{index}.n_examples"
        yield from (f"unknown_work.{index}.difference" for _ in _wrong_difference(part.difference, part.change, part.others))
        if not _said_by(part.comparison, part.difference):
            yield f"unknown_work.{index}.comparison"
    if found.energy is not None:
        yield from (f"energy.{place}" for place in _wrong_energy(found.energy))
        if found.energy_reason is not None:
            yield "energy_reason"


def _wrong_disturbed(result: Disturbed, n_examples: int) -> Iterator[str]:
    if result.n_examples > n_examples:
        yield "n_examples"
    if result.touched is not None and not _share(result.touched):
        yield "touched"
    if result.found_nothing > result.n_examples:
        yield "found_nothing"
    named: Mapping[str, Estimate | None] = {
        name: getattr(result, name)
        for name in ("loss_original", "loss_plan", "rise_original", "rise_plan", "agreement_original", "agreement_plan")
    }
    yield from (name for name, estimate in named.items() if estimate is not None and upside_down(estimate))
    yield from (name for name in ("agreement_original", "agreement_plan") if (share := named[name]) is not None and beyond_share(share))
    yield from _wrong_difference(result.difference, result.rise_plan, result.rise_original)
    if not _said_by(result.comparison, result.difference):
        yield "comparison"


def _wrong_difference(difference: Estimate, first: Estimate, second: Estimate) -> Iterator[str]:
    told = (difference.value, first.value, second.value)
    fits = True
    if told[0] is not None and told[1] is not None and told[2] is not None:
        fits = close(told[0], told[1] - told[2], abs(told[1]))
    if upside_down(difference) or not fits:
        yield "difference"


def _said_by(comparison: str, difference: Estimate) -> bool:
    """Whether better or worse follows from the interval; no difference and unknown claim nothing."""
    if comparison == "worse":
        return difference.low is not None and difference.low >= 0
    return comparison != "better" or (difference.high is not None and difference.high <= 0)


def _wrong_energy(energy: EnergyUse) -> Iterator[str]:
    if (energy.origin == "projected") != (energy.counter == "assumed_power"):
        yield "origin"
    if energy.counter == "assumed_power" and energy.watts is None:
        yield "watts"
    estimates = ("original_wh", "plan_wh", "ratio", "original_co2_g", "plan_co2_g")
    yield from (name for name in estimates if (found := getattr(energy, name)) is not None and (upside_down(found) or _below_zero(found)))
    if energy.grid is None and (energy.original_co2_g, energy.plan_co2_g) != (None, None):
        yield "grid"


def _below_zero(estimate: Estimate) -> bool:
    return estimate.value is not None and estimate.value < 0


def _share(value: float) -> bool:
    return -1e-3 <= value <= 1 + 1e-3
