"""Small searches, verifications, traces and trials of the tests' tiny models."""

from __future__ import annotations

from typing import Any

from analysis.contracts import LatencyModel, Plan, Search, Semantics, StepModel, StepPoint, TrainingShape, Trial, Verification
from tests.builders import make_model
from tests.measured_builders import make_search, make_verification
from tests.trained_builders import make_freeze_plan, make_semantics, make_trial


def a_search(content_key: str = "5ea7c4" + "0" * 10, **changes: Any) -> Search:
    """A search over a model of eight layers."""
    return make_search(8, model=make_model(8), most=2, id=content_key, **changes)


def a_verification(plan: Plan | None = None, **changes: Any) -> Verification:
    """A verification, of that plan if one is given."""
    return make_verification(plan, **changes)


def a_latency_model(**changes: Any) -> LatencyModel:
    """Times of a model on a device."""
    fields: dict[str, Any] = {
        "model_commit": "c" * 40,
        "stack": "decoder",
        "device": "cpu",
        "device_name": "a processor",
        "dtype": "float32",
        "n_blocks": 2,
        "shapes": (),
        "points": (),
        "measured_at": "2026-01-01T00:00:00+00:00",
    }
    return LatencyModel(**(fields | changes))


N_BLOCKS = 8


def a_freeze_plan(eof_layer: int = 4, **changes: Any) -> Plan:
    """A plan that freezes layers 0 to `eof_layer` of a model of eight."""
    return make_freeze_plan(eof_layer, n_blocks=N_BLOCKS, **changes)


def a_trial(plan: Plan | None = None, **changes: Any) -> Trial:
    """A trial, of that plan if one is given."""
    plan = plan or a_freeze_plan()
    assert plan.eof_layer is not None
    return make_trial(plan.eof_layer, n_blocks=N_BLOCKS, plan=plan, **changes)


def some_traces(content_key: str = "7aace5" + "0" * 10, **changes: Any) -> Semantics:
    """Traces of a model of eight layers."""
    return make_semantics(N_BLOCKS, n_examples=12, id=content_key, **changes)


def a_step_model(**changes: Any) -> StepModel:
    """How long a training step takes on a device."""
    fields: dict[str, Any] = {
        "model_commit": "c" * 40,
        "stack": "decoder",
        "device": "cpu",
        "device_name": "a processor",
        "shape": TrainingShape(),
        "n_blocks": N_BLOCKS,
        "fixed_ms": 5.0,
        "frozen_block_ms": 1.0,
        "trained_block_ms": 3.0,
        "points": (StepPoint(eof_layer=-1, p50_ms=29.0, p95_ms=30.0, repeats=5),),
        "measured_at": "2026-01-01T00:00:00+00:00",
    }
    return StepModel(**(fields | changes))
