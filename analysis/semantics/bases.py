"""The directions that stand for words: what a state must look like for the output head to name exactly that word.

With W [V, d] the head's weights, the published bases are S = W (W'W)^-1, the transposed pseudo-inverse. Nothing here is ever
[V, V], and S is never there as a whole: a basis is its word's row times a [d, d] matrix.

    literal    s_y = G^+ w_y                       G = W'W
    centred    s_y = C^+ (w_y - m)                 C = (W - m)'(W - m), m the mean row
    whitened   z -> C^1/2 z, s_y = C^-1/2 (w_y - m)    the definition of S where the words' covariance is the identity

The last needs no root of C: cos(C^1/2 z, s_y) = z.(w_y - m) / (|C^1/2 z| |s_y|), |C^1/2 z|^2 = z'C z, |s_y|^2 = (w_y - m)'C^+ (w_y - m).
Source: arXiv 2401.16184 (literal); centred and whitened are our variants.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.profiling.taps import HALF

BASES = ("literal", "centred", "whitened")
N_BASES = len(BASES)
BLOCK_BYTES = {"cpu": 32 * 2**20, "cuda": 256 * 2**20}
ILL_CONDITIONED = 1e8
RIDGE = 1e-6
_RANK = 1e-11
"""Share of the largest eigenvalue below which one counts as zero; a float64 Gram's own rounding lies well under it."""


@dataclass(frozen=True)
class Bases:
    """A vocabulary's bases.

    weight: [V, d] the head's, where and as the model holds it; ids: the words taken from it, None: all; mean: [d];
    inverse, centred_inverse: [d, d] float64; gram: [d, d] float64, of the centred words (with the ridge); lengths: [3, n]
    |s_y| of every word, infinite where zero.
    """

    weight: Tensor
    ids: Tensor | None
    mean: Tensor
    inverse: Tensor
    gram: Tensor
    centred_inverse: Tensor
    lengths: Tensor
    condition_number: float | None
    ridge: float

    @classmethod
    def of(cls, weight: Float[Tensor, "words width"], ids: Int[Tensor, " n"] | None = None, *, device: torch.device | None = None) -> Bases:
        """The bases of a head's weights.

        Args:
            weight: the output head's.
            ids: the rows that count; None: all.
            device: where to compute; None: where the weights are.
        """
        where = weight.device if device is None else device
        ids = None if ids is None else ids.to(weight.device)
        n = len(weight) if ids is None else len(ids)
        gram, total = _gram(weight, ids, where)
        mean = total / n
        centred = gram - n * torch.outer(mean, mean)
        values, vectors = torch.linalg.eigh(gram)
        centred_values, centred_vectors = torch.linalg.eigh(centred)
        condition, ridge = _condition(values, n)
        eye = torch.eye(len(gram), dtype=gram.dtype, device=where)
        inverse = _inverse(values + ridge, vectors)
        centred_inverse = _inverse(centred_values + ridge, centred_vectors)
        lengths = torch.cat([_lengths(block, mean, inverse, centred_inverse) for block in _blocks(weight, ids, where)], dim=1)
        return cls(weight, ids, mean, inverse, centred + ridge * eye, centred_inverse, lengths, condition, ridge)

    @property
    def n_words(self) -> int:
        """Words they are made of."""
        return self.lengths.shape[1]

    @property
    def small(self) -> bool:
        """Fewer words than dimensions: only what the words span can be told apart."""
        return self.condition_number is None and self.ridge == 0

    def rows(self, words: Int[Tensor, " n"]) -> Float[Tensor, "n width"]:
        """The head's rows of these words (counted among the chosen ones), float64."""
        own = words.to(self.weight.device)
        found = self.weight.detach()[own if self.ids is None else self.ids[own]]
        return found.to(self.mean.device, torch.float64)

    def directions(self, words: Int[Tensor, " n"]) -> Float[Tensor, "n bases width"]:
        """u with cos = z.u / length(z): length is |z|, and sqrt(z'C z) for the whitened basis. float32."""
        rows = self.rows(words)
        centred = rows - self.mean
        raw = torch.stack([rows @ self.inverse, centred @ self.centred_inverse, centred], dim=1)
        return (raw / self.lengths.T[words.to(self.lengths.device)][:, :, None]).float()

    def full(self, words: Int[Tensor, " n"], basis: str) -> Float[Tensor, "n width"]:
        """The bases s_y themselves, float64; for `whitened` in its own coordinates."""
        rows = self.rows(words)
        if basis == "literal":
            return rows @ self.inverse
        if basis == "centred":
            return (rows - self.mean) @ self.centred_inverse
        return (rows - self.mean) @ self.root(-0.5)

    def root(self, power: float = 0.5) -> Float[Tensor, "width width"]:
        """C^power on what the words span, float64: the whitened basis' state map for 1/2."""
        values, vectors = torch.linalg.eigh(self.gram)
        kept = values > _RANK * values[-1].clamp_min(0)
        powers = torch.where(kept, values.clamp_min(torch.finfo(values.dtype).tiny) ** power, 0.0)
        root: Tensor = (vectors * powers) @ vectors.T
        return root

    def nearest(self, states: Float[Tensor, "n width"]) -> Int[Tensor, "bases n"]:
        """The word whose basis is nearest to each state; the vocabulary goes by in blocks, only the best so far is kept."""
        wide = states.double()
        queries = torch.stack([wide @ self.inverse, wide @ self.centred_inverse, wide]).float()
        shift = queries @ self.mean.float()
        shift[0] = 0.0
        best = torch.full(shift.shape, -torch.inf, device=shift.device)
        found = torch.zeros(shift.shape, dtype=torch.long, device=shift.device)
        start = 0
        for block in _blocks(self.weight, self.ids, shift.device, torch.float32, extra=N_BASES * len(states)):
            lengths = self.lengths[:, None, start : start + len(block)].float()
            scores = ((queries @ block.T - shift[:, :, None]) / lengths).masked_fill_(lengths.isinf(), -torch.inf)
            value, index = scores.max(dim=-1)
            better = value > best
            best, found = torch.where(better, value, best), torch.where(better, index + start, found)
            start += len(block)
        return found


@dataclass(frozen=True)
class Weigher:
    """Multiplies states by the centred words' Gram matrix, with float32 results.

    Half-precision states on a GPU meet the matrix as the sum of two half-precision parts: products are exact, and the
    matrix keeps 16 bits or more.
    """

    parts: tuple[Tensor, ...]
    scale: float

    @classmethod
    def of(cls, gram: Float[Tensor, "width width"], dtype: torch.dtype) -> Weigher:
        """Ready for states of a number format, on the Gram's device."""
        return cls.split(gram, dtype) if gram.is_cuda and dtype in HALF else cls((gram.float(),), 1.0)

    @classmethod
    def split(cls, gram: Float[Tensor, "width width"], dtype: torch.dtype) -> Weigher:
        """The matrix as two half-precision parts, brought to 1 first where float16 must hold it."""
        scale = float(gram.abs().max()) if dtype is torch.float16 else 1.0
        unit = gram / scale
        high = unit.to(dtype)
        return cls((high, (unit - high.double()).to(dtype)), scale)

    def __call__(self, states: Float[Tensor, "n positions width"]) -> Float[Tensor, "n positions width"]:
        """C z of every state."""
        if len(self.parts) == 1:
            return states.float() @ self.parts[0]
        flat = states.to(self.parts[0].dtype).flatten(0, 1)[None]
        product = torch.bmm(flat, self.parts[0][None], out_dtype=torch.float32)
        product += torch.bmm(flat, self.parts[1][None], out_dtype=torch.float32)
        return (product if self.scale == 1.0 else product.mul_(self.scale))[0].view_as(states)


def _blocks(
    weight: Tensor, ids: Tensor | None, device: torch.device, dtype: torch.dtype = torch.float64, extra: int = 0
) -> Iterator[Tensor]:
    """The chosen rows, a block at a time; `extra` numbers beside each row share the room."""
    n = len(weight) if ids is None else len(ids)
    step = max(64, BLOCK_BYTES.get(device.type, BLOCK_BYTES["cpu"]) // (dtype.itemsize * (weight.shape[1] + extra)))
    for start in range(0, n, step):
        rows = weight[start : start + step] if ids is None else weight[ids[start : start + step]]
        yield rows.detach().to(device, dtype)


def _gram(weight: Tensor, ids: Tensor | None, device: torch.device) -> tuple[Tensor, Tensor]:
    width = weight.shape[1]
    gram = torch.zeros(width, width, dtype=torch.float64, device=device)
    total = torch.zeros(width, dtype=torch.float64, device=device)
    for block in _blocks(weight, ids, device):
        gram.addmm_(block.T, block)
        total += block.sum(0)
    return gram, total


def _condition(values: Tensor, n_words: int) -> tuple[float | None, float]:
    """Condition number (None: the words do not span the space) and the ridge it calls for."""
    smallest, largest = float(values[0]), float(values[-1])
    if n_words < len(values):
        return None, 0.0
    if smallest <= _RANK * largest:
        return None, RIDGE * float(values.clamp_min(0).mean())
    condition = largest / smallest
    return condition, RIDGE * float(values.mean()) if condition > ILL_CONDITIONED else 0.0


def _inverse(values: Tensor, vectors: Tensor) -> Tensor:
    """The pseudo-inverse: directions without words stay without."""
    kept = values > _RANK * values[-1].clamp_min(0)
    return (vectors * torch.where(kept, 1.0 / torch.where(kept, values, 1.0), 0.0)) @ vectors.T


def _lengths(rows: Tensor, mean: Tensor, inverse: Tensor, centred_inverse: Tensor) -> Tensor:
    centred = rows - mean
    solved = centred @ centred_inverse
    squares = torch.stack([(rows @ inverse).square().sum(1), solved.square().sum(1), (solved * centred).sum(1).clamp_min(0)])
    found = squares.sqrt()
    return torch.where(found > 0, found, torch.inf)
