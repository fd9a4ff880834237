"""The frozen layers in front: watched, so that no graph ever grows in them, and left out once their output is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from analysis.contracts import Message
from analysis.errors import PlanError
from analysis.models.stack import Stack
from analysis.surgery.halves import Way
from analysis.surgery.skip import run_on_few_tokens, ways_of
from analysis.surgery.stand_in import StandIn, slots, standing


@dataclass(frozen=True, eq=False)
class Recalled(StandIn):
    """In place of the last frozen block: the states that came out of it once, instead of what comes in."""

    states: Tensor | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """In place of the block's forward; whatever else it hands on was given to it."""
        passed = super().__call__(*args, **kwargs)
        return (self.states, *passed[1:]) if isinstance(passed, tuple) else self.states


class Prefix:
    """Blocks 0..eof_layer of a stack, and what enters the block behind them: the *boundary state*.

    Args:
        stack: whose prefix.
        eof_layer: the last frozen block; -1: there is no prefix, and the boundary is what enters block 0.

    Attributes:
        refusal: why the prefix cannot be left out, so that its output is never reused; None: it can, or there is none.
        entered: the boundary state of the latest run [B, S, d], without graph.
        had_graph: whether a gradient could ever have flowed below the boundary.
    """

    def __init__(self, stack: Stack, eof_layer: int) -> None:
        self.stack = stack
        self.eof_layer = eof_layer
        self.refusal: Message | None = None
        self.entered: Tensor | None = None
        self.had_graph = False
        self._ways = self._proved()

    @property
    def can_be_recalled(self) -> bool:
        """Whether there is a prefix, and a run can do without it once its output is known."""
        return bool(self._ways)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, every run tells what enters the first block that trains."""
        handle = self.stack.blocks[self.eof_layer + 1].register_forward_pre_hook(self._enters, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()
            self.entered = None

    @contextmanager
    def recalled(self, states: Tensor) -> Iterator[None]:
        """Inside, the prefix is not computed: its last block puts these states out, those in front pass their input on.

        Args:
            states: [B, S, d] as the boundary had them; what stands in places of padding does not matter.
        """
        with ExitStack() as cleanup:
            for (block, stand_in), *_ in self._ways[:-1]:
                cleanup.enter_context(standing(block, stand_in))
            last, stand_in = self._ways[-1][0]
            known = {field.name: getattr(stand_in, field.name) for field in fields(StandIn)}
            cleanup.enter_context(standing(last, Recalled(**known, states=states)))
            yield

    def _enters(self, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = (value for _, value in slots(block, args, kwargs))
        state = next(value for value in given if isinstance(value, Tensor) and value.is_floating_point())
        self.had_graph |= state.requires_grad
        self.entered = state.detach()

    def _proved(self) -> list[Way]:
        if self.eof_layer < 0:
            return []
        try:
            return ways_of(self.stack, [("block", block) for block in range(self.eof_layer + 1)])
        except PlanError as exc:
            self.refusal = exc.message
            return []


@torch.no_grad()
def norms_behind(stack: Stack) -> tuple[nn.Module, ...]:
    """The norms that run after the last block, inside the root: the final norm, if the architecture has one."""
    inside = {id(module) for block in stack.blocks for module in block.modules()}
    outside = [module for module in stack.root.modules() if id(module) not in inside and _is_norm(module)]
    found: list[nn.Module] = []
    finished = False

    def last_block(*_: object) -> None:
        nonlocal finished
        finished = True

    def called(module: nn.Module, *_: object) -> None:
        if finished and module not in found:
            found.append(module)

    with ExitStack() as cleanup:
        cleanup.callback(stack.blocks[-1].register_forward_hook(last_block).remove)
        for module in outside:
            cleanup.callback(module.register_forward_hook(called).remove)
        run_on_few_tokens(stack)
    return tuple(found)


def _is_norm(module: nn.Module) -> bool:
    """It has vectors of its own and no matrix."""
    own = list(module.parameters(recurse=False))
    return bool(own) and all(parameter.dim() == 1 for parameter in own) and next(module.children(), None) is None
