"""lm-eval's tasks: its figures read, the library missing, and the library itself where it is installed."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from analysis.errors import InputError
from analysis.models.load import load_model
from analysis.surgery.skip import left_out
from analysis.verification import lm_eval
from analysis.verification.batches import Runner
from tests.verification import tiny_verification as tv

TASK = """task: toy
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{q}}}}"
doc_to_choice: "{{{{c}}}}"
doc_to_target: "{{{{a}}}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""


def test_the_missing_library_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    lm_eval.require(())
    with pytest.raises(InputError, match=r"The tasks arc_easy, piqa need lm-eval, which is not installed here"):
        lm_eval.require(("arc_easy", "piqa"))


def test_the_extra_is_pinned_to_the_range_it_was_tried_with() -> None:
    text = (Path(__file__).resolve().parents[2] / "requirements-eval.txt").read_text(encoding="utf-8")
    assert "lm-eval>=0.4.13,<0.5" in text


def test_figures_are_read_with_their_errors_and_nothing_else() -> None:
    original = {
        "results": {
            "toy": {"alias": "toy", "acc,none": 0.5, "acc_stderr,none": 0.1, "exact_match,strict": 0.25, "exact_match_stderr,strict": "N/A"}
        },
        "n-samples": {"toy": {"original": 30, "effective": 20}},
    }
    plan = {"results": {"toy": {"alias": "toy", "acc,none": 0.25, "acc_stderr,none": 0.08, "exact_match,strict": 0.0}}}
    acc, exact = lm_eval.results_of(original, plan)
    assert (acc.task, acc.metric, acc.original, acc.plan, acc.stderr_original, acc.stderr_plan, acc.n) == (
        "toy",
        "acc",
        0.5,
        0.25,
        0.1,
        0.08,
        20,
    )
    assert (exact.metric, exact.plan, exact.stderr_original) == ("exact_match (strict)", 0.0, None)


@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="the extra requirements-eval.txt is not installed")
@pytest.mark.filterwarnings("ignore")
def test_a_task_runs_on_both_models_in_memory(tmp_path: Path) -> None:
    rows = [{"q": " ".join(tv.WORDS[3 + (n * k) % 13] for k in range(1, 5)), "c": ["pass", "fail"], "a": n % 2} for n in range(20)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "toy.yaml").write_text(TASK.format(data=tmp_path / "data.jsonl"), encoding="utf-8")
    model = load_model(tv.save(tv.tiny_llama(planted=(2,)), tmp_path / "model"), device="cpu")
    runner = Runner(model, model.stack(), 64)
    (same,) = lm_eval.run_tasks(runner, ["toy"], lambda: left_out(model.stack(), [("block", 2)]), task_folder=tmp_path)
    assert (same.task, same.metric, same.n) == ("toy", "acc", 20)
    assert same.original == same.plan
    (other,) = lm_eval.run_tasks(runner, ["toy"], lambda: left_out(model.stack(), [("block", 1)]), task_folder=tmp_path)
    assert other.original == same.original
    with pytest.raises(InputError, match=r"lm-eval has no task named nope"):
        lm_eval.run_tasks(runner, ["nope"], lambda: left_out(model.stack(), []), task_folder=tmp_path)
