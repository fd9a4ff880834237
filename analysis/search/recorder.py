"""Collects, while sets are measured, every token's loss, final states at chosen positions, and influence on the base's stream."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.contracts import UnitRef, UnitSet
from analysis.search.batches import Batch
from analysis.search.influence_votes import Influence, Passing
from analysis.search.losses import Measurer
from analysis.search.positions import Positions
from analysis.search.token_losses import TokenLosses
from analysis.search.travel import decisions_of
from analysis.workload import scored


@dataclass(frozen=True, eq=False)
class Features:
    """Final states at N token positions.

    Attributes:
        base: [N, d] with nothing more taken out.
        ablated: [M, N, d] with each candidate out as well.
        positions: where the tokens stand.
    """

    base: Tensor
    ablated: Tensor
    positions: Positions


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What is kept of a batch: `rows` of it, as which of all positions; and which of all tokens its judged places predict."""

    rows: Tensor
    numbers: Tensor
    tokens: Tensor


class Recorder:
    """Collects what a measurer's witness sees; see `witness.Witness`.

    Args:
        measurer: whose examples and batches these are.
        sets: which sets are collected; the first is the base, whose stream is watched.
        candidates: whose influence on the base's stream is noted.
        positions: where final states are kept; None: nowhere.
    """

    def __init__(
        self, measurer: Measurer, sets: Sequence[UnitSet], candidates: Sequence[UnitRef] = (), positions: Positions | None = None
    ) -> None:
        self.stack, self.device, self.examples = measurer.stack, measurer.loaded.device, measurer.examples
        self.sets, self.candidates, self.positions = tuple(sets), tuple(candidates), positions
        self.influence = Influence.empty(measurer.weights, len(self.candidates))
        self._weights = measurer.weights
        self._number = {removed: number for number, removed in enumerate(self.sets)}
        causal = self.stack.info.causal and measurer.objective == "loss"
        places = [np.flatnonzero(scored(example, causal=causal)) for example in self.examples]
        self._first = np.cumsum([0, *(len(found) for found in places)])
        self._owners = np.repeat(np.arange(len(places)), [len(found) for found in places])
        self._places = np.concatenate(places)
        wide = torch.float32 if self.device.type == "mps" else torch.float64
        self._losses = torch.full((len(self.sets), len(self._owners)), torch.nan, dtype=wide, device=self.device)
        n, width = len(positions or ()), measurer.loaded.info.hidden_size
        self._features = None if positions is None else torch.empty(len(self.sets), n, width, device=self.device)
        self._kept = np.zeros(n, dtype=bool)
        self._passing: dict[int, Passing] = {}
        self._wanted: dict[int, _Wanted] = {}

    # -- as a witness ----------------------------------------------------------------------------------------------

    def rows(self, batch: Batch) -> Tensor:
        """Places whose final states are kept."""
        return self._of(batch).rows

    def _of(self, batch: Batch) -> _Wanted:
        if batch.number not in self._wanted:
            numbers, rows = (np.zeros(0, np.int64),) * 2 if self.positions is None else self.positions.of_batch(batch)
            tokens = np.concatenate([np.arange(self._first[member], self._first[member + 1]) for member in batch.members])
            self._wanted[batch.number] = _Wanted(*(torch.from_numpy(array).to(self.device) for array in (rows, numbers, tokens)))
        return self._wanted[batch.number]

    def see(self, batch: Batch, sets: Sequence[Sequence[UnitSet]], losses: Tensor, states: Tensor) -> None:
        """Keeps losses and features, on the device; once the base is through, its stream's influence as well."""
        wanted = self._of(batch)
        for row, same, final in zip(losses, sets, states, strict=True):
            for removed in same:
                if removed not in self._number:
                    continue
                number = self._number[removed]
                self._losses[number, wanted.tokens] = row.to(self._losses.dtype)
                if self._features is not None:
                    self._features[number, wanted.numbers] = final.float()
                if number == 0 and self.candidates:
                    self._settle(batch)

    def onlooker(self, batch: Batch) -> Passing | None:
        """Watches the base's stream where somebody asks about it."""
        return self._watching(batch) if self.candidates else None

    def whole_run(self, batch: Batch, removed: UnitSet) -> AbstractContextManager[None]:
        """The same in a run of the model's own."""
        if removed != self.sets[0] or not self.candidates:
            return nullcontext()
        return self._watching(batch).whole_run()

    def _watching(self, batch: Batch) -> Passing:
        mask = torch.from_numpy(batch.mask).to(self.device)
        self._passing[batch.number] = Passing(self.stack, decisions_of(self.stack, self.sets[0]), self.candidates[0][0], mask)
        return self._passing[batch.number]

    def _settle(self, batch: Batch) -> None:
        """Sinks are known now: the other tokens' influence is added up, and positions on sinks are struck off."""
        passing = self._passing.pop(batch.number)
        sinks = passing.sinks()
        kinds = np.zeros(batch.ids.shape, dtype=bool)
        for row, member in enumerate(batch.members):
            kinds[row, : len(self.examples[member].kinds)] = self.examples[member].kinds != 0
        counts = torch.from_numpy(kinds).to(sinks.device) & ~sinks
        self.influence.write(batch.members, passing.turned(self.candidates), counts)
        wanted = self._of(batch)
        self._kept[wanted.numbers.cpu().numpy()] = ~sinks.flatten()[wanted.rows].cpu().numpy()

    # -- what was collected ----------------------------------------------------------------------------------------

    def token_losses(self) -> TokenLosses:
        """The losses of all sets, token by token."""
        targets = np.array(
            [self.examples[owner].input_ids[place] for owner, place in zip(self._owners, self._places, strict=True)], dtype=np.int64
        )
        losses = self._losses.cpu().double().numpy()
        losses[~np.isfinite(losses)] = np.nan
        return TokenLosses(self.sets, losses, self._owners, targets, self._places, self._weights, self.examples)

    def features(self) -> Features | None:
        """The final states at positions that are no sinks."""
        if self._features is None or self.positions is None:
            return None
        finite = torch.isfinite(self._features[0]).all(-1).cpu().numpy()
        keep = np.flatnonzero(self._kept & finite)
        index = torch.from_numpy(keep).to(self._features.device)
        for states in self._features:  # in place: a second copy of all candidates might not fit
            states[: len(keep)] = states.index_select(0, index)
        left = self._features[:, : len(keep)]
        return Features(left[0], left[1:], Positions(self.positions.examples[keep], self.positions.places[keep]))
