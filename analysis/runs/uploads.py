"""Files a browser sends: kept by content under a name that cannot lead anywhere else."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from pathlib import Path

from analysis.errors import WorkloadError
from analysis.home import home, write_atomically

UPLOAD_LIMIT_BYTES = 512 * 2**20
_NAME_BYTES = 120
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)


def save_upload(filename: str, data: bytes) -> Path:
    """Keeps an uploaded workload under the storage folder and returns where. The same bytes are kept once.

    Raises:
        WorkloadError: empty, or too large.
        ResourceError: the disk is full or not writable.
    """
    name = safe_name(filename)
    if not data:
        raise WorkloadError("{file} is empty. Choose a file that holds prompts.", file=name)
    if len(data) > UPLOAD_LIMIT_BYTES:
        raise WorkloadError(
            "{file} is larger than {limit} MiB. Put it on the server and give its path, or choose fewer prompts.",
            file=name,
            limit=UPLOAD_LIMIT_BYTES // 2**20,
        )
    path = home() / "uploads" / hashlib.sha256(data).hexdigest()[:16] / name
    if not path.exists():
        write_atomically(path, data)
    return path


def safe_name(filename: str) -> str:
    """The last part of a name without anything a file system takes for more than a letter; its ending stays."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", filename))[-1]
    plain = "".join(letter if letter.isprintable() and letter not in '<>:"|?*' else "_" for letter in last).strip(" .")
    stem, ending = os.path.splitext(plain)
    if _RESERVED.fullmatch(stem):
        stem = f"_{stem}"
    ending = ending.encode()[:16].decode(errors="ignore")
    stem = stem.encode()[: _NAME_BYTES - len(ending.encode())].decode(errors="ignore")
    return f"{stem}{ending}" or "upload"


def folder_size(folder: Path) -> int:
    """Bytes of all files under a folder; what vanishes while counting counts nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue
    return total
