"""A trial or sweep in a few lines: what freezing saved and kept, how sure that is, and what was checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from analysis.cli.figures import UNKNOWN, aligned, figure, share
from analysis.cli.terminal import Terminal
from analysis.contracts import EofChoice, Message, ProjectionError, Trial, TrialArm
from analysis.i18n import N_, render
from analysis.i18n.numbers import number, percent, size
from analysis.reporting import headlines, verification_words
from analysis.reporting import training_words as words

_HEADS = (
    N_("way of training"),
    N_("rate"),
    N_("epoch 1"),
    N_("epoch 2+"),
    N_("memory"),
    N_("loss"),
    N_("gain kept"),
    N_("at equal cost"),
)
_EXACT = 0.0005
"""Error of a projection below which it is said to have come true: it would be shown as 0.0%."""


def summarise_trial(trial: Trial, out: Path | None, terminal: Terminal) -> None:
    """The headline, a row for each run, what was checked, how wrong the projection was, and what else is worth knowing."""
    if terminal.quiet:
        return
    terminal.hear(headlines.trials(trial))
    _tell_table(trial, terminal)
    _tell_checks(trial.arms, terminal)
    if trial.projection_errors:
        terminal.tell("The projection beside what was measured:")
        for error in trial.projection_errors:
            _tell_error(error, terminal)
    for note in trial.notes:
        terminal.hear(note)
    for arm in trial.arms:
        for note in arm.notes:
            terminal.tell("{run}: {note}", run=_name(arm, terminal), note=note)
    if out is not None and str(out) != "-":
        terminal.tell("Wrote {path}.", path=str(out))


def _tell_table(trial: Trial, terminal: Terminal) -> None:
    """A row for each run; what this trial knows nothing of has no column, so that the rest fits a narrow window."""
    terminal.tell(
        "Median time of a step by epoch; loss on the verification half, {before} nats a token before training; share of full fine-tuning's "
        "gain that was kept.",
        before=figure(trial.arms[0].loss_before.value, terminal),
    )
    rows = [[terminal.t(head) for head in _HEADS], *(_row(arm, terminal) for arm in trial.arms)]
    known = [column for column in zip(*rows, strict=True) if set(column[1:]) != {UNKNOWN}]
    for line in aligned(list(zip(*known, strict=True))):
        typer.echo(line, err=True)


def _row(arm: TrialArm, terminal: Terminal) -> list[str]:
    language, cost = terminal.language, arm.cost
    later = cost.later_epochs_ms
    return [
        _name(arm, terminal),
        f"{arm.learning_rate:g}",
        _time(cost.first_epoch_ms.p50, terminal),
        UNKNOWN if later is None else _time(later.p50, terminal),
        UNKNOWN if cost.peak_memory_bytes is None else size(cost.peak_memory_bytes, language),
        figure(arm.loss_after.value, terminal),
        share(arm.kept_at_tokens, terminal),
        UNKNOWN if arm.kept_at_cost is None else percent(arm.kept_at_cost, language),
    ]


def _time(milliseconds: float, terminal: Terminal) -> str:
    return f"{number(milliseconds, terminal.language, 1 if milliseconds < 100 else 0)} ms"


def _name(arm: TrialArm, terminal: Terminal) -> str:
    return render(words.arm(arm), terminal.language)


def _tell_checks(arms: Sequence[TrialArm], terminal: Terminal) -> None:
    """Whether what was to stay as it is did: said for all runs at once, or the ones where it did not by name."""
    frozen = [arm for arm in arms if arm.frozen_identical is not None]
    changed = [_name(arm, terminal) for arm in frozen if not arm.frozen_identical]
    pulled = [_name(arm, terminal) for arm in arms if arm.gradient_free is False]
    if changed:
        terminal.tell("Not as it should be: frozen weights changed in {runs}. Do not rely on these runs.", runs=changed)
    elif frozen:
        terminal.tell("Checked: every frozen weight is bit for bit what it was (runs: {n}).", n=len(frozen))
    if pulled:
        terminal.tell(
            "Not as it should be: gradients reached frozen layers in {runs}. Their times are not those of a frozen run.", runs=pulled
        )
    elif any(arm.gradient_free for arm in arms):
        terminal.tell("Checked: no weight below the boundary ever had a gradient.")


def _tell_error(error: ProjectionError, terminal: Terminal) -> None:
    language, apart = terminal.language, abs(error.error_share)
    values = {
        "quantity": render(quantity(error.quantity), language),
        "projected": verification_words.quantity_value(error.quantity, error.projected, language),
        "measured": verification_words.quantity_value(error.quantity, error.measured, language),
    }
    if apart < _EXACT:
        terminal.tell("  {quantity}: projected {projected}, measured {measured}: as projected", **values)
    elif error.error_share > 0:
        terminal.tell(
            "  {quantity}: projected {projected}, measured {measured}: projected {error} too much",
            **values,
            error=percent(apart, language, 1),
        )
    else:
        terminal.tell(
            "  {quantity}: projected {projected}, measured {measured}: projected {error} too little",
            **values,
            error=percent(apart, language, 1),
        )


def summarise_sweep(trial: Trial, terminal: Terminal) -> None:
    """The runs that nothing beats, and what every rule would have chosen and kept."""
    if terminal.quiet or not trial.front:
        return
    language = terminal.language
    best = [
        f"{render(words.arm(arm), language)} ({number(point.seconds, language, 1)} s, {number(point.loss, language, 3)})"
        for point in sorted(trial.front, key=lambda point: point.seconds)
        if point.on_front and (arm := trial.arm(point.arm)) is not None
    ]
    terminal.tell("No run is both cheaper and better than these (training time, loss): {runs}.", runs=best)
    for choice in trial.choices:
        _tell_rule(choice, trial, terminal)
    if trial.recommended is not None:
        terminal.tell("Recommended by the tuning part alone: {layers}.", layers=words.frozen_layers(trial.recommended))


def _tell_rule(choice: EofChoice, trial: Trial, terminal: Terminal) -> None:
    """A rule's layer beside what the run at that layer kept; the nearest one that was run where it was not."""
    rule = words.rule(choice.strategy)
    if choice.eof_layer is None:
        terminal.tell("{rule}: {reason}", rule=rule, reason=choice.reason)
        return
    if choice.eof_layer < 0 and trial.arm("full") is not None:
        terminal.tell("{rule}: {layers}, which is full fine-tuning", rule=rule, layers=words.frozen_layers(choice.eof_layer))
        return
    chosen, arms = choice.eof_layer, [arm for arm in trial.arms if arm.kind == "freeze" and arm.kept_at_tokens is not None]
    nearest = min(arms, key=lambda arm: abs(arm.eof_layer - chosen), default=None)
    if nearest is None:
        terminal.tell("{rule}: {layers}", rule=rule, layers=words.frozen_layers(choice.eof_layer))
        return
    if nearest.eof_layer == choice.eof_layer:
        kept = share(nearest.kept_at_tokens, terminal)
        terminal.tell("{rule}: {layers}; kept {share} of the gain", rule=rule, layers=words.frozen_layers(choice.eof_layer), share=kept)
        return
    terminal.tell(
        "{rule}: {layers}; not tried, the nearest run ({run}) kept {share} of the gain",
        rule=rule,
        layers=words.frozen_layers(choice.eof_layer),
        run=words.arm(nearest),
        share=share(nearest.kept_at_tokens, terminal),
    )


def quantity(name: str) -> Message:
    """A projected quantity of training by its name in words; what stands behind "@" says of which run."""
    kind, _, run = name.partition("@")
    title = N_("Time of a step with the cache") if kind == "cached_step_ms" else words.FIGURES.get(kind)
    plain = Message(id=title) if title else verification_words.quantity(kind)
    return Message(id="{quantity} ({shape})", values={"quantity": plain, "shape": run}) if run else plain
