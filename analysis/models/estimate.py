"""How much memory a profile will take, worked out from a model's anatomy before anything is loaded. Free of torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis.contracts import ModelInfo, ProfileSettings

_WIDTH = {"float32": 4, "bfloat16": 2, "float16": 2}
CPU_UNIT = 1024
CPU_BATCH = 512
GPU_UNITS = (2048, 32768)
GPU_WORK = 4.4e12
"""Parameters x tokens that keep a large GPU busy for some 15 ms: 32,768 tokens of a 135 M model, 2,048 of a 7 B one."""
GPU_SHARE = 0.05
_MARGIN_BYTES = 64 * 2**20
"""Accumulators, Gram matrices and the allocator's rounding."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on the device: the weights, what profiling holds beside them, and both."""

    weight_bytes: int
    profile_bytes: int

    @property
    def total_bytes(self) -> int:
        """All that must fit."""
        return self.weight_bytes + self.profile_bytes


def estimate_memory(info: ModelInfo, settings: ProfileSettings, *, device: str | None = None) -> MemoryEstimate:
    """The memory a profile with these settings needs.

    Args:
        info: the model's anatomy, from its card or from a run.
        settings: the profile's settings.
        device: the device it will run on when the settings say ``auto``; None: a CPU, which needs most.
    """
    chosen = settings.device if settings.device != "auto" else device or "cpu"
    on_cpu = chosen.startswith("cpu")
    width = run_width(info, settings, on_cpu=on_cpu)
    per_token = (info.stack(settings.stack).n_blocks + 1) * info.hidden_size * width
    unit = settings.unit_tokens or unit_tokens(info, per_token, on_cpu=on_cpu)
    batch = max(settings.batch_tokens or batch_tokens(unit, on_cpu=on_cpu), settings.max_tokens)
    return MemoryEstimate(weights_bytes(info, width), unit * per_token + batch * _bytes_per_token(info, settings, width) + _MARGIN_BYTES)


def longest_prompt(info: ModelInfo, max_tokens: int) -> int:
    """The longest prompt in tokens that a run takes: as asked for, or the model's own context where that is shorter."""
    return min(max_tokens, info.max_context_tokens or max_tokens)


def unit_tokens(info: ModelInfo, bytes_per_token: int, *, on_cpu: bool, device_bytes: float = math.inf) -> int:
    """Tokens in the pair buffer: enough to keep a GPU busy, few enough to leave its memory alone; a power of two.

    On a CPU 1,024, so that progress keeps moving.

    Args:
        info: the model's anatomy.
        bytes_per_token: of the buffer: positions x width x bytes of a number.
        on_cpu: whether it runs on a CPU.
        device_bytes: memory of the GPU, of which the buffer takes a twentieth at most.
    """
    if on_cpu:
        return CPU_UNIT
    smallest, largest = GPU_UNITS
    fitting = max(256.0, GPU_SHARE * device_bytes / bytes_per_token)
    wanted = min(max(smallest, GPU_WORK / max(1, info.n_parameters)), largest)
    return min(1 << round(math.log2(wanted)), 1 << int(math.log2(min(fitting, largest))))


def batch_tokens(unit: int, *, on_cpu: bool) -> int:
    """Padded tokens in a forward batch: all of a unit on a GPU, fewer on a CPU, whose caches are small."""
    return min(unit, CPU_BATCH) if on_cpu else unit


def run_width(info: ModelInfo, settings: ProfileSettings, *, on_cpu: bool) -> int:
    """Bytes of one number while running."""
    if settings.dtype != "auto":
        return _WIDTH[settings.dtype]
    return 4 if on_cpu else _WIDTH.get(info.dtype, 4)


def weights_bytes(info: ModelInfo, width: int) -> int:
    """Bytes of the weights once they are in that width; packed (quantised) ones stay as they are."""
    packed = info.weight_bytes < info.n_parameters * _WIDTH.get(info.dtype, 4)
    return info.weight_bytes if packed else info.n_parameters * width


def _bytes_per_token(info: ModelInfo, settings: ProfileSettings, width: int) -> int:
    """The widest moment of a forward: the stream, its norm and sum, and the MLP's inner states of one block."""
    block = max(info.stack(settings.stack).blocks, key=lambda b: b.mlp.linear_flops_per_token if b.mlp else 0)
    inner = block.mlp.linear_flops_per_token // (2 * info.hidden_size) if block.mlp else 4 * info.hidden_size
    return (8 * info.hidden_size + inner) * width
