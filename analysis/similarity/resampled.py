"""CKA and Wasserstein over many resamples of the prompts, each candidate's features looked at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.similarity.moments import Layout
from analysis.similarity.shape import one_minus_cka
from analysis.similarity.wasserstein import ascending, sorted_distance

_BINS = 2048


@dataclass(frozen=True)
class Draws:
    """How often each prompt is drawn in each resample.

    Attributes:
        weights: by prompt.
        prompts: which prompt each position belongs to.
    """

    weights: Float[Tensor, "resamples prompts"]
    prompts: Int[Tensor, " n"]

    @cached_property
    def belongs(self) -> Float[Tensor, "n prompts"]:
        """1 where a position belongs to a prompt, else 0; sums over prompts are products with it, the same on every device."""
        return torch.nn.functional.one_hot(self.prompts.long(), self.weights.shape[1]).double()

    @cached_property
    def each(self) -> Float[Tensor, "n resamples"]:
        """How often each position is drawn."""
        return self.weights[:, self.prompts].mT


class PromptGram:
    """Inner products of a set of features with itself, from which CKA follows for every resample."""

    def __init__(self, features: Float[Tensor, "n width"], draws: Draws) -> None:
        centred = features.double() - features.double().mean(0)
        self.draws = draws
        self.gram = centred @ centred.mT
        self.pull = self.gram @ draws.each  # of each position with the sum of everything drawn

    @cached_property
    def own(self) -> Float[Tensor, " resamples"]:
        """|x'wx|^2 of every resample, about its mean."""
        return self.squared_norm(self)

    def squared_norm(self, other: PromptGram) -> Float[Tensor, " resamples"]:
        """|x'wy|^2 of every resample, about its means: a quadratic form in how often the prompts are drawn."""
        draws, each, total = self.draws, self.draws.each, self.draws.each.sum(0)
        pairs = draws.belongs.mT @ (self.gram * other.gram) @ draws.belongs
        raw = ((draws.weights @ pairs) * draws.weights).sum(-1)
        cross = (each * self.pull * other.pull).sum(0)
        return raw - 2 * cross / total + (each * self.pull).sum(0) * (each * other.pull).sum(0) / total**2


def cka_resamples(x: PromptGram, y: PromptGram) -> Float[Tensor, " resamples"]:
    """`cka_distance` of every resample: each position counts as often as its prompt is drawn."""
    return one_minus_cka(x.squared_norm(y), x.own, y.own)


class PromptValues:
    """The values of a set of features in ascending order: all of them, and those of each prompt."""

    def __init__(self, features: Float[Tensor, "n width"], layout: Layout) -> None:
        self.all = ascending(features.flatten())
        self.by_prompt = ascending(layout.by_prompt(features, missing=torch.inf).flatten(1))
        self.sums = torch.nn.functional.pad(self.by_prompt.double().cumsum(-1), (1, 0))

    def up_to(self, edges: Float[Tensor, " edges"]) -> tuple[Float[Tensor, "prompts edges"], Float[Tensor, "prompts edges"]]:
        """How many values of each prompt do not exceed each edge, and their sum."""
        counts = torch.searchsorted(self.by_prompt, edges.expand(len(self.by_prompt), -1).contiguous(), right=True)
        return counts.double(), self.sums.gather(1, counts)


def wasserstein_resamples(
    x: PromptValues, y: PromptValues, weights: Float[Tensor, "resamples prompts"], sizes: Float[Tensor, " prompts"]
) -> Float[Tensor, " resamples"]:
    """`wasserstein_distance` of every resample, from cumulative curves by prompt; exact where every prompt counts once.

    The distance is the area between two cumulative curves. Its share between two edges is exact unless the curves cross
    there; what some 2,000 edges miss is set right by the ratio of the exact and the summed distance of all prompts.

    Args:
        x: of the base.
        y: of the candidate.
        weights: how often each prompt is drawn.
        sizes: values of each prompt.
    """
    exact = sorted_distance(x.all, y.all)
    step = max(1, 2 * len(x.all) // _BINS)
    edges = torch.unique(torch.cat([x.all[::step], x.all[-1:], y.all[::step], y.all[-1:]]))
    counts, sums = (a - b for a, b in zip(x.up_to(edges), y.up_to(edges), strict=True))
    areas = _areas(weights @ counts, weights @ sums, edges.double()) / (weights @ sizes)
    whole = _areas(counts.sum(0), sums.sum(0), edges.double()) / sizes.sum()
    return areas * torch.where(whole > 0, exact / whole, 1.0)


def _areas(counts: Tensor, sums: Tensor, edges: Tensor) -> Tensor:
    """Area between two cumulative curves, from differences of counts and sums up to every edge."""
    before, inside, values = counts[..., :-1], counts.diff(), sums.diff()
    return (before * edges.diff() + edges[1:] * inside - values).abs().sum(-1)
