"""`profile`: run a workload through a model once and measure what every layer does to it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import typer

from analysis.cli import options, options_training
from analysis.cli.choosing import chosen_workload, stoppable
from analysis.cli.documents import write_document
from analysis.cli.progress import shown_progress
from analysis.cli.terminal import Terminal, check_output, examples, paragraphs, stopping, terminal_of
from analysis.cli.tracing import semantic_settings, summarise_semantics, traced
from analysis.contracts import Profile, ProfileRequest, ProfileSettings, SemanticRequest
from analysis.home import home
from analysis.i18n import N_
from analysis.i18n.numbers import number

SHORT_HELP = N_("Measure what every layer does to a workload.")
HELP = paragraphs(
    N_("Run a workload through a model once and measure what every layer does to it."),
    N_("Examples:"),
    examples(
        "python -m analysis profile --model sample --out profile.json",
        "python -m analysis profile --model ./my-model --workload prompts.jsonl --out profile.json",
        "python -m analysis profile --model owner/name --workload mail.csv --map prompt=text --device cuda:0 --out profile.json",
        "python -m analysis profile --model sample --semantics --semantics-out semantics.json",
    ),
    N_("The first Ctrl-C stops at the next batch and keeps what was measured; the same command goes on from there."),
)


def profile(
    ctx: typer.Context,
    model: options.Model = "sample",
    workload: options.Workloads = None,
    out: options.Out = None,
    map_: options.Mapping = None,
    device: options.Device = "auto",
    dtype: options.Number = "auto",
    max_tokens: options.MaxTokens = 1024,
    batch_tokens: options.BatchTokens = None,
    slice_: options.Slices = None,
    slicing: options.Slicing = "given",
    stack: options.Stack = None,
    mask: options.Mask = False,
    chat_template: options.ChatTemplate = True,
    name: options.Name = None,
    excerpts: options.Excerpts = True,
    semantics: options_training.WithSemantics = False,
    semantics_out: options_training.OutSemantics = None,
    vocabulary: options_training.Vocabulary = "all",
    words: options_training.Words = None,
    store: options.Keep = True,
) -> None:
    """Measures, writes the files, and says in a few lines what was found."""
    from analysis.models.source import parse_source

    terminal = terminal_of(ctx)
    for path in (out, semantics_out):
        if path is not None and str(path) != "-":
            check_output(path)
    asked = semantic_settings(vocabulary, words)
    semantics = semantics or semantics_out is not None or words is not None or vocabulary != "all"
    settings = ProfileSettings(
        stack=stack,
        device=device,
        dtype=dtype,
        max_tokens=max_tokens,
        batch_tokens=batch_tokens,
        slices=tuple(slice_ or ()),
        chat_template=chat_template,
        excerpts=excerpts,
    )
    choice = chosen_workload(parse_source(model), workload, map_, slicing, mask)
    first_rank = os.environ.get("RANK", "0") == "0"  # torchrun: one of the processes speaks and writes
    if not first_rank:
        terminal, store, out, semantics_out = replace(terminal, quiet=True), False, None, None
    if semantics:
        wanted = SemanticRequest(**choice.model_dump(), settings=settings, name=name, semantics=asked)
        found, traces = traced(wanted, terminal, keep=store, out=out, semantics_out=semantics_out)
        _summarise(found, out, terminal)
        summarise_semantics(traces, semantics_out, terminal, kept=store)
        return
    found = measured(ProfileRequest(**choice.model_dump(), settings=settings, name=name), terminal, store, out)
    _summarise(found, out, terminal)


def measured(request: ProfileRequest, terminal: Terminal, keep: bool, out: Path | None) -> Profile:
    """The profile, written to its file first: a store that is full or locked then costs nothing that was measured."""
    from analysis.profiling import checkpoint
    from analysis.profiling.run import run_profile
    from analysis.runs.store import open_store

    kept = open_store() if keep else None
    with stopping() as should_stop:  # also over what follows the run: a stop asked for too late loses nothing
        with shown_progress(terminal) as show:
            found = run_profile(
                request,
                on_progress=stoppable(show, should_stop),
                should_stop=should_stop,
                checkpoint_folder=home() / "checkpoints",
                known=kept.runs.measured if kept else _nothing_known,
            )
        if out is not None:
            write_document(found, out)
        if kept:
            if kept.runs.measured(found.id) is not None:
                terminal.tell("The same run was kept already, so nothing was computed again.")
            kept.keep(request, found)
        checkpoint.forget(home() / "checkpoints", found.id)
    return found


def _nothing_known(_content_key: str) -> Profile | None:
    return None


def _summarise(profile: Profile, out: Path | None, terminal: Terminal) -> None:
    counts, language = profile.counts, terminal.language
    for note in (*profile.workload.notes, *profile.model.notes, *profile.notes):
        terminal.hear(note)
    terminal.tell(
        "{model}: {layers} layers, {prompts} of {all} prompts (the rest is kept back for verification), {tokens} tokens in {seconds} s "
        "({speed} tokens/s on {device}).",
        model=profile.model.name, layers=profile.n_blocks, prompts=counts.n_examples, all=profile.workload.n_examples,
        tokens=counts.n_tokens,
        seconds=number(profile.timing.profile_seconds, language, 1), speed=number(profile.timing.tokens_per_second, language, 0),
        device=profile.timing.device_name,
    )  # fmt: skip
    ranked = sorted((score, index) for index, score in enumerate(profile.overall.block_influence) if score is not None)
    least = tuple(f"{index} ({number(score, language, 3)})" for score, index in ranked[:5])
    terminal.tell("Layers with the least change (Block Influence): {layers}. Small change is not yet safe to remove.", layers=least)
    if out is not None and str(out) != "-":
        terminal.tell(
            "Wrote {path}. Next: {command}", path=str(out), command=f"python -m analysis plan --profile {out} --budget 20% --out plan.json"
        )
