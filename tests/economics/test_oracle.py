"""Complete cases in every combination of where the cost comes from, where it runs and what the plan changes, against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy_financial as npf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.contracts import (
    Assumption,
    Assumptions,
    CaseEvidence,
    Estimate,
    Pair,
    ServingEvidence,
    ServingPoint,
    SliceVolume,
    TrainingEvidence,
)
from analysis.economics.case import result_of
from analysis.economics.check import check_assumptions
from analysis.economics.figures import base_figures
from analysis.economics.flows import flows
from tests.business_builders import make_evidence
from tests.economics.oracle import Case, by_hand

COMBINATIONS = [
    (basis, place, kind) for basis in ("bill", "volume") for place in ("cloud", "reserved", "own") for kind in ("serving", "training")
]


def evidence_with(kind: str, draw: Any) -> CaseEvidence:
    """A plan that answers or trains faster, now and then slower."""
    ratio, other = draw(st.floats(0.3, 1.15)), draw(st.floats(0.3, 1.15))
    lost = draw(st.sampled_from([None, 0.0, 0.02, -0.01]))
    quality = make_evidence("serving").quality.model_copy(update={"accuracy_change": None if lost is None else Estimate(value=-lost)})
    if kind == "training":
        found = TrainingEvidence(
            hours=Pair(today=10, plan=10 * ratio),
            energy_wh=Pair(today=5000, plan=5000 * other),
            n_examples=100,
            epochs=3,
            tokens_per_run=1e6,
            n_trained=25,
        )
        return make_evidence("training", training=found, quality=quality, slices=())
    point = ServingPoint(
        batch_size=draw(st.sampled_from([1, 8])),
        prompt_tokens=100,
        new_tokens=10,
        prefill_ms=Pair(today=900, plan=900 * ratio),
        decode_ms=draw(st.sampled_from([None, Pair(today=10, plan=10 * other)])),
        peak_memory_bytes=draw(st.sampled_from([None, Pair(today=60 * 2**30, plan=50 * 2**30)])),
        prefill_energy_mwh=draw(st.sampled_from([None, Pair(today=90, plan=80)])),
    )
    serving = ServingEvidence(points=(point,), weight_bytes=Pair(today=2**34, plan=2**33))
    return make_evidence("serving", serving=serving, quality=quality, slices=(), mean_prompt_tokens=120.0, mean_new_tokens=8.0)


@st.composite
def cases(draw: Any, basis: str, place: str, kind: str) -> tuple[Assumptions, CaseEvidence]:
    """A checked case without ranges."""
    figure: dict[str, Any] = {
        "horizon_months": st.integers(1, 120),
        "discount_rate_percent": st.floats(0, 30),
        "growth_percent_per_year": st.sampled_from([0.0, 0.0, 5.0, 20.0, 80.0, 300.0, -30.0]),
        "rollout_months": st.sampled_from([0.0, 1.0, 2.5, 6.0, 60.0]),
        "tax_rate_percent": st.floats(0, 60),
        "capitalise_years": st.integers(1, 10),
        "internal_day": st.floats(1000, 90_000),
        "external_day": st.floats(1000, 90_000),
        "engineer_days": st.floats(0, 40),
        "external_days": st.floats(0, 20),
        "other_start_cost": st.sampled_from([0.0, 3e5, 3e7]),
        "run_days_per_month": st.floats(0, 2),
        "renewal_days": st.floats(0, 6),
        "renewal_months": st.floats(1, 12),
        "gpu_price_per_hour": st.floats(50, 3000),
        "utilisation_percent": st.floats(1, 100),
        "peak_factor": st.floats(1, 8),
        "spare_machines": st.integers(0, 3),
        "gpus_per_machine": st.sampled_from([1, 2, 8]),
        "gpu_memory_gib": st.sampled_from([10.0, 24.0, 56.0, 140.0]),
        "gpu_power_watts": st.floats(50, 1000),
        "purchase_price": st.floats(1e5, 5e7),
        "life_years": st.sampled_from([1, 3, 4.5, 5, 20]),
        "maintenance_percent_per_year": st.floats(0, 20),
        "electricity_price_per_kwh": st.floats(1, 60),
        "pue": st.floats(1, 2),
        "training_runs_per_month": st.floats(0.1, 50),
        "training_gpu_hours_per_run": st.floats(0.01, 5000),
        "bill_variable_percent": st.floats(0, 100),
        f"bill_{kind}_per_month": st.floats(1, 1e8),
    }
    values = {name: Assumption(value=float(draw(strategy))) for name, strategy in figure.items()}
    for name, strategy in {
        "machines_today": st.integers(1, 30),
        "error_price": st.floats(0, 1000),
        "error_share_percent": st.floats(0, 3),
        f"bill_{'training' if kind == 'serving' else 'serving'}_per_month": st.floats(1, 1e8),
    }.items():
        if draw(st.booleans()):
            values[name] = Assumption(value=float(draw(strategy)))
    volume = st.floats(1, 1e8) if basis == "volume" and kind == "serving" else st.sampled_from([0.0, 5e5])
    slices = (
        SliceVolume(name="a", requests_per_month=draw(volume)),
        SliceVolume(
            name="b", requests_per_month=draw(volume), prompt_tokens=300, new_tokens=30, error_price=draw(st.sampled_from([None, 50.0]))
        ),
    )
    switches = {name: draw(st.booleans()) for name in ("after_tax", "capitalise", "count_capacity")}
    starts, ends = (
        draw(st.sampled_from(["2026-12-01", "2027-04-01", "2026-11-16"])),
        draw(st.sampled_from(["2026-01-31", "2027-06-15", "2031-03-31"])),
    )
    assumptions = Assumptions(
        basis=basis, place=place, gpu="h200", starts_on=starts, contract_ends_on=ends, fiscal_year_starts=draw(st.sampled_from([1, 4, 12])),
        values=values, slices=slices, **switches,
    )  # fmt: skip
    return assumptions, evidence_with(kind, draw)


def close(value: Any, wanted: Any, scale: float) -> bool:
    """Equal but for rounding beside the money that is moved."""
    return bool(np.allclose(np.asarray(value, dtype=float), np.asarray(wanted, dtype=float), rtol=1e-7, atol=1e-9 * scale))


@pytest.mark.parametrize(("basis", "place", "kind"), COMBINATIONS)
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_every_month_is_what_plain_loops_come_to(basis: str, place: str, kind: str, data: Any) -> None:
    assumptions, evidence = data.draw(cases(basis, place, kind))
    assert check_assumptions(assumptions, evidence) == ()
    found, wanted = flows(assumptions, evidence, base_figures(assumptions, evidence)), by_hand(assumptions, evidence)
    scale = 1 + max(month.today for month in wanted.months)
    assert close(found.start, wanted.start, scale)
    assert close(found.running, wanted.running, scale)
    for name in ("today", "cash", "avoided", "freed", "quality", "tax"):
        assert close(getattr(found, name), [getattr(month, name) for month in wanted.months], scale), name
    assert close(found.net, [wanted.net(month) for month in wanted.months], scale)


@pytest.mark.parametrize(("basis", "place", "kind"), COMBINATIONS)
@given(data=st.data())
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_every_result_is_what_plain_loops_come_to(basis: str, place: str, kind: str, data: Any) -> None:
    assumptions, evidence = data.draw(cases(basis, place, kind))
    found, wanted = result_of(evidence, assumptions, draws=20), by_hand(assumptions, evidence)
    period = wanted.months[: wanted.horizon]
    scale = sum(abs(wanted.net(month)) + month.today for month in wanted.months) + wanted.start + 1
    assert close(found.total, wanted.worth(0.0), scale)
    assert close(found.npv, wanted.worth(wanted.value("discount_rate_percent")), scale)
    assert close(found.cost_of_nothing, sum(month.today for month in period), scale)
    _same_payback(found.payback_months, wanted)
    months = [-wanted.start, *(wanted.net(month) for month in period)]
    if found.irr is not None:
        hair = 1e-8 + 1e-6 * abs(found.irr)
        below, above = (npf.npv((1 + found.irr + each) ** (1 / 12) - 1, months) for each in (-hair, hair))
        assert below * above <= 0
    for in_full, of_year in (("total", "cash"), ("profit", "profit")):
        wanted_sum = wanted.worth(0.0) if in_full == "total" else sum(month.profit - month.tax for month in period)
        assert close(sum(getattr(year, of_year).total for year in found.years), wanted_sum, scale), of_year
    _adds_up(found, assumptions)


def _same_payback(found: float | None, wanted: Case) -> None:
    """Within a hair; a sum that ends within rounding of nought may fall to either side."""
    if found is None or wanted.payback is None:
        money = np.cumsum([-wanted.start, *(wanted.net(month) for month in wanted.months)])
        assert (found is None and wanted.payback is None) or abs(money[1:]).min() <= 1e-6 * (1 + abs(money).max())
        return
    assert found == pytest.approx(wanted.payback, rel=1e-6, abs=1e-6)


def _adds_up(found: Any, assumptions: Assumptions) -> None:
    """Buckets, people and errors are all there is in the net of a month, but for tax."""
    counted = found.buckets.cash + found.buckets.avoided + (found.buckets.freed if assumptions.count_capacity else 0.0)
    beside = found.running_per_month + (found.quality_per_month or 0.0)
    scale = abs(counted) + beside + 1
    assert found.cost.today - found.cost.plan == pytest.approx(counted, abs=1e-6 * (found.cost.today + scale))
    if not assumptions.after_tax:
        assert found.net_per_month == pytest.approx(counted - beside, abs=1e-9 * scale)
    assert found.saving_share == pytest.approx(counted / found.cost.today, abs=1e-9)
