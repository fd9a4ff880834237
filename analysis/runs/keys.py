"""When are two requests the same? Told without a model in memory."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from analysis.contracts import ProfileRequest, content_hash
from analysis.models.source import source_label


def request_key(request: ProfileRequest, *, commit: str, workload_hash: str, device: str) -> str:
    """The same for requests that must give the same numbers.

    The batch size and the number of the GPU change speed, never results, and stay out; the kind of device stays in,
    because it decides what `auto` means for everything else.
    """
    settings = request.settings.model_dump(mode="json", exclude={"batch_tokens", "device"})
    read_as = (request.slicing, dict(request.mapping), request.mask_personal_data)
    kind = device.partition(":")[0]
    return content_hash("request", source_label(request.model), commit, workload_hash, read_as, settings, kind, methods_fingerprint())


@cache
def methods_fingerprint() -> str:
    """Changes whenever the code that makes the numbers changes."""
    rooms = (Path(__file__).parents[1] / room for room in ("similarity", "profiling", "workload"))
    digest = hashlib.sha256()
    for path in sorted(path for room in rooms for path in room.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
