"""What every command shares: the language, how a sentence is said, and how a failure becomes a sentence and an exit code."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer

from analysis.cli.usage import SpokenGroup, usage_error
from analysis.contracts import Message
from analysis.errors import Cancelled, InputError, ResourceError, StrataError
from analysis.home import home, saying_disk_errors
from analysis.i18n import Language, Translator, language_of, render, translator

_ANYWHERE = {"--lang": 1, "--debug": 0, "--quiet": 0}
"""Options of the whole program that may also stand behind a command's name -> how many values follow them."""

_PROBE_BYTES = 4096
_OLDEST_TYPER = (0, 20)
"""Versions before it refuse the commands' options; requirements.txt asks for the same."""


@dataclass(frozen=True)
class Terminal:
    """Who is listening: in which language, how much they want to hear."""

    language: Language = "en"
    quiet: bool = False
    debug: bool = False

    @property
    def t(self) -> Translator:
        """Says a sentence in the listener's language."""
        return translator(self.language)

    def tell(self, sentence: str, **values: object) -> None:
        """Says something worth knowing that is not the result itself: on stderr, not when quiet."""
        if not self.quiet:
            print(self.t(sentence, **values), file=sys.stderr, flush=True)

    def hear(self, message: Message) -> None:
        """A message of the engine, said on stderr."""
        if not self.quiet:
            print(render(message, self.language), file=sys.stderr, flush=True)


def terminal_of(ctx: typer.Context) -> Terminal:
    """The listener of this call."""
    found = ctx.find_object(Terminal)
    return found if found is not None else Terminal()


def chosen_language(args: Sequence[str], environ: Mapping[str, str] = os.environ) -> Language:
    """The language of a call: ``--lang`` wins, then LC_ALL, LC_MESSAGES, LANG."""
    for index, arg in enumerate(args):
        asked = (
            arg.removeprefix("--lang=")
            if arg.startswith("--lang=")
            else args[index + 1]
            if arg == "--lang" and index + 1 < len(args)
            else None
        )
        if asked:
            return language_of(asked)
    return language_of(next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), None))


def hush_libraries() -> None:
    """Keeps the bars and remarks of the model libraries out of our own progress; must be called before they are imported."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


class StrataGroup(SpokenGroup):
    """The root command: speaks the caller's language and ends every failure with one sentence and its exit code."""

    _typed: tuple[str, ...] = ()

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Runs one call."""
        given = _program_options_first(list(sys.argv[1:] if args is None else args))
        self._typed = tuple(given)  # the parser takes its list apart while it reads
        _say_help_in(self, translator(chosen_language(given)))
        return super().main(given, *rest, **extra)

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Reads the program's own options; what cannot be read is said."""
        try:
            return super().make_context(*args, **extra)
        except Exception as exc:
            raise self._ended(exc, None) from exc

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; a failure is said, not shown."""
        try:
            return super().invoke(ctx)
        except (StrataError, KeyboardInterrupt, MemoryError) as exc:
            raise typer.Exit(_said(_as_strata_error(exc), self._listener(ctx))) from exc
        except BrokenPipeError:
            raise
        except Exception as exc:
            raise self._ended(exc, ctx) from exc

    def _listener(self, ctx: Any) -> Terminal:
        """Who is listening, also before the program's own options were read."""
        known = ctx.find_object(Terminal) if ctx is not None else None
        return known or Terminal(language=chosen_language(self._typed))

    def _ended(self, exc: Exception, ctx: Any) -> Exception:
        """How the call ends after `exc`: as Typer wants it, or with a sentence and an exit code."""
        if isinstance(exc, typer.Exit | typer.Abort):
            return exc
        mistyped = usage_error(exc, self._typed)
        if mistyped is not None:
            return typer.Exit(_said(mistyped, self._listener(ctx)))
        if type(exc).__module__.startswith(("typer.", "click.")):  # help that was asked for by typing nothing
            return exc
        return typer.Exit(_surprise(exc, self._listener(ctx)))


def _program_options_first(args: list[str]) -> list[str]:
    front, rest, index = list[str](), list[str](), 0
    while index < len(args):
        width = 1 + _ANYWHERE.get(args[index], 0)
        belongs_to_program = args[index] in _ANYWHERE or args[index].startswith("--lang=")
        (front if belongs_to_program else rest).extend(args[index : index + width])
        index += width
    return front + rest


def paragraphs(*texts: str) -> str:
    """A help text of several paragraphs, each a sentence of its own to translate."""
    return "\n\n".join(texts)


def examples(*commands: str) -> str:
    """A paragraph of commands: shown line by line, the same in every language."""
    return "\n".join(("\b", *commands))


def _say_help_in(command: Any, t: Translator) -> None:
    # Typer reads help texts when the module is imported, long before the language is known: they are replaced in place.
    for owner in (command, *command.params):
        english = vars(owner).setdefault("_in_english", {})
        for field in ("help", "epilog", "short_help"):
            text = english.setdefault(field, getattr(owner, field, None) or "")
            if text:
                setattr(owner, field, paragraphs(*(part if part.startswith("\b") else t(part) for part in text.split("\n\n"))))
    for child in getattr(command, "commands", {}).values():
        _say_help_in(child, t)


def _as_strata_error(exc: BaseException) -> StrataError:
    if isinstance(exc, KeyboardInterrupt):
        return Cancelled("Stopped.")
    if isinstance(exc, MemoryError):
        return ResourceError("This machine's memory ran out. Close other programs, or choose a smaller model or --batch-tokens.")
    assert isinstance(exc, StrataError)
    return exc


def _said(error: StrataError, terminal: Terminal) -> int:
    print(render(error.message, terminal.language), file=sys.stderr, flush=True)
    if terminal.debug:
        traceback.print_exception(error)
    return error.exit_code


def _surprise(exc: Exception, terminal: Terminal) -> int:
    log = home() / "logs" / "terminal.log"
    try:
        with saying_disk_errors(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{datetime.now(UTC).isoformat()} {' '.join(sys.argv)}\n{''.join(traceback.format_exception(exc))}\n")
    except StrataError as no_log:
        return _said(no_log, terminal)
    told = terminal.t(
        "Something happened that Strata did not expect ({kind}). The details are in {log}; --debug shows them here.",
        kind=type(exc).__name__,
        log=str(log),
    )
    print(told, file=sys.stderr, flush=True)
    if terminal.debug:
        traceback.print_exception(exc)
    return 1


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Inside the block the first Ctrl-C (or SIGTERM) only asks the work to stop at its next batch; the second one insists.

    Yields:
        A function that says whether a stop was asked for.
    """
    asked = False

    def ask(signum: int, _frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        logging.getLogger(__name__).info("stop asked for by signal %d", signum)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def typer_is_too_old(args: Sequence[str]) -> int:
    """Says so, and which exit code that is, when the installed Typer cannot read the commands; 0: it can."""
    installed = version("typer")
    if tuple(int(part) for part in installed.split(".")[:2] if part.isdigit()) >= _OLDEST_TYPER:
        return 0
    oldest = ".".join(map(str, _OLDEST_TYPER))
    told = translator(chosen_language(args))(
        "Typer {installed} is too old for these commands; {oldest} or newer is needed. Install it: pip install -r requirements.txt",
        installed=installed,
        oldest=oldest,
    )
    print(told, file=sys.stderr, flush=True)
    return 1


def key_values(pairs: Sequence[str], option: str) -> dict[str, str]:
    """``["prompt=text"]`` as ``{"prompt": "text"}``.

    Raises:
        InputError: a pair without a name on both sides of its ``=``.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not name.strip() or not value.strip():
            raise InputError(
                "{option} {given} is not understood: write FIELD=COLUMN, for example {option} prompt=text.", option=option, given=pair
            )
        found[name.strip()] = value.strip()
    return found


def check_output(path: Path) -> None:
    """Finds out before hours of work that the result could not be written.

    Raises:
        InputError: the path is a folder, its folder does not exist or cannot be written.
        ResourceError: the disk is full.
    """
    if path.is_dir():
        raise InputError("--out {path} is a folder. Name a file, for example {path}/result.json.", path=str(path))
    if not path.absolute().parent.is_dir():
        raise InputError(
            "The folder {folder} of --out does not exist. Create it first, or name another file.", folder=str(path.absolute().parent)
        )
    if not path.exists() or path.is_file():  # what is neither, such as /dev/stdout, is written to as it is
        _try_writing(path.resolve())


def _try_writing(path: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.write(b"0" * _PROBE_BYTES)
            probe.flush()
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(
                "The disk that holds {folder} is full. Free some space, or name a file on another disk.", folder=str(path.parent)
            ) from exc
        raise InputError(
            "The folder {folder} of --out cannot be written ({problem}). Allow writing there, or name another file.",
            folder=str(path.parent),
            problem=str(exc.strerror),
        ) from exc
