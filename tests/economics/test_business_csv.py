"""Tables from spreadsheets: encodings, delimiters, figures and dates as people write them; every problem with its place."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.economics.business_csv import BYTE_ORDER_MARK, Column, read_day, read_month, read_table, write_table
from analysis.errors import InputError, StrataError
from analysis.i18n import render

COLUMNS = (
    Column("date", "day", True, ("日付",)),
    Column("name", "text", True, ("名前",)),
    Column("count", "count", False, ("件数",), suffixes=("件",)),
    Column("bill", "amount", False, ("請求額",), {"千円": 1000.0}),
    Column("ratio", "ratio", suffixes=("倍",)),
)


def cells(text: str, encoding: str = "utf-8") -> list[dict[str, object]]:
    return [dict(line.cells) for line in read_table(text.encode(encoding), "t.csv", COLUMNS).lines]


def refused(text: str | bytes) -> str:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(InputError) as caught:
        read_table(data, "t.csv", COLUMNS)
    assert "{" not in render(caught.value.message, "ja")
    return render(caught.value.message, "en")


def test_a_cell_that_is_far_too_long_is_refused_whatever_another_reader_allows() -> None:
    before = csv.field_size_limit(10_000_000)
    try:
        with pytest.raises(InputError, match="line 2: the table cannot be read"):
            cells(f"date,name\n2026-12-01,{'a' * 200_000}\n")
    finally:
        csv.field_size_limit(before)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_encoding_and_delimiter_is_read(encoding: str, delimiter: str) -> None:
    rows = [["日付", "名前", "件数"], ["2026年12月1日", "受注入力", "１２００"]]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    assert cells(text, encoding) == [{"date": "2026-12-01", "name": "受注入力", "count": 1200}]


def test_english_and_japanese_names_and_units_in_brackets_are_known() -> None:
    assert cells('Date,名前,請求額（千円）\n2026/12/1,a,"1,234"')[0]["bill"] == 1_234_000


def test_figures_with_separators_signs_and_full_width_digits_are_read() -> None:
    assert cells('date,name,count,bill\n2026-12-01,a,"1,234",¥5万')[0] == {
        "date": "2026-12-01",
        "name": "a",
        "count": 1234,
        "bill": 50_000.0,
    }


def test_a_unit_behind_a_figure_and_a_day_of_the_week_are_read() -> None:
    found = cells("日付,名前,件数,ratio\n2026/12/1（火）,a,１２０件,1.02倍\n令和8年12月2日,b,3,1\n2026-12-03 00:00:00,c,4,1\n")
    assert [(row["date"], row["count"], row["ratio"]) for row in found] == [
        ("2026-12-01", 120, 1.02), ("2026-12-02", 3, 1.0), ("2026-12-03", 4, 1.0),
    ]  # fmt: skip


def test_lines_may_end_as_on_an_old_macintosh() -> None:
    assert len(cells("date,name\r2026-12-01,a\r2026-12-02,b\r")) == 2


def test_a_sign_of_the_yen_may_be_the_only_japanese_letter_of_a_file() -> None:
    assert cells("date,name,bill\n2026-12-01,a,1200円\n", "cp932")[0]["bill"] == 1200


def workbook(*rows: Sequence[object], before: Sequence[Sequence[object]] = ()) -> bytes:
    """A workbook whose second sheet holds the rows when something stands on a first one."""
    book, packed = openpyxl.Workbook(), io.BytesIO()
    sheet: Any = book.active
    for row in before:
        sheet.append(row)
    sheet = book.create_sheet() if before else sheet
    for row in rows:
        sheet.append(row)
    book.save(packed)
    return packed.getvalue()


HEAD = ("日付", "名前", "件数", "請求額（千円）")


@pytest.mark.parametrize("before", [(), [["note"], ["of the operation"]]])
def test_a_workbook_is_read_from_the_sheet_that_holds_the_columns(before: Sequence[Sequence[object]]) -> None:
    data = workbook(HEAD, (), (date(2026, 12, 1), "a", 1200.0, 12.5), ("2026年12月2日", "b", "１，２００件", None), before=before)
    table = read_table(data, "t.xlsx", COLUMNS)
    assert [dict(line.cells) for line in table.lines] == [
        {"date": "2026-12-01", "name": "a", "count": 1200, "bill": 12_500.0},
        {"date": "2026-12-02", "name": "b", "count": 1200, "bill": None},
    ]


def test_a_workbooks_problem_is_named_by_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "line 3, column count: -5 was given" in refused(workbook(HEAD, (date(2026, 12, 1), "a", 1), (date(2026, 12, 2), "a", -5)))
    assert "line 3: 合計 sums up" in refused(workbook(HEAD, (date(2026, 12, 1), "a", 1), ("合計", None, 1)))
    assert "damaged or protected" in refused(workbook(HEAD)[:600])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", "date,name\n")
    assert "is not a table" in refused(packed.getvalue())
    monkeypatch.setattr("analysis.economics.business_sheets.MOST_UNPACKED", 100)
    assert "at most 100 are read" in refused(workbook(HEAD))


def test_empty_cells_blank_lines_and_empty_columns_at_the_end_are_passed_over() -> None:
    found = cells("\ndate,name,count,,\n\n2026-12-01,a,,,\n,,,,\n")
    assert found == [{"date": "2026-12-01", "name": "a", "count": None}]


def test_a_line_is_named_by_its_number_in_the_file() -> None:
    assert "line 5, column count" in refused('date,name,count\n\n2026-12-01,"two\nlines",1\n2026-12-02,a,x\n')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("date,name,count\n2026-12-01,a,-5\n", "line 2, column count: -5 was given; a whole number"),
        ("date,name,count\n2026-12-01,a,1.5\n", "whole number"),
        ("date,name,count\n2026-12-01,a,many\n", "many is not a figure"),
        ("date,name,count\n2026-12-01,a,1e400\n", "not a figure"),
        ("date,name,bill\n2026-12-01,a,-5\n", "0 or more"),
        ("date,name,ratio\n2026-12-01,a,1050\n", "a ratio of 0.01 to 100"),
        ("date;name;ratio\n2026-12-01;a;1,05\n", "more than one way"),
        ("date,name\n12/01/2026,a\n", "line 2, column date: 12/01/2026 is not a date"),
        ("date,name\n2026-02-30,a\n", "not a day of the calendar"),
        ("date,name\n,a\n", "line 2, column date: the cell is empty"),
        ("date,name\n", "no line below"),
        ("", "columns are missing: date and name"),
        ("date,count\n2026-12-01,1\n", "columns are missing: name"),
        ("date,name,colour\n2026-12-01,a,red\n", "the column colour is not known. Columns: date, name"),
        ("date,name,日付\n2026-12-01,a,2026-12-01\n", "the column date stands there twice"),
        ("date,name,count\n2026-12-01,a,1,234\n", "more cells (4) than columns"),
        ('date,name\n2026-12-01,"a\n', "line 2: the table cannot be read"),
        (b"PK\x03\x04rest", "cannot be read as an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(8), "saved as .xlsx"),
        ("date,name,count\n2026-12-01,a,1\n合計,,1\n", "line 3: 合計 sums up other lines"),
        ("date,name,count\n2026-12-01,a,5%\n", "not a share"),
        ("date,name,ratio\n2026-12-01,a,95%\n", "not a share"),
        ("date,name,count\n2026-12-01,a," + "9" * 100_000 + "\n", "long text"),
        ("date,name,bill（k）\n2026-12-01,a,1\n", "line 1: the column bill cannot be in k. Units: 千円"),
        ("date,name,bill（千円）\n2026-12-01,a,120万円\n", "the unit in one of the two places"),
        (",".join(f"c{n}" for n in range(40_000)) + "\n", "the column c0 is not known"),
        ("date,name\n2026-12-01," + "a" * 140_000 + "\n", "line 2: the table cannot be read from here on"),
        (b"date,name\n2026-12-01,\xe9t\xe9\n", "not readable"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(text: str | bytes, said: str) -> None:
    assert said in refused(text)


@pytest.mark.parametrize("text", ["2026-12-01", "2026/12/1", "2026.12.01", "2026年12月1日", "２０２６／１２／１", "2026年 12月 1日"])
def test_days_are_read_in_every_form(text: str) -> None:
    assert read_day(text) == "2026-12-01"


@pytest.mark.parametrize("text", ["2026-12", "2026/12", "2026年12月", "２０２６年１２月", "2026-12-15"])
def test_months_are_read_in_every_form(text: str) -> None:
    assert read_month(text) == "2026-12"


@pytest.mark.parametrize("text", ["2026-13", "Dec-26", "12", "2026-00"])
def test_other_months_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a month"):
        read_month(text)


def test_names_that_a_spreadsheet_would_run_survive_a_round_trip() -> None:
    text = write_table(("date", "name"), [["2026-12-01", "=1+1"], ["2026-12-02", 'a,b"c']])
    assert text.startswith(BYTE_ORDER_MARK)
    assert "'=1+1" in text
    assert [row["name"] for row in cells(text)] == ["=1+1", 'a,b"c']


def test_long_files_are_refused_by_length_not_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.economics.business_csv.MOST_LINES", 3)
    assert "more than 3 lines" in refused("date,name\n" + "2026-12-01,a\n" * 4)
    monkeypatch.setattr("analysis.economics.business_csv.MOST_BYTES", 5)
    assert "at most 5" in refused("date,name\n")


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_the_answer_is_a_table_or_a_sentence(data: bytes) -> None:
    with suppress(StrataError):
        read_table(data, "t.csv", COLUMNS)


@given(st.text(max_size=60))
def test_whatever_a_cell_holds_the_answer_is_a_table_or_a_sentence(text: str) -> None:
    data = ("date,name,count,bill,ratio\n2026-12-01,a," + ",".join([text] * 3)).encode("utf-8", "replace")
    with suppress(StrataError):
        read_table(data, "t.csv", COLUMNS)
