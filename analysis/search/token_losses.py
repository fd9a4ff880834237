"""The loss of every judged token under several sets of removed units: what slices, kinds of token and resamples are told by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.contracts import UnitSet
from analysis.workload import EncodedExample

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TokenLosses:
    """T judged tokens of a workload, in the order of their examples, under several sets.

    Attributes:
        sets: what is left out; a set may be the empty one.
        losses: [sets, T] nats per token, or 1 - cosine to the untouched model's state; NaN where the numbers overflowed.
        owners: [T] index of the example among `examples`.
        targets: [T] token id that had to be predicted.
        positions: [T] place of the predicted token in its example.
        weights: [examples] what a token of each example counts for.
        examples: the examples that were run.
    """

    sets: tuple[UnitSet, ...]
    losses: Floats
    owners: Ints
    targets: Ints
    positions: Ints
    weights: Floats
    examples: tuple[EncodedExample, ...]

    @property
    def n_tokens(self) -> int:
        """Judged tokens."""
        return len(self.owners)

    def of(self, removed: UnitSet) -> Floats:
        """The tokens' losses with these units out, [T].

        Raises:
            KeyError: this set was not run.
        """
        if removed not in self.sets:
            raise KeyError(removed)
        row: Floats = self.losses[self.sets.index(removed)]
        return row

    def counts(self) -> Floats:
        """[examples] judged tokens of each example, times its weight."""
        return np.bincount(self.owners, minlength=len(self.examples)) * self.weights

    def sums(self) -> Floats:
        """[sets, examples] loss of each example's tokens added up, times its weight; NaN where any of them overflowed."""

        totals = np.stack([np.bincount(self.owners, weights=row, minlength=len(self.examples)) for row in self.losses])
        weighted: Floats = totals * self.weights
        return weighted

    def means(self) -> Floats:
        """[sets] loss per token over everything that was run."""
        means: Floats = self.sums().sum(axis=1) / self.counts().sum()
        return means
