"""How long a training step takes here: real steps on random tokens at a few boundaries, in turns, and what is worked out from them.

A step is what an arm does: forward through the frozen and the trained layers, loss of the response tokens, backward, gradients
clipped, AdamW. Boundaries take turns, so that a slow drift of the machine hits all alike; each turn begins with a step that is
not timed (it sets the optimiser up and fills the cache). The learning rate is 0 and the weights are put back afterwards.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from analysis.contracts import Message, ModelInfo, Progress, StepModel, StepPoint, StepsRequest, TrainingShape
from analysis.errors import InputError, ModelError, ResourceError
from analysis.models.device import device_name, resolve_device
from analysis.models.load import describe_model, load_model
from analysis.models.stack import LoadedModel, Stack
from analysis.planning.steps import fit_steps
from analysis.profiling.stream import Watch, out_of_memory
from analysis.training.activations import saved_bytes
from analysis.training.callbacks import inputs_of, interruptible
from analysis.training.checks import check_trainable, restored, unchanged
from analysis.training.data import TrainingSet
from analysis.training.lora import adapters
from analysis.training.prefix import Prefix, norms_behind
from analysis.training.prefix_cache import PrefixCache
from analysis.training.prepare import check_head
from analysis.training.trainee import Trainee
from analysis.verification.asked import say
from analysis.verification.energy import energy_meter
from analysis.verification.timing import Rounds, Stopwatch, distribution, undisturbed
from analysis.workload import PROMPT, RESPONSE, EncodedExample

ROUNDS = 4
STEPS_A_TURN = 3
Loader = Callable[..., LoadedModel]
Point = tuple[int, bool]
"""Last frozen block, and whether the prefix comes from the cache."""


def run_steps(
    request: StepsRequest,
    *,
    load: Loader = load_model,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> StepModel:
    """Training steps of a model on a device, measured for a request.

    Raises:
        InputError: the model or the shape cannot be used.
        ResourceError: not even two boundaries fit the memory.
        Cancelled: `should_stop` said so.
    """
    watch = Watch(on_progress, should_stop)
    say(watch, Message(id="Looking at the model"))
    info = describe_model(request.model, on_progress=lambda stage: say(watch, stage)).info
    check_shape(request.shape, info)
    say(watch, Message(id="Loading the model"))
    shape = request.shape
    stored = "float32" if shape.weight_bits == 32 else shape.dtype
    loaded = load(request.model, device=str(resolve_device(request.device)), dtype=stored)
    return measure_steps(replace(loaded, dtype=getattr(torch, shape.dtype)), shape, stack=request.stack, watch=watch)


def check_shape(shape: TrainingShape, info: ModelInfo) -> None:
    """Refuses what cannot be timed on a real step."""
    if info.refusal is not None:
        raise ModelError.from_message(info.refusal)
    if shape.weight_bits < 16:
        raise InputError(
            "Steps on weights of {bits} bits are projected, not measured. Measure with weights of 16 or 32 bits.", bits=shape.weight_bits
        )
    if shape.dtype == "float32" and min(shape.weight_bits, shape.trained_bits) < 32:
        raise InputError(
            "Steps that are computed in float32 on weights of {bits} bits cannot be measured. Choose bfloat16, or weights of 32 bits.",
            bits=min(shape.weight_bits, shape.trained_bits),
        )
    if info.max_context_tokens is not None and shape.sequence_tokens > info.max_context_tokens:
        raise InputError(
            "Steps of {tokens} tokens were asked for, and the model reads at most {most}. Give at most that.",
            tokens=shape.sequence_tokens,
            most=info.max_context_tokens,
        )


def measure_steps(
    loaded: LoadedModel,
    shape: TrainingShape,
    *,
    stack: str | None = None,
    watch: Watch | None = None,
    boundaries: Sequence[int] | None = None,
    avoid: Sequence[int] = (),
    beside: Sequence[int] = (),
    padded: bool = False,
) -> StepModel:
    """Times steps at a few boundaries and fits what a layer takes, frozen and trained.

    Args:
        loaded: the model; its weights are bit for bit what they were afterwards. `loaded.dtype` is the number format computed in.
        shape: what a step is; its weights that train are put into `trained_bits` meanwhile, frozen ones stay as they were loaded.
        stack: the stack that trains; None: the model's first.
        watch: told how far it is, and asked whether to stop.
        boundaries: last frozen blocks to fit to; None: nothing frozen, the middle, and all but the last layer.
        avoid: boundaries kept out of the fit, which is judged by them: they are measured in the same turns, with the cache and without.
            One that the fit cannot do without is in it all the same. None: the fit is judged three quarters up, without the cache.
        beside: boundaries to be measured in the same turns without the cache, whether they are fitted to or not.
        padded: one sequence is a token shorter than the others, so that attention is given a mask, as it is on real examples.

    Raises:
        ModelError: the model cannot be trained on responses.
        ResourceError: fewer than two boundaries fit the memory.
        Cancelled: `watch` said so.
    """
    chosen = loaded.stack(stack)
    check_head(loaded, chosen)
    n_blocks = chosen.info.n_blocks
    fit = list(boundaries) if boundaries is not None else boundaries_to_fit(n_blocks, avoid)
    further = boundaries_to_check(n_blocks, fit) if boundaries is None and not avoid else []
    wanted = [*_both_ways(fit), *_both_ways([eof for eof in avoid if eof not in fit]), *((eof, False) for eof in (*beside, *further))]
    rounds = 2 * ROUNDS if loaded.device.type == "cuda" else ROUNDS  # quick steps differ more from one to the next
    points, watts = measure_points(loaded, shape, wanted, stack=stack, watch=watch, rounds=rounds, padded=padded)
    fitted = [point for point in points if point.eof_layer in fit]
    judged = [point for point in points if point.eof_layer not in fit]
    if len({point.eof_layer for point in fitted}) < min(2, n_blocks):
        raise ResourceError(
            "Training steps of {batch} sequences of {tokens} tokens do not fit the memory of {device}. Give fewer or shorter sequences.",
            batch=shape.batch_size,
            tokens=shape.sequence_tokens,
            device=device_name(loaded.device),
        )
    return fit_steps(
        fitted,
        check=judged,
        model_commit=loaded.info.commit,
        stack=chosen.info.name,
        device=str(loaded.device),
        device_name=device_name(loaded.device),
        shape=shape,
        n_blocks=n_blocks,
        power_watts=watts,
    )


def _both_ways(boundaries: Sequence[int]) -> list[Point]:
    """Boundaries without the cache, and with it where there is something to keep."""
    return [*((eof, False) for eof in boundaries), *((eof, True) for eof in boundaries if eof >= 0)]


def same_steps(
    known: StepModel, loaded: LoadedModel, stack: Stack, shape: TrainingShape, *, avoid: Sequence[int] = (), beside: Sequence[int] = ()
) -> bool:
    """Whether known steps are what `measure_steps` would measure now: of this model, device and shape, at these boundaries."""
    here = (loaded.info.commit, stack.info.name, device_name(loaded.device), shape)
    if (known.model_commit, known.stack, known.device_name, known.shape) != here:
        return False
    fit = boundaries_to_fit(known.n_blocks, avoid)
    kept_out = {point.eof_layer for point in known.points if not point.in_fit}
    return all(known.measured(eof) is not None for eof in (*fit, *beside)) and kept_out >= set(avoid) - set(fit)


def boundaries_to_fit(n_blocks: int, avoid: Sequence[int] = ()) -> list[int]:
    """Nothing frozen, the middle, and all but the last layer; or their neighbours where those are to be avoided and there are others.

    >>> boundaries_to_fit(30), boundaries_to_fit(30, avoid=(14,)), boundaries_to_fit(2), boundaries_to_fit(2, avoid=(0,))
    ([-1, 14, 28], [-1, 13, 28], [-1, 0], [-1, 0])
    """
    found = [-1]
    for wanted in ((n_blocks - 2) // 2, n_blocks - 2):
        left = [eof for eof in range(n_blocks - 1) if eof not in found]
        free = [eof for eof in left if eof not in avoid] or (left if len(found) == 1 else [])
        if free:
            found.append(min(free, key=lambda eof: (abs(eof - wanted), eof)))
    return sorted(found)


def boundaries_to_check(n_blocks: int, taken: Sequence[int]) -> list[int]:
    """Three quarters up, or the nearest that is not taken; none in the shallowest stacks.

    >>> boundaries_to_check(30, [-1, 14, 28]), boundaries_to_check(2, [-1, 0])
    ([21], [])
    """
    free = [eof for eof in range(n_blocks - 1) if eof not in taken]
    return [min(free, key=lambda eof: abs(eof - (3 * n_blocks // 4 - 1)))] if free else []


# -- the measuring -----------------------------------------------------------------------------------------------------


def measure_points(
    loaded: LoadedModel,
    shape: TrainingShape,
    wanted: Sequence[Point],
    *,
    stack: str | None = None,
    watch: Watch | None = None,
    rounds: int = ROUNDS,
    steps: int = STEPS_A_TURN,
    padded: bool = False,
) -> tuple[list[StepPoint], float | None]:
    """Steps at every point, in turns. Points that do not fit the memory, or that need a cache this architecture cannot use, are missing.

    Returns:
        The points in the order asked for, and the mean power drawn in watts; None where the device cannot tell.
    """
    bench = _Bench(loaded, loaded.stack(stack), shape, padded)
    laps = {point: _Laps() for point in dict.fromkeys(wanted) if bench.possible(point)}
    telling = Rounds(watch or Watch(), Message(id="Timing training steps"), rounds * len(laps))
    with undisturbed(), unchanged(loaded), restored(bench.weights()):
        bench.to_stored_format()
        for number in range(rounds):
            for point in list(laps) if number % 2 == 0 else list(reversed(laps)):
                telling.step()
                if not bench.turn(point, laps[point], steps, telling.listen):
                    del laps[point]
    return [bench.point(point, found) for point, found in laps.items()], bench.watts(list(laps.values()))


@dataclass
class _Laps:
    """What the turns of one point took."""

    ms: list[float] = field(default_factory=list)
    peak_bytes: int | None = None
    activation_bytes: int | None = None
    millijoules: float | None = None


class _Bench:
    """A model on which steps are timed."""

    def __init__(self, loaded: LoadedModel, stack: Stack, shape: TrainingShape, padded: bool) -> None:
        self.loaded, self.stack, self.shape = loaded, stack, shape
        self.device = loaded.device
        self.meter = energy_meter(self.device)
        self.examples = random_examples(shape, loaded.info.vocab_size, padded=padded)
        self._trained_in = torch.float32 if shape.trained_bits == 32 else loaded.dtype
        self._norms = norms_behind(stack)
        self._dtypes = {parameter: parameter.dtype for parameter in self.weights()}

    def inputs(self) -> dict[str, Any]:
        """A step's batch, put together and brought to the device as an arm does it."""
        members = range(len(self.examples))
        ((batch, weights),) = self.examples.micro_batches(members, len(members))
        return inputs_of(batch, weights, self.device)

    def weights(self) -> list[nn.Parameter]:
        """All that any boundary trains."""
        return self._trained(-1)

    def _trained(self, eof_layer: int) -> list[nn.Parameter]:
        modules = [*self.stack.blocks[eof_layer + 1 :], *self._norms]
        return list(dict.fromkeys(parameter for module in modules for parameter in module.parameters()))

    def to_stored_format(self) -> None:
        """Weights in the number format in which frozen ones are kept."""
        for parameter, dtype in self._dtypes.items():
            if parameter.dtype != dtype:
                parameter.data = parameter.data.to(dtype)

    def possible(self, point: Point) -> bool:
        """Whether the point can be had at all."""
        eof_layer, cached = point
        check_trainable(self.loaded, self.stack, eof_layer)
        return not cached or Prefix(self.stack, eof_layer).can_be_recalled

    def turn(self, point: Point, laps: _Laps, steps: int, listen: Callable[[], None]) -> bool:
        """One turn of a point; False: it does not fit the memory."""
        try:
            with self._training(point) as (trainee, step):
                if laps.activation_bytes is None:
                    saved = saved_bytes(trainee, self.inputs(), self.device)
                    laps.activation_bytes = None if saved is None else saved.total
                with interruptible(self.stack, listen):
                    self._timed(step, laps, steps, listen)
        except (RuntimeError, MemoryError) as exc:
            if not out_of_memory(exc):
                raise
            return False
        finally:
            if self.device.type == "cuda":
                gc.collect()
            self.to_stored_format()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        return True

    def _timed(self, step: Callable[[], None], laps: _Laps, steps: int, listen: Callable[[], None]) -> None:
        step()
        listen()
        watch = Stopwatch([self.device])
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        before = None if self.meter is None else self.meter()
        watch.start()
        for _ in range(steps):
            step()
            laps.ms.append(watch.lap_ms())
            listen()
        if self.meter is not None and before is not None:
            laps.millijoules = (laps.millijoules or 0.0) + max(self.meter() - before, 0.0)
        if self.device.type == "cuda":
            laps.peak_bytes = max(laps.peak_bytes or 0, torch.cuda.max_memory_allocated(self.device))

    @contextmanager
    def _training(self, point: Point) -> Iterator[tuple[Trainee, Callable[[], None]]]:
        """The model at a boundary, and one optimiser step of it."""
        eof_layer, cached = point
        with self._free(eof_layer) as trained:
            for parameter in self.loaded.model.parameters():
                parameter.requires_grad_(False)
            for parameter in trained:
                parameter.data = parameter.data.to(self._trained_in)
                parameter.requires_grad_(True)
            prefix = Prefix(self.stack, eof_layer)
            trainee = Trainee(self.loaded, self.stack, prefix)
            optimizer = torch.optim.AdamW(trained, lr=0.0, weight_decay=0.0, fused=self.device.type == "cuda")
            frozen = [parameter for parameter in self.loaded.model.parameters() if not parameter.requires_grad]

            def step() -> None:
                trainee(**self.inputs()).backward()
                assert all(parameter.grad is None for parameter in frozen)
                nn.utils.clip_grad_norm_(trained, 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

            try:
                with prefix.watched():
                    trainee.cache = self._cache(trainee, prefix) if cached else None
                    trainee.train()
                    yield trainee, step
            finally:
                optimizer.state.clear()
                for parameter in trained:
                    parameter.grad = None

    @contextmanager
    def _free(self, eof_layer: int) -> Iterator[list[nn.Parameter]]:
        """What trains at a boundary: the weights behind it, or adapters on them."""
        if self.shape.method == "full":
            yield self._trained(eof_layer)
            return
        rank = self.shape.lora_rank
        with adapters(self.loaded, self.stack, eof_layer, rank=rank, alpha=2 * rank, seed=0) as new:
            yield list(new)

    def _cache(self, trainee: Trainee, prefix: Prefix) -> PrefixCache:
        """For what enters the first layer that trains, in the number format in which it enters."""
        with trainee.judging():
            trainee.final_states(self.inputs()["input_ids"][:1, :4], None)
        state = prefix.entered
        assert state is not None
        return PrefixCache(
            "memory", None, None, lengths=self.examples.lengths, width=state.shape[-1], dtype=state.dtype, device=state.device
        )

    def point(self, point: Point, laps: _Laps) -> StepPoint:
        """The point's figures."""
        spread = distribution(laps.ms)
        return StepPoint(
            eof_layer=point[0],
            cached=point[1],
            p50_ms=spread.p50,
            p95_ms=spread.p95,
            repeats=spread.n,
            peak_memory_bytes=laps.peak_bytes,
            activation_bytes=laps.activation_bytes,
        )

    def watts(self, laps: Sequence[_Laps]) -> float | None:
        """Mean power over all timed steps."""
        told = [one for one in laps if one.millijoules is not None and one.ms]
        ms = sum(sum(one.ms) for one in told)
        return sum(one.millijoules or 0.0 for one in told) / ms if ms else None


def random_examples(shape: TrainingShape, vocab_size: int, *, padded: bool = False, seed: int = 0) -> TrainingSet:
    """Sequences of random tokens, the last of each judged."""
    draw = np.random.default_rng(seed)
    length = max(shape.sequence_tokens, 2)
    judged = max(1, min(shape.response_tokens or length, length - 1))

    def example(number: int, tokens: int) -> EncodedExample:
        kinds = np.full(tokens, PROMPT, dtype=np.uint8)
        kinds[length - judged :] = RESPONSE
        kinds[-1] = RESPONSE
        return EncodedExample(f"random {number}", "", 1.0, False, draw.integers(0, max(vocab_size, 2), tokens), kinds, 0, "")

    shorter = int(padded and shape.batch_size > 1 and length > 2)
    return TrainingSet(tuple(example(number, length - shorter * (number == 0)) for number in range(shape.batch_size)))
