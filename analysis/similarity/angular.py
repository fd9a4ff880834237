"""Angles between states, as a share of half a turn."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.similarity.cosine import cosines_from_gram


def angular_distance(before: Float[Tensor, "tokens width"], after: Float[Tensor, "tokens width"]) -> Float[Tensor, ""]:
    """The mean angle between what enters and what leaves a run of blocks, divided by pi.

    Computed in float64: in float32 the arc cosine gives identical vectors a distance of 1.5e-4.

    Returns:
        0 (same direction) to 1 (opposite), float64.

    Source:
        Gromov et al., The Unreasonable Ineffectiveness of the Deeper Layers, arXiv 2403.17887 (there over last tokens).

    >>> x = torch.tensor([[1.0, 0.0]])
    >>> float(angular_distance(x, torch.tensor([[1.0, 1.0]])))
    0.25
    """
    gram = torch.stack([before, after], dim=1).double()
    return angles_from_cosines(cosines_from_gram(gram @ gram.mT)[:, 0, 1]).mean()


def angles_from_cosines(cosines: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Angles as a share of half a turn (0 to 1) from cosines; pass float64 where small angles matter."""
    return torch.arccos(cosines).div_(math.pi)
