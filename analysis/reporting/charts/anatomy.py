"""What the stack picture is drawn from: the parts of every layer and what a plan does to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.contracts import BlockInfo, Freeze, Interval, ModelInfo, Plan, Profile, Prune, ScoreIntervals, Skip, Unit, influence
from analysis.i18n import N_
from analysis.reporting.charts.palette import Look, Treatment

OPERATION_NAMES: Mapping[Treatment, str] = {
    "kept": N_("kept"),
    "prune": N_("prune"),
    "skip": N_("skip"),
    "freeze": N_("freeze"),
    "expand": N_("expand"),
    "quantise": N_("quantise"),
    "distil": N_("distil"),
}
PART_NAMES: Mapping[str, str] = {
    "attention": N_("attention"),
    "mlp": N_("MLP"),
    "cross_attention": N_("cross-attention"),
    "other": N_("other"),
}


UNIT_TITLES: Mapping[Unit, str] = {
    "block": N_("Block Influence, layer"),
    "attention": N_("Block Influence, attention"),
    "mlp": N_("Block Influence, MLP"),
}


@dataclass(frozen=True)
class Piece:
    """One drawn part of a layer: where it stands along the parameters axis and what is done to it."""

    block: int
    part: str
    start: float
    width: int
    treatment: Treatment


def treatments(plan: Plan | None, n_blocks: int) -> Mapping[tuple[str, int], Treatment]:
    """(part, block) -> what the plan does to it; parts that are kept are not listed."""
    found: dict[tuple[str, int], Treatment] = {}
    for operation in plan.operations if plan else ():
        if isinstance(operation, Freeze):
            found |= {
                (part, block): "freeze" for block in range(operation.eof_layer + 1) for part in PART_NAMES if (part, block) not in found
            }
        elif isinstance(operation, Prune | Skip):
            parts = tuple(PART_NAMES) if operation.unit == "block" else (operation.unit,)
            found |= {(part, block): operation.op for block in operation.blocks for part in parts if block < n_blocks}
    return found


def pieces(blocks: Sequence[BlockInfo], plan: Plan | None) -> tuple[Piece, ...]:
    """The drawn parts of every layer, attention first, with the parameters that belong to neither half at the end."""
    treated = treatments(plan, len(blocks))
    found = []
    for block in blocks:
        start = 0
        for part, width in widths(block):
            if width:
                found.append(Piece(block.index, part, start, width, treated.get((part, block.index), "kept")))
            start += width
    return tuple(found)


def stack_rows(model: ModelInfo, look: Look, *, profile: Profile | None = None, plans: Sequence[Plan] = ()) -> list[dict[str, object]]:
    """The picture as a table: one row a layer."""
    t, blocks = look.t, model.stack(profile.stack if profile else None).blocks
    treated = [treatments(plan, len(blocks)) for plan in plans[:2]]
    rows = []
    for block in blocks:
        row: dict[str, object] = {t("layer"): block.index, t("Parameters"): block.n_parameters}
        if profile:
            for unit, title in UNIT_TITLES.items():
                interval = unit_intervals(profile, unit)
                low, high = (interval[block.index] if interval else None) or (None, None)
                row |= {t(title): influence(profile.overall, unit)[block.index]}
                row |= {t("{measure}, 95% low", measure=t(title)): low, t("{measure}, 95% high", measure=t(title)): high}
        for place, parts in enumerate(treated, start=1):
            for part in ("attention", "mlp"):
                label = t("plan {n}, {part}", n=place, part=t(PART_NAMES[part]))
                row[label] = t(OPERATION_NAMES[parts.get((part, block.index), "kept")])
        rows.append(row)
    return rows


def widths(block: BlockInfo) -> tuple[tuple[str, int], ...]:
    """(part, parameters) from left to right; parts a layer does not have are 0 wide."""
    halves = {"attention": block.attention, "cross_attention": block.cross_attention, "mlp": block.mlp}
    known = tuple((part, half.n_parameters if half else 0) for part, half in halves.items())
    rest = block.n_parameters - sum(width for _, width in known)
    # Loose norms are a thousandth of a layer: they are drawn only where a layer has parts that are neither half.
    return (*known, ("other", rest if rest > 0.01 * block.n_parameters else 0))


def unit_intervals(profile: Profile, unit: Unit) -> tuple[Interval | None, ...] | None:
    """[L] 95 % intervals of a unit's influence, None where the profile has none."""
    intervals: ScoreIntervals | None = profile.overall.intervals
    if intervals is None:
        return None
    return {"block": intervals.block_influence, "attention": intervals.attention_influence, "mlp": intervals.mlp_influence}[unit]
