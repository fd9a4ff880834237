"""A race of sets over the batches: what is clearly worse than the leaders drops out before it has seen everything.

What a set will cost on a prompt is predicted from what its parts cost there. Over the prompts it has seen, only how far
the prediction was off has to be learned, which takes fewer prompts than learning the cost itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.contracts import Message, UnitSet
from analysis.search.losses import Measurer
from analysis.search.paired import Sums, paired
from analysis.search.steering import Steering

ERRORS = 3.0
"""So many standard errors, paired over prompts, are clearly worse: among some twenty candidates, a wrong exit is rare."""
ROUNDS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""After these shares of the batches somebody may drop out."""
STAY = 0.6
"""So many of those that enter a race go on after each round, where its passes do not allow more."""
LEAST_PROMPTS = 8
"""Nothing drops out before it has seen so many prompts: a spread of fewer says little."""


@dataclass(frozen=True)
class Entrant:
    """A set that races.

    Attributes:
        removed: the set.
        predicted: its loss per example, as well as can be guessed beforehand; None: nothing is known prompt by prompt.
        related: losses per example that go along with it and were measured for all examples: to tell what is clearly worse.
    """

    removed: UnitSet
    predicted: Sums | None = None
    related: Sums | None = None


@dataclass(frozen=True)
class Raced:
    """How a race ended.

    Attributes:
        done: the sets that are measured over all tokens, best first.
        changes: what each set that was run costs on top of the base per example; guessed where it has not seen an example.
        passes: what it took, in passes of all tokens by one set.
    """

    done: tuple[UnitSet, ...]
    changes: dict[UnitSet, Sums]
    passes: float


def race(
    measurer: Measurer,
    steering: Steering,
    entrants: Sequence[Entrant],
    stage: Message,
    *,
    keep: int = 1,
    least: int = 2,
    base: UnitSet = (),
    passes: float = math.inf,
) -> Raced:
    """Runs sets round by round; those that stay to the end are measured over all tokens.

    Args:
        measurer: what runs them.
        steering: by what one is better than another.
        entrants: who takes part, the most promising first; those measured before take part for nothing.
        stage: what is said meanwhile.
        keep: how many leaders are looked for.
        base: what all sets add to: scores are of the change on top of it.
        least: so many of those that are not known yet may always run to the end, unless they are clearly worse.
        passes: what it may take beyond that.
    """
    field = {entrant.removed: entrant for entrant in entrants}
    running = [removed for removed in field if removed not in measurer.found]
    changes: dict[UnitSet, Sums] = {}
    spent = 0.0
    if running:
        measurer.complete([removed for removed in ((), base) if removed not in measurer.sums], stage)
        standing = Standing(measurer, steering, base, field)
        stops = [*_rounds(measurer), len(measurer.batches)]
        for place, stop in enumerate(stops):
            running = running[: _affordable(measurer, stops[place:], stops[place - 1] if place else 0, passes - spent, least)]
            spent += _run(measurer, running, stop, stage)
            changes |= standing.changes(running)
            running = standing.still_running(running, changes, keep)
    found = measurer.found
    scores = {r: steering.score(found[r].loss - found[base].loss, r, base) for r in field if r in found}
    return Raced(tuple(sorted(scores, key=lambda removed: (scores[removed], removed))), changes, spent)


@dataclass(frozen=True)
class Standing:
    """How sets of a race stand to each other, by the prompts they have seen."""

    measurer: Measurer
    steering: Steering
    base: UnitSet
    field: dict[UnitSet, Entrant]

    def changes(self, running: Sequence[UnitSet]) -> dict[UnitSet, Sums]:
        """What sets cost on top of the base per example: as measured, and guessed for examples they have not seen.

        A guess is the prediction, and how far predictions were off so far. That counts for as much as it is known: shrunk
        towards what it was for all sets together, by how widely it differs among them (James and Stein's estimator; Efron
        and Morris, 1973).
        """
        measurer, base = self.measurer, self.measurer.sums[self.base]
        expected = {removed: self._prediction(removed) for removed in running}
        if not expected:
            return {}
        off = np.array([measurer.sums[removed] for removed in running]) - np.array([expected[removed] for removed in running])
        common = off.mean(axis=0)
        middle, *_ = _mean_where(measurer, common)
        means, errors = np.array([_mean_where(measurer, row) for row in off - common]).T
        spread = max(0.0, float(means.var() - (errors**2).mean())) if np.isfinite(errors).all() else 0.0
        guesses = middle + np.array([spread / (spread + error**2) if error else 1.0 for error in errors]) * means
        table = {}
        for removed, guess in zip(running, guesses, strict=True):
            sums = measurer.sums[removed]
            table[removed] = np.where(np.isnan(sums), expected[removed] + guess * measurer.per_example, sums) - base
        return table

    def _prediction(self, removed: UnitSet) -> Sums:
        """What a set was expected to cost; where nothing is known, as much as it costs on the examples it has seen."""
        predicted, base = self.field[removed].predicted, self.measurer.sums[self.base]
        return base + self.measurer.change(removed, self.base)[0] * self.measurer.per_example if predicted is None else predicted

    def still_running(self, running: Sequence[UnitSet], changes: dict[UnitSet, Sums], keep: int) -> list[UnitSet]:
        """The sets, best first, without those that are clearly worse than the last of the leaders; leaders may be known sets.

        The runner-up always stays: a leader is held against another set on all tokens.
        """
        found, base = self.measurer.found, self.measurer.found[self.base].loss
        known = {removed: found[removed].loss - base for removed in self.field if removed in found}
        total = self.measurer.per_example.sum()
        known |= {removed: float(changes[removed].sum() / total) for removed in running if removed not in found}
        order = sorted(known, key=lambda removed: (self.steering.score(known[removed], removed, self.base), removed))
        left = [removed for removed in order if removed not in found]
        if len(order) <= keep + 1:
            return left
        leader = order[keep - 1]
        behind = set(order[keep + 1 :])
        return [removed for removed in left if removed not in behind or not self._clearly_worse(removed, leader, known)]

    def _clearly_worse(self, removed: UnitSet, leader: UnitSet, known: dict[UnitSet, float]) -> bool:
        share = {one: self._weight(one, min(known[removed], known[leader])) for one in (removed, leader)}
        worse, error = min(self._differences(removed, leader, share), key=lambda found: found[1], default=(0.0, math.inf))
        return worse > ERRORS * error

    def _weight(self, removed: UnitSet, change: float) -> float:
        """What saves more may cost more; a gain is a gain whatever it saves."""
        return self.steering.weight(removed, self.base) if change > 0 else 1.0

    def _differences(self, removed: UnitSet, leader: UnitSet, share: dict[UnitSet, float]) -> list[tuple[float, float]]:
        """How much worse a set is, and the standard error: prompt by prompt, and by how far predictions were off."""
        measurer, mine, its = self.measurer, self._changes(removed, share), self._changes(leader, share)
        if mine is None:
            return []
        ways = [] if its is None else [_mean_where(measurer, mine - its)]
        expected = self._expected(removed, share)
        if expected is not None:
            total = measurer.per_example.sum()
            off, error = _mean_where(measurer, mine - expected)
            if leader in measurer.found:
                change = (measurer.found[leader].loss - measurer.found[self.base].loss) / share[leader]
                ways.append((off + float(expected.sum() / total) - change, error))
            other = self._expected(leader, share)
            if its is not None and other is not None:
                off, error = _mean_where(measurer, (mine - expected) - (its - other))
                ways.append((off + float((expected - other).sum() / total), error))
        return ways

    def _changes(self, removed: UnitSet, share: dict[UnitSet, float]) -> Sums | None:
        sums = self.measurer.sums.get(removed)
        return None if sums is None else (sums - self.measurer.sums[self.base]) / share[removed]

    def _expected(self, removed: UnitSet, share: dict[UnitSet, float]) -> Sums | None:
        related = self.field[removed].related
        return None if related is None else (related - self.measurer.sums[self.base]) / share[removed]


def _mean_where(measurer: Measurer, differences: Sums) -> tuple[float, float]:
    """Mean per token over the prompts seen, and its standard error as a guess at the mean over all prompts of the workload.

    Where all were seen nothing is guessed (the finite population correction; Cochran, Sampling Techniques, chapter 2).
    """
    seen: npt.NDArray[np.bool_] = ~np.isnan(differences)
    mean, error, n = paired(differences[seen], measurer.per_example[seen])
    if n < LEAST_PROMPTS and n < len(seen):
        return mean, math.inf
    unseen = 1.0 - float(measurer.per_example[seen].sum() / measurer.per_example.sum())
    return mean, (error * math.sqrt(max(0.0, unseen)) if unseen > 1e-12 else 0.0)


def _rounds(measurer: Measurer) -> list[int]:
    """After how many batches somebody may drop out."""
    prompts = np.cumsum([len(batch.members) for batch in measurer.batches])
    enough = int(np.searchsorted(prompts, LEAST_PROMPTS)) + 1
    n = len(measurer.batches)
    return sorted({stop for share in ROUNDS if (stop := max(enough, math.ceil(share * n))) < n})


def _affordable(measurer: Measurer, stops: Sequence[int], done: int, passes: float, least: int) -> int:
    """How many sets may go on when the usual share of them leaves after every round."""
    if math.isinf(passes):
        return len(measurer.stack.blocks) * 3 + 1
    parts = np.diff([_seen(measurer, stop) for stop in (done, *stops)])
    cost = float((parts * STAY ** np.arange(len(parts))).sum())
    return max(least, int(passes / cost + 1e-9))


def _run(measurer: Measurer, running: Sequence[UnitSet], stop: int, stage: Message) -> float:
    """Runs sets up to a batch; says how many passes of all tokens that took."""
    before = sum(_seen_by(measurer, removed) for removed in running)
    measurer.complete(running, stage) if stop == len(measurer.batches) else measurer.run(running, measurer.batches[:stop], stage)
    return sum(_seen_by(measurer, removed) for removed in running) - before


def _seen(measurer: Measurer, stop: int) -> float:
    return sum(batch.n_tokens for batch in measurer.batches[:stop]) / measurer.run_tokens


def _seen_by(measurer: Measurer, removed: UnitSet) -> float:
    sums = measurer.sums.get(removed)
    if sums is None:
        return 0.0
    return sum(batch.n_tokens for batch in measurer.batches if not np.isnan(sums[list(batch.members)]).any()) / measurer.run_tokens
