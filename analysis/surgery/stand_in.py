"""What runs in a left-out module's place: nothing is computed, the caller gets a result of the shape it expects."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from torch import Tensor, nn

_CHANGING = RLock()
_STANDING: WeakKeyDictionary[nn.Module, list[Callable[..., Any] | None]] = WeakKeyDictionary()
"""Module -> its own forward (None: its class's), and the stand-ins that are there now, in the order they came."""


class Slot(NamedTuple):
    """One argument of a forward: by name, or by position where the caller gives none."""

    name: str
    position: int | None

    def read(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """What the caller gave for it; None: nothing."""
        if self.name in kwargs:
            return kwargs[self.name]
        return args[self.position] if self.position is not None and self.position < len(args) else None


@dataclass(frozen=True)
class StandIn:
    """A forward that adds nothing: zeros of `width`, or one of its own arguments passed on.

    A cache is still told how long the sequence is, with keys of one number per token: caches ask their first layers how
    far they are, and take an empty tensor for no tokens at all.
    """

    stream: Slot
    passes: Slot | None = None
    width: int = 0
    rest: tuple[Slot | None, ...] | None = None
    cached_as: int | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """In place of the module's forward."""
        stream: Tensor = self.stream.read(args, kwargs)
        if self.cached_as is not None:
            for cache in _caches(args, kwargs):
                _lengthen(cache, stream, self.cached_as)
        out = stream.new_zeros(*stream.shape[:-1], self.width) if self.passes is None else self.passes.read(args, kwargs)
        return out if self.rest is None else (out, *(None if slot is None else slot.read(args, kwargs) for slot in self.rest))


@contextmanager
def standing(module: nn.Module, stand_in: StandIn) -> Iterator[None]:
    """Inside, the module does not compute. Whatever stood in its place before comes back when the last of its stand-ins has left.

    They may leave in any order, as those of two threads do.
    """
    own = vars(module)
    with _CHANGING:
        standing_now = _STANDING.setdefault(module, [own.get("forward")])
        standing_now.append(stand_in)
        own["forward"] = stand_in
    try:
        yield
    finally:
        with _CHANGING:
            del standing_now[next(place for place in reversed(range(len(standing_now))) if standing_now[place] is stand_in)]
            _set_forward(own, standing_now[-1])
            if len(standing_now) == 1:
                del _STANDING[module]


def _set_forward(own: dict[str, Any], forward: Callable[..., Any] | None) -> None:
    if forward is None:
        own.pop("forward", None)
    else:
        own["forward"] = forward


def is_left_out(module: nn.Module) -> bool:
    """Whether a stand-in runs in the module's place now."""
    return isinstance(vars(module).get("forward"), StandIn)


def slots(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[tuple[Slot, Any]]:
    """The arguments of one call with the slots in which they came."""
    names = [
        name
        for name, parameter in inspect.signature(module.forward).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    named = names + [f"*{place}" for place in range(len(names), len(args))]
    given = [(Slot(named[place], place), value) for place, value in enumerate(args)]
    return given + [(Slot(name, names.index(name) if name in names else None), value) for name, value in kwargs.items()]


def _caches(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Any]:
    """The cache among the arguments, whatever the architecture calls it; of an encoder-decoder's, the part that grows."""
    for value in (*args, *kwargs.values()):
        if hasattr(value, "get_mask_sizes") and hasattr(value, "update"):
            yield getattr(value, "self_attention_cache", value)


def _lengthen(cache: Any, stream: Tensor, index: int) -> None:
    """Tells a cache that its layer has seen these tokens too; in the shape of what it keeps already, if it does."""
    kept = cache.layers[index] if index < len(cache.layers) else cache.layer_class_to_replicate
    started = getattr(kept, "is_initialized", False)
    if not hasattr(kept, "update") or (started and kept.keys is None):
        return  # it keeps a state instead of keys, or nothing at all
    known = (kept.keys, kept.values) if started else (None, None)
    keys, values = (_blank(stream, like) for like in known)
    cache.update(keys, values, index)


def _blank(stream: Tensor, like: Tensor | None) -> Tensor:
    heads, width, dtype = (1, 1, stream.dtype) if like is None else (like.shape[1], like.shape[-1], like.dtype)
    return stream.new_zeros(stream.shape[0], heads, stream.shape[1], width, dtype=dtype)
