"""A made-up loss surface with noisy prompts and units that get on with each other, measured like a model but in no time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from analysis.contracts import MeasuredSet, Message, UnitSet
from analysis.search.losses import Measurer, Tally
from analysis.search.paired import Sums


@dataclass(frozen=True)
class Shape:
    """How a surface looks: `noise` is how far a prompt's cost of a unit lies from the mean, in means."""

    n_units: int = 30
    prompts: int = 84
    batches: int = 17
    noise: float = 1.5
    friends: int = 30
    tokens: int = 14


class Surface(Measurer):
    """Losses per prompt that are the units' own, plus pairs that cost less or more than their sum, plus a rise with depth."""

    def __init__(self, seed: int, shape: Shape = Shape()) -> None:  # a surface stands for a model; nothing of one is loaded
        draw = np.random.default_rng(seed)
        n, prompts = shape.n_units, shape.prompts
        self.per_example = draw.poisson(shape.tokens - 2, prompts).astype(float) + 2.0
        own = np.exp(draw.normal(np.log(0.2), 0.45, n))
        own[[0, 1, n - 1]] = (6.0, 3.0, 2.0)
        heavy = draw.standard_t(4, (prompts, n)) * shape.noise * np.minimum(own, 0.5) * 0.7
        self._own = own + heavy
        self._pairs = {}
        nearby = [(i, j) for i, j in itertools.combinations(range(n), 2) if j - i <= 4]
        for place in draw.choice(len(nearby), min(shape.friends, len(nearby)), replace=False):
            i, j = nearby[place]
            size = draw.normal(-0.06, 0.08)
            self._pairs[(i, j)] = size + draw.standard_t(4, prompts) * abs(size) * shape.noise
        self._rise = draw.uniform(0.005, 0.02) * (1 + draw.standard_t(4, (prompts, n)) * shape.noise)
        self._base = 3.5 + draw.normal(0, 0.8, prompts)
        cuts = np.array_split(draw.permutation(prompts), shape.batches)
        self.batches = tuple(
            SimpleNamespace(number=k, members=tuple(int(m) for m in cut), n_tokens=int(self.per_example[cut].sum()))  # type: ignore[misc]
            for k, cut in enumerate(cuts)
        )
        self.run_tokens = self.n_tokens = int(self.per_example.sum())
        self.stack: Any = SimpleNamespace(blocks=range(n))
        self.found: dict[UnitSet, MeasuredSet] = {}
        self.sums: dict[UnitSet, Sums] = {}
        self.objective = "loss"
        self.tally, self.passes = Tally(), 0.0

    def prompt_losses(self, removed: UnitSet) -> Sums:
        blocks = [block for _, block in removed]
        loss = self._base + self._own[:, blocks].sum(axis=1) + 0.5 * (len(blocks) - 1) * self._rise[:, blocks].sum(axis=1)
        for pair in itertools.combinations(sorted(blocks), 2):
            loss = loss + self._pairs.get(pair, 0.0)
        return loss * self.per_example

    def run(self, sets: Sequence[UnitSet], batches: Sequence[Any], stage: Message) -> None:
        for removed in sets:
            sums = self.sums.setdefault(removed, np.full(len(self.per_example), np.nan))
            losses = self.prompt_losses(removed)
            for batch in batches:
                members = list(batch.members)
                self.passes += batch.n_tokens / self.run_tokens * bool(np.isnan(sums[members]).any())
                sums[members] = losses[members]

    def full_greedy(self, children: Any, steps: int) -> tuple[list[UnitSet], float]:
        """Greedy by whole runs of every candidate at every step, and what that takes."""
        path: list[UnitSet] = []
        passes = 0.0
        for _ in range(steps):
            some = children(path[-1] if path else ())
            passes += len(some)
            path.append(min(some, key=lambda removed: (float(self.prompt_losses(removed).sum()), removed)))
        return path, passes

    def loss(self, removed: UnitSet) -> float:
        return float(self.prompt_losses(removed).sum() / self.per_example.sum())

    def scan(self, units: Iterable[Any]) -> None:
        self.measure([(), *((unit,) for unit in units)], Message(id=""))
