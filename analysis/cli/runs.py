"""`runs`: what is kept in the store, in a list and one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analysis.cli.documents import write_document
from analysis.cli.terminal import Terminal, check_output, examples, paragraphs, terminal_of
from analysis.cli.usage import SpokenGroup
from analysis.contracts import (
    CaseSummary,
    Contract,
    HealingSummary,
    PlanSummary,
    RankingSummary,
    RobustnessSummary,
    RunSummary,
    SearchSummary,
    SemanticsSummary,
    TrialSummary,
    VerificationSummary,
)
from analysis.errors import InputError
from analysis.i18n import N_
from analysis.i18n.numbers import number, percent
from analysis.reporting.money_words import money

if TYPE_CHECKING:
    from analysis.runs.client import Client

SHORT_HELP = N_("List, open, rename or delete what is kept: runs, traces, searches, rankings, plans and their tests, and business cases.")
HELP = paragraphs(
    SHORT_HELP,
    N_("Examples:"),
    examples(
        "python -m analysis runs",
        "python -m analysis runs open 3f2a91 --out profile.json",
        "python -m analysis runs rename 3f2a91 'Mail, first half'",
        "python -m analysis runs delete 3f2a91",
    ),
    N_("An id may be shortened to its first characters while only one thing kept begins with them."),
)
_Id = Annotated[str, typer.Argument(help=N_("Id of what is kept, or its first characters."))]

Kept = (
    RunSummary
    | SemanticsSummary
    | SearchSummary
    | RankingSummary
    | PlanSummary
    | VerificationSummary
    | TrialSummary
    | HealingSummary
    | RobustnessSummary
    | CaseSummary
)

_VERDICTS = {"within": N_("within limits"), "outside": N_("outside limits"), "undecided": N_("not enough data")}
"""What came of a verification's limits, as the list says it."""

runs = typer.Typer(cls=SpokenGroup, help=HELP, short_help=SHORT_HELP, invoke_without_command=True)


@runs.callback()
def _list(ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help=N_("Write the list as JSON."))] = False) -> None:
    """Lists them when no subcommand is named."""
    if ctx.invoked_subcommand is not None:
        return
    from analysis.runs.client import open_client

    client, terminal = open_client(), terminal_of(ctx)
    kept = _everything(client)
    if as_json:
        listed = {kind: [item.model_dump(mode="json") for item in items] for kind, items in kept.items()}
        typer.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    for item in chain.from_iterable(kept.values()):
        typer.echo(_line(item, terminal))
    if not any(kept.values()):
        terminal.tell("Nothing is kept yet. Make a run: python -m analysis profile --model sample")


@runs.command("open", help=N_("Write something kept to a file, or to stdout. Of a verification nothing of prompts and answers is written."))
def _open(
    ctx: typer.Context,
    id: _Id,
    out: Annotated[Path, typer.Option(metavar="FILE", help=N_("File that receives it; - for stdout."))] = Path("-"),
) -> None:
    from analysis.runs.client import open_client

    client = open_client()
    found = _find(client, id)
    if str(out) != "-":
        check_output(out)
    write_document(_document(client, found), out)
    if str(out) != "-":
        terminal_of(ctx).tell("Wrote {path}.", path=str(out))


@runs.command("rename", help=N_("Give a kept run, plan or business case another name."))
def _rename(ctx: typer.Context, id: _Id, name: Annotated[str, typer.Argument(help=N_("The new name."))]) -> None:
    from analysis.runs.client import open_client

    client = open_client()
    found = _find(client, id)
    renaming: dict[type[Kept], Callable[[str, str], None]] = {
        RunSummary: client.rename_run,
        PlanSummary: client.rename_plan,
        CaseSummary: client.rename_case,
    }
    if type(found) not in renaming:
        raise InputError("Only runs, plans and business cases have a name of their own; {id} is none of them.", id=found.id)
    renaming[type(found)](found.id, name)
    terminal_of(ctx).tell("{id} is now called {name}.", id=found.id, name=name)


@runs.command("delete", help=N_("Delete something kept; it cannot be brought back."))
def _delete(ctx: typer.Context, id: _Id, yes: Annotated[bool, typer.Option("--yes", "-y", help=N_("Do not ask."))] = False) -> None:
    from analysis.runs.client import open_client

    client, terminal = open_client(), terminal_of(ctx)
    found = _find(client, id)
    if not yes and not typer.confirm(terminal.t("Delete {name} ({id}) for good?", name=_name(found), id=found.id), err=True):
        return
    _deleting(client, found)(found.id)
    terminal.tell("Deleted {name} ({id}).", name=_name(found), id=found.id)


def _find(client: Client, id: str) -> Kept:
    kept = list(chain.from_iterable(_everything(client).values()))
    found = [item for item in kept if item.id == id] or [item for item in kept if item.id.startswith(id)]
    if not found:
        raise InputError("Nothing that is kept has an id that begins with {id}. List it: python -m analysis runs", id=id)
    if len(found) > 1:
        raise InputError("{n} things that are kept have an id that begins with {id}. Write more of it.", n=len(found), id=id)
    return found[0]


def _everything(client: Client) -> dict[str, Sequence[Kept]]:
    return {
        "runs": client.runs(),
        "semantics": client.semantics_list(),
        "searches": client.searches(),
        "rankings": client.rankings(),
        "plans": client.plans(),
        "verifications": client.verifications(),
        "trials": client.trials(),
        "healings": client.healings(),
        "robustness": client.robustness_tests(),
        "cases": client.cases(),
    }


def _document(client: Client, found: Kept) -> Contract:
    opening: dict[type[Kept], Callable[[str], Contract]] = {
        RunSummary: client.profile,
        SemanticsSummary: client.semantics,
        SearchSummary: client.search,
        RankingSummary: client.ranking,
        PlanSummary: client.plan,
        VerificationSummary: lambda id: client.verification(id).without_texts(),
        TrialSummary: client.trial,
        HealingSummary: client.healing,
        RobustnessSummary: client.robustness,
        CaseSummary: client.case,
    }
    return opening[type(found)](found.id)


def _deleting(client: Client, found: Kept) -> Callable[[str], None]:
    deleting: dict[type[Kept], Callable[[str], None]] = {
        RunSummary: client.delete_run,
        SemanticsSummary: client.delete_semantics,
        SearchSummary: client.delete_search,
        RankingSummary: client.delete_ranking,
        PlanSummary: client.delete_plan,
        VerificationSummary: client.delete_verification,
        TrialSummary: client.delete_trial,
        HealingSummary: client.delete_healing,
        RobustnessSummary: client.delete_robustness,
        CaseSummary: client.delete_case,
    }
    return deleting[type(found)]


def _name(found: Kept) -> str:
    if isinstance(found, VerificationSummary | TrialSummary | HealingSummary | RobustnessSummary):
        return found.plan_name or found.plan_id
    return found.name


def _line(found: Kept, terminal: Terminal) -> str:
    kind, about = _about(found, terminal)
    said = (found.id[:16], kind, found.created_at[:16], _name(found), found.model_name, *about)
    return "  ".join(dict.fromkeys(filter(None, said)))  # a plan without a name of its own is named after what it does


def _about(found: Kept, terminal: Terminal) -> tuple[str, list[str]]:
    """What kind of thing it is, and its figures."""
    t, language = terminal.t, terminal.language
    if isinstance(found, RunSummary):
        return t("run"), [t("{n} prompts, {tokens} tokens", n=found.n_examples, tokens=number(found.n_tokens, language))]
    if isinstance(found, SemanticsSummary):
        return t("traces"), [t("{tokens} response tokens", tokens=number(found.n_tokens, language))]
    if isinstance(found, SearchSummary):
        return t("search"), [t("{n} sets measured", n=found.n_measured), ", ".join(found.strategies)]
    if isinstance(found, PlanSummary):
        return t("plan"), [found.operations]
    if isinstance(found, VerificationSummary):
        return t("verification"), [t(_VERDICTS[found.verdict]) if found.verdict else "-", t("{n} prompts", n=found.n_examples)]
    if isinstance(found, RankingSummary):
        taken = t("{n} taken out", n=found.n_taken) if found.n_taken else ""
        unfinished = "" if found.complete else t("not finished")
        return t("ranking"), [t("{n} measures", n=found.n_voters), taken, unfinished]
    if isinstance(found, HealingSummary):
        won = "" if found.recovered is None else t("won back {share}", share=percent(found.recovered, language))
        return t("healing"), [t("{n} taken out", n=found.n_removed), won]
    if isinstance(found, RobustnessSummary):
        return t("robustness test"), [t("more sensitive in {worse} of {n}", worse=found.n_worse, n=found.n_tested)]
    if isinstance(found, CaseSummary):
        return t("business case"), [t("{money} a month", money=money(found.net_per_month, found.currency, language, about=False))]
    kept = t("kept {share} of full fine-tuning's gain", share=percent(found.kept, language)) if found.kept is not None else ""
    return t("sweep") if found.is_sweep else t("trial"), [t("{n} runs", n=found.n_arms), kept]
