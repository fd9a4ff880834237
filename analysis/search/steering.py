"""What a search may remove, how much, and by what one set is called better than another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analysis.contracts import LatencyModel, ModelInfo, UnitRef, UnitSet
from analysis.contracts.search import ordered
from analysis.errors import PlanError
from analysis.planning.spending import Limit, Savings, limit_of, savings_of

Saved = Callable[[UnitSet], float]


@dataclass(frozen=True)
class Steering:
    """The units that may go, the limit, and the rule.

    With one kind of unit, less loss is better. With several, less loss per what the limit counts is better (for a limit
    in layers: per FLOP), because an attention and a whole layer are not the same saving.
    """

    candidates: tuple[UnitRef, ...]
    limit: Limit
    n_blocks: int
    weighing: Savings | None
    saved: Saved | None = None

    @property
    def mixed(self) -> bool:
        """Whether units of several kinds compete."""
        return self.weighing is not None

    def allows(self, removed: UnitSet) -> bool:
        """Within the limit, and something of the stack still runs."""
        runs = self.n_blocks > sum(1 for unit, _ in removed if unit == "block")
        return runs and (self.limit.allows(removed) if self.saved is None else self.saved(removed) <= self.limit.most * (1 + 1e-9))

    def weight(self, removed: UnitSet, base: UnitSet = ()) -> float:
        """What a change of loss is divided by: what the set saves on top of another; 1 with one kind of unit."""
        return 1.0 if self.weighing is None else max(1e-12, self.weighing.of(removed) - self.weighing.of(base))

    def score(self, change: float, removed: UnitSet, base: UnitSet = ()) -> float:
        """How good a change of loss is for what it saves; lower is better. A gain is a gain whatever it saves."""
        return change / self.weight(removed, base) if change > 0 else change

    def children(self, base: UnitSet) -> dict[UnitSet, UnitRef]:
        """Every allowed set with one unit more -> that unit."""
        whole = {block for unit, block in base if unit == "block"}
        made = {with_unit(base, ref): ref for ref in self.candidates if ref not in base and ref[1] not in whole}
        return {removed: ref for removed, ref in made.items() if self.allows(removed)}

    def path(self, order: Sequence[UnitRef]) -> tuple[UnitSet, ...]:
        """Units taken one after the other as long as they fit; what does not fit is passed over."""
        path: list[UnitSet] = []
        for ref in order:
            base = path[-1] if path else ()
            grown = with_unit(base, ref)
            if grown != base and self.allows(grown):
                path.append(grown)
        return tuple(path)


def with_unit(base: UnitSet, ref: UnitRef) -> UnitSet:
    """The set with one unit more."""
    return ordered((*base, ref))


def steering_for(
    info: ModelInfo,
    stack: str,
    candidates: Sequence[UnitRef],
    amount: str,
    *,
    latency: LatencyModel | None = None,
    saved: Saved | None = None,
) -> Steering:
    """The steering of a search.

    Args:
        info: the model.
        stack: which of its stacks.
        candidates: units that may go.
        amount: how much to remove at most, as `parse_amount` reads it.
        latency: needed for an amount of latency.
        saved: another way to count what a set saves, in the unit of the amount's limit.

    Raises:
        PlanError: the amount cannot be read, or allows not even the smallest unit.
    """
    kinds = {unit for unit, _ in candidates}
    limit = limit_of(info, amount, units=kinds, stack=stack, latency=latency)
    by = limit.savings if limit.savings.cost != "layers" else savings_of(info, stack=stack)
    steering = Steering(tuple(candidates), limit, info.stack(stack).n_blocks, by if len(kinds) > 1 else None, saved)
    if not any(steering.allows((ref,)) for ref in candidates):
        raise PlanError(
            '"{amount}" is less than the first removal takes. Ask for more, or for a number of layers such as 1 layer.', amount=amount
        )
    return steering
