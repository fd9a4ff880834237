"""Losses of sets of removed units over a workload: measured together, remembered, and compared prompt by prompt."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from analysis.contracts import MeasuredSet, Message, Objective, Progress, SearchSettings, UnitSet
from analysis.errors import Cancelled, ResourceError, WorkloadError
from analysis.models.head import Head
from analysis.models.stack import LoadedModel
from analysis.profiling.stream import Watch, out_of_memory
from analysis.search.batches import Batch, counted, cut_batches
from analysis.search.care import asking, check_vocabulary, overflowed, without_dropout
from analysis.search.judge import Judge
from analysis.search.paired import Sums, interval, paired
from analysis.search.room import Pace, room_for
from analysis.search.travel import RUN, Decisions, Room, Saved, Traveller, start_of
from analysis.search.walk import Walk
from analysis.search.witness import Witness
from analysis.surgery.skip import left_out
from analysis.workload import EncodedWorkload

UNTOUCHED: UnitSet = ()
_SANE_SECONDS = 0.5
"""No speed is told before: the first calls warm up, and what is left would be guessed many times too long."""
_OVERFLOWED = 1e6
"""Stands for the loss of an example whose numbers overflowed: no set with it is ever chosen."""

_IN_SIGHT = Message(
    id=(
        "This model sees the whole text at once, so its loss says how well it names each token that it has in sight. Compare sets by it "
        "only."
    )
)


@dataclass
class Tally:
    """What was run so far, in passes of all calibration tokens; a half counts as half a block."""

    block_calls: float = 0.0
    head_passes: float = 0.0
    seconds: float = 0.0

    def since(self, earlier: Tally) -> Tally:
        """What came on top of an earlier tally."""
        return Tally(self.block_calls - earlier.block_calls, self.head_passes - earlier.head_passes, self.seconds - earlier.seconds)

    def copy(self) -> Tally:
        """The tally as it stands."""
        return Tally(self.block_calls, self.head_passes, self.seconds)


@dataclass
class _Work:
    """Progress of one call of the measurer, in tokens of single sets."""

    stage: Message
    total: int
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)
    """When progress was last told."""

    def progress(self, under_way: int = 0) -> Progress:
        """How far it is, with `under_way` tokens on top of what is done."""
        self.said = time.monotonic()
        elapsed, done = self.said - self.started, min(self.done + under_way, self.total)
        rate = done / elapsed if (elapsed >= _SANE_SECONDS and done) or (elapsed > 0 and done == self.total) else None
        eta = (self.total - done) / rate if rate else None
        return Progress(stage=self.stage, done=done, total=self.total, tokens_per_second=rate, eta_seconds=eta)


class Measurer:
    """Measures sets of removed units on one workload, each once.

    Args:
        loaded: the model.
        encoded: the examples to run.
        settings: resolved settings.
        watch: told of progress, asked whether to stop.
        known: sets measured before, on the same tokens.
        on_group: called after each group of sets that is complete.
        naive: run one set at a time through the model's own forward, for comparison.
        walk: a walk of the same stack that was proved before.
        witness: sees token losses and final states.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        encoded: EncodedWorkload,
        settings: SearchSettings,
        *,
        watch: Watch | None = None,
        known: Iterable[MeasuredSet] = (),
        on_group: Callable[[], None] = lambda: None,
        naive: bool = False,
        walk: Walk | None = None,
        witness: Witness | None = None,
    ) -> None:
        self.loaded, self.settings, self.watch = loaded, settings, watch or Watch()
        self.stack = loaded.stack(settings.stack)
        self.head = Head(loaded, self.stack)
        self.objective: Objective = "loss" if self.head.exists else "state_change"
        causal = self.stack.info.causal and self.objective == "loss"
        self.examples = tuple(example for example in encoded.examples if counted(example, causal=causal))
        if not self.examples:
            raise WorkloadError("No token of this workload can be predicted from the ones before it. Give prompts of two words or more.")
        check_vocabulary(loaded, max(int(example.input_ids.max()) for example in self.examples))
        counts = np.array([counted(example, causal=causal) for example in self.examples], dtype=np.float64)
        self.n_tokens = int(counts.sum())
        self.weights = np.array([example.weight for example in self.examples], dtype=np.float64)
        self.per_example = counts * self.weights
        self.found: dict[UnitSet, MeasuredSet] = {measured.removed: measured for measured in known}
        self.sums: dict[UnitSet, Sums] = {}
        self.tally = Tally()
        self.on_group, self.kept = on_group, False
        self.walk, self.witness = walk or Walk(loaded, self.stack), witness
        self.naive = naive
        self.notes: list[Message] = [] if causal or self.objective == "state_change" else [_IN_SIGHT]
        self.room, batch_tokens = room_for(loaded, self.stack, settings, sum(len(example.input_ids) for example in self.examples))
        self.batches = cut_batches(self.examples, batch_tokens, causal=causal, seed=settings.seed)
        self.run_tokens = sum(batch.n_tokens for batch in self.batches)
        self._causal = causal
        self._pace = Pace(loaded.device, self._check)
        self.untouched: dict[int, Tensor] = {}
        """Batch number -> the untouched model's final states, where sets are held against them."""

    # -- asking ----------------------------------------------------------------------------------------------------

    @property
    def base_loss(self) -> float:
        """The untouched model's loss."""
        return self.measure([UNTOUCHED], Message(id="Running the untouched model"))[UNTOUCHED].loss

    def measure(self, sets: Iterable[UnitSet], stage: Message) -> dict[UnitSet, MeasuredSet]:
        """The losses of these sets over all tokens; those that are known are not run again."""
        asked = list(dict.fromkeys(sets))
        missing = [removed for removed in asked if removed not in self.found]
        if missing and UNTOUCHED not in self.sums and self.objective == "state_change":
            self.complete([UNTOUCHED], stage)  # what every other set is held against, token by token
        if missing:
            self.complete([*((UNTOUCHED,) if UNTOUCHED not in self.sums else ()), *(r for r in missing if r != UNTOUCHED)], stage)
        return {removed: self.found[removed] for removed in asked}

    def complete(self, sets: Sequence[UnitSet], stage: Message) -> None:
        """Runs sets over the batches they have not seen yet."""
        self.run(sets, self.batches, stage)
        self._settle(sets)

    def run(self, sets: Sequence[UnitSet], batches: Sequence[Batch], stage: Message) -> None:
        """Runs sets over some of the batches, adding to `sums`; what was run before is left out.

        Raises:
            Cancelled: the watch said so; finished groups are kept.
            ResourceError: not even one set of one example fits the memory.
        """
        started = time.monotonic()
        by_need: dict[tuple[int, ...], list[UnitSet]] = {}
        for removed in sets:
            need = tuple(place for place, batch in enumerate(batches) if not self._ran(removed, batch))
            if need:
                by_need.setdefault(need, []).append(removed)
        work = _Work(stage, sum(len(chosen) * batches[place].n_tokens for need, chosen in by_need.items() for place in need))
        try:
            with without_dropout(self.loaded.model):
                for need, chosen in by_need.items():
                    self._run_group_by_group(chosen, [batches[place] for place in need], work)
        except Cancelled:
            raise self._stopped() from None
        finally:
            self.tally.seconds += time.monotonic() - started

    def change(self, removed: UnitSet, against: UnitSet = UNTOUCHED) -> tuple[float, float, int]:
        """Mean difference per token between two sets over the batches both have seen, its standard error, and the prompts."""
        one, other = self.sums[removed], self.sums[against]
        both = ~(np.isnan(one) | np.isnan(other))
        return paired(one[both] - other[both], self.per_example[both])

    def _ran(self, removed: UnitSet, batch: Batch) -> bool:
        sums = self.sums.get(removed)
        return sums is not None and not bool(np.isnan(sums[list(batch.members)]).any())

    def _settle(self, sets: Iterable[UnitSet]) -> None:
        """Sets that have seen everything become results."""
        for removed in sets:
            sums = self.sums[removed]
            if removed in self.found or bool(np.isnan(sums).any()):
                continue
            loss = float(sums.sum() / self.per_example.sum())
            change, error, n = self.change(removed)
            self.found[removed] = MeasuredSet(
                removed=removed, loss=loss, change=change, interval=interval(change, error, n), n_tokens=self.n_tokens
            )

    # -- running ---------------------------------------------------------------------------------------------------

    def _run_group_by_group(self, sets: Sequence[UnitSet], batches: Sequence[Batch], work: _Work) -> None:
        if not self.walk.proved and not self.naive:
            self._prove()
        if self.naive:
            for removed in sets:
                self._run_naive(removed, batches, work)
                self._after_group([removed], batches)
            return
        traveller = Traveller(self.walk, self.room, self._pace.step)
        by_decisions: dict[Decisions, list[UnitSet]] = {}
        for removed in sets:
            by_decisions.setdefault(traveller.decisions(removed), []).append(removed)
        groups = _groups(sorted(by_decisions), self.room.group_sets)
        befores = [_before(groups, number) for number in range(len(groups))]
        starts = [start_of(group, before) for group, before in zip(groups, befores, strict=True)]
        saved = {batch.number: Saved() for batch in batches}
        for number, (group, before) in enumerate(zip(groups, befores, strict=True)):
            held = set(starts[number + 1 :])
            for batch in batches:
                saved[batch.number].held = held
                self._run_batch(batch, group, by_decisions, (saved[batch.number], before), work)
                work.done += batch.n_tokens * sum(len(by_decisions[decisions]) for decisions in group)
                self.watch.on_progress(work.progress())
            self._after_group([removed for decisions in group for removed in by_decisions[decisions]], batches)

    def _run_batch(
        self,
        batch: Batch,
        group: Sequence[Decisions],
        sets: dict[Decisions, list[UnitSet]],
        kept: tuple[Saved, Decisions | None],
        work: _Work,
    ) -> None:
        while True:
            onlooker = None if self.witness is None else self.witness.onlooker(batch)
            traveller = Traveller(self.walk, self.room, lambda: self._pause(batch, len(group), traveller, work), onlooker)  # noqa: B023
            try:
                losses = self._travel(traveller, batch, group, sets, kept)
                self._write(batch, {removed: losses[number] for number, decisions in enumerate(group) for removed in sets[decisions]})
                break
            except (MemoryError, RuntimeError) as exc:
                if not out_of_memory(exc):
                    raise
                self._shrink(batch, len(group), exc)
        share = batch.n_tokens / self.run_tokens
        self.tally.block_calls += traveller.block_calls * share
        self.tally.head_passes += len(group) * share * (self.objective == "loss")

    def _judge(self, batch: Batch) -> Judge:
        head = self.head if self.objective == "loss" else None
        return Judge(batch, self.loaded.device, head, self.untouched, self.room.head_tokens, self._pace.step)

    @torch.no_grad()
    def _travel(
        self,
        traveller: Traveller,
        batch: Batch,
        group: Sequence[Decisions],
        sets: dict[Decisions, list[UnitSet]],
        kept: tuple[Saved, Decisions | None],
    ) -> dict[int, Tensor]:
        """Loss sums of each set, [B], by its number in the group."""
        started, judge = self.walk.start(batch), self._judge(batch)
        losses: dict[int, Tensor] = {}
        rows = judge.rows if self.witness is None else torch.cat([judge.rows, self.witness.rows(batch)])
        size = max(1, self.room.head_tokens // max(1, len(rows)))

        def arrive(numbers: Sequence[int], states: Tensor) -> None:
            for first in range(0, len(numbers), size):
                some = numbers[first : first + size]
                final = self.walk.end(started, states[first * started.size : (first + len(some)) * started.size], rows)
                meant = [sets[group[number]] for number in some]
                losses.update(zip(some, self._judged(judge, batch, meant, final.reshape(len(some), len(rows), -1)), strict=True))

        traveller.travel(started, group, arrive, saved=kept[0], before=kept[1])
        return losses

    def _judged(self, judge: Judge, batch: Batch, sets: Sequence[Sequence[UnitSet]], final: Tensor) -> Tensor:
        """Loss sums [n, B] from final states [n, judged places and those the witness asked for, d]."""
        n_judged = len(batch.rows)
        losses = judge.token_losses(final[:, :n_judged])
        if self.witness is not None:
            self.witness.see(batch, sets, losses, final[:, n_judged:])
        return judge.summed(losses)

    def _run_naive(self, removed: UnitSet, batches: Sequence[Batch], work: _Work) -> None:
        left = sum(_share_left(removed, index) for index in range(len(self.stack.blocks)))
        for batch in batches:
            self._pace.step()
            watching = nullcontext() if self.witness is None else self.witness.whole_run(batch, removed)
            with torch.no_grad(), left_out(self.stack, removed), asking(self.stack, self._pace.step), watching:
                final = self.walk.forward(batch, masked=True)
            judge = self._judge(batch)
            rows = judge.rows if self.witness is None else torch.cat([judge.rows, self.witness.rows(batch)])
            picked = final.flatten(0, 1).index_select(0, rows)
            self._write(batch, {removed: self._judged(judge, batch, [[removed]], picked[None])[0]})
            share = batch.n_tokens / self.run_tokens
            self.tally.block_calls += left * share
            self.tally.head_passes += share * (self.objective == "loss")
            work.done += batch.n_tokens
            self.watch.on_progress(work.progress())

    def _write(self, batch: Batch, losses: dict[UnitSet, Tensor]) -> None:
        """One transfer from the device for all sets of the batch."""
        table = torch.stack(list(losses.values())).double().cpu().numpy()
        for removed, row in zip(losses, table, strict=True):
            members = list(batch.members)
            sums = self.sums.setdefault(removed, np.full(len(self.examples), np.nan))
            sums[members] = np.where(np.isfinite(row), row, _OVERFLOWED) * self.weights[members]
            if removed == UNTOUCHED and not np.isfinite(row).all():
                raise overflowed(self.loaded)

    def _after_group(self, sets: Sequence[UnitSet], batches: Sequence[Batch]) -> None:
        if len(batches) and UNTOUCHED in self.sums and not np.isnan(self.sums[UNTOUCHED]).any():
            self._settle(sets)
            self.on_group()

    # -- care ------------------------------------------------------------------------------------------------------

    def _prove(self) -> None:
        shortest = sorted(self.examples, key=lambda example: len(example.input_ids))
        probe = next((example for example in shortest if len(example.input_ids) > len(shortest[0].input_ids)), shortest[-1])
        batch = cut_batches([shortest[0], probe], 1 << 40, causal=self._causal)[0]
        if not self.walk.prove(batch):
            self.naive = True
            self.notes.append(
                Message(
                    id=(
                        "The layers of {architecture} cannot be run one by one with the same result, so each set was measured with a "
                        "whole run of its own. The results are right; it takes longer."
                    ),
                    values={"architecture": self.loaded.info.architecture},
                )
            )

    def _shrink(self, batch: Batch, n_sets: int, exc: BaseException) -> None:
        """Less at once: fewer streams, then fewer tokens a call. The results do not change."""
        per_stream = max(1, batch.ids.size * self.loaded.info.hidden_size * self.loaded.dtype.itemsize)
        fitting = min(n_sets, max(1, self.room.stream_bytes // per_stream))
        if fitting == 1 and self.room.call_tokens <= batch.ids.size:
            raise ResourceError(
                "A batch of {tokens} tokens does not fit the memory with even one set of layers left out. Give fewer tokens per batch "
                "(batch_tokens) or per example (--max-tokens), or use a device with more memory.",
                tokens=int(batch.ids.size),
            ) from exc
        self.room = Room(
            max(per_stream, fitting // 2 * per_stream), max(self.room.call_tokens // 2, 1), self.room.group_sets, self.room.head_tokens
        )
        gc.collect()
        if self.loaded.device.type == "cuda":
            torch.cuda.empty_cache()

    def _pause(self, batch: Batch, n_sets: int, traveller: Traveller, work: _Work) -> None:
        """Between two calls: stop if asked to, and say now and then how far it is."""
        self._pace.step()
        if time.monotonic() - work.said > 0.5:
            share = min(0.95, traveller.block_calls / (0.55 * n_sets * len(self.stack.blocks) + 1))
            self.watch.on_progress(work.progress(round(share * n_sets * batch.n_tokens)))

    def _stopped(self) -> Cancelled:
        if not self.kept:
            return Cancelled("Stopped at your request.")
        return Cancelled("Stopped at your request. Sets that were measured so far are kept: the same search goes on from there.")

    def _check(self) -> None:
        if self.watch.should_stop():
            raise Cancelled("Stopped at your request.")


def _groups(order: list[Decisions], size: int) -> list[list[Decisions]]:
    """Neighbours together; the untouched model, if it is there, goes first: without it no change is known."""
    if len(order) <= size or set(order[-1]) != {RUN}:
        return [order[first : first + size] for first in range(0, len(order), size)]
    first = [*order[: size - 1], order[-1]]
    return [first, *_groups(order[size - 1 : -1], size)] if size > 1 else [[order[-1]], *([decisions] for decisions in order[:-1])]


def _before(groups: Sequence[Sequence[Decisions]], number: int) -> Decisions | None:
    """The set among all earlier groups' with which the group's first shares most."""
    earlier = [decisions for group in groups[:number] for decisions in (group[-2:])]
    return max(earlier, key=lambda decisions: len(start_of([groups[number][0]], decisions)), default=None)


def _share_left(removed: UnitSet, index: int) -> float:
    gone = {unit for unit, block in removed if block == index}
    return 0.0 if "block" in gone else 1.0 - 0.5 * len(gone)
