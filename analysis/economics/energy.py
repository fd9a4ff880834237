"""Electricity: of a request and of a fine-tune, from measured energy where there is any, else from the power of the device."""

from __future__ import annotations

from analysis.contracts.business import Assumptions, CaseEvidence
from analysis.economics.load import Figures, Number, Requests, Runs
from analysis.economics.uses import other_kind


def request_kwh(assumptions: Assumptions, evidence: CaseEvidence, figures: Figures, work: Requests) -> tuple[Number, Number] | None:
    """kWh a month of all requests (today, plan), air conditioning included; None: neither measured nor a power known.

    Measured is the energy of reading a prompt; writing is taken to draw as much a second.
    """
    if work.seconds is None:
        return None
    cooled = _pue(assumptions, figures)
    energy = None if work.point is None or other_kind(assumptions, evidence) else work.point.prefill_energy_mwh
    if energy is None or work.point is None or not work.point.prefill_ms.today or not work.point.prefill_ms.plan:
        return _by_power(work.number * work.seconds / 3600, work.ratio, figures, cooled)
    ms = work.point.prefill_ms
    today = energy.today / 1e6 / ms.today
    plan = energy.plan / 1e6 / ms.plan
    all_ms = work.number * work.seconds * 1000
    return all_ms * today * cooled, all_ms * work.ratio * plan * cooled


def run_kwh(assumptions: Assumptions, evidence: CaseEvidence, figures: Figures, runs: Runs) -> tuple[Number, Number] | None:
    """kWh a month of fine-tuning (today, plan), air conditioning included; None: neither measured nor a power known."""
    if runs.hours is None:
        return None
    hours, cooled = runs.hours * runs.number, _pue(assumptions, figures)
    measured = evidence.training
    if (
        measured is None
        or measured.energy_wh is None
        or not measured.hours.today
        or not measured.hours.plan
        or other_kind(assumptions, evidence)
    ):
        return _by_power(hours, runs.ratio, figures, cooled)
    today, plan = measured.energy_wh.today / measured.hours.today, measured.energy_wh.plan / measured.hours.plan
    return hours * today / 1000 * cooled, hours * runs.ratio * plan / 1000 * cooled


def measured_energy(assumptions: Assumptions, evidence: CaseEvidence, work: Requests, runs: Runs) -> bool:
    """Whether the energy of all that is priced was measured, on a device of the priced kind."""
    of_work = work.point is None or work.point.prefill_energy_mwh is not None
    of_runs = runs.hours is None or (evidence.training is not None and evidence.training.energy_wh is not None)
    return of_work and of_runs and not other_kind(assumptions, evidence)


def _by_power(hours: Number, ratio: Number, figures: Figures, cooled: Number) -> tuple[Number, Number] | None:
    watts = figures.get("gpu_power_watts")
    if watts is None:
        return None
    return hours * watts / 1000 * cooled, hours * ratio * watts / 1000 * cooled


def _pue(assumptions: Assumptions, figures: Figures) -> Number:
    """Air conditioning and the like; rented machines have it in their price."""
    return figures.get("pue", 1.0) if assumptions.place == "own" else 1.0
