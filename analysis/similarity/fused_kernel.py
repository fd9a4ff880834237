"""The Triton kernels behind `similarity.fused`: imported only where a GPU and Triton are there."""

# mypy: ignore-errors
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def row_sums_kernel(grams, counted, sums, n, M: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """Sums of the counted off-diagonal entries of ROWS rows of one matrix."""
    matrix = tl.program_id(0).to(tl.int64)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)
    flags = counted + (matrix // n) * M
    keep_row = tl.load(flags + row, mask=row < M, other=0) != 0
    keep = keep_row[:, None] & (tl.load(flags + column, mask=column < M, other=0) != 0)[None, :] & (row[:, None] != column[None, :])
    entries = tl.load(grams + matrix * M * M + row[:, None] * M + column[None, :], mask=keep, other=0.0)
    tl.store(sums + matrix * M + row, tl.sum(entries, axis=1), mask=row < M)


@triton.jit
def centre_kernel(grams, counted, shift, out, n, M: tl.constexpr, PARTS: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """Writes ROWS centred rows of one matrix to where their part stands: out[minibatch, part, n, row in part, column]."""
    matrix = tl.program_id(0).to(tl.int64)
    minibatch, which = matrix // n, matrix % n
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)
    flags = counted + minibatch * M
    keep_row = tl.load(flags + row, mask=row < M, other=0) != 0
    keep = keep_row[:, None] & (tl.load(flags + column, mask=column < M, other=0) != 0)[None, :] & (row[:, None] != column[None, :])
    entries = tl.load(grams + matrix * M * M + row[:, None] * M + column[None, :], mask=keep, other=0.0)
    of_row = tl.load(shift + matrix * M + row, mask=row < M, other=0.0)
    of_column = tl.load(shift + matrix * M + column, mask=column < M, other=0.0)
    centred = tl.where(keep, entries - of_row[:, None] - of_column[None, :], 0.0)
    height: tl.constexpr = M // PARTS
    place = (((minibatch * PARTS + row // height) * n + which) * height + row % height) * M
    tl.store(out + place[:, None] + column[None, :], centred, mask=(row < M)[:, None] & (column < M)[None, :])
