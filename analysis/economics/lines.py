"""Costs line by line, and by the unit: a request, a million tokens, a fine-tune, GPU hours, kWh. Means over the months of full use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from analysis.contracts.case import Area, CostLine, CostLineName, MoneyPair
from analysis.economics.energy import request_kwh, run_kwh
from analysis.economics.flows import Flows
from analysis.economics.load import HOURS_PER_MONTH, Floats, Number
from analysis.economics.machines import fleet_of_volume, held
from analysis.economics.measures import mean
from analysis.economics.streams import Stream, request_hours, run_hours

_ORDER: tuple[CostLineName, ...] = ("gpu_hours", "electricity", "cloud", "maintenance", "people", "quality")


@dataclass(frozen=True)
class FullUse:
    """One case's months and the weights of those of full use."""

    flows: Flows
    weights: Floats

    def mean(self, values: Number) -> float:
        """A month of full use, on average."""
        return float(mean(values, self.weights))

    def plan(self, stream: Stream) -> float:
        """What a stream costs with the plan: freed capacity lowers it only where it counts."""
        counted = stream.today - stream.cash - stream.avoided
        return self.mean(counted - stream.freed if self.flows.setting.assumptions.count_capacity else counted)


def cost_lines(use: FullUse) -> tuple[CostLine, ...]:
    """Every line of both areas, then people and errors."""
    found: dict[tuple[Area, CostLineName], MoneyPair] = {}
    for stream in use.flows.streams:
        before = found.get((stream.area, stream.line), MoneyPair(today=0.0, plan=0.0))
        pair = MoneyPair(today=before.today + use.mean(stream.today), plan=before.plan + use.plan(stream))
        found[stream.area, stream.line] = pair
    lines = [CostLine(line=line, area=area, today=pair.today, plan=pair.plan) for (area, line), pair in found.items()]
    lines.sort(key=lambda one: (one.area, _ORDER.index(one.line)))
    return (*lines, *_project_lines(use))


def _project_lines(use: FullUse) -> Iterator[CostLine]:
    yield CostLine(line="people", area="project", today=0.0, plan=float(use.flows.running))
    if use.flows.quality.any():
        yield CostLine(line="quality", area="serving", today=0.0, plan=use.mean(use.flows.quality))


def cost_of(lines: tuple[CostLine, ...], area: Area | None = None) -> MoneyPair:
    """What the plan touches, of one area or of both; people and errors are told apart from it."""
    chosen = [one for one in lines if one.line not in ("people", "quality") and area in (None, one.area)]
    return MoneyPair(today=sum(one.today for one in chosen), plan=sum(one.plan for one in chosen))


def per_request(use: FullUse, lines: tuple[CostLine, ...]) -> MoneyPair | None:
    """Of serving; None: no volume, or serving is not priced."""
    number = use.flows.setting.work.number * use.mean(use.flows.growth)
    return _each(cost_of(lines, "serving"), number) if any(one.area == "serving" for one in lines) else None


def per_million_tokens(use: FullUse, lines: tuple[CostLine, ...]) -> MoneyPair | None:
    """Of serving, tokens read and written alike."""
    each, tokens = per_request(use, lines), use.flows.setting.work.tokens
    return None if each is None else _each(each, tokens / 1e6)


def per_training_run(use: FullUse, lines: tuple[CostLine, ...]) -> MoneyPair | None:
    """Of fine-tuning; None: no runs, or fine-tuning is not priced."""
    if not any(one.area == "training" for one in lines):
        return None
    return _each(cost_of(lines, "training"), float(use.flows.setting.runs.number) * use.mean(use.flows.growth))


def gpu_hours(use: FullUse) -> MoneyPair | None:
    """GPU hours a month: paid ones in the cloud, those of whole machines elsewhere; None: the bill does not tell."""
    setting = use.flows.setting
    if setting.assumptions.basis == "bill":
        return None
    today, plan = 0.0, 0.0
    if setting.runs.hours is not None:
        hours = float(run_hours(setting.runs))
        today = hours * use.mean(setting.growth)
        plan = today - hours * use.mean(setting.saved(setting.runs.ratio))
    fleet = None if setting.assumptions.place == "cloud" else fleet_of_volume(setting.evidence, setting.work, setting.figures)
    if fleet is not None:
        there, each = held(fleet, setting.growth, setting.ramp), float(setting.figures.get("gpus_per_machine", 1.0)) * HOURS_PER_MONTH
        fewer = there.released + there.added[0] - there.added[1]
        today, plan = today + use.mean(there.running) * each, plan + use.mean(there.running - fewer) * each
    elif setting.work.seconds is not None and setting.work.number:
        hours = float(request_hours(setting.work, setting.figures))
        before = hours * use.mean(setting.growth)
        today, plan = today + before, plan + before - hours * use.mean(setting.saved(setting.work.ratio))
    return MoneyPair(today=today, plan=plan) if today else None


def answer_ms(use: FullUse) -> MoneyPair | None:
    """From a request to its whole answer; None: not measured."""
    work = use.flows.setting.work
    if work.answer_ms is None:
        return None
    today = float(work.answer_ms)
    return MoneyPair(today=today, plan=today * float(work.ratio))


def energy_kwh(use: FullUse) -> MoneyPair | None:
    """kWh a month of what is priced by its volume; None: not measured, and no power is known."""
    setting = use.flows.setting
    found = []
    if setting.work.number:
        found.append(request_kwh(setting.assumptions, setting.evidence, setting.figures, setting.work))
    if setting.assumptions.basis == "volume":
        found.append(run_kwh(setting.assumptions, setting.evidence, setting.figures, setting.runs))
    known = [one for one in found if one is not None]
    if not known:
        return None
    today, plan = (sum(float(one[side]) for one in known) for side in (0, 1))
    growth, moved = use.mean(use.flows.growth), use.mean(use.flows.growth * use.flows.ramp)
    return MoneyPair(today=today * growth, plan=today * growth - (today - plan) * moved)


def times(pair: MoneyPair | None, factor: float | None) -> MoneyPair | None:
    """Both sides times a factor; None: either is not known."""
    return None if pair is None or factor is None else MoneyPair(today=pair.today * factor, plan=pair.plan * factor)


def _each(pair: MoneyPair, number: float) -> MoneyPair | None:
    return MoneyPair(today=pair.today / number, plan=pair.plan / number) if number else None
