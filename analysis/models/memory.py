"""How much memory is free on a device."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from analysis.errors import ResourceError


def available_bytes(device: torch.device) -> int | None:
    """Bytes that can still be taken on the device; None when the system does not say."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def require(n_bytes: int, device: torch.device, *, model: str) -> None:
    """Refuses to start loading what cannot fit.

    Raises:
        ResourceError: the weights alone are larger than what is free.
    """
    free = available_bytes(device)
    if free is not None and n_bytes > free:
        raise ResourceError(
            "{model} needs {needed} GiB on {device}, where {free} GiB are free. Choose bfloat16, another device or a "
            "smaller model, or end other programs.",
            model=model,
            needed=round(n_bytes / 2**30, 1),
            free=round(free / 2**30, 1),
            device=str(device),
        )
