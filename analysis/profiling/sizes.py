"""How many tokens to take at a time on a device."""

from __future__ import annotations

import torch

CPU_UNIT = 1024
CPU_BATCH = 512
GPU_UNITS = (2048, 32768)
GPU_WORK = 4.4e12
"""Parameters x tokens that keep a large GPU busy for some 15 ms: 32,768 tokens of a 135 M model, 2,048 of a 7 B one."""
GPU_SHARE = 0.05


def unit_tokens(device: torch.device, bytes_per_token: int, n_parameters: int) -> int:
    """Tokens in the pair buffer: enough to keep the device busy, few enough to leave its memory alone.

    Args:
        bytes_per_token: of the buffer: positions x width x bytes of a number.
    """
    if device.type != "cuda":
        return CPU_UNIT
    fitting = GPU_SHARE * torch.cuda.get_device_properties(device).total_memory / bytes_per_token
    wanted = min(max(GPU_UNITS[0], GPU_WORK / max(1, n_parameters)), GPU_UNITS[1], max(256.0, fitting))
    return 1 << (int(wanted).bit_length() - 1)


def batch_tokens(device: torch.device, unit: int) -> int:
    """Padded tokens in a forward batch: all of a unit on a GPU, fewer on a CPU, whose caches are small."""
    return min(unit, CPU_BATCH) if device.type == "cpu" else unit
