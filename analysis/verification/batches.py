"""Examples of like length run together, and which states of a batch are judged; a batch that does not fit is halved."""

from __future__ import annotations

import gc
import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from analysis.contracts import Message, Progress
from analysis.errors import Cancelled, ModelError, ResourceError
from analysis.models import estimate
from analysis.models.stack import LoadedModel, Stack
from analysis.profiling.run import memory_bytes
from analysis.profiling.stream import Watch, out_of_memory
from analysis.workload import EncodedExample

Ints = npt.NDArray[np.int64]
T = TypeVar("T")
Item = TypeVar("Item")
_ASK_EVERY_SECONDS = 0.25


@dataclass(frozen=True)
class Batch:
    """Examples that are run together, padded at the end to the longest.

    Attributes:
        members: indices of the examples.
        ids: [B, S].
        mask: [B, S] 1 for a token, 0 for padding.
        rows: [n] places in the flattened [B * S] batch whose states are judged.
        targets: [n] the tokens that those states should predict.
        owners: [n] the example each belongs to.
    """

    members: Ints
    ids: Ints
    mask: Ints
    rows: Ints
    targets: Ints
    owners: Ints


def packed(lengths: Sequence[int], batch_tokens: int) -> list[tuple[int, ...]]:
    """Indices by length, packed so that a batch holds at most `batch_tokens`, padding included.

    >>> packed([5, 2, 3], 6)
    [(1, 2), (0,)]
    """
    found: list[tuple[int, ...]] = []
    members: list[int] = []
    for member in sorted(range(len(lengths)), key=lambda number: (lengths[number], number)):
        if members and (len(members) + 1) * lengths[member] > batch_tokens:
            found.append(tuple(members))
            members = []
        members.append(member)
    return [*found, tuple(members)] if members else found


def padded(sequences: Sequence[Ints], *, left: bool = False) -> tuple[Ints, Ints]:
    """Ids and mask [B, S] of token sequences; padding is 0 and stands at the end, or in front."""
    width = max(len(sequence) for sequence in sequences)
    ids = np.zeros((len(sequences), width), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        place = slice(width - len(sequence), width) if left else slice(0, len(sequence))
        ids[row, place], mask[row, place] = sequence, 1
    return ids, mask


def batch_of(members: Sequence[int], sequences: Sequence[Ints], judged: Sequence[npt.NDArray[np.bool_]], *, causal: bool) -> Batch:
    """A batch of some sequences; `judged` says which of their tokens are judged.

    A causal model predicts a token from the state before it, others from the token's own.
    """
    ids, mask = padded([sequences[member] for member in members])
    counts = np.zeros(ids.shape, dtype=bool)
    for row, member in enumerate(members):
        counts[row, : len(sequences[member])] = judged[member]
    flat = np.flatnonzero(counts)
    chosen = np.asarray(members, dtype=np.int64)
    return Batch(chosen, ids, mask, flat - 1 if causal else flat, ids.ravel()[flat], chosen[flat // ids.shape[1]])


def default_batch_tokens(loaded: LoadedModel, stack: Stack) -> int:
    """Padded tokens in a batch, by device: as many as a profile runs at once."""
    on_cpu = loaded.device.type != "cuda"
    per_token = (stack.info.n_blocks + 1) * loaded.info.hidden_size * loaded.dtype.itemsize
    unit = estimate.unit_tokens(loaded.info, per_token, on_cpu=on_cpu, device_bytes=memory_bytes(loaded.device))
    return estimate.batch_tokens(unit, on_cpu=on_cpu)


@dataclass
class Runner:
    """Runs one stack on batches, tells how far it is, stops when asked, and halves what does not fit.

    `batch_tokens` is halved for good; results do not change, because a batch counts only when all of it went through.
    """

    loaded: LoadedModel
    stack: Stack
    batch_tokens: int
    watch: Watch = field(default_factory=Watch)
    halvings: int = 0

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Inside, every layer asks whether to go on, so that stopping never waits for a whole batch."""
        asked = time.monotonic()

        def ask(*_: object) -> None:
            nonlocal asked
            if time.monotonic() - asked >= _ASK_EVERY_SECONDS:
                asked = time.monotonic()
                self.check()

        with ExitStack() as cleanup:
            for block in self.stack.blocks:
                cleanup.callback(block.register_forward_pre_hook(ask).remove)
            yield

    def check(self) -> None:
        """Raises Cancelled when whoever waits said so."""
        if self.watch.should_stop():
            raise Cancelled("Stopped at your request.")

    def all_of(self, lengths: Sequence[int], run: Callable[[tuple[int, ...]], T], stage: Message, *, room: int = 1) -> Iterator[T]:
        """What `run` gives for each batch of indices, shortest first.

        Args:
            lengths: tokens of each sequence.
            run: given the indices of a batch.
            stage: what is being done.
            room: times the usual tokens in a batch, where a pass holds few of them at a time.

        Raises:
            Cancelled: whoever waits said so.
            ResourceError: one of them does not fit the memory even alone.
        """
        waiting = packed(lengths, room * self.batch_tokens)[::-1]
        clock = _Clock(self.watch, stage, sum(lengths))
        while waiting:
            self.check()
            clock.tell()
            members = waiting.pop()
            try:
                result = run(members)
            except (MemoryError, RuntimeError) as exc:
                if not out_of_memory(exc):
                    raise
                self._halve(lengths, members, room, exc)
                left = [member for batch in (*waiting, members) for member in batch]
                again = packed([lengths[member] for member in left], room * self.batch_tokens)
                waiting = [tuple(left[place] for place in batch) for batch in again][::-1]
                continue
            clock.done += sum(lengths[member] for member in members)
            yield result
        clock.tell()

    def _halve(self, lengths: Sequence[int], members: Sequence[int], room: int, exc: BaseException) -> None:
        longest = max(lengths[member] for member in members)
        if len(members) == 1:
            raise ResourceError(
                "An example of {tokens} tokens does not fit the memory even on its own. "
                "Allow fewer tokens per example, or use a device with more memory.",
                tokens=longest,
            ) from exc
        self.batch_tokens = max(1, max(longest, len(members) * longest // 2) // room)
        self.halvings += 1
        gc.collect()
        if self.loaded.device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.no_grad()
    def states(self, batch: Batch) -> Tensor:
        """Final states of the judged places: [n, d], the stack's final norm included."""
        device = self.loaded.device
        inputs: dict[str, Any] = {"input_ids": torch.from_numpy(batch.ids).to(device)}
        if not batch.mask.all():
            inputs["attention_mask"] = torch.from_numpy(batch.mask).to(device)
        if self._takes_use_cache:
            inputs["use_cache"] = False
        try:
            final: Tensor = self.stack.root(**inputs)[0]
        except IndexError as exc:
            raise ModelError(
                "The model could not look up a token or its place in a prompt of up to {tokens} tokens ({reason}). Allow fewer tokens "
                "(--max-tokens), and check that the tokenizer belongs to this model.",
                tokens=batch.ids.shape[1],
                reason=str(exc)[:100],
            ) from exc
        return final.flatten(0, 1)[torch.from_numpy(batch.rows).to(final.device)]

    @cached_property
    def _takes_use_cache(self) -> bool:
        return "use_cache" in inspect.signature(self.stack.root.forward).parameters or self.stack.info.causal


@dataclass
class _Clock:
    """Tokens done, tokens a second, and how long the rest takes."""

    watch: Watch
    stage: Message
    total: int
    done: int = 0
    started: float = field(default_factory=time.monotonic)

    def tell(self) -> None:
        spent = time.monotonic() - self.started
        rate = self.done / spent if self.done and spent > 0 else None
        self.watch.on_progress(
            Progress(
                stage=self.stage,
                done=self.done,
                total=self.total,
                tokens_per_second=rate,
                eta_seconds=(self.total - self.done) / rate if rate else None,
            )
        )


def examples_of(examples: Sequence[EncodedExample]) -> list[Ints]:
    """The token ids of each example."""
    return [example.input_ids for example in examples]
