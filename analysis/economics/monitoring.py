"""Monitoring of real use as a file: one line a day and slice, written by a request log or by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from analysis.contracts.message import Message
from analysis.contracts.rollout import MonitoringRow, Rollout
from analysis.economics.business_csv import Column, Line, problem_at, read_table, write_table
from analysis.economics.dates import day
from analysis.errors import InputError

_TIMES: Mapping[str, float] = {"ms": 1.0, "ミリ秒": 1.0, "s": 1000.0, "sec": 1000.0, "秒": 1000.0}
_CASES = ("件", "requests")
COLUMNS: tuple[Column, ...] = (
    Column("date", "day", True, ("日付", "day")),
    Column("slice", "text", True, ("区分", "スライス")),
    Column("requests", "count", True, ("件数", "依頼件数", "処理件数"), suffixes=_CASES),
    Column("on_plan", "count", True, ("プラン処理件数", "プランの件数"), suffixes=_CASES),
    Column("fallbacks", "count", False, ("フォールバック件数", "元のモデルで処理した件数"), suffixes=_CASES),
    Column("checked", "count", False, ("確認件数",), suffixes=_CASES),
    Column("changed", "count", False, ("変化件数", "回答が変わった件数"), suffixes=_CASES),
    Column("wrong", "count", False, ("誤り件数",), suffixes=_CASES),
    Column("wrong_original", "count", False, ("元のモデルの誤り件数",), suffixes=_CASES),
    Column("perplexity_ratio", "ratio", False, ("パープレキシティ比",), suffixes=("倍", "x")),
    Column("latency_ms", "amount", False, ("応答時間",), _TIMES),
    Column("latency_ms_original", "amount", False, ("元のモデルの応答時間",), _TIMES),
    Column("critical", "count", False, ("重要案件数", "重要案件の件数"), suffixes=_CASES),
    Column("critical_changed", "count", False, ("重要案件の変化件数",), suffixes=_CASES),
)
MONITORING_COLUMNS: tuple[str, ...] = tuple(column.name for column in COLUMNS)
"""Their English names, in the order in which they are written."""
_PARTS: tuple[tuple[str, str], ...] = (
    ("on_plan", "requests"),
    ("fallbacks", "requests"),
    ("checked", "on_plan"),
    ("changed", "checked"),
    ("wrong", "checked"),
    ("wrong_original", "checked"),
    ("critical", "checked"),
    ("critical_changed", "critical"),
    ("critical_changed", "changed"),
)
"""A part and the whole it cannot exceed."""


def read_monitoring(data: bytes, file: str, rollout: Rollout, *, today: date | None = None) -> tuple[MonitoringRow, ...]:
    """All days of a file, oldest first; a file with one problem is not read at all.

    Args:
        data: the file's bytes.
        file: its name, for what is said about it.
        rollout: whose stages name the slices; where one serves all, every slice is taken.
        today: no day is later; None: this day.

    Raises:
        InputError: the first problem, with its line and column.
    """
    seen = dict[tuple[str, str], int]()
    rows = list[MonitoringRow]()
    known, newest = known_slices(rollout), (today or date.today()).isoformat()
    for line in read_table(data, file, COLUMNS).lines:
        row = MonitoringRow.model_validate(dict(line.cells))
        _check_place(row, line, file, known, newest)
        _check_counts(line, file)
        before = seen.setdefault((row.date, row.slice), line.number)
        if before != line.number:
            raise InputError(
                "File {file}, line {line}: {date} of the slice {slice} stands already in line {before}. Give each day of a slice once.",
                file=file,
                line=line.number,
                date=row.date,
                slice=row.slice,
                before=before,
            )
        rows.append(row)
    return _sorted(rows)


def known_slices(rollout: Rollout) -> tuple[str, ...]:
    """Every slice that some stage names; none where a stage serves all without naming them."""
    if any(not stage.slices for stage in rollout.stages):
        return ()
    return tuple(dict.fromkeys(name for stage in rollout.stages for name in stage.slices))


def _check_place(row: MonitoringRow, line: Line, file: str, known: Sequence[str], newest: str) -> None:
    if row.date > newest:
        raise problem_at(
            file,
            line.number,
            "date",
            Message(id="{date} is in the future (today: {today}). Give days that are over.", values={"date": row.date, "today": newest}),
        )
    if known and row.slice not in known:
        raise problem_at(
            file,
            line.number,
            "slice",
            Message(
                id='no stage serves a slice "{slice}". Slices of this rollout: {known}.', values={"slice": row.slice, "known": tuple(known)}
            ),
        )


def _check_counts(line: Line, file: str) -> None:
    for part, whole in _PARTS:
        few, many = line.cells.get(part), line.cells.get(whole)
        if few is None or (many is None and part == "critical_changed" and whole == "changed"):
            continue
        if many is None:
            raise problem_at(
                file, line.number, part, Message(id="{n} needs the column {whole} beside it.", values={"n": few, "whole": whole})
            )
        if float(few) > float(many):
            raise problem_at(
                file,
                line.number,
                part,
                Message(id="{n} is more than {whole} ({most}). It is a part of it.", values={"n": few, "whole": whole, "most": many}),
            )


def with_monitoring(rollout: Rollout, rows: Sequence[MonitoringRow]) -> Rollout:
    """The rollout with these days; a day of a slice that is there already is replaced by the newer import."""
    kept = {(row.date, row.slice): row for row in (*rollout.monitoring, *rows)}
    return rollout.model_copy(update={"monitoring": _sorted(kept.values())})


def _sorted(rows: Iterable[MonitoringRow]) -> tuple[MonitoringRow, ...]:
    return tuple(sorted(rows, key=lambda row: (row.date, row.slice)))


def to_csv(rows: Sequence[MonitoringRow]) -> str:
    """The rows as a file that `read_monitoring` reads back and a spreadsheet opens (begins with a byte order mark)."""
    return write_table(MONITORING_COLUMNS, [[getattr(row, name) for name in MONITORING_COLUMNS] for row in rows])


def template(rollout: Rollout) -> str:
    """An empty file to fill in: the columns, and a line for the first day of each slice of the stage at hand."""
    stage = rollout.current or rollout.next_stage or rollout.stages[-1]
    first = day(stage.starts_on) or day(rollout.starts_on)
    slices = stage.slices or known_slices(rollout)
    lines = [[first.isoformat() if first else "", name, *[None] * (len(MONITORING_COLUMNS) - 2)] for name in slices]
    return write_table(MONITORING_COLUMNS, lines)
