"""`stages`: how a plan gets into use step by step, what the days so far advise, and the limits for other systems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import typer

from analysis.cli import options_business as options
from analysis.cli.case_documents import read_case, read_rollout
from analysis.cli.documents import client_of, write_document, write_text
from analysis.cli.roi_words import tell_problems
from analysis.cli.stages_words import summarise_actuals, summarise_stages
from analysis.cli.terminal import Terminal, check_output, examples, paragraphs, terminal_of
from analysis.contracts import BusinessCase, MonitoringRow, Rollout, StageAdvice
from analysis.errors import DocumentError, GuardrailMissed, InputError
from analysis.i18n import N_

SHORT_HELP = N_("Roll a plan out in stages: limits, days in real use, what they advise, plan against actual.")
HELP = paragraphs(
    N_("Propose the stages of a rollout, or go on with the stored ones: read days in real use and real bills, and say what they advise."),
    N_("Examples:"),
    examples(
        "python -m analysis stages --case case.json --out rollout.json",
        "python -m analysis stages --case case.json --monitoring days.csv --actuals bills.csv --out rollout.json",
        "python -m analysis stages --case case.json --alerts rules.yml --guardrails guardrails.json --runbook rollback.md",
    ),
    N_(
        "Exits with 3 when the days advise to roll back or to stop, so that a job can act on it. "
        "Who approved, started or held a stage is recorded on the page Stages."
    ),
)


def stages(
    ctx: typer.Context,
    case: options.CaseFile,
    rollout: options.RolloutFile = None,
    monitoring: options.Monitoring = None,
    actuals: options.Actuals = None,
    alerts: options.Alerts = None,
    guardrails: options.GuardrailsOut = None,
    runbook: options.Runbook = None,
    monitoring_template: options.MonitoringTemplate = None,
    out: options.OutRollout = None,
    store: options.KeepRollout = True,
) -> None:
    """Reads what is new, writes what is asked for, and says what the days advise."""
    from analysis.economics.advice import advise

    terminal = terminal_of(ctx)
    outputs = [path for path in (out, alerts, guardrails, runbook, monitoring_template) if path is not None]
    for path in outputs:
        if str(path) != "-":
            check_output(path)
    about = read_case(case)
    begun = _begun(about, rollout, terminal)
    seen = client_of().rollout(begun.plan_id)
    grown = _with_actuals(_with_days(begun, monitoring or ()), actuals or (), about)
    _check(grown, about, terminal)
    if store:
        client_of().save_rollout(grown, seen)
    _export(grown, about, terminal, alerts=alerts, guardrails=guardrails, runbook=runbook, template=monitoring_template, out=out)
    advice = advise(grown) if grown.monitoring else None
    summarise_stages(grown, advice, about, terminal)
    if grown.actuals:
        summarise_actuals(about, grown, terminal)
    for path in outputs:
        if str(path) != "-":
            terminal.tell("Wrote {path}.", path=str(path))
    _gate(advice)


def _begun(case: BusinessCase, file: str | None, terminal: Terminal) -> Rollout:
    """The rollout that goes on: the file's, the kept one, the case's own, or a proposal.

    Raises:
        InputError: the file's is of another plan.
    """
    from analysis.economics.stages import default_rollout

    plan_id = case.evidence.plan_id
    if file is not None:
        given = read_rollout(file)
        if given.plan_id != plan_id:
            raise InputError(
                "This rollout is of plan {given}, and the case is of plan {plan}. Choose the one that belongs to it.",
                given=given.plan_id[:80],
                plan=plan_id,
            )
        return given
    known = client_of().rollout(plan_id) or case.rollout
    if known is not None:
        return known
    proposed = default_rollout(case.evidence, case.assumptions, today=datetime.now(UTC).date(), language=terminal.language)
    return proposed.model_copy(update={"case_id": case.id})


def _with_days(rollout: Rollout, files: Iterable[Path]) -> Rollout:
    """With the days of the files: one that comes again replaces the one before it."""
    from analysis.economics.monitoring import read_monitoring

    rows: dict[tuple[str, str], MonitoringRow] = {(row.date, row.slice): row for row in rollout.monitoring}
    for file in files:
        rows |= {(row.date, row.slice): row for row in read_monitoring(_bytes(file), file.name, rollout)}
    return rollout.model_copy(update={"monitoring": tuple(rows[place] for place in sorted(rows))})


def _with_actuals(rollout: Rollout, files: Iterable[Path], case: BusinessCase) -> Rollout:
    from analysis.economics.actuals import read_actuals, with_actuals

    for file in files:
        rollout = with_actuals(rollout, read_actuals(_bytes(file), file.name, currency=case.assumptions.currency), case)
    return rollout


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise DocumentError(
            "{path} cannot be read ({problem}). Give another file, or allow reading it.", path=str(file), problem=str(exc.strerror)
        ) from exc


def _check(rollout: Rollout, case: BusinessCase, terminal: Terminal) -> None:
    """Every field that stands against the rollout is said.

    Raises:
        InputError: some field cannot be used.
    """
    from analysis.economics.stages import check_rollout

    problems = check_rollout(rollout, case.evidence)
    if problems:
        tell_problems(problems, terminal)
        raise InputError("The rollout cannot be used as it is: {n} of its fields cannot be right (above). Correct them.", n=len(problems))


def _export(
    rollout: Rollout,
    case: BusinessCase,
    terminal: Terminal,
    *,
    alerts: Path | None,
    guardrails: Path | None,
    runbook: Path | None,
    template: Path | None,
    out: Path | None,
) -> None:
    from analysis.economics import alert_rules, monitoring
    from analysis.economics.stages import runbook as runbook_text

    if alerts is not None:
        write_text(alert_rules.prometheus_rules(rollout, terminal.language), alerts)
    if guardrails is not None:
        write_text(alert_rules.guardrails_json(rollout), guardrails)
    if runbook is not None:
        write_text(runbook_text(rollout, case.evidence, terminal.language), runbook)
    if template is not None:
        write_text("\ufeff" + monitoring.template(rollout).removeprefix("\ufeff"), template)
    if out is not None:
        write_document(rollout, out)


def _gate(advice: StageAdvice | None) -> None:
    """Fails a job whose stage has to go back.

    Raises:
        GuardrailMissed: the days advise to roll back or to stop.
    """
    if advice is None or advice.advice not in ("roll_back", "stop"):
        return
    outside: Sequence[str] = tuple(limit.guardrail.text for limit in advice.limits if limit.verdict == "outside")
    missed = outside or tuple(limit.guardrail.text for limit in advice.limits if limit.first_missed_on is not None)
    raise GuardrailMissed(
        "Stage {k} is outside its limits in real use ({limits}). "
        "Send its requests back to the original, then record it on the page Stages.",
        k=advice.stage,
        limits=tuple(missed) or ("-",),
    )
