"""Stored documents as files: whole or not there at all, on this disk or wherever fsspec reaches."""

from __future__ import annotations

import gzip
import uuid
from pathlib import Path

import fsspec

from analysis.errors import DocumentError
from analysis.home import saying_disk_errors, write_atomically


class Artifacts:
    """A folder of gzipped JSON documents.

    Args:
        url: a path, or any URL fsspec knows (``s3://bucket/strata``) for a team that shares its runs.
    """

    def __init__(self, url: str) -> None:
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._local = "file" in ([self._files.protocol] if isinstance(self._files.protocol, str) else self._files.protocol)

    def write(self, name: str, text: str) -> int:
        """Stores a document under a relative name and returns its size in bytes."""
        data = gzip.compress(text.encode(), compresslevel=6, mtime=0)
        if self._local:
            write_atomically(Path(self._path(name)), data)
            return len(data)
        temporary = f"{self._path(name)}.{uuid.uuid4().hex}"
        with saying_disk_errors(Path(self._path(name))):
            self._files.pipe_file(temporary, data)
            self._files.mv(temporary, self._path(name))
        return len(data)

    def read(self, name: str) -> bytes:
        """The document stored under that name.

        Raises:
            DocumentError: it is gone or damaged.
        """
        try:
            return gzip.decompress(self._files.cat_file(self._path(name)))
        except (OSError, EOFError, ValueError) as exc:
            raise DocumentError(
                "The stored file {file} is missing or damaged. Put it back from a backup, or delete its entry and measure again.",
                file=self._path(name),
            ) from exc

    def delete(self, name: str) -> None:
        """Takes a document away; one that is already gone is no failure."""
        with saying_disk_errors(Path(self._path(name))):
            if self._files.exists(self._path(name)):
                self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"
