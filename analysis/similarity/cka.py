"""Centred kernel alignment of token sets, unbiased, from Gram matrices of minibatches."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


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
    k, n, m, _ = grams.shape
    pairs = counted[:, None, :, None] & counted[:, None, None, :]
    pairs = pairs & ~torch.eye(m, dtype=torch.bool, device=grams.device)
    size = counted.sum(-1).double()
    kept = torch.where(pairs, grams, 0.0)
    rows = kept.sum(-1).double()
    count = size[:, None, None]
    shift = (rows / (count - 2) - rows.sum(-1, keepdim=True) / (2 * (count - 1) * (count - 2))).to(grams.dtype)
    parts = math.gcd(m, 8) if grams.is_cuda else 1
    centred = torch.empty(k, parts, n, m // parts, m, dtype=grams.dtype, device=grams.device)
    view = centred.permute(0, 2, 1, 3, 4)
    torch.sub(kept.view(view.shape), shift.view(k, n, parts, m // parts, 1), out=view)
    view.sub_(shift.view(k, n, 1, 1, m)).mul_(pairs.view(k, 1, parts, m // parts, m))
    flat = centred.view(k * parts, n, -1)
    products = torch.bmm(flat, flat.mT).view(k, parts, n, n).sum(1, dtype=torch.float64)
    enough = size >= 4
    return torch.where(enough[:, None, None], products / (count * (count - 3)), 0.0), torch.where(enough, size, 0.0)


def cka_from_hsic(hsic: Float[Tensor, "*rest n n"]) -> Float[Tensor, "*rest n n"]:
    """CKA from (averaged) HSIC estimates; NaN where a representation's own estimate is not positive.

    >>> cka_from_hsic(torch.tensor([[4.0, 1.0], [1.0, 1.0]]))[0, 1].item()
    0.5
    """
    own = hsic.diagonal(dim1=-2, dim2=-1)
    own = torch.where(own > 0, own, torch.nan)
    return hsic / (own[..., :, None] * own[..., None, :]).sqrt()
