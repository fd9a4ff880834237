"""Whether a model can be trained, and whether what had to stay the same did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from analysis.contracts import Message
from analysis.errors import ModelError, PlanError
from analysis.models.head import Head
from analysis.models.stack import LoadedModel, Stack

_CHUNK = {"cpu": 1 << 15, "other": 1 << 22}
"""Words looked at together: on a CPU as many as one core keeps near it, elsewhere as many as keep the device busy."""


def check_trainable(loaded: LoadedModel, stack: Stack, eof_layer: int) -> None:
    """Refuses, in words, what cannot be trained.

    Raises:
        PlanError: nothing would train, or the boundary is not in this model.
        ModelError: the weights are quantised, or the model gives no words one after another.
    """
    n_blocks = len(stack.blocks)
    if not -1 <= eof_layer <= n_blocks - 2:
        raise PlanError(
            "With layers 0 to {eof} frozen nothing would train: this model has {n_blocks} layers, so the last frozen layer is -1 (none) to "
            "{last}. Choose one of those.",
            eof=eof_layer,
            n_blocks=n_blocks,
            last=n_blocks - 2,
        )
    model, name = loaded.model, loaded.info.name
    if getattr(model, "quantization_method", None) is not None or not all(p.is_floating_point() for p in model.parameters()):
        raise ModelError(
            "The weights of {model} are quantised, and a trial trains weights as they are. Give the model unquantised; "
            "for training adapters on it elsewhere, export the plan (--format peft).",
            model=name,
        )
    if model.config.is_encoder_decoder:
        raise ModelError(
            "{model} is an encoder-decoder, and trials train models of one stack that writes word after word. "
            "Choose another model; a freeze plan for this one can still be exported.",
            model=name,
        )
    if not stack.info.causal or not Head(loaded, stack).exists:
        raise ModelError(
            "{model} does not write word after word, or has no output head, so there is no loss to train on. Choose a language model.",
            model=name,
        )
    if loaded.dtype == torch.float16 and loaded.device.type != "cuda":
        raise ModelError("Training in float16 needs a GPU. Choose float32 or bfloat16 (--dtype).")


@contextmanager
def unchanged(loaded: LoadedModel) -> Iterator[None]:
    """Whatever happens inside: modes, gradient flags and gradients are afterwards what they were."""
    model = loaded.model
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
            parameter.grad = None


@contextmanager
def restored(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Inside, the parameters may be trained and are kept in float32; afterwards they are bit for bit what they were.

    Their values wait in the host's memory.
    """
    originals = [(parameter, parameter.dtype, parameter.detach().to("cpu", copy=True)) for parameter in parameters]
    try:
        for parameter, dtype, _ in originals:
            if dtype != torch.float32:
                parameter.data = parameter.data.float()
        yield
    finally:
        for parameter, dtype, original in originals:
            parameter.grad = None
            if parameter.dtype != dtype:
                parameter.data = torch.empty_like(original, device=parameter.device)
            with torch.no_grad():
                parameter.copy_(original)


@dataclass(frozen=True)
class Frozen:
    """Tensors that must not change, and what they were.

    Attributes:
        parameters: they never get a gradient.
        buffers: kept beside them, such as rotary tables and router biases.
        before: digest of each.
    """

    parameters: tuple[nn.Parameter, ...]
    buffers: tuple[Tensor, ...]
    before: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, parameters: Sequence[nn.Parameter], buffers: Sequence[Tensor]) -> Frozen:
        """Takes down what they are now."""
        return cls(tuple(parameters), tuple(buffers), _digests((*parameters, *buffers)))

    def identical(self) -> bool:
        """Whether every bit is what it was."""
        return _digests((*self.parameters, *self.buffers)) == self.before

    def gradient_free(self) -> bool:
        """Whether none of them has a gradient now."""
        return all(parameter.grad is None for parameter in self.parameters)


def _digests(tensors: Sequence[Tensor]) -> tuple[tuple[int, int], ...]:
    """Of every tensor; the memory it takes on the device is given back, so that none of it counts as training's."""
    try:
        return tuple(digest(tensor) for tensor in tensors)
    finally:
        _tables.cache_clear()


@torch.no_grad()
def digest(tensor: Tensor) -> tuple[int, int]:
    """Two 64-bit sums over a tensor's bits, worked out where it lies: each word times odd numbers that its place decides.

    Any change of a single word changes both sums; any other change leaves both as they were in one case of 2^128.
    """
    words, tables = _words(tensor), _tables(tensor.device)
    sums = torch.zeros(len(tables), dtype=torch.int64, device=tensor.device)
    size = len(tables[0])
    for number, start in enumerate(range(0, len(words), size)):
        chunk = words[start : start + size].to(torch.int64)
        partial = torch.stack([(chunk * table[: len(chunk)]).sum() for table in tables])
        sums += partial * (2 * number + 1)
    first, second = sums.tolist()
    return int(first), int(second)


def _words(tensor: Tensor) -> Tensor:
    """A tensor's bits as whole numbers, eight bytes each where that works out."""
    flat = tensor.detach().contiguous().view(-1)
    n_bytes = flat.element_size()
    if len(flat) * n_bytes % 8 == 0 and flat.storage_offset() * n_bytes % 8 == 0:
        return flat.view(torch.int64)
    return flat.view(torch.uint8)


@lru_cache(maxsize=4)
def _tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """Odd numbers for the places of a chunk."""
    draw, size = torch.Generator().manual_seed(0x5EED), _CHUNK["cpu" if device.type == "cpu" else "other"]
    first, second = (torch.randint(-(2**62), 2**62, (size,), generator=draw, dtype=torch.int64) * 2 + 1 for _ in range(2))
    return first.to(device), second.to(device)


def diverged_note(name: str, step: int) -> Message:
    """Said where the loss is no number any more."""
    return Message(
        id="{arm}: the loss was no number any more at step {step}, so the arm stopped there. Its learning rate is too high.",
        values={"arm": name, "step": step},
    )


def smaller_note(name: str, micro_batch: int) -> Message:
    """Said where memory ran out on the way."""
    return Message(
        id="{arm}: memory ran out, so a step was divided into passes of {n} examples. The result is the same; a step takes longer.",
        values={"arm": name, "n": micro_batch},
    )
