"""What `profile --semantics` does more than `profile`: the traces of the right words, from the same pass."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from analysis.cli.choosing import stoppable
from analysis.cli.documents import write_document
from analysis.cli.progress import shown_progress, stages_of
from analysis.cli.terminal import Terminal, stopping
from analysis.contracts import EofStrategy, Message, Profile, ProfileRequest, SemanticRequest, Semantics, SemanticSettings
from analysis.errors import InputError
from analysis.home import home
from analysis.i18n.numbers import number, percent

if TYPE_CHECKING:
    from analysis.runs.store import Store

_READS_TRACES: tuple[EofStrategy, ...] = ("smallest_deviation", "gain", "scaled_gain", "exponent", "lens", "gradient")
_ID = 12
"""Signs of an id that are shown and that are enough to name it."""


def semantic_settings(vocabulary: Literal["all", "responses"], words: Path | None) -> SemanticSettings:
    """Which words the states are compared with.

    Raises:
        InputError: both were given, or the file cannot be read or is empty.
    """
    if words is None:
        return SemanticSettings(vocabulary=vocabulary)
    if vocabulary != "all":
        raise InputError("--words and --vocabulary responses are two answers to one question. Give one of them.")
    return SemanticSettings(vocabulary="words", words=_words_in(words))


def _words_in(path: Path) -> tuple[str, ...]:
    from analysis.workload.decoding import decode

    try:
        data = path.read_bytes()
    except OSError as exc:
        raise InputError(
            "--words {path} cannot be read ({problem}). Give a text file with one word a line.", path=str(path), problem=str(exc.strerror)
        ) from exc
    text, _ = decode(data, path.name)
    found = tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not found:
        raise InputError("--words {path} holds no word. Write one a line.", path=str(path))
    return found


def traced(
    request: SemanticRequest, terminal: Terminal, *, keep: bool, out: Path | None, semantics_out: Path | None
) -> tuple[Profile, Semantics]:
    """The profile and the traces, written to their files first: a store that is full or locked costs nothing that was measured."""
    from analysis.profiling import checkpoint
    from analysis.runs.store import open_store
    from analysis.semantics.run import run_semantics

    store, folder = open_store() if keep else None, home() / "checkpoints"
    with stopping() as should_stop:
        with shown_progress(terminal) as show:
            watch = stoppable(show, should_stop)
            known = _kept(store, request, stages_of(watch)) if store is not None else None
            profile, semantics = known or run_semantics(request, on_progress=watch, should_stop=should_stop, checkpoint_folder=folder)
        if known is not None:
            terminal.tell("The same run was kept already, so nothing was computed again.")
        _write((profile, semantics), out, semantics_out)
        if store is not None and known is None:
            store.keep_semantics(request, profile, semantics)
        for key in (profile.id, semantics.id):
            checkpoint.forget(folder, key)
    return profile, semantics


def _kept(store: Store, request: SemanticRequest, say: Callable[[Message], None]) -> tuple[Profile, Semantics] | None:
    """What the same request came to before; None: one of the two is not kept."""
    from analysis.models.device import resolve_device
    from analysis.models.load import describe_model
    from analysis.runs.keys import request_key, semantics_key
    from analysis.workload import requested_workload

    if os.environ.get("WORLD_SIZE", "1") != "1":
        return None  # several processes measure together or not at all
    workload = requested_workload(request).info.content_hash
    device, commit = str(resolve_device(request.settings.device)), describe_model(request.model, on_progress=say).info.commit
    traces = store.semantics.answer(semantics_key(request, commit=commit, workload_hash=workload, device=device))
    plain = ProfileRequest(**request.model_dump(exclude={"semantics"}))
    run = store.runs.answer(request_key(plain, commit=commit, workload_hash=workload, device=device))
    return None if traces is None or run is None else (store.runs.profile(run), store.semantics.semantics(traces))


def _write(found: tuple[Profile, Semantics], out: Path | None, semantics_out: Path | None) -> None:
    for document, path in zip(found, (out, semantics_out), strict=True):
        if path is not None:
            write_document(document, path)


def summarise_semantics(semantics: Semantics, out: Path | None, terminal: Terminal, *, kept: bool) -> None:
    """What the traces show: what a deviation is worth, where the rules that read them would end, and how to go on."""
    for note in semantics.notes:
        terminal.hear(note)
    scores, left_out = semantics.overall, semantics.n_without_response + semantics.n_response_cut
    terminal.tell("Traces of {tokens} response tokens in {prompts} prompts.", tokens=scores.n_tokens, prompts=scores.n_examples)
    if left_out:
        terminal.tell("Left out, because they have no response or it was cut away: {n} prompts.", n=left_out)
    _tell_fidelity(semantics, terminal)
    if semantics.extra_share is not None:
        terminal.tell(
            "The traces took {seconds} s beside the profile ({share} of its time).",
            seconds=number(semantics.extra_seconds, terminal.language, 1),
            share=percent(semantics.extra_share, terminal.language),
        )
    _tell_rules(semantics, terminal)
    written = out is not None and str(out) != "-"
    if written:
        terminal.tell("Wrote {path}.", path=str(out))
    if not written and not kept:
        return  # there is nothing that a next command could name
    traces = str(out) if written else semantics.id[:_ID]
    terminal.tell(
        "Next: {plan} (trains the later half unless told otherwise); which layer your examples really need is found by {sweep}",
        plan=f"python -m analysis plan --op freeze --semantics {traces} --out plan.json",
        sweep="python -m analysis sweep --plan plan.json --out sweep.json",
    )


def _tell_rules(semantics: Semantics, terminal: Terminal) -> None:
    """The last frozen layer by every rule that reads traces; which of them is right only a trial tells."""
    from analysis.planning.eof import all_choices

    chosen: dict[int, list[str]] = {}
    for choice in all_choices(semantics):
        if choice.eof_layer is not None and choice.strategy in _READS_TRACES:
            chosen.setdefault(choice.eof_layer, []).append(choice.strategy)
    if chosen:
        said = [f"{layer} ({', '.join(rules)})" for layer, rules in sorted(chosen.items())]
        terminal.tell("Last frozen layer by the rules that read the traces (-1: none): {layers}.", layers=said)


def _tell_fidelity(semantics: Semantics, terminal: Terminal) -> None:
    """How often each basis is right: a deviation by a basis that seldom is says little."""
    if not semantics.fidelity:
        terminal.tell(
            "No tokens were run through the output head, so the bases are not judged; {curve} is used.", curve=semantics.default_curve
        )
        return
    right = {found.curve: percent(found.right, terminal.language, 1) for found in semantics.fidelity}
    curve, n_tokens = semantics.default_curve, max(found.n_tokens for found in semantics.fidelity)
    if "lens" in right:
        terminal.tell(
            "Measured by {curve}: its nearest word is the right one for {right} of {n} tokens; the model's own head is right for {head}.",
            curve=curve,
            right=right[curve],
            n=n_tokens,
            head=right["lens"],
        )
    others = [f"{name} {share}" for name, share in right.items() if name not in (curve, "lens")]
    if others:
        terminal.tell("Other ways of measuring name it less often: {shares}.", shares=others)
