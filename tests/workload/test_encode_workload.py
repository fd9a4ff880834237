"""A workload as a model gets it: halves, order, cuts, counts, preview."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analysis.contracts import ModelSource, ProfileRequest, ProfileSettings
from analysis.errors import WorkloadError
from analysis.workload import (
    Encoder,
    Workload,
    encode_workload,
    preview_workload,
    read_workload,
    requested_workload,
)
from tests.workload.tokenizer_zoo import CHATML, NO_SYSTEM, model_folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder.from_folder(model_folder(tmp_path_factory.mktemp("model"), "byte level", jinja=CHATML))


def workload_of(folder: Path, rows: list[dict[str, object]]) -> Workload:
    path = folder / "w.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_workload([path])


def rows(n: int = 30) -> list[dict[str, object]]:
    return [{"prompt": f"the valve {place} leaks", "response": "yes" * place, "slice": "ab"[place % 2]} for place in range(1, n + 1)]


def test_only_the_calibration_half_is_encoded_in_the_order_of_ids(tmp_path: Path, encoder: Encoder) -> None:
    workload = workload_of(tmp_path, rows())
    encoded = encode_workload(workload, encoder, max_tokens=1000, chat_template=True)
    ids = [example.example_id for example in encoded.examples]
    assert ids == sorted(example.id for example in workload.examples if example.part == "calibration")
    other = encode_workload(workload, encoder, max_tokens=1000, chat_template=True, part="verification")
    both = encode_workload(workload, encoder, max_tokens=1000, chat_template=True, part="all")
    assert sorted([*ids, *(example.example_id for example in other.examples)]) == [example.example_id for example in both.examples]


def test_counts_add_up(tmp_path: Path, encoder: Encoder) -> None:
    encoded = encode_workload(workload_of(tmp_path, rows()), encoder, max_tokens=60, chat_template=True)
    counts = encoded.counts
    assert counts.n_tokens == counts.n_prompt + counts.n_response + counts.n_template == sum(len(e.input_ids) for e in encoded.examples)
    assert counts.n_truncated_tokens == sum(e.n_cut for e in encoded.examples) > 0
    assert counts.n_truncated_examples == sum(e.n_cut > 0 for e in encoded.examples)
    assert sum(encoded.slice_tokens.values()) == counts.n_prompt + counts.n_response
    assert all(len(e.input_ids) == len(e.kinds) <= 60 for e in encoded.examples)
    assert any("cut at the end" in note.id and note.values["n"] == counts.n_truncated_examples for note in encoded.info.notes)
    assert encoded.info.content_hash == workload_of(tmp_path, rows()).info.content_hash


def test_slices_choose_and_unknown_ones_are_refused(tmp_path: Path, encoder: Encoder) -> None:
    workload = workload_of(tmp_path, rows())
    encoded = encode_workload(workload, encoder, max_tokens=100, chat_template=True, slices=["b"])
    assert {example.slice for example in encoded.examples} == {"b"} == set(encoded.slice_tokens)
    with pytest.raises(WorkloadError, match=r"no slice 'c'\. Its slices are: a, b\."):
        encode_workload(workload, encoder, max_tokens=100, chat_template=True, slices=["a", "c"])


def test_an_empty_half_is_refused(tmp_path: Path, encoder: Encoder) -> None:
    lonely = next(row for row in rows() if workload_of(tmp_path, [row]).examples[0].part == "verification")
    with pytest.raises(WorkloadError, match="calibration half"):
        encode_workload(workload_of(tmp_path, [lonely]), encoder, max_tokens=100, chat_template=True)
    lonely = next(row for row in rows() if workload_of(tmp_path, [row]).examples[0].part == "calibration")
    with pytest.raises(WorkloadError, match="verification half"):
        encode_workload(workload_of(tmp_path, [lonely]), encoder, max_tokens=100, chat_template=True, part="verification")


def test_examples_without_a_token_that_counts_are_left_out_and_counted(tmp_path: Path, encoder: Encoder) -> None:
    long_system = [{"prompt": f"the {place}", "system": "a" * (50 if place % 2 else 1), "slice": "s"} for place in range(20)]
    encoded = encode_workload(workload_of(tmp_path, long_system), encoder, max_tokens=40, chat_template=True, part="all")
    assert (encoded.counts.n_examples, encoded.counts.n_empty) == (10, 10)
    assert any("none of their tokens would count" in note.id for note in encoded.info.notes)
    with pytest.raises(WorkloadError, match=r"within 5 tokens \(prompts: 20\)"):
        encode_workload(workload_of(tmp_path, long_system), encoder, max_tokens=5, chat_template=True, part="all")


def test_a_joined_system_text_is_noted(tmp_path: Path) -> None:
    encoder = Encoder.from_folder(model_folder(tmp_path / "model", "byte level", jinja=NO_SYSTEM))
    workload = workload_of(tmp_path, [{**row, "system": "Be short."} for row in rows()])
    encoded = encode_workload(workload, encoder, max_tokens=1000, chat_template=True)
    assert any("takes no system text" in note.id and note.values["n"] == len(encoded.examples) for note in encoded.info.notes)


def test_the_preview_shows_what_would_be_run(tmp_path: Path, encoder: Encoder) -> None:
    workload = workload_of(tmp_path, rows())
    preview = preview_workload(workload, encoder, ProfileSettings(max_tokens=60))
    encoded = encode_workload(workload, encoder, max_tokens=60, chat_template=True)
    assert (preview.counts, preview.slice_tokens) == (encoded.counts, encoded.slice_tokens)
    assert preview.lengths == tuple(len(example.input_ids) for example in encoded.examples)
    assert len(preview.examples) == 3
    assert {row["slice"] for row in preview.examples} == {"a", "b"}
    assert all(set(row) == {"slice", "prompt", "response"} for row in preview.examples)
    assert preview == preview.model_validate_json(preview.model_dump_json())


def test_the_same_workload_gives_the_same_tokens_whatever_the_order(tmp_path: Path, encoder: Encoder) -> None:
    one, other = (
        encode_workload(workload_of(tmp_path, lines), encoder, max_tokens=80, chat_template=False) for lines in (rows(), rows()[::-1])
    )
    assert all(
        np.array_equal(a.input_ids, b.input_ids) and np.array_equal(a.kinds, b.kinds)
        for a, b in zip(one.examples, other.examples, strict=True)
    )


def test_a_request_names_its_workload(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text("text,kind\nCall 03-1234-5678,a\nok,b\n", encoding="utf-8")
    request = ProfileRequest(
        model=ModelSource(kind="sample"), workload_paths=(str(path),), mapping={"prompt": "text"}, slicing="none", mask_personal_data=True
    )
    workload = requested_workload(request)
    assert {example.prompt for example in workload.examples} == {"Call [phone]", "ok"}
    assert [part.name for part in workload.info.slices] == ["all prompts"]
    assert requested_workload(ProfileRequest(model=ModelSource(kind="sample"), workload_paths=())).info.is_sample


def test_nothing_here_loads_torch_transformers_or_pandas() -> None:
    code = (
        "import sys, analysis.workload as w; w.sample_workload(); "
        "print(sorted({'torch', 'transformers', 'pandas', 'openpyxl', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
