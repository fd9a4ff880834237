"""Where attention ends and the MLP begins inside a block, proved by numbers instead of class names.

A few tokens are run through the real model with hooks on everything inside a few of its blocks. The residual stream
between the halves is the tensor that *equals* the block's input plus a tensor some module put out, and from which the
block's output follows by another addition (then a norm, in post-norm blocks). Additions are repeated in the model's
own number format, so equality is exact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from analysis.contracts import Layout
from analysis.models.structure import FoundStack, parts_of

N_TOKENS = 6


class Place(NamedTuple):
    """Where in a block a tensor was seen: module path inside the block and side."""

    path: str
    side: Literal["input", "output"]


@dataclass(frozen=True)
class Finding:
    """A proved way to see inside a block. Its places hold for every block in which `holds` repeats the proof."""

    layout: Layout
    mid: Place | None = None
    attention: Place | None = None
    mlp: Place | None = None
    mlp_start: Place | None = None


class Event(NamedTuple):
    """One tensor as it went by, flattened to [tokens, d]."""

    place: Place
    value: Tensor


@dataclass
class Record:
    """What was seen of one block in one forward."""

    start: Tensor | None = None
    end: Tensor | None = None
    calls: int = 0
    events: list[Event] = field(default_factory=list)


def probe_stack(stack: FoundStack, inputs: dict[str, Any]) -> tuple[list[Finding | None], bool]:
    """How each block of the stack can be seen inside, and whether every block ran exactly once.

    The first, the middle and the last block of every class and make are looked at; a finding counts for all blocks
    of that make only if it holds in all of them.
    """
    groups: dict[object, list[int]] = defaultdict(list)
    for index, block in enumerate(stack.blocks):
        groups[_make(block)].append(index)
    chosen = {make: sorted({members[0], members[len(members) // 2], members[-1]}) for make, members in groups.items()}
    records = _run(stack, inputs, sorted(index for indices in chosen.values() for index in indices))
    findings: list[Finding | None] = [None] * len(stack.blocks)
    for make, members in groups.items():
        found = _common([(records[index], stack.blocks[index]) for index in chosen[make]])
        for index in members:
            findings[index] = found
    return findings, all(record.calls == 1 for record in records.values())


def _make(block: nn.Module) -> object:
    """Blocks of one make are built of the same kinds of modules under the same names."""
    return tuple(
        (name, type(module)) for name, module in block.named_modules() if name.count(".") < 2 and not name.split(".")[-1].isdigit()
    )


def _common(seen: Sequence[tuple[Record, nn.Module]]) -> Finding | None:
    """The first finding, in order of preference, that all looked-at blocks prove."""
    candidates = [list(_findings(record, block)) for record, block in seen]
    return next((finding for finding in candidates[0] if all(finding in others for others in candidates[1:])), None)


# -- running -----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def _run(stack: FoundStack, inputs: dict[str, Any], indices: Sequence[int]) -> dict[int, Record]:
    records = {index: Record() for index in indices}
    with ExitStack() as cleanup, _in_eval(stack.root):
        for index in indices:
            for handle in _watch(stack.blocks[index], records[index]):
                cleanup.callback(handle.remove)
        stack.root(**inputs)
    return records


@contextmanager
def _in_eval(root: nn.Module) -> Iterator[None]:
    was_training = [module for module in root.modules() if module.training]
    root.eval()
    try:
        yield
    finally:
        for module in was_training:
            module.training = True


def _watch(block: nn.Module, record: Record) -> Iterator[RemovableHandle]:
    def starts(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        record.calls += 1
        record.start = _copy(_first(args, kwargs))

    def ends(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        record.end = _copy(_first_tensor(output))

    def enters(path: str) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            _note(record, Place(path, "input"), _first(args, kwargs))

        return hook

    def leaves(path: str) -> Any:
        def hook(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
            _note(record, Place(path, "output"), _first_tensor(output))

        return hook

    yield block.register_forward_pre_hook(starts, with_kwargs=True)
    for path, module in block.named_modules():
        if path:
            yield module.register_forward_pre_hook(enters(path), with_kwargs=True)
            yield module.register_forward_hook(leaves(path))
    yield block.register_forward_hook(ends)


def _note(record: Record, place: Place, tensor: Tensor | None) -> None:
    """Keeps a tensor that is shaped like the residual stream."""
    start = record.start
    if tensor is None or start is None or tensor.numel() != start.numel() or tensor.shape[-1] != start.shape[-1]:
        return
    copy = _copy(tensor)
    if copy is not None:
        record.events.append(Event(place, copy))


def _copy(tensor: Tensor | None) -> Tensor | None:
    """On the CPU and apart from the original: some models add in place."""
    return None if tensor is None else tensor.detach().to("cpu", copy=True).reshape(-1, tensor.shape[-1])


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    return _first_tensor(args) if args else _first_tensor(kwargs.get("hidden_states", tuple(kwargs.values())))


def _first_tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value if value.is_floating_point() and value.dim() > 1 else None
    if isinstance(value, tuple | list) and value:
        return _first_tensor(value[0])
    return None


# -- proving -----------------------------------------------------------------------------------------------------------


def _findings(record: Record, block: nn.Module) -> Iterator[Finding]:
    """Every proved way to see inside the block, sequential ones first, in the order the tensors appeared."""
    attention = parts_of(block).attention
    path = next((name for name, module in block.named_modules() if module is attention), None)
    events, start, end = record.events, record.start, record.end
    done = next((i for i, event in enumerate(events) if event.place == Place(path or "", "output")), None)
    if done is None or path is None or start is None or end is None:
        return
    once = _seen_once(events)
    yield from _sequential(events, start, end, done, once, path)
    yield from _parallel(events, start, end, done, once, path)


def _sequential(events: list[Event], start: Tensor, end: Tensor, done: int, once: set[Place], path: str) -> Iterator[Finding]:
    for i in range(done, len(events)):
        branches = [event for event in events[:i] if event.place.side == "output"]
        place, mid = events[i]
        if place not in once:
            continue
        added = _added(mid, start, branches)
        normed = None if added else _normed_sum(events[: i + 1], mid, start, branches)
        if added:
            layout = _pre_layout(events, start, added, done, path)
            if _leads(events[i:], mid, end):
                yield Finding(layout, mid=place)
            for later in _after_cross(events, i, mid, end, once):
                yield Finding(layout, mid=place, mlp_start=later)
        if normed and _leads_normed(events[i:], mid, end):
            yield Finding("post_norm", mid=place)


def _parallel(events: list[Event], start: Tensor, end: Tensor, done: int, once: set[Place], path: str) -> Iterator[Finding]:
    """y = x + a + b, with a from the attention and b from elsewhere, whatever the order of the additions."""
    outputs = [event for event in events if event.place.side == "output" and event.place in once]
    inside = [event for event in outputs if event.place == events[done].place]
    outside = [event for event in outputs if not f"{event.place.path}.".startswith(f"{path}.")]
    for a in inside:
        for b in reversed(outside):
            if any(
                torch.equal(total, end) for total in (start + (a.value + b.value), (start + a.value) + b.value, (start + b.value) + a.value)
            ):
                yield Finding("parallel", attention=a.place, mlp=b.place)


def _added(total: Tensor, start: Tensor, branches: Sequence[Event]) -> Event | None:
    return next((event for event in branches if torch.equal(start + event.value, total)), None)


def _normed_sum(events: Sequence[Event], mid: Tensor, start: Tensor, branches: Sequence[Event]) -> Event | None:
    """A module whose input is the sum and whose output is `mid`: the norm after the residual add."""
    for place, value in events:
        if place.side == "output" and torch.equal(value, mid):
            sums = [event.value for event in events if event.place == Place(place.path, "input")]
            if any(_added(total, start, branches) for total in sums):
                return Event(place, value)
    return None


def _leads(events: Sequence[Event], mid: Tensor, end: Tensor) -> bool:
    return any(event.place.side == "output" and torch.equal(mid + event.value, end) for event in events)


def _leads_normed(events: Sequence[Event], mid: Tensor, end: Tensor) -> bool:
    outputs = [event for event in events if event.place.side == "output"]
    return any(torch.equal(event.value, end) and _normed_sum(events, end, mid, outputs) for event in outputs)


def _after_cross(events: list[Event], i: int, mid: Tensor, end: Tensor, once: set[Place]) -> Iterator[Place]:
    """Where the MLP starts when cross-attention stands between: m2 = mid + c, y = m2 + b."""
    outputs = [event for event in events[i:] if event.place.side == "output"]
    for j in range(i + 1, len(events)):
        place, value = events[j]
        if place in once and not torch.equal(value, mid) and _added(value, mid, outputs) and _leads(events[j:], value, end):
            yield place


def _pre_layout(events: list[Event], start: Tensor, added: Event, done: int, path: str) -> Layout:
    """Pre-norm, sandwich or post-norm, by whether a norm stands before the attention and behind it."""
    if added.place.path == path or added.place.path.startswith(f"{path}.") or torch.equal(added.value, events[done].value):
        return "pre_norm"
    inputs = [event.value for event in events[:done] if event.place == Place(path, "input")]
    return "post_norm" if any(torch.equal(value, start) for value in inputs) else "sandwich_norm"


def _seen_once(events: Sequence[Event]) -> set[Place]:
    counts: dict[Place, int] = defaultdict(int)
    for event in events:
        counts[event.place] += 1
    return {place for place, count in counts.items() if count == 1}
