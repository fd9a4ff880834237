"""A business case in a few lines: what it saves, whether that can be relied on, and what a person still has to confirm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from analysis.cli.figures import aligned
from analysis.cli.terminal import Terminal
from analysis.contracts import Assumption, BusinessCase, FieldProblem, Message, Standing, Swing
from analysis.economics.check import unit_of
from analysis.economics.defaults import unsourced
from analysis.economics.names import FIGURES
from analysis.i18n import N_, Language, render
from analysis.i18n.numbers import number, span
from analysis.reporting.headlines_business import horizon, roi, roi_buckets, saving_interval
from analysis.reporting.money_words import day, money, money_range, months, percent_of, percent_range

BANNERS: dict[Standing, str] = {
    "outside": N_("NOT RECOMMENDED: the test of this plan missed its limits. What follows is what it would come to all the same."),
    "undecided": N_("NOT DECIDED: the test of this plan could not tell whether it holds. More prompts may decide it."),
    "rough": N_("NOT VERIFIED: this plan was only projected. What follows is a range to begin with, not a result."),
}
"""What stands over the figures of a case that its evidence does not carry."""
_MATTERS_MOST = 3


def summarise_case(case: BusinessCase, terminal: Terminal, written: Sequence[Path] = (), case_file: Path | None = None) -> None:
    """The banner if there has to be one, the headline, the figures, what matters most, what to confirm, and what else to know."""
    if terminal.quiet:
        return
    if case.standing in BANNERS:
        terminal.tell(BANNERS[case.standing])
    terminal.hear(roi(case))
    terminal.hear(roi_buckets(case))
    for line in aligned(list(_figures(case, terminal))):
        typer.echo(f"  {line}", err=True)
    _tell_what_matters(case, terminal)
    _tell_what_to_confirm(case, terminal)
    for note in _notes(case):
        terminal.hear(note)
    for path in written:
        if str(path) != "-":
            terminal.tell("Wrote {path}.", path=str(path))
    if case_file is not None and str(case_file) != "-":
        terminal.tell("Next: {command}", command=f"python -m analysis report --case {case_file} --format html --out briefing.html")


def tell_problems(problems: Sequence[FieldProblem], terminal: Terminal) -> None:
    """What stands against each field, also when quiet: it is why nothing was made."""
    for problem in problems:
        typer.echo(f"{problem.field}: {render(problem.message, terminal.language)}", err=True)


def _notes(case: BusinessCase) -> list[Message]:
    """What else is worth knowing, each once; what is to be confirmed was listed above."""
    said = {note.model_dump_json(): note for note in (*case.evidence.notes, *case.result.notes)}
    return [note for note in said.values() if not {"n", "names"} <= set(note.values)]


def _figures(case: BusinessCase, terminal: Terminal) -> Iterator[tuple[str, str]]:
    """Label and value with its unit, in the fixed order; what is undefined says why."""
    t, language, found = terminal.t, terminal.language, case.result
    yield t("cost a month today"), _money(found.cost.today, case, terminal)
    yield t("cost a month with the plan"), _money(found.cost.plan, case, terminal)
    yield t("start-up cost"), _money(found.start.total, case, terminal)
    yield t("net saving a month"), _net(case, terminal)
    least, most = saving_interval(case)
    yield t("net saving a year"), _money(12 * found.net_per_month, case, terminal, (12 * least, 12 * most))
    yield t("payback"), _or_reason(found.payback_months, found.payback_reason, terminal)
    yield t("in {h} months", h=round(horizon(case))), _money(found.total, case, terminal)
    spread = found.simulation.npv
    ends = None if spread.p10 is None or spread.p90 is None else (spread.p10, spread.p90)
    yield t("net present value"), _money(found.npv, case, terminal, ends)
    yield t("internal rate of return"), _rate(case, terminal)
    yield t("cash leaves the budget from"), _cash_from(case, terminal)
    if found.break_even_errors is not None:
        yield t("wrong answers a month that eat the saving"), number(found.break_even_errors, language, 0)


def _net(case: BusinessCase, terminal: Terminal) -> str:
    """The net saving a month with its cautious and its hopeful end, no finer than these."""
    found, currency, language = case.result, case.assumptions.currency, terminal.language
    low, high = saving_interval(case)
    value = money(found.net_per_month, currency, language, interval=(low, high), about=False)
    if low == high:
        return value
    return terminal.t("{value} ({range})", value=value, range=span(*money_range(low, high, currency, language), language))


def _money(amount: float, case: BusinessCase, terminal: Terminal, interval: tuple[float, float] | None = None) -> str:
    return money(amount, case.assumptions.currency, terminal.language, interval=interval, about=False)


def _or_reason(length: float | None, reason: Message | None, terminal: Terminal) -> str:
    if length is not None:
        return months(length, terminal.language)
    return render(reason, terminal.language) if reason is not None else "-"


def _rate(case: BusinessCase, terminal: Terminal) -> str:
    if case.result.irr is not None:
        return terminal.t("{share} a year", share=percent_of(case.result.irr))
    return render(case.result.irr_reason, terminal.language) if case.result.irr_reason is not None else "-"


def _cash_from(case: BusinessCase, terminal: Terminal) -> str:
    since = case.result.buckets.cash_from
    said = day(since, terminal.language) if since else None
    return said or terminal.t("not within this period")


def _tell_what_matters(case: BusinessCase, terminal: Terminal) -> None:
    for swing in case.result.tornado[:_MATTERS_MOST]:
        label, ends = _swing(swing, case, terminal)
        low, high = (_money(end, case, terminal) for end in (swing.npv_low, swing.npv_high))
        terminal.tell(
            "What matters most: {label}, {range}: net present value {low} to {high}.", label=label, range=ends, low=low, high=high
        )


def _swing(swing: Swing, case: BusinessCase, terminal: Terminal) -> tuple[str, str]:
    """What moves, and between which values, with its unit; what was measured moves within its interval."""
    language, figure = terminal.language, FIGURES.get(swing.name)
    if figure is None:
        if swing.name == "measured_saving":
            return terminal.t("measured saving"), percent_range(swing.low, swing.high, language)
        return terminal.t("measured quality"), terminal.t("{range} % more errors", range=_range(swing.low, swing.high, language))
    unit = render(unit_of(figure, case.assumptions.currency), language)
    return terminal.t(figure.label), _with_unit(_range(swing.low, swing.high, language), unit, language)


def _with_unit(said: str, unit: str, language: Language) -> str:
    """A figure and its unit: no space before a percent sign, and none in Japanese."""
    return f"{said}{unit}" if language == "ja" or unit.startswith("%") else f"{said} {unit}".strip()


def _range(low: float, high: float, language: Language) -> str:
    return span(_plain(low, language), _plain(high, language), language)


def _plain(value: float, language: Language) -> str:
    """A figure as a person types it: 0.5, 2.1, 30,000."""
    return number(value, language, min(2, len(f"{value:.2f}".rstrip("0").partition(".")[2])))


def _tell_what_to_confirm(case: BusinessCase, terminal: Terminal) -> None:
    """The starting values that this case uses and nobody stands for, with their units."""
    names = unsourced(case.assumptions, case.evidence)
    if not names:
        return
    terminal.tell("To confirm: {n} starting values have no source (--set NAME=VALUE replaces one):", n=len(names))
    rows = [(name, terminal.t(FIGURES[name].label), _value(name, case.assumptions.values[name], case, terminal)) for name in names]
    for line in aligned(rows):
        typer.echo(f"  {line}", err=True)


def _value(name: str, given: Assumption, case: BusinessCase, terminal: Terminal) -> str:
    language = terminal.language
    said = "-" if given.value is None else _plain(given.value, language)
    if given.low is not None and given.high is not None and (given.low, given.high) != (given.value, given.value):
        said = terminal.t("{value} ({range})", value=said, range=_range(given.low, given.high, language))
    unit = render(unit_of(FIGURES[name], given.currency or case.assumptions.currency), language)
    return _with_unit(said, unit, language)
