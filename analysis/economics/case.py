"""One plan's worth: from what was measured and what a person assumed to money, and what is said about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from typing import Any

import numpy as np

from analysis import __version__
from analysis.contracts.base import content_hash
from analysis.contracts.business import Assumptions, CaseEvidence
from analysis.contracts.case import Buckets, BusinessCase, CaseResult, MoneyPair, Purchase, Simulation, StageMoney, StartCost
from analysis.contracts.rollout import Rollout
from analysis.economics.alternatives import PlanFigures, alternatives
from analysis.economics.bands import bands
from analysis.economics.books import books, fiscal_years
from analysis.economics.break_even import break_even
from analysis.economics.case_words import fleet_of, later_than_said, no_irr, no_payback, notes_of
from analysis.economics.check import check_assumptions
from analysis.economics.dates import add_months
from analysis.economics.defaults import unsourced
from analysis.economics.figures import base_figures
from analysis.economics.flows import MONTHS, Flows, error_prices, flows, own_days, paid_to_others
from analysis.economics.lines import (
    FullUse,
    answer_ms,
    cost_lines,
    cost_of,
    energy_kwh,
    gpu_hours,
    per_million_tokens,
    per_request,
    per_training_run,
    times,
)
from analysis.economics.load import scalar
from analysis.economics.machines import machines_of
from analysis.economics.measures import cumulative, full_use, npv, payback, rates_of_return, total
from analysis.economics.simulate import DRAWS, simulate
from analysis.economics.stage_money import FullUse as StageUse
from analysis.economics.stage_money import stage_money
from analysis.economics.streams import first_day
from analysis.economics.tornado import tornado
from analysis.errors import InputError

_TINY = 1e-100
"""Below this nothing is divided by."""
_LARGEST_RATE = 100.0
"""A yearly rate of return, as a share, above which it tells nothing."""


def make_case(
    evidence: CaseEvidence,
    assumptions: Assumptions,
    *,
    name: str = "",
    rollout: Rollout | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> BusinessCase:
    """A business case, with everything that follows from its evidence and assumptions.

    Args:
        evidence: see `evidence_of`.
        assumptions: see `default_assumptions`.
        name: as shown in a list; empty: the assumptions' own.
        rollout: the stages, whose money is told apart.
        draws, seed: of the simulation.

    Raises:
        InputError: an assumption is missing or cannot be used; the first of `check_assumptions`.
    """
    return BusinessCase(
        id=content_hash("case", evidence, assumptions)[:16],
        name=name or assumptions.name,
        evidence=evidence,
        assumptions=assumptions,
        result=result_of(evidence, assumptions, draws=draws, seed=seed, rollout=rollout),
        rollout=rollout,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"strata": __version__, "numpy": version("numpy")},
        is_sample=evidence.is_sample,
    )


def result_of(
    evidence: CaseEvidence,
    assumptions: Assumptions,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    rollout: Rollout | None = None,
) -> CaseResult:
    """What follows from evidence and assumptions.

    Raises:
        InputError: see `make_case`.
    """
    for problem in check_assumptions(assumptions, evidence):
        raise InputError.from_message(problem.message)
    figures = base_figures(assumptions, evidence)
    found = flows(assumptions, evidence, figures)
    use = FullUse(found, full_use(figures.get("rollout_months", 1.0), figures["horizon_months"], MONTHS))
    simulated = simulate(assumptions, evidence, draws=draws, seed=seed)
    start = start_of(found)
    known = _costs(use) | _machine_figures(use) | _worth(use, start) | _errors(use) | _over_time(found)
    known |= _uncertain(evidence, assumptions, simulated, known["cost"])
    known["notes"] = (
        *notes_of(use, known["buckets"], known["machines"], unsourced(assumptions, evidence)),
        *later_than_said(known["payback_months"], simulated),
    )
    known["stages"] = _stages(evidence, assumptions, rollout, start, float(found.running))
    return CaseResult(start=start, **known, **_beside_others(evidence, assumptions, start, known))


def start_of(found: Flows) -> StartCost:
    """What it takes to begin."""
    figures = found.setting.figures
    external = float(paid_to_others(figures))
    roles = {name: scalar(figures, f"{name}_days") or 0.0 for name in ("engineer", "expert", "legal", "external")}
    return StartCost(
        total=float(found.start), external=external, internal=float(found.start) - external, days=float(own_days(figures)), roles=roles
    )


def buckets_of(use: FullUse) -> Buckets:
    """The saving a month by what it is worth, and from when less is really paid."""
    found = use.flows
    horizon = _horizon(found)
    paying = np.flatnonzero(found.cash[:horizon] > 0)
    begins = add_months(first_day(found.setting.assumptions), int(paying[0])) if len(paying) else None
    return Buckets(
        cash=use.mean(found.cash),
        avoided=use.mean(found.avoided),
        freed=use.mean(found.freed),
        cash_from=None if begins is None else begins.isoformat(),
        avoided_today=tuple(_purchases(found, 0)),
        avoided_plan=tuple(_purchases(found, 1)),
    )


def _purchases(found: Flows, side: int) -> Iterator[Purchase]:
    """Machines that growth makes necessary within the evaluation period; side 0: without the plan, 1: with it."""
    begins, price = first_day(found.setting.assumptions), scalar(found.setting.figures, "purchase_price") or 0.0
    for stream in found.streams:
        if stream.bought is None:
            continue
        for month, machines in enumerate(islice(stream.bought[side], _horizon(found))):
            if machines > 0:
                at = add_months(begins, month).isoformat()
                yield Purchase(month=month + 1, date=at, machines=round(float(machines)), price=price * float(machines))


def _costs(use: FullUse) -> dict[str, Any]:
    lines = cost_lines(use)
    cost, buckets = cost_of(lines), buckets_of(use)
    saving = use.mean(use.flows.saving)
    return {
        "cost": cost,
        "lines": lines,
        "buckets": buckets,
        "saving_share": saving / cost.today if cost.today else 0.0,
        "per_request": per_request(use, lines),
        "per_million_tokens": per_million_tokens(use, lines),
        "per_training_run": per_training_run(use, lines),
    }


def _machine_figures(use: FullUse) -> dict[str, Any]:
    fleet, energy = fleet_of(use.flows), energy_kwh(use)
    return {
        "machines": None if fleet is None else machines_of(fleet),
        "gpu_hours": gpu_hours(use),
        "answer_ms": answer_ms(use),
        "energy_kwh": energy,
        "co2_kg": times(energy, scalar(use.flows.setting.figures, "co2_kg_per_kwh")),
    }


def _worth(use: FullUse, start: StartCost) -> dict[str, Any]:
    found, figures, horizon = use.flows, use.flows.setting.figures, _horizon(use.flows)
    months, net = float(payback(found.start, found.net, horizon)), use.mean(found.net)
    rates = rates_of_return(start.total, found.net, horizon) if start.total > 0 else ()
    rate = rates[0] if len(rates) == 1 and rates[0] <= _LARGEST_RATE else None
    never = None if np.isfinite(months) else no_payback(use.mean(found.saving), net)
    return {
        "running_per_month": float(found.running),
        "net_per_month": net,
        "payback_months": None if never else months,
        "payback_reason": never,
        "total": float(total(start.total, found.net, horizon)),
        "npv": float(npv(start.total, found.net, figures["discount_rate_percent"], horizon)),
        "irr": rate,
        "irr_reason": None if rate is not None else no_irr(start.total, rates, _LARGEST_RATE),
        "cost_of_waiting": max(0.0, net),
    }


def _errors(use: FullUse) -> dict[str, Any]:
    """Errors that are priced, and how many, or how dear, would eat the saving; None where there is no saving to eat."""
    found = use.flows
    setting = found.setting
    requests = setting.work.number * use.mean(found.growth)
    at_stake = use.mean(found.saving) - float(found.running)
    price = error_prices(setting.assumptions, setting.figures)
    each = float(price) / setting.work.number if price is not None and setting.work.number else None
    priced = price is not None and ({"error_share_percent", "measured_error_percent"} & set(setting.figures))
    return {
        "quality_per_month": use.mean(found.quality) if priced else None,
        "break_even_errors": _quotient(at_stake, each),
        "break_even_error_price": _quotient(1000 * at_stake, requests),
    }


def _quotient(amount: float, per: float | None) -> float | None:
    """The quotient; None: there is nothing to divide, or nothing to divide by that a number could tell."""
    if per is None or per < _TINY or amount <= 0:
        return None
    return amount / per


def _over_time(found: Flows) -> dict[str, Any]:
    setting, horizon = found.setting, _horizon(found)
    kept = books(setting, found.streams, start=found.start, running=found.running, quality=found.quality)
    cash = {"start_cost": -found.start, "saving": found.cash, "avoided": found.avoided, "quality": -found.quality}
    cash |= {"running": -found.running} | ({"freed": found.freed} if setting.assumptions.count_capacity else {})
    return {
        "years": fiscal_years(setting.assumptions, cash, kept, horizon=horizon, tax=found.tax),
        "cumulative": tuple(float(value) for value in cumulative(found.start, found.net[:horizon])),
        "cost_of_nothing": float(found.today[:horizon].sum()),
    }


def _uncertain(evidence: CaseEvidence, assumptions: Assumptions, simulated: Simulation, cost: MoneyPair) -> dict[str, Any]:
    least, most = simulated.saving_share.p10, simulated.saving_share.p90
    return {
        "simulation": simulated,
        "cost_low": None if most is None else cost.today * (1 - most),
        "cost_high": None if least is None else cost.today * (1 - least),
        "tornado": tornado(assumptions, evidence),
        "break_even": break_even(assumptions, evidence),
    }


def _stages(
    evidence: CaseEvidence, assumptions: Assumptions, rollout: Rollout | None, start: StartCost, running: float
) -> tuple[StageMoney, ...]:
    """Each stage's money, as a share of what full use would bring in the same months."""
    if rollout is None:
        return ()
    figures = {**base_figures(assumptions, evidence), "rollout_months": 1.0}
    at_once = flows(assumptions, evidence, figures)
    return stage_money(evidence, assumptions, rollout, StageUse(tuple(float(value) for value in at_once.saving), start, running))


def _beside_others(evidence: CaseEvidence, assumptions: Assumptions, start: StartCost, known: dict[str, Any]) -> dict[str, Any]:
    """What else one could do, and the targets of the brief."""
    cost, months, quality = known["cost"], known["payback_months"], evidence.quality.quality_change
    plan = PlanFigures(
        today=cost.today,
        start_cost=start.total,
        net_per_month=known["net_per_month"],
        payback_months=months,
    )
    return {
        "alternatives": alternatives(assumptions, evidence, plan),
        "bands": bands(
            cost_change=-plan.net_per_month / cost.today if cost.today else None,  # upkeep taken off, as in the headline
            quality_change=None if quality is None else quality.value,
            payback_months=months,
        ),
    }


def _horizon(found: Flows) -> int:
    return min(len(found.net), round(scalar(found.setting.figures, "horizon_months") or MONTHS))
