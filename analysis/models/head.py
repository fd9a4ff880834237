"""From final states to word scores, by the model's own code: scaling, soft caps and all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast

from analysis.models.stack import LoadedModel, Stack


class Head:
    """A model's output head.

    The head is the model's own forward with the stack left out: the root hands back the states it is given. So whatever
    the architecture does to its logits (Gemma's soft cap, Cohere's scale) is done here too.

    Args:
        loaded: the model.
        stack: the stack whose final states will be given.
    """

    def __init__(self, loaded: LoadedModel, stack: Stack) -> None:
        self._model: PreTrainedModel = loaded.model
        self._root: nn.Module = stack.root
        self._device = loaded.device

    @property
    def exists(self) -> bool:
        """Whether the stack's states can be turned into words; a bare encoder has no head, an encoder-decoder's needs both stacks."""
        model = self._model
        return self._root is not model and not model.config.is_encoder_decoder and model.get_output_embeddings() is not None

    @torch.no_grad()
    def logits(self, states: Tensor) -> Tensor:
        """Word scores of states that came out of the root, final norm included.

        Args:
            states: [n, d].

        Returns:
            [n, V], in the model's number format.
        """
        return self.scores(states)

    def scores(self, states: Tensor) -> Tensor:
        """The same [n, V], through which gradients flow back to the states."""
        with _returning(self._root, states[None]):
            output = self._model(input_ids=torch.zeros(1, states.shape[0], dtype=torch.long, device=states.device), use_cache=False)
        found: Tensor = output.logits
        return found[0]


class _Final(BaseModelOutputWithPast):  # type: ignore[misc]
    """Final states, and None for whatever else a model looks for in its root's output (attentions, router logits)."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


@contextmanager
def _returning(root: nn.Module, states: Tensor) -> Iterator[None]:
    """Inside the block the root runs nothing and returns these states."""

    def forward(*_: Any, **__: Any) -> BaseModelOutputWithPast:
        return _Final(last_hidden_state=states)

    before = vars(root).get("forward")
    root.forward = forward
    try:
        yield
    finally:
        if before is None:
            del root.forward
        else:
            root.forward = before
