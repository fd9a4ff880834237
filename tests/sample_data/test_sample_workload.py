"""The sample workload keeps what its README and the product promise about it."""

from __future__ import annotations

import ast
import difflib
import itertools
import json
import operator
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.workload import Example, Workload, read_workload, sample_workload

FOLDER = Path(__file__).resolve().parents[2] / "sample_data"
FILE = FOLDER / "workload.jsonl"
SLICES = {
    "inspection notes",
    "order entry",
    "maintenance logs",
    "customer mail",
    "code",
    "arithmetic",
    "summaries",
    "Japanese requests",
}
WITH_CRITICAL = {"inspection notes", "order entry"}
MAX_TOKENS = 9_000
_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@pytest.fixture(scope="module")
def workload() -> Workload:
    return read_workload([FILE])


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def _of(workload: Workload, name: str) -> list[Example]:
    return [example for example in workload.examples if example.slice == name]


def _value(node: ast.expr) -> float:
    """The value of a sum written with numbers, + - * / and brackets only."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    assert isinstance(node, ast.BinOp), ast.dump(node)
    return _OPERATIONS[type(node.op)](_value(node.left), _value(node.right))


def test_eight_slices_are_of_equal_size_and_hold_at_least_160_prompts_together(workload: Workload) -> None:
    counts = Counter(example.slice for example in workload.examples)
    assert set(counts) == SLICES
    assert len(set(counts.values())) == 1
    assert sum(counts.values()) >= 160


def test_every_example_has_a_system_text_a_prompt_and_a_response(workload: Workload) -> None:
    for example in workload.examples:
        assert [turn.role for turn in example.turns] == ["system", "user"]
        assert example.response
        assert example.prompt.strip() == example.prompt
        assert example.response.strip() == example.response


def test_each_slice_can_be_chosen_from_and_verified(workload: Workload) -> None:
    for info in workload.info.slices:
        assert info.n_calibration >= 8, info
        assert info.n_verification >= 8, info


def test_only_inspection_notes_and_order_entry_hold_critical_examples(workload: Workload) -> None:
    assert {example.slice for example in workload.examples if example.critical} == WITH_CRITICAL
    assert not any(example.critical for example in _of(workload, "Japanese requests"))


@pytest.mark.parametrize("name", sorted(WITH_CRITICAL))
def test_about_half_is_critical_and_enough_of_it_is_left_for_verification(workload: Workload, name: str) -> None:
    critical = [example for example in _of(workload, name) if example.critical]
    assert 0.4 <= len(critical) / len(_of(workload, name)) <= 0.6
    assert sum(1 for example in critical if example.part == "verification") >= 4


def test_inspection_notes_are_judged_and_both_judgements_occur_in_both_halves(workload: Workload) -> None:
    notes = _of(workload, "inspection notes")
    for note in notes:
        assert note.choices == ("pass", "fail")
        assert note.response is not None
        assert note.response.startswith(f"{note.answer}: ")
    assert min(Counter((note.answer, note.part) for note in notes).values()) >= 3
    assert len({(note.answer, note.part) for note in notes}) == 4


def test_order_lines_have_item_quantity_due_and_note(workload: Workload) -> None:
    line = re.compile(r"[A-Z0-9.-]+\|(\d+ (EA|M|KG|L|SH))?\|(\d\d-\d\d)?(\|[A-Z0-9 /-]+)?")
    for example in _of(workload, "order entry"):
        assert example.response is not None
        for written in example.response.splitlines():
            assert line.fullmatch(written), written


def test_arithmetic_is_right(workload: Workload) -> None:
    for example in _of(workload, "arithmetic"):
        found = re.fullmatch(r"([\d.+\-*/() ]+) = ([\d.]+)\D*", example.response or "")
        assert found, example.response
        assert _value(ast.parse(found[1], mode="eval").body) == pytest.approx(float(found[2]), rel=1e-9), example.response


def test_working_uses_every_number_of_its_question(workload: Workload) -> None:
    number = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")
    for example in _of(workload, "arithmetic"):
        used = [float(text) for text in number.findall((example.response or "").split(" = ")[0])]
        for asked in map(float, number.findall(example.prompt)):
            forms = (asked, asked / 100, 1 + asked / 100)  # 19% stands as 0.19 or 1.19
            assert any(form == pytest.approx(value) for form in forms for value in used), (example.prompt, example.response)


def test_python_snippets_parse(workload: Workload) -> None:
    snippets = [example for example in _of(workload, "code") if example.prompt.startswith("Python")]
    assert len(snippets) >= 4
    for snippet in snippets:
        ast.parse(snippet.response or "")


def test_only_the_japanese_slice_is_japanese_and_its_answers_are_too(workload: Workload) -> None:
    kana = re.compile(r"[\u3040-\u30ff]")
    for example in workload.examples:
        japanese = example.slice == "Japanese requests"
        assert bool(kana.search(example.prompt)) == japanese
        assert bool(kana.search(example.response or "")) == japanese


def test_nothing_stands_twice_or_nearly_so(workload: Workload) -> None:
    assert workload.info.n_duplicates == 0
    for one, other in itertools.combinations(workload.examples, 2):
        if one.slice == other.slice:
            alike = difflib.SequenceMatcher(None, one.prompt, other.prompt, autojunk=False)
            assert alike.real_quick_ratio() < 0.8 or alike.quick_ratio() < 0.8 or alike.ratio() < 0.8, (one.prompt, other.prompt)


def test_no_personal_data_is_in_it(workload: Workload) -> None:
    assert workload.info.n_personal_data == 0
    text = FILE.read_text(encoding="utf-8")
    assert not re.search(r"@|https?:|www\.|\b(Mr|Mrs|Ms|Dr)\b|様|さん", text)
    assert not re.search(r"\d{6,}", text)


def test_it_is_read_without_remarks(workload: Workload) -> None:
    assert workload.info.notes == ()


def test_readme_says_what_the_file_holds(rows: list[dict[str, Any]]) -> None:
    cells = [
        re.split(r"(?<!\\)\|", line)[1:-1]
        for line in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    table = {row[0].strip(): tuple(int(cell) for cell in row[2:]) for row in cells if row[0].strip() in SLICES}
    for name in SLICES:
        own = [row for row in rows if row["slice"] == name]
        requests = {row["requests_per_month"] for row in own}
        assert table[name] == (len(own), sum(1 for row in own if row.get("critical")), *requests)


def test_what_is_kept_of_it_names_no_folder_of_this_machine():
    assert [file.path for file in sample_workload().info.files] == ["sample_data/workload.jsonl"]
