"""One walk that shows a stack as it is and with each single unit out as well: final features, every token's loss, and influence.

All voters of a step that need no gradients are told by what is collected here, so that eight distances cost one ablated pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from analysis.contracts import MeasuredSet, Message, SearchSettings, UnitRef, UnitSet
from analysis.errors import Cancelled
from analysis.models.stack import LoadedModel
from analysis.profiling.stream import Watch
from analysis.search.batches import Batch, Ints
from analysis.search.influence_votes import Influence, Passing
from analysis.search.losses import UNTOUCHED, Measurer, Tally
from analysis.search.positions import Positions
from analysis.search.room import EVERYTHING
from analysis.search.steering import with_unit
from analysis.search.token_losses import TokenLosses
from analysis.search.travel import decisions_of
from analysis.search.walk import Walk
from analysis.workload import EncodedWorkload, scored


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
class Counterfactual:
    """What one walk gave.

    Attributes:
        base: out already.
        candidates: [M] units that were left out on top, one at a time.
        losses: of the base (first), and with each candidate out as well.
        measured: the same added up, each against the untouched model.
        influence: what each candidate does to the base's stream.
        features: None where nobody asked for them.
        tally: what was run.
    """

    base: UnitSet
    candidates: tuple[UnitRef, ...]
    losses: TokenLosses
    measured: dict[UnitSet, MeasuredSet]
    influence: Influence
    features: Features | None
    tally: Tally
    notes: tuple[Message, ...]

    def grown(self, ref: UnitRef) -> UnitSet:
        """The base with this candidate out as well."""
        return with_unit(self.base, ref)


@dataclass(frozen=True)
class Subject:
    """What all walks of a ranking share.

    Attributes:
        loaded, encoded: model and examples.
        settings: how tokens are run.
        walk: proved once.
        watch: told of progress, asked whether to stop.
        states: the untouched model's final states, where sets are held against them; filled by the first walk.
    """

    loaded: LoadedModel
    encoded: EncodedWorkload
    settings: SearchSettings
    walk: Walk
    watch: Watch
    states: dict[int, Tensor] = field(default_factory=dict)

    def check(self) -> None:
        """Between two pieces of work.

        Raises:
            Cancelled: somebody asked to stop.
        """
        if self.watch.should_stop():
            raise Cancelled("Stopped at your request.")

    def measurer(self, witness: Recorder | None = None, untouched: TokenLosses | None = None) -> Measurer:
        """A measurer that runs everything anew, told what the untouched model loses."""
        measurer = Measurer(self.loaded, self.encoded, self.settings, watch=self.watch, walk=self.walk, witness=witness)
        measurer.room = replace(measurer.room, group_sets=EVERYTHING)
        measurer.untouched = self.states
        if untouched is not None:
            measurer.sums[UNTOUCHED] = untouched.sums()[untouched.sets.index(UNTOUCHED)]
        return measurer


def look(
    subject: Subject,
    base: UnitSet,
    candidates: Sequence[UnitRef],
    stage: Message,
    *,
    positions: Positions | None = None,
    untouched: TokenLosses | None = None,
) -> Counterfactual:
    """Walks the base and the base with each candidate out as well.

    Args:
        subject: model, examples, settings.
        base: out already.
        candidates: units to leave out on top, one at a time; all of one kind.
        stage: what is said while it runs.
        positions: where final states are kept; sinks among them are left aside. None: nowhere.
        untouched: the untouched model's losses over the same tokens; needed where the base is not empty.

    Raises:
        ModelError: the untouched model gives no usable numbers.
        Cancelled, ResourceError: see `Measurer.run`.
    """
    sets = (base, *(with_unit(base, ref) for ref in candidates))
    recorder = Recorder(subject, sets, candidates, positions)
    measurer = subject.measurer(recorder, untouched)
    recorder.prepare(measurer)
    if measurer.objective == "state_change" and not subject.states:
        subject.measurer().complete([UNTOUCHED], stage)  # what every other set is held against, token by token
    measurer.complete(sets, stage)
    return Counterfactual(
        base,
        tuple(candidates),
        recorder.token_losses(),
        {removed: measurer.found[removed] for removed in sets},
        recorder.influence,
        recorder.features(),
        measurer.tally,
        tuple(measurer.notes),
    )


def look_at_sets(subject: Subject, sets: Sequence[UnitSet], stage: Message, untouched: TokenLosses | None = None) -> Counterfactual:
    """Token losses of a few sets, the first among them taken as the base; no features."""
    recorder = Recorder(subject, tuple(sets), (), None)
    measurer = subject.measurer(recorder, untouched)
    recorder.prepare(measurer)
    if UNTOUCHED not in measurer.sums:
        sets = (UNTOUCHED, *(removed for removed in sets if removed != UNTOUCHED))
    measurer.complete(tuple(sets), stage)
    found = {removed: measurer.found[removed] for removed in recorder.sets}
    return Counterfactual(
        recorder.sets[0], (), recorder.token_losses(), found, recorder.influence, None, measurer.tally, tuple(measurer.notes)
    )


class Recorder:
    """Collects what a measurer's witness sees; see `witness.Witness`.

    Args:
        subject: model and examples.
        sets: which sets are collected; the first is the base, whose stream is watched.
        candidates: whose influence on the base's stream is noted.
        positions: where final states are kept.
    """

    def __init__(self, subject: Subject, sets: Sequence[UnitSet], candidates: Sequence[UnitRef], positions: Positions | None) -> None:
        self.loaded, self.stack = subject.loaded, subject.walk.stack
        self.sets, self.candidates, self.positions = tuple(sets), tuple(candidates), positions
        self._number = {removed: number for number, removed in enumerate(self.sets)}
        self._passing: dict[int, Passing] = {}
        self._wanted: dict[int, tuple[Ints, Tensor, Tensor]] = {}
        self._tokens: dict[int, Tensor] = {}

    def prepare(self, measurer: Measurer) -> None:
        """Makes room for what will be seen.

        Args:
            measurer: whose examples and batches these are.
        """
        self.examples, weights = measurer.examples, measurer.weights
        causal = self.stack.info.causal and measurer.objective == "loss"
        places = [np.flatnonzero(scored(example, causal=causal)) for example in self.examples]
        self._first = np.cumsum([0, *(len(found) for found in places)])
        self._owners = np.repeat(np.arange(len(places)), [len(found) for found in places])
        self._places = np.concatenate(places)
        wide = torch.float32 if self.loaded.device.type == "mps" else torch.float64
        self._losses = torch.full((len(self.sets), len(self._owners)), torch.nan, dtype=wide, device=self.loaded.device)
        self.influence = Influence.empty(weights, len(self.candidates))
        n, width = len(self.positions or ()), self.loaded.info.hidden_size
        self._kept = np.zeros(n, dtype=bool)
        self._features: Tensor | None = None
        if self.positions is not None:
            self._features = torch.empty(len(self.sets), n, width, dtype=torch.float32, device=self.loaded.device)

    # -- as a witness ----------------------------------------------------------------------------------------------

    def rows(self, batch: Batch) -> Tensor:
        """Places whose final states are kept."""
        if batch.number not in self._wanted:
            numbers, flat = self.positions.of_batch(batch) if self.positions is not None else (np.zeros(0, np.int64),) * 2
            index = [torch.from_numpy(array).to(self.loaded.device) for array in (flat, numbers)]
            self._wanted[batch.number] = numbers, index[0], index[1]
            tokens = np.concatenate([np.arange(self._first[member], self._first[member + 1]) for member in batch.members])
            self._tokens[batch.number] = torch.from_numpy(tokens).to(self.loaded.device)
        return self._wanted[batch.number][1]

    def see(self, batch: Batch, sets: Sequence[Sequence[UnitSet]], losses: Tensor, states: Tensor) -> None:
        """Keeps losses and features, on the device; once the base is through, its stream's influence as well."""
        for row, same, final in zip(losses, sets, states, strict=True):
            for removed in same:
                if removed not in self._number:
                    continue
                number = self._number[removed]
                self._losses[number, self._tokens[batch.number]] = row.to(self._losses.dtype)
                if self._features is not None:
                    self._features[number, self._wanted[batch.number][2]] = final.float()
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
        mask = torch.from_numpy(batch.mask).to(self.loaded.device)
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
        numbers, rows, _ = self._wanted[batch.number]
        self._kept[numbers] = ~sinks.flatten()[rows].cpu().numpy()

    # -- what was collected ----------------------------------------------------------------------------------------

    def token_losses(self) -> TokenLosses:
        """The losses of all sets, token by token."""
        targets = np.array(
            [self.examples[owner].input_ids[place] for owner, place in zip(self._owners, self._places, strict=True)], dtype=np.int64
        )
        weights = np.array([example.weight for example in self.examples], dtype=np.float64)
        losses = self._losses.cpu().double().numpy()
        losses[~np.isfinite(losses)] = np.nan
        return TokenLosses(self.sets, losses, self._owners, targets, self._places, weights, self.examples)

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
