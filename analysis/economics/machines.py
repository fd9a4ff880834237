"""How many machines the work takes, and what a lighter plan lets go of: whole machines first, the rest as headroom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.contracts.business import CaseEvidence, Pair
from analysis.contracts.case import MachineNeed, Machines
from analysis.economics.load import HOURS_PER_MONTH, Figures, Floats, Number, Requests, column

_GIB = 2.0**30
_HAIR = 1e-9
"""A machine that is over-full by less than this is full: rounding of binary fractions buys no machine."""


@dataclass(frozen=True)
class Fleet:
    """The machines of one kind of work, at today's volume.

    Attributes:
        throughput: machines that the peak hour fills, as a fraction, today.
        ratio: plan / today of the work.
        memory: machines that one copy needs, today and with the plan.
        spare: kept ready on top.
        stated: how many there are, as a person said; None: as many as are needed.
        shortfall: the stated machines are fewer than the arithmetic asks for; they evidently suffice, so they are taken to be just full.
    """

    throughput: Number
    ratio: Number
    memory: tuple[Number, Number]
    spare: Number
    stated: Number | None
    shortfall: bool = False


@dataclass(frozen=True)
class Held:
    """[..., months] machines without and with the plan.

    Attributes:
        filled: fractions of machines that the peak fills (today, plan).
        needed: whole machines, spare ones among them (today, plan).
        owned: [..., 1] machines there are in the first month.
    """

    filled: tuple[Floats, Floats]
    needed: tuple[Floats, Floats]
    owned: Floats

    @property
    def released(self) -> Floats:
        """Machines that are there and that only the plan makes superfluous; a plan that needs more first fills what stands idle."""
        without, with_plan = (np.minimum(self.owned, needed) for needed in self.needed)
        return np.asarray(np.maximum(without - with_plan, 0.0))

    @property
    def added(self) -> tuple[Floats, Floats]:
        """Machines on top of those that are there (today, plan)."""
        without, with_plan = (np.maximum(needed - self.owned, 0.0) for needed in self.needed)
        return without, with_plan

    @property
    def running(self) -> Floats:
        """Machines that run without the plan: those that are there, and what growth adds."""
        return np.maximum(self.owned, self.needed[0])

    @property
    def lighter(self) -> Floats:
        """Machines by which the peak fills less, as a fraction; below 0 where the plan needs more."""
        return self.filled[0] - self.filled[1]


def fleet_of_volume(evidence: CaseEvidence, work: Requests, figures: Figures) -> Fleet | None:
    """Machines from requests x time at the peak hour; None: no time or no volume is known."""
    if work.seconds is None or not work.number:
        return None
    per_machine = figures.get("gpus_per_machine", 1.0)
    gpus = work.number / (HOURS_PER_MONTH * 3600) * work.seconds * figures.get("peak_factor", 1.0)
    memory = _by_memory(evidence, work, figures)
    spare, stated = figures.get("spare_machines", 0.0), figures.get("machines_today")
    throughput = gpus / per_machine
    if stated is None:
        return Fleet(throughput, work.ratio, memory, spare, None)
    spare = np.minimum(spare, np.maximum(stated - 1, 0.0))
    most = np.maximum(stated - spare, 0.0)
    fitting = np.minimum(throughput, most)
    shortfall = bool(np.any(throughput > most + _HAIR) or np.any(memory[0] > stated))
    fits = np.minimum(memory[0], np.maximum(stated, 1.0)), np.minimum(memory[1], np.maximum(stated, 1.0))
    return Fleet(fitting, work.ratio, fits, spare, stated, shortfall)


def fleet_of_bill(ratio: Number, figures: Figures) -> Fleet | None:
    """The machines that a bill pays for, taken to be full at the peak but for the spare ones; None: nobody said how many there are."""
    stated = figures.get("machines_today")
    if stated is None:
        return None
    spare = np.minimum(figures.get("spare_machines", 0.0), stated - 1)
    return Fleet(stated - spare, ratio, (1.0, 1.0), spare, stated)


def held(fleet: Fleet, growth: Floats, ramp: Floats) -> Held:
    """The machines month by month while work grows and moves over to the plan."""
    filled = column(fleet.throughput) * growth
    lighter = filled * (1 - ramp * (1 - column(fleet.ratio)))
    spare = column(fleet.spare)
    before, after = (column(each) for each in fleet.memory)
    without = whole(filled, before, spare)
    with_plan = whole(lighter, np.where(ramp >= 1, after, np.maximum(before, after)), spare)
    owned = without[..., :1] if fleet.stated is None else column(fleet.stated)
    return Held((filled, lighter), (without, with_plan), owned)


def whole(filled: Floats, memory: Floats, spare: Floats) -> Floats:
    """Whole machines: what the peak fills, at least what one copy's memory needs, and the spare ones; none for no work."""
    return np.asarray(np.where(filled > 0, np.maximum(np.ceil(filled - _HAIR), memory) + spare, 0.0))


def machines_of(fleet: Fleet) -> Machines:
    """Before and after at today's volume, with all of the work on the plan."""
    at_once = held(fleet, np.ones(1), np.ones(1))
    needs = [
        MachineNeed(by_throughput=float(filled[0]), by_memory=round(float(memory)) if filled[0] > 0 else 0, whole=round(float(needed[0])))
        for filled, memory, needed in zip(at_once.filled, fleet.memory, at_once.needed, strict=True)
    ]
    ratio = float(np.asarray(fleet.ratio))
    stated = None if fleet.stated is None else round(float(fleet.stated))
    return Machines(today=needs[0], plan=needs[1], stated=stated, headroom=1 / ratio - 1 if ratio > 0 else 0.0)


def _by_memory(evidence: CaseEvidence, work: Requests, figures: Figures) -> tuple[Number, Number]:
    """Machines that one copy needs for its memory, at the measured batch; 1 where memory is not known."""
    peak: Pair | None = None if work.point is None else work.point.peak_memory_bytes
    if peak is None and evidence.serving is not None:
        peak = evidence.serving.weight_bytes
    room = figures.get("gpu_memory_gib")
    if peak is None or room is None:
        return 1.0, 1.0
    space = room * _GIB * figures.get("gpus_per_machine", 1.0)
    return np.maximum(1.0, np.ceil(peak.today / space - _HAIR)), np.maximum(1.0, np.ceil(peak.plan / space - _HAIR))
