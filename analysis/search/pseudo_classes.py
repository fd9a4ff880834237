"""Which token positions are of one kind, for members that compare class by class: the workload's slices, or clusters of features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from analysis.contracts import Message, RankingSettings
from analysis.search.positions import Positions
from analysis.similarity.pca import Space, fit_space
from analysis.workload import EncodedExample

FEWEST = 32
"""Positions of a class below which its spread is guesswork: smaller slices stand together as one class."""
_ROUNDS = 50


@dataclass(frozen=True, eq=False)
class Classes:
    """A class for every position.

    Attributes:
        labels: [N] 0 to `n` - 1; None: there are none.
        by: what they are made from.
    """

    labels: Tensor | None
    by: Literal["slices", "tasks", "kmeans", "none"]
    n: int
    notes: tuple[Message, ...] = ()


NONE = Classes(None, "none", 0)


def pseudo_classes(base: Tensor, positions: Positions, examples: Sequence[EncodedExample], settings: RankingSettings) -> Classes:
    """Classes as asked for; `auto` takes slices where two of them have enough positions, else clusters.

    Args:
        base: [N, d] features with nothing more taken out.
        positions: where they stand.
        examples: whose slices count.
        settings: how classes are made, how many clusters, the seed.
    """
    asked = settings.classes
    notes: tuple[Message, ...] = ()
    if asked == "tasks":
        notes = (
            Message(id="The prompts carry no task names, so positions are told apart by slice, or by likeness where slices do not do."),
        )
    if asked != "kmeans":
        found = _by_slice([examples[owner].slice for owner in positions.examples.tolist()], base.device)
        if found.n >= 2:
            return Classes(found.labels, "slices", found.n, notes)
        if asked == "slices":
            notes = (
                Message(
                    id="Fewer than two slices have {n} token positions, so positions are told apart by likeness.", values={"n": FEWEST}
                ),
            )
    found = _by_likeness(base, settings)
    return Classes(found.labels, found.by, found.n, notes)


def _by_slice(names: Sequence[str], device: torch.device) -> Classes:
    sizes = Counter(names)
    large = sorted(name for name, n in sizes.items() if n >= FEWEST)
    if len(large) < 2:
        return NONE
    number = {name: place for place, name in enumerate(large)}
    labels = torch.tensor([number.get(name, len(large)) for name in names], device=device)
    return Classes(labels, "slices", len(large) + (len(large) < len(sizes)))


def _by_likeness(base: Tensor, settings: RankingSettings) -> Classes:
    n_classes = min(settings.n_classes, len(base) // FEWEST)
    space = fit_space(base, settings.dimension) if n_classes >= 2 else None
    if not isinstance(space, Space):
        return NONE
    labels = k_means(space.coordinates(base), n_classes, settings.seed)
    present, compact = torch.unique(labels, return_inverse=True)
    return Classes(compact, "kmeans", len(present)) if len(present) >= 2 else NONE


def k_means(points: Tensor, n_classes: int, seed: int) -> Tensor:
    """[N] the cluster of each point, by Lloyd's rounds from centres spread as k-means++ spreads them.

    The same seed gives the same clusters on the same device.

    Source: Arthur and Vassilvitskii, k-means++: The Advantages of Careful Seeding (2007).
    """
    random = np.random.default_rng(seed)
    centres = points[[int(random.integers(len(points)))]]
    while len(centres) < n_classes:
        far = torch.cdist(points, centres).amin(1).square().cpu().numpy().astype(np.float64)
        if not far.any():
            break  # fewer different points than clusters
        centres = torch.cat([centres, points[[int(random.choice(len(points), p=far / far.sum()))]]])
    labels = torch.cdist(points, centres).argmin(1)
    for _ in range(_ROUNDS):
        sizes = torch.bincount(labels, minlength=len(centres))
        sums = torch.zeros_like(centres).index_add_(0, labels, points)
        centres = torch.where((sizes > 0)[:, None], sums / sizes.clamp_min(1)[:, None], centres)
        nearest = torch.cdist(points, centres).argmin(1)
        if torch.equal(nearest, labels):
            break
        labels = nearest
    return labels
