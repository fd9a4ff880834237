"""Features in classes: each class a cloud with a mean and a covariance, and what resampled prompts make of their distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.contracts import Message
from analysis.similarity.moments import covariance
from analysis.similarity.stochastic import Aligned, Clouds, align, symmetric_root

FEWEST = 10
"""Positions that a class needs to be looked at."""
_RIDGE = 1e-6  # of the base class's mean variance, added in every direction of base and candidate alike


@dataclass(frozen=True)
class Classes:
    """Which positions make up each class that is looked at, and how its covariance is estimated.

    Attributes:
        places: the positions of each class.
        shrink: share by which each class's covariance is drawn towards a sphere of the same total variance; 0 for
            classes with two positions or more for each dimension.
        ridge: variance added in every direction.
    """

    places: tuple[Int[Tensor, " n_class"], ...]
    shrink: Float[Tensor, " classes"]
    ridge: Float[Tensor, " classes"]

    @property
    def n_shrunk(self) -> int:
        """Classes with too few positions for a covariance of their own."""
        return int((self.shrink > 0).sum())


def classes_of(base: Float[Tensor, "n d"], labels: Int[Tensor, " n"] | None) -> Classes | Message:
    """The classes that can be looked at, or why there are not two of them."""
    if labels is None:
        return Message(id="There are no classes of token positions to compare. Give slices, or let classes be found (auto).")
    every = (torch.nonzero(labels == label)[:, 0] for label in torch.unique(labels))
    places = tuple(place for place in every if len(place) >= FEWEST and _varies(base[place]))
    if len(places) < 2:
        return Message(
            id="Classes of at least {fewest} differing token positions are needed, two or more of them, and there are {n}."
            " Give more prompts, or other classes.",
            values={"fewest": FEWEST, "n": len(places)},
        )
    sizes = torch.tensor([len(place) for place in places], dtype=torch.float64, device=base.device)
    shrink = (1 - sizes / (2 * base.shape[1])).clamp(min=0)
    ridge = torch.stack([_RIDGE * base[place].var(0, correction=0).mean() for place in places])
    return Classes(places, shrink, ridge)


def clouds_of(features: Float[Tensor, "*candidates n d"], classes: Classes) -> Clouds:
    """Mean and root of the covariance (divided by n, shrunk, with the ridge) of every class."""
    means = torch.stack([features[..., place, :].mean(-2) for place in classes.places], dim=-2)
    plain = torch.stack([covariance(features[..., place, :]) for place in classes.places], dim=-3)
    return Clouds(means, symmetric_root(_estimated(plain, classes)))


@dataclass(frozen=True)
class Costs:
    """What moves each class of the base onto a candidate's, as costs of single positions that can be drawn anew.

    The rotation, and in each class the map that carries one Gaussian onto the other, are kept as the whole set gives
    them. At these the distance is stationary, so what keeping them leaves out is of second order; it is how limit
    theorems for transport costs are proved (del Barrio and Loubes, Ann. Probab. 47, 2019). What is left out is mostly
    a bias: covariances estimated anew from fewer different positions lie further apart, so that the distances of plain
    resamples lie above that of the whole set (some 10 % at 64 dimensions and 250 positions a class).
    """

    forth: Float[Tensor, "classes d d"]  # I - P: x'(I - P)x is what a position of the base costs
    back: Float[Tensor, "classes d d"]  # I - inverse of P


def costs_of(base: Clouds, other: Clouds, found: Aligned) -> Costs:
    """Of one candidate: `other` and `found` hold one candidate each."""
    carried = torch.linalg.solve(base.roots, found.pairing[0] @ other.roots[0] @ found.rotation[0])
    carried = (carried + carried.mT) / 2
    eye = torch.eye(carried.shape[-1], dtype=carried.dtype, device=carried.device)
    return Costs(eye - carried, eye - torch.linalg.inv(carried))


def means_resampled(
    x: Float[Tensor, "n d"], y: Float[Tensor, "n d"], classes: Classes, each: Float[Tensor, "n resamples"]
) -> Float[Tensor, " resamples"]:
    """The distance of means alone (alpha 2) of every resample, its rotation fitted anew: there is a closed form.

    The rotation's gain is the nuclear norm of m'n, which for few classes is found from their small Gram matrices.
    """
    sizes = torch.stack([each[place].sum(0) for place in classes.places], -1)
    means = [torch.stack([each[place].mT @ part[place] for place in classes.places], 1) / sizes[..., None] for part in (x, y)]
    present = sizes > 0
    safe = [torch.where(present[..., None], mean, 0) for mean in means]
    gain = torch.linalg.svdvals(symmetric_root(safe[0] @ safe[0].mT) @ symmetric_root(safe[1] @ safe[1].mT)).sum(-1)
    squared = (sum(mean.square().sum((-2, -1)) for mean in safe) - 2 * gain) / present.sum(-1)
    return torch.where(present.sum(-1) > 1, (2 * squared).clamp(min=0).sqrt(), torch.nan)


def resampled(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "n d"],
    classes: Classes,
    costs: Costs,
    each: Float[Tensor, "n resamples"],
    alpha: float,
) -> Float[Tensor, " resamples"]:
    """The distance of every resample.

    Args:
        x: the base's features.
        y: the candidate's, rotated.
        classes: which positions make up each class.
        costs: of covariances.
        each: how often each position is drawn in each resample.
        alpha: of the distance, below 2.
    """
    total, present = torch.zeros_like(each[0]), torch.zeros_like(each[0])
    for number, place in enumerate(classes.places):
        drawn = each[place]
        size = drawn.sum(0)
        mean_x, mean_y = (drawn.mT @ part[place] / size[:, None] for part in (x, y))
        squared = alpha * (mean_x - mean_y).square().sum(-1)
        for part, mean, cost in ((x, mean_x, costs.forth[number]), (y, mean_y, costs.back[number])):
            squared = squared + (2 - alpha) * _cost(part[place], mean, drawn, size, cost, classes, number)
        total += torch.where(size > 0, squared, 0)
        present += size > 0
    return torch.where(present > 1, (total / present).clamp(min=0).sqrt(), torch.nan)


def _cost(rows: Tensor, mean: Tensor, drawn: Tensor, size: Tensor, cost: Tensor, classes: Classes, number: int) -> Tensor:
    """tr(cost x covariance) of every resample, the covariance shrunk and ridged as the whole set's was."""
    shrink, variance = classes.shrink[number], _drawn(rows, rows, mean, mean, drawn, size) / rows.shape[1]
    plain = _drawn(rows @ cost, rows, mean @ cost, mean, drawn, size)
    return (1 - shrink) * plain + (shrink * variance + classes.ridge[number]) * cost.trace()


def _drawn(left: Tensor, right: Tensor, left_mean: Tensor, right_mean: Tensor, drawn: Tensor, size: Tensor) -> Tensor:
    """The trace of the covariance of two sets of rows over what is drawn."""
    trace: Tensor = drawn.mT @ (left * right).sum(-1) / size - (left_mean * right_mean).sum(-1)
    return trace


def _estimated(plain: Tensor, classes: Classes) -> Tensor:
    shrink, ridge = classes.shrink[:, None, None], classes.ridge[:, None, None]
    eye = torch.eye(plain.shape[-1], dtype=plain.dtype, device=plain.device)
    variance = plain.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    return (1 - shrink) * plain + (shrink * variance + ridge) * eye


def _varies(rows: Tensor) -> bool:
    return bool(rows.var(0, correction=0).sum() > 1e-12 * rows.square().sum(-1).mean())


class Pairs:
    """The base beside every candidate, class by class."""

    def __init__(self, base: Float[Tensor, "n d"], others: Float[Tensor, "candidates n d"], classes: Classes) -> None:
        self.base, self.others, self.classes = base, others, classes
        self.clouds, self.other_clouds = clouds_of(base, classes), clouds_of(others, classes)

    def distances(
        self, alpha: float, each: Float[Tensor, "n resamples"], pause: Callable[[], None]
    ) -> Float[Tensor, "one_and_resamples candidates"]:
        """Every candidate's distance, and below it that of every resample."""
        pause()
        found = align(self.clouds, self.other_clouds, alpha, pause)
        whole = found.squared.sqrt()[None]
        if not each.shape[1]:
            return whole
        again = []
        for place in range(len(self.others)):
            pause()
            again.append(self._resampled(place, found, alpha, each))
        return torch.cat([whole, torch.stack(again, dim=1)])

    def _resampled(self, place: int, found: Aligned, alpha: float, each: Tensor) -> Tensor:
        if alpha == 2:
            return means_resampled(self.base, self.others[place], self.classes, each)
        one = torch.tensor([place], device=each.device)
        costs = costs_of(self.clouds, self.other_clouds.of(one), found.of(one))
        return resampled(self.base, self.others[place] @ found.rotation[place], self.classes, costs, each, alpha)
