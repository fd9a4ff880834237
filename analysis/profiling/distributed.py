"""One profile over many processes: each runs its share of the units, then all add up their sums.

Started by torchrun; a single process is the case of one. Sums are small and add exactly, so the number of ranks moves
no result.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from analysis.profiling.accumulators import Sums


@dataclass(frozen=True)
class Place:
    """Which of how many processes this is, counted from 0; `local` counts on this machine."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def name(self) -> str:
        """Tells the ranks' files apart; empty for a single process."""
        return f"-{self.rank}of{self.world}" if self.world > 1 else ""

    def device(self, asked: str) -> str:
        """The device of this rank: with several GPUs on a machine, each rank takes its own."""
        own_gpu = self.world > 1 and asked in ("auto", "cuda") and torch.cuda.is_available()
        return f"cuda:{self.local}" if own_gpu else asked


def place() -> Place:
    """What torchrun said in the environment."""
    return Place(*(int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))))


@contextmanager
def joined(where: Place, device: torch.device) -> Iterator[None]:
    """Holds this process in the group of all ranks; nothing for a single process."""
    if where.world == 1 or torch.distributed.is_initialized():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def add_up(where: Place, sums: Iterable[Sums]) -> None:
    """Every rank ends with the sums of all."""
    if where.world > 1:
        for one in sums:
            one.all_reduce_()


def total(where: Place, value: float, device: torch.device, *, largest: bool = False) -> float:
    """A number added over all ranks, or the largest of them."""
    if where.world == 1:
        return value
    tensor = torch.tensor([value], dtype=torch.float64, device=device)
    torch.distributed.all_reduce(tensor, torch.distributed.ReduceOp.MAX if largest else torch.distributed.ReduceOp.SUM)
    return float(tensor)
