"""The rotation in a matrix: its polar factor, for many small matrices at once."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_MOST_STEPS = 40
_ORTHOGONAL = 1e-9


def polar(matrix: Float[Tensor, "*batch d d"]) -> Float[Tensor, "*batch d d"]:
    """The orthogonal matrix nearest to each matrix: U V' of its singular value decomposition U S V'.

    A GPU takes small decompositions one after the other, but inverts thousands of small matrices side by side. There it
    is found by Newton's iteration, and by decomposition only where a matrix is singular.

    >>> polar(torch.tensor([[0.0, -2.0], [3.0, 0.0]])).round(decimals=6) + 0.0
    tensor([[ 0., -1.],
            [ 1.,  0.]])
    """
    if matrix.device.type == "cpu" or matrix.ndim == 2:
        return _decomposed(matrix)
    return side_by_side(matrix.reshape(-1, *matrix.shape[-2:])).reshape(matrix.shape)


def side_by_side(matrix: Float[Tensor, "batch d d"]) -> Float[Tensor, "batch d d"]:
    """The same by Newton's iteration, and by decomposition where that has gone astray."""
    found = newton(matrix)
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    astray = ~((found.mT @ found - eye).abs().amax((-2, -1)) < _ORTHOGONAL)
    if astray.any():
        found[astray] = _decomposed(matrix[astray])
    return found


def newton(matrix: Float[Tensor, "batch d d"]) -> Float[Tensor, "batch d d"]:
    """By the scaled Newton iteration: about eight steps, however ill-conditioned; no number, or no rotation, where singular.

    Source:
        Higham, Computing the Polar Decomposition - with Applications, SIAM J. Sci. Stat. Comput. 7 (1986).
    """
    found: Tensor = matrix / torch.linalg.matrix_norm(matrix)[:, None, None]
    for _ in range(_MOST_STEPS):
        inverse = torch.linalg.inv_ex(found).inverse
        scale = (_norms(inverse) / _norms(found)).pow(0.25)[:, None, None]
        following = (scale * found + inverse.mT / scale) / 2
        moved = (following - found).abs().nan_to_num(0.0)  # a singular one is lost; the others go on
        found = following
        if moved.amax() < 1e-10:
            break
    return found


def _norms(matrix: Tensor) -> Tensor:
    """The product of the largest column sum and the largest row sum."""
    size = matrix.abs()
    product: Tensor = size.sum(-1).amax(-1) * size.sum(-2).amax(-1)
    return product


def _decomposed(matrix: Tensor) -> Tensor:
    u, _, vt = torch.linalg.svd(matrix)
    rotation: Tensor = u @ vt
    return rotation
