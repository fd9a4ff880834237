"""What holds whatever the figures are, in every combination of where the cost comes from, where it runs and what the plan changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from analysis.contracts import Assumption, Assumptions, CaseEvidence, Pair
from analysis.economics.break_even import break_even
from analysis.economics.check import check_assumptions
from analysis.economics.defaults import answer
from analysis.economics.figures import base_figures
from analysis.economics.flows import flows
from analysis.economics.measures import cumulative, payback
from analysis.economics.names import FIGURES
from analysis.economics.outcome import Outcome, outcome
from analysis.economics.scenarios import preset
from analysis.economics.simulate import simulate
from analysis.economics.tornado import tornado
from tests.economics.test_oracle import COMBINATIONS, cases

everywhere = pytest.mark.parametrize(("basis", "place", "kind"), COMBINATIONS)
few = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def worked(assumptions: Assumptions, evidence: CaseEvidence) -> Outcome:
    return outcome(assumptions, evidence, base_figures(assumptions, evidence))


def lighter(evidence: CaseEvidence, factor: float) -> CaseEvidence:
    """The plan takes so many times as long, and draws as much less."""

    def less(pair: Pair | None) -> Pair | None:
        return None if pair is None else pair.model_copy(update={"plan": pair.plan * factor})

    if evidence.training is not None:
        changed = {name: less(getattr(evidence.training, name)) for name in ("hours", "energy_wh")}
        return evidence.model_copy(update={"training": evidence.training.model_copy(update=changed)})
    assert evidence.serving is not None
    point = evidence.serving.points[0]
    point = point.model_copy(update={name: less(getattr(point, name)) for name in ("prefill_ms", "decode_ms", "prefill_energy_mwh")})
    return evidence.model_copy(update={"serving": evidence.serving.model_copy(update={"points": (point,)})})


@everywhere
@given(data=st.data())
@few
def test_more_saving_is_never_worth_less_and_never_pays_back_later(basis: str, place: str, kind: str, data: Any) -> None:
    """Whole machines too. On own machines that are bought it is told of cash before tax: a purchase put off is written off later, so that
    tax comes earlier; and capacity that is counted goes on being worth its depreciation, while a machine that is not bought saves its
    price once."""
    assumptions, evidence = data.draw(cases(basis, place, kind))
    factor = data.draw(st.floats(0.3, 1.0))
    if (basis, place, kind) == ("volume", "own", "serving"):
        assumptions = assumptions.model_copy(update={"after_tax": False, "count_capacity": False})
    found = [flows(assumptions, each, base_figures(assumptions, each)) for each in (evidence, lighter(evidence, factor))]
    before, after = (cumulative(each.start, each.net) for each in found)
    hair = 1e-8 * (1 + found[0].today.sum())  # a machine over-full by less than that is full
    assert (after >= before - hair).all()
    horizon = base_figures(assumptions, evidence)["horizon_months"]
    first, second = (float(payback(each.start, each.net, horizon)) for each in found)
    assert np.isnan(first) or second <= first + 1e-6 * (1 + first)


@everywhere
@given(data=st.data(), name=st.sampled_from(["run_days_per_month", "renewal_days", "engineer_days", "other_start_cost"]))
@few
def test_a_higher_cost_never_helps(basis: str, place: str, kind: str, data: Any, name: str) -> None:
    assumptions, evidence = data.draw(cases(basis, place, kind))
    less, more = (worked(each, evidence) for each in (assumptions, answer(assumptions, name, assumptions.values[name].value * 1.5 + 1)))
    assert more.npv <= less.npv + 1e-9 * (1 + abs(less.npv))
    assert more.payback >= less.payback - 1e-6 * (1 + min(float(less.payback), 1e3))


@everywhere
@given(data=st.data())
@few
def test_every_end_of_the_tornado_is_the_case_with_that_figure(basis: str, place: str, kind: str, data: Any) -> None:
    assumptions, evidence = data.draw(with_ranges(basis, place, kind))
    for swing in tornado(assumptions, evidence):
        if swing.name not in FIGURES:
            continue  # measured: the oracle's ratios have no interval
        for end, worth, months in ((swing.low, swing.npv_low, swing.payback_low), (swing.high, swing.npv_high, swing.payback_high)):
            alone = assumptions.model_copy(update={"values": {**assumptions.values, swing.name: Assumption(value=end)}})
            found = worked(alone, evidence)
            assert float(found.npv) == pytest.approx(worth, rel=1e-7, abs=1e-5)
            assert float(found.payback) == pytest.approx(np.inf if months is None else months, rel=1e-5, abs=1e-5)


@st.composite
def with_ranges(draw: Any, basis: str, place: str, kind: str) -> tuple[Assumptions, CaseEvidence]:
    """A case some of whose figures have a range."""
    assumptions, evidence = draw(cases(basis, place, kind))
    values = dict(assumptions.values)
    for name in draw(st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=5, unique=True)):
        value, (lowest, highest) = values[name].value, FIGURES[name].limits("JPY")
        low, high = max(lowest, 0.5 * value), min(highest, 1.7 * value + 1)
        if FIGURES[name].whole:
            low, high = max(lowest, float(np.floor(low))), float(np.floor(high))
        values[name] = Assumption(value=value, low=min(low, value), high=max(high, value))
    assumptions = assumptions.model_copy(update={"values": values})
    assert check_assumptions(assumptions, evidence) == ()
    return assumptions, evidence


@everywhere
@given(data=st.data())
@few
def test_cautious_is_never_better_than_standard_nor_bold_worse(basis: str, place: str, kind: str, data: Any) -> None:
    assumptions, evidence = data.draw(with_ranges(basis, place, kind))
    presets = [preset(assumptions, evidence, which) for which in ("cautious", "standard", "bold")]  # type: ignore[arg-type]
    assert all(check_assumptions(each, evidence) == () for each in presets)
    cautious, standard, bold = (float(worked(each, evidence).npv) for each in presets)
    hair = 1e-9 * (1 + abs(standard))
    assert cautious - hair <= standard <= bold + hair


@everywhere
@given(data=st.data())
@few
def test_without_ranges_every_draw_is_the_case_itself_wherever_it_runs(basis: str, place: str, kind: str, data: Any) -> None:
    assumptions, evidence = data.draw(cases(basis, place, kind))
    found, drawn = worked(assumptions, evidence), simulate(assumptions, evidence, draws=7)
    assert drawn.npv.p10 == drawn.npv.p90 == pytest.approx(float(found.npv), rel=1e-9, abs=1e-6)
    assert drawn.net_per_month.p50 == pytest.approx(float(found.net_per_month), rel=1e-9, abs=1e-6)
    assert drawn.payback_share == float(found.pays_back)


@everywhere
@given(data=st.data())
@settings(few, max_examples=2)
def test_at_its_own_break_even_a_case_breaks_even(basis: str, place: str, kind: str, data: Any) -> None:
    assumptions, evidence = data.draw(cases(basis, place, kind))
    found = break_even(assumptions, evidence)
    assume(found.value and (basis == "volume" or "error_share_percent" in assumptions.values or not evidence.quality.accuracy_change))
    assert found.value is not None
    then = worked(at(assumptions, found.value / found.today, found.kind), evidence)
    assert then.payback <= then.horizon + 1e-5


def at(assumptions: Assumptions, scale: float, kind: str) -> Assumptions:
    """So many times the work: requests, runs, or the bill with the machines and the errors behind it."""
    values = dict(assumptions.values)
    if kind == "requests":
        values.pop("machines_today", None)
        slices = tuple(one.model_copy(update={"requests_per_month": one.requests_per_month * scale}) for one in assumptions.slices)
        return assumptions.model_copy(update={"slices": slices, "values": values})
    names = ("training_runs_per_month",) if kind == "runs" else ("bill_serving_per_month", "bill_training_per_month", "error_share_percent")
    values |= {name: Assumption(value=values[name].value * scale) for name in names if name in values}
    if kind == "bill" and "machines_today" in values:
        values["machines_today"] = Assumption(value=max(1.0, float(np.rint(values["machines_today"].value * scale))))
    return assumptions.model_copy(update={"values": values})
