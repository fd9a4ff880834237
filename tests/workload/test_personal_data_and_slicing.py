"""Likely personal data is counted and can be masked; slices can be made from script and length."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import WorkloadError
from analysis.workload import Example, Turn, read_workload, sample_workload
from analysis.workload.personal import mask, masked
from analysis.workload.slicing import script_slice, sliced


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mail anna.m+x@example.co.jp, please", "Mail [mail], please"),
        ("宛先：taro＠example.jpまで", "宛先：[mail]まで"),
        ("担当taro@example.jpへ", "担当[mail]へ"),
        ("Call +81 90-1234-5678 now", "Call [phone] now"),
        ("+49 (0)89 1234567", "[phone]"),
        ("+1 (555) 123-4567.", "[phone]."),
        ("+442079460958", "[phone]"),
        ("電話03-1234-5678まで", "電話[phone]まで"),
        ("（03）1234-5678", "[phone]"),
        ("０９０－１２３４－５６７８です", "[phone]です"),
        ("09012345678", "[phone]"),
        ("0120-123-456", "[phone]"),
        ("(555) 123-4567", "[phone]"),
        ("TEL:045(123)4567", "TEL:[phone]"),
    ],
)
def test_mail_addresses_and_telephone_numbers_are_masked(text: str, expected: str) -> None:
    assert mask(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Order 4500012345, 1,200 pieces at 12.50",
        "Part 4711-0815-22 on 2026-04-01 10:15:30",
        "2026年4月1日 10:30 検査",
        "Lot 20260401-0012, bore 24.98-25.01",
        "a@b, @home, x @ 3 bar",
        "192.168.100.200:8080",
        "def f(x): return x@y.T",
        "0.013 0.025 0.001 3.14159265358979",
        "S/N 0012-3456-7890-1234",
        "JAN 4901234567894",
        "+0.013 / -0.025, +12 345",
        "1-800 bar",
    ],
)
def test_part_numbers_dates_and_measures_are_left_alone(text: str) -> None:
    assert mask(text) == text


def test_the_sample_workload_holds_no_personal_data() -> None:
    assert sample_workload().info.n_personal_data == 0


def test_masking_changes_texts_and_ids_and_says_so(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Write to a@example.com", "response": "ok"},
        {"prompt": "Write to b@example.com", "response": "ok"},
        {"prompt": "none"},
    ]
    path = tmp_path / "w.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    plain, hidden = read_workload([path]), read_workload([path], mask_personal_data=True)
    assert (plain.info.n_personal_data, plain.info.masked, plain.info.n_examples) == (2, False, 3)
    assert any("can be masked" in note.id for note in plain.info.notes)
    assert (hidden.info.n_personal_data, hidden.info.masked, hidden.info.n_examples, hidden.info.n_duplicates) == (2, True, 2, 1)
    assert {e.prompt for e in hidden.examples} == {"Write to [mail]", "none"}
    assert plain.info.content_hash != hidden.info.content_hash


def test_an_answer_stays_among_its_choices_when_masked() -> None:
    choices = ("a@example.com", "call 03-1234-5678")
    clean = masked(Example(turns=(Turn("user", "Who?"),), choices=choices, answer=choices[1]))
    assert (clean.choices, clean.answer) == (("[mail]", "call [phone]"), "call [phone]")
    twins = ("a@example.com", "b@example.com")
    assert masked(Example(turns=(Turn("user", "Who?"),), choices=twins, answer=twins[1])).answer == twins[1]


@given(st.text(alphabet="0123456789０+-() .@aé＠", max_size=200))
def test_masking_twice_is_masking_once(text: str) -> None:
    assert mask(mask(text)) == mask(text)


@pytest.mark.timeout(120)  # going back over it takes quadratic time or worse: hours
def test_masking_stays_fast_on_hostile_text() -> None:
    for scrap in ("a.", "0-", "+1 ", "a@", "0", "(0", "1 (2) ", "a@a."):
        mask(scrap * (100_000 // len(scrap)))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("次のコードを直してください: def f(x): return x+1", "Japanese text"),
        ("検査記録の要約", "Japanese text"),
        ("请总结检查记录", "Chinese text"),
        ("검사 기록 요약", "Korean text"),
        ("Fasse zusammen: Prüfbericht", "Latin script"),
        ("Проверьте клапан", "Cyrillic script"),
        ("ελέγξτε τη βαλβίδα", "other script"),
        ("12 + 30 = ?", "other script"),
    ],
)
def test_slices_by_script(text: str, name: str) -> None:
    assert script_slice(text) == name


def test_slices_by_length_are_thirds_and_equal_lengths_stay_together() -> None:
    examples = [Example(turns=(Turn("user", "x" * length),)) for length in (5, 5, 5, 5, 8, 9, 20, 30, 40)]
    named, notes = sliced(examples, "length")
    by_length = {example.n_characters: example.slice for example in named}
    assert by_length == dict.fromkeys((5,), "short prompts") | dict.fromkeys((8, 9), "medium prompts") | dict.fromkeys(
        (20, 30, 40), "long prompts"
    )
    assert notes[0].values == {"low": 5, "high": 9}


def test_slicing_changes_slices_and_hash_but_no_ids(tmp_path: Path) -> None:
    path = tmp_path / "w.jsonl"
    path.write_text("".join(json.dumps({"prompt": "部品" * (n + 1) if n % 2 else "part" * (n + 1), "slice": "s"}) + "\n" for n in range(9)))
    given_, language, length, none = (read_workload([path], slicing=slicing) for slicing in ("given", "language", "length", "none"))
    assert [w.info.slicing for w in (given_, language, length, none)] == ["given", "language", "length", "none"]
    assert len({w.info.content_hash for w in (given_, language, length, none)}) == 4
    assert {part.name for part in language.info.slices} == {"Chinese text", "Latin script"}
    assert {part.name for part in length.info.slices} == {"short prompts", "medium prompts", "long prompts"}
    assert {e.id for e in given_.examples} == {e.id for e in language.examples} == {e.id for e in length.examples}
    assert any("follow the script" in note.id for note in language.info.notes)


def test_without_slices_there_is_one_and_others_are_offered(tmp_path: Path) -> None:
    path = tmp_path / "w.txt"
    path.write_text("one\ntwo\n")
    info = read_workload([path]).info
    assert [part.name for part in info.slices] == ["all prompts"]
    assert any("Slices by script or by length can be made" in note.id for note in info.notes)


def test_an_id_in_the_slice_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"order {n}", "slice": f"T-{n:04}"}) for n in range(101)))
    with pytest.raises(WorkloadError, match=r"names 101 slices, such as T-0000, T-0001, T-0002, …; at most 100"):
        read_workload([path])
    assert len(read_workload([path], slicing="none").info.slices) == 1
