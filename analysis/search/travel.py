"""Takes many sets of removed units through the blocks at once: what they share is computed once, weights are read once.

Sets are written as one decision per block and sorted, which makes them a tree: sets with the same decisions so far are
neighbours and one stream. A stream is the state of the batch under its decisions; it splits where its sets decide
differently. All streams of a chunk lie in one buffer allocated beforehand, and every block runs once over all that need it.

At a block a stream becomes

* the block's output, for the sets that run it;
* itself, for the sets that leave the block out;
* the point between the halves, for the sets that leave the MLP out: seen in passing where a tap proves it, for nothing;
* the MLP alone, for the sets that leave the attention out (in parallel layouts seen in passing as well).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol

import torch
from torch import Tensor

from analysis.contracts import UnitRef, UnitSet
from analysis.models.stack import Stack, Tap
from analysis.profiling.taps import first_tensor
from analysis.search.walk import Started, Walk
from analysis.surgery.skip import left_out

GONE, NO_ATTENTION, NO_MLP, NEITHER, RUN = range(5)
"""What a set does at a block. RUN sorts last: then the sets that differ late stand together."""
Decisions = tuple[int, ...]
Arrive = Callable[[Sequence[int], Tensor], None]
_IN_PASSING = {"pre_norm": (NO_MLP,), "sandwich_norm": (NO_MLP,), "parallel": (NO_MLP, NO_ATTENTION)}
_EMPTY_WHEN_NEITHER = ("pre_norm", "sandwich_norm", "parallel")


@dataclass(frozen=True)
class Room:
    """How much may be done at once: bytes of all streams together, tokens in one call of a block and in one of the head,
    and sets in a group after which what was found is kept."""

    stream_bytes: int
    call_tokens: int
    group_sets: int = 1 << 30
    head_tokens: int = 4096


@dataclass
class Saved:
    """States in front of a block that a later chunk starts from, by the decisions that led there."""

    wanted: set[Decisions] = field(default_factory=set)
    held: set[Decisions] = field(default_factory=set)
    """Those among them that are wanted by sets of a later call."""
    states: dict[Decisions, Tensor] = field(default_factory=dict)


class Onlooker(Protocol):
    """Watches one set on its way: what enters every block that it runs, what leaves it, and what passes inside."""

    @property
    def decisions(self) -> Decisions:
        """Of the set that is watched. It need not be one of those that travel, but lead as far as one of them."""

    def inside(self, index: int, before: Tensor, place: int, n_streams: int) -> AbstractContextManager[None]:
        """Around the block's call: `before` [B, S, d] enters it, as the `place`-th of `n_streams` below each other."""

    def passed(self, index: int, before: Tensor, after: Tensor) -> None:
        """The block was run; [B, S, d], views that are overwritten afterwards."""


@dataclass(frozen=True)
class _Watched:
    """The watched stream at one block: where it stands, and what entered."""

    slot: int
    before: Tensor


@dataclass(frozen=True)
class _Stream:
    """The sets `first` to `stop` of the chunk, which have decided alike so far; their state lies in `slot`."""

    slot: int
    first: int
    stop: int


@dataclass
class _Step:
    """What happens at one block: which slots run it, which are copied, and which run a part of it into another slot."""

    streams: list[_Stream] = field(default_factory=list)
    run: list[int] = field(default_factory=list)
    copies: list[tuple[int, int]] = field(default_factory=list)
    seen: dict[int, dict[int, int]] = field(default_factory=dict)
    parts: dict[int, list[tuple[int, int]]] = field(default_factory=dict)


class Traveller:
    """Takes sets through a walk.

    Args:
        walk: a proved walk.
        room: how much may travel at once.
        pause: called between calls of blocks; may raise to stop.
        onlooker: watches one set pass.
    """

    def __init__(self, walk: Walk, room: Room, pause: Callable[[], None] = lambda: None, onlooker: Onlooker | None = None) -> None:
        self.walk, self.room, self.pause, self.onlooker = walk, room, pause, onlooker
        self.stack = walk.stack
        self.block_calls = 0.0
        """Passes of one batch through one block so far; a half counts as one half."""

    def decisions(self, removed: UnitSet) -> Decisions:
        """One decision per block."""
        return decisions_of(self.stack, removed)

    @torch.no_grad()
    def travel(
        self, started: Started, sets: Sequence[Decisions], arrive: Arrive, *, saved: Saved | None = None, before: Decisions | None = None
    ) -> None:
        """Runs all sets; `arrive(numbers, states)` gets the states behind the last block as they come, chunk by chunk.

        Args:
            started: the batch in front of the first block.
            sets: sorted, each once.
            arrive: `states` are [n * B, S, d], a view that is overwritten afterwards.
            saved: states kept from earlier chunks and wanted for later ones.
            before: the last set that travelled earlier with the same `saved`.
        """
        saved = saved or Saved()
        chunks = self._chunks(started, sets)
        starts = [start_of(sets[chunk.start : chunk.stop], sets[chunk.start - 1] if chunk.start else before) for chunk in chunks]
        saved.wanted = {*starts, *saved.held}
        buffer = started.state.new_empty((max(len(chunk) for chunk in chunks), *started.state.shape))
        for place, (chunk, start) in enumerate(zip(chunks, starts, strict=True)):
            state, start = (saved.states[start], start) if start in saved.states else (started.state, ())
            self._run_chunk(started, [sets[number] for number in chunk], (state, len(start)), buffer, saved, chunk.start, arrive)
            for prefix in saved.states.keys() - {*starts[place + 1 :], *saved.held}:
                del saved.states[prefix]

    def _chunks(self, started: Started, sets: Sequence[Decisions]) -> list[range]:
        per_stream = started.state.numel() * started.state.element_size()
        size = max(1, self.room.stream_bytes // per_stream)
        return [range(first, min(first + size, len(sets))) for first in range(0, len(sets), size)]

    def _run_chunk(
        self,
        started: Started,
        sets: Sequence[Decisions],
        start: tuple[Tensor, int],
        buffer: Tensor,
        saved: Saved,
        offset: int,
        arrive: Arrive,
    ) -> None:
        state, depth = start
        buffer[0].copy_(state)
        streams = [_Stream(0, 0, len(sets))]
        lengths = {len(wanted) for wanted in saved.wanted}
        for index in range(depth, len(self.stack.blocks)):
            if index in lengths and index > depth:
                self._keep(streams, sets, index, buffer, saved)
            step = self._step(streams, sets, index)
            watched = self._watched(streams, step.streams, sets, index, buffer)
            self._take(started, index, step, buffer, watched)
            streams = step.streams
            if watched is not None and self.onlooker is not None:
                after = next(stream.slot for stream in streams if self._is_watched(sets, stream, index + 1))
                self.onlooker.passed(index, watched.before, buffer[after])
        order = sorted(streams, key=lambda stream: stream.slot)
        arrive([offset + stream.first for stream in order], buffer[: len(order)].flatten(0, 1))

    def _keep(self, streams: Sequence[_Stream], sets: Sequence[Decisions], index: int, buffer: Tensor, saved: Saved) -> None:
        for stream in streams:
            prefix = sets[stream.first][:index]
            if prefix in saved.wanted and prefix not in saved.states:
                saved.states[prefix] = buffer[stream.slot].clone()

    def _step(self, streams: Sequence[_Stream], sets: Sequence[Decisions], index: int) -> _Step:
        step, free = _Step(), len(streams)
        passing = _IN_PASSING.get(self.stack.taps[index].layout, ())
        for stream in streams:
            first, children = stream.first, []
            for decision, members in groupby(sets[stream.first : stream.stop], key=lambda decisions: decisions[index]):
                stop = first + sum(1 for _ in members)
                children.append((decision, first, stop))
                first = stop
            runs = children[-1][0] == RUN
            for decision, first, stop in children[:-1]:
                slot, free = free, free + 1
                step.streams.append(_Stream(slot, first, stop))
                _note(step, decision, stream.slot, slot, in_passing=runs and decision in passing)
            decision, first, stop = children[-1]
            step.streams.append(_Stream(stream.slot, first, stop))
            if runs:
                step.run.append(stream.slot)
            else:
                _note(step, decision, stream.slot, stream.slot, in_passing=False)
        return step

    def _is_watched(self, sets: Sequence[Decisions], stream: _Stream, depth: int) -> bool:
        return self.onlooker is not None and sets[stream.first][:depth] == self.onlooker.decisions[:depth]

    def _watched(
        self, before: Sequence[_Stream], after: Sequence[_Stream], sets: Sequence[Decisions], index: int, buffer: Tensor
    ) -> _Watched | None:
        """The watched set's stream, where it is among these and runs something of the block."""
        if self.onlooker is None or self.onlooker.decisions[index] == GONE:
            return None
        if not any(self._is_watched(sets, stream, index + 1) for stream in after):
            return None
        slot = next(stream.slot for stream in before if self._is_watched(sets, stream, index))
        return _Watched(slot, buffer[slot].clone())

    def _take(self, started: Started, index: int, step: _Step, buffer: Tensor, watched: _Watched | None = None) -> None:
        for source, target in step.copies:
            buffer[target].copy_(buffer[source])
        for decision, moves in sorted(step.parts.items()):  # what stays in its slot is the last of its stream
            targets = dict(moves)
            with left_out(self.stack, _units(decision, index)):
                for group in self._groups(started, sorted(targets)):
                    self._call(started, index, group, buffer, [targets[source] for source in group])
            self.block_calls += len(moves) * (0.0 if decision == NEITHER else 0.5)
        for group in self._groups(started, sorted(step.run)):
            seeing = _seeing(self.stack, index, {source: step.seen[source] for source in group if source in step.seen}, group, buffer)
            with seeing, self._onlooking(index, group, watched):
                self._call(started, index, group, buffer, group)
        self.block_calls += len(step.run)

    def _onlooking(self, index: int, group: Sequence[int], watched: _Watched | None) -> AbstractContextManager[None]:
        if self.onlooker is None or watched is None or watched.slot not in group:
            return nullcontext()
        return self.onlooker.inside(index, watched.before, list(group).index(watched.slot), len(group))

    def _groups(self, started: Started, slots: list[int]) -> Iterator[list[int]]:
        """Slots that go through a block in one call."""
        size = max(1, self.room.call_tokens // started.ids.numel())
        for first in range(0, len(slots), size):
            yield slots[first : first + size]

    def _call(self, started: Started, index: int, sources: list[int], buffer: Tensor, targets: list[int]) -> None:
        self.pause()
        left = self.walk.block(started, index, _slots(buffer, sources)).reshape(len(sources), *buffer.shape[1:])
        place = 0
        for first, stop in _runs(targets):
            buffer[first:stop].copy_(left[place : place + stop - first])
            place += stop - first


def decisions_of(stack: Stack, removed: UnitSet) -> Decisions:
    """What a set does at every block. Both halves of a block are the block where nothing else stands in it."""
    return tuple(_decision(frozenset(removed), index, taps.layout in _EMPTY_WHEN_NEITHER) for index, taps in enumerate(stack.taps))


def _decision(removed: frozenset[UnitRef], index: int, empty_when_neither: bool) -> int:
    if ("block", index) in removed:
        return GONE
    attention, mlp = ("attention", index) in removed, ("mlp", index) in removed
    if attention and mlp:
        return GONE if empty_when_neither else NEITHER
    return NO_ATTENTION if attention else NO_MLP if mlp else RUN


def _units(decision: int, index: int) -> tuple[UnitRef, ...]:
    attention: UnitRef = ("attention", index)
    mlp: UnitRef = ("mlp", index)
    return {NO_ATTENTION: (attention,), NO_MLP: (mlp,), NEITHER: (attention, mlp)}[decision]


def _note(step: _Step, decision: int, source: int, target: int, *, in_passing: bool) -> None:
    if in_passing:
        step.seen.setdefault(source, {})[decision] = target
    elif decision != GONE:
        step.parts.setdefault(decision, []).append((source, target))
    elif source != target:
        step.copies.append((source, target))


def start_of(sets: Sequence[Decisions], before: Decisions | None) -> Decisions:
    """The decisions behind which sorted sets can start: shared by them all, and with the set before them."""
    return sets[0][: min(_shared(sets[0], sets[-1]), 0 if before is None else _shared(sets[0], before))]


def _shared(one: Decisions, other: Decisions) -> int:
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))


def _slots(buffer: Tensor, slots: list[int]) -> Tensor:
    """[n * B, S, d]: a view where the slots follow each other, else a copy."""
    runs = _runs(slots)
    if len(runs) == 1:
        return buffer[runs[0][0] : runs[0][1]].flatten(0, 1)
    return torch.cat([buffer[first:stop] for first, stop in runs]).flatten(0, 1)


def _runs(slots: list[int]) -> list[tuple[int, int]]:
    """The slots in their order as ranges (first, stop) of neighbours."""
    runs: list[tuple[int, int]] = []
    for slot in slots:
        if runs and runs[-1][1] == slot:
            runs[-1] = (runs[-1][0], slot + 1)
        else:
            runs.append((slot, slot + 1))
    return runs


@contextmanager
def _seeing(stack: Stack, index: int, wanted: dict[int, dict[int, int]], group: list[int], buffer: Tensor) -> Iterator[None]:
    """While the block runs over `group`, copies what passes the taps into the slots that want it.

    Args:
        wanted: source slot -> decision -> target slot.
    """
    taps = stack.taps[index]
    with ExitStack() as cleanup:
        for decision in (NO_MLP, NO_ATTENTION):
            moves = [(group.index(source), source, targets[decision]) for source, targets in wanted.items() if decision in targets]
            if not moves:
                continue
            parallel = taps.layout == "parallel"
            tap = (taps.attention if decision == NO_MLP else taps.mlp) if parallel else taps.mid
            assert tap is not None
            cleanup.callback(hooked(tap, _copier(moves, buffer, len(group), parallel)).remove)
        yield


def _copier(moves: list[tuple[int, int, int]], buffer: Tensor, n_streams: int, parallel: bool) -> Callable[[Tensor], None]:
    def copy(value: Tensor) -> None:
        seen = value.reshape(n_streams, *buffer.shape[1:])
        for place, source, target in moves:
            if parallel:
                torch.add(buffer[source], seen[place], out=buffer[target])
            else:
                buffer[target].copy_(seen[place])

    return copy


def hooked(tap: Tap, see: Callable[[Tensor], None]) -> Any:
    """A hook that hands what passes the tap to `see`."""
    if tap.side == "input":
        return tap.module.register_forward_pre_hook(
            lambda _m, args, kwargs: see(first_tensor(args[0] if args else kwargs.get("hidden_states", next(iter(kwargs.values()))))),
            with_kwargs=True,
        )
    return tap.module.register_forward_hook(lambda _m, _args, out: see(first_tensor(out)))
