"""`plan`: from what was measured to what should be removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from analysis.cli import options
from analysis.cli.choosing import layers, units_named
from analysis.cli.documents import read_profile, read_search, write_document
from analysis.cli.terminal import Terminal, check_output, examples, paragraphs, terminal_of
from analysis.contracts import LatencyModel, Plan, Quantity, Search, Unit
from analysis.errors import InputError
from analysis.i18n import N_
from analysis.i18n.numbers import amount, number, percent, size
from analysis.planning import DEFAULT_CONTEXT_TOKENS, plan_in_words, propose_plan
from analysis.planning.from_search import propose_from_search

_PHASES = {"prefill": N_("time to read a prompt"), "decode": N_("time to write a token")}
SHORT_HELP = N_("Choose what to remove, and say what it should save.")
HELP = paragraphs(
    N_("Choose what to remove from a model, by what was measured, and say what it should save."),
    N_("Examples:"),
    examples(
        "python -m analysis plan --profile profile.json --budget 20% --out plan.json",
        "python -m analysis plan --profile profile.json --op skip --unit attention --budget 6layers --protect 0,1",
        "python -m analysis plan --profile profile.json --criterion angular_distance --budget 1GiB",
        "python -m analysis plan --search search.json --strategy beam --budget 20%flops --out plan.json",
    ),
    N_(
        "20% is that share of the unit, rounded down; 20%params and 20%flops count parameters and FLOPs; 1GiB counts weight memory. "
        "The savings are projected from the model's shapes; quality is not known until the plan is verified."
    ),
)


def plan(
    ctx: typer.Context,
    budget: Annotated[
        str, typer.Option(metavar="AMOUNT", help=N_("How much to remove: 20%, 20%params, 20%flops, 20%latency, 1GiB or 6layers."))
    ],
    profile: Annotated[
        str | None, typer.Option(metavar="FILE", help=N_("File written by python -m analysis profile --out, or the id of a kept run."))
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help=N_(
                "File written by python -m analysis scan or search, or the id of a kept search: the plan then comes from measured losses."
            ),
        ),
    ] = None,
    op: options.Op = "prune",
    unit: Annotated[
        list[str] | None,
        typer.Option(
            "--unit",
            metavar="UNIT",
            help=N_("Remove whole layers (block), or only their attention or their mlp. With --search it may be repeated."),
        ),
    ] = None,
    criterion: Annotated[
        str, typer.Option(metavar="NAME", help=N_("block_influence: least change first. angular_distance: the most similar run of layers."))
    ] = "block_influence",
    strategy: Annotated[
        str, typer.Option(metavar="NAME", help=N_("With --search: whose answer is taken, e.g. beam, greedy, one_shot, last_n."))
    ] = "beam",
    protect: options.Protect = "",
    context: options.Context = None,
    out: options.OutPlan = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help=N_("Name of the plan."))] = "",
    store: Annotated[bool, typer.Option("--store/--no-store", help=N_("Keep the plan for the pages."))] = True,
) -> None:
    """Proposes the plan, writes the file, and says what it should save."""
    terminal = terminal_of(ctx)
    if out is not None and str(out) != "-":
        check_output(out)
    asked = _Asked(budget, op, layers(protect), context or DEFAULT_CONTEXT_TOKENS, name)
    if profile is not None and search is None:
        proposed = _from_profile(profile, units_named(unit, ("block",)), criterion, asked)
    elif search is not None and profile is None:
        proposed = _from_search(search, units_named(unit, ()), strategy, asked, latency=store)
    else:
        raise InputError("A plan is made from one thing: give either --profile or --search.")
    if out is not None:
        write_document(proposed, out)
    if store:
        keep_plan(proposed)
    summarise_plan(proposed, out, terminal)


@dataclass(frozen=True)
class _Asked:
    """What a plan is asked for, whatever it is made from."""

    amount: str
    op: Literal["prune", "skip"]
    protect: tuple[int, ...]
    context_tokens: int
    name: str


def _from_profile(given: str, units: tuple[Unit, ...], criterion: str, asked: _Asked) -> Plan:
    if len(units) > 1:
        raise InputError("From a profile one kind of unit can be planned at a time. Give --unit once, or plan from a search (--search).")
    return propose_plan(
        read_profile(given),
        op=asked.op,
        unit=units[0],
        criterion=criterion,
        amount=asked.amount,
        protect=asked.protect,
        context_tokens=asked.context_tokens,
        name=asked.name,
    )


def _from_search(given: str, units: tuple[Unit, ...], strategy: str, asked: _Asked, *, latency: bool) -> Plan:
    found = read_search(given)
    return propose_from_search(
        found,
        strategy=strategy,
        amount=asked.amount,
        op=asked.op,
        units=units or None,
        protect=asked.protect,
        context_tokens=asked.context_tokens,
        name=asked.name,
        latency=kept_latency(found) if latency else None,
    )


def kept_latency(search: Search) -> LatencyModel | None:
    """How long the search's model takes on this machine, where that was measured; on the device of the search, if there."""
    from analysis.runs.store import open_store, this_host

    kept, commit = open_store().latencies, search.model.commit
    same = kept.model(commit, search.device_name, host=this_host(), stack=search.stack)
    return same or kept.model(commit, host=this_host(), stack=search.stack)


def keep_plan(plan: Plan) -> None:
    from analysis.runs.client import open_client

    open_client().save_plan(plan, plan.name)


def summarise_plan(plan: Plan, out: Path | None, terminal: Terminal) -> None:
    for operation in plan.operations:
        terminal.hear(plan_in_words(plan.model_copy(update={"operations": (operation,)})))
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
        for time in saves.latency:
            _line(terminal, terminal.t(_PHASES[time.phase]), time.ms, lambda value: f"{number(value, language, 1)} ms")
        if saves.quality is not None:
            low, high = saves.quality.perplexity_ratio_interval
            terminal.tell(
                "  perplexity on the calibration half: {ratio}x ({low} to {high})",
                ratio=number(saves.quality.perplexity_ratio, language, 3),
                low=number(low, language, 3),
                high=number(high, language, 3),
            )
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
