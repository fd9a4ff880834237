"""A robustness test in a few lines: where the plan is more sensitive than the original, unknown work, energy and carbon."""

from __future__ import annotations

from pathlib import Path

import typer

from analysis.cli.figures import aligned, change, figure, share, with_interval
from analysis.cli.terminal import Terminal
from analysis.contracts import Disturbed, EnergyUse, Robustness
from analysis.i18n import N_, render
from analysis.i18n.numbers import number
from analysis.reporting import robustness_words as words

_HEADS = (N_("disturbance"), N_("strength"), N_("original"), N_("plan"), N_("difference"), N_("the plan is"))


def summarise_robustness(found: Robustness, out: Path | None, terminal: Terminal) -> None:
    """A sentence, a row for each disturbance and strength, unknown work, energy."""
    if terminal.quiet:
        return
    terminal.hear(words.robustness(found))
    if found.results:
        terminal.tell("Rise of the loss under each disturbance (nats a token; difference: plan - original, with 95% interval):")
        for line in aligned([[terminal.t(head) for head in _HEADS], *(_row(result, terminal) for result in found.results)]):
            typer.echo(line, err=True)
    for part in found.unknown_work:
        terminal.tell(
            "Unknown work, {slice}: {change} there, {others} on the slices that the plan was chosen by: {verdict}.",
            slice=part.slice,
            change=with_interval(part.change, terminal, signed=True),
            others=with_interval(part.others, terminal, signed=True),
            verdict=terminal.t(words.ON_UNKNOWN_WORK[part.comparison]),
        )
    _tell_energy(found, terminal)
    _tell_remarks(found, terminal)
    for note in (*found.notes, *words.not_tested(found)):
        terminal.hear(note)
    if out is not None and str(out) != "-":
        terminal.tell("Wrote {path}.", path=str(out))


def _tell_remarks(found: Robustness, terminal: Terminal) -> None:
    """What is to be said of single tests, each remark once with all it is true of."""
    noted = dict[str, dict[str, None]]()
    for result in found.results:
        if result.note is not None:
            what = terminal.t(words.DISTURBANCES[result.kind])
            noted.setdefault(render(result.note, terminal.language), {})[what] = None
    for note, kinds in noted.items():
        terminal.tell("{what}: {note}", what=tuple(kinds), note=note)


def _row(result: Disturbed, terminal: Terminal) -> list[str]:
    return [
        terminal.t(words.DISTURBANCES[result.kind]),
        words.level(result.kind, result.level, terminal.language),
        change(result.rise_original.value, terminal),
        change(result.rise_plan.value, terminal),
        with_interval(result.difference, terminal, signed=True),
        terminal.t(words.COMPARISONS[result.comparison]),
    ]


def _tell_energy(found: Robustness, terminal: Terminal) -> None:
    """Energy and carbon for 1,000 prompts, measured or projected; else why there is none."""
    if found.energy is None:
        if found.energy_reason is not None:
            terminal.hear(found.energy_reason)
        return
    used, said = found.energy, _energy_values(found.energy, terminal)
    if used.origin == "measured":
        terminal.tell(
            "Energy for 1,000 prompts, measured: {before} -> {after} Wh on {device}; of the original: {ratio}.",
            **said,
            device=_device(found),
        )
    else:
        terminal.tell(
            "Energy for 1,000 prompts, projected from the measured time at {watts} W: {before} -> {after} Wh on {device}; "
            "of the original: {ratio}.",
            **said,
            watts=number(used.watts or 0, terminal.language, 0),
            device=_device(found),
        )
    grid = used.grid
    if grid is None or used.original_co2_g is None or used.plan_co2_g is None:
        return
    told = {
        "before": figure(used.original_co2_g.value, terminal, 2),
        "after": figure(used.plan_co2_g.value, terminal, 2),
        "factor": number(grid.kg_per_kwh, terminal.language, 3),
        "where": words.country_name(grid.country, terminal.language) if grid.country else terminal.t("own figure"),
        "source": grid.source,
    }
    if grid.year is None:
        terminal.tell("Carbon for 1,000 prompts: {before} -> {after} g CO2, at {factor} kg/kWh ({where}; {source}).", **told)
    else:
        terminal.tell(
            "Carbon for 1,000 prompts: {before} -> {after} g CO2, at {factor} kg/kWh ({where}, {year}; {source}).",
            **told,
            year=str(grid.year),
        )


def _energy_values(used: EnergyUse, terminal: Terminal) -> dict[str, str]:
    return {
        "before": figure(used.original_wh.value, terminal, 2),
        "after": figure(used.plan_wh.value, terminal, 2),
        "ratio": share(used.ratio, terminal),
    }


def _device(found: Robustness) -> str:
    return found.machine.device_name
