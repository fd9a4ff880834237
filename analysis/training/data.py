"""What an arm trains on: examples with a response, a tuning part kept back, and which of them make each optimiser step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.contracts import Message
from analysis.errors import WorkloadError
from analysis.verification.batches import Batch, batch_of
from analysis.workload import RESPONSE, EncodedExample, EncodedWorkload

Learned = Callable[[EncodedExample], NDArray[np.bool_]]
"""bool [S]: which tokens of an example are learnt, or judged."""


@dataclass(frozen=True)
class Parts:
    """The calibration half of a workload, as training uses it.

    Attributes:
        train: what arms learn from.
        tuning: kept back; learning rates and stops are chosen by it.
        notes: what was left out, and why.
    """

    train: tuple[EncodedExample, ...]
    tuning: tuple[EncodedExample, ...]
    notes: tuple[Message, ...] = ()

    @property
    def tokens(self) -> int:
        """Of the training examples, prompts included."""
        return sum(len(example.input_ids) for example in self.train)


def learned_tokens(example: EncodedExample) -> NDArray[np.bool_]:
    """bool [S]: tokens whose prediction is learnt: those of the response, unless nothing stands before them."""
    counts: NDArray[np.bool_] = np.equal(example.kinds, RESPONSE)
    counts[:1] = False
    return counts


def split_examples(encoded: EncodedWorkload, tuning_share: float, seed: int) -> Parts:
    """Keeps a part of the training examples back, chosen by their text alone, so that their order does not matter.

    Examples of the same tokens stay together. Verification examples cannot get here: they belong to the other half.

    Args:
        encoded: the calibration half.
        tuning_share: share of the different examples that is kept back; above 0 at least one, and at least one is left to train on.
        seed: another one keeps others back.

    Raises:
        WorkloadError: no example has a response token to learn.
    """
    usable = [example for example in encoded.examples if learned_tokens(example).any()]
    if not usable:
        raise _nothing_to_learn(encoded)
    return Parts(*parted(usable, tuning_share, seed), _left_out(encoded, usable))


def parted(examples: Sequence[EncodedExample], share: float, seed: int) -> tuple[tuple[EncodedExample, ...], tuple[EncodedExample, ...]]:
    """(the others, a share of the different examples that is kept back), chosen by their text alone."""
    kept_back = _chosen({_digest(example, seed) for example in examples}, share)
    others = tuple(example for example in examples if _digest(example, seed) not in kept_back)
    return others, tuple(example for example in examples if _digest(example, seed) in kept_back)


def schedule(n_examples: int, batch_size: int, seed: int, *, epochs: int, n_steps: int | None = None) -> tuple[tuple[int, ...], ...]:
    """The examples of every optimiser step: each epoch sees all of them once, in an order of its own.

    >>> [sorted(step) for step in schedule(3, 3, 0, epochs=2)]
    [[0, 1, 2], [0, 1, 2]]
    """
    steps: list[tuple[int, ...]] = []
    draw, wanted = np.random.default_rng(seed), n_steps or epochs * steps_in_epoch(n_examples, batch_size)
    while len(steps) < wanted:
        order = draw.permutation(n_examples)
        steps += [tuple(map(int, order[start : start + batch_size])) for start in range(0, n_examples, batch_size)]
    return tuple(steps[:wanted])


def steps_in_epoch(n_examples: int, batch_size: int) -> int:
    """Optimiser steps until every example was seen once."""
    return -(-n_examples // batch_size)


@dataclass(frozen=True)
class TrainingSet:
    """Examples ready to be put into batches.

    Attributes:
        examples: to learn from.
        learned: which of their tokens; as a rule those of the response.
    """

    examples: tuple[EncodedExample, ...]
    learned: Learned = learned_tokens

    def __post_init__(self) -> None:
        object.__setattr__(self, "_sequences", [example.input_ids for example in self.examples])
        object.__setattr__(self, "_judged", [self.learned(example) for example in self.examples])
        object.__setattr__(self, "_weights", np.array([example.weight for example in self.examples], dtype=np.float64))

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        return [len(example.input_ids) for example in self.examples]

    def tokens(self, members: Sequence[int]) -> int:
        """Of some examples, padding not counted."""
        return sum(len(self.examples[member].input_ids) for member in members)

    def micro_batches(self, members: Sequence[int], size: int) -> list[tuple[Batch, NDArray[np.float64]]]:
        """A step's examples in passes of at most `size`, like lengths together, and [n] the share of the step's loss of each token."""
        order = sorted(members, key=lambda member: (len(self.examples[member].input_ids), member))
        batches = [self.batch(order[start : start + size]) for start in range(0, len(order), size)]
        weights: NDArray[np.float64] = vars(self)["_weights"]
        total = sum(float(weights[batch.owners].sum()) for batch in batches)
        return [(batch, weights[batch.owners] / total) for batch in batches]

    def batch(self, members: Sequence[int]) -> Batch:
        """Examples padded at the end, with the places that predict their response tokens."""
        return batch_of(members, vars(self)["_sequences"], vars(self)["_judged"], causal=True)

    def largest(self, steps: Sequence[Sequence[int]], size: int) -> tuple[int, ...]:
        """The examples of the pass with the most padded tokens."""
        passes = []
        for members in steps:
            order = sorted(members, key=lambda member: (len(self.examples[member].input_ids), member))
            passes += [tuple(order[start : start + size]) for start in range(0, len(order), size)]
        return max(passes, key=lambda chosen: len(chosen) * max(len(self.examples[member].input_ids) for member in chosen))


def _digest(example: EncodedExample, seed: int) -> bytes:
    content = example.input_ids.astype("<i8").tobytes() + example.kinds.tobytes()
    return hashlib.blake2b(content, digest_size=16, key=str(seed).encode()).digest()


def _chosen(digests: set[bytes], share: float) -> frozenset[bytes]:
    if share <= 0 or len(digests) < 2:
        return frozenset()
    n = min(max(round(share * len(digests)), 1), len(digests) - 1)
    return frozenset(sorted(digests)[:n])


def _left_out(encoded: EncodedWorkload, usable: Sequence[EncodedExample]) -> tuple[Message, ...]:
    """Why examples do not take part: they have no response, or cutting took it away."""
    kept = {id(example) for example in usable}
    out = [example for example in encoded.examples if id(example) not in kept]
    cut = sum(1 for example in out if example.n_cut)
    messages = []
    if len(out) > cut:
        messages.append(
            Message(
                id="Training examples left out because they have no response: {n} of {total}.",
                values={"n": len(out) - cut, "total": len(encoded.examples)},
            )
        )
    if cut:
        messages.append(
            Message(
                id="Training examples left out because no token of their response is left after cutting: {n} of {total}.",
                values={"n": cut, "total": len(encoded.examples)},
            )
        )
    return tuple(messages)


def _nothing_to_learn(encoded: EncodedWorkload) -> WorkloadError:
    cut = sum(1 for example in encoded.examples if example.n_cut)
    if cut:
        return WorkloadError(
            "No token of any response is left to train on: {cut} of {total} examples were cut before their response ends. "
            "Allow more tokens (--max-tokens).",
            cut=cut,
            total=len(encoded.examples),
        )
    return WorkloadError(
        "None of the {total} training examples has a response, and training learns from responses only. "
        "Give a workload with responses (--map response=COLUMN).",
        total=len(encoded.examples),
    )
