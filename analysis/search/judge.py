"""What the final states of a batch are worth: cross entropy by the model's own head, or how far the states turned."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from analysis.models.head import Head
from analysis.search.batches import Batch


class Judge:
    """Summed loss per example and set.

    Args:
        batch: the examples, and which of their places are judged.
        device: where their states are.
        head: the model's head; None: states are held against the untouched model's.
        untouched: batch number -> the untouched model's final states; filled by the first set that is judged.
        head_tokens: states that go through the head at a time.
        pause: called before each of these; may raise to stop.
    """

    def __init__(
        self,
        batch: Batch,
        device: torch.device,
        head: Head | None,
        untouched: dict[int, Tensor],
        head_tokens: int,
        pause: Callable[[], None],
    ) -> None:
        self._batch, self._head, self._untouched = batch, head, untouched
        self._size, self._pause = head_tokens, pause
        self.rows = torch.from_numpy(batch.rows).to(device)
        self._targets = torch.from_numpy(batch.targets).to(device)
        self._owners = torch.from_numpy(batch.owners).to(device)

    @torch.no_grad()
    def losses(self, final: Tensor) -> Tensor:
        """Sums over each example's tokens.

        Args:
            final: [n_sets, rows, d] final states of the judged places.

        Returns:
            [n_sets, B] float64 (float32 where the device has none).
        """
        return self.summed(self.token_losses(final))

    @torch.no_grad()
    def token_losses(self, final: Tensor) -> Tensor:
        """The same token by token: [n_sets, rows]."""
        return self._turned(final) if self._head is None else self._cross_entropy(final, self._head).reshape(final.shape[:2])

    def summed(self, losses: Tensor) -> Tensor:
        """Token losses [n_sets, rows] added up over each example's tokens: [n_sets, B]."""
        wide = torch.float32 if losses.device.type == "mps" else torch.float64
        sums = torch.zeros(losses.shape[0], len(self._batch.members), dtype=wide, device=losses.device)
        return sums.index_add_(1, self._owners, losses.to(wide))

    def _cross_entropy(self, final: Tensor, head: Head) -> Tensor:
        flat, targets = final.flatten(0, 1), self._targets.repeat(final.shape[0])
        losses = torch.empty(flat.shape[0], dtype=torch.float32, device=flat.device)
        for first in range(0, flat.shape[0], self._size):
            self._pause()
            logits = head.logits(flat[first : first + self._size])
            scores = functional.log_softmax(logits, dim=-1, dtype=torch.float32)
            losses[first : first + self._size] = -scores.gather(1, targets[first : first + self._size, None].to(scores.device))[:, 0]
        return losses

    def _turned(self, final: Tensor) -> Tensor:
        """1 - cosine to the untouched model's final states, which are the first to be measured and kept."""
        known = self._untouched
        if self._batch.number not in known:
            known[self._batch.number] = final[0].clone()
        return 1.0 - functional.cosine_similarity(final.float(), known[self._batch.number].float()[None], dim=-1)
