"""The published definitions, written out plainly in float64 numpy and scipy: one pair at a time, no moments, no batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg
import scipy.stats
from scipy.optimize import linear_sum_assignment

Floats = np.ndarray


def angle(x: Floats, y: Floats) -> float:
    return float(np.arccos(np.clip((x * y).sum() / np.linalg.norm(x) / np.linalg.norm(y), -1, 1)))


def cka(x: Floats, y: Floats) -> float:
    x, y = x - x.mean(0), y - y.mean(0)
    return float(1 - np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def whitening(x: Floats, alpha: float, smallest: float = 1e-8) -> Floats:
    values, vectors = np.linalg.eigh(x.T @ x)
    values = np.maximum(values, smallest)
    delta = alpha + (1 - alpha) * values**-0.5
    delta = delta * np.sqrt(values.sum() / (alpha**2 * values + 2 * alpha * (1 - alpha) * values**0.5 + (1 - alpha) ** 2).sum())
    return (vectors * delta) @ vectors.T


def linear(x: Floats, y: Floats, alpha: float, x_test: Floats | None = None, y_test: Floats | None = None) -> float:
    x_test, y_test = (x if x_test is None else x_test), (y if y_test is None else y_test)
    mean_x, mean_y = x.mean(0), y.mean(0)
    z_x, z_y = (np.eye(part.shape[1]) if alpha == 1 else whitening(part - part.mean(0), alpha) for part in (x, y))
    u, _, vt = np.linalg.svd(((x - mean_x) @ z_x).T @ ((y - mean_y) @ z_y))
    return angle((x_test - mean_x) @ z_x @ u, (y_test - mean_y) @ z_y @ vt.T)


def permutation(x: Floats, y: Floats, x_test: Floats | None = None, y_test: Floats | None = None) -> float:
    x_test, y_test = (x if x_test is None else x_test), (y if y_test is None else y_test)
    mean_x, mean_y = x.mean(0), y.mean(0)
    _, columns = linear_sum_assignment((x - mean_x).T @ (y - mean_y), maximize=True)
    return angle(x_test - mean_x, (y_test - mean_y)[:, columns])


def wasserstein(x: Floats, y: Floats) -> float:
    return float(scipy.stats.wasserstein_distance(x.flatten(), y.flatten()))


def principal(x: Floats, dimension: int) -> tuple[Floats, Floats]:
    """Mean and leading directions, the largest entry of each positive."""
    _, _, vt = np.linalg.svd(x - x.mean(0), full_matrices=False)
    largest = np.take_along_axis(vt, np.abs(vt).argmax(1)[:, None], axis=1)
    return x.mean(0), (vt * np.sign(largest))[:dimension].T


def gaussian_at(means: Floats, covariances: Floats, others: Floats, other_covariances: Floats, alpha: float, rotation: Floats) -> float:
    """The distance at a given rotation, Bures by matrix roots."""
    total = 0.0
    for mean, covariance, other, spread in zip(means, covariances, others, other_covariances, strict=True):
        turned = rotation.T @ spread @ rotation
        fidelity = np.linalg.norm(scipy.linalg.sqrtm(covariance).real @ scipy.linalg.sqrtm(turned).real, "nuc")
        bures = np.trace(covariance) + np.trace(turned) - 2 * fidelity
        total += alpha * ((mean - other @ rotation) ** 2).sum() + (2 - alpha) * bures
    return float(np.sqrt(max(total / len(means), 0)))


def gaussian(means: Floats, covariances: Floats, others: Floats, other_covariances: Floats, alpha: float, most: int = 5000) -> float:
    """Plain alternating updates from the nearer of two starts, until nothing moves."""
    d = means.shape[1]
    cross = others.T @ means
    starts = (_rotation(cross + 1e-9 * np.linalg.norm(cross) * np.eye(d)), np.eye(d))
    at = [gaussian_at(means, covariances, others, other_covariances, alpha, start) for start in starts]
    rotation, before = starts[int(at[1] < at[0])], np.inf
    roots, other_roots = (np.stack([scipy.linalg.sqrtm(one).real for one in part]) for part in (covariances, other_covariances))
    for _ in range(most):
        pull, squared = alpha * cross, alpha * ((means - others @ rotation) ** 2).sum()
        for root, other in zip(roots, other_roots, strict=True):
            turned = other @ rotation
            pairing = _rotation(root @ turned.T)
            squared += (2 - alpha) * ((root - pairing @ turned) ** 2).sum()
            pull = pull + (2 - alpha) * other.T @ pairing.T @ root
        if before - squared < 1e-9 * squared:
            break
        before, rotation = squared, _rotation(pull)
    return gaussian_at(means, covariances, others, other_covariances, alpha, rotation)


def clouds(x: Floats, labels: Sequence[int] | Floats) -> tuple[Floats, Floats]:
    """Means and covariances (divided by n) of every class."""
    parts = [x[np.asarray(labels) == label] for label in np.unique(labels)]
    return np.stack([part.mean(0) for part in parts]), np.stack([np.cov(part.T, bias=True) for part in parts])


def _rotation(matrix: Floats) -> Floats:
    u, _, vt = np.linalg.svd(matrix)
    return u @ vt
