"""Counts what really ran, beside every estimate: hooks on the modules that compute, so a left-out one counts nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from analysis.models.stack import Stack
from analysis.models.structure import parts_of
from analysis.surgery.stand_in import is_left_out


@dataclass
class Calls:
    """How often blocks, and attentions and MLPs inside them, were computed; one run of a whole stack is one call of each."""

    blocks: int = 0
    attentions: int = 0
    mlps: int = 0


@contextmanager
def counting(stack: Stack) -> Iterator[Calls]:
    """Counts the calls of a stack while inside; may be used around or inside `left_out`."""
    calls = Calls()
    with ExitStack() as cleanup:
        for block, info in zip(stack.blocks, stack.info.blocks, strict=True):
            parts = parts_of(block)
            seen: set[str] = set()
            for half, there, modules in (
                ("attention", info.attention, (parts.attention,) if parts.attention else ()),
                ("mlp", info.mlp, parts.mlp),
            ):
                for module in _computing(modules) if there is not None else ():
                    cleanup.callback(module.register_forward_hook(_noting(seen, half)).remove)
            cleanup.callback(block.register_forward_hook(_adding(calls, seen)).remove)
        yield calls


def _computing(modules: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """The modules that hold weight matrices themselves: whoever runs one of them runs the half."""
    for module in modules:
        yield from (inner for inner in module.modules() if any(weight.dim() > 1 for weight in inner.parameters(recurse=False)))


def _noting(seen: set[str], half: str) -> Any:
    def hook(module: nn.Module, *_: Any) -> None:
        if not is_left_out(module):
            seen.add(half)

    return hook


def _adding(calls: Calls, seen: set[str]) -> Any:
    def hook(block: nn.Module, *_: Any) -> None:
        calls.blocks += not is_left_out(block)
        calls.attentions += "attention" in seen
        calls.mlps += "mlp" in seen
        seen.clear()

    return hook
