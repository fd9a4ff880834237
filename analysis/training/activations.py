"""What a pass keeps for its backward pass, counted as autograd keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from analysis.profiling.stream import out_of_memory
from analysis.training.trainee import Trainee

_SHAPED = ("T", "Transpose", "Permute", "View", "UnsafeView", "Unsqueeze", "Squeeze", "Select", "Slice", "Expand", "Alias", "Split")
_UNARY = frozenset(f"{name}Backward0" for name in ("ToCopy", *_SHAPED))
"""Steps of a graph that only change a tensor's number format or shape."""


@dataclass
class Saved:
    """Bytes that a forward pass saved; every storage counts once.

    Attributes:
        activations: of tensors that depend on the input.
        casts: of weights in the computation's number format.
    """

    activations: int = 0
    casts: int = 0
    _seen: set[int] = field(default_factory=set)
    _kept: list[Tensor] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All of it: what a projection's activations are, and what takes memory."""
        return self.activations + self.casts

    def add(self, tensor: Tensor) -> None:
        """A tensor that autograd keeps."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() in self._seen:
            return
        self._seen.add(storage.data_ptr())
        self._kept.append(tensor)  # else its place could be given to another one
        if _is_weight(tensor):
            self.casts += storage.nbytes()
        else:
            self.activations += storage.nbytes()


def saved_bytes(trainee: Trainee, inputs: dict[str, Any], device: torch.device) -> Saved | None:
    """Runs a pass forward, without a step, and counts; None: it does not fit the memory.

    Args:
        trainee: the model, with what trains and what is frozen set.
        inputs: a batch for it.
        device: where it lies; chance goes on from where it stood.
    """
    saved = Saved()
    for parameter in trainee.parameters():
        saved._seen.add(parameter.untyped_storage().data_ptr())
    for buffer in trainee.buffers():
        saved._seen.add(buffer.untyped_storage().data_ptr())

    def pack(tensor: Tensor) -> Tensor:
        saved.add(tensor)
        return tensor.detach()  # an output handed back as it is would hold its own graph, which nobody could free any more

    def unpack(tensor: Tensor) -> Tensor:
        return tensor

    trainee.train()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            trainee(**{**inputs, "indices": None})
    except (MemoryError, RuntimeError) as exc:
        if not out_of_memory(exc):
            raise
        return None
    finally:
        saved._kept.clear()
    return saved


def _is_weight(tensor: Tensor) -> bool:
    """Whether a tensor is a parameter in another number format or shape."""
    node = tensor.grad_fn
    while node is not None and node.name() in _UNARY:
        node = node.next_functions[0][0]
        if isinstance(getattr(node, "variable", None), nn.Parameter):
            return True
    return False
