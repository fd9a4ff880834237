"""What each block does to the stream that nothing more is taken out of, seen while that stream passes by.

The same measures as a profile's: Block Influence, and the angle between what enters and what leaves, over the tokens of
prompt and response without sinks (the first token of a text, and massive states).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from analysis.contracts import Unit, UnitRef
from analysis.models.stack import Stack, SubBlockTaps, Tap
from analysis.profiling.taps import first_tensor
from analysis.search.travel import GONE, RUN, Decisions, hooked
from analysis.similarity.angular import angles_from_cosines
from analysis.similarity.cosine import cosines, sink_tokens

Floats = npt.NDArray[np.float64]


@dataclass(eq=False)
class Passing:
    """Watches one set pass through one batch; see `travel.Onlooker`.

    Args:
        stack: the blocks.
        decisions: of the set.
        unit: what is asked about: blocks, or their attentions or MLPs.
        mask: [B, S] 1 for a token, 0 for padding.
    """

    stack: Stack
    decisions: Decisions
    unit: Unit
    mask: Tensor
    _cosines: dict[int, Tensor] = field(default_factory=dict)
    _norms: dict[int, Tensor] = field(default_factory=dict)
    _inside: dict[str, Tensor] = field(default_factory=dict)

    @contextmanager
    def inside(self, index: int, before: Tensor, place: int, n_streams: int) -> Iterator[None]:
        """Notes what passes the taps of a half, when halves are asked about and both run."""
        taps, self._inside = self.stack.taps[index], {}
        if self.unit == "block" or self.decisions[index] != RUN:
            yield
            return
        with ExitStack() as cleanup:
            for name, tap in _taps_of(taps, self.unit):
                cleanup.callback(self._see_at(name, tap, before.shape, place, n_streams))
            yield

    def passed(self, index: int, before: Tensor, after: Tensor) -> None:
        """Notes how far the unit of the block turned each token, and how long the states are."""
        first, second = self._ends(index, before, after)
        first, second = _wide(first), _wide(second)
        lengths = torch.linalg.vector_norm(first, dim=-1), torch.linalg.vector_norm(second, dim=-1)
        self._cosines[index] = cosines(torch.linalg.vecdot(first, second), *lengths)
        self._norms[index] = torch.linalg.vector_norm(_wide(before), dim=-1)
        self._norms[len(self.stack.blocks)] = torch.linalg.vector_norm(_wide(after), dim=-1)  # of the last block that ran
        self._inside = {}

    @contextmanager
    def whole_run(self) -> Iterator[None]:
        """The same by hooks, while the model runs itself with the set left out."""
        with ExitStack() as cleanup:
            for index, block in enumerate(self.stack.blocks):
                if self.decisions[index] != GONE:
                    cleanup.enter_context(self._hooked(index, block))
            yield

    def turned(self, refs: Sequence[UnitRef]) -> Tensor:
        """[B, S, M] cosine between what enters each unit and what leaves it; NaN where a state is empty or no number."""
        blank = torch.full_like(self._norms[len(self.stack.blocks)], torch.nan)
        return torch.stack([self._cosines.get(block, blank) for _, block in refs], dim=-1)

    def sinks(self) -> Tensor:
        """[B, S] the first token of each text, and those whose state is massive at some position, or no number."""
        norms = torch.stack([self._norms[index] for index in sorted(self._norms)], dim=-1)
        usable = (norms.isfinite() & (norms > 0)).all(dim=-1)
        found: Tensor = sink_tokens(norms.masked_fill(self.mask[..., None] == 0, torch.nan)) | ~usable
        found[:, 0] = True
        return found

    def _ends(self, index: int, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """The states around the unit: with its own residual, and nothing else of the block between them."""
        taps, seen = self.stack.taps[index], self._inside
        if self.unit == "block" or self.decisions[index] != RUN:
            return before, after
        if not seen:  # its inside could not be proved
            return before.new_full(before.shape, torch.nan), after
        if taps.layout == "parallel":
            return before, before + seen["branch"]
        return (before, seen["mid"]) if self.unit == "attention" else (seen.get("mlp_start", seen["mid"]), after)

    def _see_at(self, name: str, tap: Tap, shape: Sequence[int], place: int, n_streams: int) -> Callable[[], None]:
        """Keeps what passes a tap the first time; gives the way to take the hook off."""

        def see(value: Tensor) -> None:
            if name not in self._inside:
                self._inside[name] = value.reshape(n_streams, *shape)[place].clone()

        removal: Callable[[], None] = hooked(tap, see).remove
        return removal

    @contextmanager
    def _hooked(self, index: int, block: nn.Module) -> Iterator[None]:
        entered: list[Tensor] = []

        def enter(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            entered[:] = [first_tensor(args[0] if args else kwargs["hidden_states"]).clone()]
            self._inside = {}

        def leave(_module: nn.Module, _args: Any, output: Any) -> None:
            self.passed(index, entered[0], first_tensor(output))

        with ExitStack() as cleanup:
            cleanup.callback(block.register_forward_pre_hook(enter, with_kwargs=True).remove)
            cleanup.callback(block.register_forward_hook(leave).remove)
            if self.unit != "block" and self.decisions[index] == RUN:
                for name, tap in _taps_of(self.stack.taps[index], self.unit):
                    cleanup.callback(self._see_at(name, tap, (*self.mask.shape, -1), 0, 1))
            yield


@dataclass(frozen=True, eq=False)
class Influence:
    """What the units do to each example's tokens: sums over its counted tokens, and how many there are.

    Attributes:
        cosines: [E, M] sums of the cosine between what enters a unit and what leaves it.
        angles: [E, M] sums of the angle between them, as a share of half a turn.
        counts: [E] tokens behind them.
        weights: [E] what a token of each example counts for.
    """

    cosines: Floats
    angles: Floats
    counts: Floats
    weights: Floats

    @classmethod
    def empty(cls, weights: Floats, n_units: int) -> Influence:
        """Nothing seen yet."""
        shape = len(weights), n_units
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(len(weights)), weights)

    def write(self, members: Sequence[int], turned: Tensor, counts: Tensor) -> None:
        """Enters the examples of a batch.

        Args:
            members: the examples.
            turned: [B, S, M] cosines.
            counts: bool [B, S] tokens that count.
        """
        held = counts[..., None]
        rows = list(members)
        self.cosines[rows] = torch.where(held, turned, 0.0).sum(1).cpu().numpy()
        self.angles[rows] = torch.where(held, angles_from_cosines(turned), 0.0).sum(1).cpu().numpy()
        self.counts[rows] = counts.sum(1).cpu().numpy()

    def block_influence(self, draws: Floats | None = None) -> Floats:
        """1 - mean cosine: [M], or [R, M] with each example drawn as often as `draws` [R, E] says; NaN: undefined."""
        return 1.0 - self._mean(self.cosines, draws)

    def angular_distance(self, draws: Floats | None = None) -> Floats:
        """The mean angle, 0 to 1: [M], or [R, M]."""
        return self._mean(self.angles, draws)

    @property
    def n_tokens(self) -> int:
        """Tokens behind it."""
        return int(self.counts.sum())

    def _mean(self, sums: Floats, draws: Floats | None) -> Floats:
        weights = self.weights if draws is None else draws * self.weights
        with np.errstate(invalid="ignore"):
            mean: Floats = weights @ sums / np.expand_dims(weights @ self.counts, -1)
        return mean


def _taps_of(taps: SubBlockTaps, unit: Unit) -> list[tuple[str, Tap]]:
    if taps.layout == "parallel":
        found = [("branch", taps.attention if unit == "attention" else taps.mlp)]
    else:
        found = [("mid", taps.mid), ("mlp_start", taps.mlp_start if unit == "mlp" else None)]
    return [(name, tap) for name, tap in found if tap is not None]


def _wide(state: Tensor) -> Tensor:
    """Exact enough for an arc cosine near 1."""
    return state.to(torch.float32 if state.device.type == "mps" else torch.float64)
