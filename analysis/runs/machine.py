"""Times that were measured on this machine: found again, or measured when there are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from analysis.contracts import DType, LatencyModel, ModelInfo, Progress, SearchRequest
from analysis.planning import parse_amount
from analysis.runs.store import Store, this_host

if TYPE_CHECKING:
    from analysis.models.stack import LoadedModel


def latency_here(store: Store, info: ModelInfo, device: str, dtype: DType, stack: str) -> LatencyModel | None:
    """How long a model takes on a device of this machine; None: not measured here."""
    import torch

    from analysis.models.device import device_name, resolve_device, resolve_dtype

    chosen = resolve_device(device)
    form = str(resolve_dtype(dtype, chosen, getattr(torch, info.dtype))).removeprefix("torch.")
    return store.latencies.model(info.commit, device_name(chosen), host=this_host(), dtype=form, stack=stack)


def measure_here(
    store: Store | None,
    loaded: LoadedModel,
    stack: str | None,
    *,
    batch_sizes: Sequence[int],
    prompt_tokens: Sequence[int],
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> tuple[LatencyModel, str]:
    """Measures how long a model takes and stores it under this machine's name; also the key it is stored by."""
    from analysis.profiling.stream import Watch
    from analysis.verification.latency_points import measure_latency

    found: LatencyModel = measure_latency(
        loaded, batch_sizes=batch_sizes, prompt_tokens=prompt_tokens, stack=stack, watch=Watch(on_progress, should_stop)
    )
    return found, store.latencies.keep(found, this_host()) if store is not None else ""


def limits_latency(request: SearchRequest) -> bool:
    """Whether a search's limit is in time, which cannot be counted without measured times."""
    return bool(request.settings.strategies) and parse_amount(request.settings.limit).kind == "latency_share"
