"""The device and the number format a model runs with."""

from __future__ import annotations

import platform

import torch

from analysis.contracts import DType
from analysis.errors import ModelError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_device(text: str = "auto") -> torch.device:
    """The device a text names: ``auto`` (the best there is), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        ModelError: no such device on this machine.
    """
    if text == "auto":
        return (
            torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("mps" if _has_mps() else "cpu")
        )
    try:
        device = torch.device(text)
    except RuntimeError as exc:
        raise ModelError("{device} is not a device. Use auto, cpu, cuda, cuda:0 or mps.", device=text) from exc
    if not device.index and (device.type == "cpu" or (device.type == "mps" and _has_mps())):
        return torch.device(device.type)
    if device.type == "cuda" and torch.cuda.is_available() and (index := _index(device)) < torch.cuda.device_count():
        return torch.device("cuda", index)
    raise ModelError("This machine has no device {device}. Choose one of {available}.", device=text, available=tuple(available_devices()))


def available_devices() -> list[str]:
    """Every device of this machine by name, fastest kind first."""
    names = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return names + (["mps"] if _has_mps() else []) + ["cpu"]


def device_name(device: torch.device) -> str:
    """What a person calls the device: the GPU's product name, or the processor's."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type == "mps":
        return f"Apple {platform.processor() or 'GPU'}"
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"


def resolve_dtype(dtype: DType, device: torch.device, own: torch.dtype) -> torch.dtype:
    """The number format to load: ``auto`` is float32 on a CPU and the checkpoint's own elsewhere."""
    if dtype != "auto":
        return _DTYPES[dtype]
    return torch.float32 if device.type == "cpu" else own


def dtype_named(name: str | None) -> torch.dtype:
    """The torch dtype of a config's or header's name; float32 for one that is not a plain float."""
    return _DTYPES.get((name or "").removeprefix("torch."), torch.float32)


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index


def _has_mps() -> bool:
    return torch.backends.mps.is_available()
