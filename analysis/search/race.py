"""A race of sets over the batches: what is clearly worse than the leaders drops out before it has seen everything."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from analysis.contracts import Message, UnitSet
from analysis.search.losses import Measurer
from analysis.search.paired import paired
from analysis.search.steering import Steering

ERRORS = 2.5
"""So many standard errors, paired over prompts, are clearly worse: among some ten candidates, a wrong exit is rare."""
ROUNDS = (1 / 8, 1 / 4, 1 / 2)
"""After these shares of the batches."""
LEAST_BATCHES = 4
"""Nothing drops out before so many batches."""


def race(
    measurer: Measurer, steering: Steering, sets: Sequence[UnitSet], stage: Message, *, keep: int = 1, base: UnitSet = ()
) -> tuple[UnitSet, ...]:
    """Runs sets round by round; those that stay to the end are measured over all tokens.

    Args:
        measurer: what runs them.
        steering: by what one is better than another.
        sets: who takes part; those measured before take part for nothing.
        stage: what is said meanwhile.
        keep: how many leaders are looked for.
        base: what all sets add to: scores are of the change on top of it.

    Returns:
        The sets that are measured over all tokens, best first.
    """
    running = [removed for removed in dict.fromkeys(sets) if removed not in measurer.found]
    measurer.measure([(), base], stage)
    fair = base in measurer.sums and len(measurer.batches) >= 2 * LEAST_BATCHES
    known = [removed for removed in dict.fromkeys(sets) if removed in measurer.found and removed in measurer.sums]
    for stop in _rounds(len(measurer.batches)) if fair and len(running) + len(known) > keep else ():
        measurer.run(running, measurer.batches[:stop], stage)
        running = _still_running(measurer, steering, running, known, keep, base) if running else []
    measurer.measure(running, stage)
    done = [removed for removed in dict.fromkeys(sets) if removed in measurer.found]
    return tuple(sorted(done, key=lambda removed: (_score(measurer, steering, removed, base), removed)))


def _rounds(n_batches: int) -> list[int]:
    """After how many batches somebody may drop out."""
    return sorted({max(LEAST_BATCHES, math.ceil(share * n_batches)) for share in ROUNDS})


def estimate(measurer: Measurer, removed: UnitSet, base: UnitSet) -> float | None:
    """The change of loss on top of `base`, over all tokens or over those a set saw before it dropped out; None: never run."""
    if removed in measurer.found and base in measurer.found:
        return measurer.found[removed].loss - measurer.found[base].loss
    if removed in measurer.sums and base in measurer.sums:
        change, _, n = measurer.change(removed, base)
        return change if n else None
    return None


def _score(measurer: Measurer, steering: Steering, removed: UnitSet, base: UnitSet) -> float:
    return steering.score(measurer.found[removed].loss - measurer.found[base].loss, removed, base)


def _still_running(
    measurer: Measurer, steering: Steering, running: list[UnitSet], known: list[UnitSet], keep: int, base: UnitSet
) -> list[UnitSet]:
    """Without those that are clearly worse than the last of the leaders; leaders may be known sets."""
    field = [*running, *(removed for removed in known if not np.isnan(measurer.sums[removed]).any())]
    scores = {removed: (measurer.sums[removed] - measurer.sums[base]) / steering.weight(removed, base) for removed in field}
    seen = ~np.isnan(np.sum(list(scores.values()), axis=0))
    order = sorted(field, key=lambda removed: float(scores[removed][seen].sum()))
    if len(order) <= keep:
        return running
    bar, tokens = scores[order[keep - 1]][seen], measurer.per_example[seen]
    dropped = set()
    for removed in order[keep:]:
        worse, error, n = paired(scores[removed][seen] - bar, tokens)
        if n >= LEAST_BATCHES and worse > ERRORS * error:
            dropped.add(removed)
    return [removed for removed in running if removed not in dropped]
