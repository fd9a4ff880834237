"""How strongly the responses pull at each block's weights: the norms of one backward pass, with nothing changed by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from analysis.contracts import GradientNorms, Message, Progress
from analysis.errors import Cancelled, ModelError, ResourceError, WorkloadError
from analysis.models import memory
from analysis.models.stack import LoadedModel, Stack
from analysis.profiling.scores import series
from analysis.profiling.stream import Watch, out_of_memory
from analysis.semantics.tokens import response_places, slices_by_turns
from analysis.workload import EncodedExample, EncodedWorkload

BATCH_TOKENS = {"cpu": 256, "cuda": 4096}
"""Tokens run backwards together, padding included."""


def gradient_norms(
    loaded: LoadedModel, stack: Stack, encoded: EncodedWorkload, *, tokens: int = 4096, watch: Watch | None = None
) -> GradientNorms:
    """The gradient of the mean response loss in every block, from one backward pass.

    Only the blocks' weights get a gradient; a few prompts are run at a time, so there is room needed for the weights, their
    gradients and one small batch. No step is taken; afterwards weights, gradients, requires_grad and training mode are what they were.

    Args:
        tokens: of the prompts and responses that are run, at most; slices take turns, prompts in content-hash order.

    Raises:
        WorkloadError: no answered prompt is short enough.
        ModelError: the model cannot be run backwards.
        ResourceError: the gradients do not fit the memory.
        Cancelled: `watch.should_stop` said so.
    """
    watch = watch or Watch()
    chosen = _chosen(encoded.examples, tokens)
    blocks = [[parameter for parameter in block.parameters() if parameter.is_floating_point()] for block in stack.blocks]
    needed = sum(parameter.numel() * parameter.element_size() for block in blocks for parameter in block)
    memory.require(needed, loaded.device, model=loaded.info.name)
    total = sum(example.weight * len(response_places(example)) for example in chosen)
    with _only_these_learn(loaded.model, [parameter for block in blocks for parameter in block]):
        done = 0
        for batch in _batches(chosen, BATCH_TOKENS.get(loaded.device.type, BATCH_TOKENS["cpu"])):
            if watch.should_stop():
                raise Cancelled("Stopped at your request.")
            _say(watch, done, len(chosen))
            _backward(loaded, stack, batch, total)
            done += len(batch)
        return _norms(blocks, chosen)


def _batches(chosen: Sequence[EncodedExample], tokens: int) -> Iterator[list[EncodedExample]]:
    """Prompts of like length together, padding included in the limit; a longer one on its own."""
    batch: list[EncodedExample] = []
    for example in sorted(chosen, key=lambda one: (len(one.input_ids), one.example_id)):
        if batch and (len(batch) + 1) * len(example.input_ids) > tokens:
            yield batch
            batch = []
        batch.append(example)
    yield batch


def _chosen(examples: Sequence[EncodedExample], tokens: int) -> list[EncodedExample]:
    chosen = []
    for index in slices_by_turns(examples, lambda i: (examples[i].example_id,)):
        example = examples[index]
        if len(response_places(example)) and example.weight > 0 and len(example.input_ids) <= tokens:
            chosen.append(example)
            tokens -= len(example.input_ids)
    if not chosen:
        raise WorkloadError(
            "No answered prompt fits into the {tokens} tokens of the backward pass. Allow more (gradient_tokens), or give shorter prompts.",
            tokens=tokens,
        )
    return chosen


def _say(watch: Watch, done: int, total: int) -> None:
    watch.on_progress(Progress(stage=Message(id="Measuring the gradients of the responses"), done=done, total=total))


@contextmanager
def _only_these_learn(model: nn.Module, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Inside, only these parameters want a gradient and have none yet, and the model is in eval mode; afterwards all is as before."""
    every = list(model.parameters())
    wanted = [(parameter, parameter.requires_grad, parameter.grad) for parameter in every]
    training = [module for module in model.modules() if module.training]
    try:
        for parameter in every:
            parameter.grad = None
            parameter.requires_grad_(False)
        for parameter in parameters:
            parameter.requires_grad_(True)
        model.eval()
        yield
    finally:
        for parameter, wants, gradient in wanted:
            parameter.grad = None
            parameter.requires_grad_(wants)
            parameter.grad = gradient
        for module in training:
            module.training = True


def _backward(loaded: LoadedModel, stack: Stack, batch: Sequence[EncodedExample], total: float) -> None:
    """Adds some prompts' share of the mean loss to the gradients."""
    packed = _Packed.of(batch, loaded.device)
    try:
        with torch.enable_grad(), _judged_only(stack.root, packed.rows):
            logits: Tensor = loaded.model(**packed.inputs, use_cache=False).logits[0].float()
            losses = nn.functional.cross_entropy(logits, packed.right.to(logits.device), reduction="none")
            (losses @ (packed.weights.to(logits.device) / total)).backward()  # type: ignore[no-untyped-call]
    except (MemoryError, RuntimeError, NotImplementedError) as exc:
        if out_of_memory(exc):
            raise ResourceError(
                "There is not enough memory for the gradients of {tokens} tokens at a time. Leave them out, allow shorter prompts, or "
                "use a device with more memory.",
                tokens=packed.inputs["input_ids"].numel(),
            ) from exc
        raise ModelError(
            "{model} could not be run backwards ({reason}), so there are no gradients. Load it unquantised, or leave the gradients out.",
            model=loaded.info.name,
            reason=str(exc).splitlines()[0][:100] if str(exc) else type(exc).__name__,
        ) from exc


@dataclass(frozen=True)
class _Packed:
    """What the model gets, padded at the end; and of every response token the row of the state before it, its id and its weight."""

    inputs: dict[str, Tensor]
    rows: Tensor
    right: Tensor
    weights: Tensor

    @classmethod
    def of(cls, batch: Sequence[EncodedExample], device: torch.device) -> _Packed:
        """Of a few prompts."""
        width = max(len(example.input_ids) for example in batch)
        ids, mask = np.zeros((len(batch), width), dtype=np.int64), np.zeros((len(batch), width), dtype=np.int64)
        for row, example in enumerate(batch):
            ids[row, : len(example.input_ids)], mask[row, : len(example.input_ids)] = example.input_ids, 1
        places = [response_places(example) for example in batch]
        rows = np.concatenate([row * width + found - 1 for row, found in enumerate(places)])
        right = np.concatenate([example.input_ids[found] for example, found in zip(batch, places, strict=True)])
        weights = np.repeat(np.array([example.weight for example in batch], dtype=np.float32), [len(found) for found in places])
        named = {"input_ids": ids} | ({} if mask.all() else {"attention_mask": mask})
        inputs = {name: torch.from_numpy(array).to(device) for name, array in named.items()}
        return cls(inputs, *(torch.from_numpy(array).to(device) for array in (rows, right, weights)))


@contextmanager
def _judged_only(root: nn.Module, rows: Tensor) -> Iterator[None]:
    """Inside, the root hands on only the states of these tokens, as one row, so that the head never sees a whole prompt."""

    def keep(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        states: Tensor = output.last_hidden_state
        output.last_hidden_state = states.flatten(0, 1)[rows.to(states.device)][None]
        return output

    handle = root.register_forward_hook(keep)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def _norms(blocks: Sequence[Sequence[nn.Parameter]], chosen: Sequence[EncodedExample]) -> GradientNorms:
    sums = np.array([[float(value) for value in _block(block)] for block in blocks])
    l1, squares, weights, numbers = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return GradientNorms(
            n_tokens=sum(len(response_places(example)) for example in chosen),
            n_examples=len(chosen),
            l1=series(l1),
            l2=series(np.sqrt(squares)),
            per_parameter=series(l1 / numbers),
            relative=series(np.sqrt(squares / weights)),
        )


def _block(block: Sequence[nn.Parameter]) -> tuple[float, float, float, float]:
    """Sums over a block: |g|, g^2, w^2, numbers. Weights that nothing came through to (an expert without a token) count with 0."""
    l1 = squares = weights = 0.0
    for parameter in block:
        weights += float(parameter.float().square().sum())
        if parameter.grad is not None:
            gradient = parameter.grad.float()
            l1 += float(gradient.abs().sum())
            squares += float(gradient.square().sum())
    return l1, squares, weights, float(sum(parameter.numel() for parameter in block))
