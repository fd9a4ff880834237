"""A profile's sums on disk, so that a killed run goes on where it stopped and ends with the same numbers."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from analysis.home import write_atomically
from analysis.profiling.accumulators import Sums


@dataclass(frozen=True)
class Done:
    """What a checkpoint holds beside the sums."""

    units: int
    seconds: float
    tokens: int


def save(path: Path, key: str, done: Done, accumulators: Mapping[str, Sums]) -> None:
    """Writes all sums; `key` ties them to one workload, model and settings."""
    arrays = {f"{name}/{tensor}": value.cpu().numpy() for name, sums in accumulators.items() for tensor, value in sums.state().items()}
    head = json.dumps({"key": key, "units": done.units, "seconds": done.seconds, "tokens": done.tokens})
    buffer = io.BytesIO()
    np.savez(buffer, head=np.array(head), **cast(dict[str, object], arrays))  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def load(path: Path, key: str, accumulators: Mapping[str, Sums]) -> Done | None:
    """Fills the accumulators from a checkpoint of the same key; None (and nothing changed) when there is none."""
    import torch

    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            head = json.loads(str(stored["head"]))
            arrays = {name: stored[name] for name in stored.files if name != "head"}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if head.get("key") != key or not _fits(arrays, accumulators):
        return None
    for name, sums in accumulators.items():
        sums.load({tensor: torch.from_numpy(arrays[f"{name}/{tensor}"]) for tensor in sums.state()})
    return Done(units=head["units"], seconds=head["seconds"], tokens=head["tokens"])


def forget(folder: Path, key: str) -> None:
    """Takes a finished run's checkpoints away (of all ranks), once its profile is stored."""
    for path in folder.glob(f"{key}*.npz"):
        path.unlink(missing_ok=True)


def _fits(arrays: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]], accumulators: Mapping[str, Sums]) -> bool:
    shapes = {f"{name}/{tensor}": tuple(value.shape) for name, sums in accumulators.items() for tensor, value in sums.state().items()}
    return {name: array.shape for name, array in arrays.items()} == shapes


def names(accumulators: Sequence[Sums]) -> dict[str, Sums]:
    """Accumulators under the names they are saved by."""
    return {f"{index}-{type(sums).__name__}": sums for index, sums in enumerate(accumulators)}
