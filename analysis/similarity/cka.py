"""Centred kernel alignment of token sets, unbiased, from Gram matrices of minibatches."""

from __future__ import annotations

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

    Args:
        grams: inner products of the tokens of a minibatch; overwritten. Float64 unless the features were centred
            (the estimate does not move when a constant is added to the features, but its rounding does).
        counted: tokens that take part; the others are masked out and do not count in the minibatch's size.

    Returns:
        The estimates (0 where a minibatch counts fewer than 4 tokens: undefined) and the tokens counted.
    """
    mask = counted.to(grams.dtype)
    size = mask.sum(-1)
    kept = grams.mul_(mask[:, None, :, None]).mul_(mask[:, None, None, :])
    kept.diagonal(dim1=-2, dim2=-1).zero_()
    rows = kept.sum(-1).double()
    flat = kept.flatten(2)
    products = (flat @ flat.mT).double()
    totals = rows.sum(-1)
    n = size.double()[:, None, None]
    estimate = products + totals[:, :, None] * totals[:, None, :] / ((n - 1) * (n - 2)) - 2 / (n - 2) * (rows @ rows.mT)
    estimate = estimate / (n * (n - 3))
    enough = size >= 4
    return torch.where(enough[:, None, None], estimate, 0.0), torch.where(enough, size, 0.0).double()


def cka_from_hsic(hsic: Float[Tensor, "*rest n n"]) -> Float[Tensor, "*rest n n"]:
    """CKA from (averaged) HSIC estimates; NaN where a representation's own estimate is not positive.

    >>> cka_from_hsic(torch.tensor([[4.0, 1.0], [1.0, 1.0]]))[0, 1].item()
    0.5
    """
    own = hsic.diagonal(dim1=-2, dim2=-1)
    own = torch.where(own > 0, own, torch.nan)
    return hsic / (own[..., :, None] * own[..., None, :]).sqrt()
