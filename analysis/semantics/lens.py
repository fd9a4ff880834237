"""The logit lens: what the model's own head would say of every state, in chunks that never hold a vocabulary for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.models.head import Head

_CHUNK_BYTES = {"cpu": 32 * 2**20, "cuda": 256 * 2**20}
_LOWEST = -1e30
"""In place of minus infinity, for a word a head rules out: its probability is 0 all the same, and 0 times it is a number."""
LENS_COLUMNS = ("loss", "top1", "reciprocal_rank", "entropy")


@dataclass(frozen=True)
class Lens:
    """A head over a vocabulary; `ids` are the words that count, None: all."""

    head: Head
    n_words: int
    ids: Tensor | None
    device: torch.device

    def chunk(self) -> int:
        """States read at a time."""
        return max(8, _CHUNK_BYTES.get(self.device.type, _CHUNK_BYTES["cpu"]) // (4 * self.n_words))

    def read(self, states: Float[Tensor, "n width"], words: Int[Tensor, " n"]) -> tuple[Float[Tensor, "n columns"], Int[Tensor, " n"]]:
        """Loss (nats), whether the right word comes first, 1 / its rank, entropy (nats) [n, 4] float64; and the word said [n].

        Args:
            states: at most `chunk()` of them, as they come out of the root.
            words: the right words, counted among the chosen ones.
        """
        logits = self.head.logits(states.to(self.device))
        scores = logits if self.ids is None else logits[:, self.ids.to(logits.device)]
        scores = scores.clamp_min_(max(_LOWEST, torch.finfo(scores.dtype).min))
        right = words.to(scores.device)[:, None]
        own = scores.gather(1, right)
        best, said = scores.max(-1)
        rank = 1 + (scores > own).view(torch.uint8).sum(-1, dtype=torch.int32)
        below = scores - best[:, None].float()  # float32; the scores are never copied to it whole
        likely = below.exp()
        mass = likely.sum(-1)
        normaliser = mass.log()
        expected = torch.linalg.vecdot(likely, below) / mass
        loss = normaliser + best.float() - own[:, 0].float()
        columns = loss, said == right[:, 0], 1 / rank, normaliser - expected
        found = torch.stack([column.double() for column in columns], dim=1)
        return found.to(states.device), said.to(states.device)
