"""Which token positions are looked at, which prompts are kept for judging, and which positions are of one kind."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from analysis.contracts import Message
from analysis.models.memory import available_bytes
from analysis.search.batches import Batch, Ints
from analysis.workload import EncodedExample

MEMORY_SHARE = 0.2
"""Of what is free, for the features themselves; the distances between them need several times as much."""
_FEATURE_BYTES = 4


@dataclass(frozen=True, eq=False)
class Positions:
    """N places of tokens, in the order of their examples.

    Attributes:
        examples: [N] index of the example.
        places: [N] place of the token in it.
    """

    examples: Ints
    places: Ints

    def __len__(self) -> int:
        return len(self.examples)

    def of_batch(self, batch: Batch) -> tuple[Ints, Ints]:
        """Which of the positions a batch holds, and their places in it, flattened [B * S]."""
        rows = {member: row for row, member in enumerate(batch.members)}
        numbers = np.flatnonzero(np.isin(self.examples, batch.members))
        width = batch.ids.shape[1]
        flat = np.array([rows[int(self.examples[number])] * width + int(self.places[number]) for number in numbers], dtype=np.int64)
        return numbers.astype(np.int64), flat


def draw_positions(examples: Sequence[EncodedExample], most: int, seed: int = 0) -> Positions:
    """At most so many tokens of prompt and response, as evenly over the prompts as their lengths allow.

    The first token of a text is never drawn. Which tokens of a prompt are drawn depends on its own text and the seed alone.
    """
    allowed = [np.flatnonzero(example.kinds[1:]) + 1 for example in examples]
    share = _even_share([len(places) for places in allowed], most)
    drawn = [_some(places, quota, example, seed) for places, quota, example in zip(allowed, share, examples, strict=True)]
    owners = np.repeat(np.arange(len(examples)), [len(places) for places in drawn])
    return Positions(owners.astype(np.int64), np.concatenate([*drawn, np.zeros(0)]).astype(np.int64))


def affordable(asked: int, n_candidates: int, width: int, device: torch.device) -> tuple[int, Message | None]:
    """How many positions fit the memory next to everything else, and the sentence when that is fewer than asked."""
    free = available_bytes(device)
    each = (n_candidates + 1) * width * _FEATURE_BYTES
    most = asked if free is None else max(1, int(MEMORY_SHARE * free / each))
    if most >= asked:
        return asked, None
    return most, Message(
        id=(
            "The distances between final states look at {n} token positions instead of {asked}: more do not fit the memory. Free some, or "
            "rank fewer layers."
        ),
        values={"n": most, "asked": asked},
    )


def judging_prompts(examples: Sequence[EncodedExample], share: float) -> npt.NDArray[np.bool_]:
    """[P] the share of the prompts that fitted members are judged on; the prompt's own text decides."""
    hashed = [hashlib.sha256(b"strata consensus test v1:" + example.example_id.encode()).digest() for example in examples]
    n_test = min(math.ceil(share * len(examples)), len(examples) - 1)
    chosen = np.zeros(len(examples), dtype=bool)
    chosen[sorted(range(len(examples)), key=lambda place: hashed[place])[:n_test]] = True
    return chosen


def _even_share(lengths: Sequence[int], most: int) -> list[int]:
    """The same number from each, short ones all they have, summing to `most` where there is as much."""
    left, quota, share = most, 0, [0] * len(lengths)
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    for done, place in enumerate(order):
        quota = left // (len(order) - done)
        share[place] = min(lengths[place], quota)
        left -= share[place]
    return share


def _some(places: npt.NDArray[np.int64], quota: int, example: EncodedExample, seed: int) -> npt.NDArray[np.int64]:
    if quota >= len(places):
        return places
    random = np.random.default_rng([int(example.example_id[:16], 16), seed])
    return np.sort(random.choice(places, quota, replace=False))
