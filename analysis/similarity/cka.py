"""Centred kernel alignment of token sets, unbiased, from Gram matrices of minibatches."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from analysis.similarity import fused


def linear_cka(x: Float[Tensor, "tokens width_x"], y: Float[Tensor, "tokens width_y"]) -> Float[Tensor, ""]:
    """How alike two representations arrange the same tokens, whatever their axes: unbiased linear CKA, one minibatch.

    The biased form reads high when there are fewer tokens than dimensions (random features: 0.91 where the unbiased
    form says 0.24), so it is not offered.

    Returns:
        1 for the same arrangement; about 0 (it may be slightly negative) for unrelated ones; NaN when undefined. float64.

    Source:
        Kornblith et al., arXiv 1905.00414; unbiased HSIC of Song et al., JMLR 13 (2012); minibatch form of Nguyen et
        al., arXiv 2010.15327.

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.5], [2.0, 1.0]])
    >>> round(float(linear_cka(x, 3 * x.flip(1) + 1)), 6)
    1.0
    """
    grams = torch.stack([x.double() @ x.double().T, y.double() @ y.double().T])[None]
    hsic, _ = pairwise_hsic(grams, torch.ones(1, len(x), dtype=torch.bool, device=x.device))
    return cka_from_hsic(hsic[0])[0, 1]


def pairwise_hsic(
    grams: Float[Tensor, "minibatches n m m"], counted: Bool[Tensor, "minibatches m"]
) -> tuple[Float[Tensor, "minibatches n n"], Float[Tensor, " minibatches"]]:
    """Unbiased HSIC of every pair among n representations, for each minibatch.

    Written as the inner product of U-centred matrices, which equals the estimator of Song et al. and does not
    subtract large numbers from each other, so that float32 products are enough.

    Args:
        grams: inner products of the tokens of a minibatch.
        counted: tokens that take part; the others (even NaN) are masked out and do not count in the minibatch's size.

    Returns:
        The estimates (0 where a minibatch counts fewer than 4 tokens: undefined) and the tokens counted; float64.

    Source:
        Song et al., JMLR 13 (2012), HSIC_1; U-centring: Szekely and Rizzo, arXiv 1310.2926.
    """
    size = counted.sum(-1).double()
    n = size[:, None, None]
    flat = _u_centred(grams, counted)
    products = torch.bmm(flat, flat.mT).view(len(grams), -1, *flat.shape[1:2], flat.shape[1]).sum(1, dtype=torch.float64)
    enough = size >= 4
    return torch.where(enough[:, None, None], products / (n * (n - 3)), 0.0), torch.where(enough, size, 0.0)


def _u_centred(grams: Tensor, counted: Tensor) -> Float[Tensor, "minibatches_x_parts n entries"]:
    """The masked Gram matrices, U-centred and laid flat; cut into parts that keep a GPU's many cores busy."""
    if fused.usable(grams):
        return fused.u_centred(grams, counted)
    m = grams.shape[-1]
    pairs = counted[:, None, :, None] & counted[:, None, None, :] & ~torch.eye(m, dtype=torch.bool, device=grams.device)
    kept = torch.where(pairs, grams, 0.0)
    shift = _shift(kept.sum(-1), counted).to(grams.dtype)
    return kept.sub_(shift[..., :, None]).sub_(shift[..., None, :]).mul_(pairs).flatten(2)


def _shift(rows: Float[Tensor, "minibatches n m"], counted: Bool[Tensor, "minibatches m"]) -> Float[Tensor, "minibatches n m"]:
    """What U-centring takes from row and column: entry (i, j) loses shift[i] + shift[j]. From the rows' sums; float64."""
    rest = (counted.sum(-1, dtype=torch.float64) - 2)[:, None, None]
    rows = rows.double()
    return (rows - rows.sum(-1, keepdim=True) / (2 * rest + 2)) / rest


def cka_from_hsic(hsic: Float[Tensor, "*rest n n"]) -> Float[Tensor, "*rest n n"]:
    """CKA from (averaged) HSIC estimates; NaN where a representation's own estimate is not positive.

    >>> cka_from_hsic(torch.tensor([[4.0, 1.0], [1.0, 1.0]]))[0, 1].item()
    0.5
    """
    own = hsic.diagonal(dim1=-2, dim2=-1)
    own = torch.where(own > 0, own, torch.nan)
    return hsic / (own[..., :, None] * own[..., None, :]).sqrt()
