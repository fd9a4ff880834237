"""Shape distances between two sets of features of the same token positions: CKA, Procrustes, CCA.

Generalized shape metrics of Williams et al., arXiv 2110.14739, as Layer Pruning with Consensus (arXiv 2411.14345) uses
them between final features without and with a unit left out. 0 = the same shape.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.similarity.moments import Moments, Scatter, moments
from analysis.similarity.polar import polar

CLIP = 1e-10
"""Eigenvalues below this share of the largest are raised to it before whitening; relative, so that units do not matter."""


def cka_distance(x: Float[Tensor, "n width_x"], y: Float[Tensor, "n width_y"]) -> Float[Tensor, ""]:
    """How differently two sets of features arrange the same positions: 1 - linear CKA, biased as published.

    Returns:
        0 (same up to rotation and scale) to 1 (unrelated); NaN where either does not vary. float64.

    Source:
        Kornblith et al., arXiv 1905.00414.

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.5], [2.0, 1.0]])
    >>> abs(float(cka_distance(x, 3 * x.flip(1) + 1))) < 1e-12
    True
    """
    x, y = x.double(), y.double()
    x, y = x - x.mean(0), y - y.mean(0)
    if len(x) < min(x.shape[1], y.shape[1]):
        gram_x, gram_y = x @ x.mT, y @ y.mT
        return one_minus_cka((gram_x * gram_y).sum(), gram_x.square().sum(), gram_y.square().sum())
    return one_minus_cka((x.mT @ y).square().sum(), (x.mT @ x).square().sum(), (y.mT @ y).square().sum())


def one_minus_cka(cross: Tensor, own_x: Tensor, own_y: Tensor) -> Tensor:
    """From squared norms of x'y, x'x and y'y; NaN where one does not vary."""
    own = own_x * own_y
    return torch.where(own > 0, (1 - cross / own.sqrt()).clamp(min=0), torch.nan)


def linear_shape_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "n d"],
    alpha: float,
    x_test: Float[Tensor, "m d"] | None = None,
    y_test: Float[Tensor, "m d"] | None = None,
) -> Float[Tensor, ""]:
    """The angle left between two sets of features after whitening (as far as alpha says) and the best rotation.

    Args:
        x: features that maps are fitted on.
        y: features of the same positions.
        alpha: 1: rotations only (Procrustes); 0: any invertible map is forgiven (CCA-like); between: partly whitened.
        x_test: features that the fitted maps are judged on; None: those they are fitted on.
        y_test: the same for y.

    Returns:
        0 (same shape) to pi; NaN where either does not vary, or where alpha is 0 and there are so few positions that
        some map fits anything (no more than dimensions + 1). float64.

    Source:
        Williams et al., arXiv 2110.14739; with the split over samples that the released code lacks.

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.5], [2.0, 1.0]])
    >>> float(linear_shape_distance(x, x @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]]), 1.0)) < 1e-7
    True
    """
    fit = moments(x, y)
    judged = fit if x_test is None or y_test is None else moments(x_test, y_test)
    return shape_distance(fit, judged, alpha)


def shape_distance(fit: Moments, judged: Moments, alpha: float) -> Float[Tensor, "*batch"]:
    """`linear_shape_distance` from moments, batched; maps and centres are those of `fit`."""
    centres = fit.means
    fitted = fit.about(*centres)
    seen = fitted if judged is fit else judged.about(*centres)
    usable = _finite(fitted) & _finite(seen) & (_trace(fitted.xx) > 0) & (_trace(fitted.yy) > 0)
    if alpha == 0:
        usable &= fit.n > fit.x.shape[-1] + 1
    if alpha < 1:
        z_x, z_y = _whitener(_safe(fitted.xx, usable), alpha), _whitener(_safe(fitted.yy, usable), alpha)
        fitted, seen = _mapped(fitted, z_x, z_y), _mapped(seen, z_x, z_y)
    rotation = polar(_safe(fitted.xy, usable))
    return torch.where(usable, angle((seen.xy * rotation).sum((-2, -1)), _trace(seen.xx), _trace(seen.yy)), torch.nan)


def angle(inner: Tensor, square_x: Tensor, square_y: Tensor) -> Tensor:
    """The angle between two matrices from their inner product and squared norms; NaN where one is zero."""
    norm = (square_x * square_y).clamp(min=0).sqrt()
    return torch.where(norm > 0, torch.arccos((inner / norm).clamp(-1, 1)), torch.nan)


def whitener(scatter: Float[Tensor, "*batch d d"], alpha: float) -> Float[Tensor, "*batch d d"]:
    """The map that makes every direction vary alike (alpha 0), or leaves them (alpha 1); total variance is kept."""
    values, vectors = torch.linalg.eigh(scatter)
    values = torch.maximum(values, CLIP * values[..., -1:]).clamp(min=torch.finfo(values.dtype).tiny)
    delta = alpha + (1 - alpha) / values.sqrt()
    after = (alpha**2 * values + 2 * alpha * (1 - alpha) * values.sqrt() + (1 - alpha) ** 2).sum(-1, keepdim=True)
    delta = delta * (values.sum(-1, keepdim=True) / after).sqrt()
    whitening: Tensor = (vectors * delta[..., None, :]) @ vectors.mT
    return whitening


def _whitener(scatter: Tensor, alpha: float) -> Tensor:
    """`whitener`; for alpha 0 by triangular factors where nothing is clipped: they differ by a rotation, which is forgiven anyway."""
    if alpha == 0:
        factor, failed = torch.linalg.cholesky_ex(scatter)
        pivots = factor.diagonal(dim1=-2, dim2=-1)
        if not failed.any() and bool((pivots.amin(-1) ** 2 > 1e3 * CLIP * pivots.amax(-1) ** 2).all()):
            eye = torch.eye(scatter.shape[-1], dtype=scatter.dtype, device=scatter.device).expand_as(factor)
            inverse: Tensor = torch.linalg.solve_triangular(factor, eye, upper=False)
            return inverse.mT
    return whitener(scatter, alpha)


def _mapped(scatter: Scatter, z_x: Tensor, z_y: Tensor) -> Scatter:
    return Scatter(z_x.mT @ scatter.xx @ z_x, z_x.mT @ scatter.xy @ z_y, z_y.mT @ scatter.yy @ z_y)


def _trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(-1)


def _finite(scatter: Scatter) -> Tensor:
    return torch.isfinite(scatter.xx.sum((-2, -1)) + scatter.xy.sum((-2, -1)) + scatter.yy.sum((-2, -1)))


def _safe(matrix: Tensor, usable: Tensor) -> Tensor:
    """The identity where a decomposition would meet what is no number; the result is thrown away there."""
    return torch.where(usable[..., None, None], matrix, torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device))
