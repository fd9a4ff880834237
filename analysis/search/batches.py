"""Cuts a workload into batches of examples of like length, and says which states of a batch predict which tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.workload import EncodedExample, scored

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Examples that are run together, padded at the end to the longest.

    Attributes:
        members: indices of the examples in the workload.
        ids: [B, S] token ids.
        mask: [B, S] 1 for a token, 0 for padding.
        rows: [n] places in the flattened [B * S] batch whose states are judged.
        targets: [n] the tokens that those states have to predict.
        owners: [n] which row of the batch each belongs to.
    """

    number: int
    members: tuple[int, ...]
    ids: Ints
    mask: Ints
    rows: Ints
    targets: Ints
    owners: Ints

    @property
    def n_tokens(self) -> int:
        """Tokens run, padding not among them."""
        return int(self.mask.sum())

    @property
    def padded(self) -> bool:
        """Whether any example is shorter than the longest."""
        return not bool(self.mask.all())


def cut_batches(examples: Sequence[EncodedExample], batch_tokens: int, *, causal: bool, seed: int = 0) -> tuple[Batch, ...]:
    """All batches, in an order that has nothing to do with length, so that the first ones stand for all."""
    packed = _packed([len(example.input_ids) for example in examples], batch_tokens)
    order = np.random.default_rng(seed).permutation(len(packed))
    return tuple(_batch(number, packed[place], examples, causal) for number, place in enumerate(order))


def counted(example: EncodedExample, *, causal: bool) -> int:
    """How many tokens of an example are judged."""
    return int(scored(example, causal=causal).sum())


def _packed(lengths: Sequence[int], batch_tokens: int) -> list[tuple[int, ...]]:
    packed: list[tuple[int, ...]] = []
    members: list[int] = []
    for member in sorted(range(len(lengths)), key=lambda number: (lengths[number], number)):
        if members and (len(members) + 1) * lengths[member] > batch_tokens:
            packed.append(tuple(members))
            members = []
        members.append(member)
    return [*packed, tuple(members)] if members else packed


def _batch(number: int, members: tuple[int, ...], examples: Sequence[EncodedExample], causal: bool) -> Batch:
    width = max(len(examples[member].input_ids) for member in members)
    ids = np.zeros((len(members), width), dtype=np.int64)
    mask, counts = np.zeros_like(ids), np.zeros(ids.shape, dtype=bool)
    for row, member in enumerate(members):
        length = len(examples[member].input_ids)
        ids[row, :length], mask[row, :length] = examples[member].input_ids, 1
        counts[row, :length] = scored(examples[member], causal=causal)
    flat = np.flatnonzero(counts)
    return Batch(number, members, ids, mask, flat - 1 if causal else flat, ids.ravel()[flat], flat // width)
