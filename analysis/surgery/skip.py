"""Units left out of a live model, and back: weights, attributes and module tree stay as they are."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from analysis.contracts import Message
from analysis.contracts.search import UnitRef, ordered
from analysis.errors import PlanError
from analysis.models.probe import N_TOKENS
from analysis.models.stack import EncoderThenDecoder, Stack
from analysis.surgery.halves import Call, Way, block_way, half_way, run_block
from analysis.surgery.stand_in import standing

_PROVED: WeakKeyDictionary[nn.Module, dict[str, Way | None]] = WeakKeyDictionary()
"""Block -> unit -> the way to leave it out; None: it was tried and there is none."""


@contextmanager
def left_out(stack: Stack, removed: Iterable[UnitRef]) -> Iterator[None]:
    """Inside, the units are not computed: a block passes its input on, an attention or MLP adds exactly nothing.

    Generation with a cache, beam search, sliding windows and padded batches work as before. On leaving, also through
    an exception, the model is what it was, bit for bit. May be nested.

    Args:
        stack: where the units are.
        removed: (unit, block) pairs, blocks counted from 0, in any order.

    Raises:
        PlanError: a unit is not there, or cannot be left out of this architecture; the sentence says which and why.
    """
    ways = ways_of(stack, removed)
    with ExitStack() as cleanup:
        for way in ways:
            for module, stand_in in way:
                cleanup.enter_context(standing(module, stand_in))
        yield


def refusal(stack: Stack, removed: Iterable[UnitRef]) -> Message | None:
    """Why these units cannot be left out of this model; None: they can."""
    try:
        ways_of(stack, removed)
    except PlanError as exc:
        return exc.message
    return None


def ways_of(stack: Stack, removed: Iterable[UnitRef]) -> list[Way]:
    """The proved way of each unit.

    Raises:
        PlanError: as `left_out`.
    """
    units = ordered(tuple((unit, block) for unit, block in removed))
    for unit, block in units:
        _check(stack, unit, block)
    if units and any(unit not in _PROVED.get(stack.blocks[block], {}) for unit, block in units):
        _prove(stack)
    return [_proved(stack, unit, block) for unit, block in units]


def _check(stack: Stack, unit: str, block: int) -> None:
    n_blocks = len(stack.blocks)
    if not 0 <= block < n_blocks:
        raise PlanError(
            "Layer {block} is not in this model: it has {n_blocks} layers (0 to {last}). Make the plan again for this model.",
            block=block,
            n_blocks=n_blocks,
            last=n_blocks - 1,
        )
    if unit != "block" and getattr(stack.info.blocks[block], unit) is None:
        raise PlanError(
            "Layer {block} of this model has no separate {unit} that could be removed. Make the plan again with whole layers.",
            block=block,
            unit=_SAID[unit],
        )


_SAID = {"block": "layer", "attention": "attention", "mlp": "MLP"}


def _proved(stack: Stack, unit: str, block: int) -> Way:
    way = _PROVED[stack.blocks[block]][unit]
    if way is not None:
        return way
    if unit == "block":
        raise PlanError(
            "Layer {block} works something out that later layers need, so it cannot be left out. Choose other layers.",
            block=block,
        )
    raise PlanError(
        "The {unit} of layer {block} cannot be left out: a test run did not show that it then adds exactly nothing. "
        "Leave out the whole layer, or choose another one.",
        unit=_SAID[unit],
        block=block,
    )


# -- proving -----------------------------------------------------------------------------------------------------------


def _prove(stack: Stack) -> None:
    """Tries every unit of the stack once, on a few tokens."""
    calls = _calls(stack)
    for index, block in enumerate(stack.blocks):
        run = run_block(block, calls[index])
        cached_as = _cache_index(block, index)
        ways: dict[str, Way | None] = {"block": block_way(block, calls[index], run, cached_as)}
        ways["attention"] = half_way(block, calls[index], run, stack.taps[index], "attention", cached_as)
        ways["mlp"] = half_way(block, calls[index], run, stack.taps[index], "mlp", cached_as)
        _PROVED[block] = ways


@torch.no_grad()
def _calls(stack: Stack) -> list[Call]:
    """How the stack calls each block, seen in a run of a few tokens."""
    calls: list[Call] = []
    taken: set[int] = set()
    outputs: list[Any] = []

    def enters(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        taken.update(map(id, (*args, *kwargs.values())))
        calls.append(Call(_copied(args), dict(zip(kwargs, _copied(tuple(kwargs.values())), strict=True))))

    def leaves(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        outputs.append(output)  # kept, so that no later object gets its identity

    with ExitStack() as cleanup:
        for block in stack.blocks:
            cleanup.callback(block.register_forward_pre_hook(enters, with_kwargs=True).remove)
            cleanup.callback(block.register_forward_hook(leaves).remove)
        _run(stack)
    return [call._replace(handed_on=_handed_on(output, taken)) for call, output in zip(calls, outputs, strict=True)]


def _handed_on(output: Any, taken: set[int]) -> frozenset[int]:
    further = output[1:] if isinstance(output, tuple) else ()
    return frozenset(place for place, value in enumerate(further, start=1) if value is not None and id(value) in taken)


def _run(stack: Stack) -> None:
    """Runs the stack on a few tokens; one that reads no text, on made-up states, block by block."""
    root: Any = stack.root.decoder if isinstance(stack.root, EncoderThenDecoder) else stack.root
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(1, N_TOKENS, root.config.hidden_size, generator=generator).to(root.device, root.dtype)
    if "input_ids" in inspect.signature(root.forward).parameters:
        ids = (torch.arange(N_TOKENS, device=root.device) * 7 + 11) % root.config.get_text_config().vocab_size
        root(input_ids=ids[None], use_cache=False, **({} if root is stack.root else {"encoder_hidden_states": states}))
        return
    for block in stack.blocks:
        accepts = list(inspect.signature(block.forward).parameters.values())[1:]
        block(states, **{p.name: None for p in accepts if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD})


def _copied(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.clone() if isinstance(value, torch.Tensor) else value for value in values)


def _cache_index(block: nn.Module, index: int) -> int | None:
    """Under which number a block's attention keeps its keys; None: it keeps none."""
    found = (getattr(module, "layer_idx", None) for module in block.modules())
    return next((number for number in found if isinstance(number, int)), None)
