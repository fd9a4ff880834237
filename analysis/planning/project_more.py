"""The parts of a projection that need more than shapes and operations: memory, latency, quality, and one size in full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.contracts import ModelInfo, Operation, Plan, ProjectedLatency, Projection, Prune, Quantity, Search, Skip
from analysis.contracts.latency import LatencyModel
from analysis.contracts.search import UnitSet, ordered
from analysis.planning.latency import project_latency
from analysis.planning.memory import kv_bytes, peak_memory, weight_bytes, working_bytes
from analysis.planning.projection import removed_parameters, running_costs


@dataclass(frozen=True)
class ProjectedCosts:
    """What one prefill of a batch should cost, counted the way a measurement of it counts.

    Attributes:
        n_parameters: once pruned units are gone; skipped ones stay.
        weight_bytes: of these parameters.
        kv_cache_bytes: what the cache holds for the next step.
        prefill_flops: by a counter, which sees shapes and no masks: every token looks at the whole prompt.
        peak_memory_bytes: as a verification runs it, all weights in memory, pruned ones too.
    """

    n_parameters: int
    weight_bytes: int
    kv_cache_bytes: int
    prefill_flops: int
    peak_memory_bytes: int


def enriched(
    projection: Projection,
    info: ModelInfo,
    operations: Plan | Sequence[Operation],
    *,
    search: Search | None = None,
    latency: LatencyModel | None = None,
    stack: str | None = None,
) -> Projection:
    """The projection with peak memory, and with latency and quality where something was measured to work them out from.

    What a plan that freezes projects for training is kept as it is, and so is a quality that was measured on this very set where the
    search has only a prediction.

    Args:
        projection: exact figures of the plan; its `context_tokens` is the prompt behind the memory.
        info: the model.
        operations: the plan, or its operations.
        search: losses measured on this model; of another model or stack it is left aside, and so are changes of states, which
            say nothing about words.
        latency: times measured on this model; of another model or stack they are left aside.
        stack: the stack the plan is for; None: the one that the plan or its operations name, else the model's first.
    """
    training, known = projection.training, projection.quality
    if isinstance(operations, Plan):
        before = operations.projection
        training, known = training or (before.training if before else None), known or (before.quality if before else None)
        stack, operations = stack or operations.model.stack, operations.operations
    name = info.stack(stack or next((operation.stack for operation in operations if operation.stack), None)).name
    gone = removed_by(operations)
    update: dict[str, object] = {
        "peak_memory_bytes": _peak(info, operations, projection.context_tokens, name),
        "latency": _latency(info, gone, latency, name),
        "training": training,
        "quality": known,
    }
    if search is not None and (search.model.commit, search.stack, search.objective) == (info.commit, name, "loss") and gone:
        from analysis.planning.quality import QualityModel

        predicted = QualityModel.fit(search).predict(gone)
        update["quality"] = known if known and known.measured and not predicted.measured else predicted
    return projection.model_copy(update=update)


def projected_costs(
    info: ModelInfo,
    operations: Sequence[Operation],
    *,
    context_tokens: int,
    batch_size: int = 1,
    width: int | None = None,
    stack: str | None = None,
) -> ProjectedCosts:
    """What a measurement of one size should find.

    Args:
        info: the model.
        operations: the plan's.
        context_tokens: length of each prompt.
        batch_size: prompts at once.
        width: bytes of a number while running; None: as the checkpoint stores them.
        stack: the stack the plan is for; None: the model's first.
    """
    gone, pruned = removed_by(operations), removed_by(operations, (Prune,))
    blocks = info.stack(stack)
    return ProjectedCosts(
        n_parameters=info.n_parameters - removed_parameters(blocks, frozenset(pruned)),
        weight_bytes=weight_bytes(info, pruned, width=width, stack=stack),
        kv_cache_bytes=kv_bytes(info, gone, context_tokens=context_tokens, batch_size=batch_size, width=width, stack=stack),
        prefill_flops=counted_flops(info, gone, context_tokens=context_tokens, batch_size=batch_size, stack=stack),
        peak_memory_bytes=peak_memory(info, gone, context_tokens=context_tokens, batch_size=batch_size, width=width, stack=stack),
    )


def counted_flops(info: ModelInfo, removed: UnitSet = (), *, context_tokens: int, batch_size: int = 1, stack: str | None = None) -> int:
    """FLOPs of a prefill as a counter finds them: scores that a causal mask or a window hides are counted too.

    The head is counted once per sequence, and not for encoder-decoders, whose head needs both stacks.
    """
    blocks = info.stack(stack)
    everything = tuple(
        block.model_copy(update={"attention": block.attention and block.attention.model_copy(update={"attention_window": None})})
        for block in blocks.blocks
    )
    seen = blocks.model_copy(update={"causal": False, "blocks": everything})
    per_token = running_costs(info.model_copy(update={"head_flops_per_token": 0}), seen, context_tokens, frozenset(ordered(removed)))
    head = 0 if any(block.cross_attention for one in info.stacks for block in one.blocks) else info.head_flops_per_token
    return batch_size * (round(per_token.prefill_flops_per_token * context_tokens) + head)


def removed_by(operations: Iterable[Operation], kinds: tuple[type[Prune | Skip], ...] = (Prune, Skip)) -> UnitSet:
    """The units that operations of these kinds leave out."""
    return ordered(
        tuple(
            (operation.unit, block)
            for operation in operations
            if isinstance(operation, Prune | Skip) and isinstance(operation, kinds)
            for block in operation.blocks
        )
    )


def _peak(info: ModelInfo, operations: Sequence[Operation], context_tokens: int, stack: str) -> Quantity | None:
    """Of one sequence, in the checkpoint's number format; pruned weights are gone, skipped ones stay."""
    if context_tokens < 1:
        return None
    before = peak_memory(info, (), context_tokens=context_tokens, stack=stack)
    working = working_bytes(info, removed_by(operations), context_tokens=context_tokens, stack=stack)
    return Quantity(before=before, after=weight_bytes(info, removed_by(operations, (Prune,)), stack=stack) + working)


def _latency(info: ModelInfo, gone: UnitSet, latency: LatencyModel | None, stack: str) -> tuple[ProjectedLatency, ...]:
    fits = latency is not None and (latency.model_commit, latency.stack, latency.n_blocks) == (
        info.commit,
        stack,
        info.stack(stack).n_blocks,
    )
    return project_latency(latency, gone) if latency is not None and fits else ()
