"""Who sees, while sets are measured, what is otherwise added up and forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from torch import Tensor

from analysis.contracts import UnitSet
from analysis.search.batches import Batch
from analysis.search.travel import Onlooker


class Witness(Protocol):
    """Sees what is otherwise added up and forgotten: the loss of every token, and final states at places of its own choice."""

    def rows(self, batch: Batch) -> Tensor:
        """Places in the flattened batch whose final states it wants, on the model's device."""

    def see(self, batch: Batch, sets: Sequence[Sequence[UnitSet]], losses: Tensor, states: Tensor) -> None:
        """Some sets were judged; a batch that starts over is seen again.

        Args:
            batch: the batch they were judged on.
            sets: [n] each with others that do the same to the model.
            losses: [n, rows] of the batch's judged places.
            states: [n, wanted, d] final states of the places asked for.
        """

    def onlooker(self, batch: Batch) -> Onlooker | None:
        """Who watches a set on its way through this batch."""

    def whole_run(self, batch: Batch, removed: UnitSet) -> AbstractContextManager[None]:
        """The same around a run of the model's own, where the blocks cannot be walked."""
