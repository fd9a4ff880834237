"""`scripts/make_sample.py`: which commands it runs and which files of the sample it writes."""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from analysis.cli import app

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_sample.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script with commands that only write their files; they are noted in `ran`."""
    spec = importlib.util.spec_from_file_location("make_sample_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "make_sample_script", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    module.ran = []

    def strata(*args: str | Path, allowed: tuple[int, ...] = (0,)) -> int:
        module.ran.append([str(arg) for arg in args])
        for flag, path in itertools.pairwise(args):
            if str(flag) in ("--out", "--semantics-out", "--search-out"):
                Path(path).write_text('{"verdict": "outside", "recommended": 4, "eof_layer": 14}', encoding="utf-8")
        return max(allowed)

    monkeypatch.setattr(module, "_strata", strata)
    monkeypatch.setattr(module, "DATA", tmp_path / "data")
    monkeypatch.setenv("STRATA_HOME", os.environ["STRATA_HOME"])  # put back afterwards: the script sets its own
    (tmp_path / "data").mkdir()
    return module


def test_only_freezing_makes_traces_plan_and_trial_and_leaves_the_rest(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["make_sample.py", "--only", "freezing", "--device", "cuda"])
    assert script.main() == 0
    made = sorted(str(path.relative_to(tmp_path / "data")) for path in (tmp_path / "data").rglob("*.gz"))
    assert made == ["sample_plans/freeze.json.gz", "sample_semantics.json.gz", "sample_trials/freeze.json.gz"]
    assert [command[0] for command in script.ran] == [
        "profile",
        "plan",
        "sweep",
        "plan",
        "sweep",
    ]
    assert script.ran[3][-4:-2] == ["--strategy", "sweep"]
    assert all("cuda" in command for command in script.ran if command[0] != "plan")


def test_only_consensus_makes_a_ranking_its_plan_and_what_that_was_run_by(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["make_sample.py", "--only", "consensus", "--device", "cuda"])
    assert script.main() == 0
    made = sorted(str(path.relative_to(tmp_path / "data")) for path in (tmp_path / "data").rglob("*.gz"))
    kinds = ("healings", "plans")
    assert made == [
        *(f"sample_{kind}/consensus.json.gz" for kind in kinds),
        "sample_ranking.json.gz",
        "sample_robustness/consensus.json.gz",
    ]
    assert [command[0] for command in script.ran] == ["rank", "plan", "heal", "robustness"]
    assert all("cuda" in command for command in script.ran if command[0] != "plan")


def test_every_command_of_the_script_has_options_that_exist(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["make_sample.py"])
    monkeypatch.setattr(script, "_business", lambda: 0)  # its documents are none: no command was run
    script.main()
    known: Any = typer.main.get_command(app)
    for name, *args in script.ran:
        options = {flag for parameter in known.commands[name].params for flag in parameter.opts}
        assert {arg for arg in args if arg.startswith("--")} <= options, name
