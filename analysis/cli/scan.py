"""`scan`: leave every layer, attention and MLP out once and measure what that costs."""

from __future__ import annotations

import typer

from analysis.cli import options
from analysis.cli.choosing import chosen_workload, layers, units_named
from analysis.cli.searching import announce, searched, summarise_scan
from analysis.cli.terminal import check_output, examples, paragraphs, terminal_of
from analysis.contracts import SearchRequest, SearchSettings
from analysis.i18n import N_

SHORT_HELP = N_("Measure what leaving out each layer costs.")
HELP = paragraphs(
    N_("Leave every layer, every attention and every MLP out once and measure what that does to the loss (ablation scan)."),
    N_("Examples:"),
    examples(
        "python -m analysis scan --model sample --out scan.json",
        "python -m analysis scan --model ./my-model --workload prompts.jsonl --unit attention --unit mlp --tokens 8192 --out scan.json",
    ),
    N_("The first Ctrl-C stops at the next batch and keeps what was measured; the same command goes on from there."),
)


def scan(
    ctx: typer.Context,
    model: options.Model = "sample",
    workload: options.Workloads = None,
    out: options.OutSearch = None,
    unit: options.Units = None,
    tokens: options.Tokens = None,
    protect: options.Protect = "",
    map_: options.Mapping = None,
    device: options.Device = "auto",
    dtype: options.Number = "auto",
    max_tokens: options.MaxTokens = 512,
    batch_tokens: options.BatchTokens = None,
    slice_: options.Slices = None,
    slicing: options.Slicing = "given",
    stack: options.Stack = None,
    mask: options.Mask = False,
    chat_template: options.ChatTemplate = True,
    name: options.Name = None,
    store: options.Keep = True,
) -> None:
    """Scans, writes the file, and says which units cost least."""
    from analysis.models.source import parse_source

    terminal = terminal_of(ctx)
    if out is not None and str(out) != "-":
        check_output(out)
    settings = SearchSettings(
        stack=stack,
        device=device,
        dtype=dtype,
        max_tokens=max_tokens,
        max_total_tokens=tokens,
        batch_tokens=batch_tokens,
        slices=tuple(slice_ or ()),
        chat_template=chat_template,
        units=units_named(unit, SearchSettings().units),
        protect=layers(protect),
    )
    choice = chosen_workload(parse_source(model), workload, map_, slicing, mask)
    request = SearchRequest(**choice.model_dump(), settings=settings, name=name)
    announce(request, terminal)
    found = searched(request, terminal, keep=store, out=out).search
    summarise_scan(found, terminal)
    if out is not None and str(out) != "-":
        command = f"python -m analysis plan --search {out} --strategy one_shot --budget 20% --out plan.json"
        terminal.tell("Wrote {path}. Next: {command}", path=str(out), command=command)
