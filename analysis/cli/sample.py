"""`sample-model`: the model that comes with Strata, unpacked once."""

from __future__ import annotations

import typer

from analysis.cli.progress import shown_progress, stages_of
from analysis.cli.terminal import terminal_of


def sample_model(ctx: typer.Context) -> None:
    """Prepares the sample model and prints the folder it is in."""
    from analysis.models.sample import prepare_sample

    terminal = terminal_of(ctx)
    with shown_progress(terminal) as show:
        folder = prepare_sample(on_progress=stages_of(show))
    if not terminal.quiet:
        typer.echo(str(folder))
