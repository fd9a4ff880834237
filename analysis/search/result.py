"""Settings with every "auto" resolved, a search's key, and the finished contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import torch

from analysis.contracts import (
    MeasuredSet,
    Message,
    ModelInfo,
    RankingSettings,
    Search,
    SearchCost,
    SearchSettings,
    Strategy,
    UnitSet,
    content_hash,
)
from analysis.models import estimate
from analysis.models.device import device_name
from analysis.models.origin import versions
from analysis.search.losses import UNTOUCHED, Measurer
from analysis.workload import EncodedWorkload

METHOD_VERSION = "2"
"""Changes when a loss would come out differently from the same settings."""
GPU_TOKENS, CPU_TOKENS = 16_384, 4_096
"""Where nobody says how many calibration tokens to run."""
_SHAPING = ("max_tokens", "max_total_tokens", "dtype", "chat_template", "slices")


def resolve_settings(settings: SearchSettings, model: ModelInfo, device: torch.device, dtype: torch.dtype) -> SearchSettings:
    """The settings with every "auto" and None replaced by what will be done; sizes that follow the device stay open."""
    return settings.model_copy(
        update={
            "stack": model.stack(settings.stack).name,
            "device": str(device),
            "dtype": str(dtype).removeprefix("torch."),
            "max_tokens": estimate.longest_prompt(model, settings.max_tokens),
            "max_total_tokens": most_tokens(settings, device),
        }
    )


def most_tokens(settings: SearchSettings | RankingSettings, device: torch.device) -> int:
    """Calibration tokens that are run at most: as asked, or what a search on the device gets through in minutes."""
    return settings.max_total_tokens or (GPU_TOKENS if device.type == "cuda" else CPU_TOKENS)


def search_key(model: ModelInfo, stack: str | None, workload_hash: str, settings: SearchSettings) -> str:
    """What a search's losses depend on (settings must be resolved): searches with the same key share what they measured."""
    shaping = settings.model_dump(mode="json", include=set(_SHAPING))
    return content_hash(model.commit, model.stack(stack).name, workload_hash, shaping, METHOD_VERSION)[:16]


def assemble_search(
    measurer: Measurer,
    encoded: EncodedWorkload,
    *,
    costs: Mapping[str, SearchCost],
    paths: Mapping[str, Sequence[UnitSet]] | None = None,
    name: str = "",
    earlier: Search | None = None,
    notes: Sequence[Message] = (),
) -> Search:
    """Everything measured so far as a contract; what an earlier search of the same key knows stays in it."""
    all_paths = {**(earlier.paths if earlier else {}), **{name: tuple(path) for name, path in (paths or {}).items()}}
    found = [_with_finders(measured, all_paths) for removed, measured in sorted(measurer.found.items()) if removed != UNTOUCHED]
    untouched = measurer.found.get(UNTOUCHED)
    assert untouched is not None
    info, settings = measurer.loaded.info, measurer.settings
    return Search(
        id=search_key(info, settings.stack, encoded.info.content_hash, settings),
        name=name or (earlier.name if earlier else "") or f"{info.name} · {encoded.info.name}",
        model=info,
        stack=measurer.stack.info.name,
        workload=encoded.info,
        counts=encoded.counts,
        settings=settings,
        objective=measurer.objective,
        base_loss=untouched.loss,
        n_tokens=measurer.n_tokens,
        singles=tuple(measured for measured in found if len(measured.removed) == 1),
        pairs=tuple(measured for measured in found if len(measured.removed) == 2),
        sets=tuple(measured for measured in found if len(measured.removed) > 2),
        paths=all_paths,
        costs={**(earlier.costs if earlier else {}), **costs},
        device_name=device_name(measurer.loaded.device),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        notes=_once((*(earlier.notes if earlier else ()), *measurer.notes, *notes)),
    )


def _with_finders(measured: MeasuredSet, paths: Mapping[str, tuple[UnitSet, ...]]) -> MeasuredSet:
    finders: list[Strategy] = [name for name, path in paths.items() if measured.removed in path]  # type: ignore[misc]
    return measured.model_copy(update={"found_by": tuple(finders)})


def _once(notes: Sequence[Message]) -> tuple[Message, ...]:
    return tuple({note.in_english(): note for note in notes}.values())
