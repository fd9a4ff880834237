"""The frozen prefix's output, kept example by example from the first epoch on: in memory, or in one mapped file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from analysis.contracts import Message
from analysis.contracts.trial import CacheKind
from analysis.errors import ResourceError
from analysis.models.memory import available_bytes

Kept = Literal["off", "memory", "disk"]
_PINNED = 1 << 32
"""Bytes up to which memory is pinned, so that copies to a GPU need not be waited for; more of it would be taken from everyone else."""
_SHARE_OF_FREE = 0.5


class PrefixCache:
    """States of the boundary [S_i, d] of each example, once they were computed.

    `memory` is the host's: copying a batch to a GPU takes far less than a step, and the GPU's own is what training is short of.

    Args:
        kind: `memory` or `disk`; with `auto` and `off`, and to learn whether it fits, use `open_cache`.
        limit_bytes: most that it may take; None: no limit of its own.
        folder: where the file is put; memory needs none.
        lengths: tokens of each example.
        width: d.
        dtype: of the states.
        device: where states are asked for.
    """

    def __init__(
        self,
        kind: Literal["memory", "disk"],
        limit_bytes: int | None,
        folder: Path | None,
        *,
        lengths: Sequence[int],
        width: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.kind: Kept = kind
        self.n_bytes = sum(lengths) * width * dtype.itemsize
        assert limit_bytes is None or self.n_bytes <= limit_bytes
        self._lengths, self._device = list(lengths), device
        self._starts = [0, *accumulate(lengths)]
        self._known = [False] * len(lengths)
        self._file = None if kind == "memory" or folder is None else folder / "prefix.states"
        self._states = self._mapped(width, dtype) if self._file is not None else self._allocated(width, dtype)
        self._at_once = self._states.is_pinned()

    def knows(self, indices: Sequence[int]) -> bool:
        """Whether the states of all these examples are there."""
        return all(self._known[index] for index in indices)

    def put(self, index: int, states: Tensor) -> None:
        """Keeps an example's states [S, d]; what stands behind its own length is padding and is left away."""
        start, length = self._starts[index], self._lengths[index]
        self._states[start : start + length].copy_(states[:length], non_blocking=self._at_once)
        self._known[index] = True

    def get(self, indices: Sequence[int]) -> Tensor:
        """[B, S, d] on the device, padded with zeros to the longest of them."""
        longest = max(self._lengths[index] for index in indices)
        found = torch.zeros(len(indices), longest, self._states.shape[1], dtype=self._states.dtype, device=self._device)
        for row, index in enumerate(indices):
            start, length = self._starts[index], self._lengths[index]
            found[row, :length].copy_(self._states[start : start + length], non_blocking=self._at_once)
        return found

    def close(self) -> None:
        """Gives memory and file back."""
        self._states = self._states.new_empty(0, 0)
        self._known = [False] * len(self._known)
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _allocated(self, width: int, dtype: torch.dtype) -> Tensor:
        shape = (sum(self._lengths), width)
        return torch.empty(shape, dtype=dtype, pin_memory=self._device.type == "cuda" and self.n_bytes <= _PINNED)

    def _mapped(self, width: int, dtype: torch.dtype) -> Tensor:
        assert self._file is not None
        self._file.parent.mkdir(parents=True, exist_ok=True)
        n = sum(self._lengths) * width
        _reserve(self._file, n * dtype.itemsize)
        return torch.from_file(str(self._file), shared=True, size=n, dtype=dtype).view(-1, width)


@dataclass(frozen=True)
class Opened:
    """A cache, or none, and why."""

    cache: PrefixCache | None
    note: Message | None = None


def open_cache(
    kind: CacheKind,
    limit_bytes: int | None,
    folder: Path | None,
    *,
    lengths: Sequence[int],
    width: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Opened:
    """The cache that was asked for; `auto`: in memory if it fits there, else on disk, else none with a note.

    Args:
        kind: what was asked for.
        limit_bytes: most that it may take; None: half of what is free.
        folder: for a file; None: never on disk unless that was asked for by name.
        lengths: tokens of each example.
        width: d.
        dtype: of the states.
        device: where they are used.

    Raises:
        ResourceError: it was asked for by name, and does not fit.
    """
    needed = sum(lengths) * width * dtype.itemsize
    if kind == "off":
        return Opened(None)
    memory, disk = _limit(limit_bytes, available_bytes(torch.device("cpu"))), _limit(limit_bytes, _free_disk(folder))

    def made(where: Literal["memory", "disk"]) -> Opened:
        return Opened(PrefixCache(where, None, folder, lengths=lengths, width=width, dtype=dtype, device=device))

    if kind in ("auto", "memory") and needed <= memory:
        return made("memory")
    if kind in ("auto", "disk") and folder is not None and needed <= disk:
        return made("disk")
    if kind == "memory":
        raise ResourceError(
            "The output of the frozen layers takes {needed} GiB, and {limit} GiB of memory may be taken for it. "
            "Keep it on disk (--cache disk), allow more (--cache-limit), or train without a cache (--cache off).",
            needed=_gib(needed),
            limit=_gib(memory),
        )
    if kind == "disk":
        raise ResourceError(
            "The disk is too small for the cache: the output of the frozen layers takes {needed} GiB, and {limit} GiB may be taken for it. "
            "Free some space, allow more (--cache-limit), or train without a cache (--cache off).",
            needed=_gib(needed),
            limit=_gib(disk),
        )
    return Opened(None, _not_kept(needed, memory, disk if folder is not None else 0))


def _reserve(file: Path, n_bytes: int) -> None:
    """Takes the room on the disk at once: writing into a mapped file whose disk has filled up meanwhile would end the process.

    Raises:
        ResourceError: it is not there any more.
    """
    if not hasattr(os, "posix_fallocate") or n_bytes == 0:
        return
    try:
        with file.open("ab") as opened:
            os.posix_fallocate(opened.fileno(), 0, n_bytes)
    except OSError as exc:
        file.unlink(missing_ok=True)
        raise ResourceError(
            "The output of the frozen layers could not be kept on disk ({needed} GiB): {reason}. Free some space, or train without a cache "
            "(--cache off).",
            needed=_gib(n_bytes),
            reason=exc.strerror or str(exc),
        ) from exc


def _not_kept(needed: int, memory: int, disk: int) -> Message:
    return Message(
        id="The output of the frozen layers was not kept: it takes {needed} GiB, and {memory} GiB of memory and {disk} GiB of disk "
        "may be taken for it. Every epoch computes the frozen layers again.",
        values={"needed": _gib(needed), "memory": _gib(memory), "disk": _gib(disk)},
    )


def _limit(asked: int | None, free: int | None) -> int:
    """What may be taken: never more than is free."""
    if free is None:
        return asked or 0
    return min(asked, free) if asked is not None else int(free * _SHARE_OF_FREE)


def _free_disk(folder: Path | None) -> int:
    """Free bytes where the folder is, or will be."""
    if folder is None:
        return 0
    there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    return shutil.disk_usage(there).free


def _gib(n_bytes: int) -> float:
    return round(n_bytes / 2**30, 2)
