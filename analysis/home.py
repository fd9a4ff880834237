"""Where Strata keeps its things on this machine, and how it writes them without ever leaving half a file."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis.errors import ResourceError


def home() -> Path:
    """The folder under which everything is kept: ``STRATA_HOME``, or ``~/.strata``."""
    return Path(os.environ.get("STRATA_HOME") or Path.home() / ".strata")


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all: temporary name in the same folder, synced, renamed.

    Who may read it is decided by the umask, as for any other file. A link is followed, and what is no plain file
    (/dev/stdout, a pipe) is written to, never replaced.

    Raises:
        ResourceError: the disk is full or the folder cannot be written; what was there before is untouched.
    """
    with saying_disk_errors(path):
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{uuid.uuid4().hex}")  # not made from the name, which may be as long as names can be
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


_NOT_A_PLACE = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)


@contextmanager
def saying_disk_errors(path: Path) -> Iterator[None]:
    """Turns the disk's refusals inside the block into one sentence."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(
                "The disk that holds {folder} is full. Free some space, or set STRATA_HOME to a folder on another disk; "
                "nothing stored was lost.",
                folder=str(path.parent),
            ) from exc
        if exc.errno in _NOT_A_PLACE:
            raise ResourceError(
                "{folder} cannot be written. Allow writing there, or set STRATA_HOME to a folder that can be written.",
                folder=str(path.parent),
            ) from exc
        raise
