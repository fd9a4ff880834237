"""What a plan costs beside the untouched model: time, memory, cache, FLOPs, layer calls and energy of the same requests.

The plan runs as a skip: what it removes is really not computed, and its weights stay in memory. So the peak memory of the
plan still holds the removed weights; `CostPoint.weight_bytes` tells what the weights take once the units are pruned.
Peak memory is that of a prefill: the model's own tensors, without what libraries keep on the device for themselves.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from analysis.contracts import CostPoint, Message, VerificationSettings
from analysis.contracts.search import UnitRef
from analysis.errors import PlanError
from analysis.models.device import device_name
from analysis.models.gguf import first_line
from analysis.models.stack import LoadedModel, Stack
from analysis.models.structure import parts_of
from analysis.profiling.stream import Watch, out_of_memory
from analysis.surgery.calls import counting
from analysis.surgery.skip import left_out, refusal
from analysis.verification.energy import Meter, energy_meter, energy_mwh
from analysis.verification.flops import prefill_flops
from analysis.verification.passes import Laps, Requests, cache_bytes, fitted
from analysis.verification.timing import Rounds, Stopwatch, in_turns, measured, rates, undisturbed, warm_up

T = TypeVar("T")
DOUBLED_REPEATS = 3
OnNote = Callable[[Message], None]


@dataclass(frozen=True)
class Size:
    """What is asked of a model at once."""

    batch_size: int
    prompt_tokens: int
    new_tokens: int


def measure_cost(
    loaded: LoadedModel,
    removed: Sequence[UnitRef],
    settings: VerificationSettings,
    *,
    watch: Watch | None = None,
    on_note: OnNote = lambda _note: None,
) -> tuple[CostPoint, ...]:
    """Costs of the untouched model and of the plan, at every batch size and prompt length asked for.

    Args:
        loaded: the model, untouched.
        removed: what the plan leaves out.
        settings: batch sizes, prompt lengths, new tokens, repeats.
        watch: told how far it is, and asked whether to stop, before every run.
        on_note: told what could not be measured, and what was measured in another way than asked for.

    Returns:
        A point for each size that fitted the memory; those that did not are told to `on_note`.

    Raises:
        PlanError: the units cannot be left out of this model.
        ModelError: the model does not read text.
        Cancelled: `watch` said so.
    """
    stack = loaded.stack(settings.stack)
    problem = refusal(stack, removed)
    if problem is not None:
        raise PlanError(problem.id, **problem.values)
    bench = _Bench(loaded, stack, tuple(removed), settings, on_note)
    sizes = bench.sizes()
    rounds = Rounds(watch or Watch(), Message(id="Measuring speed and memory"), len(sizes) * bench.runs_of_a_point())
    points = []
    for size in sizes:
        try:
            points.append(bench.point(size, rounds))
        except (RuntimeError, MemoryError) as exc:
            if not out_of_memory(exc):
                raise
            on_note(_too_large(size, loaded))
        _release(bench.requests.devices)
    return tuple(points)


class _Bench:
    """One model, one plan, and everything a point is measured with."""

    def __init__(
        self, loaded: LoadedModel, stack: Stack, removed: tuple[UnitRef, ...], settings: VerificationSettings, note: OnNote
    ) -> None:
        self.loaded, self.stack, self.removed, self.settings, self.note = loaded, stack, removed, settings, note
        self.requests = Requests(loaded, stack)
        self.stopwatch = Stopwatch(self.requests.devices)
        self.weights = _weight_bytes(loaded.model, stack, removed)
        self.meter: Meter | None = energy_meter(loaded.device)
        for remark in (self.requests.why_no_answers(), _no_energy(loaded) if self.meter is None else None):
            if remark is not None:
                note(remark)

    def sizes(self) -> list[Size]:
        """Every size asked for, cut to the model's context, each once."""
        context, steps = self.loaded.info.max_context_tokens, self.settings.new_tokens if self.requests.answers else 0
        found = []
        for asked in self.settings.prompt_tokens:
            length, new = fitted(context, asked, steps)
            if length < asked:
                self.note(_cut(asked, length, new, context or 0))
            found += [Size(batch, length, new) for batch in self.settings.batch_sizes]
        return list(dict.fromkeys(found))

    def runs_of_a_point(self) -> int:
        """About how many timed runs a point takes."""
        return 2 * self.settings.repeats + DOUBLED_REPEATS

    def point(self, size: Size, rounds: Rounds) -> CostPoint:
        """All costs of one size."""
        ids = self.requests.prompt(size.batch_size, size.prompt_tokens)
        original, plan = self._laps(ids, size, rounds)
        seed = self.settings.seed
        prefill = [lap.prefill_ms for lap in original], [lap.prefill_ms for lap in plan]
        first = [lap.first_token_ms for lap in original], [lap.first_token_ms for lap in plan]
        decode = _answering(original), _answering(plan)
        return CostPoint(
            batch_size=size.batch_size,
            prompt_tokens=size.prompt_tokens,
            new_tokens=size.new_tokens,
            prefill_ms=measured(*prefill, seed=seed),
            first_token_ms=measured(*first, seed=seed),
            decode_tokens_per_second=rates(*decode, size.batch_size * size.new_tokens, seed=seed) if all(decode) else None,
            tokens_per_second_gain_at_double_batch=self._gain_at_double_batch(size, rounds),
            peak_memory_bytes=self._peaks(ids),
            weight_bytes=self.weights,
            kv_cache_bytes=self._caches(ids),
            prefill_flops=self._flops(size),
            layer_calls=self._calls(ids),
            energy_mwh=self._energy(ids),
        )

    # -- time ------------------------------------------------------------------------------------------------------

    def _laps(self, ids: Tensor, size: Size, rounds: Rounds) -> tuple[list[Laps], list[Laps]]:
        def run(removed: tuple[UnitRef, ...]) -> Callable[[], Laps]:
            def serve() -> Laps:
                with left_out(self.stack, removed):
                    return self.requests.serve(ids, size.new_tokens, self.stopwatch)

            return serve

        runs = run(()), run(self.removed)
        with undisturbed():
            for one in runs:
                warm_up(lambda one=one: one().prefill_ms)  # type: ignore[misc]
            original, plan = in_turns(runs, self.settings.repeats, between=rounds.step)
        return original, plan

    def _gain_at_double_batch(self, size: Size, rounds: Rounds) -> float | None:
        """Prompt tokens per second of the untouched model at twice the batch, divided by those at this batch."""
        batches = [self.requests.prompt(factor * size.batch_size, size.prompt_tokens) for factor in (1, 2)]
        runs = [lambda ids=ids: self.requests.serve(ids, 0, self.stopwatch).prefill_ms for ids in batches]
        try:
            with undisturbed():
                runs[1]()
                once, twice = in_turns(runs, DOUBLED_REPEATS, between=rounds.step)
        except (RuntimeError, MemoryError) as exc:
            if not out_of_memory(exc):
                raise
            return None
        return 2.0 * sorted(once)[DOUBLED_REPEATS // 2] / sorted(twice)[DOUBLED_REPEATS // 2]

    # -- everything else -------------------------------------------------------------------------------------------

    def _with_plan(self, one: Callable[[], T]) -> tuple[T, T]:
        """Something of both models."""
        original = one()
        with left_out(self.stack, self.removed):
            return original, one()

    def _peaks(self, ids: Tensor) -> tuple[int, int] | None:
        if not any(device.type == "cuda" for device in self.requests.devices):
            return None
        return self._with_plan(lambda: peak_memory(lambda: self.requests.read(ids), self.loaded.model, self.requests.devices))

    def _caches(self, ids: Tensor) -> tuple[int, int] | None:
        if not self.requests.caches:
            return None
        return self._with_plan(lambda: cache_bytes(self.requests.read(ids)[1]))

    def _calls(self, ids: Tensor) -> tuple[int, int]:
        def count() -> int:
            with counting(self.stack) as calls:
                self.requests.read(ids)
            return calls.attentions + calls.mlps

        return self._with_plan(count)

    def _flops(self, size: Size) -> tuple[int, int] | None:
        try:
            original, plan = (
                prefill_flops(self.loaded, self.stack, removed, batch_size=size.batch_size, prompt_tokens=size.prompt_tokens)
                for removed in ((), self.removed)
            )
        except (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError) as exc:
            self.note(
                Message(
                    id="FLOPs of {model} could not be counted ({reason}); the projected figure stands alone.",
                    values={"model": self.loaded.info.name, "reason": first_line(exc)},
                )
            )
            return None
        return original, plan

    def _energy(self, ids: Tensor) -> tuple[float, float] | None:
        if self.meter is None:
            return None
        meter, watch = self.meter, self.stopwatch

        def prefill() -> None:
            watch.start()
            self.requests.read(ids)
            watch.lap_ms()

        return self._with_plan(lambda: energy_mwh(prefill, meter))


def peak_memory(run: Callable[[], object], model: nn.Module, devices: Iterable[torch.device]) -> int:
    """Most bytes that a model's own tensors take on its GPUs while `run` runs: its weights and what comes on top of what rests there.

    What libraries keep on the device from their first use on, such as workspaces of 8 to 64 MiB, is part of what rests
    there: run once before.
    """
    gpus = [device for device in devices if device.type == "cuda"]
    gc.collect()
    for device in gpus:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    rest = sum(torch.cuda.memory_allocated(device) for device in gpus)
    run()
    for device in gpus:
        torch.cuda.synchronize(device)
    peak = sum(torch.cuda.max_memory_allocated(device) for device in gpus)
    return peak - rest + _bytes_of((*model.parameters(), *model.buffers()))


def _weight_bytes(model: nn.Module, stack: Stack, removed: Iterable[UnitRef]) -> tuple[int, int]:
    """Bytes of all parameters, and of those left once the units are pruned."""
    gone = {
        id(parameter) for unit, index in removed for module in _modules_of(stack.blocks[index], unit) for parameter in module.parameters()
    }
    everything = list(model.parameters())
    return _bytes_of(everything), _bytes_of(parameter for parameter in everything if id(parameter) not in gone)


def _modules_of(block: nn.Module, unit: str) -> tuple[nn.Module, ...]:
    parts = parts_of(block)
    return (block,) if unit == "block" else parts.mlp if unit == "mlp" else (parts.attention,) if parts.attention else ()


def _bytes_of(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _answering(laps: Iterable[Laps]) -> list[float]:
    return [lap.decode_ms for lap in laps if lap.decode_ms is not None]


def _release(devices: Iterable[torch.device]) -> None:
    """Gives back what the allocator holds, so that one size's leftovers are not another's lack."""
    gc.collect()
    if any(device.type == "cuda" for device in devices):
        torch.cuda.empty_cache()


def _cut(asked: int, length: int, new_tokens: int, context: int) -> Message:
    return Message(
        id="Prompts of {asked} tokens do not fit this model's context of {context} with {new_tokens} new ones behind them: "
        "prompts of {length} tokens were timed.",
        values={"asked": asked, "context": context, "new_tokens": new_tokens, "length": length},
    )


def _too_large(size: Size, loaded: LoadedModel) -> Message:
    return Message(
        id="{n} prompts of {length} tokens at once do not fit the memory of {device}, so this size was not measured. "
        "Choose fewer or shorter prompts.",
        values={"n": size.batch_size, "length": size.prompt_tokens, "device": device_name(loaded.device)},
    )


def _no_energy(loaded: LoadedModel) -> Message:
    return Message(id="{device} does not tell how much energy it uses.", values={"device": device_name(loaded.device)})
