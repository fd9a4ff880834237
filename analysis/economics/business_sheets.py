"""Excel workbooks as lines of text: the sheet whose head line names the most known columns, its cells as a CSV would hold them."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time
from itertools import islice
from typing import Any

from analysis.errors import InputError
from analysis.workload.shown import shown

MOST_UNPACKED = 200_000_000
MOST_ROWS = 200_000
_MOST_COLUMNS = 200
_HEAD_ROWS = 20
"""The head line is looked for in so many rows of a sheet."""


def is_workbook(data: bytes) -> bool:
    """Whether it is a packed file, which a workbook is."""
    return data.startswith(b"PK")


def sheet_rows(data: bytes, file: str, hits: Callable[[Sequence[str]], int]) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with their numbers, of the sheet that has most of the known columns.

    Args:
        data: the workbook.
        file: its name, for what is said about it.
        hits: how many cells of a line are names of columns.

    Raises:
        InputError: no workbook, a damaged one, or one that is too large.
    """
    _check_size(data, file)
    import openpyxl

    try:
        with warnings.catch_warnings(action="ignore"):  # about looks that are not read here
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheets = list(book.worksheets)
        best = max(sheets, key=lambda sheet: hits(_first(sheet))) if sheets else None
    except Exception as exc:  # openpyxl raises whatever its parsers meet in a damaged file
        raise _damaged(file) from exc
    if best is not None:
        yield from _lines(best, file)


def _check_size(data: bytes, file: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
            book = "xl/workbook.xml" in packed.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, UnicodeError) as exc:
        raise _damaged(file) from exc
    if not book:
        raise InputError("File {file} is not a table. Give a CSV, or an Excel workbook saved as .xlsx.", file=file)
    if size > MOST_UNPACKED:
        raise InputError(
            "File {file} has {n} bytes; at most {most} are read. Give a shorter period.", file=file, n=size, most=MOST_UNPACKED
        )


def _first(sheet: Any) -> list[str]:
    """The first line of a sheet that is not blank."""
    return next((cells for _, cells in islice(_cells(sheet), _HEAD_ROWS) if any(cells)), [])


def _lines(sheet: Any, file: str) -> Iterator[tuple[int, list[str]]]:
    rows = _cells(sheet)
    while True:
        try:
            number, cells = next(rows)
        except StopIteration:
            return
        except Exception as exc:  # a damaged sheet shows only while it is read
            raise _damaged(file) from exc
        if number > MOST_ROWS:
            raise InputError("File {file} has more than {most} lines. Give a shorter period.", file=file, most=MOST_ROWS)
        if any(cells):
            yield number, cells


def _cells(sheet: Any) -> Iterator[tuple[int, list[str]]]:
    sheet.reset_dimensions()  # the size that a file claims is not trusted: rows are as wide as they are
    for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        yield number, [_text(cell) for cell in cells[:_MOST_COLUMNS]]


def _text(cell: object) -> str:
    """A cell as a CSV would hold it: days without a time of day, figures in full."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(sep=" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, float):
        return f"{cell:.12f}".rstrip("0").rstrip(".")
    return str(cell).strip()


def _damaged(file: str) -> InputError:
    return InputError(
        "File {file} cannot be read as an Excel workbook: it is damaged or protected. Save it again, or save its sheet as CSV.",
        file=shown(file),
    )
