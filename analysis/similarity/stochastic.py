"""How far apart two clouds of features are, class by class, whatever the axes: the Gaussian stochastic shape distance.

Duong et al., Representational dissimilarity metric spaces for stochastic neural networks, arXiv 2211.11665, as Layer
Pruning with Consensus (arXiv 2411.14345) uses it: alpha 0 compares covariances, 2 means, 1 both (2-Wasserstein).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.similarity.polar import polar

MOST_UPDATES = 1000
TOLERANCE, WINDOW = 5e-6, 5
"""Updates of a candidate end when its squared distance falls by less than this share of itself over so many of them.

Looking once in a while is cheaper than after every update, and sees through the ups and downs of momentum. What is left is
some 1e-5 of a distance that plain updates come to an end with; where they do not within MOST_UPDATES (layers without which
little of the features remains), where one ends is a matter of chance to about 1e-3.
"""
_NOTHING = 1e-24  # of the clouds' size: as near as float64 comes
_UNTOLD = 1e-9  # weight of "as it is" where class means do not tell a rotation


@dataclass(frozen=True)
class Clouds:
    """Means and symmetric roots of covariances of every class."""

    means: Float[Tensor, "*candidates classes d"]
    roots: Float[Tensor, "*candidates classes d d"]

    def of(self, chosen: Tensor) -> Clouds:
        """Some candidates'."""
        return Clouds(self.means[chosen], self.roots[chosen])


@dataclass(frozen=True)
class Aligned:
    """Rotations that bring other clouds nearest.

    Attributes:
        rotation: one for all classes of a candidate; a row of its features times this is comparable to a row of the base's.
        pairing: for each class, what turns the rotated root of its covariance nearest to the base's root.
        squared: the squared distance left.
    """

    rotation: Float[Tensor, "candidates d d"]
    pairing: Float[Tensor, "candidates classes d d"]
    squared: Float[Tensor, " candidates"]

    def of(self, chosen: Tensor) -> Aligned:
        """Some candidates'."""
        return Aligned(self.rotation[chosen], self.pairing[chosen], self.squared[chosen])

    def take(self, places: Tensor, better: Aligned) -> None:
        """Puts better ones in their places."""
        self.rotation[places], self.pairing[places], self.squared[places] = better.rotation, better.pairing, better.squared


def gaussian_stochastic_distance(
    means: Float[Tensor, "classes d"],
    covariances: Float[Tensor, "classes d d"],
    other_means: Float[Tensor, "*candidates classes d"],
    other_covariances: Float[Tensor, "*candidates classes d d"],
    alpha: float,
) -> Float[Tensor, "*candidates"]:
    """The distance between two sets of Gaussian clouds after the best rotation that all classes share.

    sqrt of the mean over classes of alpha |m - m'T|^2 + (2 - alpha) B^2(S, T'S'T), B the Bures distance.

    Args:
        means: of the base's classes.
        covariances: of the base's classes.
        other_means: of one or many candidates' classes.
        other_covariances: the same.
        alpha: 0: covariances only; 1: 2-Wasserstein; 2: means only.

    Returns:
        0 (same clouds up to a rotation) or more, in the features' units; a local minimum for alpha < 2. float64.

    >>> eye = torch.eye(2).expand(2, 2, 2)
    >>> round(float(gaussian_stochastic_distance(torch.eye(2), eye, 3 * torch.eye(2), eye, 2.0)), 6)
    2.828427
    """
    classes, d = means.shape
    found = align(
        Clouds(means.double(), symmetric_root(covariances.double())),
        Clouds(other_means.double().reshape(-1, classes, d), symmetric_root(other_covariances.double()).reshape(-1, classes, d, d)),
        alpha,
    )
    return found.squared.sqrt().reshape(other_means.shape[:-2])


def symmetric_root(covariance: Float[Tensor, "*batch d d"]) -> Float[Tensor, "*batch d d"]:
    """The symmetric square root; eigenvalues that rounding made negative count as 0."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()[..., None, :]) @ vectors.mT
    return root


def align(base: Clouds, others: Clouds, alpha: float, pause: Callable[[], None] = lambda: None) -> Aligned:
    """The rotations by alternating updates: the best pairing of each class given the rotation, then the reverse.

    It starts from whichever is nearer, the Procrustes rotation of the class means or no rotation: base and candidate
    share their axes, and a few class means leave most axes untold. Updates carry momentum, taken back whenever the
    distance rises, so that what takes many hundred plain updates is found in dozens.
    """
    cross = others.means.mT @ base.means
    best = _start(base, others, cross, alpha)
    if alpha >= 2:
        return best
    nothing = _NOTHING * float(base.roots.square().sum() + base.means.square().sum())
    moving = torch.arange(len(cross), device=cross.device)
    before, age, then = best.rotation.clone(), torch.zeros_like(best.squared), best.squared.clone()
    for number in range(1, MOST_UPDATES + 1):
        pause()
        mine = others.of(moving)
        pulls = (mine.roots.mT @ best.pairing[moving].mT @ base.roots).sum(1)
        updated = polar(alpha * cross[moving] + (2 - alpha) * pulls, exact=False)
        push = (age / (age + 3))[moving, None, None]
        now = _judged(base, mine, polar(updated + push * (updated - before[moving]), exact=False), alpha)
        fell = best.squared[moving] - now.squared
        stuck = (fell < 0) & (age[moving] == 0)  # rounding alone: a plain update never makes it worse
        better = moving[fell >= 0]
        best.take(better, now.of(fell >= 0))
        before[better] = updated[fell >= 0]
        age[moving] = torch.where(fell >= 0, age[moving] + 1, 0)
        going = ~stuck & (best.squared[moving] > nothing)
        if number % WINDOW == 0:
            going &= (then - best.squared)[moving] > TOLERANCE * best.squared[moving]
            then = best.squared.clone()
        moving = moving[going]
        if not len(moving):
            break
    return best


def _start(base: Clouds, others: Clouds, cross: Tensor, alpha: float) -> Aligned:
    """The nearer of two: rotated as the class means say, the other axes as little as can be; or not rotated."""
    eye = torch.eye(cross.shape[-1], dtype=cross.dtype, device=cross.device).expand_as(cross)
    told = _judged(base, others, polar(cross + _UNTOLD * torch.linalg.matrix_norm(cross)[:, None, None] * eye), alpha)
    plain = _judged(base, others, eye, alpha)
    nearer = plain.squared < told.squared
    told.take(nearer.nonzero()[:, 0], plain.of(nearer))
    return told


def _judged(base: Clouds, others: Clouds, rotation: Tensor, alpha: float) -> Aligned:
    """What is left after the rotations, as residuals: these do not subtract large numbers from each other."""
    turned = others.roots @ rotation[:, None]
    pairing = polar(base.roots @ turned.mT, exact=False)
    covariances = (base.roots - pairing @ turned).square().sum((-2, -1))
    means = (base.means - others.means @ rotation).square().sum(-1)
    return Aligned(rotation, pairing, (alpha * means + (2 - alpha) * covariances).mean(-1))
