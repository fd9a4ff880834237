"""From a full buffer to a unit's sums: which tokens count, and what they add up to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from analysis.profiling.features import Features
from analysis.profiling.fused import token_grams
from analysis.profiling.taps import HALF, PairBuffer
from analysis.profiling.units import LAST, N_KINDS, SINK, MinibatchView, Unit
from analysis.similarity.cka import pairwise_hsic
from analysis.similarity.cosine import sink_tokens
from analysis.workload import PROMPT, RESPONSE

PIECE_BYTES = {"cpu": 24 * 2**20, "cuda": 64 * 2**20}
"""Working memory of one step over the buffer; a few temporaries of this size live at once, where the forward pass had
its own. Fewer, larger steps keep a GPU ahead of the Python that feeds it."""


@dataclass(frozen=True)
class UnitSums:
    """What one unit adds. E examples of the unit, kinds: template, prompt, response, sink, last counted token.

    sums: [E, 5, F] float64 sums of the token measures; counts: [E, 5] tokens behind them; kind: [T] of each slot, -1
    where the numbers overflowed. `states(slots)` copies residual states [n, P, d] out of the buffer as the model made
    them; ask before the first call of `minibatches`, which may centre the buffer.
    """

    unit: Unit
    sums: Float[Tensor, "examples kinds columns"]
    counts: Float[Tensor, "examples kinds"]
    n_invalid: Tensor
    minibatches: Callable[[MinibatchView, Sequence[Tensor | None]], list[tuple[Tensor, Tensor]]]
    kind: Tensor
    states: Callable[[Tensor], Tensor]


def measure_unit(unit: Unit, buffer: PairBuffer, features: Features) -> UnitSums:
    """Sums a unit that has just run through the stack. Reads the buffer, which may then be filled again."""
    device = buffer.states.device
    tables = torch.from_numpy(np.stack([unit.slot_example, unit.slot_position, unit.slot_kind, unit.slot_last])).to(
        device, non_blocking=True
    )
    example, position, kind, last = tables
    norms = buffer.squares[: unit.n_tokens].sqrt()
    valid = (norms.isfinite() & (norms > 0)).all(dim=1)
    sink = (position == 0) | _massive(norms, unit, example, position)
    kind = torch.where(valid, torch.where(sink, SINK, kind), -1)
    is_last = (last == 1) & valid & ~sink
    sums, counts = _sum_tokens(unit, buffer, features, example, kind, is_last)
    in_default = (kind == PROMPT) | (kind == RESPONSE)
    untouched = True

    def minibatches(view: MinibatchView, masks: Sequence[Tensor | None]) -> list[tuple[Tensor, Tensor]]:
        nonlocal untouched
        if untouched and buffer.states.dtype not in HALF:
            _centre(buffer, in_default, valid)
        untouched = False
        return _minibatch_hsic(view, buffer, in_default, masks)

    def states(slots: Tensor) -> Tensor:
        assert untouched, "states are asked for before minibatches"
        return buffer.states.index_select(0, slots)

    return UnitSums(unit, sums, counts, (~valid).sum(), minibatches, kind, states)


def _massive(norms: Tensor, unit: Unit, example: Tensor, position: Tensor) -> Bool[Tensor, " tokens"]:
    longest = max(len(one.input_ids) for one in unit.examples)
    padded = norms.new_full((len(unit.examples), longest, norms.shape[1]), torch.nan)
    padded[example, position] = norms
    return sink_tokens(padded)[example, position]


def _sum_tokens(
    unit: Unit, buffer: PairBuffer, features: Features, example: Tensor, kind: Tensor, is_last: Tensor
) -> tuple[Float[Tensor, "examples kinds columns"], Float[Tensor, "examples kinds"]]:
    n_groups = len(unit.examples) * N_KINDS
    group = torch.where(kind >= 0, example * N_KINDS + kind, -1)
    last_group = torch.where(is_last, example * N_KINDS + LAST, -1)
    everyone = torch.arange(n_groups, device=group.device)[:, None]
    sums = torch.zeros(n_groups, features.width, dtype=torch.float64, device=group.device)
    counts = torch.zeros(n_groups, dtype=torch.float64, device=group.device)
    step = max(32, PIECE_BYTES[buffer.states.device.type] // (8 * max(features.width, features.n_positions**2)))
    for start in range(0, unit.n_tokens, step):
        piece = slice(start, min(start + step, unit.n_tokens))
        values = features.of_tokens(_gram(buffer.states[piece]), buffer.dots[piece]).nan_to_num_(0.0)
        member = ((everyone == group[piece]) | (everyone == last_group[piece])).double()
        sums.addmm_(member, values)
        counts += member.sum(1)
    return sums.view(-1, N_KINDS, features.width), counts.view(-1, N_KINDS)


def _gram(states: Float[Tensor, "tokens positions width"]) -> Float[Tensor, "tokens positions positions"]:
    """Inner products: in float64, but half precision on a GPU, whose products are exact in float32."""
    if states.is_cuda and states.dtype in HALF:
        return token_grams(states)
    wide_step = max(1, PIECE_BYTES[states.device.type] // (8 * math.prod(states.shape[1:])))
    if len(states) <= wide_step:
        wide = states.double()
        return wide @ wide.mT
    return torch.cat([_gram(part) for part in torch.split(states, wide_step)])


def _centre(buffer: PairBuffer, counted: Tensor, valid: Tensor) -> None:
    """Takes the counted tokens' mean out of the buffer: CKA does not move, its float32 rounding shrinks."""
    flat = buffer.states[: len(valid)].flatten(1)
    flat.masked_fill_(~valid[:, None], 0.0)
    weights = counted.to(flat.dtype)[None]
    flat.sub_((weights @ flat) / weights.sum().clamp_min(1))


def _minibatch_hsic(
    view: MinibatchView, buffer: PairBuffer, counted: Tensor, masks: Sequence[Tensor | None]
) -> list[tuple[Tensor, Tensor]]:
    """HSIC of all pairs of positions in each minibatch of a view, once for every mask: [(hsic [k, P, P], tokens [k])]."""
    _, n_positions, width = buffer.states.shape
    deal = buffer.states[view.start : view.stop].view(view.size, view.count * n_positions, width).transpose(0, 1)
    step = max(1, PIECE_BYTES[buffer.states.device.type] // (4 * n_positions * view.size**2))
    allowed = [_dealt(view, counted if mask is None else counted & mask) for mask in masks]
    found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in masks]
    for start in range(0, view.count, step):
        rows = deal[start * n_positions : (start + step) * n_positions]
        grams = _product(rows).view(-1, n_positions, view.size, view.size)
        for index, mask in enumerate(allowed):
            found[index].append(pairwise_hsic(grams, mask[start : start + step]))
    return [(torch.cat([hsic for hsic, _ in parts]), torch.cat([size for _, size in parts])) for parts in found]


def _dealt(view: MinibatchView, counted: Bool[Tensor, " tokens"]) -> Bool[Tensor, "minibatches m"]:
    """Which rows of each minibatch count: the view's own tokens that are not masked."""
    flags = counted.new_zeros(view.count * view.size)
    own = counted[view.start : view.start + view.n_tokens]
    flags[: len(own)] = own
    return flags.view(view.size, view.count).T


def to_device(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """An array on the device, without making the CPU wait for it."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _product(rows: Float[Tensor, "n tokens width"]) -> Float[Tensor, "n tokens tokens"]:
    if rows.is_cuda and rows.dtype in HALF:
        return torch.bmm(rows, rows.mT, out_dtype=torch.float32)
    rows = rows.float() if rows.dtype in HALF else rows
    return torch.bmm(rows, rows.mT)
