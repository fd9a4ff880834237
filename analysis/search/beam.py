"""Greedy and beam search that look only where something can be won.

A greedy step asks what each remaining unit costs now. What it cost earlier, plus measured interactions with the units
removed since, puts the candidates in order; the most promising race each other, and the rest are looked at only while
one of them could still win: costs rise from step to step, and it is taken that none rises less than the one that rose
least among those that were looked at. The beam keeps several sets of a size, greedy's own always among them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from analysis.contracts import Message, UnitRef, UnitSet
from analysis.search.losses import UNTOUCHED, Measurer
from analysis.search.race import estimate, race
from analysis.search.steering import Steering, with_unit

LOOK = 12
"""Candidates that race at a time in a greedy step: most drop out early, so that they cost about five whole runs."""
CHILDREN = (2, 4)
"""Candidates of every set of the beam: while sets are small, when whole runs are few, and later."""
SMALL = 3
PAIRED_UNITS = 10
"""Units of which all pairs are measured, to learn how costs add up."""


@dataclass
class Hunter:
    """Greedy and beam search over one measurer.

    Attributes:
        measurer: what runs and remembers sets.
        steering: what may go, how much, and what is better.
    """

    measurer: Measurer
    steering: Steering
    _last: dict[UnitRef, tuple[UnitSet, float]] = field(default_factory=dict)
    """Unit -> the set it was last tried on top of, and what it cost there."""

    def greedy(self) -> tuple[UnitSet, ...]:
        """One unit more at each step, the one that costs least now."""
        path: list[UnitSet] = []
        while best := self._step(path[-1] if path else UNTOUCHED):
            path.append(best)
        return tuple(path)

    def beam(self, greedy: Sequence[UnitSet], width: int) -> tuple[UnitSet, ...]:
        """The best sets found when the best `width` sets of every size are followed; greedy's path is among them."""
        for level in range(1, len(greedy)):
            parents = self._best(level, width, greedy[level - 1])
            stage = Message(id="Beam search: sets of {n} units, up to {total}", values={"n": level + 1, "total": len(greedy)})
            children = [child for parent in parents for child in self._promising(parent, CHILDREN[level >= SMALL])]
            race(self.measurer, self.steering, [*children, greedy[level]], stage, keep=width)
        return self.best_path()

    def pairs(self, n_units: int) -> None:
        """Measures two units together, for all pairs of the units that cost least alone."""
        order = sorted(self.steering.candidates, key=self._alone)[:n_units]
        pairs = {with_unit((one,), other) for place, one in enumerate(order) for other in order[:place]}
        wanted = [pair for pair in sorted(pairs) if len(pair) == 2 and self.steering.allows(pair)]
        self.measurer.measure(wanted, Message(id="Leaving out two units at a time"))

    def best_path(self) -> tuple[UnitSet, ...]:
        """The best measured set of each size; with several kinds of unit, the sets that no other beats in saving and loss."""
        allowed, found = set(self.steering.candidates), self.measurer.found
        sets = [removed for removed in found if removed and set(removed) <= allowed and self.steering.allows(removed)]
        if not self.steering.mixed:
            sizes = sorted({len(removed) for removed in sets})
            return tuple(min((r for r in sets if len(r) == size), key=lambda r: (found[r].loss, r)) for size in sizes)
        front: list[UnitSet] = []
        least = math.inf
        for removed in sorted(sets, key=lambda r: (-self.steering.weight(r), found[r].loss, r)):
            if found[removed].loss < least:
                least = found[removed].loss
                front.append(removed)
        return tuple(reversed(front))

    # -- one step --------------------------------------------------------------------------------------------------

    def _step(self, base: UnitSet) -> UnitSet | None:
        children = self.steering.children(base)
        expected = {child: self._expected(ref, base) for child, ref in children.items()}
        order = sorted(children, key=lambda child: (self.steering.score(expected[child], child, base), child))
        looked: list[UnitSet] = []
        best: UnitSet | None = None
        for some in self._in_turns(order, looked, expected, base):
            stage = Message(
                id="Greedy search: step {n}, {candidates} of {total} candidates are run",
                values={"n": len(base) + 1, "candidates": len(looked) + len(some), "total": len(order)},
            )
            done = race(self.measurer, self.steering, [*some, *([best] if best else [])], stage, base=base)
            looked.extend(some)
            best = done[0]
            self._remember(some, children, base)
        return best

    def _in_turns(
        self, order: list[UnitSet], looked: list[UnitSet], expected: dict[UnitSet, float], base: UnitSet
    ) -> Iterator[list[UnitSet]]:
        """The next candidates to look at, as long as one of the rest could still win."""
        measured = [child for child in order if child in self.measurer.found]
        rest = [child for child in order if child not in measured]
        first = [*measured, *rest[: max(0, LOOK - len(measured))]]
        if first:
            yield first
        rest = [child for child in rest if child not in first]
        while rest:
            rise, bar = self._least_rise(looked, expected, base), self._bar(looked, base)
            hopeful = [child for child in rest if self.steering.score(expected[child] + rise, child, base) < bar]
            if not hopeful:
                return
            yield hopeful[:LOOK]
            rest = [child for child in hopeful[LOOK:] if child not in looked]

    def _least_rise(self, looked: Sequence[UnitSet], expected: dict[UnitSet, float], base: UnitSet) -> float:
        now = {child: estimate(self.measurer, child, base) for child in looked}
        return min((cost - expected[child] for child, cost in now.items() if cost is not None), default=0.0)

    def _bar(self, looked: Sequence[UnitSet], base: UnitSet) -> float:
        found = self.measurer.found
        return min(self.steering.score(found[child].loss - found[base].loss, child, base) for child in looked if child in found)

    def _remember(self, looked: Sequence[UnitSet], children: dict[UnitSet, UnitRef], base: UnitSet) -> None:
        for child in looked:
            cost = estimate(self.measurer, child, base)
            if cost is not None:
                self._last[children[child]] = (base, cost)

    # -- expecting -------------------------------------------------------------------------------------------------

    def _expected(self, ref: UnitRef, base: UnitSet) -> float:
        """What a unit should cost on top of a set: what it cost when it was last tried, and how it gets on with what went since."""
        tried, cost = self._last.get(ref, (UNTOUCHED, self._change((ref,))))
        half = sum(self._change((other,)) for other in base if other[1] == ref[1] and other not in tried)
        new = sum(self._interaction(ref, other) for other in base if other not in tried)
        return cost - half * (ref[0] == "block") + new - sum(self._interaction(ref, other) for other in tried if other not in base)

    def _interaction(self, one: UnitRef, other: UnitRef) -> float:
        """How much more two units cost together than each alone, as far as the pair was run; 0 where it never was."""
        pair = with_unit((one,), other)
        together = estimate(self.measurer, pair, UNTOUCHED) if len(pair) == 2 else None
        return 0.0 if together is None else together - self._change((one,)) - self._change((other,))

    def _change(self, removed: UnitSet) -> float:
        return self.measurer.found[removed].change

    def _alone(self, ref: UnitRef) -> tuple[float, UnitRef]:
        return self.steering.score(self._change((ref,)), (ref,)), ref

    # -- the beam --------------------------------------------------------------------------------------------------

    def _best(self, size: int, width: int, greedy: UnitSet) -> list[UnitSet]:
        """The sets of a size that are followed: greedy's own, and the best of all that were measured."""
        allowed, found = set(self.steering.candidates), self.measurer.found
        sets = [r for r in found if len(r) == size and set(r) <= allowed and self.steering.allows(r) and r != greedy]
        order = sorted(sets, key=lambda r: (self.steering.score(found[r].change, r), r))
        return [greedy, *order[: width - 1]]

    def _promising(self, parent: UnitSet, n: int) -> list[UnitSet]:
        children = self.steering.children(parent)
        expected = {child: self._expected(ref, parent) for child, ref in children.items()}
        return sorted(children, key=lambda child: (self.steering.score(expected[child], child, parent), child))[:n]
