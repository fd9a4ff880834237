"""Runs the blocks of a stack one at a time, outside the model's own loop, on any number of streams.

One pass through the root with every block handing its input on gives what each block is called with (masks, places,
caches) without computing a block. After that a block runs whenever we like, on one batch or on thirty batches side by
side. Before the first use the walk is held against the model's own forward; where they differ, nobody walks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from analysis.models.stack import LoadedModel, Stack
from analysis.search.batches import Batch

TOLERANCE = 1e-6
"""Largest relative difference in float32 at which two ways of running count as the same: only the order of sums differs."""
_HALF_TOLERANCE = 5e-2
"""The same where numbers have 8 or 11 bits: a difference in words' order of magnitude would be a wrong mask or place."""


@dataclass(frozen=True)
class Call:
    """What the root hands a block beside the state: the other positional arguments, and the named ones."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    named: bool
    """Whether the state itself is handed by name."""


@dataclass
class Started:
    """A batch in front of the first block: its state [B, S, d] and the blocks' calls."""

    ids: Tensor
    state: Tensor
    calls: tuple[Call, ...]
    mask: Tensor | None
    _wide: dict[int, Tensor] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Examples in the batch."""
        return int(self.ids.shape[0])

    def call(self, block: int, n_streams: int, *, widen_single: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The block's arguments for `n_streams` copies of the batch, one below the other."""
        call = self.calls[block]

        def wide(value: Any) -> Any:
            if isinstance(value, tuple | list) and any(isinstance(part, Tensor) for part in value):
                return type(value)(wide(part) for part in value)
            if not isinstance(value, Tensor) or n_streams == 1 or not self._goes_by_example(value, widen_single):
                return value
            return self._repeated(value, n_streams)

        return tuple(wide(value) for value in call.args), {name: wide(value) for name, value in call.kwargs.items()}

    def _goes_by_example(self, value: Tensor, widen_single: bool) -> bool:
        """Whether a tensor says something of each example: masks, places, rotations, and biases of [B * heads, 1, S]."""
        size, width = self.ids.shape
        if value.dim() < 2 or (value.shape[0] == 1 and not widen_single):
            return False
        if value.dim() == 2:
            return value.shape[0] in (1, size) and value.shape[1] == width
        return value.shape[0] in (1, size) or (value.dim() == 3 and value.shape[1] == 1 and value.shape[0] % size == 0)

    def _repeated(self, value: Tensor, n_streams: int) -> Tensor:
        """Copies below each other; the largest asked for so far is kept, and fewer are its beginning."""
        times = n_streams * self.size if value.shape[0] == 1 else n_streams
        held = self._wide.get(id(value))
        if held is None or held.shape[0] < times * value.shape[0]:
            held = value.repeat(times, *(1,) * (value.dim() - 1))
            self._wide[id(value)] = held
        return held[: times * value.shape[0]]


class Walk:
    """The stack of a model, ready to be walked block by block.

    Args:
        loaded: the model.
        stack: which of its stacks.
    """

    def __init__(self, loaded: LoadedModel, stack: Stack) -> None:
        self.stack = stack
        self.device = loaded.device
        self.proved = False
        self._forms: list[int | None] = [None] * len(stack.blocks)
        self._masked = not stack.info.causal
        self._widen_single = False
        self._copies = False
        self._tail: tuple[nn.Module, ...] | None = None
        parameters = inspect.signature(stack.root.forward).parameters
        self._uncached = {"use_cache": False} if "use_cache" in parameters or stack.info.causal else {}

    @torch.no_grad()
    def prove(self, batch: Batch) -> bool:
        """Whether walking this batch, once and as two streams, ends where the model's own forward ends."""
        with _forms_seen(self.stack, self._forms), _ends_seen(self.stack) as ends:
            final = self.forward(batch, masked=True)
        self._tail = ends.tail(final)
        try:
            self.proved = any(self._matches(batch, final, *how) for how in self._ways())
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as exc:
            if isinstance(exc, torch.OutOfMemoryError):
                raise
            self.proved = False
        return self.proved

    def forward(self, batch: Batch, *, masked: bool | None = None) -> Tensor:
        """The model's own run of a batch, without its head: [B, S, d]."""
        ids, mask = self._inputs(batch, self._masked if masked is None else masked)
        output = self.stack.root(input_ids=ids, **({} if mask is None else {"attention_mask": mask}), **self._uncached)
        final: Tensor = output[0]
        return final

    def start(self, batch: Batch) -> Started:
        """The batch as it reaches the first block, and what each block will be called with."""
        ids, mask = self._inputs(batch, self._masked)
        seen: list[tuple[Tensor, Call]] = []
        with self._handing_on(lambda _, state, call: seen.append((state, call))):
            self._root(ids, mask)
        return Started(ids, seen[0][0], tuple(call for _, call in seen), mask)

    def block(self, started: Started, index: int, state: Tensor) -> Tensor:
        """What leaves a block when `state` ([n_streams * B, S, d]) enters it."""
        args, kwargs = started.call(index, state.shape[0] // started.size, widen_single=self._widen_single)
        if self._copies:
            state = state.clone()
        if started.calls[index].named:
            kwargs = {"hidden_states": state, **kwargs}
        else:
            args = (state, *args)
        output = self.stack.blocks[index](*args, **kwargs)
        left: Tensor = output if isinstance(output, Tensor) else output[0]
        return left

    def end(self, started: Started, state: Tensor, rows: Tensor | None = None) -> Tensor:
        """Final states, as the root would hand them to the head: of the places `rows` of each stream, or of all.

        Args:
            state: [n_streams * B, S, d] as it left the last block.
            rows: places in one flattened batch [B * S].

        Returns:
            [n_streams * rows, d], or [n_streams * B, S, d] when no rows are given.
        """
        if self._tail is not None:
            picked = state if rows is None else _picked(state, started.size, rows)
            for module in self._tail:
                picked = module(picked)
            return picked
        n_streams = state.shape[0] // started.size
        mask = None if started.mask is None else started.mask.repeat(n_streams, 1)
        with self._handing_on(lambda *_: None, instead=state):
            final: Tensor = self._root(started.ids.repeat(n_streams, 1), mask)[0]
        return final if rows is None else _picked(final, started.size, rows)

    # -- proving ---------------------------------------------------------------------------------------------------

    def _ways(self) -> Iterator[tuple[bool, bool]]:
        """With or without a mask, with or without widening what stands once for all examples; the cheapest first.

        Padding stands at the end, so a causal model's tokens never see it, mask or not.
        """
        for masked in (False, True) if self.stack.info.causal else (True,):
            yield masked, False
            yield masked, True

    def _matches(self, batch: Batch, final: Tensor, masked: bool, widen_single: bool) -> bool:
        self._masked, self._widen_single = masked, widen_single
        started = self.start(batch)
        state = torch.cat([started.state, started.state])
        for index in range(len(self.stack.blocks)):
            version = state._version
            try:
                after = self.block(started, index, state)
            except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as exc:
                if isinstance(exc, torch.OutOfMemoryError):
                    raise
                return False
            if state._version != version and not self._copies:
                self._copies = True
                return self._matches(batch, final, masked, widen_single)
            state = after
        rows = torch.from_numpy(batch.mask.ravel().nonzero()[0]).to(self.device)
        walked = self.end(started, state, rows)
        wanted = _picked(final, started.size, rows)
        return same(walked[: len(rows)], wanted) and same(walked[len(rows) :], wanted)

    def _inputs(self, batch: Batch, masked: bool) -> tuple[Tensor, Tensor | None]:
        ids = torch.from_numpy(batch.ids).to(self.device)
        return ids, torch.from_numpy(batch.mask).to(self.device) if masked and batch.padded else None

    def _root(self, ids: Tensor, mask: Tensor | None) -> Any:
        return self.stack.root(input_ids=ids, **({} if mask is None else {"attention_mask": mask}), **self._uncached)

    @contextmanager
    def _handing_on(self, see: Callable[[int, Tensor, Call], None], instead: Tensor | None = None) -> Iterator[None]:
        """Inside the block, every block of the stack tells `see` what it was called with and hands its input on."""

        def forward_of(index: int) -> Callable[..., Any]:
            def forward(*args: Any, **kwargs: Any) -> Any:
                named = not args
                state = kwargs["hidden_states"] if named else args[0]
                see(index, state, Call(args[1:], {k: v for k, v in kwargs.items() if k != "hidden_states" or not named}, named))
                return _shaped(state if instead is None else instead, self._forms[index])

            return forward

        with ExitStack() as restore:
            for index, block in enumerate(self.stack.blocks):
                restore.enter_context(_replaced(block, forward_of(index)))
            yield


def same(one: Tensor, other: Tensor) -> bool:
    """Equal but for the order in which sums were taken."""
    if torch.equal(one, other):
        return True
    tolerance = TOLERANCE if one.dtype in (torch.float32, torch.float64) else _HALF_TOLERANCE
    scale = float(other.float().norm())
    return float((one.float() - other.float()).norm()) <= 10 * tolerance * max(scale, 1e-12)


def _picked(state: Tensor, size: int, rows: Tensor) -> Tensor:
    """[n_streams * rows, d]: the same places of every stream."""
    n_streams, width = state.shape[0] // size, state.shape[-1]
    return state.reshape(n_streams, -1, width).index_select(1, rows).reshape(-1, width)


def _shaped(state: Tensor, length: int | None) -> Any:
    """The state in the form in which the block returns it: alone, or first in a tuple."""
    return state if length is None else (state, *(None,) * (length - 1))


@contextmanager
def _replaced(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    before = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before


@contextmanager
def _forms_seen(stack: Stack, forms: list[int | None]) -> Iterator[None]:
    """Notes in which form each block returns its state."""

    def hook(index: int) -> Callable[..., None]:
        def see(_module: nn.Module, _args: Any, output: Any) -> None:
            forms[index] = None if isinstance(output, Tensor) else len(output)

        return see

    handles = [block.register_forward_hook(hook(index)) for index, block in enumerate(stack.blocks)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class _Ends:
    """What ran behind the last block of one run."""

    last: Tensor | None = None
    seen: list[tuple[nn.Module, Tensor, Tensor]] = field(default_factory=list)

    def tail(self, final: Tensor) -> tuple[nn.Module, ...] | None:
        """The modules that lead from the last block's output to the final states, one into the other; None: not only modules."""
        state, found = self.last, []
        for module, entered, left in self.seen:
            if state is not None and state is not final and entered is state:
                state = left
                found.append(module)
        return tuple(found) if state is not None and (state is final or torch.equal(state, final)) else None


@contextmanager
def _ends_seen(stack: Stack) -> Iterator[_Ends]:
    ends = _Ends()
    inside = {id(module) for block in stack.blocks for module in block.modules()}
    outside: Sequence[nn.Module] = [module for module in stack.root.modules() if id(module) not in inside and module is not stack.root]

    def note_last(_module: nn.Module, _args: Any, output: Any) -> None:
        ends.last = output if isinstance(output, Tensor) else output[0]

    def note(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if ends.last is not None and args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            ends.seen.append((module, args[0], output))

    handles = [stack.blocks[-1].register_forward_hook(note_last)]
    handles += [module.register_forward_hook(note) for module in outside]
    try:
        yield ends
    finally:
        for handle in handles:
            handle.remove()
