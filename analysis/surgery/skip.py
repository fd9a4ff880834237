"""Units left out of a live model, and back: weights, attributes and module tree stay as they are."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from threading import RLock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from analysis.contracts import Message
from analysis.contracts.search import UnitRef, ordered
from analysis.errors import PlanError
from analysis.models.probe import N_TOKENS
from analysis.models.stack import EncoderThenDecoder, Stack
from analysis.surgery.halves import HALVES, Call, Way, block_way, half_way, run_block
from analysis.surgery.stand_in import StandIn, standing

_Paths = tuple[tuple[str, StandIn], ...]
_PROVED: WeakKeyDictionary[nn.Module, dict[str, _Paths | Message]] = WeakKeyDictionary()
"""Block -> unit -> the way to leave it out (by paths, so that a model nobody needs any more is freed), or why there is none."""

_PROVING = RLock()


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
    with _PROVING:  # the hooks of two proofs at once would see each other's runs
        if any(stack.blocks[block] not in _PROVED for _, block in units):
            _prove(stack)
    return [_way(stack.blocks[block], unit) for unit, block in units]


def _way(block: nn.Module, unit: str) -> Way:
    proved = _PROVED[block][unit]
    if isinstance(proved, Message):
        raise PlanError.from_message(proved)
    number = cache_number(block)  # read now: it changes when layers in front are pruned
    return tuple(
        (block.get_submodule(path), replace(stand_in, cached_as=None if stand_in.cached_as is None else number))
        for path, stand_in in proved
    )


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


# -- proving -----------------------------------------------------------------------------------------------------------


def _prove(stack: Stack) -> None:
    """Tries every unit of the stack once, on a few tokens."""
    if runner(stack).device.type == "meta":
        raise PlanError("The weights of this model are not loaded, so no layer can be left out. Load the model first.")
    if _remembers_in_its_own_way(stack):
        raise PlanError(
            "This model hands its memory of earlier words from layer to layer in a way of its own, so with layers left out it could not go "
            "on writing. Choose another model."
        )
    try:
        calls = _calls(stack)
        runs = [run_block(block, call) for block, call in zip(stack.blocks, calls, strict=True)]
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError) as exc:
        if isinstance(exc, torch.OutOfMemoryError):
            raise
        raise PlanError(
            "The layers of this model could not be run one by one on a few tokens ({reason}), so it cannot be said what leaving one out "
            "does. Choose another model.",
            reason=str(exc).partition("\n")[0][:200],
        ) from exc
    for index, (block, call, run) in enumerate(zip(stack.blocks, calls, runs, strict=True)):
        number = cache_number(block)
        needed = _needed_later(index)
        proved: dict[str, _Paths | Message] = {"block": _paths(block, block_way(block, call, run, number)) or needed}
        for half in HALVES:
            refused = needed if call.handed_on and half == "attention" else _unproved(half, index)
            proved[half] = _paths(block, half_way(block, call, run, stack.taps[index], half, number)) or refused
        _PROVED[block] = proved | ({"block": needed, "attention": needed} if call.writes else {})


def _remembers_in_its_own_way(stack: Stack) -> bool:
    """Such as RWKV, whose layers return a state that the next step needs, instead of writing into a cache."""
    takes = inspect.signature(runner(stack).forward).parameters
    return "use_cache" in takes and "past_key_values" not in takes


def _paths(block: nn.Module, way: Way | None) -> _Paths:
    names = {id(module): name for name, module in block.named_modules()}
    return tuple((names[id(module)], stand_in) for module, stand_in in way or ())


def _needed_later(block: int) -> Message:
    return Message(
        id="Layer {block} works something out that later layers need, so it cannot be left out. Choose other layers.",
        values={"block": block},
    )


def _unproved(half: str, block: int) -> Message:
    return Message(
        id="The {unit} of layer {block} cannot be left out: a test run did not show that it then adds exactly nothing. "
        "Leave out the whole layer, or choose another one.",
        values={"unit": _SAID[half], "block": block},
    )


@torch.no_grad()
def _calls(stack: Stack) -> list[Call]:
    """How the stack calls each block, seen in a run of a few tokens."""
    calls: list[Call] = []
    taken: set[int] = set()
    outputs: list[Any] = []
    shelves: list[list[tuple[Any, dict[Any, Any]]]] = []
    wrote: list[bool] = []

    def enters(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        taken.update(map(id, (*args, *kwargs.values())))
        shelves.append([(value, dict(value)) for value in (*args, *kwargs.values()) if isinstance(value, MutableMapping)])
        calls.append(Call(_copied(args), dict(zip(kwargs, _copied(tuple(kwargs.values())), strict=True))))

    def leaves(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        outputs.append(output)  # kept, so that no later object gets its identity
        wrote.append(any(_changed(shelf, before) for shelf, before in shelves[-1]))

    with ExitStack() as cleanup:
        for block in stack.blocks:
            cleanup.callback(block.register_forward_pre_hook(enters, with_kwargs=True).remove)
            cleanup.callback(block.register_forward_hook(leaves).remove)
        run_on_few_tokens(stack)
    found = zip(calls, outputs, wrote, strict=True)
    return [call._replace(handed_on=_handed_on(output, taken), writes=writes) for call, output, writes in found]


def _changed(shelf: Any, before: dict[Any, Any]) -> bool:
    """Whether a block put something where later blocks look for it, such as keys and values they share."""
    return shelf.keys() != before.keys() or any(shelf[name] is not value for name, value in before.items())


def _handed_on(output: Any, taken: set[int]) -> frozenset[int]:
    further = output[1:] if isinstance(output, tuple) else ()
    return frozenset(place for place, value in enumerate(further, start=1) if value is not None and id(value) in taken)


@torch.no_grad()
def run_on_few_tokens(stack: Stack) -> Tensor:
    """What the stack makes of a few tokens; one that reads no text: its blocks of made-up states."""
    root = runner(stack)
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(1, N_TOKENS, root.config.hidden_size, generator=generator).to(root.device, root.dtype)
    if "input_ids" in inspect.signature(root.forward).parameters:
        ids = (torch.arange(N_TOKENS, device=root.device) * 7 + 11) % root.config.get_text_config().vocab_size
        more = {} if root is stack.root else {"encoder_hidden_states": states}
        final: Tensor = root(input_ids=ids[None], use_cache=False, **more)[0]
        return final
    for block in stack.blocks:
        accepts = list(inspect.signature(block.forward).parameters.values())[1:]
        output = block(states, **{p.name: None for p in accepts if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD})
        states = output[0] if isinstance(output, tuple) else output
    return states


def runner(stack: Stack) -> Any:
    """The transformers model that calls the stack's blocks."""
    return stack.root.decoder if isinstance(stack.root, EncoderThenDecoder) else stack.root


def _copied(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.clone() if isinstance(value, torch.Tensor) else value for value in values)


def cache_number(block: nn.Module) -> int | None:
    """Under which number a block's attention keeps its keys; None: it keeps none."""
    found = (getattr(module, "layer_idx", None) for module in block.modules())
    return next((number for number in found if isinstance(number, int)), None)
