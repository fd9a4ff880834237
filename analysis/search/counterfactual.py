"""One walk that shows a stack as it is and with each single unit out as well: final features, every token's loss, and influence.

All voters of a step that need no gradients are told by what is collected here, so that eight distances cost one ablated pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from analysis.contracts import MeasuredSet, Message, SearchSettings, UnitRef, UnitSet
from analysis.errors import Cancelled
from analysis.models.stack import LoadedModel
from analysis.profiling.stream import Watch
from analysis.search.influence_votes import Influence
from analysis.search.losses import UNTOUCHED, Measurer, Tally
from analysis.search.positions import Positions
from analysis.search.recorder import Features, Recorder
from analysis.search.room import EVERYTHING
from analysis.search.steering import with_unit
from analysis.search.token_losses import TokenLosses
from analysis.search.walk import Walk
from analysis.workload import EncodedWorkload


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

    def measurer(self, untouched: TokenLosses | None = None) -> Measurer:
        """A measurer that runs everything anew, told what the untouched model loses."""
        measurer = Measurer(self.loaded, self.encoded, self.settings, watch=self.watch, walk=self.walk)
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
    measurer = subject.measurer(untouched)
    recorder = Recorder(measurer, sets, candidates, positions)
    measurer.witness = recorder
    if measurer.objective == "state_change" and not subject.states:
        first = subject.measurer()  # what every other set is held against, token by token
        first.complete([UNTOUCHED], stage)
        measurer.tally = first.tally
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
    measurer = subject.measurer(untouched)
    recorder = Recorder(measurer, sets)
    measurer.witness = recorder
    if UNTOUCHED not in measurer.sums:
        sets = (UNTOUCHED, *(removed for removed in sets if removed != UNTOUCHED))
    measurer.complete(tuple(sets), stage)
    found = {removed: measurer.found[removed] for removed in recorder.sets}
    return Counterfactual(
        recorder.sets[0], (), recorder.token_losses(), found, recorder.influence, None, measurer.tally, tuple(measurer.notes)
    )
