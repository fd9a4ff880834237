"""A search from a request to the stored contract: scan, strategies, pairs, and sets to learn from; resumable at any group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from analysis.contracts import (
    LatencyModel,
    MeasuredSet,
    Message,
    ModelInfo,
    Profile,
    Progress,
    Search,
    SearchCost,
    SearchRequest,
    SearchSettings,
    Strategy,
    TokenCounts,
    UnitRef,
    UnitSet,
)
from analysis.errors import ModelError
from analysis.models.card import ModelCard
from analysis.models.device import resolve_device, resolve_dtype
from analysis.models.load import describe_model, load_model
from analysis.models.stack import LoadedModel
from analysis.planning.rank import units_in
from analysis.profiling.stream import Watch
from analysis.search import baselines
from analysis.search.beam import PAIRED_UNITS, Hunter
from analysis.search.losses import UNTOUCHED, Measurer, Tally
from analysis.search.result import assemble_search, resolve_settings, search_key
from analysis.search.scan import candidates, check_model, check_protected, cost_of, nothing_left, run_scan
from analysis.search.steering import Saved, Steering, steering_for
from analysis.workload import PROMPT, RESPONSE, EncodedExample, EncodedWorkload, Encoder, Workload, encode_workload, requested_workload

Loader = Callable[..., LoadedModel]
__all__ = ["Job", "run_search", "search_key", "search_model", "within_tokens"]


def kept_nowhere(_search: Search) -> None:
    """Stands in where nobody keeps what was measured so far."""


def run_search(
    request: SearchRequest,
    *,
    load: Loader = load_model,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    known: Callable[[str], Search | None] = lambda _key: None,
    keep: Callable[[Search], None] = kept_nowhere,
    profile: Profile | None = None,
    latency: LatencyModel | None = None,
    saved: Saved | None = None,
) -> Search:
    """A search for a request. What `known` has measured under the same key is not measured again.

    Args:
        request: which model, which workload, and how to search.
        load: loads the model.
        on_progress, should_stop: see `Watch`.
        known: an earlier search by its key, complete or not.
        keep: given what is measured so far after each group of sets.
        profile: the same model's profile; Block Influence and the most similar run start from it.
        latency: measured latency, for a limit in latency.
        saved: another way to count what a set saves, in the unit of the limit.

    Raises:
        InputError: the model, the workload, the limit or a setting cannot be used.
        ResourceError: memory ran out.
        Cancelled: `should_stop` said so; what was measured was given to `keep`.
    """
    on_progress(Progress(stage=Message(id="Reading the workload")))
    workload = requested_workload(request)
    device = resolve_device(request.settings.device)
    on_progress(Progress(stage=Message(id="Looking at the model")))
    card = describe_model(request.model, on_progress=lambda stage: on_progress(Progress(stage=stage)))
    check_readable(card.info, request.settings.stack)
    settings = resolve_settings(
        request.settings, card.info, device, resolve_dtype(request.settings.dtype, device, getattr(torch, card.info.dtype))
    )
    _check_early(card.info, settings, profile, latency, saved)
    key = search_key(card.info, settings.stack, workload.info.content_hash, settings)
    earlier = known(key)
    if earlier is not None and answers(earlier, settings):
        return earlier
    encoded = _encoded(workload, card, settings)
    on_progress(Progress(stage=Message(id="Loading the model")))
    loaded = load(request.model, device=str(device), dtype=settings.dtype)
    return search_model(
        loaded,
        encoded,
        settings,
        watch=Watch(on_progress, should_stop),
        earlier=earlier,
        keep=keep,
        profile=profile,
        latency=latency,
        saved=saved,
        name=request.name or "",
    )


def _encoded(workload: Workload, card: ModelCard, settings: SearchSettings) -> EncodedWorkload:
    """The calibration half for this model, within the tokens that may be run."""
    assert card.tokenizer_folder is not None
    encoder = Encoder.from_folder(card.tokenizer_folder)
    whole = encode_workload(workload, encoder, max_tokens=settings.max_tokens, chat_template=settings.chat_template, slices=settings.slices)
    assert settings.max_total_tokens is not None  # resolved
    return within_tokens(whole, settings.max_total_tokens)


def search_model(
    loaded: LoadedModel,
    encoded: EncodedWorkload,
    settings: SearchSettings,
    *,
    watch: Watch | None = None,
    earlier: Search | None = None,
    keep: Callable[[Search], None] = kept_nowhere,
    profile: Profile | None = None,
    latency: LatencyModel | None = None,
    saved: Saved | None = None,
    name: str = "",
) -> Search:
    """A search of a loaded model on an encoded workload; see `run_search`."""
    check_model(loaded, settings)
    settings = resolve_settings(settings, loaded.info, loaded.device, loaded.dtype)
    stack = loaded.stack(settings.stack)
    units = candidates(stack, settings.units, settings.protect)
    steering = (
        steering_for(loaded.info, stack.info.name, units, settings.limit, latency=latency, saved=saved) if settings.strategies else None
    )
    baselines.check_strategies(settings.strategies, profile, units)
    measurer = Measurer(loaded, encoded, settings, watch=watch)
    if earlier is not None and earlier.n_tokens == measurer.n_tokens:
        measurer.found.update(earlier.measured())
        measurer.found[UNTOUCHED] = MeasuredSet(
            removed=UNTOUCHED, loss=earlier.base_loss, change=0.0, interval=(0.0, 0.0), n_tokens=earlier.n_tokens
        )
    else:
        earlier = None
    return Job(measurer, encoded, units, steering, profile, earlier, keep, name).run()


@dataclass
class Job:
    """A measurer, what may go, and what was found so far."""

    measurer: Measurer
    encoded: EncodedWorkload
    units: tuple[UnitRef, ...]
    steering: Steering | None
    profile: Profile | None = None
    earlier: Search | None = None
    keep: Callable[[Search], None] = kept_nowhere
    name: str = ""
    paths: dict[str, tuple[UnitSet, ...]] = field(default_factory=dict)
    costs: dict[str, SearchCost] = field(default_factory=dict)
    _scanned: SearchCost = field(default_factory=lambda: SearchCost(block_calls=0, head_passes=0))
    """What this run added to the scan."""

    def run(self) -> Search:
        """Scan, strategies, pairs and random sets."""
        self.measurer.on_group = self._keep
        self._scanned = run_scan(self.measurer, self.units)
        self._charge("scan", self._scanned)
        if self.steering is not None:
            self._strategies(self.steering)
        return self._search()

    def _strategies(self, steering: Steering) -> None:
        settings, hunter = self.measurer.settings, Hunter(self.measurer, steering)
        if {"greedy", "beam"} & set(settings.strategies):
            self._hunt(hunter, steering)
        for strategy in ("one_shot", "block_influence", "angular_run", "last_n", "random"):
            if strategy in settings.strategies:
                self._baseline(strategy, steering)
        before = self.measurer.tally.copy()
        hunter.pairs(PAIRED_UNITS)
        self._charge("pairs", cost_of(self.measurer.tally.since(before)))
        before = self.measurer.tally.copy()
        self.measurer.measure(baselines.random_sets(self.measurer, steering, settings.seed), Message(id="Leaving out units drawn by lot"))
        self._charge("random_sets", cost_of(self.measurer.tally.since(before)))
        if "beam" in settings.strategies:
            self.paths["beam"] = hunter.best_path()

    def _baseline(self, strategy: Strategy, steering: Steering) -> None:
        settings, profile, before = self.measurer.settings, self.profile, self.measurer.tally.copy()
        stage = Message(id="Measuring the answers of the strategy {strategy}", values={"strategy": strategy})
        path: tuple[UnitSet, ...] = ()
        if strategy == "one_shot":
            path = baselines.one_shot(self.measurer, steering)
        elif strategy == "last_n":
            path = baselines.last_n(steering)
        elif strategy == "random":
            draws = [baselines.random(steering, settings.seed + number) for number in range(baselines.RANDOM_SEEDS)]
            path = draws[0]
            self.measurer.measure([removed for draw in draws for removed in draw], stage)
        elif profile is not None:
            path = (
                baselines.block_influence(profile, steering)
                if strategy == "block_influence"
                else baselines.angular_run(profile, steering, settings.protect)
            )
        self.measurer.measure(path, stage)
        self.paths[strategy] = path
        n_blocks = len(self.measurer.stack.blocks)
        naive = sum(n_blocks - sum(1.0 if unit == "block" else 0.5 for unit, _ in removed) for removed in path)
        self._charge(strategy, cost_of(self.measurer.tally.since(before), naive, float(len(path))))

    def _hunt(self, hunter: Hunter, steering: Steering) -> None:
        """Greedy, and the beam around it. Their costs include the scan they start from; the beam's includes greedy's."""
        settings, before = self.measurer.settings, self.measurer.tally.copy()
        greedy = hunter.greedy()
        naive = baselines.unshared_greedy(steering, greedy)
        if "greedy" in settings.strategies:
            self.paths["greedy"] = greedy
            self._charge("greedy", cost_of(self._with_scan(self.measurer.tally.since(before)), *naive))
        if "beam" in settings.strategies:
            self.paths["beam"] = hunter.beam(greedy, settings.beam_width)
            self._charge("beam", cost_of(self._with_scan(self.measurer.tally.since(before)), *naive))

    def _with_scan(self, tally: Tally) -> Tally:
        scan = self.costs["scan"] if self.earlier is None or not ({"greedy", "beam"} & set(self.earlier.costs)) else self._scanned
        return Tally(tally.block_calls + scan.block_calls, tally.head_passes + scan.head_passes, tally.seconds + scan.seconds)

    def _charge(self, name: str, cost: SearchCost) -> None:
        """Notes what a part cost, over all runs that led to it: what was taken from the store was paid for in an earlier one.

        A part answered from the store alone keeps what it cost when it was run. Where another run had to add to it, both
        count, so that what was stored never looks like something saved.
        """
        old = self.earlier.costs.get(name) if self.earlier else None
        if old is None:
            self.costs[name] = cost
        elif cost.block_calls <= len(self.measurer.stack.blocks):
            self.costs[name] = old
        else:
            self.costs[name] = SearchCost(
                block_calls=old.block_calls + cost.block_calls,
                head_passes=old.head_passes + cost.head_passes,
                naive_block_calls=max(old.naive_block_calls, cost.naive_block_calls),
                naive_head_passes=max(old.naive_head_passes, cost.naive_head_passes),
                seconds=old.seconds + cost.seconds,
            )

    def _keep(self) -> None:
        if UNTOUCHED in self.measurer.found:
            self.keep(self._search())
            self.measurer.kept = self.keep is not kept_nowhere

    def _search(self) -> Search:
        return assemble_search(self.measurer, self.encoded, costs=self.costs, paths=self.paths, name=self.name, earlier=self.earlier)


def check_readable(info: ModelInfo, stack: str | None) -> None:
    """Refuses a model that cannot be run, or a stack it has not.

    Raises:
        ModelError: the sentence says which.
    """
    if info.refusal is not None:
        raise ModelError.from_message(info.refusal)
    names = tuple(one.name for one in info.stacks)
    if stack is not None and stack not in names:
        raise ModelError("{model} has no stack named {name}. It has: {names}.", model=info.name, name=stack, names=names)


def _check_early(
    info: ModelInfo, settings: SearchSettings, profile: Profile | None, latency: LatencyModel | None, saved: Saved | None
) -> None:
    """What can be refused before a model is loaded is refused now."""
    stack = info.stack(settings.stack)
    check_protected(stack.n_blocks, settings.protect)
    there: list[UnitRef] = [(unit, block) for unit in settings.units for block in units_in(stack, unit) if block not in settings.protect]
    if not there:
        raise nothing_left(stack.n_blocks, settings.protect)
    if settings.strategies:
        steering_for(info, stack.name, there, settings.limit, latency=latency, saved=saved)
        baselines.check_strategies(settings.strategies, profile, there)


def answers(search: Search, settings: SearchSettings) -> bool:
    """Whether a stored search is the finished answer to the same request."""
    same = all(getattr(search.settings, name) == getattr(settings, name) for name in ("units", "protect", "limit", "beam_width", "seed"))
    finished = {"scan", *settings.strategies, *(("random_sets",) if settings.strategies else ())} <= set(search.costs)
    return finished and (same or not settings.strategies) and _scanned(search, settings) and set(settings.strategies) <= set(search.paths)


def _scanned(search: Search, settings: SearchSettings) -> bool:
    there = {unit for measured in search.singles for unit, _ in measured.removed}
    return set(settings.units) <= there


def within_tokens(encoded: EncodedWorkload, most: int) -> EncodedWorkload:
    """At most so many tokens of a workload: examples in the order of their ids, one of each slice in turn."""
    if encoded.counts.n_tokens <= most:
        return encoded
    queues: dict[str, list[EncodedExample]] = {}
    for example in encoded.examples:
        queues.setdefault(example.slice, []).append(example)
    chosen: list[EncodedExample] = []
    left = most
    for turn in range(max(len(queue) for queue in queues.values())):
        for queue in (queues[name] for name in sorted(queues)):
            if turn < len(queue) and (len(queue[turn].input_ids) <= left or not chosen):
                chosen.append(queue[turn])
                left -= len(queue[turn].input_ids)
    kept = tuple(sorted(chosen, key=lambda example: example.example_id))
    note = Message(
        id="Of {total} prompts {n} were run ({tokens} tokens), taken evenly from all slices: the search stays within {most} tokens.",
        values={"total": len(encoded.examples), "n": len(kept), "tokens": sum(len(example.input_ids) for example in kept), "most": most},
    )
    info = encoded.info.model_copy(update={"notes": (*encoded.info.notes, note)})
    return replace(encoded, info=info, examples=kept, counts=_counts(encoded.counts, kept), slice_tokens=_slice_tokens(kept))


def _counts(whole: TokenCounts, examples: Sequence[EncodedExample]) -> TokenCounts:
    by_kind = np.bincount(np.concatenate([example.kinds for example in examples]), minlength=3)
    return whole.model_copy(
        update={
            "n_examples": len(examples),
            "n_tokens": int(by_kind.sum()),
            "n_prompt": int(by_kind[PROMPT]),
            "n_response": int(by_kind[RESPONSE]),
            "n_template": int(by_kind[0]),
            "n_truncated_examples": sum(1 for example in examples if example.n_cut),
            "n_truncated_tokens": sum(example.n_cut for example in examples),
        }
    )


def _slice_tokens(examples: Sequence[EncodedExample]) -> Mapping[str, int]:
    tokens: dict[str, int] = {}
    for example in examples:
        tokens[example.slice] = tokens.get(example.slice, 0) + example.n_counted
    return dict(sorted(tokens.items()))
