"""Tables as CSV that Excel opens rightly, in Japanese too."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Full-width ones too: a Japanese Excel may read them as the others."""


def to_csv(rows: Sequence[Mapping[str, object]]) -> bytes:
    """UTF-8 with BOM and CRLF line ends, the columns in the order in which they first appear; None is an empty cell.

    Text that a spreadsheet would run as a formula gets an apostrophe in front: prompts are data, not instructions.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([_cell(column) for column in columns])
    writer.writerows([[_cell(row.get(column)) for column in columns] for row in rows])
    return text.getvalue().encode("utf-8-sig")


def _cell(value: object) -> object:
    if isinstance(value, tuple | list):
        value = " ".join(map(str, value))
    if isinstance(value, str) and value.startswith(_FORMULA_SIGNS):
        return "'" + value
    return "" if value is None else value
