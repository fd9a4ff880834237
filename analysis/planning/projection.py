"""What a plan should save, exactly, from the model's shapes.

With S = context tokens, w = a layer's window (none: infinite), c = FLOPs an attention costs for each token it looks at:

* mean tokens looked at in prefill: causal (S + 1) / 2, or (w (w + 1) / 2 + (S - w) w) / S once S > w; an encoder min(S, w).
* prefill FLOPs per token = sum over halves of (linear + c x mean looked at) + head / S   (the head runs once per prompt)
* decode FLOPs per token  = sum over halves of (linear + c x min(S, w)) + head            (causal stacks only, else 0)
* KV cache of one sequence = sum over attentions of bytes per token x min(S, w - 1): what a cache keeps for the next step,
  whose own token is the w-th.
* a vision model in stages: FLOPs of one image, counted by block; what is counted per token is 0.

Cross-attention looks at S tokens of the other stack. A layer taken out as a whole takes its loose norms with it; an
attention or MLP taken out alone leaves them. Prune frees parameters and weight bytes; skip keeps the weights, and saves
compute and KV cache only. Freeze changes nothing at inference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from analysis.contracts import BlockInfo, ModelInfo, Operation, Projection, Prune, Quantity, Skip, StackInfo, SubBlockInfo, Unit
from analysis.planning.staged import image_flops

DEFAULT_CONTEXT_TOKENS = 1024
"""Sequence length behind per-token figures where nobody gave another."""

Removed = frozenset[tuple[Unit, int]]


@dataclass(frozen=True)
class Costs:
    """What a stack costs as it stands, in the units the fields name."""

    n_blocks: int
    prefill_flops_per_token: float
    decode_flops_per_token: float
    kv_bytes_per_token: int
    kv_bytes_at_context: int


def project(
    info: ModelInfo, operations: Sequence[Operation], context_tokens: int = DEFAULT_CONTEXT_TOKENS, stack: str | None = None
) -> Projection:
    """Parameters, bytes and FLOPs before and after the operations; see the module's formulas.

    Source: FLOPs and KV accounting as in "What Matters in Transformers" (arXiv 2406.15786) and DLO's cost tables.
    """
    blocks = info.stack(stack)
    pruned = _removed(operations, (Prune,))
    gone = pruned | _removed(operations, (Skip,))
    before = running_costs(info, blocks, context_tokens)
    after = running_costs(info, blocks, context_tokens, gone)
    return Projection(
        context_tokens=context_tokens,
        n_blocks=Quantity(before=before.n_blocks, after=after.n_blocks),
        n_parameters=Quantity(before=info.n_parameters, after=info.n_parameters - removed_parameters(blocks, pruned)),
        weight_bytes=Quantity(before=info.weight_bytes, after=info.weight_bytes - removed_bytes(blocks, pruned)),
        prefill_flops_per_token=Quantity(before=before.prefill_flops_per_token, after=after.prefill_flops_per_token),
        decode_flops_per_token=Quantity(before=before.decode_flops_per_token, after=after.decode_flops_per_token),
        kv_bytes_per_token=Quantity(before=before.kv_bytes_per_token, after=after.kv_bytes_per_token),
        kv_bytes_at_context=Quantity(before=before.kv_bytes_at_context, after=after.kv_bytes_at_context),
        flops_per_image=image_flops(info, {block for unit, block in gone if unit == "block"}, stack),
    )


def mean_looked_at(context_tokens: int, window: int | None, causal: bool) -> float:
    """How many tokens one token looks at, averaged over a prompt of `context_tokens`.

    >>> mean_looked_at(4, None, causal=True), mean_looked_at(4, 2, causal=True), mean_looked_at(4, 2, causal=False)
    (2.5, 1.75, 2.0)
    """
    length, reach = context_tokens, min(context_tokens, window or context_tokens)
    if not causal:
        return float(reach)
    return (reach * (reach + 1) / 2 + (length - reach) * reach) / length if length else 0.0


def tokens_kept(context_tokens: int, window: int | None) -> int:
    """Tokens whose keys and values a layer keeps for the next step: the new token is the last of its window.

    >>> tokens_kept(1000, None), tokens_kept(1000, 128), tokens_kept(100, 128)
    (1000, 127, 100)
    """
    return context_tokens if window is None else min(context_tokens, max(window - 1, 1))


def running_costs(info: ModelInfo, stack: StackInfo, context_tokens: int, gone: Removed = frozenset()) -> Costs:
    """What running the stack costs when the units `gone` are not computed."""
    prefill = decode = 0.0
    kv_per_token = kv_at_context = 0
    for half, is_cross in _running_halves(stack, gone):
        reach = min(context_tokens, half.attention_window or context_tokens)
        mean = context_tokens if is_cross else mean_looked_at(context_tokens, half.attention_window, stack.causal)
        prefill += half.linear_flops_per_token + half.flops_per_token_per_context * mean
        decode += half.linear_flops_per_token + half.flops_per_token_per_context * reach
        kv_per_token += half.kv_bytes_per_token
        kv_at_context += half.kv_bytes_per_token * (context_tokens if is_cross else tokens_kept(context_tokens, half.attention_window))
    n_blocks = sum(("block", block.index) not in gone for block in stack.blocks)
    prefill += info.head_flops_per_token / max(context_tokens, 1)
    return Costs(n_blocks, prefill, (decode + info.head_flops_per_token) if stack.causal else 0.0, kv_per_token, kv_at_context)


def removed_parameters(stack: StackInfo, pruned: Removed) -> int:
    """Parameters of the pruned units; nothing is counted twice."""
    return sum(part.n_parameters for part in _removed_parts(stack, pruned))


def removed_bytes(stack: StackInfo, pruned: Removed) -> int:
    """Weight bytes of the pruned units; nothing is counted twice."""
    return sum(part.weight_bytes for part in _removed_parts(stack, pruned))


def half_of(block: BlockInfo, unit: Unit) -> BlockInfo | SubBlockInfo | None:
    """The unit itself: the whole block, or its attention or MLP where it has one."""
    return block if unit == "block" else block.attention if unit == "attention" else block.mlp


def _removed(operations: Iterable[Operation], kinds: tuple[type[Prune | Skip], ...]) -> Removed:
    return frozenset(
        (operation.unit, block)
        for operation in operations
        if isinstance(operation, Prune | Skip) and isinstance(operation, kinds)
        for block in operation.blocks
    )


def _removed_parts(stack: StackInfo, pruned: Removed) -> Iterator[BlockInfo | SubBlockInfo]:
    for block in stack.blocks:
        whole = ("block", block.index) in pruned
        units: tuple[Unit, ...] = ("block",) if whole else ("attention", "mlp")
        for unit in units:
            part = half_of(block, unit)
            if part is not None and (unit, block.index) in pruned:
                yield part


def _running_halves(stack: StackInfo, gone: Removed) -> Iterator[tuple[SubBlockInfo, bool]]:
    for block in stack.blocks:
        if ("block", block.index) in gone:
            continue
        if block.attention and ("attention", block.index) not in gone:
            yield block.attention, False
        if block.mlp and ("mlp", block.index) not in gone:
            yield block.mlp, False
        if block.cross_attention:
            yield block.cross_attention, True
