"""The terminal: the same functions as the pages, with an exit code.

Every command lives in a module of its own; what they share is `terminal` (language, sentences, failures) and
`progress`. Torch is imported only by the commands that run a model, and only once they run.
"""

from __future__ import annotations

from typing import Annotated

import typer

from analysis.cli import (
    export,
    heal,
    plan,
    profile,
    rank,
    report,
    robustness,
    roi,
    run_plan,
    scan,
    schema,
    search,
    stages,
    steps,
    sweep,
    trial,
    verify,
    worker,
)
from analysis.cli.runs import runs
from analysis.cli.sample import sample_model
from analysis.cli.terminal import StrataGroup, Terminal, chosen_language, hush_libraries
from analysis.i18n import N_, Language

__all__ = ["app"]

_HELP = N_(
    "Find the layers that your workload pays for without needing them: measure a model on your own prompts, then plan what to remove."
)
_EPILOG = N_(
    "Exit codes: 0 done · 1 unexpected failure · 2 bad input (a device that does not exist, too) · 3 a guardrail was missed · "
    "4 memory or disk ran out · 130 cancelled. Blocks (layers) are counted from 0. --lang, --debug and --quiet may stand anywhere. "
    "Everything is kept under STRATA_HOME (~/.strata if not set)."
)

app = typer.Typer(cls=StrataGroup, help=_HELP, epilog=_EPILOG, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def _options(
    ctx: typer.Context,
    lang: Annotated[
        Language | None, typer.Option(help=N_("Language of the output; by default that of LC_ALL, LC_MESSAGES or LANG."))
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help=N_("No progress, no summary: only errors and what was asked for."))] = False,
    debug: Annotated[bool, typer.Option("--debug", help=N_("Show the traceback of an unexpected error."))] = False,
) -> None:
    if not debug:
        hush_libraries()
    ctx.obj = Terminal(language=lang or chosen_language([]), quiet=quiet, debug=debug)


app.command("sample-model", help=N_("Prepare the sample model: unpack it once into the cache."))(sample_model)
app.command("profile", help=profile.HELP, short_help=profile.SHORT_HELP)(profile.profile)
app.command("plan", help=plan.HELP, short_help=plan.SHORT_HELP)(plan.plan)
app.command("scan", help=scan.HELP, short_help=scan.SHORT_HELP)(scan.scan)
app.command("search", help=search.HELP, short_help=search.SHORT_HELP)(search.search)
app.command("rank", help=rank.HELP, short_help=rank.SHORT_HELP)(rank.rank)
app.command("verify", help=verify.HELP, short_help=verify.SHORT_HELP)(verify.verify)
app.command("heal", help=heal.HELP, short_help=heal.SHORT_HELP)(heal.heal)
app.command("robustness", help=robustness.HELP, short_help=robustness.SHORT_HELP)(robustness.robustness)
app.command("trial", help=trial.HELP, short_help=trial.SHORT_HELP)(trial.trial)
app.command("sweep", help=sweep.HELP, short_help=sweep.SHORT_HELP)(sweep.sweep)
app.command("steps", help=steps.HELP, short_help=steps.SHORT_HELP)(steps.steps)
app.command("export", help=export.HELP, short_help=export.SHORT_HELP)(export.export)
app.command("roi", help=roi.HELP, short_help=roi.SHORT_HELP)(roi.roi)
app.command("report", help=report.HELP, short_help=report.SHORT_HELP)(report.report)
app.command("stages", help=stages.HELP, short_help=stages.SHORT_HELP)(stages.stages)
app.command("run-plan", help=run_plan.HELP, short_help=run_plan.SHORT_HELP)(run_plan.run_plan)
app.add_typer(runs, name="runs")
app.command("worker", help=worker.HELP, short_help=worker.SHORT_HELP)(worker.worker)
app.command("schema", help=schema.HELP, short_help=schema.SHORT_HELP)(schema.schema)
