"""Exports that must not happen, and what they leave behind: nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from analysis.contracts import ExportReport, Freeze, ModelSource, Progress
from analysis.errors import Cancelled, InputError, ModelError, PlanError, ResourceError
from analysis.surgery import compare, export_folder, shards
from analysis.surgery import export as export_module
from tests.models.tiny import build
from tests.surgery.export_cases import CASES
from tests.surgery.exporting import export, plan_for, removal, saved, spread_weights

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ModelSource:
    return saved(spread_weights(build("llama")), tmp_path_factory.mktemp("llama"))


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """A place for an export beside which nothing may be left."""
    yield tmp_path / "exports" / "out"
    assert not list((tmp_path / "exports").glob(".strata-export-*"))


# -- plans -------------------------------------------------------------------------------------------------------------


def test_a_plan_for_another_version_is_refused(source: ModelSource, target: Path) -> None:
    plan = plan_for(source, removal([1]))
    other = plan.model_copy(update={"model": plan.model.model_copy(update={"commit": "0" * 64})})
    with pytest.raises(PlanError, match="The plan was made for version 000000000000"):
        export(source, other, target)
    assert not target.exists()


def test_a_layer_that_is_not_there_is_refused(source: ModelSource, target: Path) -> None:
    with pytest.raises(PlanError, match="Layer 7 is not in this model"):
        export(source, plan_for(source, removal([7])), target)


def test_a_plan_that_takes_everything_is_refused(source: ModelSource, target: Path) -> None:
    with pytest.raises(PlanError, match="takes out all 3 layers"):
        export(source, plan_for(source, removal([0, 1, 2])), target)


def test_a_plan_that_only_freezes_has_nothing_to_export(source: ModelSource, target: Path) -> None:
    with pytest.raises(PlanError, match="nothing to export"):
        export(source, plan_for(source, Freeze(eof_layer=0)), target)


@pytest.mark.parametrize("unit", ["attention", "mlp"])
def test_halves_are_refused_with_the_alternatives(source: ModelSource, target: Path, unit: Any) -> None:
    with pytest.raises(PlanError, match=r"run-plan, or the Python snippet\), or export with zeroed output projections"):
        export(source, plan_for(source, removal([1], unit)), target)


def test_blocks_go_and_halves_become_zero_in_one_export(source: ModelSource, target: Path) -> None:
    report = export(source, plan_for(source, removal([1]), removal([2], "mlp"), Freeze(eof_layer=0)), target, zeroed=True)
    assert (report.n_blocks.after, report.max_logit_difference) == (2, 0.0)
    assert load_file(target / "model.safetensors")["model.layers.1.mlp.down_proj.weight"].abs().max() == 0
    assert [note.id for note in report.notes if "freezes" in note.id]


# -- models ------------------------------------------------------------------------------------------------------------


def test_a_quantised_model_is_refused(source: ModelSource, tmp_path: Path, target: Path) -> None:
    plan = plan_for(source, removal([1]))
    folder = tmp_path / "packed"
    shutil.copytree(source.location, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "bitsandbytes"}}))
    with pytest.raises(ModelError, match="is quantised"):
        export(ModelSource(kind="folder", location=str(folder)), plan, target)


def test_a_model_without_some_of_its_weights_is_refused(source: ModelSource, tmp_path: Path, target: Path) -> None:
    folder = tmp_path / "headless"
    shutil.copytree(source.location, folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    headless = ModelSource(kind="folder", location=str(folder))
    with pytest.raises(ModelError, match="lacks the weights of lm_head.weight"):
        export(headless, plan_for(headless, removal([1])), target)


def test_weights_that_the_class_does_not_read_are_left_out_and_said(source: ModelSource, tmp_path: Path, target: Path) -> None:
    folder = tmp_path / "more"
    shutil.copytree(source.location, folder)
    save_file(load_file(folder / "model.safetensors") | {"extra.weight": torch.ones(2)}, folder / "model.safetensors", {"format": "pt"})
    more = ModelSource(kind="folder", location=str(folder))
    report = export(more, plan_for(more, removal([1])), target)
    assert "extra.weight" not in load_file(target / "model.safetensors")
    assert [note for note in report.notes if note.values.get("name") == "extra.weight"]


# -- wrong results -----------------------------------------------------------------------------------------------------


def test_a_model_that_differs_is_not_kept(source: ModelSource, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_others = shards.renumbered
    monkeypatch.setattr(export_module, "renumbered", lambda name, prefix, keep: keep_others(name, prefix, (0, 1)))
    with pytest.raises(PlanError, match="their scores differ by up to"):
        export(source, plan_for(source, removal([1])), target)
    assert not target.exists()


def test_a_wrong_layer_shows_layer_by_layer_as_well(source: ModelSource, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_others = shards.renumbered
    monkeypatch.setattr(export_module, "renumbered", lambda name, prefix, keep: keep_others(name, prefix, (0, 1)))
    with pytest.raises(PlanError, match="their scores differ by up to"):
        export(source, plan_for(source, removal([1])), target, memory=lambda _: 0)


def test_a_bit_that_flips_while_writing_is_found_layer_by_layer(source: ModelSource, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = export_module.write_shards

    def damaging(folder: Path, *rest: Any) -> None:
        write(folder, *rest)
        data = bytearray((folder / "model.safetensors").read_bytes())
        data[-1] ^= 1
        (folder / "model.safetensors").write_bytes(data)

    monkeypatch.setattr(export_module, "write_shards", damaging)
    with pytest.raises(PlanError, match="was not written as it stands in the source"):
        export(source, plan_for(source, removal([1])), target, memory=lambda _: 0)


def test_a_window_longer_than_every_test_prompt_still_shows(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = CASES["gemma3_irregular_windows"]()
    model.config.sliding_window = 4096
    wide = saved(spread_weights(model), tmp_path / "wide")
    cut = export_module.cut_for_stack

    def careless(*args: Any, **kwargs: Any) -> Any:
        config = cut(*args, **kwargs)
        config.layer_types = args[0].layer_types[: config.num_hidden_layers]
        return config

    monkeypatch.setattr(export_module, "cut_for_stack", careless)
    with pytest.raises(PlanError, match="layer 1 would no longer be what it was: its setting"):
        export(wide, plan_for(wide, removal([0])), target)


def test_a_folder_that_loads_with_random_weights_is_not_kept(source: ModelSource, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = export_module.write_shards
    monkeypatch.setattr(export_module, "write_shards", lambda folder, pieces, *rest: write(folder, pieces[:-1], *rest))
    with pytest.raises(PlanError, match="does not load whole: 1 weights"):
        export(source, plan_for(source, removal([1])), target)


def test_scores_that_are_no_numbers_count_as_different() -> None:
    assert compare.largest(torch.tensor([float("nan")]), torch.tensor([1.0])) == float("inf")
    assert compare.largest(torch.zeros(2), torch.zeros(3)) == float("inf")


# -- places ------------------------------------------------------------------------------------------------------------


def test_a_folder_with_other_things_is_left_alone(source: ModelSource, target: Path) -> None:
    target.mkdir(parents=True)
    (target / "thesis.txt").write_text("do not lose")
    with pytest.raises(InputError, match="is not empty and was not written by an export"):
        export(source, plan_for(source, removal([1])), target, overwrite=True)
    assert (target / "thesis.txt").read_text() == "do not lose"


def test_an_earlier_export_is_replaced_only_when_asked(source: ModelSource, target: Path) -> None:
    export(source, plan_for(source, removal([1])), target)
    with pytest.raises(InputError, match="holds an earlier export"):
        export(source, plan_for(source, removal([0, 1])), target)
    export(source, plan_for(source, removal([0, 1])), target, overwrite=True)
    assert ExportReport.model_validate_json((target / "strata_export.json").read_bytes()).n_blocks.after == 1


def test_a_file_in_the_way_is_refused(source: ModelSource, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        export(source, plan_for(source, removal([1])), tmp_path / "file")
    with pytest.raises(ResourceError, match="cannot be written"):
        export(source, plan_for(source, removal([1])), tmp_path / "file" / "below")


def test_too_little_room_is_found_before_writing(source: ModelSource, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_folder.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(ResourceError, match="GiB free"):
        export(source, plan_for(source, removal([1])), target)
    assert not target.parent.exists()


def test_a_disk_that_becomes_full_leaves_nothing(source: ModelSource, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shards.Writing, "wrote", full)
    with pytest.raises(ResourceError, match="became full, so the export was not kept"):
        export(source, plan_for(source, removal([1])), target)
    assert not target.exists()


def test_memory_that_runs_out_is_said_and_leaves_nothing(source: ModelSource, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("too much")

    monkeypatch.setattr(compare, "_scores", out_of_memory)
    with pytest.raises(ResourceError, match="Memory ran out on cpu while the export was being proved"):
        export(source, plan_for(source, removal([1])), target)
    assert not target.exists()


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_progress_counts_bytes_and_stopping_leaves_nothing(source: ModelSource, target: Path) -> None:
    seen: list[Progress] = []
    export(source, plan_for(source, removal([1])), target, on_progress=seen.append)
    written = [progress for progress in seen if progress.total]
    assert written[-1].done == written[-1].total > 0
    assert [progress.done for progress in written] == sorted(progress.done for progress in written)
    shutil.rmtree(target)
    with pytest.raises(Cancelled):
        export(source, plan_for(source, removal([1])), target, on_progress=seen.append, should_stop=lambda: len(seen) > 2 * len(written))
    assert not target.exists()


def test_an_export_killed_in_the_middle_leaves_nothing_half_written(source: ModelSource, target: Path) -> None:
    plan = plan_for(source, removal([1]))
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from analysis.contracts import ModelSource, Plan
from tests.surgery.exporting import export
def kill(progress):
    if progress.done:
        os.kill(os.getpid(), signal.SIGKILL)
source = ModelSource(kind="folder", location={source.location!r})
export(source, Plan.model_validate_json(sys.stdin.read()), Path({str(target)!r}), on_progress=kill)
"""
    result = subprocess.run([sys.executable, "-c", script], input=plan.model_dump_json(), text=True, capture_output=True, timeout=200)
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert not target.exists()
    assert list(target.parent.glob(".strata-export-*"))
    export(source, plan, target)
    assert (target / "config.json").is_file()


def test_an_export_that_is_still_being_written_is_no_leftover(target: Path) -> None:
    with export_folder.written_whole(target) as first:
        with export_folder.written_whole(target.with_name("other")) as second:
            (second / "a").write_text("b")
        assert first.is_dir()
    assert target.is_dir()


@pytest.mark.parametrize("place", ["itself", "inside", "link"])
def test_an_export_never_goes_over_the_model_itself(source: ModelSource, tmp_path: Path, place: str) -> None:
    first = tmp_path / "first"
    export(source, plan_for(source, removal([1])), first)
    again = ModelSource(kind="folder", location=str(first))  # an export is a model like any other
    (tmp_path / "link").symlink_to(first)
    before = {file.name: file.read_bytes() for file in first.iterdir()}
    target = {"itself": first, "inside": first / "out", "link": tmp_path / "link"}[place]
    with pytest.raises(InputError, match="in the folder of the model itself"):
        export(again, plan_for(again, removal([0])), target, overwrite=True)
    assert {file.name: file.read_bytes() for file in first.iterdir()} == before


def test_an_earlier_export_stays_when_the_new_one_cannot_take_its_place(
    source: ModelSource, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(source, plan_for(source, removal([1])), target)
    before = (target / "strata_export.json").read_bytes()
    rename = Path.rename

    def failing(self: Path, to: Path) -> Path:
        if to == target and not self.name.endswith("-old"):
            raise PermissionError(errno.EACCES, "no")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ResourceError, match="cannot be written"):
        export(source, plan_for(source, removal([0])), target, overwrite=True)
    assert (target / "strata_export.json").read_bytes() == before
    assert [folder.name for folder in target.parent.iterdir() if folder.name.startswith(".strata")] == []


def test_code_and_pickled_weights_are_never_copied_and_no_code_is_named(source: ModelSource, tmp_path: Path, target: Path) -> None:
    folder = tmp_path / "with_code"
    shutil.copytree(source.location, folder)
    for name in ("tokenizer.py", "tokenizer_weights.bin", "vocab.pkl", "modeling_own.py", "pytorch_model.bin"):
        (folder / name).write_bytes(b"x")
    config = json.loads((folder / "config.json").read_text()) | {"auto_map": {"AutoModelForCausalLM": "modeling_own.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    own = ModelSource(kind="folder", location=str(folder))
    report = export(own, plan_for(own, removal([1])), target)
    assert {Path(name).suffix for name in report.files} <= {".json", ".safetensors", ".txt"}
    assert "auto_map" not in json.loads((target / "config.json").read_text())


def test_a_plan_that_skips_says_that_the_folder_has_the_layers_no_more(source: ModelSource, target: Path) -> None:
    notes = [note.in_english() for note in export(source, plan_for(source, removal([1], op="skip")), target).notes]
    assert any("skips layers at run time. In the exported folder they are gone for good" in note for note in notes)
