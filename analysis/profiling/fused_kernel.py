"""The Triton kernel behind `fused`: imported only where a GPU and Triton are there."""

# mypy: ignore-errors
# ruff: noqa: SIM108
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def read_block_kernel(
    before,
    first,
    second,
    after,
    states,
    dots,
    rows,
    slots,
    stride_before,
    stride_first,
    stride_second,
    stride_after,
    states_token,
    states_position,
    dots_token,
    dots_block,
    index,
    width,
    PARALLEL: tl.constexpr,
    SAME: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One program per token: reads four rows of `width`, writes one row of `states` and four numbers of `dots`."""
    token = tl.program_id(0).to(tl.int64)
    row, slot = tl.load(rows + token), tl.load(slots + token)
    d0 = tl.zeros([BLOCK], dtype=tl.float32)
    d1 = tl.zeros([BLOCK], dtype=tl.float32)
    d2 = tl.zeros([BLOCK], dtype=tl.float32)
    d3 = tl.zeros([BLOCK], dtype=tl.float32)
    target = states + slot * states_token + (index + 1) * states_position
    for start in range(0, width, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        inside = columns < width
        y = tl.load(after + row * stride_after + columns, mask=inside, other=0.0)
        tl.store(target + columns, y, mask=inside)
        x = tl.load(before + row * stride_before + columns, mask=inside, other=0.0).to(tl.float32)
        a = tl.load(first + row * stride_first + columns, mask=inside, other=0.0).to(tl.float32)
        d0 += x * a
        d1 += a * a
        if SAME:
            b = a
        else:
            b = tl.load(second + row * stride_second + columns, mask=inside, other=0.0).to(tl.float32)
        if PARALLEL:
            d2 += x * b
        else:
            d2 += y.to(tl.float32) * b
        d3 += b * b
    place = dots + slot * dots_token + index * dots_block
    tl.store(place, tl.sum(d0))
    tl.store(place + 1, tl.sum(d1))
    tl.store(place + 2, tl.sum(d2))
    tl.store(place + 3, tl.sum(d3))
