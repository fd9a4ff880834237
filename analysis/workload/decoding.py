"""From bytes to text: UTF-8, UTF-16 with a byte order mark, or cp932 (Shift_JIS); anything else is refused."""

from __future__ import annotations

import codecs

from analysis.errors import WorkloadError

_MARKS = (
    (codecs.BOM_UTF32_LE, None),
    (codecs.BOM_UTF32_BE, None),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, file: str) -> tuple[str, str]:
    """The text and the name of the encoding it was written in.

    cp932 can read almost any bytes as something, so it is taken only when the result looks like Japanese; text in
    Latin-1, EUC-JP or GBK is refused instead of being read as garbage.

    Raises:
        WorkloadError: no supported encoding, or not text at all; with the line where reading stopped.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _marked(data, encoding, file), encoding or ""
    try:
        text, encoding = data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as exc:
        text, encoding = _japanese(data, file, exc), "cp932"
    if "\0" in text:
        raise _not_text(file, text[: text.index("\0")].count("\n") + 1)
    return text, encoding


def _marked(data: bytes, encoding: str | None, file: str) -> str:
    if encoding is None:
        raise _unreadable(file, 1)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as exc:
        start = data[: exc.start]
        raise _unreadable(file, start.decode(encoding, "replace").count("\n") + 1) from exc
    if "\0" in text:
        raise _not_text(file, text[: text.index("\0")].count("\n") + 1)
    return text


def _japanese(data: bytes, file: str, exc: UnicodeDecodeError) -> str:
    line = data[: exc.start].count(b"\n") + 1
    if b"\0" in data:
        raise _not_text(file, data[: data.index(b"\0")].count(b"\n") + 1) from exc
    try:
        text = data.decode("cp932")
    except UnicodeDecodeError as second:
        raise _unreadable(file, line) from second
    if not _looks_japanese(text):
        raise _unreadable(file, line) from exc
    return text


def _looks_japanese(text: str) -> bool:
    """Whether most of what is not ASCII is what Shift_JIS text is made of.

    A full-width character counts for it when it is kana or punctuation, or when its second byte is above ASCII;
    accented Latin letters misread as cp932 have ASCII second bytes, EUC-JP and GBK turn into half-width katakana.
    The sign of the yen is often the only one of a table; its bytes are never neighbours in Latin text.
    """
    letters = [character for character in text if character > "\x7f"]
    good = sum(
        1
        for character in letters
        if "\u3000" <= character <= "\u30ff" or "\uff01" <= character <= "\uff5e" or character == "円" or _high_second_byte(character)
    )
    return 2 * good >= len(letters)


def _high_second_byte(character: str) -> bool:
    written = character.encode("cp932", "replace")
    return len(written) == 2 and written[1] >= 0x80


def _unreadable(file: str, line: int) -> WorkloadError:
    return WorkloadError(
        "File {file}, line {line}: the text is not readable as UTF-8, as Shift_JIS (cp932) or as UTF-16 with a byte order mark. "
        "Save the file as UTF-8.",
        file=file,
        line=line,
    )


def _not_text(file: str, line: int) -> WorkloadError:
    return WorkloadError(
        "File {file}, line {line}: this is not text (it holds NUL bytes). "
        "Give JSON Lines, JSON, CSV, TSV or plain text, or name an Excel or Parquet file .xlsx or .parquet.",
        file=file,
        line=line,
    )
