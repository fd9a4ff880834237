"""Ids, halves and hashes: the same example is the same everywhere."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from analysis.workload import Example, Turn, read_workload
from analysis.workload.workload import without_duplicates, workload_hash


def example(prompt: str, **more: object) -> Example:
    return Example(turns=(Turn("user", prompt),), **more)  # type: ignore[arg-type]


TEXT = st.text(max_size=12)
EXAMPLES = st.builds(
    example,
    st.sampled_from(["a", "b", "c", "d"]),
    slice=st.sampled_from(["", "s", "t"]),
    weight=st.sampled_from([0.5, 1.0, 2]),
    critical=st.booleans(),
    requests_per_month=st.sampled_from([None, 5.0]),
)


def test_ids_and_halves_do_not_change_between_versions() -> None:
    known = example("Check valve 3.", response="pass")
    assert known.id == "0f5724553a3328d47ba6576a35243782836eaf853677ac79614cdc29a3c8ba0c"
    assert [example(str(n)).part[0] for n in range(16)] == list("vcvvcvcvvcvccccv")


def test_the_id_is_over_the_content_and_nothing_else() -> None:
    one = example("x", response="y")
    assert one.id == replace(one, slice="s", weight=2.0, critical=True, requests_per_month=5.0).id
    different = [
        example("x"),
        example("x", response=""),
        example("x", response="y", choices=("a", "b"), answer="a"),
        example("x", response="y", choices=("a", "b"), answer="b"),
        Example(turns=(Turn("system", "x"), Turn("user", "x")), response="y"),
        Example(turns=(Turn("user", "x"), Turn("assistant", "y"))),
        example("x ", response="y"),
    ]
    assert len({one.id, *(other.id for other in different)}) == len(different) + 1


@given(st.lists(TEXT, max_size=4), st.lists(TEXT, max_size=4))
def test_moving_text_between_turns_changes_the_id(one: list[str], other: list[str]) -> None:
    first, second = (Example(turns=tuple(Turn("user", text) for text in texts)) for texts in (one, other))
    assert (first.id == second.id) == (one == other)


def test_the_split_is_about_half_and_half() -> None:
    parts = [example(f"prompt {n}").part for n in range(4000)]
    assert 0.47 < parts.count("calibration") / len(parts) < 0.53


@given(st.lists(EXAMPLES, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_copies_become_one_example_whatever_the_order(examples: list[Example], shuffle: random.Random) -> None:
    kept, left_out = without_duplicates(examples)
    shuffled = list(examples)
    shuffle.shuffle(shuffled)
    again, _ = without_duplicates(shuffled)
    assert len(kept) + left_out == len(examples)
    assert len({e.id for e in kept}) == len(kept)
    assert workload_hash(kept) == workload_hash(again)
    assert {e.id: e.requests_per_month for e in kept} == {e.id: e.requests_per_month for e in again}


def test_the_hash_ignores_order_and_files_but_not_what_changes_results(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{n}", "slice": "s"} for n in range(6)]

    def hashed(*files: list[dict[str, object]]) -> str:
        paths = [tmp_path / f"{number}.jsonl" for number in range(len(files))]
        for path, lines in zip(paths, files, strict=True):
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return read_workload(paths).info.content_hash

    whole = hashed(rows)
    assert whole == hashed(rows[::-1]) == hashed(rows[3:], rows[:3]) == hashed(rows, rows)
    assert whole == hashed([{**rows[0], "requests_per_month": 3, "unknown": 1}, *rows[1:]])
    changes: list[dict[str, object]] = [{"slice": "t"}, {"weight": 2}, {"critical": True}, {"response": "r"}]
    assert len({whole, *(hashed([{**rows[0], **change}, *rows[1:]]) for change in changes)}) == 5


def test_the_same_example_is_in_the_same_half_in_every_file(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{n}"} for n in range(40)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "b.txt").write_text("\n".join(str(row["prompt"]) for row in rows[10:][::-1]))
    one, other = ({e.prompt: e.part for e in read_workload([tmp_path / name]).examples} for name in ("a.jsonl", "b.txt"))
    assert other.items() <= one.items()


def test_slices_count_their_halves_and_small_ones_are_marked(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{n}", "slice": "large", "critical": n < 3} for n in range(60)] + [
        {"prompt": "x", "slice": "small"},
        {"prompt": "y"},
    ]
    path = tmp_path / "w.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    info = read_workload([path]).info
    by_name = {part.name: part for part in info.slices}
    assert list(by_name) == ["large", "other prompts", "small"]
    assert (by_name["large"].n_critical, by_name["large"].verifiable, by_name["small"].verifiable) == (3, True, False)
    assert all(part.n_calibration + part.n_verification == part.n_examples for part in info.slices)
    assert info.n_calibration + info.n_verification == info.n_examples == 62
    assert any("Fewer than 8" in note.id and note.values["slices"] == "other prompts, small" for note in info.notes)
