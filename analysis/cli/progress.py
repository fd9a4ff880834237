"""Progress on stderr: a moving bar on a terminal, plain lines in a log, nothing when quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from analysis.cli.terminal import Terminal
from analysis.contracts import Message, Progress
from analysis.i18n import render
from analysis.i18n.numbers import duration, number, percent

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def shown_progress(terminal: Terminal) -> Iterator[Callable[[Progress], None]]:
    """Inside the block, progress given to the function is shown as suits where stderr goes."""
    if terminal.quiet:
        yield lambda progress: None
    elif sys.stderr.isatty():
        with _bar(terminal) as show:
            yield show
    else:
        yield _Lines(terminal)


def stages_of(show: Callable[[Progress], None]) -> Callable[[Message], None]:
    """The same display for work that only names its stages."""
    return lambda message: show(Progress(stage=message))


def figures(progress: Progress, terminal: Terminal) -> str:
    """Speed and time left in words, as far as they are known: "312 tokens/s, 40 s left"."""
    t, parts = terminal.t, list[str]()
    if progress.tokens_per_second:
        parts.append(t("{speed} tokens/s", speed=number(progress.tokens_per_second, terminal.language, 0)))
    if progress.eta_seconds is not None:
        parts.append(t("{time} left", time=duration(progress.eta_seconds, terminal.language)))
    return "、".join(parts) if terminal.language == "ja" else ", ".join(parts)


class _Lines:
    """A line when the stage changes and then at most every ten seconds."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal, self._stage, self._last = terminal, "", 0.0

    def __call__(self, progress: Progress) -> None:
        stage, now = render(progress.stage, self._terminal.language), time.monotonic()
        if stage == self._stage and now - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._stage, self._last = stage, now
        share = percent(progress.fraction, self._terminal.language) if progress.total else ""
        print("  ".join(filter(None, (stage, share, figures(progress, self._terminal)))), file=sys.stderr, flush=True)


@contextmanager
def _bar(terminal: Terminal) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, figures="")

        def show(progress: Progress) -> None:
            said = render(progress.stage, terminal.language)
            bar.update(task, description=said, completed=progress.done, total=progress.total or None, figures=figures(progress, terminal))

        yield show
