"""Safetensors files copied tensor by tensor, so that a model larger than memory can be cut: never more than a chunk is held.

Bytes are copied as they lie, whatever number format they are in, so every tensor is byte-equal to its source.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from analysis.contracts import Message, Progress
from analysis.errors import Cancelled, ModelError, PlanError

LARGEST_SHARD = 5_000_000_000
_CHUNK = 16 * 2**20
_ALIGNED = 64
_KINDS = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int8": "I8",
    "bool": "BOOL",
}


@dataclass(frozen=True)
class Piece:
    """One tensor to be written: its name in the new file, and how to read its bytes."""

    name: str
    kind: str
    shape: tuple[int, ...]
    n_bytes: int
    chunks: Callable[[], Iterator[bytes]] = field(compare=False)

    def renamed(self, name: str) -> Piece:
        """The same tensor under another name."""
        return replace(self, name=name)

    def zeroed(self) -> Piece:
        """The same tensor, all zeros."""
        return replace(self, chunks=lambda: _zeros(self.n_bytes))


@dataclass
class Writing:
    """Tells how far the writing is, and whether it should stop."""

    total: int
    on_progress: Callable[[Progress], None]
    should_stop: Callable[[], bool]
    done: int = 0
    _started: float = field(default_factory=time.monotonic)

    def wrote(self, n_bytes: int) -> None:
        """Counts bytes.

        Raises:
            Cancelled: it should stop.
        """
        self.done += n_bytes
        if self.should_stop():
            raise Cancelled("Stopped at your request.")
        seconds = time.monotonic() - self._started
        eta = seconds * (self.total - self.done) / self.done if self.done and seconds > 0.5 else None
        self.on_progress(Progress(stage=Message(id="Writing the model"), done=self.done, total=self.total, eta_seconds=eta))


def pieces_of_files(files: Sequence[Path]) -> list[Piece]:
    """The tensors of safetensors files in the order of files and of their places in them.

    Raises:
        ModelError: a file has a damaged header.
    """
    return [piece for file in files for piece in _pieces(file)]


def pieces_of_model(tensors: Mapping[str, Any]) -> list[Piece]:
    """The tensors of a state dict; one that is there under several names (tied weights) once, under the first."""
    seen: set[tuple[int, tuple[int, ...]]] = set()
    found = []
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tuple(tensor.shape))
        if place not in seen or tensor.numel() == 0:
            seen.add(place)
            kind = _KINDS[str(tensor.dtype).removeprefix("torch.")]
            found.append(Piece(name, kind, tuple(tensor.shape), tensor.numel() * tensor.element_size(), _of_tensor(tensor)))
    return found


def block_prefix(names: Sequence[str], path: str, n_blocks: int) -> str:
    """What stands before the block's number in the names of a checkpoint's tensors, e.g. ``model.layers``.

    A checkpoint may lack or have an outer part that the loaded model does not (``h`` for ``transformer.h``).

    Raises:
        PlanError: no prefix fits, or several do.
    """
    own = path.split(".")
    found: dict[str, set[int]] = {}
    outer: dict[str, set[int]] = {}
    for name in names:
        for place, match in enumerate(re.finditer(r"\.(\d+)\.", f".{name}")):
            prefix = name[: match.start()].rstrip(".")
            if place == 0:
                outer.setdefault(prefix, set()).add(int(match[1]))
            if prefix.split(".")[-1] == own[-1]:
                found.setdefault(prefix, set()).add(int(match[1]))
                break
    fitting = [prefix for prefix, numbers in found.items() if set(range(n_blocks)) <= numbers]
    best = sorted(fitting, key=lambda prefix: -_shared_end(prefix.split("."), own))
    if len(best) == 1 or (len(best) > 1 and _shared_end(best[0].split("."), own) > _shared_end(best[1].split("."), own)):
        return best[0]
    only = [prefix for prefix, numbers in outer.items() if numbers == set(range(n_blocks))]
    if not best and len(only) == 1:
        return only[0]  # named otherwise than in the loaded model; that it is the right one shows when it is loaded
    raise PlanError(
        "The weight files do not name the layers of {path} in a way that is understood, so they cannot be renumbered. "
        "Save the model anew with transformers (save_pretrained) and export that folder.",
        path=path,
    )


def renumbered(name: str, prefix: str, keep: Sequence[int]) -> str | None:
    """A tensor's name once only these blocks are left; None: it belongs to a block that is not."""
    match = re.match(rf"{re.escape(prefix)}\.(\d+)\.", name)
    if match is None:
        return name
    return f"{prefix}.{keep.index(int(match[1]))}.{name[match.end() :]}" if int(match[1]) in keep else None


def write_shards(folder: Path, pieces: Sequence[Piece], largest: int, writing: Writing) -> None:
    """Writes tensors into as few files as `largest` bytes allow, named and listed as transformers does, each synced."""
    shards = _packed(pieces, max(1, min(largest, LARGEST_SHARD)))
    names = (
        ["model.safetensors"]
        if len(shards) == 1
        else [f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]
    )
    for name, shard in zip(names, shards, strict=True):
        _write_file(folder / name, shard, writing)
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": sum(piece.n_bytes for piece in pieces)},
            "weight_map": {piece.name: name for name, shard in zip(names, shards, strict=True) for piece in shard},
        }
        write_synced(folder / "model.safetensors.index.json", json.dumps(index, indent=2, sort_keys=True).encode())


def write_synced(path: Path, data: bytes) -> None:
    """A small file, on the disk when this returns."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def same_bytes(one: Piece, other: Piece) -> bool:
    """Whether two tensors are equal to the last bit; names do not count."""
    if (one.kind, one.shape, one.n_bytes) != (other.kind, other.shape, other.n_bytes):
        return False
    return all(a == b for a, b in zip(one.chunks(), other.chunks(), strict=True))


def _packed(pieces: Sequence[Piece], largest: int) -> list[list[Piece]]:
    shards: list[list[Piece]] = [[]]
    size = 0
    for piece in pieces:
        if shards[-1] and size + piece.n_bytes > largest:
            shards.append([])
            size = 0
        shards[-1].append(piece)
        size += piece.n_bytes
    return shards


def _write_file(path: Path, pieces: Sequence[Piece], writing: Writing) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for piece in pieces:
        header[piece.name] = {"dtype": piece.kind, "shape": list(piece.shape), "data_offsets": [place, place + piece.n_bytes]}
        place += piece.n_bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNED)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for piece in pieces:
            for chunk in piece.chunks():
                file.write(chunk)
            writing.wrote(piece.n_bytes)
        file.flush()
        os.fsync(file.fileno())


def _pieces(file: Path) -> Iterator[Piece]:
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        try:
            header = json.loads(opened.read(length))
        except ValueError as exc:
            raise ModelError("{file} has a damaged header. Copy the file again.", file=str(file)) from exc
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    for name, entry in sorted(entries.items(), key=lambda item: int(item[1]["data_offsets"][0])):
        start, end = (8 + length + int(offset) for offset in entry["data_offsets"])
        yield Piece(name, str(entry["dtype"]), tuple(entry["shape"]), end - start, _of_file(file, start, end))


def _of_file(file: Path, start: int, end: int) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        with file.open("rb") as opened:
            opened.seek(start)
            for size in _sizes(end - start):
                data = opened.read(size)
                if len(data) != size:
                    raise ModelError("{file} has a damaged header. Copy the file again.", file=str(file))
                yield data

    return chunks


def _of_tensor(tensor: Any) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        import torch

        flat = tensor.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8).numpy()
        place = 0
        for size in _sizes(flat.nbytes):
            yield flat[place : place + size].tobytes()
            place += size

    return chunks


def _zeros(n_bytes: int) -> Iterator[bytes]:
    for size in _sizes(n_bytes):
        yield bytes(size)


def _sizes(n_bytes: int) -> Iterator[int]:
    for number in range(math.ceil(n_bytes / _CHUNK)):
        yield min(_CHUNK, n_bytes - number * _CHUNK)


def _shared_end(one: Sequence[str], other: Sequence[str]) -> int:
    """How many parts at the end of two paths are the same."""
    return next((n for n, (a, b) in enumerate(zip(reversed(one), reversed(other), strict=False)) if a != b), min(len(one), len(other)))
