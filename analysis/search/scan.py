"""The ablation scan: what leaving out each single unit costs, all units in one go."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.contracts import (
    MeasuredSet,
    Message,
    Search,
    SearchCost,
    SearchSettings,
    Unit,
    UnitRef,
    UnitSet,
)
from analysis.errors import ModelError, PlanError
from analysis.models.stack import LoadedModel, Stack
from analysis.planning.rank import units_in
from analysis.profiling.stream import Watch
from analysis.search.losses import Measurer, Tally
from analysis.search.result import assemble_search, resolve_settings
from analysis.surgery.skip import refusal
from analysis.workload import EncodedWorkload

SCANNING = Message(id="Leaving out one unit at a time")


def ablation_scan(loaded: LoadedModel, encoded: EncodedWorkload, settings: SearchSettings, *, watch: Watch | None = None) -> Search:
    """The loss with each single unit left out, all units travelling together.

    Args:
        loaded: the model.
        encoded: the examples to run.
        settings: `units` says which kinds of unit are left out.
        watch: told of progress, asked whether to stop.

    Raises:
        ModelError: the model has no stack that reads prompts on its own.
        PlanError: no unit can be left out.
        Cancelled, ResourceError: see `Measurer.run`.
    """
    return _scan(loaded, encoded, settings, watch, naive=False)


def naive_scan(loaded: LoadedModel, encoded: EncodedWorkload, settings: SearchSettings, *, watch: Watch | None = None) -> Search:
    """The same by one whole run of the model per unit: what the scan is held against."""
    return _scan(loaded, encoded, settings, watch, naive=True)


def _scan(loaded: LoadedModel, encoded: EncodedWorkload, settings: SearchSettings, watch: Watch | None, *, naive: bool) -> Search:
    check_model(loaded, settings)
    settings = resolve_settings(settings, loaded.info, loaded.device, loaded.dtype)
    measurer = Measurer(loaded, encoded, settings, watch=watch, naive=naive)
    units = candidates(measurer.stack, settings.units, settings.protect)
    cost = run_scan(measurer, units)
    return assemble_search(measurer, encoded, costs={"scan": cost})


def run_scan(measurer: Measurer, units: Sequence[UnitRef]) -> SearchCost:
    """Measures the untouched model and every single unit; says what it cost."""
    before = measurer.tally.copy()
    measurer.measure([(), *((unit,) for unit in units)], SCANNING)
    return cost_of(measurer.tally.since(before), *naive_cost(measurer, [(unit,) for unit in units]))


def naive_cost(measurer: Measurer, sets: Sequence[UnitSet]) -> tuple[float, float]:
    """Block calls and head passes of one whole run per set, and one of the untouched model."""
    n_blocks = len(measurer.stack.blocks)
    halves = sum(2.0 if unit == "block" else 1.0 for removed in sets for unit, _ in removed)
    return n_blocks * (len(sets) + 1) - 0.5 * halves, float(len(sets) + 1) * (measurer.objective == "loss")


def cost_of(tally: Tally, naive_block_calls: float = 0.0, naive_head_passes: float = 0.0) -> SearchCost:
    """A tally as it is stored."""
    return SearchCost(
        block_calls=round(max(0.0, tally.block_calls), 3),
        head_passes=round(max(0.0, tally.head_passes), 3),
        naive_block_calls=naive_block_calls,
        naive_head_passes=naive_head_passes,
        seconds=round(tally.seconds, 3),
    )


def candidates(stack: Stack, units: Sequence[Unit], protect: Sequence[int] = ()) -> tuple[UnitRef, ...]:
    """Every single unit of these kinds that the model has, may lose, and that is not protected, by block.

    Raises:
        PlanError: there is none.
    """
    check_protected(stack.info.n_blocks, protect)
    there: list[UnitRef] = [(unit, block) for unit in units for block in units_in(stack.info, unit) if block not in protect]
    found = tuple(sorted((ref for ref in there if refusal(stack, [ref]) is None), key=lambda ref: (ref[1], units.index(ref[0]))))
    if not found:
        raise nothing_left(stack.info.n_blocks, protect)
    return found


def check_protected(n_blocks: int, protect: Sequence[int]) -> None:
    """Refuses to keep layers that are not there."""
    unknown = [block for block in protect if block >= n_blocks]
    if unknown:
        raise PlanError(
            "Layer {block} was to be kept, but the model has {n_blocks} layers (0 to {last}). Name layers it has.",
            block=unknown[0],
            n_blocks=n_blocks,
            last=n_blocks - 1,
        )


def nothing_left(n_blocks: int, protect: Sequence[int]) -> PlanError:
    """The refusal of a search that may remove nothing."""
    return PlanError(
        "No layer, attention or MLP is left that could be removed: {n_protected} of {n_blocks} layers are to be kept. Keep fewer, or "
        "allow other units.",
        n_protected=len(set(protect)),
        n_blocks=n_blocks,
    )


def check_model(loaded: LoadedModel, settings: SearchSettings) -> None:
    """Refuses models without one stack that reads prompts on its own.

    Raises:
        ModelError: the sentence says why.
    """
    if loaded.info.refusal is not None:
        raise ModelError.from_message(loaded.info.refusal)
    loaded.stack(settings.stack)
    if bool(getattr(loaded.model.config, "is_encoder_decoder", False)):
        raise ModelError(
            "{model} reads with one stack and writes with another, and the search for removable layers needs a model with a single stack. "
            "Its profile can still be made; for the search choose a decoder or an encoder.",
            model=loaded.info.name,
        )


def singles_of(found: Sequence[MeasuredSet]) -> tuple[MeasuredSet, ...]:
    """Measured single units, in their order."""
    return tuple(measured for measured in found if len(measured.removed) == 1)
