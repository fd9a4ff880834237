"""`worker`: a process that holds one device's model and works off its queue."""

from __future__ import annotations

from typing import Annotated

import typer

from analysis.cli.terminal import examples, paragraphs
from analysis.i18n import N_

SHORT_HELP = N_("Work off the queue of one device.")
HELP = paragraphs(
    N_("Work off the queue of one device until the parent process ends."),
    N_("The pages start workers by themselves; on a machine without the pages start one by hand:"),
    examples("python -m analysis worker --device cuda:0 --detach"),
)


def worker(
    device: Annotated[
        str, typer.Option("--device", metavar="DEVICE", help=N_("Device whose queue is worked off: cpu, cuda:0, mps"))
    ] = "auto",
    detach: Annotated[bool, typer.Option("--detach", help=N_("Go on when the process that started this one has ended."))] = False,
) -> None:
    """Runs until stopped."""
    from analysis.runs.worker import main

    raise typer.Exit(main(device, detach))
