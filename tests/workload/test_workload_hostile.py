"""Whatever stands in a file: it is read as it is, or refused in one sentence."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from analysis.contracts import Message, WorkloadInfo
from analysis.errors import WorkloadError
from analysis.i18n import render
from analysis.workload import FIELDS, read_workload

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:openpyxl.*")
ANY_TEXT = st.text(min_size=1).filter(str.strip)
KEYS = st.sampled_from(["role", "content", "type", "text", "x"])
CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)
ROWS = st.lists(st.dictionaries(st.sampled_from([*FIELDS, "text"]), JSON | ANY_TEXT, max_size=6), min_size=1, max_size=3)
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


def read_or_refuse(path: Path) -> None:
    """Reading ends in a workload, or in a sentence that both languages can say."""
    outcome = outcome_of(path)
    if isinstance(outcome, Message):
        assert path.name in render(outcome, "en")
        assert path.name in render(outcome, "ja")
    else:
        assert outcome.n_examples > 0
        assert all(render(note, "ja") for note in outcome.notes)


def outcome_of(path: Path) -> WorkloadInfo | Message:
    try:
        return read_workload([path]).info
    except WorkloadError as refusal:
        return refusal.message


@relaxed
@given(prompt=ANY_TEXT, response=ANY_TEXT)
@example(prompt="\u202eabc\u0007\u0000\ufeff", response="\u2028\x85\x1e{{ 7*7 }}<|im_end|>")
def test_any_text_survives_json_lines(folder: Path, prompt: str, response: str) -> None:
    path = folder / "w.jsonl"
    for ascii_only in (True, False):
        path.write_text(json.dumps({"prompt": prompt, "response": response}, ensure_ascii=ascii_only), encoding="utf-8", newline="")
        (read,) = read_workload([path]).examples
        assert (read.prompt, read.response) == (prompt, response)


@relaxed
@given(
    prompt=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(str.strip), delimiter=st.sampled_from(",;\t|")
)
def test_any_text_survives_a_table(folder: Path, prompt: str, delimiter: str) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["prompt", "slice"], [prompt, "s"]])
    path = folder / "w.csv"
    path.write_bytes(out.getvalue().encode("utf-8-sig"))
    (read,) = read_workload([path]).examples
    assert read.prompt == prompt


@relaxed
@given(data=st.binary(min_size=0, max_size=400), ending=st.sampled_from([".jsonl", ".json", ".csv", ".tsv", ".txt", ".xlsx", ".parquet"]))
def test_any_bytes_are_read_or_refused(folder: Path, data: bytes, ending: str) -> None:
    path = folder / f"w{ending}"
    path.write_bytes(data)
    read_or_refuse(path)


@relaxed
@given(rows=ROWS, lines=st.booleans())
def test_any_json_values_are_read_or_refused(folder: Path, rows: list[dict[str, object]], lines: bool) -> None:
    path = folder / ("v.jsonl" if lines else "v.json")
    path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps({"x": 1, "rows": rows}))
    read_or_refuse(path)


@relaxed
@given(text=st.text(alphabet="prompt,;\t|\"'\r\n x{}[]:", max_size=60), ending=st.sampled_from([".csv", ".json", ".jsonl"]))
def test_any_scrap_of_syntax_is_read_or_refused(folder: Path, text: str, ending: str) -> None:
    path = folder / f"s{ending}"
    path.write_bytes(b"prompt\n" + text.encode() if ending == ".csv" else text.encode())
    read_or_refuse(path)


@relaxed
@given(cut=st.integers(0, 4000), flipped=st.integers(0, 4000), ending=st.sampled_from([".xlsx", ".parquet"]))
def test_damaged_packed_files_are_read_or_refused(folder: Path, packed: dict[str, bytes], cut: int, flipped: int, ending: str) -> None:
    data = bytearray(packed[ending])
    data[flipped % len(data)] ^= 0xFF
    path = folder / f"d{ending}"
    path.write_bytes(bytes(data[: max(1, len(data) - cut)]) if cut % 2 else bytes(data))
    read_or_refuse(path)


@pytest.fixture(scope="module")
def packed() -> dict[str, bytes]:
    import openpyxl
    import pyarrow
    import pyarrow.parquet

    book, out = openpyxl.Workbook(), io.BytesIO()
    for line in (["prompt", "slice"], ["hello", "s"], ["world", "t"]):
        book.active.append(line)
    book.save(out)
    table = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"prompt": ["hello", "world"], "slice": ["s", "t"]}), table)
    return {".xlsx": out.getvalue(), ".parquet": table.getvalue()}


def test_sentences_never_carry_control_or_direction_marks(folder: Path) -> None:
    path = folder / "marks.csv"
    path.write_text("te\u202ext\x1b[31m,b\nx,y\n", encoding="utf-8")
    with pytest.raises(WorkloadError) as caught:
        read_workload([path])
    assert not {"\u202e", "\x1b"} & set(str(caught.value))


def test_names_in_sentences_are_short(folder: Path) -> None:
    path = folder / "long.csv"
    path.write_text(",".join(f"{'c' * 500}{n}" for n in range(500)) + "\n" + "x\n", encoding="utf-8")
    with pytest.raises(WorkloadError) as caught:
        read_workload([path])
    assert len(str(caught.value)) < 1000
