"""Business cases that look real without a model: written by hand, so that pages and reports can be tried without the arithmetic."""

from __future__ import annotations

from typing import Any, Literal

from analysis.contracts import (
    Alternative,
    Assumption,
    Assumptions,
    BreakEven,
    Buckets,
    BusinessCase,
    CaseEvidence,
    CaseResult,
    ChecklistItem,
    CostLine,
    Estimate,
    FiscalLines,
    FiscalYear,
    FlipCount,
    Freeze,
    Message,
    MoneyPair,
    Pair,
    QualityEvidence,
    Rehearsal,
    Rollout,
    ServingEvidence,
    ServingPoint,
    Simulation,
    Skip,
    SliceVolume,
    Spread,
    Stage,
    Standing,
    StartCost,
    Swing,
    TargetBand,
    TrainingEvidence,
    Verdict,
)
from tests.builders import SLICES

EvidenceKind = Literal["training", "serving"]
_VERDICTS: dict[Standing, Verdict | None] = {"measured": "within", "undecided": "undecided", "rough": None, "outside": "outside"}


def make_evidence(kind: EvidenceKind = "training", standing: Standing = "measured", **changes: Any) -> CaseEvidence:
    """What was measured of a plan: a fine-tune that takes 20 % less time, or requests that take 12 % less."""
    training = kind == "training"
    given: dict[str, Any] = {
        "plan_id": "abcdef012345",
        "plan_name": "Freeze for the next fine-tune" if training else "Skip two attentions",
        "model_name": "SmolLM2-135M-Instruct",
        "model_commit": "0123456789abcdef",
        "n_blocks": 30,
        "operations": (Freeze(eof_layer=4),) if training else (Skip(unit="attention", blocks=(19, 26)),),
        "words": Message(id="Layers 0 to {eof} frozen", values={"eof": 4}) if training else Message(id="Attention 19, 26 skipped"),
        "eof_layer": 4 if training else None,
        "origin": "projected" if standing == "rough" else "measured",
        "standing": standing,
        "verdict": None if training else _VERDICTS[standing],
        "verification_id": None if training or standing == "rough" else "verification0001",
        "trial_id": "trial00000000001" if training and standing != "rough" else None,
        "device_name": "" if standing == "rough" else "NVIDIA H200",
        "device_kind": None if standing == "rough" else "gpu",
        "measured_at": "" if standing == "rough" else "2026-11-22T07:07:33+00:00",
        "training": _training(standing) if training else None,
        "serving": None if training else _serving(),
        "quality": _quality(standing),
        "projected_saving": (0.05, 0.25) if standing == "rough" else None,
        "workload_name": "sample",
        "n_prompts": 168,
        "n_judged": 84,
        "n_critical": 21,
        "slices": SLICES,
        "mean_prompt_tokens": 38.0,
        "mean_new_tokens": 14.0,
        "is_sample": True,
    }
    return CaseEvidence(**(given | changes))


def make_assumptions(kind: EvidenceKind = "training", **changes: Any) -> Assumptions:
    """A bill for fine-tuning, or volumes by slice; a few figures with and without a source."""
    values = {
        "horizon_months": Assumption(value=36, low=24, high=60),
        "discount_rate_percent": Assumption(value=5, low=3, high=8),
        "internal_day": Assumption(value=40_000, low=30_000, high=60_000, currency="JPY"),
        "engineer_days": Assumption(value=10, low=7, high=20),
        "bill_training_per_month": Assumption(value=1_200_000, low=900_000, high=1_500_000, currency="JPY"),
        "bill_variable_percent": Assumption(value=70, low=40, high=100),
        "electricity_price_per_kwh": Assumption(
            value=25, low=18, high=32, currency="JPY", source=Message(id="own bill: total yen / total kWh"), as_of="2026-04", sourced=True
        ),
    }
    given: dict[str, Any] = {
        "name": "standard",
        "basis": "bill" if kind == "training" else "volume",
        "gpu": "h200",
        "starts_on": "2026-12-01",
        "values": values,
        "slices": tuple(SliceVolume(name=name, requests_per_month=1500.0, critical=place == 0) for place, name in enumerate(SLICES)),
    }
    return Assumptions(**(given | changes))


def make_case(
    kind: EvidenceKind = "training", standing: Standing = "measured", *, pays: bool = True, rollout: bool = True, **changes: Any
) -> BusinessCase:
    """A case that pays back in five months, or never."""
    given: dict[str, Any] = {
        "id": "case000000000001",
        "name": "standard",
        "evidence": make_evidence(kind, standing),
        "assumptions": make_assumptions(kind),
        "result": make_result(pays),
        "rollout": make_rollout() if rollout else None,
        "created_at": "2026-11-22T09:00:00+00:00",
        "is_sample": True,
    }
    return BusinessCase(**(given | changes))


def make_result(pays: bool = True) -> CaseResult:
    """Today 1,200,000 a month; with the plan 156,000 less, 60,000 of which go to those who watch it."""
    saving, start, months = (156_000.0 if pays else 20_000.0), 600_000.0, 36
    net = saving - 60_000
    cumulative = tuple(-start + net * month for month in range(months + 1))
    payback = start / net if pays else None
    return CaseResult(
        cost=MoneyPair(today=1_200_000, plan=1_200_000 - saving),
        cost_low=1_200_000 - 1.4 * saving,
        cost_high=1_200_000 - 0.6 * saving,
        per_training_run=MoneyPair(today=300_000, plan=300_000 - saving / 4),
        lines=(
            CostLine(line="cloud", area="training", today=1_200_000, plan=1_200_000 - saving),
            CostLine(line="people", area="project", today=0, plan=60_000),
        ),
        buckets=Buckets(cash=saving, avoided=0, freed=0, cash_from="2027-03-01"),
        saving_share=saving / 1_200_000,
        running_per_month=60_000,
        net_per_month=net,
        start=StartCost(total=start, external=0, internal=start, days=15, roles={"engineer": 10, "expert": 3, "legal": 2, "external": 0}),
        payback_months=payback,
        payback_reason=None
        if pays
        else Message(id="At this volume it never pays back; it would from {v} requests a month.", values={"v": "90,000"}),
        total=cumulative[-1],
        npv=0.9 * cumulative[-1],
        irr=1.4 if pays else None,
        irr_reason=None if pays else Message(id="There is no rate at which it breaks even."),
        break_even=BreakEven(kind="bill", value=740_000, today=1_200_000),
        break_even_error_price=9_100,
        cost_of_waiting=max(net, 0),
        cost_of_nothing=1_200_000 * months,
        years=tuple(_year(2026 + place, 4 if place == 0 else 12, saving, net, start if place == 0 else 0) for place in range(3)),
        cumulative=cumulative,
        simulation=make_simulation(cumulative, pays),
        tornado=(
            Swing(
                name="bill_training_per_month",
                low=900_000,
                high=1_500_000,
                npv_low=1.2e6,
                npv_high=3.4e6,
                payback_low=9.1,
                payback_high=4.6,
            ),
            Swing(name="measured_saving", low=0.15, high=0.24, npv_low=1.6e6, npv_high=2.9e6, payback_low=8.0, payback_high=5.0),
            Swing(name="engineer_days", low=7, high=20, npv_low=2.4e6, npv_high=1.9e6, payback_low=5.0, payback_high=10.4),
        ),
        alternatives=(
            Alternative(kind="nothing", origin="assumed", start_cost=0, cost_per_month=1_200_000, note=Message(id="As today.")),
            Alternative(kind="quantise", origin=None, note=Message(id="Not measured.")),
            Alternative(
                kind="plan",
                origin="measured",
                start_cost=start,
                cost_per_month=1_200_000 - net,
                saving_share=0.13,
                payback_months=payback,
                note=Message(id="This plan."),
            ),
        ),
        bands=(
            TargetBand(kind="cost", low=-0.7, high=-0.4, unit="share", own=-0.13, reached=False),
            TargetBand(kind="quality", low=-0.3, high=-0.1, unit="share", own=-0.05, reached=True),
            TargetBand(kind="payback", low=6, high=18, unit="months", own=payback, reached=pays or None),
        ),
    )


def make_simulation(cumulative: tuple[float, ...], pays: bool = True) -> Simulation:
    """A band of a third to either side."""
    return Simulation(
        draws=10_000,
        seed=0,
        payback_share=0.83 if pays else 0.0,
        never_share=0.06 if pays else 1.0,
        net_per_month=Spread(p10=41_000, p50=93_000, p90=150_000),
        saving_share=Spread(p10=0.09, p50=0.13, p90=0.17),
        payback_months=Spread(p10=4.2, p50=6.6, p90=None),
        npv=Spread(p10=-120_000, p50=2.1e6, p90=4.4e6),
        cumulative_p10=tuple(value - 2e4 * month for month, value in enumerate(cumulative)),
        cumulative_p50=cumulative,
        cumulative_p90=tuple(value + 2e4 * month for month, value in enumerate(cumulative)),
    )


def make_rollout(**changes: Any) -> Rollout:
    """Three stages: two quiet slices first, then more, then all."""
    limits = ("perplexity<=+5%", "flips<=10%")
    first = Stage(
        number=1,
        compression=0.15,
        slices=SLICES[1:3],
        traffic=0.2,
        weeks=4,
        exit=("All limits held for 14 days",),
        guardrails=limits,
        stop_rule="a limit is missed on two days in a row",
        owner="A. Sato",
        start_days=15,
    )
    second = Stage(number=2, compression=0.15, slices=SLICES[1:], traffic=0.5, weeks=6, guardrails=limits, owner="A. Sato")
    third = Stage(number=3, compression=0.15, slices=(), traffic=1.0, weeks=8, guardrails=(*limits, "flips@critical<=5%"), owner="A. Sato")
    stages = (first, second, third)
    given: dict[str, Any] = {
        "plan_id": "abcdef012345",
        "plan_name": "Freeze for the next fine-tune",
        "stages": stages,
        "checklist": (ChecklistItem(name="legal", done=True, who="Legal", on="2026-11-20"), ChecklistItem(name="training")),
        "rehearsal": Rehearsal(minutes=12, on="2026-11-20", who="Operations", steps=("Switch the route back", "Watch one request")),
        "roles": {"owner": "A. Sato", "engineer": "B. Ito"},
        "starts_on": "2026-12-01",
        "decision_on": "2026-11-30",
        "review_on": "2027-06-01",
        "guardrails_set_on": "2026-11-20",
    }
    return Rollout(**(given | changes))


def _training(standing: Standing) -> TrainingEvidence:
    kept = {"measured": 0.947, "undecided": None, "rough": None, "outside": 0.62}[standing]
    return TrainingEvidence(
        hours=Pair(today=0.00081, plan=0.00065, ratio_low=0.76, ratio_high=0.85),
        energy_wh=None if standing == "rough" else Pair(today=0.117, plan=0.0905),
        n_examples=67,
        epochs=3,
        tokens_per_run=10_880,
        kept_gain=None if kept is None else Estimate(value=kept, low=kept - 0.02, high=kept + 0.02),
        n_trained=25,
        recommended=standing == "measured",
    )


def _serving() -> ServingEvidence:
    point = ServingPoint(
        batch_size=8,
        prompt_tokens=256,
        new_tokens=32,
        prefill_ms=Pair(today=24.0, plan=21.2, ratio_low=0.86, ratio_high=0.91),
        decode_ms=Pair(today=19.0, plan=16.7, ratio_low=0.85, ratio_high=0.90),
        peak_memory_bytes=Pair(today=2.78e8, plan=2.71e8),
        prefill_energy_mwh=Pair(today=0.91, plan=0.80),
    )
    return ServingEvidence(points=(point,), weight_bytes=Pair(today=2.69e8, plan=2.65e8))


def _quality(standing: Standing) -> QualityEvidence:
    change = {"measured": 0.021, "undecided": 0.043, "rough": 0.06, "outside": 0.49}[standing]
    return QualityEvidence(
        quality_change=Estimate(value=change, low=change - 0.02, high=change + 0.02),
        projected=standing == "rough",
        accuracy_change=None if standing == "rough" else Estimate(value=-0.01, low=-0.05, high=0.03),
        n_answers=0 if standing == "rough" else 28,
        critical=None if standing == "rough" else FlipCount(n=12, changed=0, rate=Estimate(value=0.0, low=0.0, high=0.265), upper=0.221),
        by_slice={name: Estimate(value=change + 0.01 * place, low=change - 0.03, high=change + 0.05) for place, name in enumerate(SLICES)},
    )


def _year(year: int, n_months: int, saving: float, net: float, start: float) -> FiscalYear:
    lines = FiscalLines(start_cost=-start, saving=saving * n_months, running=-(saving - net) * n_months)
    return FiscalYear(year=year, n_months=n_months, cash=lines, profit=lines)
