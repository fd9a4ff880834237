"""Tables from a spreadsheet or a log, read cell by cell: every problem names its line, its column, what was given and what is allowed.

Encodings are those of a workload (UTF-8, with or without a byte order mark, UTF-16 with one, cp932); a comma, a semicolon or a tab
separates; figures may have thousands separators, full-width digits and units, dates are Japanese or ISO. A file is read whole or
not at all.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from analysis.contracts.message import Message
from analysis.economics.money_text import parse_amount_text
from analysis.errors import InputError
from analysis.workload.decoding import decode
from analysis.workload.shown import shown

Kind = Literal["day", "month", "text", "count", "amount", "ratio"]
Cell = str | int | float | None
MOST_LINES = 200_000
MOST_BYTES = 50_000_000
_LARGEST = 1e15
_RATIO = (0.01, 100.0)
_DELIMITERS = ",;\t"
_DAY = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?")
_MONTH = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*月?")
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
BYTE_ORDER_MARK = "\ufeff"
"""In front of a table for spreadsheets: without it Excel shows Japanese as garbage."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: as Strata writes it.
        kind: what its cells hold.
        required: whether every line needs it.
        also: other names it is known by, Japanese ones among them.
        scales: a unit in brackets behind the name -> what its figures are multiplied by.
    """

    name: str
    kind: Kind
    required: bool = False
    also: tuple[str, ...] = ()
    scales: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """One line: its number in the file, its cells by column, and what was written in them."""

    number: int
    cells: Mapping[str, Cell]
    given: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A whole file, and the unit that stands in brackets behind a column's name."""

    lines: tuple[Line, ...]
    units: Mapping[str, str]


def read_table(data: bytes, file: str, columns: Sequence[Column]) -> Table:
    """All lines of a file with a head line.

    Raises:
        InputError: encoding, head line, or a cell that cannot be read; the first one.
    """
    rows = _rows(_text(data, file), file, columns)
    number, head = next(rows, (1, []))
    found, units = _head(head, number, file, columns)
    lines = tuple(_line(cells, number, file, found, units) for number, cells in rows)
    if not lines:
        raise InputError("File {file} holds no line below its head line. Add at least one.", file=file)
    return Table(lines, units)


def _text(data: bytes, file: str) -> str:
    if data[:2] == b"PK":
        raise InputError("File {file} is an Excel workbook. Save its sheet as CSV (UTF-8), and give that.", file=file)
    if len(data) > MOST_BYTES:
        raise InputError(
            "File {file} has {n} bytes; at most {most} are read. Give a shorter period.", file=file, n=len(data), most=MOST_BYTES
        )
    return decode(data, file)[0]


def _rows(text: str, file: str, columns: Sequence[Column]) -> Iterator[tuple[int, list[str]]]:
    """Lines that are not blank, with their numbers, by the delimiter that gives most known columns."""
    known = {_name(name)[0] for column in columns for name in (column.name, *column.also)}

    def hits(delimiter: str) -> int:
        return sum(_name(cell)[0] in known for cell in next(csv.reader(io.StringIO(text.lstrip()), delimiter=delimiter), []))

    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=hits), strict=True)
    number = 1
    try:
        for n, cells in enumerate(reader):
            if n > MOST_LINES:
                raise InputError("File {file} has more than {most} lines. Give a shorter period.", file=file, most=MOST_LINES)
            if any(cell.strip() for cell in cells):
                yield number, cells
            number = reader.line_num + 1
    except csv.Error as exc:
        raise InputError(
            "File {file}, line {line}: the table cannot be read ({reason}). Check the quotation marks.",
            file=file,
            line=number,
            reason=shown(str(exc), 100),
        ) from exc


def _name(cell: str) -> tuple[str, str]:
    """A column's name as it is compared, and the unit in brackets behind it."""
    plain = unicodedata.normalize("NFKC", cell).replace(BYTE_ORDER_MARK, "").strip().lower()
    found = re.fullmatch(r"(.*?)\s*[(\[](.*)[)\]]", plain)
    name, unit = (found[1], found[2].strip()) if found else (plain, "")
    return re.sub(r"[\s-]+", "_", name), unit


def _head(head: Sequence[str], line: int, file: str, columns: Sequence[Column]) -> tuple[list[Column], dict[str, str]]:
    by_name = {_name(name)[0]: column for column in columns for name in (column.name, *column.also)}
    found, units = list[Column](), dict[str, str]()
    for cell in _trimmed(head):
        name, unit = _name(cell)
        column = by_name.get(name)
        if column is None:
            raise InputError(
                "File {file}, line {line}: the column {column} is not known. Columns: {known}.",
                file=file,
                line=line,
                column=shown(cell) or "(empty)",
                known=tuple(column.name for column in columns),
            )
        if column in found:
            raise InputError("File {file}, line {line}: the column {column} stands there twice.", file=file, line=line, column=column.name)
        found.append(column)
        units[column.name] = unit
    missing = tuple(column.name for column in columns if column.required and column not in found)
    if missing:
        raise InputError(
            "File {file}, line {line}: columns are missing: {missing}. The first line names the columns: {known}.",
            file=file,
            line=line,
            missing=missing,
            known=tuple(column.name for column in columns),
        )
    return found, units


def _trimmed(cells: Sequence[str]) -> list[str]:
    """Without the empty cells that spreadsheets leave at the end of a line."""
    end = len(cells)
    while end and not cells[end - 1].strip():
        end -= 1
    return list(cells[:end])


def _line(cells: Sequence[str], number: int, file: str, columns: Sequence[Column], units: Mapping[str, str]) -> Line:
    if len(_trimmed(cells)) > len(columns):
        raise InputError(
            "File {file}, line {line}: there are more cells ({n}) than columns in the head line ({columns}). "
            "Put figures with separators in quotation marks.",
            file=file,
            line=number,
            n=len(_trimmed(cells)),
            columns=len(columns),
        )
    given = {column.name: cell.strip() for column, cell in zip(columns, cells, strict=False)}
    values = dict[str, Cell]()
    for column in columns:
        text = given.get(column.name, "")
        if text:
            values[column.name] = _cell(text, column, units[column.name], file, number)
        elif column.required:
            raise InputError(
                "File {file}, line {line}, column {column}: the cell is empty. Fill it in.", file=file, line=number, column=column.name
            )
        else:
            values[column.name] = None
    return Line(number, values, given)


def _cell(text: str, column: Column, unit: str, file: str, line: int) -> Cell:
    try:
        if column.kind == "text":
            return shown(text.removeprefix("'") if text[1:].startswith(_FORMULA_SIGNS) else text, 200)
        if column.kind == "day":
            return read_day(text)
        if column.kind == "month":
            return read_month(text)
        return _figure(text, column, unit)
    except InputError as exc:
        raise problem_at(file, line, column.name, exc.message) from exc


def problem_at(file: str, line: int, column: str, problem: Message) -> InputError:
    """A problem with the place where it stands."""
    values = {"file": file, "line": line, "column": column, "problem": problem}
    said = InputError.from_message(Message(id="File {file}, line {line}, column {column}: {problem}", values=values))
    assert isinstance(said, InputError)
    return said


def _figure(text: str, column: Column, unit: str) -> int | float:
    value = parse_amount_text(text) * column.scales.get(unit, 1.0)
    if column.kind == "count":
        if value < 0 or value != int(value) or value > _LARGEST:
            raise InputError("{given} was given; a whole number of 0 or more is needed.", given=shown(text))
        return int(value)
    if column.kind == "ratio" and not _RATIO[0] <= value <= _RATIO[1]:
        raise InputError(
            "{given} was given; a ratio of {low} to {high} is needed, such as 1.03.",
            given=shown(text),
            low=f"{_RATIO[0]:g}",
            high=f"{_RATIO[1]:g}",
        )
    if not 0 <= value <= _LARGEST:
        raise InputError("{given} was given; a figure of 0 or more is needed.", given=shown(text))
    return value


def read_day(text: str) -> str:
    """A day as ISO text from 2026-12-01, 2026/12/1 or 2026年12月1日, in full-width digits too.

    Raises:
        InputError: another form, or no such day.

    >>> read_day("２０２６年１２月１日")
    '2026-12-01'
    """
    found = _DAY.fullmatch(unicodedata.normalize("NFKC", text).strip())
    try:
        if found is not None:
            return date(int(found[1]), int(found[2]), int(found[3])).isoformat()
    except ValueError as exc:
        raise InputError("{given} is not a day of the calendar. Write it as 2026-12-01.", given=shown(text)) from exc
    raise InputError("{given} is not a date. Write it as 2026-12-01, 2026/12/1 or 2026年12月1日.", given=shown(text))


def read_month(text: str) -> str:
    """A month as 2026-12 from 2026-12, 2026/12, 2026年12月, or any day of it.

    Raises:
        InputError: another form, or no such month.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    if _DAY.fullmatch(plain):
        return read_day(plain)[:7]
    found = _MONTH.fullmatch(plain)
    if found is None or not 1 <= int(found[2]) <= 12:
        raise InputError("{given} is not a month. Write it as 2026-12, 2026/12 or 2026年12月.", given=shown(text))
    return f"{found[1]}-{int(found[2]):02d}"


def write_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table for a spreadsheet: a byte order mark, commas, CRLF; text that would run as a formula gets an apostrophe in front."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([[_written(value) for value in row] for row in rows])
    return BYTE_ORDER_MARK + text.getvalue()


def _written(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA_SIGNS):
        return "'" + value
    return "" if value is None else value
