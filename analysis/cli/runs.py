"""`runs`: what is kept in the store, in a list and one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analysis.cli.documents import write_document
from analysis.cli.terminal import Terminal, check_output, examples, paragraphs, terminal_of
from analysis.contracts import Contract, PlanSummary, RunSummary
from analysis.errors import InputError
from analysis.i18n import N_
from analysis.i18n.numbers import number

if TYPE_CHECKING:
    from analysis.runs.client import Client

SHORT_HELP = N_("List, open, rename or delete the kept runs and plans.")
HELP = paragraphs(
    SHORT_HELP,
    N_("Examples:"),
    examples(
        "python -m analysis runs",
        "python -m analysis runs open 3f2a91 --out profile.json",
        "python -m analysis runs rename 3f2a91 'Mail, first half'",
        "python -m analysis runs delete 3f2a91",
    ),
    N_("An id may be shortened to its first characters while only one run or plan begins with them."),
)
_Id = Annotated[str, typer.Argument(help=N_("Id of a run or plan, or its first characters."))]

runs = typer.Typer(help=HELP, short_help=SHORT_HELP, invoke_without_command=True)


@runs.callback()
def _list(ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help=N_("Write the list as JSON."))] = False) -> None:
    """Lists them when no subcommand is named."""
    if ctx.invoked_subcommand is not None:
        return
    from analysis.runs.client import open_client

    client, terminal = open_client(), terminal_of(ctx)
    kept_runs, kept_plans = client.runs(), client.plans()
    if as_json:
        listed = {
            "runs": [run.model_dump(mode="json") for run in kept_runs],
            "plans": [plan.model_dump(mode="json") for plan in kept_plans],
        }
        typer.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    for line in [_run_line(run, terminal) for run in kept_runs] + [_plan_line(plan, terminal) for plan in kept_plans]:
        typer.echo(line)
    if not kept_runs and not kept_plans:
        terminal.tell("Nothing is kept yet. Make a run: python -m analysis profile --model sample")


@runs.command("open", help=N_("Write a kept run or plan to a file, or to stdout."))
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
    document: Contract = client.profile(found.id) if isinstance(found, RunSummary) else client.plan(found.id)
    write_document(document, out)
    if str(out) != "-":
        terminal_of(ctx).tell("Wrote {path}.", path=str(out))


@runs.command("rename", help=N_("Give a kept run or plan another name."))
def _rename(ctx: typer.Context, id: _Id, name: Annotated[str, typer.Argument(help=N_("The new name."))]) -> None:
    from analysis.runs.client import open_client

    client = open_client()
    found = _find(client, id)
    (client.rename_run if isinstance(found, RunSummary) else client.rename_plan)(found.id, name)
    terminal_of(ctx).tell("{id} is now called {name}.", id=found.id, name=name)


@runs.command("delete", help=N_("Delete a kept run or plan; it cannot be brought back."))
def _delete(ctx: typer.Context, id: _Id, yes: Annotated[bool, typer.Option("--yes", "-y", help=N_("Do not ask."))] = False) -> None:
    from analysis.runs.client import open_client

    client, terminal = open_client(), terminal_of(ctx)
    found = _find(client, id)
    if not yes and not typer.confirm(terminal.t("Delete {name} ({id}) for good?", name=found.name, id=found.id), err=True):
        return
    (client.delete_run if isinstance(found, RunSummary) else client.delete_plan)(found.id)
    terminal.tell("Deleted {name} ({id}).", name=found.name, id=found.id)


def _find(client: Client, id: str) -> RunSummary | PlanSummary:
    kept: list[RunSummary | PlanSummary] = [*client.runs(), *client.plans()]
    found = [item for item in kept if item.id == id] or [item for item in kept if item.id.startswith(id)]
    if not found:
        raise InputError("No kept run or plan has an id that begins with {id}. List them: python -m analysis runs", id=id)
    if len(found) > 1:
        raise InputError("{n} kept runs and plans have an id that begins with {id}. Write more of it.", n=len(found), id=id)
    return found[0]


def _run_line(run: RunSummary, terminal: Terminal) -> str:
    kind, tokens = (
        terminal.t("run"),
        terminal.t("{n} prompts, {tokens} tokens", n=run.n_examples, tokens=number(run.n_tokens, terminal.language)),
    )
    return "  ".join((run.id[:12], kind, run.created_at[:16], run.name, run.model_name, tokens))


def _plan_line(plan: PlanSummary, terminal: Terminal) -> str:
    said = (plan.id[:12], terminal.t("plan"), plan.created_at[:16], plan.name, plan.model_name, plan.operations)
    return "  ".join(dict.fromkeys(said))  # a plan without a name of its own is named after what it does
