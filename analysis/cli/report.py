"""`report`: a business case as a page to print, as slides, as the text of an approval request, or as tables."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import typer

from analysis.cli import options_business as options
from analysis.cli.case_documents import read_case
from analysis.cli.documents import client_of, write_text
from analysis.cli.terminal import Terminal, check_output, examples, paragraphs, terminal_of
from analysis.contracts import BusinessCase
from analysis.errors import InputError
from analysis.home import saying_disk_errors, write_atomically
from analysis.i18n import N_
from analysis.i18n.numbers import size
from analysis.reporting.headlines_business import briefing as headline

SHORT_HELP = N_("Write a business case as a page, slides, an approval request or tables.")
HELP = paragraphs(
    N_("Write a business case for people who decide: one page to print, six slides, the text of an approval request, or every table."),
    N_("Examples:"),
    examples(
        "python -m analysis report --case case.json --format html --out briefing.html",
        "python -m analysis report --case case.json --format pptx --lang ja --out briefing.pptx",
        "python -m analysis report --case case.json --format ringi --lang ja",
        "python -m analysis report --case case.json --format csv --out tables.zip",
    ),
    N_("--lang chooses the document's language. A plan that is unverified or outside its limits carries a banner that cannot be left out."),
)


def report(
    ctx: typer.Context,
    case: options.CaseFile,
    format: options.ReportAs = "html",
    out: options.OutReport = None,
    author: options.Author = "",
    decision_on: options.DecisionOn = "",
) -> None:
    """Writes it, and says what it rests on."""
    terminal = terminal_of(ctx)
    if out is None and format in ("pptx", "csv"):
        raise InputError("--format {format} cannot be written to a terminal. Name a file with --out.", format=format)
    target = out if out is not None else Path("-")
    if str(target) == "-" and format in ("pptx", "csv"):
        raise InputError("--format {format} cannot be written to a terminal. Name a file with --out.", format=format)
    if str(target) != "-" and not (format == "csv" and target.is_dir()):
        check_output(target)
    _check_day(decision_on)
    chosen = _spoken(read_case(case), terminal)
    if format == "csv":
        _write_tables(chosen, target, terminal)
        return
    _write_briefing(chosen, format, target, terminal, author=author, decision_on=decision_on)


def _check_day(text: str) -> None:
    try:
        date.fromisoformat(text or "2026-01-01")
    except ValueError as exc:
        raise InputError("--decision-on {given} is not a date. Write it as 2026-12-01.", given=text[:40]) from exc


def _spoken(case: BusinessCase, terminal: Terminal) -> BusinessCase:
    """The sample's stages in the document's language; what a person wrote stays as it was written."""
    if case.rollout is None or not case.rollout.is_sample:
        return case
    spoken = client_of().rollout(case.evidence.plan_id, terminal.language)
    return case if spoken is None or not spoken.is_sample else case.model_copy(update={"rollout": spoken})


def _write_briefing(
    case: BusinessCase, format: options.ReportFormat, out: Path, terminal: Terminal, *, author: str, decision_on: str
) -> None:
    from analysis.reporting.briefing import make_briefing, render_html

    made = make_briefing(case, terminal.language, author=author, decision_on=decision_on)
    if format == "pptx":
        from analysis.reporting.deck import make_deck

        write_atomically(out, make_deck(made, case, terminal.language))
    else:
        write_text(render_html(made) if format == "html" else made.ringi.rstrip("\n") + "\n", out)
    terminal.hear(headline(made))
    for sentence in made.dropped:
        terminal.tell("Sentence {number} for the meeting is left out ({why}).", number=sentence.number, why=sentence.why)
    _tell_written(out, terminal)


def _write_tables(case: BusinessCase, out: Path, terminal: Terminal) -> None:
    """Every table as a CSV file in a folder, or in one archive."""
    from analysis.reporting.case_csv import tables

    found = tables(case, terminal.language)
    if out.suffix.lower() == ".zip":
        write_atomically(out, _archive(found))
        _tell_written(out, terminal)
        return
    with saying_disk_errors(out):
        out.mkdir(exist_ok=True)
    for name, text in found.items():
        write_text(text, out / _file(name))
        _tell_written(out / _file(name), terminal)


def _archive(found: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in found.items():
            archive.writestr(zipfile.ZipInfo(_file(name), (1980, 1, 1, 0, 0, 0)), text.encode())
    return buffer.getvalue()


def _file(name: str) -> str:
    return name if name.endswith(".csv") else f"{name}.csv"


def _tell_written(out: Path, terminal: Terminal) -> None:
    if str(out) != "-":
        terminal.tell("Wrote {path} ({size}).", path=str(out), size=size(out.stat().st_size, terminal.language))
