"""Excel workbooks as lines of text: the sheet whose head line names the most known columns, its cells as a CSV would hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time
from functools import partial
from itertools import islice
from typing import Any

from analysis.errors import InputError
from analysis.workload.shown import shown
from analysis.workload.workbook import Damaged, packed_size, rows_of, sheets_of

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
    damaged = partial(_damaged, file)
    _check_size(*packed_size(data, damaged), file)
    sheets = sheets_of(data, damaged)
    if not sheets:
        return
    best = max(sheets, key=lambda sheet: hits(_first(sheet, damaged)))
    for number, cells in _cells(best, damaged):
        if number > MOST_ROWS:
            raise InputError("File {file} has more than {most} lines. Give a shorter period.", file=file, most=MOST_ROWS)
        if any(cells):
            yield number, cells


def _check_size(size: int, names: Sequence[str], file: str) -> None:
    if "xl/workbook.xml" not in names:
        raise InputError("File {file} is not a table. Give a CSV, or an Excel workbook saved as .xlsx.", file=file)
    if size > MOST_UNPACKED:
        raise InputError(
            "File {file} has {n} bytes; at most {most} are read. Give a shorter period.", file=file, n=size, most=MOST_UNPACKED
        )


def _first(sheet: Any, damaged: Damaged) -> list[str]:
    """The first line of a sheet that is not blank."""
    return next((cells for _, cells in islice(_cells(sheet, damaged), _HEAD_ROWS) if any(cells)), [])


def _cells(sheet: Any, damaged: Damaged) -> Iterator[tuple[int, list[str]]]:
    for number, cells in rows_of(sheet, damaged):
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


def _damaged(file: str, _exc: Exception) -> InputError:
    return InputError(
        "File {file} cannot be read as an Excel workbook: it is damaged or protected. Save it again, or save its sheet as CSV.",
        file=shown(file),
    )
