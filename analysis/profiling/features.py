"""Per-token measures as the columns of one matrix, so that every sum of them is one matrix product."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.similarity.angular import angles_from_cosines
from analysis.similarity.cosine import cosines


@dataclass(frozen=True)
class Features:
    """Where each measure of a token stands. L blocks, P = L + 1 positions, pairs = P (P - 1) / 2.

    Columns: block, attention and MLP cosines (3 L), relative contribution (L), norms (P), cosines of all pairs,
    angles of all pairs.
    """

    n_blocks: int
    device: torch.device
    parallel: tuple[bool, ...]

    @property
    def n_positions(self) -> int:
        """Residual positions."""
        return self.n_blocks + 1

    @property
    def n_pairs(self) -> int:
        """Pairs of different positions."""
        return self.n_positions * self.n_blocks // 2

    @property
    def influence(self) -> slice:
        """Columns of the block, attention and MLP cosines."""
        return slice(0, 3 * self.n_blocks)

    @property
    def contribution(self) -> slice:
        """Columns of |f(x)| / |x + f(x)|."""
        return slice(3 * self.n_blocks, 4 * self.n_blocks)

    @property
    def norms(self) -> slice:
        """Columns of the norms."""
        return slice(4 * self.n_blocks, 4 * self.n_blocks + self.n_positions)

    @property
    def cosines(self) -> slice:
        """Columns of the pairs' cosines, upper triangle by rows."""
        return slice(self.norms.stop, self.norms.stop + self.n_pairs)

    @property
    def angles(self) -> slice:
        """Columns of the pairs' angles, in the same order."""
        return slice(self.cosines.stop, self.cosines.stop + self.n_pairs)

    @property
    def width(self) -> int:
        """Number of columns."""
        return 4 * self.n_blocks + self.n_positions + 2 * self.n_pairs

    @cached_property
    def _upper(self) -> Tensor:
        """[2, pairs] rows and columns of the upper triangle."""
        upper: Tensor = torch.triu_indices(self.n_positions, self.n_positions, 1, device=self.device)
        return upper

    @cached_property
    def _is_parallel(self) -> Tensor:
        return torch.tensor(self.parallel, device=self.device)

    def of_tokens(
        self, gram: Float[Tensor, "tokens positions positions"], dots: Float[Tensor, "tokens blocks 4"]
    ) -> Float[Tensor, "tokens columns"]:
        """All measures of some tokens, float64.

        Args:
            gram: inner products of each token's states at all positions, as exact as they are to be had.
            dots: what the taps saw inside each block. Sequential blocks, attention x -> a, MLP b -> y (a and b are the
                same state unless cross-attention stands between): <x,a>, <a,a>, <y,b>, <b,b>. Parallel blocks,
                y = x + a + b: <x,a>, <a,a>, <x,b>, <b,b>.
        """
        rows, columns = self._upper
        squares = gram.diagonal(dim1=1, dim2=2).double()
        norms = squares.sqrt()
        pairs = cosines(gram[:, rows, columns].double(), norms[:, rows], norms[:, columns])
        before, after = squares[:, :-1], squares[:, 1:]
        across = gram.diagonal(offset=1, dim1=1, dim2=2).double()
        change = (before - 2 * across + after).clamp_min_(0)
        block = across / (before * after).sqrt()
        attention, mlp = self._sub_blocks(dots.double(), before, after)
        inside = torch.cat([block, attention, mlp], dim=1).clamp_(-1, 1)
        return torch.cat([inside, (change / after).sqrt(), norms, pairs, angles_from_cosines(pairs)], dim=1)

    def _sub_blocks(self, dots: Tensor, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        first, second, third, fourth = dots.unbind(-1)
        attention = first / (before * second).sqrt()
        mlp = third / (fourth * after).sqrt()
        if any(self.parallel):
            attention = torch.where(self._is_parallel, _branch(before, first, second), attention)
            mlp = torch.where(self._is_parallel, _branch(before, third, fourth), mlp)
        return attention, mlp


def _branch(xx: Tensor, xb: Tensor, bb: Tensor) -> Tensor:
    """Cosine between x and x + b from <x,x>, <x,b>, <b,b>."""
    return (xx + xb) / (xx * (xx + 2 * xb + bb)).sqrt()
