"""Excel workbooks, opened without trusting what they claim: a file that cannot be read is refused in its reader's own words."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

Damaged = Callable[[Exception], Exception]


def packed_size(data: bytes, damaged: Damaged) -> tuple[int, list[str]]:
    """How many bytes a packed file holds once unpacked, and the names of what is in it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            return sum(entry.file_size for entry in packed.infolist()), packed.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, UnicodeError) as exc:
        raise damaged(exc) from exc


def sheets_of(data: bytes, damaged: Damaged) -> list[Any]:
    """The sheets of a workbook; only the cells' values are read."""
    import openpyxl

    try:
        with warnings.catch_warnings(action="ignore"):  # about styles and other looks that are not read here
            return list(openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True).worksheets)
    except Exception as exc:  # openpyxl raises whatever its parsers meet in a damaged file
        raise damaged(exc) from exc


def rows_of(sheet: Any, damaged: Damaged) -> Iterator[tuple[int, tuple[object, ...]]]:
    """The rows of a sheet with their numbers."""
    try:
        sheet.reset_dimensions()  # the size that a file claims is not trusted: rows are as wide as they are
        yield from enumerate(sheet.iter_rows(values_only=True), start=1)
    except Exception as exc:  # as above: a damaged sheet shows only while it is read
        raise damaged(exc) from exc
