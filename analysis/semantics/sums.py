"""Running sums of the traces, fed by the profile's own pass: flat, mergeable, resumable, added up over ranks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from analysis.profiling.accumulators import Sums
from analysis.profiling.bootstrap import poisson_weights
from analysis.profiling.features import Features
from analysis.profiling.measures import PIECE_BYTES, UnitSums, to_device
from analysis.profiling.units import SINK, Unit
from analysis.semantics.curves import Tracer
from analysis.semantics.lens import LENS_COLUMNS, Lens
from analysis.semantics.tokens import Bools, Ints, TokenPlan
from analysis.workload import EncodedExample


@dataclass(frozen=True)
class Layout:
    """Where each measure of a token stands. C curves, P positions, L blocks.

    Columns of a traced token: deviations (C P), alignments (C L). Of a lens token: loss, top1, reciprocal rank and entropy (4 P), then
    whether the nearest basis of each curve was the right one (C).
    """

    n_curves: int
    n_positions: int

    @property
    def deviations(self) -> slice:
        """Columns of the deviations, curve by curve."""
        return slice(0, self.n_curves * self.n_positions)

    @property
    def width(self) -> int:
        """Columns of a traced token."""
        return self.n_curves * (2 * self.n_positions - 1)

    @property
    def losses(self) -> slice:
        """Columns of the lens' loss."""
        return slice(0, self.n_positions)

    @property
    def rights(self) -> slice:
        """Columns of the curves' hits."""
        return slice(len(LENS_COLUMNS) * self.n_positions, self.lens_width)

    @property
    def lens_width(self) -> int:
        """Columns of a lens token."""
        return len(LENS_COLUMNS) * self.n_positions + self.n_curves


class Clock:
    """Adds up the time spent inside it; on a GPU by events, so that nobody waits."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._open: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._seconds = 0.0

    def around(self, work: Callable[[], None]) -> None:
        """Does the work and counts its time."""
        if not self._on_gpu:
            started = time.perf_counter()
            work()
            self._seconds += time.perf_counter() - started
            return
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        work()
        end.record()
        self._open.append((start, end))

    def take(self) -> float:
        """Seconds since the last time it was asked; waits for what still runs."""
        for start, end in self._open:
            end.synchronize()
            self._seconds += start.elapsed_time(end) / 1000
        self._open.clear()
        taken, self._seconds = self._seconds, 0.0
        return taken


@dataclass
class _Rows:
    """The traced tokens of one unit: [n] each."""

    slots: Tensor
    members: Tensor
    words: Tensor
    lens: Bools
    kept: Ints


@dataclass
class _Added:
    """What one unit adds, before it is added: [E, ...] per example, and rows of the kept traces."""

    sums: Tensor
    counts: Tensor
    lens_sums: Tensor
    lens_counts: Tensor
    invalid: Tensor
    sinks: Tensor
    traces: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    lens_traces: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)


class TraceSums(Sums):
    """Sums of deviations, alignments and lens scores for all response tokens and for each slice, with bootstrap replicates.

    G groups (overall, then slices), R replicates, K kept examples, T kept trace tokens.

    Args:
        check: raises when the run should stop; asked between chunks, because the head over many states takes long.
    """

    def __init__(
        self,
        tracer: Tracer,
        lens: Lens | None,
        plan: TokenPlan,
        features: Features,
        slices: Sequence[str],
        replicates: int,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.tracer, self.lens, self.plan, self.check = tracer, lens, plan, check
        self.groups = ("overall", *slices)
        self.layout = Layout(len(tracer.curves), features.n_positions)
        self.replicates, self.device, self._clock = replicates, features.device, Clock(features.device)
        n, k, t, p = len(self.groups), plan.n_kept, max(1, plan.n_trace_tokens), features.n_positions  # ranks add no empty tensors
        lay, reps = self.layout, replicates

        def zeros(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
            return torch.zeros(*shape, dtype=dtype, device=features.device)

        super().__init__(
            sums=zeros(n, lay.width),
            weights=zeros(n),
            tokens=zeros(n),
            examples=zeros(n),
            replicate_sums=zeros(n, reps, lay.deviations.stop),
            replicate_weights=zeros(n, reps),
            lens_sums=zeros(n, lay.lens_width),
            lens_weights=zeros(n),
            lens_tokens=zeros(n),
            replicate_losses=zeros(n, reps, p),
            replicate_rights=zeros(reps, lay.n_curves + 1),
            replicate_lens_weights=zeros(n, reps),
            example_sums=zeros(k, lay.deviations.stop),
            example_counts=zeros(k),
            example_losses=zeros(k, p),
            example_lens_counts=zeros(k),
            trace_deviations=zeros(t, lay.n_curves, p, dtype=torch.float32),
            trace_known=zeros(t),
            trace_losses=zeros(t, p, dtype=torch.float32),
            trace_words=zeros(t, p, dtype=torch.int64),
            trace_lens_known=zeros(t),
            invalid=zeros(1),
            sinks=zeros(1),
            seconds=zeros(1),
        )

    @property
    def own_seconds(self) -> float:
        """Time of the pass that went into the traces."""
        return float(self.state()["seconds"])

    def state(self) -> Mapping[str, Tensor]:
        """The sums themselves, their time brought up to date."""
        self.tensors["seconds"] += self._clock.take()
        return self.tensors

    def update(self, unit: UnitSums) -> None:
        """Adds a unit; nothing is added before all of it is measured, so a stop in between leaves whole sums."""
        self._clock.around(lambda: self._update(unit))

    def _update(self, unit: UnitSums) -> None:
        rows = self._rows(unit.unit)
        if rows is None:
            return
        added = self._measure(unit, rows)
        members = unit.unit.examples
        self._add(added, members)
        self._keep_examples(added, unit.unit)
        self._keep_traces(added)

    def _rows(self, unit: Unit) -> _Rows | None:
        """Where the unit's traced tokens are predicted from: the slot of the token before."""
        first = unit.first_example
        plans = self.plan.examples[first : first + len(unit.examples)]
        if not any(len(one.positions) for one in plans):
            return None
        slots = [unit.slots[member][one.positions - 1] for member, one in enumerate(plans)]
        members = np.repeat(np.arange(len(plans)), [len(one.positions) for one in plans])
        return _Rows(
            slots=to_device(np.concatenate(slots), self.device),
            members=to_device(members, self.device),
            words=to_device(np.concatenate([one.words for one in plans]), self.device),
            lens=np.concatenate([one.lens for one in plans]),
            kept=np.concatenate([one.rows for one in plans]),
        )

    def _measure(self, unit: UnitSums, rows: _Rows) -> _Added:
        n_examples, lay = len(unit.unit.examples), self.layout

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64, device=self.device)

        added = _Added(
            zeros(n_examples, lay.width), zeros(n_examples), zeros(n_examples, lay.lens_width), zeros(n_examples), zeros(1), zeros(1)
        )
        directions = self.tracer.bases.directions(rows.words)
        everyone = torch.arange(n_examples, device=self.device)[:, None]
        step = max(8, PIECE_BYTES[self.device.type] // (4 * lay.n_positions * directions.shape[-1]))
        for start in range(0, len(rows.lens), step):
            self.check()
            piece = slice(start, start + step)
            kind = unit.kind[rows.slots[piece]]
            valid = kind >= 0
            states = unit.states(rows.slots[piece])
            member = ((everyone == rows.members[piece]) & valid).double()
            self._measure_piece(added, rows, piece, states, directions[piece], member)
            added.invalid += (~valid).sum()
            added.sinks += (kind == SINK).sum()
        return added

    def _measure_piece(self, added: _Added, rows: _Rows, piece: slice, states: Tensor, directions: Tensor, member: Tensor) -> None:
        deviation, alignment = self.tracer.measure(states, directions)
        values = torch.cat([deviation.flatten(1), alignment.flatten(1)], dim=1).nan_to_num_(0.0, 0.0, 0.0)
        added.sums.addmm_(member, values)
        added.counts += member.sum(1)
        kept = rows.kept[piece]
        if (kept >= 0).any():
            chosen = to_device(np.flatnonzero(kept >= 0), self.device)
            added.traces.append((to_device(kept[kept >= 0], self.device), deviation[chosen].float()))
        judged = rows.lens[piece]
        if self.lens is not None and judged.any():
            chosen = to_device(np.flatnonzero(judged), self.device)
            self._judge(added, states[chosen], rows.words[piece][chosen], member[:, chosen], kept[judged])

    def _judge(self, added: _Added, states: Tensor, words: Tensor, member: Tensor, kept: Ints) -> None:
        """The lens at every position, and the nearest bases at the last."""
        assert self.lens is not None
        assert self.tracer.norm is not None
        n, p = states.shape[:2]
        flat, right = self.tracer.norm(states).flatten(0, 1), words.repeat_interleave(p)
        found, said = [], []
        for start in range(0, len(flat), self.lens.chunk()):
            self.check()
            scores, words_said = self.lens.read(flat[start : start + self.lens.chunk()], right[start : start + self.lens.chunk()])
            found.append(scores)
            said.append(words_said)
        lens = torch.cat(found).view(n, p, len(LENS_COLUMNS)).mT
        nearest = self._nearest(states)
        values = torch.cat([lens.flatten(1), (nearest == words).T.double()], dim=1).nan_to_num_(0.0, 0.0, 0.0)
        added.lens_sums.addmm_(member, values)
        added.lens_counts += member.sum(1)
        if (kept >= 0).any():
            chosen = to_device(np.flatnonzero(kept >= 0), self.device)
            rows = to_device(kept[kept >= 0], self.device)
            added.lens_traces.append((rows, lens[chosen, 0].float(), torch.cat(said).view(n, p)[chosen]))

    def _nearest(self, states: Tensor) -> Tensor:
        """The nearest basis' word by each curve at the last position [C, n]."""
        forms = self.tracer.forms(states[:, -1:])
        found = self.tracer.bases.nearest(torch.cat(forms)[:, 0])  # [bases, forms n]
        return torch.cat(found.chunk(len(forms), dim=1))

    def _add(self, added: _Added, examples: Sequence[EncodedExample]) -> None:
        mine = self.tensors
        member = np.array([[name in ("overall", one.slice) for one in examples] for name in self.groups], dtype=np.float64)
        groups = to_device(member, self.device)
        weight = to_device(np.array([one.weight for one in examples], dtype=np.float64), self.device)
        draws = to_device(poisson_weights([one.example_id for one in examples], self.replicates), self.device) * weight
        losses, rights = added.lens_sums[:, self.layout.losses], added.lens_sums[:, self.layout.rights]
        head = added.lens_sums[:, 2 * self.layout.n_positions - 1]
        mine["sums"].addmm_(groups * weight, added.sums)
        mine["weights"] += groups @ (weight * added.counts)
        mine["tokens"] += groups @ added.counts
        mine["examples"] += groups @ (added.counts > 0).double()
        mine["replicate_sums"] += draws @ (groups[:, :, None] * added.sums[:, self.layout.deviations])
        mine["replicate_weights"] += (groups * added.counts) @ draws.T
        mine["lens_sums"].addmm_(groups * weight, added.lens_sums)
        mine["lens_weights"] += groups @ (weight * added.lens_counts)
        mine["lens_tokens"] += groups @ added.lens_counts
        mine["replicate_losses"] += draws @ (groups[:, :, None] * losses)
        mine["replicate_rights"] += draws @ torch.cat([rights, head[:, None]], dim=1)
        mine["replicate_lens_weights"] += (groups * added.lens_counts) @ draws.T
        mine["invalid"] += added.invalid
        mine["sinks"] += added.sinks

    def _keep_examples(self, added: _Added, unit: Unit) -> None:
        rows = np.array([one.row for one in self.plan.examples[unit.first_example : unit.first_example + len(unit.examples)]])
        members = np.flatnonzero(rows >= 0)
        if not len(members):
            return
        into, chosen = to_device(rows[members], self.device), to_device(members, self.device)
        for name, values in (
            ("example_sums", added.sums[:, self.layout.deviations]),
            ("example_counts", added.counts),
            ("example_losses", added.lens_sums[:, self.layout.losses]),
            ("example_lens_counts", added.lens_counts),
        ):
            self.tensors[name][into] = values[chosen]

    def _keep_traces(self, added: _Added) -> None:
        mine = self.tensors
        for rows, deviation in added.traces:
            mine["trace_deviations"][rows] = deviation
            mine["trace_known"][rows] = 1
        for rows, losses, words in added.lens_traces:
            mine["trace_losses"][rows] = losses
            mine["trace_words"][rows] = words
            mine["trace_lens_known"][rows] = 1
