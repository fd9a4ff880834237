"""`plan`: from what was measured to what should be removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from analysis.cli.documents import read_profile, write_document
from analysis.cli.terminal import Terminal, check_output, examples, paragraphs, terminal_of
from analysis.contracts import Plan, Quantity, Unit
from analysis.errors import InputError
from analysis.i18n import N_
from analysis.i18n.numbers import amount, percent, size
from analysis.planning import DEFAULT_CONTEXT_TOKENS, plan_in_words, propose_plan

SHORT_HELP = N_("Choose what to remove, and say what it should save.")
HELP = paragraphs(
    N_("Choose what to remove from a model, by what was measured, and say what it should save."),
    N_("Examples:"),
    examples(
        "python -m analysis plan --profile profile.json --budget 20% --out plan.json",
        "python -m analysis plan --profile profile.json --op skip --unit attention --budget 6layers --protect 0,1",
        "python -m analysis plan --profile profile.json --criterion angular_distance --budget 1GiB",
    ),
    N_(
        "20% is that share of the unit, rounded down; 20%params and 20%flops count parameters and FLOPs; 1GiB counts weight memory. "
        "The savings are projected from the model's shapes; quality is not known until the plan is verified."
    ),
)


def plan(
    ctx: typer.Context,
    profile: Annotated[
        str, typer.Option(metavar="FILE", help=N_("File written by python -m analysis profile --out, or the id of a kept run."))
    ],
    budget: Annotated[str, typer.Option(metavar="AMOUNT", help=N_("How much to remove: 20%, 20%params, 20%flops, 1GiB or 6layers."))],
    op: Annotated[
        Literal["prune", "skip"], typer.Option(help=N_("prune: gone from the saved model. skip: left out while running, can come back."))
    ] = "prune",
    unit: Annotated[Unit, typer.Option(help=N_("Remove whole layers, or only their attention or their MLP."))] = "block",
    criterion: Annotated[
        str, typer.Option(metavar="NAME", help=N_("block_influence: least change first. angular_distance: the most similar run of layers."))
    ] = "block_influence",
    protect: Annotated[str, typer.Option(metavar="LAYERS", help=N_("Layers that stay whatever was measured, e.g. 0,1,29."))] = "",
    context: Annotated[
        int | None, typer.Option(metavar="N", min=1, help=N_("Sequence length in tokens behind the projected figures."))
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=N_("File that receives the plan; - for stdout. Without it the plan is only kept in the store.")),
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help=N_("Name of the plan."))] = "",
    store: Annotated[bool, typer.Option("--store/--no-store", help=N_("Keep the plan for the pages."))] = True,
) -> None:
    """Proposes the plan, writes the file, and says what it should save."""
    terminal = terminal_of(ctx)
    if out is not None and str(out) != "-":
        check_output(out)
    measured = read_profile(profile)
    proposed = propose_plan(
        measured,
        op=op,
        unit=unit,
        criterion=criterion,
        amount=budget,
        protect=_layers(protect),
        context_tokens=context or DEFAULT_CONTEXT_TOKENS,
        name=name,
    )
    if out is not None:
        write_document(proposed, out)
    if store:
        _keep(proposed)
    _summarise(proposed, out, terminal)


def _layers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as exc:
        raise InputError("--protect {given} is not understood: write layer numbers with commas, for example 0,1,29.", given=text) from exc


def _keep(plan: Plan) -> None:
    from analysis.runs.client import open_client

    open_client().save_plan(plan, plan.name)


def _summarise(plan: Plan, out: Path | None, terminal: Terminal) -> None:
    terminal.hear(plan_in_words(plan))
    warnings = (reason.warning for reason in plan.provenance.reasons if reason.warning is not None)
    for note in (*warnings, *plan.provenance.notes):
        terminal.hear(note)
    if plan.projection is not None:
        saves, language = plan.projection, terminal.language
        terminal.tell("Projected, not yet run, at {context} tokens of context:", context=saves.context_tokens)
        _line(terminal, terminal.t("parameters"), saves.n_parameters, lambda value: amount(value, language))
        _line(terminal, terminal.t("FLOPs per token, reading"), saves.prefill_flops_per_token, lambda value: amount(value, language))
        _line(terminal, terminal.t("FLOPs per token, writing"), saves.decode_flops_per_token, lambda value: amount(value, language))
        _line(terminal, terminal.t("weight memory"), saves.weight_bytes, lambda value: size(value, language))
        _line(terminal, terminal.t("KV cache"), saves.kv_bytes_at_context, lambda value: size(value, language))
    if out is not None and str(out) != "-":
        terminal.tell("Wrote {path} (plan {id}).", path=str(out), id=plan.id)


def _line(terminal: Terminal, what: str, quantity: Quantity, written: Callable[[float], str]) -> None:
    share = percent(quantity.saved_share, terminal.language, 1)
    terminal.tell(
        "  {what}: {before} -> {after} ({share} saved)",
        what=what,
        before=written(quantity.before),
        after=written(quantity.after),
        share=share,
    )
