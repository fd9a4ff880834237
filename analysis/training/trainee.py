"""A model as it is trained: a loss over response tokens, a prefix that stays as it is, and nothing saved but what trains."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from analysis.models.head import Head
from analysis.models.stack import LoadedModel, Stack
from analysis.training.prefix import Prefix
from analysis.training.prefix_cache import PrefixCache


class Trainee(nn.Module):
    """A loaded model around which a training loop can be built.

    Frozen parts stay in evaluation mode whatever the loop asks for: only the blocks behind the boundary ever see dropout, so an
    arm's frozen layers give the same output each time, and it may be kept. The model stays where it was loaded.

    Args:
        loaded: the model; its weights are used, not copied.
        stack: the stack that trains.
        prefix: its frozen layers.
        cache: where their output is kept; None: they are computed each time.
    """

    def __init__(self, loaded: LoadedModel, stack: Stack, prefix: Prefix, cache: PrefixCache | None = None) -> None:
        super().__init__()
        self.model = loaded.model
        self.prefix = prefix
        self.cache = cache
        self._stack, self._device, self._dtype = stack, loaded.device, loaded.dtype
        self._head = Head(loaded, stack)
        self._use_cache = (
            {"use_cache": False} if "use_cache" in inspect.signature(stack.root.forward).parameters or stack.info.causal else {}
        )

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        rows: Tensor,
        targets: Tensor,
        weights: Tensor,
        indices: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Loss of a pass: the weighted sum over its judged tokens of -log p, in float32.

        Args:
            input_ids: [B, S], padded at the end.
            attention_mask: [B, S] 1 for a token, 0 for padding; None: no padding.
            rows: [n] places in the flattened [B * S] batch whose states predict response tokens.
            targets: [n] those tokens.
            weights: [n] each token's share of the step's loss; over all passes of a step they sum up to 1.
            indices: which examples these are, for the cache; None: it is not used.
        """
        with self.autocast():
            states = self.final_states(input_ids, attention_mask, indices).flatten(0, 1)
            scores = self._head.scores(states[rows.to(states.device)])
        losses = nn.functional.cross_entropy(scores.float(), targets.to(scores.device), reduction="none")
        return (losses * weights.to(losses.device)).sum()

    def final_states(self, input_ids: Tensor, attention_mask: Tensor | None, indices: tuple[int, ...] | None = None) -> Tensor:
        """[B, S, d] what comes out of the stack, by way of the cache where it can be."""
        if self.cache is None or indices is None:
            return self._run(input_ids, attention_mask)
        if self.cache.knows(indices):
            with self.prefix.recalled(self.cache.get(indices)):
                return self._run(input_ids, attention_mask)
        states = self._run(input_ids, attention_mask)
        assert self.prefix.entered is not None
        for row, index in enumerate(indices):
            self.cache.put(index, self.prefix.entered[row])
        return states

    def _run(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        inputs: dict[str, Any] = {"input_ids": input_ids, **self._use_cache}
        if attention_mask is not None:
            inputs["attention_mask"] = attention_mask
        final: Tensor = self._stack.root(**inputs)[0]
        return final

    def autocast(self) -> Any:
        """The number format of the computation where weights that train are kept in a wider one."""
        if self._dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self._device.type, dtype=self._dtype)

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Inside, the model is to be judged, not trained."""
        training = self.training
        self.eval()
        try:
            with torch.no_grad(), self.autocast():
                yield
        finally:
            self.train(training)

    def train(self, mode: bool = True) -> Trainee:
        """Training mode for the blocks that train; all else stays in evaluation mode."""
        super().train(False)
        self.training = mode
        if mode:
            for block in self._stack.blocks[self.prefix.eof_layer + 1 :]:
                block.train()
        return self

    def to(self, *_: Any, **__: Any) -> Trainee:
        """Stays where it is: the training loop has no say in where a model lies."""
        return self

    def trained(self) -> dict[str, nn.Parameter]:
        """Name -> parameter of what trains."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Any]:  # type: ignore[override]
        """What trains, and nothing else."""
        return {name: parameter.detach() for name, parameter in self.trained().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Puts saved values into what trains; every one of them has to be there."""
        trained = self.trained()
        assert trained.keys() == state_dict.keys()
        with torch.no_grad():
            for name, parameter in trained.items():
                parameter.copy_(state_dict[name])
        return nn.modules.module._IncompatibleKeys([], [])
