"""Sums over token positions from which every fitted distance, and every resample of it, can be worked out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """First and second moments of paired features x and y, as plain sums; leading dimensions are prompts or resamples."""

    n: Float[Tensor, "*batch"]
    x: Float[Tensor, "*batch d"]
    y: Float[Tensor, "*batch d"]
    xx: Float[Tensor, "*batch d d"]
    xy: Float[Tensor, "*batch d d"]
    yy: Float[Tensor, "*batch d d"]

    @cached_property
    def means(self) -> tuple[Float[Tensor, "*batch d"], Float[Tensor, "*batch d"]]:
        """Of x and of y; NaN where nothing was summed."""
        n = self.n[..., None]
        return self.x / n, self.y / n

    def about(self, x: Float[Tensor, "*batch d"], y: Float[Tensor, "*batch d"]) -> Scatter:
        """Second moments about the given centres."""
        return Scatter(
            _shifted(self.xx, self.n, self.x, self.x, x, x),
            _shifted(self.xy, self.n, self.x, self.y, x, y),
            _shifted(self.yy, self.n, self.y, self.y, y, y),
        )

    def weighted(self, weights: Float[Tensor, "resamples prompts"]) -> Moments:
        """Moments of resamples, from moments by prompt and how often each prompt is drawn."""
        return Moments(*(torch.tensordot(weights, part, dims=1) for part in (self.n, self.x, self.y, self.xx, self.xy, self.yy)))


@dataclass(frozen=True)
class Scatter:
    """Second moments about some centre: x'x, x'y and y'y."""

    xx: Float[Tensor, "*batch d d"]
    xy: Float[Tensor, "*batch d d"]
    yy: Float[Tensor, "*batch d d"]


def moments(x: Float[Tensor, "*batch n d"], y: Float[Tensor, "*batch n d"]) -> Moments:
    """Of all positions together; float64."""
    x, y = x.double(), y.double()
    n = torch.full(x.shape[:-2], x.shape[-2], dtype=torch.float64, device=x.device)
    return Moments(n, x.sum(-2), y.sum(-2), x.mT @ x, x.mT @ y, y.mT @ y)


def covariance(rows: Float[Tensor, "*batch n d"]) -> Float[Tensor, "*batch d d"]:
    """About the rows' mean, divided by n."""
    centred = rows - rows.mean(-2, keepdim=True)
    found: Tensor = centred.mT @ centred / rows.shape[-2]
    return found


def prompt_moments(x: Float[Tensor, "n d"], y: Float[Tensor, "n d"], layout: Layout) -> Moments:
    """Of each prompt by itself; float64."""
    x, y = layout.by_prompt(x.double()), layout.by_prompt(y.double())
    return Moments(layout.sizes, x.sum(-2), y.sum(-2), x.mT @ x, x.mT @ y, y.mT @ y)


@dataclass(frozen=True)
class Layout:
    """Where the positions of each prompt lie, so that prompts can be worked on side by side.

    Attributes:
        places: position of each prompt's j-th row, or N where the prompt has fewer.
        sizes: positions of each prompt.
    """

    places: Int[Tensor, "prompts longest"]
    sizes: Float[Tensor, " prompts"]

    def by_prompt(self, rows: Float[Tensor, "n d"], missing: float = 0.0) -> Float[Tensor, "prompts longest d"]:
        """Rows laid out by prompt, filled up where a prompt has fewer than the longest."""
        return torch.cat([rows, rows.new_full((1, rows.shape[1]), missing)])[self.places]


def layout_of(prompts: Int[Tensor, " n"], n_prompts: int) -> Layout:
    """The layout of positions that belong to the given prompts, in any order."""
    order = torch.argsort(prompts, stable=True)
    sizes = torch.bincount(prompts, minlength=n_prompts)
    starts = sizes.cumsum(0) - sizes
    within = torch.arange(len(prompts), device=prompts.device) - starts[prompts[order]]
    places = prompts.new_full((n_prompts, max(1, int(sizes.max()))), len(prompts))
    places[prompts[order], within] = order
    return Layout(places, sizes.double())


def _shifted(second: Tensor, n: Tensor, left: Tensor, right: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return (
        second
        - a[..., :, None] * right[..., None, :]
        - left[..., :, None] * b[..., None, :]
        + n[..., None, None] * a[..., :, None] * b[..., None, :]
    )
