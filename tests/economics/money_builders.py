"""Small cases whose money can be worked out by hand: round figures, one stream, no ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.contracts import Assumptions, CaseEvidence, Pair, ServingEvidence, ServingPoint, SliceVolume, TrainingEvidence
from tests.business_builders import make_evidence

PEOPLE = {
    "internal_day": 40_000.0,
    "engineer_days": 10.0,
    "expert_days": 3.0,
    "legal_days": 2.0,
    "run_days_per_month": 1.0,
    "renewal_days": 3.0,
    "renewal_months": 6.0,
}
"""600,000 to begin, 60,000 a month."""
GENERAL = {"horizon_months": 36.0, "discount_rate_percent": 5.0, "rollout_months": 1.0}


def serving(ratio: float = 0.8, *, requests: float = 1_000_000.0, **changes: Any) -> CaseEvidence:
    """One second a request today: 900 ms of reading 100 tokens and 10 tokens written at 10 ms each, one request at a time."""
    point = ServingPoint(
        batch_size=1,
        prompt_tokens=100,
        new_tokens=10,
        prefill_ms=Pair(today=900, plan=900 * ratio),
        decode_ms=Pair(today=10, plan=10 * ratio),
        peak_memory_bytes=Pair(today=60 * 2**30, plan=50 * 2**30),
        prefill_energy_mwh=Pair(today=90, plan=90 * ratio),
    )
    given = {
        "serving": ServingEvidence(points=(point,), weight_bytes=Pair(today=2**30, plan=2**30)),
        "mean_prompt_tokens": 100.0,
        "mean_new_tokens": 10.0,
        "device_name": "NVIDIA H200",
    }
    return make_evidence("serving", **(given | changes))


def training(ratio: float = 0.8, **changes: Any) -> CaseEvidence:
    """Ten hours and 5 kWh a run today."""
    found = TrainingEvidence(
        hours=Pair(today=10, plan=10 * ratio),
        energy_wh=Pair(today=5000, plan=5000 * ratio),
        n_examples=100,
        epochs=3,
        tokens_per_run=1e6,
        n_trained=25,
    )
    return make_evidence("training", **({"training": found} | changes))


def volumes(requests: float = 1_000_000.0, **changes: Any) -> Assumptions:
    """By volume, in the cloud."""
    given = {
        "basis": "volume",
        "place": "cloud",
        "gpu": "h200",
        "starts_on": "2026-12-01",
        "slices": (SliceVolume(name="order entry", requests_per_month=requests),),
    }
    return Assumptions(**(given | changes))


def billed(**changes: Any) -> Assumptions:
    """By the bill, in the cloud."""
    return Assumptions(**({"basis": "bill", "place": "cloud", "starts_on": "2026-12-01"} | changes))


def figures(ratio: float | None = 0.8, **changes: Any) -> Mapping[str, Any]:
    """General figures and people; the plan's share of today's time both in serving and in training."""
    measured = {} if ratio is None else {"measured_request_ratio": ratio, "measured_training_ratio": ratio}
    return GENERAL | PEOPLE | measured | changes
