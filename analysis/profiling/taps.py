"""Hooks that read the residual stream of a running stack into one preallocated buffer.

Nothing here waits for the device: tokens are copied (padding left behind) and a few inner products are taken, all
asynchronously. The last block is read at its own output, before the final norm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from analysis.models.stack import Stack, SubBlockTaps, Tap
from analysis.profiling import fused

HALF = (torch.bfloat16, torch.float16)


@dataclass
class PairBuffer:
    """The states of up to `capacity` tokens at all positions, and what was seen inside each block.

    states: [capacity, L + 1, d] in the model's dtype; squares: [capacity, L + 1] float32, their squared norms;
    dots: [capacity, L, 4] float32 (see `Features.of_tokens`).
    """

    states: Tensor
    squares: Tensor
    dots: Tensor

    @classmethod
    def allocate(cls, capacity: int, n_blocks: int, width: int, *, dtype: torch.dtype, device: torch.device) -> PairBuffer:
        """An empty buffer; this is all the memory that grows with neither the workload nor the batch."""
        return cls(
            states=torch.zeros(capacity, n_blocks + 1, width, dtype=dtype, device=device),
            squares=torch.zeros(capacity, n_blocks + 1, dtype=torch.float32, device=device),
            dots=torch.zeros(capacity, n_blocks, 4, dtype=torch.float32, device=device),
        )

    @property
    def capacity(self) -> int:
        """Tokens it holds."""
        return len(self.states)


class StateChanged(Exception):
    """A model added to a state in place after it was seen: from now on that state is copied, and the unit runs again."""


@dataclass
class Reader:
    """Copies what passes the taps into the buffer. `rows` are the batch's real tokens, `slots` where they go.

    States are held by reference until their block ends, which costs nothing; a model that overwrites one in the
    meantime is found out by the tensor's version and gets copies of that state.
    """

    buffer: PairBuffer
    check: Callable[[], None]
    rows: Tensor | None = None
    slots: Tensor | None = None
    copied: set[str] = field(default_factory=set)
    _seen: dict[str, Tensor] = field(default_factory=dict)
    _versions: dict[str, int] = field(default_factory=dict)

    def enter(self, index: int, state: Tensor) -> None:
        """A block begins."""
        if index == 0:
            self._take(0, state)
        self._seen, self._versions = {}, {}
        self.see(BEFORE, state)

    def see(self, name: str, state: Tensor) -> None:
        """A tap inside a block fires; the first time counts."""
        if name not in self._seen:
            self._seen[name] = state.clone() if name in self.copied else state
            self._versions[name] = self._seen[name]._version

    def leave(self, index: int, state: Tensor, taps: SubBlockTaps) -> None:
        """A block ends: keep its output and the inner products of what was seen inside it."""
        self.check()
        changed = {name for name, seen in self._seen.items() if seen._version != self._versions[name]}
        if changed:
            self.copied |= changed
            raise StateChanged
        inside = _inside(self._seen, taps)
        if inside is None:
            self._take(index + 1, state)
        elif fused.usable(state) and self.rows is not None and self.slots is not None:
            block = fused.Block(self._seen[BEFORE], *inside, state, parallel=taps.layout == "parallel")
            fused.read_block(block, self.buffer.states, self.buffer.squares, self.buffer.dots, index, self.rows, self.slots)
        else:
            self._take(index + 1, state)
            self._put(self.buffer.dots[:, index], _dots(self._seen[BEFORE], *inside, state, parallel=taps.layout == "parallel"))
        self._seen = {}

    def _take(self, position: int, state: Tensor) -> None:
        flat = state.reshape(-1, state.shape[-1])
        self._put(self.buffer.states[:, position], flat)
        self._put(self.buffer.squares[:, position], _inner(flat.float(), flat.float()))

    def _put(self, target: Tensor, values: Tensor) -> None:
        if self.rows is None or self.slots is None:
            target[: len(values)].copy_(values)
        else:
            target.index_copy_(0, self.slots, values.index_select(0, self.rows).to(target.device, target.dtype))


BEFORE = "before"


def _inside(seen: dict[str, Tensor], taps: SubBlockTaps) -> tuple[Tensor, Tensor] | None:
    """The two states inside a block: both branches, or where attention ends and where the MLP starts."""
    names = ("attention", "mlp") if taps.layout == "parallel" else ("mid", "mid" if taps.mlp_start is None else "mlp_start")
    return (seen[names[0]], seen[names[1]]) if all(name in seen for name in names) else None


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Row-wise inner products, without a product matrix in between."""
    products: Tensor = torch.linalg.vecdot(a, b)
    return products


def _dots(before: Tensor, first: Tensor, second: Tensor, after: Tensor, *, parallel: bool) -> Tensor:
    """[tokens, 4] inner products, see `Features.of_tokens`; in float32 at least."""
    x, a, b, y = (state.reshape(-1, state.shape[-1]).float() for state in (before, first, second, after))
    aa = _inner(a, a)
    bb = aa if second is first else _inner(b, b)
    return torch.stack([_inner(x, a), aa, _inner(x if parallel else y, b), bb], dim=-1)


@contextmanager
def reading(stack: Stack, reader: Reader) -> Iterator[None]:
    """Hooks the reader into a stack; every hook is gone afterwards, whatever happens."""
    handles = [handle for index in range(len(stack.blocks)) for handle in _hook_block(stack, index, reader)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook_block(stack: Stack, index: int, reader: Reader) -> Iterator[Any]:
    block, taps = stack.blocks[index], stack.taps[index]
    yield block.register_forward_pre_hook(lambda _m, args, kwargs: reader.enter(index, _first(args, kwargs)), with_kwargs=True)
    for name, tap in _inner_taps(taps):
        yield _hook_tap(tap, partial(reader.see, name))
    yield block.register_forward_hook(lambda _m, _args, out: reader.leave(index, first_tensor(out), taps))


def _inner_taps(taps: SubBlockTaps) -> list[tuple[str, Tap]]:
    found = (("mid", taps.mid), ("mlp_start", taps.mlp_start), ("attention", taps.attention), ("mlp", taps.mlp))
    return [(name, tap) for name, tap in found if tap is not None]


def _hook_tap(tap: Tap, see: Callable[[Tensor], None]) -> Any:
    module: nn.Module = tap.module
    if tap.side == "input":
        return module.register_forward_pre_hook(lambda _m, args, kwargs: see(_first(args, kwargs)), with_kwargs=True)
    return module.register_forward_hook(lambda _m, _args, out: see(first_tensor(out)))


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    return first_tensor(args[0] if args else kwargs.get("hidden_states", next(iter(kwargs.values()))))


def first_tensor(value: Any) -> Tensor:
    """The tensor itself, or the first element of a block's tuple."""
    while not isinstance(value, Tensor):
        value = value[0]
    return value
