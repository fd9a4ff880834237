"""The rotation in a matrix: its polar factor, for many small matrices at once."""

from __future__ import annotations

import math
from functools import cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_MOST_STEPS = 40
_ORTHOGONAL = 1e-9
_ROUNDING = 1e-15
_SMALLEST = 1e-10  # singular values below this share of the matrix's size are left to Newton's iteration


def polar(matrix: Float[Tensor, "*batch d d"], *, exact: bool = True) -> Float[Tensor, "*batch d d"]:
    """The orthogonal matrix nearest to each matrix: U V' of its singular value decomposition U S V'.

    A GPU takes small decompositions one after the other, but multiplies thousands of small matrices side by side. There it is
    found by products alone, and otherwise only where a matrix is nearly singular.

    Args:
        matrix: one or many; float64.
        exact: False: on a CPU in half the time, orthogonal all the same, but where singular values are some 1e-6 of the largest,
            their directions may stand a little turned. For sums to which these directions add next to nothing.

    >>> polar(torch.tensor([[0.0, -2.0], [3.0, 0.0]])).round(decimals=6) + 0.0
    tensor([[ 0., -1.],
            [ 1.,  0.]])
    """
    if matrix.ndim > 2 and matrix.device.type != "cpu":
        return side_by_side(matrix.reshape(-1, *matrix.shape[-2:])).reshape(matrix.shape)
    if matrix.ndim > 2 and not exact:
        return one_by_one(matrix.reshape(-1, *matrix.shape[-2:])).reshape(matrix.shape)
    return _decomposed(matrix)


def one_by_one(matrix: Float[Tensor, "batch d d"]) -> Float[Tensor, "batch d d"]:
    """The same from eigenvectors of X'X, which a CPU finds in half the time, made orthogonal again by products."""
    squares, axes = torch.linalg.eigh(matrix.mT @ matrix)
    sizes = torch.maximum(squares, _ROUNDING * squares[:, -1:]).clamp(min=torch.finfo(squares.dtype).tiny).sqrt()
    found: Tensor = (matrix @ axes) / sizes[:, None] @ axes.mT
    for _ in range(2):
        found = torch.baddbmm(found, found, found.mT @ found, beta=1.5, alpha=-0.5)
    astray = _astray(found)
    if astray.any():
        found[astray] = _decomposed(matrix[astray])
    return found


def side_by_side(matrix: Float[Tensor, "batch d d"]) -> Float[Tensor, "batch d d"]:
    """The same by products; by Newton's iteration, and at last by decomposition, where that has not come to a rotation."""
    found = by_products(matrix)
    for another in (newton, _decomposed):
        astray = _astray(found)
        if not astray.any():
            break
        found[astray] = another(matrix[astray])
    return found


def by_products(matrix: Float[Tensor, "batch d d"]) -> Float[Tensor, "batch d d"]:
    """By cubic polynomials in X'X, each the one that brings all singular values from _SMALLEST on nearest to 1.

    Their number is known beforehand, so that a GPU is never waited for; no rotation where singular values are smaller.

    Source:
        Chen and Chow, A Stable Scaling of Newton-Schulz for Improving the Sign Function Computation (2014).
    """
    found: Tensor = matrix / (1.01 * torch.linalg.matrix_norm(matrix)[:, None, None])
    for keep, bend in _cubics(_SMALLEST):
        found = torch.baddbmm(found, found, found.mT @ found, beta=keep, alpha=-bend)
    return found


@cache
def _cubics(smallest: float) -> tuple[tuple[float, float], ...]:
    """(a, b) of a x - b x^3, one after the other, until all of [smallest, 1] has come to 1."""
    low, high, steps = smallest, 1.0, list[tuple[float, float]]()
    while 1 - low > 1e-9:
        middle = math.sqrt((high * high + high * low + low * low) / 3)  # where the cubic is largest
        bend = 2 / (2 * middle**3 + low * (3 * middle**2 - low**2))
        steps.append((3 * bend * middle**2, bend))
        low, high = bend * low * (3 * middle**2 - low**2), 2 * bend * middle**3
    return (*steps, (1.5, 0.5))


def _astray(found: Float[Tensor, "batch d d"]) -> Bool[Tensor, " batch"]:
    """Which are no rotations."""
    eye = torch.eye(found.shape[-1], dtype=found.dtype, device=found.device)
    astray: Tensor = ~((found.mT @ found - eye).abs().amax((-2, -1)) < _ORTHOGONAL)
    return astray


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
