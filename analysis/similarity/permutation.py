"""How far two sets of features are apart when their axes may be renamed but not turned."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.similarity.moments import Moments, moments
from analysis.similarity.shape import angle


def permutation_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """The angle left after the best one-to-one matching of y's axes to x's.

    Returns:
        0 (same up to the order of the axes) to pi; NaN where either does not vary. float64.

    Source:
        Williams et al., arXiv 2110.14739; the assignment by scipy (a modified Jonker-Volgenant algorithm).

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.5], [2.0, 1.0]])
    >>> float(permutation_distance(x, x.flip(1)))
    0.0
    """
    both = moments(x, y)
    return permutation_angle(both, both)


def permutation_angle(fit: Moments, judged: Moments) -> Float[Tensor, "*batch"]:
    """`permutation_distance` from moments, batched: matched on `fit`, judged on `judged`."""
    centres = fit.means
    fitted, seen = fit.about(*centres), judged.about(*centres)
    usable = torch.isfinite(fitted.xy).all(-1).all(-1)
    places = matching(torch.where(usable[..., None, None], fitted.xy, 0.0))
    matched = seen.xy.gather(-1, places[..., None])[..., 0].sum(-1)
    squares = (seen.xx.diagonal(dim1=-2, dim2=-1).sum(-1), seen.yy.diagonal(dim1=-2, dim2=-1).sum(-1))
    return torch.where(usable, angle(matched, *squares), torch.nan)


def matching(products: Float[Tensor, "*batch d d"]) -> Int[Tensor, "*batch d"]:
    """For every axis of x the axis of y it is matched with, so that the sum of products is largest."""
    from scipy.optimize import linear_sum_assignment

    flat = products.reshape(-1, *products.shape[-2:]).cpu().numpy()
    found = np.stack([linear_sum_assignment(one, maximize=True)[1] for one in flat])
    return torch.from_numpy(found).to(products.device).reshape(products.shape[:-1])
