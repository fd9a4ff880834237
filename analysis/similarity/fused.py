"""U-centring of many small Gram matrices in two passes on a GPU; plain torch needs six."""

from __future__ import annotations

import importlib.util
import math
from functools import cache
from typing import Any

import torch
from torch import Tensor

ROWS = 16
MAX_TOKENS = 1024


def usable(grams: Tensor) -> bool:
    """Whether the kernels can read these matrices."""
    return (
        grams.is_cuda
        and grams.dtype == torch.float32
        and grams.is_contiguous()
        and grams.shape[-1] <= MAX_TOKENS
        and _kernels() is not None
    )


def u_centred(grams: Tensor, counted: Tensor) -> Tensor:
    """As `cka._u_centred`: [k, n, m, m] float32 -> [k * parts, n, m * m / parts]."""
    from analysis.similarity.cka import _shift

    k, n, m, _ = grams.shape
    kernels: Any = _kernels()
    flags = counted.to(torch.int8).contiguous()
    grid = (k * n, -(-m // ROWS))
    block = 1 << (m - 1).bit_length()
    sums = torch.empty(k, n, m, dtype=torch.float32, device=grams.device)
    kernels.row_sums_kernel[grid](grams, flags, sums, n, M=m, ROWS=ROWS, BLOCK=block)
    shift = _shift(sums, counted).float()
    parts = math.gcd(m, 8)
    out = torch.empty(k * parts, n, m // parts * m, dtype=torch.float32, device=grams.device)
    kernels.centre_kernel[grid](grams, flags, shift, out, n, M=m, PARTS=parts, ROWS=ROWS, BLOCK=block)
    return out


@cache
def _kernels() -> Any:
    if not torch.cuda.is_available() or importlib.util.find_spec("triton") is None:
        return None
    from analysis.similarity import fused_kernel

    return fused_kernel
