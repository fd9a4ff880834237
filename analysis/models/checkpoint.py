"""A model folder's files, checked before anything is loaded: what is there, what it holds, how large it will be.

Free of torch: only JSON and the headers of the weight files are read.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.errors import ModelError
from analysis.home import home, write_atomically

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model", "tekken.json")
_UNSAFE = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}
_FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_LARGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class Checkpoint:
    """What a folder holds: its config, its weight files, and how many numbers of which format stand in them."""

    folder: Path
    config: Mapping[str, Any]
    weight_files: tuple[Path, ...]
    numbers: Mapping[str, int]

    @property
    def stored_bytes(self) -> int:
        """Bytes of the weights as they are stored."""
        return sum(count * _BYTES.get(kind, 1) for kind, count in self.numbers.items())

    @property
    def stored_dtype(self) -> str:
        """The number format of most weights; of packed ones, the config's."""
        floats = {kind: count for kind, count in self.numbers.items() if kind in _FLOATS}
        named = str(self.config.get("dtype") or self.config.get("torch_dtype") or "float32")
        return _FLOATS[max(floats, key=lambda kind: floats[kind])] if floats else named

    def bytes_as(self, dtype: str) -> int:
        """Bytes of the weights once the floating-point ones are in that format."""
        width = {"float32": 4, "float64": 8}.get(dtype, 2)
        return sum(count * (width if kind in _FLOATS else _BYTES.get(kind, 1)) for kind, count in self.numbers.items())

    @property
    def has_tokenizer(self) -> bool:
        """Any tokenizer file that can be read."""
        return any((self.folder / name).is_file() for name in TOKENIZER_FILES)


def read_checkpoint(folder: Path, *, weights: bool = True) -> Checkpoint:
    """Checks a folder and reads its headers.

    Args:
        folder: a folder as ``save_pretrained`` writes it.
        weights: False: only the config is asked for (a description needs no weights).

    Raises:
        ModelError: not a model folder, only pickled weights, a damaged or truncated file, or remote code.
    """
    config = read_config(folder)
    files = _weight_files(folder) if weights else ()
    numbers: Counter[str] = Counter()
    for file in files:
        numbers.update(_numbers(file))
    return Checkpoint(folder, config, files, dict(numbers))


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json."""
    if not folder.is_dir():
        raise ModelError("{folder} is not a folder. Give the folder that holds config.json and the safetensors files.", folder=str(folder))
    if not any(folder.iterdir()):
        raise ModelError("{folder} is empty. Give the folder that holds config.json and the safetensors files.", folder=str(folder))
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(
            "{folder} has no config.json, so it is not a model folder. Give the folder that the model was saved into.", folder=str(folder)
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as exc:
        raise ModelError("{file} is not readable as JSON. Copy the model again.", file=str(path)) from exc
    if not isinstance(config, dict) or "model_type" not in config:
        raise ModelError("{file} does not name a model_type, so it is not the config of a transformers model.", file=str(path))
    return config


def fingerprint(files: Iterable[Path]) -> list[list[str | int]]:
    """Names, sizes and times of files: moves when a file is replaced."""
    return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in sorted(files)]


def digest(files: Iterable[Path]) -> str:
    """SHA-256 over the contents of weight files in order of name; known ones (by size and time) are not read again."""
    files = sorted(files)
    marks = fingerprint(files)
    note = home() / "models" / "digests" / f"{hashlib.sha256(json.dumps(marks).encode()).hexdigest()[:24]}.txt"
    if note.is_file() and len(known := note.read_text(encoding="ascii").strip()) == 64:
        return known
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            total.update(hashlib.file_digest(opened, "sha256").digest())
    write_atomically(note, total.hexdigest().encode("ascii"))
    return total.hexdigest()


def _weight_files(folder: Path) -> tuple[Path, ...]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return _indexed(folder, index)
    if (folder / "model.safetensors").is_file():
        return (folder / "model.safetensors",)
    if others := tuple(sorted(file.name for file in folder.glob("*.safetensors"))):
        raise ModelError(
            "{folder} holds {files}, but neither model.safetensors nor model.safetensors.index.json. Copy the missing file, "
            "or rename the one there is.",
            folder=str(folder),
            files=others,
        )
    unsafe = tuple(sorted(file.name for file in folder.iterdir() if file.suffix in _UNSAFE))
    if unsafe:
        raise ModelError(
            "{folder} has its weights only in {files}, a format that can carry programs and is not opened. Save the model "
            "as safetensors (save_pretrained does) and give that folder.",
            folder=str(folder),
            files=unsafe,
        )
    raise ModelError("{folder} has a config.json but no safetensors file. Copy the weights into it.", folder=str(folder))


def _indexed(folder: Path, index: Path) -> tuple[Path, ...]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as exc:
        raise ModelError("{file} is not a list of weight files. Copy the model again.", file=str(index)) from exc
    missing = tuple(name for name in names if not (folder / name).is_file())
    if missing:
        raise ModelError(
            "{folder} lacks {files}, which its index names. Copy the missing files into it.", folder=str(folder), files=missing
        )
    return tuple(folder / name for name in names)


def _numbers(file: Path) -> Counter[str]:
    """How many numbers of each format a safetensors file holds."""
    header, data_bytes = _header(file)
    numbers: Counter[str] = Counter()
    end = 0
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            numbers[str(entry["dtype"])] += math.prod(entry["shape"])
            end = max(end, int(entry["data_offsets"][1]))
        except (KeyError, TypeError, IndexError, ValueError) as exc:
            raise ModelError("{file} has a damaged header. Copy the file again.", file=str(file)) from exc
    if end > data_bytes:
        raise ModelError(
            "{file} is cut off: {missing} bytes are missing at its end. Copy the file again.", file=str(file), missing=end - data_bytes
        )
    return numbers


def _header(file: Path) -> tuple[dict[str, Any], int]:
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if size < 8 or not 0 < length <= min(size - 8, _LARGEST_HEADER):
            raise ModelError("{file} has a damaged header. Copy the file again.", file=str(file))
        try:
            header = json.loads(opened.read(length))
        except ValueError as exc:
            raise ModelError("{file} has a damaged header. Copy the file again.", file=str(file)) from exc
    if not isinstance(header, dict):
        raise ModelError("{file} has a damaged header. Copy the file again.", file=str(file))
    return header, size - 8 - length
