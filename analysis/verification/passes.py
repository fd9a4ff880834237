"""One request as a model serves it: a batch of prompts is read, then answered token by token with the cache."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from analysis.contracts import Message
from analysis.errors import ModelError
from analysis.models.head import Head
from analysis.models.stack import EncoderThenDecoder, LoadedModel, Stack
from analysis.verification.timing import Stopwatch


@dataclass(frozen=True)
class Laps:
    """How long one request took. `decode_ms` is of all new tokens after the first; None: none were made."""

    prefill_ms: float
    first_token_ms: float
    decode_ms: float | None


class Requests:
    """Runs requests of any size on one model. Prompts are of one length, without padding, and made up: times do not
    depend on what they say.

    Args:
        loaded: the model.
        stack: the stack that is run.

    Raises:
        ModelError: the model does not read text.
    """

    def __init__(self, loaded: LoadedModel, stack: Stack) -> None:
        if loaded.info.refusal is not None:
            raise ModelError(loaded.info.refusal.id, **loaded.info.refusal.values)
        self._loaded, self._stack = loaded, stack
        self._head = head_of(loaded, stack)
        root, whole = inspect.signature(stack.root.forward).parameters, inspect.signature(loaded.model.forward).parameters
        two_stacks = isinstance(stack.root, EncoderThenDecoder)
        self.caches: bool = stack.info.causal and (two_stacks or "use_cache" in root)
        """Whether reading leaves a cache."""
        self._whole = self.caches and not two_stacks and "logits_to_keep" in whole
        self.answers: bool = self.caches and not two_stacks and self._head is not None
        """Whether it can go on after the prompt, token by token."""

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """Where the model lies."""
        return tuple(dict.fromkeys(parameter.device for parameter in self._loaded.model.parameters()))

    def why_no_answers(self) -> Message | None:
        """Why only reading is measured; None: answering is measured too."""
        if self.answers:
            return None
        return Message(
            id="{model} does not answer token by token from a cache of its own, so only reading the prompt was timed.",
            values={"model": self._loaded.info.name},
        )

    def prompt(self, batch_size: int, prompt_tokens: int) -> Tensor:
        """Token ids [batch, prompt] on the model's device, no padding among them."""
        words = max(self._loaded.info.vocab_size, 2)
        ids = (torch.arange(batch_size * prompt_tokens) * 7 + 11) % words
        padding = getattr(self._loaded.model.config, "pad_token_id", None)
        if isinstance(padding, int):
            ids[ids == padding] = (padding + 1) % words
        return ids.view(batch_size, prompt_tokens).to(self._loaded.device)

    @torch.no_grad()
    def read(self, ids: Tensor, cache: Any = None) -> tuple[Tensor | None, Any]:
        """The word scores after the last token of each row, and the cache; None for what a model does not have."""
        if self._whole:
            output = self._loaded.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            return output.logits[:, -1], output.past_key_values
        options = {"use_cache": True, "past_key_values": cache} if self.caches else {}
        output = self._stack.root(input_ids=ids, **options)
        states: Tensor = output.last_hidden_state[:, -1]
        return None if self._head is None else self._head.logits(states), getattr(output, "past_key_values", None)

    def serve(self, ids: Tensor, new_tokens: int, watch: Stopwatch) -> Laps:
        """One request, timed: reading, the first token in the caller's hands, then `new_tokens` more, greedily."""
        watch.start()
        scores, cache = self.read(ids)
        prefill = watch.lap_ms()
        if not self.answers or scores is None:
            return Laps(prefill, prefill, None)
        token = scores.argmax(-1, keepdim=True)
        token.tolist()
        first = prefill + watch.lap_ms()
        if new_tokens == 0:
            return Laps(prefill, first, None)
        for _ in range(new_tokens):
            scores, cache = self.read(token, cache)
            assert scores is not None
            token = scores.argmax(-1, keepdim=True)
        return Laps(prefill, first, watch.lap_ms())


def head_of(loaded: LoadedModel, stack: Stack) -> Head | None:
    """The head that turns this stack's last states into words; None: there is none."""
    head = Head(loaded, stack)
    return head if head.exists else None


def fitted(info_context: int | None, prompt_tokens: int, new_tokens: int) -> tuple[int, int]:
    """Prompt length and number of new tokens that fit a model's context.

    >>> fitted(64, 100, 8), fitted(None, 100, 8), fitted(4, 100, 8)
    ((56, 8), (100, 8), (2, 2))
    """
    if info_context is None or prompt_tokens + new_tokens <= info_context:
        return prompt_tokens, new_tokens
    steps = min(new_tokens, info_context // 2)
    return min(prompt_tokens, info_context - steps), steps


def cache_bytes(cache: object) -> int:
    """Bytes of the numbers a cache holds: keys, values and states of every layer.

    An attention that is left out keeps one number per token so that the cache knows its length; that counts as nothing.
    """
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(cache) if not _stands_in(tensor))


def _stands_in(tensor: Tensor) -> bool:
    return tensor.dim() == 4 and tensor.shape[1] == tensor.shape[3] == 1


def _tensors(held: object, depth: int = 0) -> Iterator[Tensor]:
    if isinstance(held, Tensor):
        if held.is_floating_point():
            yield held
    elif isinstance(held, dict):
        for value in held.values():
            yield from _tensors(value, depth)
    elif isinstance(held, list | tuple):
        for value in held:
            yield from _tensors(value, depth)
    elif depth < 3 and hasattr(held, "__dict__"):
        yield from _tensors(vars(held), depth + 1)
