"""What each format gives, and the sentence for each thing that cannot be used."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import openpyxl
import pyarrow
import pyarrow.parquet
import pytest

from analysis.errors import WorkloadError
from analysis.workload import Turn, Workload, read_workload, reading, text_formats

ROWS = [
    {"prompt": "Check valve 3.", "response": "pass", "slice": "inspection", "critical": True, "weight": 2},
    {"prompt": '二行の\n依頼, "引用"', "response": "はい", "slice": "依頼", "critical": False, "weight": 0.5},
]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def jsonl(*rows: object) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(rows: Sequence[Mapping[str, object]], delimiter: str = ",") -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def excel(path: Path, *sheets: Sequence[Sequence[object]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, lines in enumerate(sheets, start=1):
        sheet = book.create_sheet(f"S{number}")
        for line in lines:
            sheet.append(list(line))
    book.save(path)
    return path


def parquet(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), path)
    return path


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(WorkloadError) as caught:
        read_workload([path], **options)  # type: ignore[arg-type]
    return str(caught.value)


def texts(workload: Workload) -> set[tuple[str, str | None, str, bool, float]]:
    return {(e.prompt, e.response, e.slice, e.critical, e.weight) for e in workload.examples}


def all_formats(folder: Path) -> list[Path]:
    cells = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]
    return [
        write(folder, "w.jsonl", jsonl(*ROWS)),
        write(folder, "w.json", json.dumps(ROWS)),
        write(folder, "object.json", json.dumps({"version": 1, "data": ROWS, "more": {"x": []}})),
        write(folder, "w.csv", table(ROWS)),
        write(folder, "semicolon.csv", table(ROWS, ";")),
        write(folder, "w.tsv", table(ROWS, "\t")),
        excel(folder / "w.xlsx", cells),
        parquet(folder / "w.parquet", ROWS),
    ]


def test_every_format_gives_the_same_examples_and_the_same_hash(tmp_path: Path) -> None:
    workloads = [read_workload([path]) for path in all_formats(tmp_path)]
    assert all(texts(workload) == texts(workloads[0]) for workload in workloads)
    assert {workload.info.content_hash for workload in workloads} == {workloads[0].info.content_hash}
    assert [w.info.files[0].encoding for w in workloads] == ["utf-8"] * 6 + ["binary"] * 2


def test_several_files_become_one_workload_and_copies_count_once(tmp_path: Path) -> None:
    workload = read_workload(all_formats(tmp_path)[:3])
    assert (workload.info.n_examples, workload.info.n_duplicates) == (2, 4)
    assert [file.n_examples for file in workload.info.files] == [2, 2, 2]
    assert any("copies" in note.id for note in workload.info.notes)


def test_plain_text_is_one_prompt_a_line_and_says_so(tmp_path: Path) -> None:
    workload = read_workload([write(tmp_path, "w.txt", "first\r\n\n  second line\nthird\u2028still third")])
    assert [e.prompt for e in workload.examples] == ["first", "  second line", "third\u2028still third"]
    assert any("each line was read as one prompt" in note.id for note in workload.info.notes)


def test_a_chat_log_ends_with_its_response(tmp_path: Path) -> None:
    messages = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "now?"}]},
        {"role": "assistant", "content": "Bye"},
    ]
    (example,) = read_workload([write(tmp_path, "w.jsonl", jsonl({"messages": messages}))]).examples
    assert example.turns == (Turn("system", "Be short."), Turn("user", "Hello"), Turn("assistant", "Hi"), Turn("user", "And now?"))
    assert example.response == "Bye"


def test_a_chat_log_that_ends_with_the_user_has_no_response(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    (example,) = read_workload([write(tmp_path, "w.json", json.dumps({"messages": messages}))]).examples
    assert (len(example.turns), example.response, example.prompt) == (3, None, "c")


def test_an_empty_answer_is_no_answer(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]
    rows = [{"messages": messages}, {"prompt": "b", "response": ""}, {"prompt": "c", "response": None}]
    assert [e.response for e in read_workload([write(tmp_path, "w.jsonl", jsonl(*rows))]).examples] == [None] * 3


def test_cells_hold_messages_and_choices_as_json(tmp_path: Path) -> None:
    rows = [
        {
            "messages": '[{"role": "user", "content": "2+2?"}]',
            "choices": '["3", "4"]',
            "answer": "１",
            "critical": "はい",
            "weight": "１,０００．５",
        }
    ]
    (example,) = read_workload([write(tmp_path, "w.csv", table(rows))]).examples
    assert (example.choices, example.answer, example.critical, example.weight) == (("3", "4"), "4", True, 1000.5)


def test_an_answer_is_a_choice_before_it_is_a_number(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "choices": ["1", "0"], "answer": "0"}, {"prompt": "b", "choices": ["x", "y"], "answer": 0}]
    assert [e.answer for e in read_workload([write(tmp_path, "w.jsonl", jsonl(*rows))]).examples] == ["0", "x"]


def test_columns_are_named_by_the_mapping_and_never_guessed(tmp_path: Path) -> None:
    path = write(tmp_path, "w.csv", "id,text,kind\n1,Hello,mail\n2,Bye,mail\n")
    said = refusal(path)
    assert "--map prompt=text" in said
    assert "id, text, kind" in said
    workload = read_workload([path], mapping={"prompt": "text", "slice": "kind"})
    assert {(e.prompt, e.slice) for e in workload.examples} == {("Hello", "mail"), ("Bye", "mail")}
    assert any(note.values == {"n": 1, "columns": "id"} for note in workload.info.notes)
    assert "Prompt" in refusal(write(tmp_path, "capital.csv", "Prompt\nx\n"))


def test_a_column_that_is_mapped_is_not_read_as_the_field_of_its_own_name_as_well(tmp_path: Path) -> None:
    path = write(tmp_path, "sums.jsonl", jsonl({"question": "2 + 2 =", "answer": "2 + 2 = 4"}))
    (example,) = read_workload([path], mapping={"prompt": "question", "response": "answer"}).examples
    assert (example.response, example.answer) == ("2 + 2 = 4", None)


def test_a_mapping_to_nothing_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "w.jsonl", jsonl({"prompt": "x"}))
    assert "names no field" in refusal(path, mapping={"promt": "text"})
    assert "no column 'text'" in refusal(path, mapping={"prompt": "text"})
    assert "no column 'kind'" in refusal(path, mapping={"slice": "kind"})


def test_excel_sheets_without_prompts_are_passed_over_with_a_note(tmp_path: Path) -> None:
    path = excel(tmp_path / "w.xlsx", [["About"], ["this file"]], [[], ["prompt", "weight"], ["x", 2], [None, None], [12, 3.0]], [])
    workload = read_workload([path])
    assert {(e.prompt, e.weight) for e in workload.examples} == {("x", 2.0), ("12", 3.0)}
    assert any(note.values.get("sheets") == "S1, S3" for note in workload.info.notes)


def test_a_bad_excel_row_is_named_with_its_sheet(tmp_path: Path) -> None:
    assert "w.xlsx [S1], line 3: the prompt is empty" in refusal(excel(tmp_path / "w.xlsx", [["prompt", "slice"], ["x", "a"], [None, "b"]]))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": " \n　"}, "prompt is empty"),
        ({"prompt": None}, "prompt is empty"),
        ({"prompt": 5}, "'prompt' must be text, but it is number"),
        ({"prompt": ["x"]}, "must be text, but it is list"),
        ({"prompt": "x" * 1_000_001}, "at most 1000000"),
        ({"prompt": "x", "messages": [{"role": "user", "content": "y"}]}, "both 'prompt' and 'messages'"),
        ({"messages": "hello"}, "'messages' must be a list"),
        ({"messages": []}, "has 0 turns"),
        ({"messages": [{"role": "user", "content": "x"}] * 1001}, "has 1001 turns"),
        ({"messages": ["hello"]}, "object with 'role' and 'content'"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "the role robot is not known"),
        ({"messages": [{"role": {}, "content": "x"}]}, "the role object is not known"),
        ({"messages": [{"role": "user", "content": None}]}, "'content' must be text, but it is null"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "other than text"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "no user turn"),
        ({"messages": [{"role": "user", "content": " "}]}, "no user turn"),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "response": "z"},
            "'response' is given as well",
        ),
        ({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "x"}], "system": "t"}, "'system' is given as well"),
        ({"prompt": "x", "response": {"a": 1}}, "'response' must be text, but it is object"),
        ({"prompt": "x", "weight": 0}, "'weight' is 0"),
        ({"prompt": "x", "weight": -1}, "'weight' is -1"),
        ({"prompt": "x", "weight": float("nan")}, "'weight' must be a finite number, but it is nan"),
        ({"prompt": "x", "weight": float("inf")}, "must be a finite number"),
        ({"prompt": "x", "weight": 10**400}, "must be a finite number"),
        ({"prompt": "x", "weight": True}, "must be a finite number"),
        ({"prompt": "x", "weight": "1_0"}, "must be a finite number"),
        ({"prompt": "x", "weight": "１２,３"}, "must be a finite number"),
        ({"prompt": "x", "weight": [1]}, "but it is list"),
        ({"prompt": "x", "critical": "perhaps"}, "'critical' must be true or false"),
        ({"prompt": "x", "critical": 2}, "'critical' must be true or false"),
        ({"prompt": "x", "requests_per_month": -5}, "must be 0 or more"),
        ({"prompt": "x", "requests_per_month": "many"}, "must be a finite number"),
        ({"prompt": "x", "choices": ["a", "b"]}, "belong together"),
        ({"prompt": "x", "answer": "a"}, "belong together"),
        ({"prompt": "x", "choices": ["a"], "answer": "a"}, "at least two different"),
        ({"prompt": "x", "choices": ["a", "a"], "answer": "a"}, "at least two different"),
        ({"prompt": "x", "choices": ["a", "b"], "answer": "c"}, "none of the choices: a, b"),
        ({"prompt": "x", "choices": ["a", "b"], "answer": 2}, "none of the choices"),
        ({"prompt": "x", "choices": ["a", "b"], "answer": 0.5}, "none of the choices"),
        ({"prompt": "x", "choices": "a|b", "answer": "a"}, "'choices' must be a list, but it is text"),
        ({"prompt": "x", "slice": "prompt"}, "taken by an automatic slice"),
        ({"prompt": "x", "slice": "a\u202eb"}, "slice name a b cannot be used"),
        ({"prompt": "x", "slice": "a" * 81}, "cannot be used"),
        ({"prompt": "x", "slice": {}}, "'slice' must be text"),
        ({"prompt": "\ud800"}, "half of a character"),
        ({}, "no 'prompt' or 'messages'"),
        ([1], "must be a JSON object"),
        ("x", "must be a JSON object"),
        (None, "must be a JSON object"),
    ],
)
def test_a_bad_example_is_refused_with_file_and_line(tmp_path: Path, row: object, said: str) -> None:
    path = tmp_path / "w.jsonl"
    path.write_text(json.dumps({"prompt": "good"}) + "\n\n" + json.dumps(row) + "\n")
    message = refusal(path)
    assert said in message
    assert message.startswith("File w.jsonl, line 3:")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("w.jsonl", "", "is empty"),
        ("w.jsonl", " \n\t\n", "is empty"),
        ("w.jsonl", '{"prompt": "x"\n', "line 1: this is not valid JSON"),
        ("w.jsonl", '{"prompt": "x", "prompt": "y"}\n', "twice"),
        ("w.jsonl", '{"prompt": ' + "[" * 100_000 + "\n", "nested too deeply"),
        ("w.jsonl", '{"prompt": "x", "weight": ' + "9" * 5000 + "}\n", "not valid JSON"),
        ("w.json", '[{"prompt": "x"},\n\n {"prompt": ""}]', "line 3: the prompt is empty"),
        ("w.json", '[{"prompt": "x"},\n 5]', "line 2: each example must be a JSON object"),
        ("w.json", '[{"prompt": "x"},\n]', "line 2: this is not valid JSON"),
        ("w.json", '[{"prompt": "x"}\n {"prompt": "y"}]', "line 2: this is not valid JSON"),
        ("w.json", '[{"prompt": "x"}] trailing', "more after the first"),
        ("w.json", '[{"prompt": "x"}', "not valid JSON"),
        ("w.json", "[]", "holds no examples"),
        ("w.json", '{"a": [], "b": []}', "holds 2 lists"),
        ("w.json", '{"a": 1}', "holds 0 lists"),
        ("w.json", '{"a": 1,\n "data": [{"prompt": "x"},\n{"prompt": 5}]}', "line 3: 'prompt' must be text"),
        ("w.json", "5", "must be a list of examples"),
        ("w.json", jsonl({"prompt": "x"}, {"prompt": "y"}), "name the file .jsonl"),
        ("w.json", "[" * 100_000, "nested too deeply"),
        ("w.json", "{" * 1000, "not valid JSON"),
        ("w.csv", "prompt,slice\n", "holds no examples"),
        ("w.csv", "\n\n", "is empty"),
        ("w.csv", 'prompt,slice\nx,a\n"open', "line 3: the table cannot be read"),
        ("w.csv", 'prompt,slice\n"two\nlines",a\nx,a,b\n', "line 4: there are more cells (3) than columns in the head line (2)"),
        ("w.csv", "prompt,prompt\nx,y\n", "'prompt' stands there twice"),
        ("w.csv", "prompt,weight\nx,NaN\n", "line 2: 'weight' must be a finite number, but it is NaN"),
        ("w.csv", "prompt,choices,answer\nx,a|b,a\n", "in a table must be a JSON list"),
        ("w.tsv", "prompt;slice\nx;y\n", "Columns found: prompt;slice"),
        ("w.xls", b"\xd0\xcf\x11\xe0", "save an old Excel file"),
        ("w.pdf", b"%PDF", "has a format that is not read"),
        ("w", "x", "has a format that is not read"),
        ("w.xlsx", b"not a zip", "cannot be read as Excel"),
        ("w.xlsx", b"PK\x03\x04" + b"\0" * 100, "cannot be read as Excel"),
        ("w.parquet", b"PAR1" + b"\0" * 100 + b"PAR1", "cannot be read as Parquet"),
        ("w.jsonl", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not text (it holds NUL bytes)"),
        ("w.txt", b"abc\n\0", "line 2: this is not text"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    assert said in refusal(write(tmp_path, name, content))


def test_missing_files_folders_and_nothing_are_refused(tmp_path: Path) -> None:
    assert "cannot be opened (No such file or directory)" in refusal(tmp_path / "none.jsonl")
    assert "is a folder" in refusal(tmp_path)
    assert "cannot be opened" in refusal(tmp_path / "a\0b.jsonl")
    with pytest.raises(WorkloadError, match=r"No workload file was given"):
        read_workload([])
    path = write(tmp_path, "w.jsonl", jsonl({"prompt": "x"}))
    assert "no way of slicing" in refusal(path, slicing="topic")


def test_excel_and_parquet_that_lack_a_prompt_name_what_they_have(tmp_path: Path) -> None:
    assert "--map prompt=text" in refusal(excel(tmp_path / "w.xlsx", [["text"], ["x"]]))
    assert "--map prompt=text" in refusal(parquet(tmp_path / "w.parquet", [{"text": "x"}]))
    assert "holds no examples" in refusal(excel(tmp_path / "empty.xlsx", []))
    assert "holds no examples" in refusal(parquet(tmp_path / "empty.parquet", []))


def test_sizes_are_capped_with_a_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "w.jsonl", jsonl({"prompt": "x" * 100}, {"prompt": "y"}))
    with monkeypatch.context() as patch:
        patch.setattr(text_formats, "MAX_LINE", 50)
        assert "line 1: the line has 115 characters; at most 50 are read" in refusal(path)
    with monkeypatch.context() as patch:
        patch.setattr(reading, "MAX_EXAMPLES", 1)
        assert "more than 1 examples" in refusal(path)
    big = tmp_path / "big.jsonl"
    with big.open("wb") as file:
        file.truncate(1 << 30)  # a sparse file: one line of a GiB that is never read
    assert "has 1024 MiB; at most 256 MiB are read" in refusal(big)


def test_a_packed_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.workload.binary_formats.MAX_UNPACKED_BYTES", 1000)
    assert "unpacks to" in refusal(excel(tmp_path / "w.xlsx", [["prompt"], ["x"]]))
    assert "unpacks to" in refusal(parquet(tmp_path / "w.parquet", [{"prompt": f"{n}" * 40} for n in range(400)]))


def test_nested_parquet_turns_are_read(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    (example,) = read_workload([parquet(tmp_path / "w.parquet", [{"messages": messages, "critical": True}])]).examples
    assert (example.prompt, example.response, example.critical) == ("x", "y", True)


def test_one_slice_has_one_figure_of_requests(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "slice": "s", "requests_per_month": "１,２００"}, {"prompt": "b", "slice": "s"}]
    path = write(tmp_path, "w.jsonl", jsonl(*rows))
    assert read_workload([path]).info.slices[0].requests_per_month == 1200
    assert read_workload([path], slicing="length").info.slices[0].requests_per_month is None
    write(tmp_path, "w.jsonl", jsonl(*rows, {"prompt": "c", "slice": "s", "requests_per_month": 3}))
    assert "different figures" in refusal(path)


@pytest.mark.timeout(60)  # whoever walks through all the rows that it claims to have takes days
def test_an_excel_sheet_that_claims_to_be_huge_is_read_or_refused_quickly(tmp_path: Path) -> None:
    path = excel(tmp_path / "w.xlsx", [["prompt"], ["x"]])
    with zipfile.ZipFile(path) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"].replace(b'ref="A1:A2"', b'ref="A1:XFD1048576"')

    def rewritten(content: bytes) -> Path:
        with zipfile.ZipFile(path, "w") as packed:
            for name, part in {**parts, "xl/worksheets/sheet1.xml": content}.items():
                packed.writestr(name, part)
        return path

    assert read_workload([rewritten(sheet)]).info.n_examples == 1
    assert "more rows than a sheet can have" in refusal(
        rewritten(sheet.replace(b'r="2"', b'r="999999999"').replace(b'r="A2"', b'r="A999999999"'))
    )


def test_lines_of_plain_text_can_be_read_together(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("one two\n\nthree\r\nfour five six seven\neight\n", encoding="utf-8")
    found = read_workload([path], joined_characters=10)
    assert sorted(example.turns[-1].content for example in found.examples) == ["eight", "four five six seven", "one two\nthree"]
    assert found.info.content_hash != read_workload([path]).info.content_hash
    whole = read_workload([path], joined_characters=10_000)
    assert [example.turns[-1].content for example in whole.examples] == ["one two\nthree\nfour five six seven\neight"]


def test_lines_read_together_never_grow_longer_than_a_prompt_may_be(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("a\n" + "b" * 999_999 + "\n" + "c" * 999_999, encoding="utf-8")
    assert read_workload([path], joined_characters=900_000_000).info.n_examples == 3
