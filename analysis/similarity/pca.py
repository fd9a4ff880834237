"""The small space that six of the eight members work in: principal axes of the untouched model's features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.contracts import Message

POSITIONS_PER_DIMENSION = 10
"""Whitening needs many more positions than dimensions: with as many, the fitted distance is exactly 0 whatever is compared."""
_NO_VARIANCE = 1e-10  # of the largest eigenvalue
_STEPS = 1e5  # rows nearer than their spread divided by this are the same: float32 of the same prompt in another batch


@dataclass(frozen=True)
class Space:
    """Principal axes, fitted once and then applied to every candidate.

    Attributes:
        mean: what is taken off before turning.
        axes: orthonormal columns, most variance first.
        variance_kept: share of the fitted features' variance along these axes, 0 to 1.
    """

    mean: Float[Tensor, " width"]
    axes: Float[Tensor, "width dimension"]
    variance_kept: float

    @property
    def dimension(self) -> int:
        """Number of axes."""
        return self.axes.shape[1]

    def coordinates(self, features: Float[Tensor, "*batch positions width"]) -> Float[Tensor, "*batch positions dimension"]:
        """Features in this space; float64."""
        return (features.double() - self.mean) @ self.axes


def fit_space(features: Float[Tensor, "positions width"], dimension: int) -> Space | Message:
    """The space of the given dimension, lowered until there are ten different positions for each axis.

    Positions that repeat others (identical prompts) count once; axes without variance are left out.

    Returns:
        The space, or the reason why there is none of two dimensions.
    """
    features = features.double()
    centred = features - features.mean(0)
    distinct = _distinct(centred)
    allowed = min(dimension, distinct // POSITIONS_PER_DIMENSION, features.shape[1])
    if allowed < 2:
        return Message(
            id="Fitting a map needs at least {needed} different token positions, ten for each of two dimensions, and there are {n}."
            " Give more prompts, or longer ones.",
            values={"needed": 2 * POSITIONS_PER_DIMENSION, "n": distinct},
        )
    variances, axes = _principal(centred)
    kept = min(allowed, int((variances > _NO_VARIANCE * variances[0]).sum()))
    if kept < 2:
        return Message(
            id="The untouched model's features vary along fewer than two directions, so no map between them can be fitted."
            " Give prompts that differ more."
        )
    return Space(features.mean(0), axes[:, :kept].contiguous(), float(variances[:kept].sum() / variances.sum()))


def _principal(centred: Tensor) -> tuple[Tensor, Tensor]:
    """Variances, largest first, and their directions, the largest entry of each positive; from the smaller of the two Gram matrices."""
    n, width = centred.shape
    if width <= n:
        variances, axes = torch.linalg.eigh(centred.mT @ centred)
    else:
        variances, sides = torch.linalg.eigh(centred @ centred.mT)
        axes = centred.mT @ sides / variances.clamp(min=torch.finfo(variances.dtype).tiny).sqrt()
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return variances.flip(0).clamp(min=0), (axes * largest.sign()).flip(1)


def _distinct(centred: Tensor) -> int:
    """How many rows differ by more than rounding, told by their places along three directions drawn by a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(centred.shape[1], 3, generator=generator, dtype=torch.float64).to(centred.device)
    places = centred @ directions
    spread = places.abs().amax() if len(places) else places.sum()
    return len(torch.unique((places / spread * _STEPS).round(), dim=0)) if spread > 0 else min(1, len(places))
