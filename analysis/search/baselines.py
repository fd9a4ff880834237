"""Strategies that need no search of their own: orders and runs from scores, and the naive ones nobody may skip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.contracts import Profile, Strategy, UnitRef, UnitSet, influence
from analysis.errors import PlanError
from analysis.planning.rank import best_span
from analysis.search.losses import Measurer
from analysis.search.steering import Steering

NEED_PROFILE: tuple[Strategy, ...] = ("block_influence", "angular_run")
RANDOM_SEEDS = 3
"""The path is that of the seed asked for; two more draws are measured beside it, to show how far draws lie apart."""
RANDOM_SETS = 24


def one_shot(measurer: Measurer, steering: Steering) -> tuple[UnitSet, ...]:
    """The ablation scan's order, taken as it stands (Shortened LLaMA, arXiv 2402.02834)."""
    changes = {ref: measurer.found[(ref,)].change for ref in steering.candidates}
    return steering.path(sorted(changes, key=lambda ref: (steering.score(changes[ref], (ref,)), ref)))


def block_influence(profile: Profile, steering: Steering) -> tuple[UnitSet, ...]:
    """Lowest influence first (ShortGPT, arXiv 2403.03853); units without a score stay."""
    series = {unit: influence(profile.overall, unit) for unit, _ in steering.candidates}
    scores = {ref: series[ref[0]][ref[1]] for ref in steering.candidates}
    known = {ref: steering.score(score, (ref,)) for ref, score in scores.items() if score is not None}
    return steering.path(sorted(known, key=lambda ref: (known[ref], ref)))


def angular_run(profile: Profile, steering: Steering, protect: Sequence[int]) -> tuple[UnitSet, ...]:
    """For every number of layers the unbroken run that turns the tokens least (arXiv 2403.17887)."""
    free = {block for unit, block in steering.candidates if unit == "block"}
    kept = {*protect, *(set(range(profile.n_blocks)) - free)}
    path: list[UnitSet] = []
    for n in range(1, profile.n_blocks):
        span = best_span(profile, "angular_distance", n, tuple(sorted(kept)))
        removed: UnitSet = () if span is None else tuple(("block", block) for block in span.blocks)
        if not removed or not steering.allows(removed):
            break
        path.append(removed)
    return tuple(path)


def last_n(steering: Steering) -> tuple[UnitSet, ...]:
    """The last ones before the very last layer, which stays (arXiv 2403.17887's simple variant); whole layers where they may go."""
    kinds = {unit for unit, _ in steering.candidates}
    kind = "block" if "block" in kinds else min(kinds)
    order = [ref for ref in steering.candidates if ref[0] == kind and ref[1] < steering.n_blocks - 1]
    return steering.path(sorted(order, key=lambda ref: -ref[1]))


def random(steering: Steering, seed: int) -> tuple[UnitSet, ...]:
    """Units drawn by lot, one after the other."""
    order = np.random.default_rng(seed).permutation(len(steering.candidates))
    return steering.path([steering.candidates[place] for place in order])


def random_sets(measurer: Measurer, steering: Steering, seed: int, n: int = RANDOM_SETS) -> tuple[UnitSet, ...]:
    """Sets of two units or more, of all sizes up to the limit, drawn mostly from units that a plan would take.

    Three in four draw from the two thirds of the units that cost least alone, the others from all: what is learned
    from them is how costs add up.
    """
    generator = np.random.default_rng((seed, 1))
    order = sorted(steering.candidates, key=lambda ref: (measurer.found[(ref,)].change, ref))
    sets: list[UnitSet] = []
    for number in range(4 * n):
        pool = order if number % 4 == 3 else order[: max(2, 2 * len(order) // 3)]
        longest = steering.path([pool[place] for place in generator.permutation(len(pool))])
        larger = [removed for removed in longest if len(removed) > 1 and removed not in sets]
        if larger:
            sets.append(larger[int(generator.integers(len(larger)))])
        if len(sets) == n:
            break
    return tuple(sets)


def check_strategies(strategies: Sequence[Strategy], profile: Profile | None, candidates: Sequence[UnitRef]) -> None:
    """Refuses, before anything runs, strategies that lack what they start from.

    Raises:
        PlanError: the sentence says what is missing.
    """
    need = [name for name in strategies if name in NEED_PROFILE]
    if need and profile is None:
        raise PlanError(
            "The strategy {strategy} starts from a profile of this model on this workload, and there is none. Profile it first, or choose "
            "other strategies.",
            strategy=need[0],
        )
    if "angular_run" in strategies and not any(unit == "block" for unit, _ in candidates):
        raise PlanError(
            "The strategy angular_run takes out a run of whole layers, but only {units} may go. Allow whole layers (block).",
            units=tuple(sorted({unit for unit, _ in candidates})),
        )


def unshared_greedy(steering: Steering, path: Sequence[UnitSet]) -> tuple[float, float]:
    """Block calls and head passes of the same greedy search with one whole run of the model for every candidate of every step."""
    calls = heads = 0.0
    for base in [(), *path[:-1]]:
        for child in steering.children(base):
            calls += steering.n_blocks - sum(1.0 if unit == "block" else 0.5 for unit, _ in child)
            heads += 1.0
    return calls, heads
