"""A healing in a few lines: what the cut had cost, what came back, against what control, and what it took."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import typer

from analysis.cli.figures import UNKNOWN, aligned, figure, with_interval
from analysis.cli.terminal import Terminal
from analysis.contracts import Estimate, HealArm, Healing, Message
from analysis.i18n import N_, render
from analysis.i18n.numbers import duration, size
from analysis.reporting import healing_words as words

_HEADS = (N_("model"), N_("loss"), N_("Perplexity"), N_("rate"), N_("best step"), N_("training"), N_("memory"))


def summarise_healing(found: Healing, out: Path | None, terminal: Terminal) -> None:
    """How much came back, a row for each model, the slices, and what was kept apart."""
    if terminal.quiet:
        return
    terminal.hear(words.healing(found, terminal.language))
    terminal.tell("Loss on the verification half, nats a token, with 95% interval:")
    for line in aligned([[terminal.t(head) for head in _HEADS], *_rows(found, terminal)]):
        typer.echo(line, err=True)
    _tell_slices(found, terminal)
    terminal.tell(
        "Three parts without an example in common: {train} trained, {selection} chose rates and stops, {report} judged.",
        train=found.n_train,
        selection=found.n_selection,
        report=found.n_report,
    )
    for note in found.notes:
        terminal.hear(note)
    for arm in words.arms(found):
        if arm.stop != "done":
            terminal.tell("{run}: ended before the last step, {why}", run=_name(arm, terminal), why=Message(id=words.STOPS[arm.stop]))
        for note in arm.notes:
            terminal.tell("{run}: {note}", run=_name(arm, terminal), note=note)
    if found.folder is not None:
        _tell_folder(found, terminal)
    if out is not None and str(out) != "-":
        terminal.tell("Wrote {path}.", path=str(out))


def _rows(found: Healing, terminal: Terminal) -> Iterator[list[str]]:
    yield _plain_row(terminal.t("uncut"), found.base_loss, terminal)
    yield _plain_row(terminal.t("cut"), found.cut_loss, terminal)
    for arm in words.arms(found):
        memory = UNKNOWN if arm.peak_memory_bytes is None else size(arm.peak_memory_bytes, terminal.language)
        yield [
            _name(arm, terminal),
            with_interval(arm.loss_after, terminal),
            _perplexity(arm.loss_after, terminal),
            f"{arm.learning_rate:g}",
            str(arm.best_step),
            duration(arm.seconds, terminal.language),
            memory,
        ]


def _plain_row(name: str, loss: Estimate, terminal: Terminal) -> list[str]:
    return [name, with_interval(loss, terminal), _perplexity(loss, terminal), *[UNKNOWN] * (len(_HEADS) - 3)]


def _perplexity(loss: Estimate, terminal: Terminal) -> str:
    return UNKNOWN if loss.value is None or loss.value > 700 else figure(math.exp(loss.value), terminal, 2)


def _name(arm: HealArm, terminal: Terminal) -> str:
    return render(words.arm(arm), terminal.language)


def _tell_slices(found: Healing, terminal: Terminal) -> None:
    """What came back by slice, the slice that is worst off first."""

    def left(name: str) -> float:
        part = found.slices[name]
        known = part.healed.value is not None and part.base.value is not None
        return (part.healed.value or 0) - (part.base.value or 0) if known else -math.inf

    worst = sorted(found.slices, key=left, reverse=True)
    rows = [
        [name, *(figure(part.value, terminal) for part in (found.slices[name].base, found.slices[name].cut, found.slices[name].healed))]
        for name in worst
    ]
    if not rows:
        return
    heads = [terminal.t(head) for head in (N_("slice"), N_("uncut"), N_("cut"), N_("healed"))]
    for line in aligned([heads, *rows]):
        typer.echo(f"  {line}", err=True)


def _tell_folder(found: Healing, terminal: Terminal) -> None:
    difference = UNKNOWN if found.reload_difference is None else f"{found.reload_difference:.2g}"
    terminal.tell(
        "The healed model is in {folder}. Reloaded, its logits differ by {difference} at most.", folder=found.folder, difference=difference
    )
