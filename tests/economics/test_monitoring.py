"""Days of real use from a file: whole or not at all, and counts that do not contradict each other."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.contracts import MonitoringRow, Rollout
from analysis.economics.monitoring import MONITORING_COLUMNS, known_slices, read_monitoring, template, to_csv, with_monitoring
from analysis.economics.stages import default_rollout
from analysis.errors import InputError
from analysis.i18n import render
from tests.business_builders import make_assumptions, make_evidence, make_rollout

TODAY = date(2026, 12, 31)


@pytest.fixture(scope="module")
def rollout() -> Rollout:
    return default_rollout(make_evidence("serving"), make_assumptions("serving"), today=date(2026, 11, 22))


def read(text: str, rollout: Rollout) -> tuple[MonitoringRow, ...]:
    return read_monitoring(text.encode(), "days.csv", rollout, today=TODAY)


def refused(text: str, rollout: Rollout) -> str:
    with pytest.raises(InputError) as caught:
        read(text, rollout)
    assert "{" not in render(caught.value.message, "ja")
    return render(caught.value.message, "en")


def test_the_columns_are_the_fields_of_a_row() -> None:
    assert tuple(MonitoringRow.model_fields) == MONITORING_COLUMNS


def test_a_log_in_english_is_read_oldest_day_first(rollout: Rollout) -> None:
    rows = read("date,slice,requests,on_plan,checked,changed\n2026-12-02,code,1000,200,50,1\n2026-12-01,code,900,180,40,0\n", rollout)
    assert [(row.date, row.requests, row.checked) for row in rows] == [("2026-12-01", 900, 40), ("2026-12-02", 1000, 50)]
    assert rows[0].wrong is None


def test_a_spreadsheet_in_japanese_is_read(rollout: Rollout) -> None:
    head = "日付,区分,件数,プラン処理件数,確認件数,誤り件数,応答時間（秒）,パープレキシティ比"
    text = head + '\n2026年12月1日,code,"１,０００",200,50,2,0.4,1.02\n'
    row = read_monitoring(text.encode("cp932"), "days.csv", rollout, today=TODAY)[0]
    assert row == MonitoringRow(
        date="2026-12-01", slice="code", requests=1000, on_plan=200, checked=50, wrong=2, latency_ms=400.0, perplexity_ratio=1.02
    )


@pytest.mark.parametrize(
    ("columns", "values", "said"),
    [
        ("on_plan", "1001", "column on_plan: 1,001 is more than requests (1,000)"),
        ("on_plan,fallbacks", "100,1001", "fallbacks"),
        ("on_plan,checked", "100,101", "more than on_plan (100)"),
        ("on_plan,checked,changed", "100,50,51", "more than checked (50)"),
        ("on_plan,checked,wrong", "100,50,51", "column wrong"),
        ("on_plan,checked,wrong_original", "100,50,51", "column wrong_original"),
        ("on_plan,checked,critical", "100,50,51", "column critical"),
        ("on_plan,checked,critical,critical_changed", "100,50,10,11", "more than critical (10)"),
        ("on_plan,checked,changed,critical,critical_changed", "100,50,3,10,4", "more than changed (3)"),
        ("on_plan,changed", "100,5", "column changed: 5 needs the column checked"),
        ("on_plan,checked,critical_changed", "100,50,5", "needs the column critical"),
    ],
)
def test_counts_that_contradict_each_other_are_refused(columns: str, values: str, said: str, rollout: Rollout) -> None:
    assert said in refused(f"date,slice,requests,{columns}\n2026-12-01,code,1000,{values}\n", rollout)


def test_a_day_of_a_slice_twice_is_refused_with_both_lines(rollout: Rollout) -> None:
    text = "date,slice,requests,on_plan\n2026-12-01,code,10,1\n2026-12-01,arithmetic,10,1\n2026/12/1,code,10,1\n"
    assert "line 4: 2026-12-01 of the slice code stands already in line 2" in refused(text, rollout)


def test_a_day_in_the_future_and_an_unknown_slice_are_said(rollout: Rollout) -> None:
    assert "2027-01-01 is in the future (today: 2026-12-31)" in refused("date,slice,requests,on_plan\n2027-01-01,code,10,1\n", rollout)
    said = refused("date,slice,requests,on_plan\n2026-12-01,payroll,10,1\n", rollout)
    assert 'column slice: no stage serves a slice "payroll". Slices of this rollout: ' in said
    assert "order entry" in said


def test_where_a_stage_serves_all_without_names_every_slice_is_taken() -> None:
    assert known_slices(make_rollout()) == ()
    assert read("date,slice,requests,on_plan\n2026-12-01,payroll,10,1\n", make_rollout())


def test_one_bad_line_and_nothing_is_imported(rollout: Rollout) -> None:
    text = "date,slice,requests,on_plan\n" + "".join(f"2026-12-{day:02d},code,10,1\n" for day in range(1, 20)) + "2026-12-20,code,10,11\n"
    assert "line 21" in refused(text, rollout)


def test_a_newer_import_replaces_a_day_and_keeps_the_others(rollout: Rollout) -> None:
    first = with_monitoring(rollout, read("date,slice,requests,on_plan\n2026-12-02,code,10,1\n2026-12-01,code,10,1\n", rollout))
    second = with_monitoring(first, read("date,slice,requests,on_plan\n2026-12-02,code,20,2\n", first))
    assert [(row.date, row.requests) for row in second.monitoring] == [("2026-12-01", 10), ("2026-12-02", 20)]
    assert not rollout.monitoring


def test_the_template_names_the_slices_and_is_refused_until_it_is_filled_in(rollout: Rollout) -> None:
    text = template(rollout)
    assert text.startswith("\ufeffdate,slice,requests,on_plan,")
    for name in rollout.stages[0].slices:
        assert f"2026-12-01,{name}," in text
    assert "column requests: the cell is empty" in refused(text, rollout)


COUNTS = st.integers(0, 1000)


@given(
    st.lists(
        st.tuples(st.dates(date(2026, 12, 1), date(2026, 12, 31)), st.sampled_from(["code", "=cmd", "受注", "a,b", "-x"]), COUNTS, COUNTS),
        unique_by=lambda row: row[:2],
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["utf-8", "utf-16"]),
)
@settings(deadline=None)
def test_rows_survive_a_round_trip(rows: list[tuple[date, str, int, int]], encoding: str) -> None:
    written = tuple(
        sorted(
            (
                MonitoringRow(date=day.isoformat(), slice=name, requests=max(a, b), on_plan=min(a, b), perplexity_ratio=1 + a / 1000)
                for day, name, a, b in rows
            ),
            key=lambda row: (row.date, row.slice),
        )
    )
    data = to_csv(written).encode(encoding)
    assert read_monitoring(data, "days.csv", make_rollout(), today=TODAY) == written
