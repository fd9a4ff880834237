"""From a search to a plan: a chosen set of units, or a strategy's answer to an amount. No forward pass."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from analysis.contracts import (
    STRATEGIES,
    LatencyModel,
    Message,
    Operation,
    Plan,
    Profile,
    Projection,
    Provenance,
    Prune,
    Search,
    Skip,
    Strategy,
    Unit,
    UnitReason,
    UnitRef,
)
from analysis.contracts.search import ordered
from analysis.errors import PlanError
from analysis.i18n import N_
from analysis.planning.criteria import CRITERIA
from analysis.planning.evidence import worst_slice
from analysis.planning.project_more import enriched
from analysis.planning.projection import DEFAULT_CONTEXT_TOKENS, project
from analysis.planning.propose import RemovalOp, model_ref, workload_ref
from analysis.planning.spending import Limit, limit_of, savings_of, unknown_unit

UnitSet = tuple[UnitRef, ...]


@dataclass(frozen=True)
class StrategyWords:
    """A way to choose what is removed.

    Attributes:
        name: as it stands in a plan and on the command line.
        title: short name for a list (English sentence; its own translation key).
        meaning: one sentence on what it does.
        source: where it comes from.
    """

    name: Strategy
    title: str
    meaning: str
    source: str


STRATEGY_WORDS: Mapping[str, StrategyWords] = {
    words.name: words
    for words in (
        StrategyWords(
            "beam",
            N_("Beam search with measured interactions"),
            N_("Follows the best few sets at once, each measured as a whole, so that layers that need each other do not go together."),
            "Own, after greedy ablation",
        ),
        StrategyWords(
            "greedy",
            N_("Greedy, measured after every step"),
            N_("Takes out the unit that costs least, measures the rest again without it, and goes on."),
            "Shortened LLaMA (arXiv 2402.02834), iterative",
        ),
        StrategyWords(
            "one_shot",
            N_("One ablation scan, lowest first"),
            N_("Takes out the units that cost least when each is left out alone; how they act together is not looked at."),
            "Shortened LLaMA (arXiv 2402.02834)",
        ),
        StrategyWords(
            "block_influence",
            N_("Block Influence, lowest first (loss measured)"),
            N_("Takes out what turns the tokens least; what that does to the loss was measured."),
            "ShortGPT (arXiv 2403.03853)",
        ),
        StrategyWords(
            "angular_run",
            N_("Most similar span (loss measured)"),
            N_("Takes out the one run of layers whose entrance and exit point most nearly the same way; its loss was measured."),
            "The Unreasonable Ineffectiveness of the Deeper Layers (arXiv 2403.17887)",
        ),
        StrategyWords(
            "last_n",
            N_("Last layers (baseline)"),
            N_("Takes out the last layers but keeps the very last one; every other strategy should beat this baseline."),
            "Reassessing Layer Pruning (arXiv 2411.15558)",
        ),
        StrategyWords(
            "random",
            N_("At random (baseline)"),
            N_("Takes out units drawn by lot; a strategy that does not beat this has found nothing."),
            "Baseline",
        ),
    )
}
"""Strategies of a search in the order they are offered."""


def plan_from_set(
    search: Search,
    removed: Sequence[UnitRef],
    *,
    op: RemovalOp = "skip",
    strategy: str = "chosen",
    amount: str = "",
    context_tokens: int = DEFAULT_CONTEXT_TOKENS,
    name: str = "",
    profile: Profile | None = None,
    protect: Collection[int] | None = None,
    latency: LatencyModel | None = None,
    notes: Iterable[Message] = (),
) -> Plan:
    """The plan that leaves out exactly these units, with what the search measured or lets expect about them.

    Units of several kinds become several operations of one plan.

    Args:
        search: what was measured for this model.
        removed: the units to leave out.
        op: skip (left out while running) or prune (gone from the saved model).
        strategy: how the set was found; "chosen" when a person picked it.
        amount: as it was asked for; empty: said by the number of layers.
        context_tokens: sequence length behind the projected figures.
        name: the plan's name.
        profile: the same model's profile, for the slice that each unit changes most.
        protect: layers that had to stay; None: those of the search.
        latency: measured points of this model on this device, for the projected latency.
        notes: further remarks on how the plan came to be.

    Raises:
        PlanError: the set is empty, takes everything, or is not one of this model's.
    """
    chosen = _checked(search, removed, op)
    operations = _operations(search, chosen, op)
    projection = _projected(search, operations, context_tokens, latency)
    return Plan(
        name=name,
        model=model_ref(search),
        workload=workload_ref(search.workload),
        operations=operations,
        projection=projection,
        provenance=Provenance(
            profile_id=profile.id if profile else None,
            criterion=strategy,
            amount=amount or _as_amount(search, chosen),
            protected=search.settings.protect if protect is None else tuple(sorted(set(protect))),
            reasons=tuple(_reason(search, ref, profile) for ref in chosen),
            notes=(*notes, *_notes(search, chosen)),
            versions=search.versions,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
    )


def propose_from_search(
    search: Search,
    *,
    strategy: str,
    amount: str,
    op: RemovalOp = "skip",
    units: Collection[Unit] | None = None,
    protect: Collection[int] = (),
    context_tokens: int = DEFAULT_CONTEXT_TOKENS,
    name: str = "",
    profile: Profile | None = None,
    latency: LatencyModel | None = None,
) -> Plan:
    """A strategy's plan for any amount, from what the search measured: its largest answer within the amount.

    Args:
        search: what was measured for this model.
        strategy: one that the search has run; ``one_shot`` needs the ablation scan only.
        amount: how much to remove at most, such as 20%, 20%params, 1GiB, 6 layers, 20%latency.
        op: skip or prune.
        units: kinds of unit that may go; None: those of the search.
        protect: layers that must stay.
        context_tokens: sequence length behind FLOPs and the projection.
        name: the plan's name.
        profile: see `plan_from_set`.
        latency: needed for an amount of latency.

    Raises:
        PlanError: the strategy was not run, or nothing that was measured fits; the sentence names the nearest.
    """
    kinds = tuple(search.settings.units if units is None else units)
    limit = limit_of(search.model, amount, units=kinds, stack=search.stack, context_tokens=context_tokens, latency=latency)
    chosen, possible = _largest_within(search, strategy, limit, kinds, frozenset(protect))
    return plan_from_set(
        search,
        chosen,
        op=op,
        strategy=strategy,
        amount=limit.asked.text,
        context_tokens=context_tokens,
        name=name,
        profile=profile,
        protect=tuple(protect) or None,
        latency=latency,
        notes=_used_up(limit, chosen, possible),
    )


def _largest_within(
    search: Search, strategy: str, limit: Limit, kinds: tuple[Unit, ...], protected: frozenset[int]
) -> tuple[UnitSet, list[UnitSet]]:
    """The strategy's largest answer within the limit (of equal ones the least harmful), and all its answers."""
    possible = [chosen for chosen in _answers(search, strategy, kinds, protected) if chosen]
    if not possible:
        raise PlanError(
            'Nothing that the strategy "{strategy}" found leaves the protected layers and the chosen kinds of unit alone. '
            "Protect fewer layers, allow more kinds, or search again with these.",
            strategy=strategy,
        )
    fitting = [chosen for chosen in possible if limit.allows(chosen)]
    if not fitting:
        least = min(map(limit.used, possible))
        raise PlanError(
            'Nothing that the strategy "{strategy}" found fits within "{amount}": the smallest takes {least}. '
            "Ask for at least that, or choose another strategy.",
            strategy=strategy,
            amount=limit.asked.text,
            least=limit.in_words(least),
        )
    measured = search.measured()
    return max(fitting, key=lambda found: (limit.used(found), -measured[found].change if found in measured else 0.0)), possible


def _checked(search: Search, removed: Sequence[UnitRef], op: str) -> UnitSet:
    if op not in ("prune", "skip"):
        raise PlanError('The operation "{op}" is not one of: prune, skip.', op=op)
    for unit, _ in removed:
        if unit not in get_args(Unit):
            raise PlanError('The unit "{unit}" is not one of: block, attention, mlp.', unit=unit)
    problem = unknown_unit(search.model, removed, search.stack)
    if problem is not None:
        raise problem
    chosen = ordered(tuple(removed))
    if not chosen:
        raise PlanError("Nothing was chosen to be removed. Choose at least one layer, attention or MLP.")
    n_blocks = search.model.stack(search.stack).n_blocks
    if _leaves_none(chosen, n_blocks):
        raise PlanError(
            "The plan takes out all {n_blocks} layers. At least one has to stay: make the plan again with less.", n_blocks=n_blocks
        )
    return chosen


def _operations(search: Search, chosen: UnitSet, op: RemovalOp) -> tuple[Operation, ...]:
    kind = Prune if op == "prune" else Skip
    by_unit: dict[Unit, tuple[int, ...]] = {unit: tuple(block for other, block in chosen if other == unit) for unit in get_args(Unit)}
    return tuple(kind(unit=unit, blocks=blocks, stack=search.stack) for unit, blocks in by_unit.items() if blocks)


def _projected(search: Search, operations: tuple[Operation, ...], context_tokens: int, latency: LatencyModel | None) -> Projection:
    """Everything that shapes and measurements let expect."""
    plain = project(search.model, operations, context_tokens, search.stack)
    return enriched(plain, search.model, operations, search=search, latency=latency, stack=search.stack)


def _answers(search: Search, strategy: str, kinds: tuple[Unit, ...], protected: frozenset[int]) -> list[UnitSet]:
    """The strategy's answers, smallest first, that take only these kinds and leave the protected layers alone."""
    found = search.paths.get(strategy)
    if found is None and strategy == "one_shot" and search.singles:
        return _by_scan(search, kinds, protected)
    if found is None:
        raise PlanError(
            'This search holds nothing of the strategy "{strategy}". It holds: {names}. Choose one of these, or search again with it.',
            strategy=strategy,
            names=tuple(dict.fromkeys([*(name for name in STRATEGIES if name in search.paths), "one_shot"])),
        )
    return [chosen for chosen in found if all(unit in kinds and block not in protected for unit, block in chosen)]


def _by_scan(search: Search, kinds: tuple[Unit, ...], protected: frozenset[int]) -> list[UnitSet]:
    """What one ablation scan takes out for 1, 2, ... units: the cheapest first; with several kinds, the cheapest per FLOP saved."""
    weight = savings_of(search.model, stack=search.stack).by_unit if len(kinds) > 1 else {}
    changes = {found.removed[0]: found.change for found in search.singles}
    price = {ref: change / weight.get(ref, 1.0) if change > 0 else change for ref, change in changes.items()}
    n_blocks = search.model.stack(search.stack).n_blocks
    found: list[UnitSet] = []
    taken: UnitSet = ()
    for unit, block in sorted(price, key=lambda ref: (price[ref], ref)):
        grown = ordered((*taken, (unit, block)))
        if unit not in kinds or block in protected or grown == taken:
            continue
        if _leaves_none(grown, n_blocks):
            break
        taken = grown
        found.append(taken)
    return found


def _leaves_none(chosen: UnitSet, n_blocks: int) -> bool:
    """Whether nothing of any layer would run."""
    gone = set(chosen)
    return all(("block", block) in gone or {("attention", block), ("mlp", block)} <= gone for block in range(n_blocks))


def _reason(search: Search, ref: UnitRef, profile: Profile | None) -> UnitReason:
    """Why one unit is in the plan: its own loss change when it alone is left out, and its place among its kind."""
    unit, block = ref
    singles = {single.removed[0]: single for single in search.singles if len(single.removed) == 1}
    alone = singles.get(ref)
    order = sorted((single.change, other[1]) for other, single in singles.items() if other[0] == unit)
    worst = worst_slice(profile, unit, CRITERIA["block_influence"], block) if profile else None
    return UnitReason(
        block=block,
        unit=unit,
        score=alone.change if alone else None,
        interval=alone.interval if alone else None,
        rank=1 + order.index((alone.change, block)) if alone else None,
        worst_slice=worst[0] if worst else None,
    )


def _notes(search: Search, chosen: UnitSet) -> tuple[Message, ...]:
    found = search.measured().get(chosen)
    values = {"search": search.name or search.id[:12], "n_tokens": search.n_tokens}
    notes = [
        Message(
            id="This set was not run: its change in loss is worked out from what the search {search} measured on {n_tokens} "
            "calibration tokens.",
            values=values,
        )
        if found is None
        else Message(
            id="The change in loss was measured by the search {search} on {n_tokens} calibration tokens; verification on other "
            "examples decides.",
            values=values,
        )
    ]
    if search.objective == "state_change":
        notes.append(Message(id="This model writes no words: loss is how far its final states turn (1 - cosine), not perplexity."))
    alone = [single.change for single in search.singles if single.removed[0] in chosen]
    if found is not None and len(alone) == len(chosen) > 1 and found.change > 1.5 * max(sum(alone), 0.02):
        notes.append(
            Message(
                id="Together these units cost {together} nats per token; one by one they would add up to {alone}. They need each other.",
                values={"together": f"{found.change:.3f}", "alone": f"{sum(alone):.3f}"},
            )
        )
    if search.workload.is_sample or search.model.source.kind == "sample":
        notes.append(
            Message(id="This plan was made from the sample's figures: profile your own model on your own prompts before deciding.")
        )
    return tuple(notes)


def _used_up(limit: Limit, chosen: UnitSet, possible: Sequence[UnitSet]) -> tuple[Message, ...]:
    """Said when even the largest answer leaves much of the amount unused."""
    largest = max(possible, key=limit.used)
    if limit.used(chosen) < limit.used(largest) or limit.used(chosen) >= 0.75 * limit.most:
        return ()
    return (
        Message(
            id='"{amount}" was asked for; the largest set that this search holds takes {most}. Search again with that amount for more.',
            values={"amount": limit.asked.text, "most": limit.in_words(limit.used(largest))},
        ),
    )


def _as_amount(search: Search, chosen: UnitSet) -> str:
    used = sum(1.0 if unit == "block" else 0.5 for unit, _ in chosen)
    return f"{used:g} layers"
