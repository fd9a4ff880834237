"""Tables from a spreadsheet or a log, read cell by cell: every problem names its line, its column, what was given and what is allowed.

Encodings are those of a workload (UTF-8, with or without a byte order mark, UTF-16 with one, cp932); a comma, a semicolon or a tab
separates; an Excel workbook (.xlsx) is read too. Figures may have thousands separators, full-width digits and units, dates are
Japanese or ISO. A file is read whole or not at all.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from analysis.contracts.message import Message
from analysis.economics.business_sheets import is_workbook, sheet_rows
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
_LONGEST_FIGURE = 60
_LONGEST_CELL = 100_000
"""Held here: the csv module's own limit belongs to the whole process, and whoever reads a long prompt raises it."""
_DELIMITERS = ",;\t"
_REIWA = 2018
_TOTALS = frozenset({"合計", "総計", "小計", "計", "累計", "平均", "total", "subtotal", "sum", "average", "mean"})
"""What stands in front of a line that sums up others."""
_DAY = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?(?:\s*\([月火水木金土日]\)|[T ]00:00(?::00)?)?")
_MONTH = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*月?(?:\s*[分度])?")
_ERA = re.compile(r"令和\s*(\d{1,2}|元)\s*年")
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
        scales: a unit in brackets behind the name -> what its figures are multiplied by; a figure in any other unit is refused.
        suffixes: what may stand behind a figure in its cell, such as 件.
    """

    name: str
    kind: Kind
    required: bool = False
    also: tuple[str, ...] = ()
    scales: Mapping[str, float] = field(default_factory=dict)
    suffixes: tuple[str, ...] = ()


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
    known = frozenset(_name(name)[0] for column in columns for name in (column.name, *column.also))
    rows = sheet_rows(data, file, lambda cells: _hits(cells, known)) if is_workbook(data) else _rows(_text(data, file), file, known)
    number, head = next(rows, (1, []))
    found, units = _head(head, number, file, columns)
    lines = tuple(_line(cells, number, file, found, units) for number, cells in rows)
    if not lines:
        raise InputError("File {file} holds no line below its head line. Add at least one.", file=file)
    return Table(lines, units)


def _text(data: bytes, file: str) -> str:
    if len(data) > MOST_BYTES:
        raise InputError(
            "File {file} has {n} bytes; at most {most} are read. Give a shorter period.", file=file, n=len(data), most=MOST_BYTES
        )
    if b"\0" in data and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError("File {file} is not a table. Give a CSV, or an Excel workbook saved as .xlsx.", file=file)
    return re.sub(r"\r\n?", "\n", decode(data, file)[0])


def _hits(cells: Iterable[str], known: Set[str]) -> int:
    """How many cells of a line are names of columns."""
    return sum(_name(cell)[0] in known for cell in cells)


def _rows(text: str, file: str, known: Set[str]) -> Iterator[tuple[int, list[str]]]:
    """Lines that are not blank, with their numbers, by the delimiter that gives most known columns."""
    head = text.lstrip().partition("\n")[0].replace('"', "")
    delimiter = max(_DELIMITERS, key=lambda each: _hits(head.split(each), known))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 1
    try:
        for n, cells in enumerate(reader):
            if n > MOST_LINES:
                raise InputError("File {file} has more than {most} lines. Give a shorter period.", file=file, most=MOST_LINES)
            if max(map(len, cells), default=0) > _LONGEST_CELL:
                raise csv.Error
            if any(cell.strip() for cell in cells):
                yield number, cells
            number = reader.line_num + 1
    except csv.Error as exc:
        raise InputError(
            "File {file}, line {line}: the table cannot be read from here on: a quotation mark is not closed, or a cell is far too long. "
            "Correct it.",
            file=file,
            line=number,
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
        units[column.name] = _unit(unit, column, line, file)
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


def _unit(unit: str, column: Column, line: int, file: str) -> str:
    """The unit in brackets behind a column's name; figures in one that is not known would be wrong by its factor."""
    if unit and column.kind not in ("text", "day", "month") and unit not in (*column.scales, *column.suffixes):
        known = tuple(dict.fromkeys((*column.scales, *column.suffixes)))
        raise InputError(
            "File {file}, line {line}: the column {column} cannot be in {unit}. Units: {known}; or none in brackets.",
            file=file,
            line=line,
            column=column.name,
            unit=shown(unit),
            known=known,
        )
    return unit


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
    first = next(text for text in given.values() if text) if any(given.values()) else ""
    if unicodedata.normalize("NFKC", first).replace(" ", "").lower() in _TOTALS:
        raise InputError(
            "File {file}, line {line}: {given} sums up other lines. Leave this line out.", file=file, line=number, given=shown(first)
        )
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
    value = _value(text, column, unit)
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


def _value(text: str, column: Column, unit: str) -> float:
    scale = column.scales.get(unit, 1.0)
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_FIGURE:  # most figures of a long log
        return float(text) * scale
    plain = unicodedata.normalize("NFKC", text).strip()
    if "%" in plain or len(text) > _LONGEST_FIGURE:
        raise InputError("{given} was given; a figure is needed here, not a share or a long text.", given=shown(text))
    if scale != 1.0 and any(sign in plain for sign in "百千万億兆"):
        raise InputError(
            "{given} was given in a column whose head names the unit {unit}. Give the unit in one of the two places.",
            given=shown(text),
            unit=unit,
        )
    for suffix in column.suffixes:
        if plain.lower().endswith(suffix) and plain.lower() != suffix:
            plain = plain[: -len(suffix)]
            break
    return parse_amount_text(plain if plain else text) * scale


def _plain_date(text: str) -> str:
    """Half-width, and years of the era Reiwa as those of the calendar."""
    plain = unicodedata.normalize("NFKC", text).strip().removeprefix("'")
    return _ERA.sub(lambda found: f"{_REIWA + (1 if found[1] == '元' else int(found[1]))}年", plain)


def read_day(text: str) -> str:
    """A day as ISO text from 2026-12-01, 2026/12/1 or 2026年12月1日, in full-width digits too.

    Raises:
        InputError: another form, or no such day.

    >>> read_day("２０２６年１２月１日")
    '2026-12-01'
    """
    found = _DAY.fullmatch(_plain_date(text))
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
    plain = _plain_date(text)
    if _DAY.fullmatch(plain):
        return read_day(plain)[:7]
    found = _MONTH.fullmatch(plain)
    if found is None or not 1 <= int(found[2]) <= 12 or int(found[1]) < 1:
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
