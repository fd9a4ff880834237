"""`search`: find the set of layers, attentions and MLPs that costs least for a given amount."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer

from analysis.cli import options
from analysis.cli.choosing import chosen_workload, layers, strategies_named, units_named
from analysis.cli.documents import write_document
from analysis.cli.plan import keep_plan, kept_latency, summarise_plan
from analysis.cli.searching import Searched, announce, searched, summarise_scan
from analysis.cli.terminal import Terminal, check_output, examples, paragraphs, terminal_of
from analysis.contracts import SearchRequest, SearchSettings
from analysis.i18n import N_
from analysis.planning import DEFAULT_CONTEXT_TOKENS, parse_amount
from analysis.planning.from_search import propose_from_search

SHORT_HELP = N_("Find what to remove by measuring whole sets.")
HELP = paragraphs(
    N_("Find the set of layers, attentions and MLPs whose removal costs least for a given amount, by measuring whole sets."),
    N_("Examples:"),
    examples(
        "python -m analysis search --model sample --budget 20%flops --out plan.json",
        "python -m analysis search --model ./my-model --workload prompts.jsonl --strategy beam --strategy last_n --unit attention \\",
        "    --budget 6layers --protect 0,1 --search-out search.json --out plan.json",
    ),
    N_(
        "What was measured is kept: another amount, or another strategy, starts from there. "
        "The first Ctrl-C stops at the next batch and keeps what was measured; the same command goes on from there."
    ),
)


def search(
    ctx: typer.Context,
    model: options.Model = "sample",
    workload: options.Workloads = None,
    strategy: options.Strategies = None,
    unit: options.Units = None,
    budget: options.Budget = "20%",
    protect: options.Protect = "",
    beam_width: options.BeamWidth = 3,
    seed: options.Seed = 0,
    op: options.Op = "skip",
    out: options.OutPlan = None,
    search_out: options.OutSearch = None,
    tokens: options.Tokens = None,
    context: options.Context = None,
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
    """Searches, writes the plan and the search, and says what the plan should save and cost."""
    from analysis.models.source import parse_source

    terminal = terminal_of(ctx)
    for path in (out, search_out):
        if path is not None and str(path) != "-":
            check_output(path)
    parse_amount(budget)
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
        strategies=strategies_named(strategy, ("beam",)),
        limit=budget,
        beam_width=beam_width,
        seed=seed,
    )
    choice = chosen_workload(parse_source(model), workload, map_, slicing, mask)
    request = SearchRequest(**choice.model_dump(), settings=settings, name=name)
    announce(request, terminal)
    found = searched(request.model_copy(update={"name": None}), terminal, keep=store, out=search_out)  # the name is the plan's
    summarise_scan(found.search, terminal)
    _planned(found, request, op, context, out, store, terminal)


def _planned(
    found: Searched,
    request: SearchRequest,
    op: Literal["prune", "skip"],
    context: int | None,
    out: Path | None,
    store: bool,
    terminal: Terminal,
) -> None:
    """The plan that comes from the first strategy, written, kept and said."""
    settings = request.settings
    proposed = propose_from_search(
        found.search,
        strategy=settings.strategies[0],
        amount=settings.limit,
        op=op,
        units=settings.units,
        protect=settings.protect,
        context_tokens=context or DEFAULT_CONTEXT_TOKENS,
        name=request.name or "",
        latency=found.latency or (kept_latency(found.search) if store else None),
    )
    if out is not None:
        write_document(proposed, out)
    if store:
        keep_plan(proposed)
    summarise_plan(proposed, out, terminal)
