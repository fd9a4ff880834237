"""Rows of the text formats: JSON Lines, JSON, CSV, TSV, plain text; each row with the line it starts on."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn

from analysis.errors import WorkloadError
from analysis.workload.rows import Row, check_columns
from analysis.workload.shown import shown
from analysis.workload.values import MAX_CHARACTERS, Place

MAX_LINE = 16_000_000
"""Longest line (JSON Lines, plain text) or entry that is read, in characters."""
_SPACE = re.compile(r"[ \t\r\n]*")


def json_lines(text: str, file: str, mapping: Mapping[str, str]) -> Iterator[Row]:
    """One JSON object a line; blank lines are passed over."""
    for number, line in _lines(text, file):
        yield _record(_loaded(line, Place(file, number)), Place(file, number))


def plain_text(text: str, file: str, mapping: Mapping[str, str], joined_characters: int | None = None) -> Iterator[Row]:
    """One prompt a line, or of several lines until they are so long together; blank lines are passed over."""
    column = mapping.get("prompt", "prompt")
    lines = _lines(text, file)
    for number, prompt in lines if joined_characters is None else _joined(lines, joined_characters):
        yield Row(Place(file, number), {column: prompt})


def _joined(lines: Iterable[tuple[int, str]], characters: int) -> Iterator[tuple[int, str]]:
    """Lines that follow each other in pieces of at least so many characters (the last may be shorter), with the first line's number."""
    piece: list[str] = []
    first = size = 0
    for number, line in lines:
        if piece and size + len(line) >= MAX_CHARACTERS:
            yield first, "\n".join(piece)
            piece, size = [], 0
        first = first if piece else number
        piece.append(line)
        size += len(line) + 1
        if size > characters:
            yield first, "\n".join(piece)
            piece, size = [], 0
    if piece:
        yield first, "\n".join(piece)


def _lines(text: str, file: str) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not blank, without their ends; only \\n, \\r\\n and \\r end a line, as editors count."""
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        if len(line) > MAX_LINE:
            raise WorkloadError(
                "File {file}, line {line}: the line has {n} characters; at most {limit} are read. Put one example on each line.",
                file=file,
                line=number,
                n=len(line),
                limit=MAX_LINE,
            )
        if line.strip():
            yield number, line.removesuffix("\n")


def _record(value: object, place: Place) -> Row:
    if not isinstance(value, dict):
        raise WorkloadError(
            "File {file}, line {line}: each example must be a JSON object with named fields, such as {example}.",
            file=place.file,
            line=place.line,
            example='{"prompt": "..."}',
        )
    return Row(place, value)


def _loaded(text: str, place: Place) -> object:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as exc:
        _broken(exc, place)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the same name stands twice in one object")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_once)


def _broken(exc: Exception, place: Place) -> NoReturn:
    reason = exc.msg if isinstance(exc, json.JSONDecodeError) else "nested too deeply" if isinstance(exc, RecursionError) else str(exc)
    raise WorkloadError(
        "File {file}, line {line}: this is not valid JSON ({reason}). Correct the line; in a .jsonl file each line is one object.",
        file=place.file,
        line=place.line,
        reason=shown(reason, 100),
    ) from exc


def json_document(text: str, file: str, mapping: Mapping[str, str]) -> Iterator[Row]:
    """A JSON array of objects, an object with one list of them, or one example alone."""
    start = _SPACE.match(text).end()  # type: ignore[union-attr]  # matches the empty string too
    if text[start : start + 1] == "[":
        yield from _entries(text, start, file)
        return
    document = _document(text, file)
    if not isinstance(document, dict):
        raise WorkloadError("File {file}: JSON must be a list of examples, or an object with one list of them.", file=file)
    if {mapping.get("prompt", "prompt"), mapping.get("messages", "messages")} & document.keys():
        yield Row(Place(file, 1), document)
        return
    lists = [name for name, value in document.items() if isinstance(value, list)]
    if len(lists) != 1:
        raise WorkloadError(
            "File {file}: the JSON object holds {n} lists; it must hold exactly one, the list of examples. "
            "Give JSON Lines or a plain list instead.",
            file=file,
            n=len(lists),
        )
    yield from _entries(text, _value_start(text, lists[0]), file)


def _document(text: str, file: str) -> object:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        if exc.msg == "Extra data":
            raise WorkloadError(
                "File {file}, line {line}: there is more after the first JSON value. If each line is one object, name the file .jsonl.",
                file=file,
                line=exc.lineno,
            ) from exc
        _broken(exc, Place(file, exc.lineno))
    except (ValueError, RecursionError) as exc:
        _broken(exc, Place(file, 1))


def _value_start(text: str, name: str) -> int:
    """Where the value of a name of the outermost object starts; the text is known to be valid JSON."""
    position = text.index("{") + 1
    while True:
        key, end = _DECODER.raw_decode(text, _SPACE.match(text, position).end())  # type: ignore[union-attr]
        start = _SPACE.match(text, text.index(":", end) + 1).end()  # type: ignore[union-attr]
        if key == name:
            return start
        position = text.index(",", _DECODER.raw_decode(text, start)[1]) + 1


def _entries(text: str, start: int, file: str) -> Iterator[Row]:
    """The objects of the array that opens at `start`, each with the line it starts on."""
    position, line, counted = start + 1, text.count("\n", 0, start) + 1, start
    expect_more = False
    while True:
        position = _SPACE.match(text, position).end()  # type: ignore[union-attr]
        line, counted = line + text.count("\n", counted, position), position
        place = Place(file, line)
        if text[position : position + 1] == "]" and not expect_more:
            _check_end(text, position + 1, place)
            return
        try:
            value, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as exc:
            _broken(exc, Place(file, exc.lineno) if isinstance(exc, json.JSONDecodeError) else place)
        yield _record(value, place)
        position = _SPACE.match(text, position).end()  # type: ignore[union-attr]
        expect_more = text[position : position + 1] == ","
        if expect_more:
            position += 1
        elif text[position : position + 1] != "]":
            _broken(json.JSONDecodeError("Expecting ',' delimiter", text, position), Place(file, text.count("\n", 0, position) + 1))


def _check_end(text: str, position: int, place: Place) -> None:
    rest = text[_SPACE.match(text, position).end() :]  # type: ignore[union-attr]
    if rest and rest[0] not in ",}":
        raise WorkloadError(
            "File {file}, line {line}: there is more after the first JSON value. If each line is one object, name the file .jsonl.",
            file=place.file,
            line=place.line,
        )


def csv_table(text: str, file: str, mapping: Mapping[str, str]) -> Iterator[Row]:
    """A table with a head line; the delimiter (comma, semicolon, tab or bar) is the one that gives the named columns."""
    return _table(text, file, mapping, ",;\t|")


def tsv_table(text: str, file: str, mapping: Mapping[str, str]) -> Iterator[Row]:
    """A table with a head line and tabs between its columns."""
    return _table(text, file, mapping, "\t")


def _table(text: str, file: str, mapping: Mapping[str, str], delimiters: str) -> Iterator[Row]:
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CHARACTERS + 1))
    heads = [_head(text, delimiter) for delimiter in delimiters]
    wanted = {mapping.get("prompt", "prompt"), mapping.get("messages", "messages")}
    best = max(range(len(heads)), key=lambda i: (bool(wanted & set(heads[i])), len(heads[i]), -i))
    yield from table_rows(_cells(text, delimiters[best], file), file, mapping)


def _head(text: str, delimiter: str) -> list[str]:
    try:
        return next((_names(cells) for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(cells)), [])
    except csv.Error:
        return []


def _names(cells: Iterable[object]) -> list[str]:
    return [str(cell).strip() for cell in cells]


def _cells(text: str, delimiter: str, file: str) -> Iterator[tuple[int, list[object]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, list(cells)
            line = reader.line_num + 1
    except csv.Error as exc:
        raise WorkloadError(
            "File {file}, line {line}: the table cannot be read ({reason}). "
            "Check the quotation marks around cells with line breaks or delimiters.",
            file=file,
            line=line,
            reason=shown(str(exc), 100),
        ) from exc


def table_rows(lines: Iterator[tuple[int, list[object]]], file: str, mapping: Mapping[str, str]) -> Iterator[Row]:
    """Rows of a table whose first line that is not blank names the columns."""
    filled = ((line, cells) for line, cells in lines if any(cell is not None and str(cell).strip() for cell in cells))
    line, head = next(filled, (1, []))
    columns = [str(cell).strip() if cell is not None else "" for cell in head]
    if not columns:
        return
    check_columns(columns, mapping, Place(file, line))
    twice = next((name for name in columns if name and columns.count(name) > 1), None)
    if twice is not None:
        raise WorkloadError(
            "File {file}, line {line}: the column '{column}' stands there twice.", file=file, line=line, column=shown(twice)
        )
    for number, cells in filled:
        extra = [cell for cell in cells[len(columns) :] if cell is not None and str(cell).strip()]
        if extra:
            raise WorkloadError(
                "File {file}, line {line}: there are more cells ({n}) than columns in the head line ({columns}). "
                "Check the quotation marks.",
                file=file,
                line=number,
                n=len(cells),
                columns=len(columns),
            )
        yield Row(Place(file, number), dict(zip(columns, cells, strict=False)), table=True)
