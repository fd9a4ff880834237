"""Whether work that a plan was not chosen by loses more than the work it was chosen by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.contracts import Estimate
from analysis.contracts.robustness import UnknownWork
from analysis.verification.disturbed import Judged
from analysis.verification.sensitivity import CLEAN_ORIGINAL, CLEAN_PLAN, TOKENS, Rises, by_slice, comparison
from analysis.verification.statistics import Floats, replicate_sums, tail_share


def unknown_work(clean: Rises, held_out: Sequence[str], *, replicates: int, seed: int) -> tuple[UnknownWork, ...]:
    """Each held-out slice beside all that were looked at; none where every slice, or no slice, was held out.

    Args:
        clean: sums over the undisturbed examples.
        held_out: slices nothing was chosen by.
        replicates: resamples for the intervals.
        seed: of them.
    """
    slices = by_slice(clean.examples)
    known = [place for name, places in slices.items() if name not in held_out for place in places]
    if not known:
        return ()
    return tuple(_beside(clean, name, slices[name], known, replicates, seed) for name in sorted(set(held_out) & slices.keys()))


def _beside(clean: Rises, name: str, mine: Sequence[int], known: Sequence[int], replicates: int, seed: int) -> UnknownWork:
    found = difference_of_groups(clean.sums[list(mine)], clean.sums[list(known)], replicates=replicates, seed=seed)
    return UnknownWork(
        slice=name,
        n_examples=len(mine),
        n_tokens=_tokens(clean.examples, mine),
        change=clean.estimate(_lost, mine, replicates=replicates, seed=seed),
        others=clean.estimate(_lost, known, replicates=replicates, seed=seed),
        difference=found,
        comparison=comparison(found, min(len(mine), len(known))),
    )


def difference_of_groups(mine: Floats, others: Floats, *, replicates: int, seed: int) -> Estimate:
    """Change per token of one group of prompts less that of another; both are resampled, each on its own.

    The interval is as wide as the smaller group's number of prompts demands (see `statistics.tail_share`).
    """
    value = float(_mean(mine.sum(axis=0)) - _mean(others.sum(axis=0)))
    if min(len(mine), len(others)) < 2:
        return Estimate(value=value)
    drawn = _mean(replicate_sums(mine, replicates, seed)) - _mean(replicate_sums(others, replicates, seed + 1))
    tail = tail_share(min(len(mine), len(others)))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value))


def _lost(sums: Floats) -> Floats:
    return np.asarray(sums[..., CLEAN_PLAN] - sums[..., CLEAN_ORIGINAL])


def _mean(sums: Floats) -> Floats:
    return np.asarray(_lost(sums) / sums[..., TOKENS])


def _tokens(examples: Sequence[Judged], members: Sequence[int]) -> int:
    return sum(examples[member].n_judged for member in members)
