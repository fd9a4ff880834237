"""Adapters put on the free layers with PEFT, and taken off again."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from analysis.errors import ModelError
from analysis.models.stack import LoadedModel, Stack
from analysis.models.structure import parts_of


def targets(stack: Stack, eof_layer: int) -> tuple[str, ...]:
    """Paths inside a block of all matrix products of the free blocks, found by what they are, not by what they are called.

    In a stack with experts only those of the attention: PEFT takes names of a shared expert for names of all experts.

    Raises:
        ModelError: there are none that PEFT could put an adapter on.
    """
    found: dict[str, None] = {}
    experts = has_experts(stack)
    for block in stack.blocks[eof_layer + 1 :]:
        attention = parts_of(block).attention
        inside = set(block.modules() if not experts or attention is None else attention.modules())
        found |= {path: None for path, module in block.named_modules() if isinstance(module, nn.Linear | Conv1D) and module in inside}
    if not found:
        raise _no_place()
    return tuple(found)


def has_experts(stack: Stack) -> bool:
    """Whether a block keeps the weights of several experts in one tensor, which no linear part covers."""
    return any(parameter.dim() > 2 for block in stack.blocks for parameter in block.parameters())


def pattern_of(loaded: LoadedModel, stack: Stack) -> str:
    """The blocks' path in the model as PEFT's `layers_pattern` takes it."""
    lists = ((path, module) for path, module in loaded.model.named_modules() if isinstance(module, nn.ModuleList) and len(module))
    return re.escape(str(next(path for path, module in lists if module[0] is stack.blocks[0])))


@contextmanager
def adapters(loaded: LoadedModel, stack: Stack, eof_layer: int, *, rank: int, alpha: int, seed: int) -> Iterator[tuple[nn.Parameter, ...]]:
    """Inside, the free blocks have adapters, which alone train; afterwards the model's modules and weights are what they were.

    Args:
        loaded: the model.
        stack: whose blocks.
        eof_layer: the last block without one; -1: all blocks have one.
        rank: of the adapters.
        alpha: their scaling, in units of the rank.
        seed: of their first values.

    Raises:
        ModelError: PEFT is not installed, or finds no place for an adapter.
    """
    wanted = targets(stack, eof_layer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft still uses names that transformers is giving up
        try:
            from peft import LoraConfig, get_peft_model
            from peft.helpers import disable_input_dtype_casting
        except ImportError as exc:
            raise ModelError(
                "Training adapters needs the package peft. Run pip install peft, or compare with full fine-tuning only."
            ) from exc
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=0.0,
            target_modules=list(wanted),
            layers_to_transform=list(range(eof_layer + 1, len(stack.blocks))),
            layers_pattern=pattern_of(loaded, stack),
            modules_to_save=None,
            fan_in_fan_out=all(isinstance(stack.blocks[-1].get_submodule(path), Conv1D) for path in _there(stack, wanted)),
        )
        own, known = dict(vars(loaded.model)), {id(parameter) for parameter in loaded.model.parameters()}
        torch.manual_seed(seed)
        adapted = get_peft_model(loaded.model, config)
    try:
        new = tuple(parameter for parameter in loaded.model.parameters() if id(parameter) not in known)
        _check_places(stack, eof_layer, known)
        with disable_input_dtype_casting(adapted):  # autocast does that, without a second copy of every state
            yield new
    finally:
        adapted.unload()
        for name in vars(loaded.model).keys() - own.keys():
            delattr(loaded.model, name)


def _there(stack: Stack, wanted: tuple[str, ...]) -> list[str]:
    names = {path for path, _ in stack.blocks[-1].named_modules()}
    return [path for path in wanted if path in names]


def _check_places(stack: Stack, eof_layer: int, known: set[int]) -> None:
    """PEFT finds modules by their names: what it found has to be the free blocks, all of them and no others."""
    adapted = [any(id(parameter) not in known for parameter in block.parameters()) for block in stack.blocks]
    if adapted != [index > eof_layer for index in range(len(stack.blocks))]:
        raise _no_place()


def _no_place() -> ModelError:
    return ModelError(
        "The layers of this model have no linear parts of their own that adapters could be put on. Compare with full fine-tuning only."
    )
