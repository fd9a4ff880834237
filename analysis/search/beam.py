"""Greedy and beam search that look only where something can be won.

A greedy step asks what each remaining unit costs now. What it cost when it was last measured, plus measured interactions
with the units removed since, puts the candidates in order; they race each other over the prompts, and the leaders are held
against each other over all of them. How much a step may run is fixed beforehand (`Allowance`). The
beam follows several sets of a size, greedy's own always among them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.contracts import Message, UnitRef, UnitSet
from analysis.search.allowance import BEAM_SHARE, GREEDY_SHARE, LEAST_PASSES, Allowance, expected_candidates
from analysis.search.losses import UNTOUCHED, Measurer
from analysis.search.paired import Sums
from analysis.search.race import Entrant, Raced, race
from analysis.search.steering import Steering, with_unit

CHILDREN = 4
"""Candidates of every set of the beam that enter a race, as far as the allowance goes."""
LEAST_RACE = 2
"""Sets that a race runs to the end at least, known ones not counted: the winner is held against another on all tokens."""
PAIRED_UNITS = 10
"""Units of which all pairs are measured, to learn how costs add up."""


@dataclass
class Hunter:
    """Greedy and beam search over one measurer.

    Attributes:
        measurer: what runs and remembers sets; it knows all single units.
        steering: what may go, how much, and what is better.
    """

    measurer: Measurer
    steering: Steering
    _last: dict[UnitRef, tuple[UnitSet, Sums]] = field(default_factory=dict)
    """Unit -> the set it was last tried on top of, and what it cost there per example, as far as could be told."""
    _full: dict[UnitRef, UnitSet] = field(default_factory=dict)
    """Unit -> the set on top of which it was last measured over all tokens."""
    _changes: dict[UnitSet, float] = field(default_factory=dict)
    """Set that raced -> what it seems to cost."""
    _spent: float = 0.0

    def greedy(self) -> tuple[UnitSet, ...]:
        """One unit more at each step, the one that costs least now."""
        allowance = self._allowance(GREEDY_SHARE)
        path: list[UnitSet] = []
        while best := self._step(path[-1] if path else UNTOUCHED, allowance):
            path.append(best)
        self._spent = allowance.spent
        return tuple(path)

    def beam(self, greedy: Sequence[UnitSet], width: int) -> tuple[UnitSet, ...]:
        """The best sets found when the best `width` sets of every size are followed; greedy's path is among them."""
        allowance = self._allowance(BEAM_SHARE)
        for level in range(1, len(greedy)):
            passes = allowance.for_step(min(level, len(allowance.candidates) - 1))
            if passes >= LEAST_RACE:
                allowance.spent += self._follow(level, greedy, width, passes)
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

    def _allowance(self, share: float) -> Allowance:
        """Known before anything runs: as many steps as the scan's order takes. The scan is spent already."""
        order = sorted(self.steering.candidates, key=self._alone)
        candidates = expected_candidates(self.steering, self.steering.path(order))
        return Allowance(candidates, share, self._spent or candidates[0] + 1.0)

    def _step(self, base: UnitSet, allowance: Allowance) -> UnitSet | None:
        children = self.steering.children(base)
        if not children:
            return None
        expected = {child: self._expected(ref, base) for child, ref in children.items()}
        order = sorted(children, key=lambda child: (self.steering.score(expected[child], child, base), child))
        stage = Message(id="Greedy search: step {n}, {total} candidates", values={"n": len(base) + 1, "total": len(order)})
        entrants = [self._entrant(children[child], base) for child in order]
        step = min(len(base), len(allowance.candidates) - 1)
        raced = race(
            self.measurer, self.steering, entrants, stage, base=base, least=LEAST_RACE, passes=max(LEAST_PASSES, allowance.for_step(step))
        )
        allowance.spent += raced.passes
        self._remember(raced, children, base)
        return raced.done[0]

    def _remember(self, raced: Raced, children: dict[UnitSet, UnitRef], base: UnitSet) -> None:
        for child, change in raced.changes.items():
            self._last[children[child]] = (base, change)
            if child in self.measurer.found:
                self._full[children[child]] = base
            self._changes[child] = self._change(base) + float(change.sum() / self.measurer.per_example.sum())

    # -- expecting -------------------------------------------------------------------------------------------------

    def _expected(self, ref: UnitRef, base: UnitSet) -> float:
        """What a unit should cost on top of a set: what it cost when it was last tried, and how it gets on with what went since."""
        tried, cost = UNTOUCHED, self._change((ref,))
        if ref in self._last:
            tried, change = self._last[ref]
            cost = float(change.sum() / self.measurer.per_example.sum())
        half = sum(self._change((other,)) for other in base if other[1] == ref[1] and other not in tried)
        new = sum(self._interaction(ref, other) for other in base if other not in tried)
        return cost - half * (ref[0] == "block") + new - sum(self._interaction(ref, other) for other in tried if other not in base)

    def _entrant(self, ref: UnitRef, base: UnitSet) -> Entrant:
        return Entrant(with_unit(base, ref), self._predicted(ref, base), self._related(ref, base))

    def _predicted(self, ref: UnitRef, base: UnitSet) -> Sums | None:
        """The loss per example of a set with one unit more: as if the unit cost there what it cost when it was last tried."""
        there, alone, untouched = self._whole(base), self._whole((ref,)), self._whole(UNTOUCHED)
        if there is None or untouched is None or (alone is None and ref not in self._last):
            return None
        known = self._last[ref][1] if ref in self._last else alone - untouched  # type: ignore[operator]
        cost = float(known.sum() / self.measurer.per_example.sum())
        return there + known + (self._expected(ref, base) - cost) * self.measurer.per_example

    def _related(self, ref: UnitRef, base: UnitSet) -> Sums | None:
        """The loss per example of the set, and what the unit cost when it was last measured over all tokens."""
        tried = self._full.get(ref, UNTOUCHED)
        there, one_more, before = self._whole(base), self._whole(with_unit(tried, ref)), self._whole(tried)
        return None if there is None or one_more is None or before is None else there + one_more - before

    def _whole(self, removed: UnitSet) -> Sums | None:
        """The losses per example of a set that saw all of them in this run."""
        sums = self.measurer.sums.get(removed)
        return None if sums is None or bool(np.isnan(sums).any()) else sums

    def _interaction(self, one: UnitRef, other: UnitRef) -> float:
        """How much more two units cost together than each alone, as far as the pair was run; 0 where it never was."""
        pair = with_unit((one,), other)
        known = len(pair) == 2 and (pair in self.measurer.found or pair in self._changes)
        return self._change(pair) - self._change((one,)) - self._change((other,)) if known else 0.0

    def _change(self, removed: UnitSet) -> float:
        """What a set costs, over all tokens or as far as a race could tell."""
        found = self.measurer.found.get(removed)
        return self._changes[removed] if found is None else found.change

    def _alone(self, ref: UnitRef) -> tuple[float, UnitRef]:
        return self.steering.score(self._change((ref,)), (ref,)), ref

    # -- the beam --------------------------------------------------------------------------------------------------

    def _follow(self, level: int, greedy: Sequence[UnitSet], width: int, passes: float) -> float:
        """Children of the best sets of a size race each other and greedy's own set; says how many passes that took."""
        stage = Message(id="Beam search: sets of {n} units, up to {total}", values={"n": level + 1, "total": len(greedy)})
        entrants = self._offspring(self._best(level, width, greedy[level - 1]), greedy[level])
        return race(self.measurer, self.steering, entrants, stage, keep=max(1, width - 1), least=LEAST_RACE, passes=passes).passes

    def _best(self, size: int, width: int, greedy: UnitSet) -> list[UnitSet]:
        """The sets of a size that are followed: greedy's own, and the best of all that were measured."""
        allowed, found = set(self.steering.candidates), self.measurer.found
        sets = [r for r in found if len(r) == size and set(r) <= allowed and self.steering.allows(r) and r != greedy]
        order = sorted(sets, key=lambda r: (self.steering.score(found[r].change, r), r))
        return [greedy, *order[: width - 1]]

    def _offspring(self, parents: Sequence[UnitSet], greedy: UnitSet) -> list[Entrant]:
        """Children of all parents, the most promising first, and greedy's own set of their size."""
        entrants = {greedy: Entrant(greedy)}
        expected: dict[UnitSet, float] = {greedy: -math.inf}
        for parent in parents:
            children = self.steering.children(parent)
            costs = {child: self._expected(ref, parent) for child, ref in children.items()}
            order = sorted(children, key=lambda child: (self.steering.score(costs[child], child, parent), child))
            for child in order[:CHILDREN]:
                if child not in expected:
                    expected[child] = self._change(parent) + costs[child]
                    entrants[child] = self._entrant(children[child], parent)
        return [entrants[child] for child in sorted(expected, key=lambda c: (self.steering.score(expected[c], c), c))]
