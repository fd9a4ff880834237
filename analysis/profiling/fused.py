"""One GPU kernel per block instead of ten: copy the block's output and take the inner products of its states.

Used for CUDA tensors where Triton is installed (it comes with torch on Linux); everywhere else `taps.Reader` does the
same with plain torch operations. Both are compared in the tests of machines with a GPU and in the benchmark.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor


def usable(state: Tensor) -> bool:
    """Whether the kernel can read this tensor."""
    return state.is_cuda and state.stride(-1) == 1 and _kernel() is not None


@dataclass(frozen=True)
class Block:
    """The states of one block, [batch, sequence, d]: before it, two inside (see `Features.of_tokens`), after it."""

    before: Tensor
    first: Tensor
    second: Tensor
    after: Tensor
    parallel: bool


def read_block(block: Block, states: Tensor, dots: Tensor, index: int, rows: Tensor, slots: Tensor) -> None:
    """Copies ``after`` into ``states[slots, index + 1]`` and writes the inner products into ``dots[slots, index]``.

    Args:
        rows, slots: flat indices of the batch's real tokens, and their places in the buffer.
    """
    width = block.after.shape[-1]
    flat = [tensor.reshape(-1, width) for tensor in (block.before, block.first, block.second, block.after)]
    kernel: Any = _kernel()
    kernel[(len(rows),)](
        *flat,
        states,
        dots,
        rows,
        slots,
        *(tensor.stride(0) for tensor in flat),
        states.stride(0),
        states.stride(1),
        dots.stride(0),
        dots.stride(1),
        index,
        width,
        PARALLEL=block.parallel,
        SAME=block.first is block.second,
        BLOCK=min(4096, 1 << (width - 1).bit_length()),
        num_warps=4 if width <= 1024 else 8,
    )


@cache
def _kernel() -> Any:
    if not torch.cuda.is_available() or importlib.util.find_spec("triton") is None:
        return None
    from analysis.profiling.fused_kernel import read_block_kernel

    return read_block_kernel
