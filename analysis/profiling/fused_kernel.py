"""The Triton kernels behind `fused`: imported only where a GPU and Triton are there."""

# mypy: ignore-errors
# ruff: noqa: SIM108
from __future__ import annotations

import triton
import triton.language as tl


# fmt: off
@triton.jit
def read_block_kernel(
    before, first, second, after, states, squares, dots, rows, slots,
    stride_before, stride_first, stride_second, stride_after, states_token, states_position, squares_token, dots_token, dots_block,
    index, width, count, PARALLEL: tl.constexpr, SAME: tl.constexpr, TOKENS: tl.constexpr, BLOCK: tl.constexpr,
):
    # fmt: on
    """One program for TOKENS tokens: reads four rows of `width` each, writes a row of `states`, its square, four `dots`."""
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    real = token < count
    row = tl.load(rows + token, mask=real, other=0)[:, None]
    slot = tl.load(slots + token, mask=real, other=0)
    d0 = tl.zeros([TOKENS, BLOCK], dtype=tl.float32)
    d1 = tl.zeros([TOKENS, BLOCK], dtype=tl.float32)
    d2 = tl.zeros([TOKENS, BLOCK], dtype=tl.float32)
    d3 = tl.zeros([TOKENS, BLOCK], dtype=tl.float32)
    square = tl.zeros([TOKENS, BLOCK], dtype=tl.float32)
    target = states + slot[:, None] * states_token + (index + 1) * states_position
    for start in range(0, width, BLOCK):
        columns = start + tl.arange(0, BLOCK)[None, :]
        inside = real[:, None] & (columns < width)
        y = tl.load(after + row * stride_after + columns, mask=inside, other=0.0)
        x = tl.load(before + row * stride_before + columns, mask=inside, other=0.0).to(tl.float32)
        a = tl.load(first + row * stride_first + columns, mask=inside, other=0.0).to(tl.float32)
        if SAME:
            b = a
        else:
            b = tl.load(second + row * stride_second + columns, mask=inside, other=0.0).to(tl.float32)
        tl.store(target + columns, y, mask=inside)
        y = y.to(tl.float32)
        square += y * y
        d0 += x * a
        d1 += a * a
        if PARALLEL:
            d2 += x * b
        else:
            d2 += y * b
        d3 += b * b
    tl.store(squares + slot * squares_token + index + 1, tl.sum(square, axis=1), mask=real)
    place = dots + slot * dots_token + index * dots_block
    tl.store(place, tl.sum(d0, axis=1), mask=real)
    tl.store(place + 1, tl.sum(d1, axis=1), mask=real)
    tl.store(place + 2, tl.sum(d2, axis=1), mask=real)
    tl.store(place + 3, tl.sum(d3, axis=1), mask=real)


@triton.jit
def token_gram_kernel(
    states, grams, states_token, states_position, width, POSITIONS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr
):
    """One program per token: all inner products of its states, in float32; positions are padded to a power of two."""
    token = tl.program_id(0).to(tl.int64)
    position = tl.arange(0, PADDED)
    real = position < POSITIONS
    first = states + token * states_token + position[:, None] * states_position
    total = tl.zeros([PADDED, PADDED], dtype=tl.float32)
    for start in range(0, width, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        tile = tl.load(first + columns[None, :], mask=real[:, None] & (columns < width)[None, :], other=0.0)
        total = tl.dot(tile, tl.trans(tile), total)
    place = grams + token * POSITIONS * POSITIONS + position[:, None] * POSITIONS + position[None, :]
    tl.store(place, total, mask=real[:, None] & real[None, :])
