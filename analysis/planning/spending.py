"""What leaving a set of units out takes from a model, and whether it stays within what was asked for.

Everything here is additive over the units of a set written by `contracts.search.ordered`, and exact: the same formulas as
`planning.projection`. An attention or an MLP counts as half a layer, so that both of one layer make a layer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from analysis.contracts import LatencyModel, LatencyShape, ModelInfo, StackInfo, Unit, UnitRef
from analysis.contracts.search import ordered
from analysis.errors import PlanError
from analysis.planning.amount import Amount, parse_amount
from analysis.planning.latency import predict_ms
from analysis.planning.projection import half_of, removed_bytes, removed_parameters, running_costs
from analysis.planning.rank import units_in

Cost = Literal["flops", "params", "bytes", "layers", "latency"]
COSTS: tuple[Cost, ...] = ("flops", "params", "bytes", "layers")
"""What a set of units saves that follows from the model's shapes alone."""

_TOLERANCE = 1e-9
_WHOLE: tuple[Unit, ...] = ("block",)
_OF_AMOUNT: Mapping[str, Cost] = {
    "unit_share": "layers",
    "units": "layers",
    "parameter_share": "params",
    "flop_share": "flops",
    "byte_share": "bytes",
    "bytes": "bytes",
    "latency_share": "latency",
}


@dataclass(frozen=True)
class Savings:
    """What each unit takes with it when it is left out, and what there is in all, in the unit of `cost`."""

    cost: Cost
    whole: float
    by_unit: Mapping[UnitRef, float]

    def of(self, removed: Iterable[UnitRef]) -> float:
        """What a set saves; halves of a removed layer are not counted twice."""
        return sum(self.by_unit[ref] for ref in ordered(tuple(removed)))

    def share(self, removed: Iterable[UnitRef]) -> float:
        """The same as a share of the whole model, 0 to 1."""
        return self.of(removed) / self.whole if self.whole else 0.0


def savings_of(
    info: ModelInfo, *, cost: Cost = "flops", stack: str | None = None, context_tokens: int = 1024, latency: LatencyModel | None = None
) -> Savings:
    """What every unit of a stack saves: FLOPs a prompt token costs, parameters, weight bytes, layers, or ms.

    Raises:
        PlanError: `latency` is asked for and was not measured.
    """
    blocks = info.stack(stack)
    refs = [ref for unit in ("block", "attention", "mlp") for ref in _refs(blocks, unit)]
    if cost == "latency":
        shape = _shape_for(latency, context_tokens)
        whole = predict_ms(shape, ())
        return Savings(cost, whole, {ref: whole - predict_ms(shape, (ref,)) for ref in refs})
    if cost == "layers":
        return Savings(cost, float(blocks.n_blocks), {ref: 1.0 if ref[0] == "block" else 0.5 for ref in refs})
    if cost == "flops":
        before = running_costs(info, blocks, context_tokens).prefill_flops_per_token
        after = {ref: running_costs(info, blocks, context_tokens, frozenset((ref,))).prefill_flops_per_token for ref in refs}
        return Savings(cost, before, {ref: before - left for ref, left in after.items()})
    counted = removed_parameters if cost == "params" else removed_bytes
    total = info.n_parameters if cost == "params" else info.weight_bytes
    return Savings(cost, float(total), {ref: float(counted(blocks, frozenset((ref,)))) for ref in refs})


@dataclass(frozen=True)
class Limit:
    """How much may be removed at most, in what `savings` counts (`per_unit`: in units of the one kind that may go)."""

    asked: Amount
    most: float
    savings: Savings
    per_unit: bool

    def used(self, removed: Iterable[UnitRef]) -> float:
        """How much of the limit a set uses."""
        return float(len(ordered(tuple(removed)))) if self.per_unit else self.savings.of(removed)

    def allows(self, removed: Iterable[UnitRef]) -> bool:
        """Whether the set stays within the limit."""
        return self.used(removed) <= self.most * (1 + _TOLERANCE)

    def in_words(self, used: float) -> str:
        """A used amount as a person would ask for it, rounded up: the same text given as a limit allows it."""
        if self.asked.kind == "units":
            return f"{_up(used, 0 if self.per_unit else 1)} layers"
        if self.asked.kind == "bytes":
            return f"{_up(used / (1 << 20), 1)}MiB"
        word = {"params": "params", "flops": "flops", "bytes": "memory", "latency": "latency", "layers": ""}[self.savings.cost]
        whole = len([ref for ref in self.savings.by_unit if ref[0] == "block"]) if self.per_unit else self.savings.whole
        return f"{_up(100 * used / whole, 1)}%{word}"


def limit_of(
    info: ModelInfo,
    amount: str | Amount,
    *,
    units: Collection[Unit] = _WHOLE,
    stack: str | None = None,
    context_tokens: int = 1024,
    latency: LatencyModel | None = None,
) -> Limit:
    """What an amount allows for sets of these kinds of unit.

    A plain share or number counts units of the kind when only one kind may go (20% of the attentions), else layers.

    Raises:
        PlanError: the amount cannot be read, or counts latency that was not measured.
    """
    asked = parse_amount(amount) if isinstance(amount, str) else amount
    savings = savings_of(info, cost=_OF_AMOUNT[asked.kind], stack=stack, context_tokens=context_tokens, latency=latency)
    per_unit = savings.cost == "layers" and len(set(units)) == 1
    if per_unit:
        n_units = len(units_in(info.stack(stack), next(iter(units))))
        return Limit(asked, float(asked.units_of(n_units)), savings, per_unit)
    share = asked.kind.endswith("_share")
    return Limit(asked, float(asked.value) * (savings.whole if share else 1.0), savings, per_unit)


def unknown_unit(info: ModelInfo, removed: Iterable[UnitRef], stack: str | None = None) -> PlanError | None:
    """Why a set of units is not one of this model's; None: it is."""
    blocks = info.stack(stack)
    for unit, block in removed:
        if not 0 <= block < blocks.n_blocks:
            return PlanError(
                "Layer {block} is not in this model: it has {n_blocks} layers (0 to {last}). Make the plan again for this model.",
                block=block,
                n_blocks=blocks.n_blocks,
                last=blocks.n_blocks - 1,
            )
        if half_of(blocks.blocks[block], unit) is None:
            return PlanError(
                "Layer {block} of this model has no separate {unit} that could be removed. Make the plan again with whole layers.",
                block=block,
                unit={"attention": "attention", "mlp": "MLP"}.get(unit, unit),
            )
    return None


def _refs(stack: StackInfo, unit: Unit) -> list[UnitRef]:
    return [(unit, block) for block in units_in(stack, unit)]


def _shape_for(latency: LatencyModel | None, context_tokens: int) -> LatencyShape:
    """The measured shape nearest to one request: decode before prefill, small batches first, then the nearest length."""
    if latency is None or not latency.shapes:
        raise PlanError(
            "An amount of latency needs this model's latency on this device, which has not been measured yet. "
            "Measure it first, or give the amount in layers, parameters, FLOPs or memory."
        )
    return min(latency.shapes, key=lambda shape: (shape.phase != "decode", shape.batch_size, abs(shape.context_tokens - context_tokens)))


def _up(value: float, digits: int) -> str:
    """A figure rounded up to so many decimals, without trailing zeros."""
    scale = 10**digits
    whole = -int(-(value * scale * (1 - _TOLERANCE)) // 1)
    return f"{whole / scale:.{digits}f}".rstrip("0").rstrip(".") if digits else str(whole)
