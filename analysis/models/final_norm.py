"""What a stack does to its last block's output before it hands the states on: the final norm, found by a run and proved by numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from analysis.models.stack import LoadedModel, Stack

FinalNorm = Callable[[Tensor], Tensor]
"""[..., d] states between blocks -> what the output head would be given; every token on its own, in the model's number format."""
_TOKENS = 6


@dataclass
class _Record:
    """What was seen of one run: the last block's output, every module's way from one tensor to another, the root's own output."""

    last: Tensor | None = None
    steps: list[tuple[nn.Module, Tensor, Tensor]] = field(default_factory=list)


def final_norm(loaded: LoadedModel, stack: Stack) -> FinalNorm | None:
    """What the root does to the last block's output; states pass unchanged where it does nothing (post-norm stacks).

    Returns:
        None where no module, or row of modules, could be shown to give exactly the root's output, token by token.
    """
    record, output = _probe(loaded, stack)
    if record.last is None or output is None:
        return None
    chain = _chain(record, output)
    if chain is None:
        return None
    norm = _Chain(tuple(chain))
    return norm if _holds(norm, record.last, output) else None


@dataclass(frozen=True)
class _Chain:
    """Modules one after the other; each gets the states where its own weights are."""

    modules: tuple[nn.Module, ...]

    @torch.no_grad()
    def __call__(self, states: Tensor) -> Tensor:
        device = states.device
        for module in self.modules:
            own = next(module.parameters(), None)
            states = module(states if own is None else states.to(own.device))
        return states.to(device)


@torch.no_grad()
def _probe(loaded: LoadedModel, stack: Stack) -> tuple[_Record, Tensor | None]:
    record = _Record()
    inside = {id(module) for block in stack.blocks for module in block.modules()}
    outside = [module for module in stack.root.modules() if module is not stack.root and id(module) not in inside]
    with ExitStack() as cleanup:
        for handle in _watch(stack.blocks[-1], outside, record):
            cleanup.callback(handle.remove)
        vocabulary = max(loaded.info.vocab_size, 2)
        ids = (torch.arange(_TOKENS) * 7 + 11) % vocabulary
        output = stack.root(input_ids=ids[None].to(loaded.device), **({"use_cache": False} if stack.info.causal else {}))
    return record, _first(output)


def _watch(last_block: nn.Module, outside: Sequence[nn.Module], record: _Record) -> Iterator[Any]:
    def ends(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        found = _first(output)
        record.last = None if found is None else found.clone()

    def passes(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        before = _first(args)
        if record.last is not None and before is not None and isinstance(output, Tensor):
            record.steps.append((module, before.clone(), output.clone()))

    yield last_block.register_forward_hook(ends)
    for module in outside:
        yield module.register_forward_hook(passes)


def _chain(record: _Record, output: Tensor) -> list[nn.Module] | None:
    """Modules that lead from the last block's output to the root's, each taking exactly what the one before gave."""
    assert record.last is not None
    state, found = record.last, list[nn.Module]()
    for module, before, after in record.steps:
        if _same(state, output):
            break
        if _same(before, state):
            state = after
            found.append(module)
    return found if _same(state, output) else None


def _holds(norm: FinalNorm, last: Tensor, output: Tensor) -> bool:
    """Called alone, on some of the tokens, it gives the same again: nothing else is mixed in, and no token sees another."""
    part = norm(last[:, 2:4])
    return torch.allclose(part.float(), output[:, 2:4].float(), rtol=1e-3, atol=1e-5) and _same(norm(last), output)


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a.to(b.device), b)


def _first(value: Any) -> Tensor | None:
    while not isinstance(value, Tensor):
        if value is None or isinstance(value, str | int | float) or not len(value):
            return None
        value = value[0]
    return value if value.is_floating_point() else None
