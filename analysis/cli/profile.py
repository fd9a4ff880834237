"""`profile`: run a workload through a model once and measure what every layer does to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from analysis.cli.documents import write_document
from analysis.cli.progress import shown_progress
from analysis.cli.terminal import Terminal, check_output, examples, key_values, paragraphs, stopping, terminal_of
from analysis.contracts import DType, Profile, ProfileRequest, ProfileSettings
from analysis.errors import Cancelled
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
    ),
    N_("The first Ctrl-C stops at the next batch and keeps what was measured; the same command goes on from there."),
)
Slicing = Literal["given", "language", "length", "none"]


def profile(
    ctx: typer.Context,
    model: Annotated[
        str,
        typer.Option(
            help=N_("sample, a hub id (owner/name or owner/name@revision), a model folder, a .gguf file or a LoRA adapter folder.")
        ),
    ] = "sample",
    workload: Annotated[
        list[Path] | None,
        typer.Option(
            help=N_(
                "File of prompts: JSON Lines, JSON, CSV, TSV, Excel, Parquet or text. Repeat for several. Without it: the sample workload."
            )
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=N_("File that receives the profile; - for stdout. Without it the profile is only kept in the store.")),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help=N_("FIELD=COLUMN when your columns have other names, e.g. prompt=text. Repeat for several.")),
    ] = None,
    device: Annotated[str, typer.Option(help=N_("auto, cpu, cuda, cuda:1, mps"))] = "auto",
    dtype: Annotated[
        DType, typer.Option(help=N_("Number format of the weights; auto: float32 on a CPU, the model's own on a GPU."))
    ] = "auto",
    max_tokens: Annotated[int, typer.Option(min=1, help=N_("Longest prompt in tokens; longer ones are cut, counted and reported."))] = 1024,
    batch_tokens: Annotated[
        int | None, typer.Option(min=1, help=N_("Tokens in one batch. Changes speed and memory, never results."))
    ] = None,
    slice_: Annotated[list[str] | None, typer.Option("--slice", help=N_("Only this slice of the workload. Repeat for several."))] = None,
    slicing: Annotated[
        Slicing, typer.Option(help=N_("Where slices come from: the slice column, or made by language or by length."))
    ] = "given",
    mask: Annotated[
        bool, typer.Option("--mask", help=N_("Mask likely mail addresses and telephone numbers before the model sees them."))
    ] = False,
    chat_template: Annotated[
        bool, typer.Option("--chat-template/--no-chat-template", help=N_("Wrap prompts in the model's chat template, if it has one."))
    ] = True,
    excerpts: Annotated[
        bool,
        typer.Option(
            "--excerpts/--no-excerpts", help=N_("Keep the first 80 characters of each prompt in the profile, to tell prompts apart.")
        ),
    ] = True,
    name: Annotated[str | None, typer.Option(help=N_("Name of the run in the list of runs."))] = None,
    store: Annotated[
        bool, typer.Option("--store/--no-store", help=N_("Keep the run for the pages; a run that is already kept is not computed again."))
    ] = True,
) -> None:
    """Measures, writes the file, and says in a few lines what was found."""
    from analysis.models.source import parse_source

    terminal = terminal_of(ctx)
    if out is not None and str(out) != "-":
        check_output(out)
    settings = ProfileSettings(
        device=device,
        dtype=dtype,
        max_tokens=max_tokens,
        batch_tokens=batch_tokens,
        slices=tuple(slice_ or ()),
        chat_template=chat_template,
        excerpts=excerpts,
    )
    request = ProfileRequest(
        model=parse_source(model),
        workload_paths=tuple(str(path.absolute()) for path in workload or ()),
        mapping=key_values(map_ or (), "--map"),
        slicing=slicing,
        mask_personal_data=mask,
        settings=settings,
        name=name,
    )
    found = _measured(request, terminal, store)
    if out is not None:
        write_document(found, out)
    _summarise(found, out, terminal)


def _measured(request: ProfileRequest, terminal: Terminal, keep: bool) -> Profile:
    from analysis.profiling import run_profile
    from analysis.runs.store import open_store

    kept = open_store().runs if keep else None
    with shown_progress(terminal) as show, stopping() as should_stop:
        try:
            found = run_profile(
                request,
                on_progress=show,
                should_stop=should_stop,
                checkpoint_folder=home() / "checkpoints",
                known=kept.measured if kept else _nothing_known,
            )
        except Cancelled as exc:
            raise Cancelled("Stopped. What was measured so far is kept: the same command goes on from there.") from exc
    if kept:
        kept.add(found)
    return found


def _nothing_known(_content_key: str) -> Profile | None:
    return None


def _summarise(profile: Profile, out: Path | None, terminal: Terminal) -> None:
    counts, language = profile.counts, terminal.language
    for note in (*profile.workload.notes, *profile.model.notes, *profile.notes):
        terminal.hear(note)
    if counts.n_truncated_examples:
        terminal.tell(
            "{n} prompts were longer than {limit} tokens and were cut: {tokens} tokens left out.",
            n=counts.n_truncated_examples, limit=profile.settings.max_tokens, tokens=counts.n_truncated_tokens,
        )  # fmt: skip
    terminal.tell(
        "{model}: {layers} layers, {prompts} prompts, {tokens} tokens in {seconds} s ({speed} tokens/s on {device}).",
        model=profile.model.name, layers=profile.n_blocks, prompts=counts.n_examples, tokens=counts.n_tokens,
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
