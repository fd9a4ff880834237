"""How many tokens to take at a time on a device."""

from __future__ import annotations

import torch

CPU_UNIT = 1024
CPU_BATCH = 512
GPU_BUFFER_BYTES = 600 * 2**20
GPU_UNITS = (1024, 16384)


def unit_tokens(device: torch.device, n_blocks: int, width: int, dtype: torch.dtype) -> int:
    """Tokens in the pair buffer: about 600 MiB on a GPU, 1,024 on a CPU so that progress keeps moving."""
    if device.type == "cpu":
        return CPU_UNIT
    per_token = (n_blocks + 1) * width * dtype.itemsize
    fitting = GPU_BUFFER_BYTES // per_token
    power = 1 << max(0, int(fitting).bit_length() - 1)
    return max(GPU_UNITS[0], min(GPU_UNITS[1], power))


def batch_tokens(device: torch.device, unit: int) -> int:
    """Padded tokens in a forward batch: all of a unit on a GPU, fewer on a CPU, whose caches are small."""
    return min(unit, CPU_BATCH) if device.type == "cpu" else unit
