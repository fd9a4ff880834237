"""How each unit of a stack is left out, proved by numbers: stand-ins that make a branch add exactly nothing.

A block is run on its own with a few tokens, first untouched, then with stand-ins at some of its modules. They count as
a way to leave a half out only if the residual stream then is what it must be: in front of and behind the half the same
(before the norm, where a norm stands behind the addition), the other half still adding what it puts out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from analysis.models.stack import SubBlockTaps
from analysis.models.structure import Tap, parts_of
from analysis.surgery.stand_in import Slot, StandIn, slots, standing

Half = Literal["attention", "mlp"]
HALVES: tuple[Half, ...] = ("attention", "mlp")
Way = tuple[tuple[nn.Module, StandIn], ...]
"""Modules and what stands in for each."""


class Call(NamedTuple):
    """How the stack called a block, which further outputs of it (by place) went on, and whether it wrote into a shared shelf."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    handed_on: frozenset[int] = frozenset()
    writes: bool = False


class Step(NamedTuple):
    """One module of a block at work: how it was called, what it was given (copied) and what it gave."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    entered: Tensor | None
    output: Any
    left: Tensor | None


@dataclass
class Run:
    """One run of one block: its stream before and after, and its modules in the order they finished."""

    start: Tensor
    end: Tensor
    output: Any
    steps: list[Step] = field(default_factory=list)

    def seen(self, tap: Tap | None) -> Tensor | None:
        """What went by at a tap."""
        if tap is None:
            return None
        found = next((step for step in self.steps if step.module is tap.module), None)
        return None if found is None else found.entered if tap.side == "input" else found.left


@torch.no_grad()
def run_block(block: nn.Module, call: Call) -> Run:
    """Runs a block alone, as the stack did, on a copy of the stream: some blocks add to it in place."""
    steps: list[Step] = []
    entered: dict[int, Tensor | None] = {}

    def enters(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        entered[id(module)] = _copy(_stream_of(slots(module, args, kwargs)))

    def leaves(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        steps.append(Step(module, args, kwargs, entered[id(module)], output, _copy(_first_tensor(output))))

    args, kwargs = _with_fresh_stream(block, call)
    with ExitStack() as cleanup:
        for module in block.modules():
            cleanup.callback(module.register_forward_pre_hook(enters, with_kwargs=True).remove)
            cleanup.callback(module.register_forward_hook(leaves, with_kwargs=True).remove)
        output = block(*args, **kwargs)
    start, end = entered[id(block)], steps[-1].left
    assert start is not None
    assert end is not None
    return Run(start, end, output, steps)


def block_way(block: nn.Module, call: Call, run: Run, index: int | None) -> Way | None:
    """A block passes its input on, and whatever else later layers need as long as that was given to it."""
    stream, rest = _stream_slot(slots(block, call.args, call.kwargs)), _rest(block, run.steps[-1])
    if stream is None or run.start.shape != run.end.shape or any(rest[place - 1] is None for place in call.handed_on if rest):
        return None
    return ((block, StandIn(stream, passes=stream, rest=rest, cached_as=index)),)


def half_way(block: nn.Module, call: Call, run: Run, taps: SubBlockTaps, half: Half, index: int | None) -> Way | None:
    """The first way to leave a half out that the numbers prove; None: there is none."""
    for way in _ways(block, run, taps, half, index):
        tried = _try(block, call, way)
        if tried is not None and _hands_on(call, run, tried) and _adds_nothing(run, tried, taps, half, {module for module, _ in way}):
            return way
    return None


def _try(block: nn.Module, call: Call, way: Way) -> Run | None:
    """The block with stand-ins; None: it needs more from one of these modules than a stand-in gives."""
    try:
        with ExitStack() as stack:
            for module, stand_in in way:
                stack.enter_context(standing(module, stand_in))
            return run_block(block, call)
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError) as exc:
        if isinstance(exc, torch.OutOfMemoryError):
            raise
        return None


def _hands_on(call: Call, run: Run, tried: Run) -> bool:
    """What later layers take from the block besides the stream is still the same."""
    return all(_equal(run.output[place], tried.output[place]) for place in call.handed_on)


# -- ways --------------------------------------------------------------------------------------------------------------


def _ways(block: nn.Module, run: Run, taps: SubBlockTaps, half: Half, index: int | None) -> Iterator[Way]:
    parts = parts_of(block)
    modules = list(parts.mlp) if half == "mlp" else [parts.attention] if parts.attention else []
    order = [step.module for step in run.steps]
    modules = sorted((module for module in modules if module in order), key=order.index)
    cached_as = index if half == "attention" else None
    if not modules:
        return
    for way in _silent(modules, run, cached_as):
        yield way
        behind = _branch_end(run, taps, half)
        if behind is not None and behind not in modules:
            yield (*way, *_zeros(behind, run, None))


def _silent(modules: Sequence[nn.Module], run: Run, cached_as: int | None) -> Iterator[Way]:
    """All but the last module give zeros; the last gives zeros, or passes an argument on, or only its last product is silent."""
    early = [way for module in modules[:-1] for way in _zeros(module, run, cached_as)]
    if len(modules) - 1 != len(early):
        return
    last = modules[-1]
    on_last = None if early else cached_as
    for way in (_zeros(last, run, on_last), *_passing(last, run, on_last)):
        if way:
            yield (*early, *way)
    inside = [step.module for step in run.steps if step.module in set(last.children()) and _has_product(step.module)]
    if inside:
        for way in _silent(inside, run, on_last):
            yield (*early, *way)


def _zeros(module: nn.Module, run: Run, cached_as: int | None) -> Way:
    step = _step(run, module)
    stream = None if step is None else _stream_slot(slots(module, step.args, step.kwargs))
    if step is None or stream is None or step.left is None or step.entered is None or step.left.shape[:-1] != step.entered.shape[:-1]:
        return ()
    return ((module, StandIn(stream, width=step.left.shape[-1], rest=_rest(module, step), cached_as=cached_as)),)


def _passing(module: nn.Module, run: Run, cached_as: int | None) -> Iterator[Way]:
    """The residual is added inside the module: it passes on an argument that is shaped like its output."""
    step = _step(run, module)
    if step is None or step.left is None:
        return
    given = slots(module, step.args, step.kwargs)
    stream = _stream_slot(given)
    for slot, value in given:
        if stream is not None and isinstance(value, Tensor) and _equal_shape(value, step.output):
            yield ((module, StandIn(stream, passes=slot, rest=_rest(module, step), cached_as=cached_as)),)


def _rest(module: nn.Module, step: Step) -> tuple[Slot | None, ...] | None:
    """Which argument each further part of a module's output is; None in a place: none of them, or nothing is there."""
    if not isinstance(step.output, tuple):
        return None
    given = [(slot, value) for slot, value in slots(module, step.args, step.kwargs) if value is not None]
    return tuple(next((slot for slot, other in given if other is value), None) for value in step.output[1:])


def _branch_end(run: Run, taps: SubBlockTaps, half: Half) -> nn.Module | None:
    """The module whose output is what the half adds, such as a norm behind it."""
    before, after = _around(run, taps, half)
    return None if before is None or after is None else next(_adding(run, before, after), None)


def _adding(run: Run, before: Tensor, after: Tensor) -> Iterator[nn.Module]:
    """Modules whose output makes the one stream of the other by addition."""
    for step in run.steps:
        if step.left is not None and step.left.shape == before.shape and _equal(before + step.left, after):
            yield step.module


# -- proof -------------------------------------------------------------------------------------------------------------


def _around(run: Run, taps: SubBlockTaps, half: Half) -> tuple[Tensor | None, Tensor | None]:
    """The residual stream in front of a half and behind it."""
    mid = run.seen(taps.mid)
    if half == "attention":
        return run.start, mid
    return (run.seen(taps.mlp_start) if taps.mlp_start is not None else mid), run.end


def _adds_nothing(before: Run, tried: Run, taps: SubBlockTaps, half: Half, silent: set[nn.Module]) -> bool:
    if taps.layout == "parallel":
        return _parallel_adds_nothing(tried, taps, half)
    (front, behind), (now_front, now_behind) = _around(before, taps, half), _around(tried, taps, half)
    if front is None or behind is None:
        return False
    if next(_adding(before, front, behind), None) is not None:
        return _equal(now_front, now_behind)
    norms = {step.module for step in before.steps if _equal(step.left, behind) and next(step.module.children(), None) is None} - silent
    # A norm stands behind the addition: it made the stream before, and now makes it of the stream in front of the half alone.
    return any(step.module in norms and _equal(step.entered, now_front) and _equal(step.left, now_behind) for step in tried.steps)


def _parallel_adds_nothing(tried: Run, taps: SubBlockTaps, half: Half) -> bool:
    other = tried.seen(taps.mlp if half == "attention" else taps.attention)
    return other is not None and _equal(tried.start + other, tried.end)


# -- tensors -----------------------------------------------------------------------------------------------------------


def _equal(a: Tensor | None, b: Tensor | None) -> bool:
    return a is not None and b is not None and a.shape == b.shape and torch.equal(a, b)


def _equal_shape(value: Tensor, output: Any) -> bool:
    first = _first_tensor(output)
    return first is not None and value.shape == first.shape


def _step(run: Run, module: nn.Module) -> Step | None:
    return next((step for step in run.steps if step.module is module), None)


def _has_product(module: nn.Module) -> bool:
    return any(parameter.dim() > 1 for parameter in module.parameters())


def _copy(tensor: Tensor | None) -> Tensor | None:
    """On the CPU, because a model may lie on several devices."""
    return None if tensor is None else tensor.detach().to("cpu", copy=True).reshape(-1, tensor.shape[-1])


def _first_tensor(value: Any) -> Tensor | None:
    if isinstance(value, tuple | list):
        return _first_tensor(value[0]) if value else None
    return value if isinstance(value, Tensor) and value.is_floating_point() and value.dim() > 1 else None


def _stream_slot(given: Sequence[tuple[Slot, Any]]) -> Slot | None:
    return next((slot for slot, value in given if _first_tensor(value) is value and value is not None), None)


def _stream_of(given: Sequence[tuple[Slot, Any]]) -> Tensor | None:
    return next((value for _, value in given if _first_tensor(value) is value and value is not None), None)


def _with_fresh_stream(block: nn.Module, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
    stream = _stream_of(slots(block, call.args, call.kwargs))

    def fresh(value: Any) -> Any:
        return value.clone() if isinstance(value, Tensor) and value is stream else value

    return tuple(map(fresh, call.args)), {name: fresh(value) for name, value in call.kwargs.items()}
