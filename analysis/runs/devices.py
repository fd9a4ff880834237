"""Which devices this machine has, found without torch."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from analysis.errors import ModelError


@dataclass(frozen=True)
class DeviceInfo:
    """A device that can have a worker.

    Attributes:
        id: cpu, cuda:0, mps.
        name: as its maker calls it.
        memory_bytes: its memory; None: not known.
        visible: what CUDA_VISIBLE_DEVICES must say so that a process sees only this device.
    """

    id: str
    name: str
    memory_bytes: int | None = None
    visible: str = ""


@cache
def find_devices() -> tuple[DeviceInfo, ...]:
    """GPUs first, the processor last: the first one is what "auto" means."""
    return (*_nvidia(os.environ.get("CUDA_VISIBLE_DEVICES")), *_apple(), DeviceInfo("cpu", _processor(), _memory()))


def choose_device(text: str, devices: Sequence[DeviceInfo], load: Mapping[str, int]) -> str:
    """The device a job goes to. `auto` and `cuda` take the GPU with the shortest queue (`load`: jobs per device).

    Raises:
        ModelError: this machine has no such device.
    """
    gpus = [device.id for device in devices if device.id.startswith("cuda")]
    if text == "auto":
        return min(gpus, key=lambda gpu: load.get(gpu, 0)) if gpus else devices[0].id
    if text == "cuda" and gpus:
        return min(gpus, key=lambda gpu: load.get(gpu, 0))
    if text in {device.id for device in devices}:
        return text
    raise ModelError(
        "Device {device} is not on this machine; it has {devices}. Choose one of these or auto.",
        device=text[:40],
        devices=tuple(d.id for d in devices),
    )


def worker_environment(device: str, devices: Sequence[DeviceInfo]) -> dict[str, str]:
    """The variables that make a process see only this device (as its first one)."""
    visible = next((found.visible for found in devices if found.id == device), "")
    return {"CUDA_VISIBLE_DEVICES": visible, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def _nvidia(visible: str | None) -> tuple[DeviceInfo, ...]:
    listed = {**(cards := _nvidia_smi()), **{card.visible: card for card in cards.values()}}
    allowed = (
        list(cards) if visible is None else [part.strip() for part in visible.split(",")]
    )  # what this process may not see, no worker may
    chosen = [listed[part] for part in allowed if part in listed]
    return tuple(DeviceInfo(f"cuda:{index}", card.name, card.memory_bytes, card.visible) for index, card in enumerate(chosen))


def _nvidia_smi() -> dict[str, DeviceInfo]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    command = [program, "--query-gpu=index,uuid,memory.total,name", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}  # a driver that does not answer is no GPU
    rows = (re.split(r",\s*", line.strip(), maxsplit=3) for line in said.splitlines() if line.count(",") >= 3)
    return {index: DeviceInfo(index, name, int(memory) * 2**20 if memory.isdigit() else None, uuid) for index, uuid, memory, name in rows}


def _apple() -> tuple[DeviceInfo, ...]:
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return (DeviceInfo("mps", "Apple GPU", _memory()),)
    return ()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return f"{found[1] if found else platform.processor() or platform.machine()}, {os.cpu_count()} threads"


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
