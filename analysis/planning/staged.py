"""Vision models in stages (ResNet and its kind): which blocks may go, how many, and what one image then costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from analysis.contracts import Message, ModelInfo, Quantity, StackInfo


def removable(stack: StackInfo, removed: Collection[int] = ()) -> tuple[int, ...]:
    """Blocks that may go next: their shape is handed on, and their stage still has more than its floor. Stacks without stages: all.

    Source: the outer loop of Layer Pruning with Consensus, arXiv 2411.14345 ("in/out shape agree and stage still has > 2 blocks").
    """
    left = Counter(block.stage for block in stack.blocks if block.index not in removed)
    return tuple(
        block.index
        for block in stack.blocks
        if block.index not in removed and not block.fixed and (not stack.floor or left[block.stage] > stack.floor)
    )


def image_flops(info: ModelInfo, removed: Collection[int], stack: str | None = None) -> Quantity | None:
    """FLOPs of one image before and after blocks go, exact; None: not a vision model in stages."""
    if not info.flops_per_image:
        return None
    saved = sum(block.flops_per_image for block in info.stack(stack).blocks if block.index in removed)
    return Quantity(before=info.flops_per_image, after=info.flops_per_image - saved)


def stage_problems(stack: StackInfo, removed: Collection[int]) -> Iterator[Message]:
    """Why these blocks cannot all go, in sentences; none: they can, or the stack has no stages."""
    if not stack.floor:
        return
    for block in stack.blocks:
        if block.index in removed and block.fixed:
            yield Message(
                id="Layer {block} halves the picture and widens it for the layers behind it, so it cannot be taken out. Keep the first "
                "layer of every stage.",
                values={"block": block.index},
            )
    left = Counter(block.stage for block in stack.blocks if block.index not in removed)
    for stage in sorted({block.stage for block in stack.blocks if block.stage is not None}):
        if left[stage] < stack.floor:
            yield Message(
                id="The plan leaves {left} layers in stage {stage}; every stage keeps at least {floor}. Take out fewer layers there.",
                values={"left": left[stage], "stage": stage, "floor": stack.floor},
            )
