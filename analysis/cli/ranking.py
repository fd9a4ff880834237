"""What `rank` runs: which model and prompts, what it will cost, the run itself, and what is kept when it is stopped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.cli.choosing import seconds_of, stoppable
from analysis.cli.documents import write_document
from analysis.cli.progress import shown_progress
from analysis.cli.searching import described, has_unit, passes_of
from analysis.cli.terminal import Terminal, stopping
from analysis.contracts import Message, Profile, Ranking, RankingRequest, RankingSettings, StackInfo, Voter, WorkloadChoice
from analysis.errors import Cancelled, InputError, ResourceError
from analysis.planning import parse_amount
from analysis.planning.voters import VOTER_WORDS

if TYPE_CHECKING:
    from analysis.runs.store import Store

_PATHS: tuple[Voter, ...] = ("conductance", "integrated_gradients")
"""Measures that cost many passes, and are asked only on request."""


def choice_of(profile: Profile, given: Mapping[str, object]) -> WorkloadChoice:
    """The model and the prompts that a profile was measured on.

    Args:
        profile: as it was read.
        given: other options that say which model and prompts are meant; a profile says it all.

    Raises:
        InputError: it was said twice.
    """
    twice = tuple(option for option, value in given.items() if value)
    if twice:
        raise InputError("--profile already says which model and prompts are meant. Leave out {options}, or --profile.", options=twice)
    workload = profile.workload
    return WorkloadChoice.model_validate(
        {
            "model": profile.model.source,
            "workload_paths": () if workload.is_sample else tuple(file.path for file in workload.files),
            "mapping": workload.mapping,
            "slicing": workload.slicing,
            "mask_personal_data": workload.masked,
        }
    )


def ranked(request: RankingRequest, terminal: Terminal, *, keep: bool, out: Path | None) -> Ranking:
    """The ranking, written to its file first: a store that is full or locked then costs nothing that was measured.

    Stopped half-way, the steps that were finished are in the store, or in the file where nothing is to be stored.
    """
    from analysis.runs.store import open_store
    from analysis.search.ranking_run import run_ranking

    store = open_store() if keep else None
    kept = _Kept(store)
    with stopping() as should_stop:
        try:
            with shown_progress(terminal) as show:
                found = run_ranking(
                    request,
                    on_progress=stoppable(show, should_stop),
                    should_stop=should_stop,
                    known=kept.before,
                    keep=kept.step,
                )
        except Cancelled as exc:
            told = kept.stopped(out)
            if told is None:
                raise
            raise told from exc
        if out is not None:
            write_document(found, out)
        if store is not None:
            if kept.whole:
                terminal.tell("The same ranking was kept already, so nothing was measured again.")
            store.keep_ranking(request, found)
    return found


class _Kept:
    """What is kept of a ranking that is going on."""

    def __init__(self, store: Store | None) -> None:
        self._store, self._full = store, False
        self._latest: Ranking | None = None
        self.whole = False

    def before(self, key: str) -> Ranking | None:
        """What the store holds already, to go on from."""
        found = self._store.rankings.measured(key) if self._store is not None else None
        self.whole = found is not None and found.complete
        return found

    def step(self, ranking: Ranking) -> None:
        """Keeps what is there after a step. That the store is full is said at the end: until then the run goes on to its file."""
        self._latest = ranking
        if self._store is not None and not self._full:
            try:
                self._store.rankings.keep(ranking)
            except ResourceError:
                self._full = True

    def stopped(self, out: Path | None) -> Cancelled | None:
        """What is said when it was stopped: where the finished steps are. None: there are none."""
        if self._latest is None:
            return None
        n = len(self._latest.steps)
        if self._store is not None and not self._full:
            return Cancelled("Stopped. Finished steps that are kept: {n}; the same command goes on from there.", n=n)
        if out is not None:
            write_document(self._latest, out)
            return Cancelled("Stopped. Finished steps that are in {path}: {n}.", n=n, path=str(out))
        return None


def announce(request: RankingRequest, terminal: Terminal) -> None:
    """Says beforehand what a ranking will run: units, tokens, measures, steps, and how long the passes took before."""
    import torch

    from analysis.models.device import resolve_device, resolve_dtype
    from analysis.search.ranking_settings import check_ranking, resolve_ranking_settings

    if terminal.quiet:
        return
    info, n_tokens = described(request, request.settings.max_tokens)
    device = resolve_device(request.settings.device)
    check_ranking(request.settings, info)
    settings = resolve_ranking_settings(
        request.settings, info, device, resolve_dtype(request.settings.dtype, device, getattr(torch, info.dtype))
    )
    stack = info.stack(settings.stack)
    blocks = [block.index for block in stack.blocks if has_unit(block, settings.unit)]
    tokens = min(n_tokens, settings.max_total_tokens or n_tokens)
    steps = n_steps(settings, len(blocks))
    terminal.tell(
        "To be left out one at a time: {n} units of {model}, over {tokens} tokens, judged by {voters} measures; steps that are kept "
        "already are not run again.{time}",
        n=len(blocks),
        model=info.name,
        tokens=tokens,
        voters=len(settings.voters),
        time=seconds_of(tokens * _passes(blocks, stack, steps or 1), info.name, terminal),
    )
    if settings.amount:
        _tell_steps(settings, steps, terminal)
    for voter in _PATHS:
        if voter in settings.voters:
            _tell_paths(voter, settings, len(blocks), tokens, terminal)


def n_steps(settings: RankingSettings, n_units: int) -> int | None:
    """How many steps an amount comes to; None: only known when it is reached."""
    if not settings.amount:
        return 1
    amount = parse_amount(settings.amount)
    if amount.kind not in ("unit_share", "units"):  # counted in parameters, FLOPs or bytes
        return None
    return max(1, math.ceil(amount.units_of(n_units) / settings.per_step))


def _passes(blocks: Sequence[int], stack: StackInfo, steps: int) -> float:
    """Passes of the whole model that the steps come to; every step has fewer candidates than the one before."""
    one = passes_of(blocks, stack.n_blocks)
    return sum(one * max(0.0, 1 - step / len(blocks)) ** 2 for step in range(steps))


def _tell_steps(settings: RankingSettings, steps: int | None, terminal: Terminal) -> None:
    if steps is None:
        terminal.tell(
            "Taken out step by step: up to {amount}, {per_step} at a time; everything is measured again in between.",
            amount=settings.amount,
            per_step=settings.per_step,
        )
        return
    terminal.tell(
        "Taken out step by step: {amount}, in {steps} steps, {per_step} at a time; everything is measured again in between.",
        steps=steps,
        amount=settings.amount,
        per_step=settings.per_step,
    )


def _tell_paths(voter: Voter, settings: RankingSettings, n_units: int, tokens: int, terminal: Terminal) -> None:
    from analysis.search.attribution import DEAR_TOKENS, attribution_cost

    most = DEAR_TOKENS.get(settings.device.partition(":")[0], tokens)
    cost = attribution_cost(voter, n_units, min(tokens, most), settings.attribution_steps)
    terminal.tell(
        "{measure} costs more: {forward} forward and {backward} backward passes of {tokens} tokens in every step.",
        measure=Message(id=VOTER_WORDS[voter].title),
        forward=cost.forward_passes,
        backward=cost.backward_passes,
        tokens=cost.n_tokens,
    )
