"""How far apart two heaps of feature values are, whichever position and axis each value came from."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def wasserstein_distance(x: Float[Tensor, "*shape"], y: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """The mean distance that values of x must be moved to become those of y (Wasserstein-1), all entries in one heap.

    Sorted values are paired, which is exact for heaps of equal size. Sorting is done in the values' own precision, which
    rounds nothing; the sum in float64.

    Returns:
        0 or more, in the features' units. float64.

    >>> import torch
    >>> float(wasserstein_distance(torch.tensor([0.0, 1.0, 3.0]), torch.tensor([5.0, 6.0, 8.0])))
    5.0
    """
    a, b = x.flatten().sort().values, y.flatten().sort().values
    return (a.double() - b.double()).abs_().mean()
