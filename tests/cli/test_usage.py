"""What was typed wrongly is said in our words, in both languages, as one sentence and with exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.cli import app

MISTYPED = {
    ("plan", "--context", "0"): ("--context 0", "a whole number, 1 or more"),
    ("plan", "--context=-3"): ("--context -3", "a whole number, 1 or more"),
    ("rank", "--per-step", "two"): ("--per-step two", "a whole number, 1 or more"),
    ("roi", "--draws", "3"): ("--draws 3", "from 100 to 100,000"),
    ("verify", "--plan", "p", "--batch-size", "2", "--batch-size", "0"): ("--batch-size 0", "1 or more"),
    ("heal", "--plan", "p", "--distillation-weight", "3"): ("--distillation-weight 3", "a number from 0 to 1"),
    ("robustness", "--plan", "p", "--epsilon", "a"): ("--epsilon a", "a number."),
    ("robustness", "--plan", "p", "--watts", "0"): ("--watts 0", "a number, 0.1 or more"),
    ("plan", "--op", "melt"): ("--op melt", "prune, skip, and freeze"),
    ("--lang", "fr", "runs"): ("--lang fr", "en and ja"),
    ("report",): ("report needs --case FILE", "--help"),
    ("runs", "open"): ("needs ID", "--help"),
    ("plan", "--budget"): ("--budget needs a value",),
    ("plan", "--budget", "--lang", "en"): ("--budget needs a value",),
    ("profile", "--mask=1"): ("--mask takes no value",),
    ("plan", "--budgit", "3"): ("--budgit", "Did you mean --budget?"),
    ("plan", "--zzz"): ("--zzz", "--help lists"),
    ("rnak",): ("rnak", "Did you mean rank?"),
    ("runs", "opne"): ("opne", "Did you mean open?"),
    ("zzz",): ("zzz", "--help lists"),
    ("profile", "mail.csv", "more (2).csv"): ("mail.csv more (2).csv",),
    ("--quiet",): ("needs a command",),
}


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")


@pytest.mark.parametrize("typed", MISTYPED, ids=" ".join)
def test_what_was_mistyped_is_one_sentence_of_what_was_given_and_what_is_allowed(typed: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, list(typed))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    for part in MISTYPED[typed]:
        assert part in result.stderr


@pytest.mark.parametrize("typed", [typed for typed in MISTYPED if "--lang" not in typed], ids=" ".join)
def test_what_was_mistyped_is_said_in_japanese(typed: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, ["--lang", "ja", *typed])
    assert result.exit_code == 2
    assert result.stderr.rstrip().endswith("。")
    for english in ("Invalid", "Error", "Usage", "Missing", "No such", "Did you", "Write"):
        assert english not in result.stderr


def test_the_locale_decides_the_language_of_a_mistyped_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "ja_JP.UTF-8")
    assert "というコマンドはありません" in CliRunner().invoke(app, ["zzz"]).stderr


def test_a_program_without_a_command_still_explains_itself() -> None:
    result = CliRunner().invoke(app, [])
    assert "Commands:" in result.output
    assert "Traceback" not in result.output
