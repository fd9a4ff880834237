"""The streaming pass: run the units through the stack, measure each, add it up; stop, save and go on at any unit."""

from __future__ import annotations

import gc
import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from analysis.contracts import Message, Progress
from analysis.errors import Cancelled, ModelError, ResourceError
from analysis.models.stack import Stack
from analysis.profiling import checkpoint
from analysis.profiling.accumulators import Accumulator, Sums
from analysis.profiling.features import Features
from analysis.profiling.measures import measure_unit, to_device
from analysis.profiling.taps import PairBuffer, Reader, StateChanged, reading
from analysis.profiling.units import Batch, Ints, Unit, batches

SAVE_EVERY_SECONDS = 5.0


@dataclass(frozen=True)
class Saving:
    """Where a pass keeps its checkpoint, and the key that ties it to its inputs."""

    path: Path
    key: str


@dataclass(frozen=True)
class Watch:
    """How a pass talks to whoever waits for it."""

    on_progress: Callable[[Progress], None] = lambda _progress: None
    should_stop: Callable[[], bool] = lambda: False


@dataclass
class Pass:
    """One stack, the units to run, and where their sums go.

    `batch_tokens` is halved, for good, whenever a batch does not fit the memory; results do not change, because
    nothing is added before a whole unit has gone through.
    """

    stack: Stack
    units: Sequence[Unit]
    features: Features
    device: torch.device
    width: int
    dtype: torch.dtype
    batch_tokens: int
    sums: Sequence[Sums]
    others: Sequence[Accumulator] = ()
    watch: Watch = field(default_factory=Watch)
    saving: Saving | None = None
    halvings: int = 0
    seconds: float = 0.0
    tokens: int = 0
    resumed: bool = False
    _started: float = 0.0
    _saved: float = 0.0
    _fresh: int = 0

    def run(self) -> None:
        """Runs all units that are not done yet.

        Raises:
            Cancelled: `watch.should_stop` said so; what was done is saved.
            ResourceError: not even a single example fits the memory.
        """
        first = self._resume()
        self._started = self._saved = time.monotonic()
        reader = Reader(self._buffer(), self._check)
        number = first
        try:
            with torch.no_grad(), reading(self.stack, reader), _bounded_queue(self.device) as wait:
                for number in range(first, len(self.units)):
                    self._run_unit(self.units[number], reader)
                    self._save(number + 1)
                    wait()
        except Cancelled:
            self._save(number, now=True)
            raise self._stopped(number) from None
        self._save(len(self.units), now=True)  # kept until the profile is safely stored: see `checkpoint.forget`
        self.seconds += time.monotonic() - self._started

    def _buffer(self) -> PairBuffer:
        capacity = max((unit.n_slots for unit in self.units), default=0)
        try:
            return PairBuffer.allocate(capacity, self.features.n_blocks, self.width, dtype=self.dtype, device=self.features.device)
        except (MemoryError, RuntimeError) as exc:
            raise _too_large(capacity, exc) from exc

    def _run_unit(self, unit: Unit, reader: Reader) -> None:
        while not self._filled(unit, reader):
            pass  # the unit starts over: with smaller batches, or with copies of a state that was overwritten
        everyone: tuple[Accumulator, ...] = (*self.others, *self.sums)
        try:
            measured = measure_unit(unit, reader.buffer, self.features)
            for accumulator in everyone:
                accumulator.update(measured)
        except (MemoryError, RuntimeError) as exc:
            raise _too_large(unit.n_tokens, exc) from exc
        self.tokens += unit.n_tokens
        self._fresh += unit.n_tokens

    def _filled(self, unit: Unit, reader: Reader) -> bool:
        done = self.tokens
        try:
            for batch in batches(unit, self.batch_tokens):
                self._forward(unit, batch, reader)
                done += sum(len(unit.examples[member].input_ids) for member in batch.members)
                self._report(done)
        except StateChanged:
            return False
        except IndexError as exc:
            raise ModelError(
                "The model could not look up a token or its place in a prompt of up to {tokens} tokens ({reason}). Allow fewer tokens "
                "(--max-tokens), and check that the tokenizer belongs to this model.",
                tokens=max(len(example.input_ids) for example in unit.examples),
                reason=str(exc)[:100],
            ) from exc
        except (MemoryError, RuntimeError) as exc:
            if not out_of_memory(exc):
                raise
            self._halve(unit, exc)
            return False
        return True

    def _forward(self, unit: Unit, batch: Batch, reader: Reader) -> None:
        device = self.device
        ids, mask, rows, slots = _pack(unit, batch)
        reader.rows, reader.slots = to_device(rows, device), to_device(slots, self.features.device)
        inputs: dict[str, object] = {"input_ids": to_device(ids, device)}
        if not mask.all():
            inputs["attention_mask"] = to_device(mask, device)
        if self._takes_use_cache:
            inputs["use_cache"] = False
        self.stack.root(**inputs)

    def _halve(self, unit: Unit, exc: BaseException) -> None:
        widest = max(batch.padded for batch in batches(unit, self.batch_tokens))
        longest = max(len(example.input_ids) for example in unit.examples)
        if widest <= longest:
            raise ResourceError(
                "An example of {tokens} tokens does not fit the memory even on its own. "
                "Allow fewer tokens per example, or use a device with more memory.",
                tokens=longest,
            ) from exc
        self.batch_tokens = max(longest, widest // 2)
        self.halvings += 1
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _check(self) -> None:
        if self.watch.should_stop():
            raise Cancelled("Stopped at your request.")

    def _stopped(self, units: int) -> Cancelled:
        if self.saving is None or units == 0:
            return Cancelled("Stopped at your request.")
        return Cancelled("Stopped at your request. What was measured so far is kept: the same run goes on from there.")

    @cached_property
    def _takes_use_cache(self) -> bool:
        parameters = inspect.signature(self.stack.root.forward).parameters
        return "use_cache" in parameters or self.stack.info.causal

    def _report(self, tokens: int) -> None:
        elapsed = time.monotonic() - self._started
        fresh = self._fresh + tokens - self.tokens
        total = sum(unit.n_tokens for unit in self.units)
        rate = fresh / elapsed if elapsed > 0 else None
        self.watch.on_progress(
            Progress(
                stage=Message(id="Running the workload through the model"),
                done=min(tokens, total),
                total=total,
                tokens_per_second=rate,
                eta_seconds=(total - tokens) / rate if rate else None,
            )
        )

    def _resume(self) -> int:
        if self.saving is None:
            return 0
        done = checkpoint.load(self.saving.path, self.saving.key, checkpoint.names(self.sums))
        if done is None:
            return 0
        self.resumed, self.seconds, self.tokens = done.units > 0, done.seconds, done.tokens
        return done.units

    def _save(self, units: int, *, now: bool = False) -> None:
        clock = time.monotonic()
        if self.saving is None or units == 0 or not (now or clock - self._saved >= SAVE_EVERY_SECONDS):
            return
        done = checkpoint.Done(units=units, seconds=self.seconds + clock - self._started, tokens=self.tokens)
        checkpoint.save(self.saving.path, self.saving.key, done, checkpoint.names(self.sums))
        self._saved = clock


def _pack(unit: Unit, batch: Batch) -> tuple[Ints, Ints, Ints, Ints]:
    """Ids and mask [B, S], padded at the end; and for each real token its place in the batch and in the buffer."""
    ids = np.zeros((len(batch.members), batch.width), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, member in enumerate(batch.members):
        length = len(unit.examples[member].input_ids)
        ids[row, :length] = unit.examples[member].input_ids
        mask[row, :length] = 1
    slots = np.concatenate([unit.slots[member] for member in batch.members])
    return ids, mask, np.flatnonzero(mask), slots


def _too_large(tokens: int, exc: BaseException) -> BaseException:
    """The refusal to measure that many tokens together; any other failure as it is."""
    if not out_of_memory(exc):
        return exc
    return ResourceError(
        "There is not enough memory to measure {tokens} tokens at a time. Allow only shorter prompts, choose bfloat16, or use a "
        "device with more memory.",
        tokens=tokens,
    )


def out_of_memory(exc: BaseException) -> bool:
    """Whether an error of torch or the system says that memory ran out."""
    if isinstance(exc, MemoryError | torch.OutOfMemoryError):
        return True
    said = str(exc).lower()
    return "out of memory" in said or "can't allocate memory" in said or "not enough memory" in said


@contextmanager
def _bounded_queue(device: torch.device) -> Iterator[Callable[[], None]]:
    """A wait that keeps a GPU at most two units behind, so that progress and cancel mean something."""
    if device.type != "cuda":
        yield lambda: None
        return
    events: list[torch.cuda.Event] = []

    def wait() -> None:
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        events.append(event)
        if len(events) > 2:
            events.pop(0).synchronize()

    yield wait
    torch.cuda.synchronize(device)
