"""`export`: a plan as a model folder of its own, or as a recipe for another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analysis.cli import options
from analysis.cli.choosing import stoppable
from analysis.cli.documents import read_plan, write_text
from analysis.cli.progress import shown_progress
from analysis.cli.terminal import Terminal, check_output, examples, paragraphs, stopping, terminal_of
from analysis.contracts import ExportFormat, ExportReport, ExportRequest, Plan
from analysis.errors import InputError
from analysis.i18n import N_
from analysis.i18n.numbers import amount, size

SHORT_HELP = N_("Write a plan's model as a folder, or as a recipe for another tool.")
HELP = paragraphs(
    N_("Write a plan's model as a Hugging Face folder that plain transformers loads, or the plan as a recipe for another tool."),
    N_("Examples:"),
    examples(
        "python -m analysis export --plan plan.json --format hf --out ./lighter-model",
        "python -m analysis export --plan plan.json --format mergekit --out plan.yaml",
        "python -m analysis export --plan plan.json --format words",
        "python -m analysis export --plan freeze.json --format peft --out lora_config.py",
    ),
    N_(
        "hf: the folder is read back and compared with the plan run in place before it is kept; nothing half written is left. "
        "mergekit, llama.cpp, python, words: texts, to a file or to stdout. Of a plan that freezes layers: transformers, trl, peft, "
        "axolotl, llama_factory, lmflow, layers, texts as well."
    ),
)


def export(
    ctx: typer.Context,
    plan: options.PlanFile,
    format: Annotated[ExportFormat, typer.Option("--format", help=N_("What is written."))] = "hf",
    out: Annotated[
        Path | None, typer.Option(metavar="PATH", help=N_("Folder (hf) or file (the others; - for stdout) that receives it."))
    ] = None,
    model: options.PlansModel = None,
    device: options.Device = "cpu",
    zeroed: Annotated[
        bool,
        typer.Option("--zeroed", help=N_("hf, attention and MLP removals: keep every layer and set their output projections to zero.")),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=N_("hf: replace the folder if it is an earlier export."))] = False,
    store: Annotated[bool, typer.Option("--store/--no-store", help=N_("Keep the report of the export for the pages."))] = True,
) -> None:
    """Writes it, and says what was written and how it was proved."""
    from analysis.reporting.exports import FREEZING

    terminal = terminal_of(ctx)
    chosen = read_plan(plan, terminal)
    if format != "hf":
        _text(chosen, format, model, out or Path("-"), terminal)
        return
    if chosen.eof_layer is not None and not any(chosen.removed.values()):
        raise InputError(
            "A plan that only freezes layers changes no weight, so there is no folder to write. Choose how the training is told of it: "
            "--format {known}.",
            known=", ".join(sorted(FREEZING)),
        )
    if out is None or str(out) == "-":
        raise InputError("--format hf writes a folder. Name it, for example --out ./lighter-model.")
    from analysis.models.source import parse_source

    source = parse_source(model) if model else chosen.model.source
    lean = chosen.model_copy(update={"verification": None, "business_case": None})
    request = ExportRequest(
        plan=lean, model=source, folder=str(out.expanduser().absolute()), device=device, zeroed=zeroed, overwrite=overwrite
    )
    _summarise(_exported(request, terminal, store), terminal)


def _text(plan: Plan, format: ExportFormat, model: str | None, out: Path, terminal: Terminal) -> None:
    from analysis.reporting.exports import export_text, mergekit_yaml

    if str(out) != "-":
        check_output(out)
    if format == "mergekit":
        mergekit_yaml(plan, ".")  # a plan that it cannot express is refused before a model is unpacked for it
    folder = _folder_of(plan, model) if format == "mergekit" else None  # the one recipe that names where the weights are
    write_text(export_text(plan, format) if folder is None else mergekit_yaml(plan, folder), out)
    if str(out) != "-":
        terminal.tell("Wrote {path}.", path=str(out))


def _folder_of(plan: Plan, model: str | None) -> str | None:
    """The folder another tool finds the model in: the one given, or the unpacked sample; None: the plan says it itself."""
    from analysis.models.sample import prepare_sample
    from analysis.models.source import parse_source

    source = parse_source(model) if model else plan.model.source
    if source.kind == "sample":
        return str(prepare_sample())
    return source.location if model else None


def _exported(request: ExportRequest, terminal: Terminal, keep: bool) -> ExportReport:
    from analysis.runs.store import open_store
    from analysis.surgery.export import run_export

    with stopping() as should_stop:
        with shown_progress(terminal) as show:
            report = run_export(request, on_progress=stoppable(show, should_stop), should_stop=should_stop)
        if keep:
            open_store().exports.add(report)
    return report


def _summarise(report: ExportReport, terminal: Terminal) -> None:
    language = terminal.language
    for note in report.notes:
        terminal.hear(note)
    terminal.tell(
        "Wrote {folder}: {layers} of {before} layers, {parameters} parameters, {size}.",
        folder=report.folder,
        layers=round(report.n_blocks.after),
        before=round(report.n_blocks.before),
        parameters=amount(report.n_parameters.after, language),
        size=size(sum(report.files.values()), language),
    )
    terminal.tell(
        "Read back and compared with the plan run in place on {random} random and {real} real tokens: largest difference {difference}.",
        random=report.n_random_tokens,
        real=report.n_real_tokens,
        difference=f"{report.max_logit_difference:g}",
    )
