"""Small searches and verifications of the tests' tiny model."""

from __future__ import annotations

from typing import Any

from analysis.contracts import LatencyModel, Plan, Search, Verification
from tests.builders import make_model
from tests.measured_builders import make_search, make_verification


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
