"""Single values of a row: what a cell or a JSON field may hold, and what it means."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass

from analysis.errors import WorkloadError
from analysis.workload.shown import shown

MAX_CHARACTERS = 1_000_000
"""Longest single text that is read; about 250,000 tokens."""
MAX_SLICE_NAME = 80
_NUMBER = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d*)?([eE][+-]?\d{1,3})?")
_YES = {"true", "yes", "y", "1", "はい"}
_NO = {"false", "no", "n", "0", "いいえ"}


@dataclass(frozen=True)
class Place:
    """Where a row stands: the file (with its sheet) and the line, row or entry in it, counted from 1."""

    file: str
    line: int


def text_value(value: object, field: str, place: Place) -> str:
    """A text, as it stands. Spaces and line breaks around it are kept."""
    if not isinstance(value, str):
        raise WorkloadError(
            "File {file}, line {line}: '{field}' must be text, but it is {kind}.",
            file=place.file,
            line=place.line,
            field=field,
            kind=kind_of(value),
        )
    if len(value) > MAX_CHARACTERS:
        raise WorkloadError(
            "File {file}, line {line}: '{field}' has {n} characters; at most {limit} are read. Shorten the text or split it.",
            file=place.file,
            line=place.line,
            field=field,
            n=len(value),
            limit=MAX_CHARACTERS,
        )
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise WorkloadError(
            "File {file}, line {line}: '{field}' holds half of a character (a lone surrogate). Write the file again as UTF-8.",
            file=place.file,
            line=place.line,
            field=field,
        ) from exc
    return value


def number_value(value: object, field: str, place: Place) -> float:
    """A finite number; full-width digits and thousands separators are understood."""
    number = _number(value)
    if number is None or not math.isfinite(number):
        raise WorkloadError(
            "File {file}, line {line}: '{field}' must be a finite number, but it is {value}.",
            file=place.file,
            line=place.line,
            field=field,
            value=shown(str(value)) if isinstance(value, str | int | float) else kind_of(value),
        )
    return number


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    if isinstance(value, str):
        plain = unicodedata.normalize("NFKC", value[:200]).strip()
        return float(plain.replace(",", "")) if len(value) <= 200 and _NUMBER.fullmatch(plain) else None
    return None


def weight_value(value: object, place: Place) -> float:
    """How much an example counts: above 0. The bounds keep sums within float32."""
    weight = number_value(value, "weight", place)
    if not 1e-6 <= weight <= 1e6:
        raise WorkloadError(
            "File {file}, line {line}: 'weight' is {value}; it must be between 0.000001 and 1,000,000. Leave it out for 1.",
            file=place.file,
            line=place.line,
            value=str(value)[:40],
        )
    return weight


def requests_value(value: object, place: Place) -> float:
    """Requests a month: 0 or more."""
    requests = number_value(value, "requests_per_month", place)
    if requests < 0:
        raise WorkloadError(
            "File {file}, line {line}: 'requests_per_month' is {value}; it must be 0 or more.",
            file=place.file,
            line=place.line,
            value=requests,
        )
    return requests


def yes_no_value(value: object, field: str, place: Place) -> bool:
    """true / false, yes / no, 1 / 0, はい / いいえ."""
    if isinstance(value, bool):
        return value
    word = unicodedata.normalize("NFKC", str(value)[:20]).strip().lower() if isinstance(value, str | int) else ""
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise WorkloadError(
        "File {file}, line {line}: '{field}' must be true or false (also yes, no, 1, 0, はい, いいえ), but it is {value}.",
        file=place.file,
        line=place.line,
        field=field,
        value=shown(str(value)) if isinstance(value, str | int | float) else kind_of(value),
    )


def slice_value(value: object, place: Place) -> str:
    """The name of a slice: one short line that can be seen. A number becomes its text."""
    name = str(value) if isinstance(value, int) and not isinstance(value, bool) else text_value(value, "slice", place)
    name = " ".join(name.split())
    if len(name) > MAX_SLICE_NAME or shown(name, MAX_SLICE_NAME) != name:
        raise WorkloadError(
            "File {file}, line {line}: the slice name {name} cannot be used. Use at most {limit} visible characters on one line.",
            file=place.file,
            line=place.line,
            name=shown(name),
            limit=MAX_SLICE_NAME,
        )
    return name


def kind_of(value: object) -> str:
    """What sort of value it is, in JSON's words."""
    names = {type(None): "null", bool: "true/false", int: "number", float: "number", str: "text", list: "list", dict: "object"}
    return names.get(type(value), type(value).__name__)
