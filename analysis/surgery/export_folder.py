"""A folder that appears whole or not at all: made beside its place under a temporary name, synced, then renamed."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from analysis.errors import InputError, ResourceError

REPORT = "strata_export.json"
_PREFIX = ".strata-export-"
_COPIED = (
    "tokenizer*", "*.model", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "tekken.json", "chat_template*",
    "generation_config.json", "preprocessor_config.json", "processor_config.json", "LICENSE*", "NOTICE*", "USE_POLICY*",
)  # fmt: skip
_NEVER_COPIED = (
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".h5",
    ".msgpack",
    ".pkl",
    ".pickle",
    ".npy",
    ".npz",
    ".py",
    ".pyc",
    ".so",
    ".sh",
)
"""Weights and whatever can run code, whatever it is called."""
_NOT_A_PLACE = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)


def checked_target(folder: str, *, overwrite: bool) -> Path:
    """Where the export goes: a place that is free, or empty, or an earlier export that may be replaced.

    Raises:
        InputError: something else is there.
    """
    with saying_disk_errors(Path(folder)):
        target = Path(folder).expanduser().resolve()
        if not target.exists():
            return target
        if not target.is_dir():
            raise InputError("{folder} is a file. Give the path of a folder for the export.", folder=str(target))
        if not any(target.iterdir()):
            return target
        if not (target / REPORT).is_file():
            raise InputError("{folder} is not empty and was not written by an export. Give an empty or a new folder.", folder=str(target))
    if not overwrite:
        raise InputError(
            "{folder} holds an earlier export. Give another folder, or allow the earlier export to be replaced (--overwrite).",
            folder=str(target),
        )
    return target


def require_apart(target: Path, sources: Iterable[Path]) -> None:
    """Refuses to write over the model that is exported, or into its folder.

    Args:
        target: where the export goes.
        sources: folders and files that the model is read from.

    Raises:
        InputError: the target is one of them, inside it, or around it.
    """
    for source in {path.resolve() for path in sources}:
        if target == source or source in target.parents or target in source.parents:
            raise InputError(
                "The export would go to {folder}, which is, holds or lies in the folder of the model itself ({source}). "
                "Give a folder beside it.",
                folder=str(target),
                source=str(source),
            )


def companions(folders: Iterable[Path | None]) -> list[Path]:
    """Tokenizer, chat template, licence and the like, by name; of files of one name the last folder's wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for pattern in _COPIED if folder is not None else ():
            assert folder is not None
            found |= {file.name: file for file in folder.glob(pattern) if file.is_file() and file.suffix not in _NEVER_COPIED}
    return [found[name] for name in sorted(found)]


def require_space(target: Path, n_bytes: int) -> None:
    """Refuses to start writing what does not fit.

    Raises:
        ResourceError: the disk has too little room.
    """
    place = next(parent for parent in (target, *target.parents) if parent.is_dir())
    free = shutil.disk_usage(place).free
    if n_bytes > free:
        raise ResourceError(
            "The export takes {needed} GiB and the disk that holds {folder} has {free} GiB free. Free some space, or give a folder on "
            "another disk.",
            needed=round(n_bytes / 2**30, 2),
            free=round(free / 2**30, 2),
            folder=str(place),
        )


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A temporary folder beside the target, which becomes the target when the block ends well and is gone when it does not.

    What exports that were killed left behind is removed first; one that is still being written is left alone.

    Raises:
        ResourceError: the disk is full or the place cannot be written.
    """
    with saying_disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target.parent)
        temporary, lock = _locked_folder(target.parent)
        try:
            yield temporary
            os.fsync(lock)
            _put_in_place(temporary, target)
        finally:
            os.close(lock)
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def saying_disk_errors(target: Path) -> Iterator[None]:
    """Turns the disk's refusals inside the block into one sentence."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(
                "The disk that holds {folder} became full, so the export was not kept. Free some space, or give a folder on another disk.",
                folder=str(target.parent),
            ) from exc
        if exc.errno in _NOT_A_PLACE:
            raise ResourceError(
                "{folder} cannot be written ({reason}). Allow writing there, or give another folder for the export.",
                folder=str(target),
                reason=os.strerror(exc.errno),
            ) from exc
        raise


def _locked_folder(parent: Path) -> tuple[Path, int]:
    """A new folder with a lock on it, held until it is renamed: one that is found unlocked was left behind."""
    while True:
        folder = parent / f"{_PREFIX}{uuid.uuid4().hex}"
        folder.mkdir()
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():  # else another export took it for a leftover before it was locked
            return folder, lock
        os.close(lock)


def _put_in_place(temporary: Path, target: Path) -> None:
    """Renames; an earlier export is moved aside first and removed last."""
    aside = temporary.with_name(f"{temporary.name}-old")
    if target.is_dir() and any(target.iterdir()):
        target.rename(aside)
    try:
        temporary.rename(target)
    except OSError:
        if aside.is_dir():
            aside.rename(target)
        raise
    parent = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
    shutil.rmtree(aside, ignore_errors=True)


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        if folder.is_dir() and not folder.is_symlink():
            with suppress(OSError):  # it was removed by another export in the meantime, or belongs to someone else
                _remove_if_left(folder)


def _remove_if_left(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
