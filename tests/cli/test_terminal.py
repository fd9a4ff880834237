"""The terminal's manners: help, languages, one sentence per failure, exit codes."""

from __future__ import annotations

import errno
import inspect
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from analysis.cli import app
from analysis.cli.terminal import StrataGroup, check_output, chosen_language, key_values, stopping, typer_is_too_old
from analysis.errors import Cancelled, GuardrailMissed, InputError, JobLost, ResourceError, StrataError

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "sample-model",
    "profile",
    "plan",
    "scan",
    "search",
    "rank",
    "verify",
    "heal",
    "robustness",
    "trial",
    "sweep",
    "steps",
    "export",
    "roi",
    "report",
    "stages",
    "run-plan",
    "runs",
    "worker",
    "schema",
)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "analysis", *args], cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_command_explains_itself_in_both_languages(command: str, lang: str) -> None:
    result = CliRunner().invoke(app, ["--lang", lang, command, "--help"])
    assert result.exit_code == 0
    assert ("。" in result.output) is (lang == "ja")


@pytest.mark.parametrize("command", ["profile", "plan", "runs", "worker", "schema"])
def test_help_teaches_by_example(command: str) -> None:
    assert f"  python -m analysis {command}" in CliRunner().invoke(app, [command, "--help"]).output


def test_exit_codes_stand_in_the_help() -> None:
    said = " ".join(CliRunner().invoke(app, ["--help"]).output.split())
    for code in ("0 done", "2 bad input", "3 a guardrail", "4 memory or disk", "130 cancelled"):
        assert code in said


def test_help_loads_no_torch_and_answers_at_once() -> None:
    code = """
import sys
from analysis.cli import app
try:
    app(['profile', '--help'])
except SystemExit:
    assert not {'torch', 'transformers'} & set(sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=20).returncode == 0


@pytest.mark.parametrize(
    ("args", "environ", "language"),
    [
        ([], {"LANG": "ja_JP.UTF-8"}, "ja"),
        ([], {"LANG": "ja_JP.UTF-8", "LC_ALL": "C"}, "en"),
        ([], {"LC_MESSAGES": "ja_JP", "LANG": "en_GB"}, "ja"),
        (["--lang", "ja"], {"LANG": "en_GB"}, "ja"),
        (["profile", "--lang=en"], {"LANG": "ja_JP"}, "en"),
        ([], {}, "en"),
    ],
)
def test_the_language_is_the_one_asked_for_else_that_of_the_locale(args: list[str], environ: dict[str, str], language: str) -> None:
    assert chosen_language(args, environ) == language


def test_program_options_may_stand_behind_the_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["schema", "--out", str(tmp_path), "--lang", "ja"])
    assert result.exit_code == 0
    assert "書き出しました" in result.stderr
    assert CliRunner().invoke(app, ["schema", "--out", str(tmp_path), "--quiet"]).output == ""


def test_a_language_that_is_not_spoken_is_a_usage_error() -> None:
    assert CliRunner().invoke(app, ["--lang", "fr", "runs"]).exit_code == 2


def failing(error: BaseException) -> typer.Typer:
    small = typer.Typer(cls=StrataGroup, rich_markup_mode=None)

    @small.callback()
    def options() -> None: ...

    @small.command()
    def fail() -> None:
        raise error

    return small


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("What was given is wrong."), 2),
        (GuardrailMissed("The limit was missed."), 3),
        (ResourceError("The disk is full."), 4),
        (Cancelled("Stopped."), 130),
        (JobLost("The worker died."), 1),
        (KeyboardInterrupt(), 130),
        (MemoryError(), 4),
    ],
)
def test_a_failure_is_one_sentence_and_an_exit_code(error: BaseException, code: int) -> None:
    result = CliRunner().invoke(failing(error), ["fail"])
    assert result.exit_code == code
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    if isinstance(error, StrataError):
        assert result.stderr.strip() == str(error)


def test_a_surprise_is_logged_and_said_without_a_traceback(tmp_path: Path) -> None:
    result = CliRunner().invoke(failing(ZeroDivisionError("secret detail")), ["fail"])
    log = tmp_path / "home" / "logs" / "terminal.log"
    assert result.exit_code == 1
    assert "ZeroDivisionError" in result.stderr
    assert str(log) in result.stderr
    assert "Traceback" not in result.stderr
    assert "secret detail" in log.read_text()


def test_usage_errors_name_the_option_and_exit_with_2() -> None:
    result = CliRunner().invoke(app, ["plan"])
    assert result.exit_code == 2
    assert "--budget" in result.stderr
    assert run("profile", "--dtype", "int3").returncode == 2


def test_a_worker_for_a_device_that_is_not_there_exits_2() -> None:
    result = run("worker", "--device", "toaster")
    assert result.returncode == 2
    assert "toaster" in result.stderr
    assert "Traceback" not in result.stderr


def test_field_mappings_are_read_and_nonsense_is_refused() -> None:
    assert key_values(["prompt=text", "answer = solution "], "--map") == {"prompt": "text", "answer": "solution"}
    for wrong in ("prompt", "=text", "prompt=", ""):
        with pytest.raises(InputError, match="FIELD=COLUMN"):
            key_values([wrong], "--map")


def test_the_first_interrupt_asks_and_the_second_insists() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stopping() as should_stop:
        assert not should_stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert should_stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_no_option_is_named_by_its_metavar() -> None:
    """Typer 0.27 takes a metavar that spells the parameter's name for the option's name: --MODEL instead of --model."""
    unnamed = [
        f"{command.name} --{name}"
        for command in app.registered_commands
        for name, hint in get_type_hints(inspect.unwrap(command.callback), include_extras=True).items()  # type: ignore[arg-type]
        for option in getattr(hint, "__metadata__", ())
        if (option.metavar or "").lower() == name and f"--{name}" not in (option.default, *(option.param_decls or ()))
    ]
    assert not unnamed


@pytest.mark.parametrize(("installed", "code"), [("0.9.4", 1), ("0.19.2", 1), ("0.20.0", 0), ("0.29.2", 0), ("1.0rc1", 0)])
def test_a_typer_that_is_too_old_is_said_in_one_sentence(
    installed: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("analysis.cli.terminal.version", lambda _name: installed)
    assert typer_is_too_old(["search"]) == code
    assert len(capsys.readouterr().err.splitlines()) == code


def test_a_folder_that_cannot_be_written_is_said_before_anything_runs() -> None:
    with pytest.raises(InputError, match="cannot be written"):
        check_output(Path("/proc/result.json"))


def test_trying_whether_a_file_can_be_written_leaves_nothing_and_touches_nothing(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("earlier")
    check_output(tmp_path / "plan.json")
    check_output(tmp_path / "new.json")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["earlier"]


def test_a_disk_that_is_full_is_said_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("analysis.cli.terminal.tempfile.TemporaryFile", full)
    with pytest.raises(ResourceError, match="full"):
        check_output(tmp_path / "plan.json")


def test_an_unexpected_failure_is_logged_whatever_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("\udcff")

    monkeypatch.setattr("analysis.cli.export.read_plan", broken)
    result = CliRunner().invoke(app, ["export", "--plan", "x"])
    assert result.exit_code == 1
    assert "RuntimeError: \\udcff" in (tmp_path / "home" / "logs" / "terminal.log").read_text(encoding="utf-8")
