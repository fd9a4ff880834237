"""A rollout in a few lines: where it stands, what the days advise and why, what each stage costs, and how the bills compare."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import typer

from analysis.cli.figures import aligned
from analysis.cli.terminal import Terminal
from analysis.contracts import BusinessCase, Currency, PlanAgainstActual, Rollout, Stage, StageAdvice
from analysis.errors import InputError
from analysis.i18n import N_
from analysis.i18n.numbers import percent
from analysis.reporting.headlines_business import slices_words
from analysis.reporting.headlines_business import stages as headline
from analysis.reporting.money_words import money, money_cells, months

_MONTH_HEADS = (N_("month"), N_("planned cost"), N_("actual cost"), N_("by volume"), N_("by price"), N_("by effect"))


def summarise_stages(rollout: Rollout, advice: StageAdvice | None, case: BusinessCase, terminal: Terminal) -> None:
    """The headline, why, and a line for each stage."""
    if terminal.quiet:
        return
    terminal.hear(headline(rollout, advice))
    for reason in advice.reasons if advice is not None else ():
        terminal.hear(reason)
    for stage in rollout.stages:
        _tell_stage(stage, case, terminal)
    if rollout.rehearsal is None:
        terminal.tell("The way back has not been rehearsed: no stage may start before it was tried and its minutes were measured.")
    left = [item.name for item in rollout.checklist if not item.done]
    if left:
        terminal.tell("Still open on the checklist: {n} of {all}.", n=len(left), all=len(rollout.checklist))


def _tell_stage(stage: Stage, case: BusinessCase, terminal: Terminal) -> None:
    language = terminal.language
    cost = next((found.at_stake for found in case.result.stages if found.stage == stage.number), None)
    terminal.tell(
        "  {k}. from {day}: {slices}; {traffic} of their requests; limits {limits}; at stake until its decision: {cost}",
        k=stage.number,
        day=stage.starts_on or "-",
        slices=slices_words(stage.slices),
        traffic=percent(stage.traffic, language),
        limits=", ".join(stage.guardrails) or "-",
        cost="-" if cost is None else money(cost, case.assumptions.currency, language, about=False),
    )


def summarise_actuals(case: BusinessCase, rollout: Rollout, terminal: Terminal) -> None:
    """The finding, a row for each month with what the difference comes from, and the payback as it now looks."""
    from analysis.economics.actuals import against, review

    if terminal.quiet:
        return
    try:
        found = against(case, rollout.actuals)
    except InputError as exc:  # months that are kept, beside a case that begins later: the rest of the answer stands
        terminal.hear(exc.message)
        return
    terminal.hear(found.reason)
    for line in aligned([*_table(found, case.assumptions.currency, terminal)]):
        typer.echo(f"  {line}", err=True)
    values = {
        name: months(length, terminal.language) if length is not None else "-"
        for name, length in (("planned", found.planned_payback_months), ("now", found.new_payback_months))
    }
    terminal.tell("Payback: {planned} as planned, {now} as it looks now.", **values)
    due = review(found.review_on, datetime.now(UTC).date())
    if due is not None:
        terminal.hear(due)


def _table(found: PlanAgainstActual, currency: Currency, terminal: Terminal) -> Iterator[tuple[str, ...]]:
    """In whole units, so that the causes of a month add up as they stand; the unit is said once."""
    rows = [(row.planned_cost, row.actual_cost, row.volume, row.price, row.effect) for row in found.months]
    known = tuple(amount for row in rows for amount in row if amount is not None)
    unit, cells = money_cells(known, currency, terminal.language)
    written = iter(cells)
    yield f"{terminal.t(_MONTH_HEADS[0])} ({unit})", *map(terminal.t, _MONTH_HEADS[1:])
    for row, month in zip(rows, found.months, strict=True):
        yield month.month, *("-" if amount is None else next(written) for amount in row)
