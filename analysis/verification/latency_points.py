"""The few points from which the latency of any plan of one model on one device is projected."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import torch

from analysis.contracts import Message
from analysis.contracts.latency import LatencyModel, LatencyPoint, LatencyShape, Phase
from analysis.contracts.search import UnitSet
from analysis.errors import InputError, ResourceError
from analysis.models.device import device_name
from analysis.models.stack import LoadedModel, Stack
from analysis.planning.latency import fit_latency, points_to_check, points_to_fit
from analysis.profiling.stream import Watch, out_of_memory
from analysis.surgery.skip import left_out, refusal
from analysis.verification.passes import Laps, Requests, fitted
from analysis.verification.timing import Rounds, Stopwatch, distribution, in_turns, undisturbed, warm_up

REPEATS = 7
FEWEST_REPEATS = 3
SECONDS_A_SIZE = 60.0
"""Where the device is slow, a size is repeated less, so that it takes about this long."""
DECODE_STEPS = 8
"""New tokens that one timing of decoding is spread over."""


@dataclass(frozen=True)
class _Size:
    batch_size: int
    prompt_tokens: int
    steps: int


def measure_latency(
    loaded: LoadedModel,
    *,
    batch_sizes: Sequence[int] = (1,),
    prompt_tokens: Sequence[int] = (256,),
    stack: str | None = None,
    repeats: int = REPEATS,
    watch: Watch | None = None,
) -> LatencyModel:
    """Times the model with a few sets of units left out, all sets in turns, and fits the times of its parts to them.

    Args:
        loaded: the model, untouched; it is what it was afterwards.
        batch_sizes: prompts at once.
        prompt_tokens: lengths of the prompts; longer ones are cut to the model's context.
        stack: whose blocks are left out; None: the model's first.
        repeats: timings of each set.
        watch: told how far it is, and asked whether to stop, before every run.

    Returns:
        A shape for each phase, batch size and length, with its error on sets that were not fitted. Sizes that did not fit
        the memory are missing.

    Raises:
        InputError: no size, or one of nothing.
        ModelError: the model does not read text.
        ResourceError: no size fitted the memory.
        Cancelled: `watch` said so.
    """
    _check(batch_sizes, prompt_tokens)
    chosen = loaded.stack(stack)
    requests = Requests(loaded, chosen)
    sizes = _sizes(loaded, requests, batch_sizes, prompt_tokens)
    shapes, points = _measure_sizes(requests, chosen, sizes, repeats, watch or Watch())
    if not shapes:
        raise ResourceError(
            "Latency could not be measured: none of the sizes asked for fits the memory of {device}. Give fewer or shorter prompts.",
            device=device_name(loaded.device),
        )
    return LatencyModel(
        model_commit=loaded.info.commit,
        stack=chosen.info.name,
        device=str(loaded.device),
        device_name=device_name(loaded.device),
        dtype=str(loaded.dtype).removeprefix("torch."),
        n_blocks=chosen.info.n_blocks,
        shapes=tuple(shapes),
        points=tuple(points),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _measure_sizes(
    requests: Requests, stack: Stack, sizes: Sequence[_Size], repeats: int, watch: Watch
) -> tuple[list[LatencyShape], list[LatencyPoint]]:
    """Shapes and points of every size that fits the memory."""
    fit, check = _sets(stack)
    rounds = Rounds(watch, Message(id="Measuring latency"), len(sizes) * (len(fit) + len(check)) * repeats)
    points: list[LatencyPoint] = []
    shapes: list[LatencyShape] = []
    for size in sizes:
        try:
            laps = _time(requests, stack, size, (*fit, *check), repeats, rounds)
        except (RuntimeError, MemoryError) as exc:
            if not out_of_memory(exc):
                raise
            _release(requests.devices)
            continue
        for phase in _phases(laps):
            timed = [_point(phase, size, removed, runs) for removed, runs in zip((*fit, *check), laps, strict=True)]
            shapes.append(fit_latency(timed[: len(fit)], stack.info, check=timed[len(fit) :]))
            points += timed
    return shapes, points


def _check(batch_sizes: Sequence[int], prompt_tokens: Sequence[int]) -> None:
    if not batch_sizes or not prompt_tokens or min(*batch_sizes, *prompt_tokens) < 1:
        raise InputError(
            "Latency was asked for at batch sizes {batches} and prompt lengths {lengths}. Give at least one of each, all 1 or more.",
            batches=tuple(batch_sizes),
            lengths=tuple(prompt_tokens),
        )


def _sizes(loaded: LoadedModel, requests: Requests, batch_sizes: Sequence[int], prompt_tokens: Sequence[int]) -> list[_Size]:
    steps = DECODE_STEPS if requests.answers else 0
    found = [(batch, *fitted(loaded.info.max_context_tokens, length, steps)) for length in prompt_tokens for batch in batch_sizes]
    return [_Size(*size) for size in dict.fromkeys(found)]


def _sets(stack: Stack) -> tuple[list[UnitSet], list[UnitSet]]:
    """What is left out to fit and to check; sets that this architecture cannot leave out are not measured."""
    fit, check = ([s for s in sets if refusal(stack, s) is None] for sets in (points_to_fit(stack.info), points_to_check(stack.info)))
    return fit, [removed for removed in check if removed not in fit]


def _time(requests: Requests, stack: Stack, size: _Size, sets: Sequence[UnitSet], repeats: int, rounds: Rounds) -> list[list[Laps]]:
    ids, stopwatch = requests.prompt(size.batch_size, size.prompt_tokens), Stopwatch(requests.devices)

    def run(removed: UnitSet) -> Callable[[], Laps]:
        def serve() -> Laps:
            with left_out(stack, removed):
                return requests.serve(ids, size.steps, stopwatch)

        return serve

    runs = [run(removed) for removed in sets]
    with undisturbed():
        warm_up(lambda: runs[0]().prefill_ms)
        started = time.perf_counter()
        for one in runs[1:]:
            rounds.listen()
            one()
        return in_turns(runs, _affordable(repeats, time.perf_counter() - started), between=rounds.step)


def _affordable(repeats: int, seconds: float) -> int:
    """As many repeats as were asked for, fewer where one of all sets takes that many seconds."""
    return min(repeats, max(FEWEST_REPEATS, int(SECONDS_A_SIZE / max(seconds, 1e-6))))


def _phases(laps: list[list[Laps]]) -> tuple[Phase, ...]:
    return ("prefill",) if laps[0][0].decode_ms is None else ("prefill", "decode")


def _point(phase: Phase, size: _Size, removed: UnitSet, laps: Sequence[Laps]) -> LatencyPoint:
    times = [lap.prefill_ms if phase == "prefill" else (lap.decode_ms or 0.0) / size.steps for lap in laps]
    spread = distribution(times)
    return LatencyPoint(
        phase=phase,
        batch_size=size.batch_size,
        context_tokens=size.prompt_tokens,
        removed=removed,
        p50_ms=spread.p50,
        p95_ms=spread.p95,
        repeats=spread.n,
    )


def _release(devices: Sequence[torch.device]) -> None:
    gc.collect()
    if any(device.type == "cuda" for device in devices):
        torch.cuda.empty_cache()
