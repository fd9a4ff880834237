"""Vision models whose states change their shape in stages: what one image costs in every block, and which blocks might go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from analysis.contracts import StackInfo
from analysis.models.structure import FoundStack

FLOOR = 2
"""Blocks that a stage keeps: the one that changes the shape, and one to work on it (arXiv 2411.14345 stops there too)."""
_USUAL_SIZE = 224
"""Pixels of a side where the config does not say: what ImageNet models are given."""


@dataclass(frozen=True)
class ImageCost:
    """One image through a model: FLOPs in all and by block, and whether each block hands its shape on.

    Attributes:
        image_size: pixels of a side.
        flops: of the whole model, 2 per multiply-add.
        block_flops: of each block.
        reshapes: whether what leaves a block has another shape than what entered.
    """

    image_size: int
    flops: int
    block_flops: tuple[int, ...]
    reshapes: tuple[bool, ...]


def image_cost(model: PreTrainedModel, run: FoundStack) -> ImageCost:
    """Counts one image by torch's own counter; on the meta device too, where nothing is computed."""
    size, channels = image_side(model.config), int(model.config.num_channels)
    shapes: dict[int, tuple[torch.Size, torch.Size]] = {}
    names = {id(module): name for name, module in model.named_modules()}
    counter = FlopCounterMode(display=False)
    training = model.training
    with ExitStack() as cleanup, torch.no_grad(), counter:
        cleanup.callback(model.train, training)
        model.eval()
        for number, block in enumerate(run.blocks):
            cleanup.callback(block.register_forward_hook(_shape_noter(shapes, number)).remove)
        model(pixel_values=torch.zeros(1, channels, size, size, device=model.device, dtype=model.dtype))
    counts = counter.get_flop_counts()
    own = [sum(counts[f"{type(model).__name__}.{names[id(block)]}"].values()) for block in run.blocks]
    reshapes = tuple(shapes[number][0] != shapes[number][1] for number in range(len(run.blocks)))
    return ImageCost(size, int(counter.get_total_flops()), tuple(map(int, own)), reshapes)


def staged_stack(counted: StackInfo, stages: Sequence[int], cost: ImageCost) -> StackInfo:
    """The stack's anatomy with stages, FLOPs of an image, and the blocks that can never go."""
    blocks = tuple(
        block.model_copy(update={"stage": stage, "fixed": reshapes, "flops_per_image": flops, "attention": None, "mlp": None})
        for block, stage, reshapes, flops in zip(counted.blocks, stages, cost.reshapes, cost.block_flops, strict=True)
    )
    return counted.model_copy(update={"blocks": blocks, "floor": FLOOR, "causal": False})


def image_side(config: object) -> int:
    """Pixels of a side that a model is given."""
    said = getattr(config, "image_size", None)
    return int(said[0] if isinstance(said, list | tuple) else said) if said else _USUAL_SIZE


def _shape_noter(shapes: dict[int, tuple[torch.Size, torch.Size]], number: int) -> Callable[..., None]:
    def note(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        shapes[number] = (args[0].shape, output.shape)

    return note
