"""Blocks taken out of a vision model in stages for good; its config then counts what is left, and its folder reads back."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import cast

from torch import nn
from transformers import PreTrainedModel

from analysis.contracts import StackInfo
from analysis.errors import PlanError
from analysis.planning.staged import stage_problems


def prune_stages(model: PreTrainedModel, stack: StackInfo, removed: Collection[int]) -> PreTrainedModel:
    """A copy of the model without these blocks. The original stays as it was.

    Args:
        model: a model whose stack was found in stages.
        stack: its anatomy.
        removed: blocks, counted from 0 through all stages.

    Raises:
        PlanError: a block changes the shape of what passes, a stage would fall below its floor, or there is no such block.
    """
    if unknown := sorted(block for block in removed if block >= stack.n_blocks):
        raise PlanError(
            "Layer {block} is not in this model: it has {n_blocks} layers (0 to {last}). Make the plan again for this model.",
            block=unknown[0],
            n_blocks=stack.n_blocks,
            last=stack.n_blocks - 1,
        )
    if problem := next(stage_problems(stack, removed), None):
        raise PlanError.from_message(problem)
    shorter = copy.deepcopy(model)
    stages = cast(nn.ModuleList, shorter.get_submodule(stack.path))
    shorter.config.depths = [_shorten(stage, stack, number, removed) for number, stage in enumerate(stages)]
    return shorter


def _shorten(stage: nn.Module, stack: StackInfo, number: int, removed: Collection[int]) -> int:
    """Takes a stage's blocks out and returns how many are left."""
    own = [block.index for block in stack.blocks if block.stage == number]
    name, row = next((name, child) for name, child in stage.named_children() if isinstance(child, nn.Sequential | nn.ModuleList))
    kept = [block for block, index in zip(row, own, strict=True) if index not in removed]
    setattr(stage, name, nn.Sequential(*kept) if isinstance(row, nn.Sequential) else nn.ModuleList(kept))
    return len(kept)
