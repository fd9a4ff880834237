"""What the eight members look at: final features of the untouched model and of every candidate, at the same token positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_CONSTANT = 1e-6
"""Features whose values differ by less than this share of their size are the same but for rounding."""


@dataclass(frozen=True)
class FeatureBank:
    """Features at N token positions of P prompts, without and with each of M units left out.

    Attributes:
        base: the untouched model's final features.
        ablated: the same positions with one unit left out, for every candidate.
        prompts: which prompt each position belongs to, 0 to P - 1.
        test: prompts that members with a fitted map are judged on; their maps are fitted on the others.
        classes: pseudo-class of each position for the Gaussian members, 0 to C - 1; None: there are none.
    """

    base: Float[Tensor, "positions width"]
    ablated: Float[Tensor, "candidates positions width"]
    prompts: Int[Tensor, " positions"]
    test: Bool[Tensor, " n_prompts"]
    classes: Int[Tensor, " positions"] | None = None

    def __post_init__(self) -> None:
        assert self.base.ndim == 2, f"base has {self.base.ndim} dimensions, not positions x width"
        assert self.ablated.shape[1:] == self.base.shape, f"candidates {self.ablated.shape} and base {self.base.shape} differ"
        assert self.prompts.shape == self.base.shape[:1], "every position belongs to one prompt"
        assert self.classes is None or self.classes.shape == self.prompts.shape, "every position has one class"

    @property
    def n_candidates(self) -> int:
        """M."""
        return len(self.ablated)

    @property
    def n_prompts(self) -> int:
        """P."""
        return len(self.test)

    @property
    def judged(self) -> Bool[Tensor, " positions"]:
        """Positions of the test prompts."""
        return self.test.to(self.prompts.device)[self.prompts]

    def on_cpu(self) -> FeatureBank:
        """The same in the main memory."""
        classes = None if self.classes is None else self.classes.cpu()
        return FeatureBank(self.base.cpu(), self.ablated.cpu(), self.prompts.cpu(), self.test.cpu(), classes)


def is_finite(features: Float[Tensor, "positions width"]) -> bool:
    """Whether every value is a number."""
    return bool(torch.isfinite(features).all())


def varies(features: Float[Tensor, "positions width"]) -> bool:
    """Whether positions differ by more than rounding."""
    return bool((features.amax(0) - features.amin(0)).amax() > _CONSTANT * features.abs().amax())
