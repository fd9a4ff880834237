"""Which model and workload a command means, as every command that runs prompts asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

from analysis.cli.terminal import Terminal, key_values
from analysis.contracts import STRATEGIES, ModelSource, Progress, Strategy, Unit, WorkloadChoice
from analysis.errors import Cancelled, InputError

Slicing = Literal["given", "language", "length", "none"]


def chosen_workload(
    model: ModelSource, workload: Sequence[Path] | None, mapping: Sequence[str] | None, slicing: Slicing, mask: bool
) -> WorkloadChoice:
    """The choice that was made by --workload, --map, --slicing and --mask."""
    return WorkloadChoice(
        model=model,
        workload_paths=tuple(str(path.absolute()) for path in workload or ()),
        mapping=key_values(mapping or (), "--map"),
        slicing=slicing,
        mask_personal_data=mask,
    )


def layers(text: str) -> tuple[int, ...]:
    """``0,1,29`` as numbers.

    Raises:
        InputError: something else stands there.
    """
    try:
        found = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as exc:
        raise InputError("--protect {given} is not understood: write layer numbers with commas, for example 0,1,29.", given=text) from exc
    if any(layer < 0 for layer in found):
        raise InputError("--protect {given} is not understood: write layer numbers with commas, for example 0,1,29.", given=text)
    return found


def units_named(given: Sequence[str] | None, default: tuple[Unit, ...]) -> tuple[Unit, ...]:
    """What --unit names, each once.

    Raises:
        InputError: something that is not a unit.
    """
    known: tuple[Unit, ...] = get_args(Unit)
    unknown = next((one for one in given or () if one not in known), None)
    if unknown is not None:
        raise InputError("--unit {given} is not one of: {known}. Choose among these.", given=unknown[:40], known=known)
    return tuple(unit for unit in known if unit in given) if given else default


def strategies_named(given: Sequence[str] | None, default: tuple[Strategy, ...]) -> tuple[Strategy, ...]:
    """What --strategy names, each once, in the order given.

    Raises:
        InputError: something that is not a strategy.
    """
    unknown = next((one for one in given or () if one not in STRATEGIES), None)
    if unknown is not None:
        raise InputError("--strategy {given} is not one of: {known}. Choose among these.", given=unknown[:40], known=STRATEGIES)
    found: tuple[Strategy, ...] = tuple(name for one in dict.fromkeys(given or ()) for name in STRATEGIES if name == one)
    return found or default


def stoppable(show: Callable[[Progress], None], should_stop: Callable[[], bool]) -> Callable[[Progress], None]:
    """Shows progress until a stop was asked for: what comes before the first batch stops between its stages."""

    def told(progress: Progress) -> None:
        if should_stop():
            raise Cancelled("Stopped.")
        show(progress)

    return told


def seconds_of(tokens: float, model_name: str, terminal: Terminal) -> str:
    """About how long it takes to run some tokens, by the newest kept run of the model; empty: not known."""
    from analysis.i18n.numbers import duration
    from analysis.runs.store import open_store

    runs = open_store().runs
    known = next((run for run in runs.runs() if run.model_name == model_name and not run.is_sample), None)
    if known is None:
        return ""
    speed = runs.profile(known.id).timing.tokens_per_second
    told = duration(tokens / speed, terminal.language) if speed > 0 else ""
    return (
        terminal.t(" At the speed of the newest kept run, on {device}: about {time}.", time=told, device=known.device_name) if told else ""
    )
