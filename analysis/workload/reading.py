"""From files to a workload: read, check, slice, mask, count."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.contracts import Message, WorkloadChoice, WorkloadFile, WorkloadInfo
from analysis.errors import WorkloadError
from analysis.workload import personal
from analysis.workload.binary_formats import excel_rows, parquet_rows
from analysis.workload.decoding import decode
from analysis.workload.example import Example
from analysis.workload.rows import FIELDS, Row, check_mapping, example_of
from analysis.workload.shown import shown, shown_names
from analysis.workload.slicing import Slicing, sliced
from analysis.workload.text_formats import csv_table, json_document, json_lines, plain_text, tsv_table
from analysis.workload.workload import Workload, slice_infos, without_duplicates, workload_hash

MAX_FILE_BYTES = 256 << 20
MAX_EXAMPLES = 100_000
_TEXT: Mapping[str, Callable[[str, str, Mapping[str, str]], Iterator[Row]]] = {
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".json": json_document,
    ".csv": csv_table,
    ".tsv": tsv_table,
    ".txt": plain_text,
}
_BINARY = {".xlsx": excel_rows, ".parquet": parquet_rows}
FORMATS = (*_TEXT, *_BINARY)
"""File name endings that are read."""
SAMPLE_PATH = Path(__file__).resolve().parents[2] / "sample_data" / "workload.jsonl"


@dataclass(frozen=True)
class _Read:
    file: WorkloadFile
    examples: tuple[Example, ...]
    columns: frozenset[str]
    notes: tuple[Message, ...]


def read_workload(
    paths: Sequence[Path],
    *,
    mapping: Mapping[str, str] | None = None,
    slicing: Slicing = "given",
    mask_personal_data: bool = False,
    joined_characters: int | None = None,
) -> Workload:
    """Reads one workload from one or several files.

    Args:
        paths: files of any of the formats, mixed as you like.
        mapping: field -> column, for files whose columns have other names; columns are never guessed.
        slicing: "given" keeps the slices of the files, "language" goes by script, "length" makes thirds, "none" one slice.
        mask_personal_data: replace likely mail addresses and telephone numbers by [mail] and [phone].
        joined_characters: of plain text, lines that follow each other are one text until it is so long; None: each line is a prompt.

    Raises:
        WorkloadError: the first thing that cannot be used, with file and line.
    """
    mapping = dict(mapping or {})
    check_mapping(mapping)
    if not paths:
        raise WorkloadError("No workload file was given. Give at least one of: {formats}.", formats=", ".join(FORMATS))
    reads = [_read_file(Path(path), mapping, joined_characters) for path in paths]
    _check_mapped(reads, mapping)
    name = shown(reads[0].file.name) if len(reads) == 1 else shown_names([read.file.name for read in reads], limit=3)
    return _workload(reads, name=name, mapping=mapping, slicing=slicing, mask_personal_data=mask_personal_data)


def sample_workload(*, slicing: Slicing = "given", mask_personal_data: bool = False) -> Workload:
    """The workload that comes with the product."""
    if not SAMPLE_PATH.is_file():
        raise WorkloadError(
            "The sample workload {path} is missing. Restore it from the repository, or give a file of your own.", path=str(SAMPLE_PATH)
        )
    read = _read_file(SAMPLE_PATH, {})
    read = replace(
        read, file=read.file.model_copy(update={"path": f"{SAMPLE_PATH.parent.name}/{SAMPLE_PATH.name}"})
    )  # the same on every machine
    return _workload([read], name="sample", mapping={}, slicing=slicing, mask_personal_data=mask_personal_data, is_sample=True)


def requested_workload(request: WorkloadChoice) -> Workload:
    """The workload that a job asks for."""
    if not request.workload_paths:
        return sample_workload(slicing=request.slicing, mask_personal_data=request.mask_personal_data)
    return read_workload(
        [Path(path) for path in request.workload_paths],
        mapping=request.mapping,
        slicing=request.slicing,
        mask_personal_data=request.mask_personal_data,
        joined_characters=request.joined_characters,
    )


def _workload(
    reads: Sequence[_Read], *, name: str, mapping: Mapping[str, str], slicing: Slicing, mask_personal_data: bool, is_sample: bool = False
) -> Workload:
    read = [example for part in reads for example in part.examples]
    cleaned = [personal.masked(example) for example in read]
    n_personal = len({example.id for example, clean in zip(read, cleaned, strict=True) if clean is not example})
    unique, n_duplicates = without_duplicates(cleaned if mask_personal_data else read)
    examples, slicing_notes = sliced(unique, slicing)
    slices = slice_infos(examples)
    n_calibration = sum(part.n_calibration for part in slices)
    info = WorkloadInfo(
        name=name,
        content_hash=workload_hash(examples),
        files=tuple(part.file for part in reads),
        mapping=mapping,
        slicing=slicing,
        n_examples=len(examples),
        n_calibration=n_calibration,
        n_verification=len(examples) - n_calibration,
        n_with_response=sum(1 for example in examples if example.response is not None),
        n_duplicates=n_duplicates,
        n_personal_data=n_personal,
        masked=mask_personal_data,
        is_sample=is_sample,
        slices=slices,
        notes=(*(note for part in reads for note in part.notes), *_unused_note(reads, mapping), *slicing_notes),
    )
    return Workload(info=info.model_copy(update={"notes": (*info.notes, *_findings(info))}), examples=examples)


def _unused_note(reads: Sequence[_Read], mapping: Mapping[str, str]) -> tuple[Message, ...]:
    used = {mapping.get(field, field) for field in FIELDS}
    unused = sorted(set[str]().union(*(read.columns for read in reads)) - used)
    if not unused:
        return ()
    return (Message(id="Columns not used: {n} ({columns}).", values={"n": len(unused), "columns": shown_names(unused)}),)


def _findings(info: WorkloadInfo) -> list[Message]:
    """What a user should know before running: copies, personal data, slices too small to verify."""
    notes = []
    if info.n_duplicates:
        notes.append(Message(id="Exact copies of other examples left out: {n}. Each example counts once.", values={"n": info.n_duplicates}))
    if info.n_personal_data and info.masked:
        notes.append(
            Message(
                id="Likely mail addresses and telephone numbers were replaced by [mail] and [phone]; examples concerned: {n}.",
                values={"n": info.n_personal_data},
            )
        )
    elif info.n_personal_data:
        notes.append(
            Message(
                id="Examples with a likely mail address or telephone number: {n}. They can be masked.", values={"n": info.n_personal_data}
            )
        )
    small = [part.name for part in info.slices if not part.verifiable]
    if small:
        notes.append(
            Message(
                id="Fewer than 8 verification examples, too few to verify anything: {slices}. Add prompts there.",
                values={"slices": shown_names(small)},
            )
        )
    return notes


def _read_file(path: Path, mapping: Mapping[str, str], joined_characters: int | None = None) -> _Read:
    name = shown(path.name, 80)
    data = _bytes(path, name)
    notes: list[Message] = []
    rows, encoding = _rows(path.suffix.lower(), data, name, mapping, notes, joined_characters)
    examples, columns = [], set[str]()
    for row in rows:
        examples.append(example_of(row, mapping))
        columns.update(column for column in row.values if column)
        if len(examples) > MAX_EXAMPLES:
            raise WorkloadError(
                "File {file} has more than {limit} examples. Give a sample of them; a few hundred prompts are enough.",
                file=name,
                limit=MAX_EXAMPLES,
            )
    if not examples:
        raise WorkloadError("File {file} holds no examples. Each needs at least a prompt.", file=name)
    file = WorkloadFile(name=name, path=str(path), sha256=hashlib.sha256(data).hexdigest(), encoding=encoding, n_examples=len(examples))
    return _Read(file, tuple(examples), frozenset(columns), tuple(notes))


def _check_mapped(reads: Sequence[_Read], mapping: Mapping[str, str]) -> None:
    """Refuses a mapping to a column that none of the files has."""
    columns = set[str]().union(*(read.columns for read in reads))
    for field, column in mapping.items():
        if column not in columns and any(not read.file.name.lower().endswith(".txt") for read in reads):
            raise WorkloadError(
                "There is no column '{column}', which --map names for '{field}'. Columns found: {columns}.",
                column=shown(column),
                field=field,
                columns=shown_names(sorted(columns)),
            )


def _bytes(path: Path, name: str) -> bytes:
    try:
        if path.is_dir():
            raise WorkloadError("{file} is a folder. Give a workload file: {formats}.", file=name, formats=", ".join(FORMATS))
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise WorkloadError(
                "File {file} has {size} MiB; at most {limit} MiB are read. Give a part of it, or several smaller files.",
                file=name,
                size=size >> 20,
                limit=MAX_FILE_BYTES >> 20,
            )
        data = path.read_bytes()
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise WorkloadError(
            "File {file} cannot be opened ({reason}). Check the path and the permission.", file=name, reason=shown(reason)
        ) from exc
    if not data.strip():
        raise WorkloadError("File {file} is empty. Each example needs at least a prompt.", file=name)
    return data


def _rows(
    suffix: str, data: bytes, name: str, mapping: Mapping[str, str], notes: list[Message], joined_characters: int | None
) -> tuple[Iterator[Row], str]:
    if suffix in _BINARY:
        return _BINARY[suffix](data, name, mapping, notes), "binary"
    if suffix not in _TEXT:
        raise WorkloadError(
            "File {file} has a format that is not read. Use one of: {formats}; save an old Excel file (.xls) as .xlsx.",
            file=name,
            formats=", ".join(FORMATS),
        )
    text, encoding = decode(data, name)
    if encoding not in ("utf-8", "utf-8-sig"):
        notes.append(Message(id="File {file} was read as {encoding}.", values={"file": name, "encoding": encoding}))
    if suffix == ".txt" and joined_characters is not None:
        notes.append(
            Message(
                id="File {file}: lines that follow each other were read as one text, until it had {n} characters.",
                values={"file": name, "n": joined_characters},
            )
        )
        return plain_text(text, name, mapping, joined_characters), encoding
    if suffix == ".txt":
        notes.append(
            Message(
                id="File {file}: each line was read as one prompt. For prompts of several lines use JSON Lines or CSV.",
                values={"file": name},
            )
        )
    return _TEXT[suffix](text, name, mapping), encoding
