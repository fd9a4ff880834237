"""The uncut model as a teacher: its final states of every training token, taken once before anything is trained.

Embeddings and output head never train, so these states and the head give the teacher's word scores at any time, to the bit: no second
model is needed, and no pass of the uncut model while the cut one trains.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from analysis.contracts import Message
from analysis.errors import ResourceError
from analysis.models.stack import LoadedModel, Stack
from analysis.profiling.stream import Watch
from analysis.surgery.skip import run_on_few_tokens
from analysis.training.prefix_cache import PrefixCache, open_cache
from analysis.verification.batches import Batch, Runner, batch_of
from analysis.workload import EncodedExample

_STAGE = Message(id="Asking the uncut model for its own answers")


@dataclass(frozen=True)
class Teacher:
    """What the uncut model made of the training examples.

    Attributes:
        kept: final states [S_i, d] of each example, final norm included, in memory or in a file.
        seconds: that its passes took.
    """

    kept: PrefixCache
    seconds: float

    @property
    def note(self) -> Message:
        """What it takes."""
        gib = round(self.kept.n_bytes / 2**30, 2)
        if self.kept.kind == "disk":
            return Message(
                id="No second model was held: what the uncut model makes of the training tokens took {gib} GiB on disk.",
                values={"gib": gib},
            )
        return Message(
            id="No second model was held: what the uncut model makes of the training tokens took {gib} GiB of memory.", values={"gib": gib}
        )

    def states(self, members: Sequence[int]) -> Tensor:
        """[B, S, d], padded with zeros to the longest of them."""
        return self.kept.get(members)


@contextmanager
def taught(
    loaded: LoadedModel, stack: Stack, examples: Sequence[EncodedExample], batch_tokens: int, folder: Path | None, watch: Watch
) -> Iterator[Teacher]:
    """Runs the model as it is now over the examples; inside, what it made of them can be asked for.

    Args:
        loaded: the uncut, untrained model.
        stack: the stack that will train.
        examples: in the order in which they will be asked for.
        batch_tokens: padded tokens in a batch.
        folder: for a file, where memory is too small; None: never on disk.
        watch: told how far it is, and asked whether to stop.

    Raises:
        ResourceError: the states fit neither memory nor disk.
        Cancelled: `watch` said so.
    """
    few = run_on_few_tokens(stack)
    lengths = [len(example.input_ids) for example in examples]
    opened = open_cache("auto", None, folder, lengths=lengths, width=few.shape[-1], dtype=few.dtype, device=loaded.device)
    if opened.cache is None:
        raise ResourceError(
            "What the uncut model says to {tokens} training tokens takes {needed} GiB to keep, more than half of the free memory. Train "
            "with the next-token loss alone (--objective next_token), on fewer prompts, or on a machine with more memory.",
            tokens=sum(lengths),
            needed=round(sum(lengths) * few.shape[-1] * few.dtype.itemsize / 2**30, 2),
        )
    try:
        yield Teacher(opened.cache, _fill(opened.cache, Runner(loaded, stack, batch_tokens, watch), examples))
    finally:
        opened.cache.close()


def _fill(kept: PrefixCache, runner: Runner, examples: Sequence[EncodedExample]) -> float:
    sequences = [example.input_ids for example in examples]
    everything = [np.ones(len(ids), dtype=np.bool_) for ids in sequences]
    started = time.perf_counter()

    def run(members: tuple[int, ...]) -> tuple[Batch, Tensor]:
        batch = batch_of(members, sequences, everything, causal=False)
        return batch, runner.states(batch)

    with runner.interruptible():
        for batch, states in runner.all_of([len(ids) for ids in sequences], run, _STAGE):
            parts = torch.split(states, [len(sequences[member]) for member in batch.members])
            for member, part in zip(batch.members.tolist(), parts, strict=True):
                kept.put(member, part)
    if runner.loaded.device.type == "cuda":
        torch.cuda.synchronize(runner.loaded.device)
    return time.perf_counter() - started
