"""Cuts a workload into units: the atoms of a profile, whatever the batch size, the order or the number of machines.

A unit is a run of examples in content-hash order whose tokens fit the pair buffer. All statistics are taken unit by
unit, so units can be computed anywhere, in any order, again after a crash, and their sums added. Inside a unit every
token has a slot in the buffer: counted tokens first, ordered by slice, so that CKA minibatches are strided views of
the buffer: token i goes to minibatch i mod k, which spreads every example and every slice over all minibatches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.workload import PROMPT, RESPONSE, EncodedExample

LAST = 4
"""Kind index of an example's last counted token, beside the workload's kinds and SINK."""
SINK = 3
N_KINDS = 5
MIN_MINIBATCH = 8

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MinibatchView:
    """CKA minibatches of `n_tokens` tokens: slots start, start + 1, ... are dealt out to `count` minibatches of `size`.

    `size` is rounded up to a multiple of 8, so the view may reach past the last token; what lies there is masked.
    """

    name: str
    start: int
    n_tokens: int
    count: int
    size: int

    @property
    def stop(self) -> int:
        """One past the last slot of the view."""
        return int(self.start + self.count * self.size)


@dataclass(frozen=True)
class Unit:
    """Examples that go through the buffer together. Slot arrays are [T], T the unit's tokens."""

    number: int
    first_example: int
    examples: tuple[EncodedExample, ...]
    slots: tuple[Ints, ...]
    slot_example: Ints
    slot_position: Ints
    slot_kind: Ints
    slot_last: npt.NDArray[np.bool_]
    minibatches: MinibatchView | None
    slice_minibatches: tuple[MinibatchView, ...]

    @property
    def n_tokens(self) -> int:
        """Tokens of the unit, padding not among them."""
        return len(self.slot_example)

    @property
    def n_slots(self) -> int:
        """Slots that the unit's tokens and minibatch views reach."""
        views = (*self.slice_minibatches, *((self.minibatches,) if self.minibatches else ()))
        stops: list[int] = [view.stop for view in views]
        return max([self.n_tokens, *stops])


@dataclass(frozen=True)
class Batch:
    """Examples of a unit that are run together, padded to the longest. `members` are indices into the unit."""

    members: tuple[int, ...]
    width: int

    @property
    def padded(self) -> int:
        """Tokens run, padding included."""
        return len(self.members) * self.width


def cut_units(examples: Sequence[EncodedExample], unit_tokens: int, minibatch: int) -> list[Unit]:
    """All units of a workload, in order. An example longer than `unit_tokens` is a unit of its own."""
    units: list[Unit] = []
    start, filled = 0, 0
    for index, example in enumerate(examples):
        length = len(example.input_ids)
        if index > start and filled + length > unit_tokens:
            units.append(_unit(len(units), start, tuple(examples[start:index]), minibatch))
            start, filled = index, 0
        filled += length
    if start < len(examples):
        units.append(_unit(len(units), start, tuple(examples[start:]), minibatch))
    return units


def _unit(number: int, first_example: int, examples: tuple[EncodedExample, ...], minibatch: int) -> Unit:
    lengths = [len(example.input_ids) for example in examples]
    example_of = np.repeat(np.arange(len(examples)), lengths)
    position = np.concatenate([np.arange(length) for length in lengths])
    kind = np.concatenate([example.kinds for example in examples]).astype(np.int64)
    names = sorted({example.slice for example in examples})
    slice_of = np.array([names.index(example.slice) for example in examples])[example_of]
    counted = np.isin(kind, (PROMPT, RESPONSE)) & (position > 0)
    order = np.lexsort((position, example_of, slice_of, ~counted))
    slot_of = np.empty(len(order), dtype=np.int64)
    slot_of[order] = np.arange(len(order))
    return Unit(
        number=number,
        first_example=first_example,
        examples=examples,
        slots=tuple(np.split(slot_of, np.cumsum(lengths)[:-1])),
        slot_example=example_of[order],
        slot_position=position[order],
        slot_kind=kind[order],
        slot_last=_last_counted(example_of, counted, len(examples))[order],
        minibatches=_view("overall", 0, int(counted.sum()), minibatch),
        slice_minibatches=_slice_views(names, slice_of[order], counted[order], minibatch),
    )


def _last_counted(example_of: Ints, counted: npt.NDArray[np.bool_], n_examples: int) -> npt.NDArray[np.bool_]:
    last = np.full(n_examples, -1, dtype=np.int64)
    where = np.flatnonzero(counted)
    last[example_of[where]] = where
    flags = np.zeros(len(example_of), dtype=bool)
    flags[last[last >= 0]] = True
    return flags


def _slice_views(names: list[str], slice_of: Ints, counted: npt.NDArray[np.bool_], minibatch: int) -> tuple[MinibatchView, ...]:
    sizes = np.bincount(slice_of[counted], minlength=len(names))
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    views = (_view(name, int(start), int(size), minibatch) for name, start, size in zip(names, starts, sizes, strict=True))
    return tuple(view for view in views if view is not None)


def _view(name: str, start: int, n_tokens: int, minibatch: int) -> MinibatchView | None:
    if n_tokens < MIN_MINIBATCH:
        return None
    count = max(1, round(n_tokens / minibatch))
    size = -(-n_tokens // (8 * count)) * 8
    return MinibatchView(name, start, n_tokens, count, size)


def batches(unit: Unit, batch_tokens: int) -> Iterator[Batch]:
    """The unit's examples sorted by length and packed so that a batch holds at most `batch_tokens`, padding included."""
    order = sorted(range(len(unit.examples)), key=lambda member: len(unit.examples[member].input_ids))
    members: list[int] = []
    for member in order:
        width = len(unit.examples[member].input_ids)
        if members and (len(members) + 1) * width > batch_tokens:
            yield Batch(tuple(members), len(unit.examples[members[-1]].input_ids))
            members = []
        members.append(member)
    if members:
        yield Batch(tuple(members), len(unit.examples[members[-1]].input_ids))
