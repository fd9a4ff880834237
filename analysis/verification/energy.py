"""Energy of a piece of work, where the device can tell: NVIDIA's total energy counter, or Linux' powercap of the processor.

Both count the whole device or processor package, whoever else is working on it, idle power included.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

POWERCAP = Path("/sys/class/powercap")
MILLIJOULES_PER_MWH = 3600.0
SECONDS = 1.0
"""Counters move some ten times a second: work is repeated for about this long."""
MOST_RUNS = 10_000

Meter = Callable[[], float]
"""Millijoules used since some fixed moment."""


def energy_meter(device: torch.device, *, powercap: Path = POWERCAP) -> Meter | None:
    """The device's energy counter; None where it has none that may be read."""
    if device.type == "cuda":
        return _nvidia(device)
    return _processor(powercap) if device.type == "cpu" else None


def energy_mwh(run: Callable[[], object], meter: Meter, *, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> float:
    """Milliwatt-hours of one run, from as many runs as fill `seconds`.

    Args:
        run: does the work once, to its end.
        meter: the counter.
        seconds: how long to go on.
        clock: seconds; another one for tests.
    """
    started, before, runs = clock(), meter(), 0
    while runs == 0 or (clock() - started < seconds and runs < MOST_RUNS):
        run()
        runs += 1
    return max(meter() - before, 0.0) / MILLIJOULES_PER_MWH / runs


def _nvidia(device: torch.device) -> Meter | None:
    """By the card's own id: the numbers of torch and of the driver differ where only some cards are visible."""
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except (nvml.NVMLError, AttributeError, RuntimeError):  # an old card, a part of a card, or a driver that does not say
        return None
    return lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))


def _processor(powercap: Path) -> Meter | None:
    packages = [_Package.read(folder) for folder in sorted(powercap.glob("*-rapl:*")) if folder.name.count(":") == 1]
    told = [package for package in packages if package is not None]
    if not told:
        return None
    return lambda: sum(package.millijoules() for package in told)


class _Package:
    """One processor's counter, which starts over at its end."""

    def __init__(self, counter: Path, end: int, now: int) -> None:
        self._counter, self._end = counter, end
        self._last, self._sum = now, 0

    @classmethod
    def read(cls, folder: Path) -> _Package | None:
        """The package behind a powercap folder; None where it may not be read."""
        try:
            return cls(
                folder / "energy_uj",
                int((folder / "max_energy_range_uj").read_text(encoding="ascii")),
                int((folder / "energy_uj").read_text(encoding="ascii")),
            )
        except (OSError, ValueError):
            return None

    def millijoules(self) -> float:
        """Since it was first read."""
        now = int(self._counter.read_text(encoding="ascii"))
        self._sum += now - self._last if now >= self._last else now - self._last + self._end
        self._last = now
        return self._sum / 1e3
