"""What `scan` and `search` share: what it will cost, the run itself, and what is kept when it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.cli.choosing import seconds_of, stoppable
from analysis.cli.documents import write_document
from analysis.cli.progress import shown_progress
from analysis.cli.terminal import Terminal, stopping
from analysis.contracts import (
    BlockInfo,
    LatencyModel,
    ModelInfo,
    Profile,
    Progress,
    RankingRequest,
    RankingSettings,
    Search,
    SearchRequest,
    Unit,
    VerificationSettings,
)
from analysis.errors import Cancelled, ModelError, ResourceError

if TYPE_CHECKING:
    from analysis.runs.store import Store


@dataclass(frozen=True)
class Searched:
    """What was found, and the times that its limit was counted with."""

    search: Search
    latency: LatencyModel | None


def searched(request: SearchRequest, terminal: Terminal, *, keep: bool, out: Path | None) -> Searched:
    """The search, written to its file first: a store that is full or locked then costs nothing that was measured.

    Stopped half-way, what was measured so far is in the store, or in the file where nothing is to be stored.
    """
    from analysis.runs.store import open_store
    from analysis.search.run import run_search

    store, so_far, unkept = open_store() if keep else None, list[Search](), list[ResourceError]()

    def keep_partly(found: Search) -> None:
        so_far[:] = [found]
        if store is not None and not unkept:
            try:
                store.searches.keep(found)
            except ResourceError as exc:  # the run goes on to its file; that the store is full is said at its end
                unkept.append(exc)

    with stopping() as should_stop:
        try:
            with shown_progress(terminal) as show:
                watch = stoppable(show, should_stop)
                profile = _profile(request, terminal, store)
                latency = _latency(request, terminal, store, watch, should_stop)
                found = run_search(
                    request,
                    on_progress=watch,
                    should_stop=should_stop,
                    known=store.searches.measured if store is not None else _nothing_known,
                    keep=keep_partly,
                    profile=profile,
                    latency=latency,
                )
        except Cancelled:
            _say_what_is_kept(so_far, store if not unkept else None, out, terminal)
            raise
        if out is not None:
            write_document(found, out)
        if store is not None:
            store.keep_search(request, found)
    return Searched(found, latency)


def announce(request: SearchRequest, terminal: Terminal) -> None:
    """Says beforehand what a search will run: units, tokens, and how long a pass took before."""
    from analysis.models.device import resolve_device
    from analysis.search.result import most_tokens

    if terminal.quiet:
        return
    info, n_tokens = described(request, request.settings.max_tokens)
    blocks = info.stack(request.settings.stack).blocks
    free = [block for block in blocks if block.index not in request.settings.protect]
    units = request.settings.units
    n_units = sum(has_unit(block, unit) for unit in units for block in free)
    tokens = min(n_tokens, most_tokens(request.settings, resolve_device(request.settings.device)))
    terminal.tell(
        "To be left out one at a time: {n} units of {model}, over {tokens} tokens; what is measured already is not run again.{time}",
        n=n_units,
        model=info.name,
        tokens=tokens,
        time=seconds_of(
            tokens * passes_of([block.index for block in free for unit in units if has_unit(block, unit)], len(blocks)), info.name, terminal
        ),
    )
    if request.settings.strategies:
        terminal.tell("Then sets are tried: {strategies}.", strategies=request.settings.strategies)


def has_unit(block: BlockInfo, unit: Unit) -> bool:
    """Whether a block has such a unit."""
    return unit == "block" or getattr(block, unit) is not None


def passes_of(blocks: Sequence[int], n_blocks: int) -> float:
    """Passes of the whole model that a scan comes to: what is left out in a block runs again from that block on."""
    return 1 + sum((n_blocks - index) / n_blocks for index in blocks)


def summarise_scan(search: Search, terminal: Terminal) -> None:
    """The units that cost least, and what the scan cost."""
    from analysis.i18n.numbers import number

    for note in search.notes:
        terminal.hear(note)
    cheapest = sorted(search.singles, key=lambda found: found.change)[:5]
    terminal.tell(
        "{model}: loss {loss} nats per token, over the {tokens} tokens that count (responses, where there are any); "
        "{n} units were left out one at a time.",
        model=search.model.name,
        loss=number(search.base_loss, terminal.language, 3),
        tokens=search.n_tokens,
        n=len(search.singles),
    )
    said = [f"{_unit_words(*found.removed[0])} ({number(found.change, terminal.language, 4)})" for found in cheapest]
    terminal.tell("Least loss when left out alone: {units}.", units=said)


def _unit_words(unit: str, block: int) -> str:
    return f"{unit} {block}"


def _profile(request: SearchRequest, terminal: Terminal, store: Store | None) -> Profile | None:
    """The profile that a strategy chooses by; measured first, and said so, when none is kept."""
    from analysis.cli.profile import measured
    from analysis.runs.jobs_measured import PROFILE_STRATEGIES, profile_at_hand, profile_request
    from analysis.workload import requested_workload

    needing = tuple(strategy for strategy in request.settings.strategies if strategy in PROFILE_STRATEGIES)
    if not needing:
        return None
    asked = profile_request(request)
    info, n_tokens = described(request, asked.settings.max_tokens)
    if store is not None:
        found = profile_at_hand(store, request, info, requested_workload(request).info.content_hash)
        if found is not None:
            return found
    terminal.tell(
        "Measured first: a profile of this workload, which {strategies} choose by and which is not kept yet "
        "(one pass over {tokens} tokens).{time}",
        strategies=needing,
        tokens=n_tokens,
        time=seconds_of(n_tokens, info.name, terminal),
    )
    return measured(asked, terminal, store is not None, None)


def _latency(
    request: SearchRequest, terminal: Terminal, store: Store | None, show: Callable[[Progress], None], should_stop: Callable[[], bool]
) -> LatencyModel | None:
    """Measured times for a limit in time; measured first, and said so, when none of this machine are kept."""
    from analysis.models.device import device_name
    from analysis.models.load import describe_model, load_model
    from analysis.runs.machine import latency_here, limits_latency, measure_here

    if not limits_latency(request):
        return None
    settings, info, sizes = request.settings, describe_model(request.model).info, VerificationSettings()
    stack = info.stack(settings.stack).name
    known = latency_here(store, info, settings.device, settings.dtype, stack) if store is not None else None
    if known is not None:
        return known
    loaded = load_model(request.model, device=settings.device, dtype=settings.dtype)
    terminal.tell(
        "No times of {model} on {device} are kept, so they are measured first, at batch sizes {batches} and {lengths} tokens.",
        model=info.name,
        device=device_name(loaded.device),
        batches=sizes.batch_sizes,
        lengths=sizes.prompt_tokens,
    )
    return measure_here(
        store,
        loaded,
        stack,
        batch_sizes=sizes.batch_sizes,
        prompt_tokens=sizes.prompt_tokens,
        on_progress=show,
        should_stop=should_stop,
    )[0]


def described(request: SearchRequest | RankingRequest, max_tokens: int) -> tuple[ModelInfo, int]:
    """The model, and how many tokens its calibration half has, as far as nothing of it is held out."""
    from analysis.models.load import describe_model
    from analysis.search.ranking_settings import slices_to_run
    from analysis.workload import Encoder, encode_workload, requested_workload

    card = describe_model(request.model)
    if card.info.refusal is not None:
        raise ModelError.from_message(card.info.refusal)
    assert card.tokenizer_folder is not None
    settings, workload = request.settings, requested_workload(request)
    encoded = encode_workload(
        workload,
        Encoder.from_folder(card.tokenizer_folder),
        max_tokens=max_tokens,
        chat_template=settings.chat_template,
        slices=slices_to_run(workload.info, settings) if isinstance(settings, RankingSettings) else settings.slices,
    )
    return card.info, encoded.counts.n_tokens


def _say_what_is_kept(so_far: list[Search], store: Store | None, out: Path | None, terminal: Terminal) -> None:
    if not so_far:
        return
    if store is None and out is not None:
        write_document(so_far[0], out)
        terminal.tell("Stopped. What was measured so far is in {path}.", path=str(out))


def _nothing_known(_content_key: str) -> Search | None:
    return None
