"""GPU kernels for the two hot paths: reading a block in one launch instead of ten, and each token's Gram matrix.

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
    return state.is_cuda and state.stride(-1) == 1 and _kernels() is not None


MAX_POSITIONS = 128


@dataclass(frozen=True)
class Block:
    """The states of one block, [batch, sequence, d]: before it, two inside (see `Features.of_tokens`), after it."""

    before: Tensor
    first: Tensor
    second: Tensor
    after: Tensor
    parallel: bool


def read_block(block: Block, states: Tensor, squares: Tensor, dots: Tensor, index: int, rows: Tensor, slots: Tensor) -> None:
    """Copies ``after`` into ``states[slots, index + 1]``, its squared norm and the block's inner products beside it.

    Args:
        rows, slots: flat indices of the batch's real tokens, and their places in the buffer.
    """
    width = block.after.shape[-1]
    flat = [tensor.reshape(-1, width) for tensor in (block.before, block.first, block.second, block.after)]
    kernels: Any = _kernels()
    tokens, columns = (8, 128) if width <= 1024 else (1, 4096)  # short rows share a program, long ones have one each
    kernels.read_block_kernel[(-(-len(rows) // tokens),)](
        *flat,
        states,
        squares,
        dots,
        rows,
        slots,
        *(tensor.stride(0) for tensor in flat),
        states.stride(0),
        states.stride(1),
        squares.stride(0),
        dots.stride(0),
        dots.stride(1),
        index,
        width,
        len(rows),
        PARALLEL=block.parallel,
        SAME=block.first is block.second,
        TOKENS=tokens,
        BLOCK=columns,
        num_warps=4 if tokens > 1 else 8,
    )


def token_grams(states: Tensor) -> Tensor:
    """Inner products of each token's states: [T, P, d] -> [T, P, P] float32. Half precision on a GPU only."""
    tokens, positions, width = states.shape
    kernels = _kernels()
    if kernels is None or positions > MAX_POSITIONS or states.stride(-1) != 1:
        return torch.bmm(states, states.mT, out_dtype=torch.float32)
    grams = torch.empty(tokens, positions, positions, dtype=torch.float32, device=states.device)
    kernels.token_gram_kernel[(tokens,)](
        states,
        grams,
        states.stride(0),
        states.stride(1),
        width,
        POSITIONS=positions,
        PADDED=max(16, 1 << (positions - 1).bit_length()),
        BLOCK=64,
        num_warps=4 if positions <= 64 else 8,
    )
    return grams


@cache
def _kernels() -> Any:
    if not torch.cuda.is_available() or importlib.util.find_spec("triton") is None:
        return None
    from analysis.profiling import fused_kernel

    return fused_kernel
