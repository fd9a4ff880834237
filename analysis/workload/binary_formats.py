"""Rows of Excel and Parquet files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import date, time
from functools import partial
from typing import Any

from analysis.contracts import Message
from analysis.errors import WorkloadError
from analysis.workload.rows import Row, check_columns
from analysis.workload.shown import shown, shown_names
from analysis.workload.text_formats import table_rows
from analysis.workload.values import Place
from analysis.workload.workbook import Damaged, packed_size, rows_of, sheets_of

MAX_UNPACKED_BYTES = 1 << 30
"""Most that a packed file (Excel, Parquet) may hold once unpacked."""
MAX_EXCEL_ROWS = 1 << 20


def excel_rows(data: bytes, file: str, mapping: Mapping[str, str], notes: list[Message]) -> Iterator[Row]:
    """Every sheet that has a prompt column; sheets without one are named in a note."""
    damaged = partial(_damaged, file, "Excel")
    _check_unpacked(packed_size(data, damaged)[0], file)
    sheets = sheets_of(data, damaged)
    with_prompt = [sheet for sheet in sheets if _has_prompt(sheet, mapping, damaged)]
    passed = [sheet.title for sheet in sheets if sheet not in with_prompt]
    if passed and with_prompt:
        notes.append(
            Message(
                id="File {file}: sheets without a prompt column were passed over: {sheets}.",
                values={"file": file, "sheets": shown_names(passed)},
            )
        )
    for sheet in with_prompt or sheets[:1]:
        yield from table_rows(_sheet_lines(sheet, damaged), f"{file} [{shown(sheet.title, 40)}]", mapping)


def _has_prompt(sheet: Any, mapping: Mapping[str, str], damaged: Damaged) -> bool:
    wanted = {mapping.get("prompt", "prompt"), mapping.get("messages", "messages")}
    for _, cells in _sheet_lines(sheet, damaged):
        if any(cell is not None and str(cell).strip() for cell in cells):
            return bool(wanted & {str(cell).strip() for cell in cells if cell is not None})
    return False


def _sheet_lines(sheet: Any, damaged: Damaged) -> Iterator[tuple[int, list[object]]]:
    for number, cells in rows_of(sheet, damaged):
        if number > MAX_EXCEL_ROWS:
            raise damaged(ValueError("more rows than a sheet can have"))
        yield number, [_cell(cell) for cell in cells]


def _cell(cell: object) -> object:
    """A cell as text where Excel keeps numbers or dates; true and false stay."""
    if isinstance(cell, bool) or cell is None:
        return cell
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell)


def parquet_rows(data: bytes, file: str, mapping: Mapping[str, str], notes: list[Message]) -> Iterator[Row]:
    """Rows of a Parquet file; lists and nested turns come as they are."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(io.BytesIO(data))
        columns = table.schema_arrow.names
        size = sum(table.metadata.row_group(group).total_byte_size for group in range(table.metadata.num_row_groups))
    except (pyarrow.ArrowException, OSError, ValueError) as exc:
        raise _damaged(file, "Parquet", exc) from exc
    _check_unpacked(size, file)
    if not table.metadata.num_rows:
        return
    check_columns(columns, mapping, Place(file, 1))
    number = 0
    try:
        for batch in table.iter_batches(batch_size=256):
            for values in batch.to_pylist():
                number += 1
                yield Row(Place(file, number), values)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as exc:
        raise _damaged(file, "Parquet", exc) from exc


def _check_unpacked(size: int, file: str) -> None:
    if size > MAX_UNPACKED_BYTES:
        raise WorkloadError(
            "File {file} unpacks to {size} MiB; at most {limit} MiB are read. Give a part of it, or several smaller files.",
            file=file,
            size=size >> 20,
            limit=MAX_UNPACKED_BYTES >> 20,
        )


def _damaged(file: str, kind: str, exc: Exception) -> WorkloadError:
    return WorkloadError(
        "File {file} cannot be read as {kind} ({reason}). Save it again, or export it as CSV.",
        file=file,
        kind=kind,
        reason=shown(str(exc), 100) or type(exc).__name__,
    )
