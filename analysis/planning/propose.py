"""From a profile to a plan: which units to take out for a given amount, and on what evidence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from analysis.contracts import (
    Message,
    ModelRef,
    Plan,
    Profile,
    Provenance,
    Prune,
    Ranking,
    Search,
    Skip,
    StackInfo,
    Unit,
    WorkloadInfo,
    WorkloadRef,
)
from analysis.errors import PlanError
from analysis.planning.amount import Amount, parse_amount
from analysis.planning.evidence import reasons_for, span_notes
from analysis.planning.projection import DEFAULT_CONTEXT_TOKENS, project, removed_bytes, removed_parameters, running_costs
from analysis.planning.rank import Order, best_span, rank_units, units_in

RemovalOp = Literal["prune", "skip"]
Chosen = tuple[int, ...]


def propose_plan(
    profile: Profile,
    *,
    op: RemovalOp = "prune",
    unit: Unit = "block",
    criterion: str = "block_influence",
    amount: str = "20%",
    protect: Iterable[int] = (),
    context_tokens: int = DEFAULT_CONTEXT_TOKENS,
    name: str = "",
) -> Plan:
    """A plan that takes units out in the criterion's order until the next one would exceed the amount.

    At least one unit always stays. Every removed unit carries its evidence (`provenance.reasons`); what a reader should
    know about the choice stands in `provenance.notes`.

    Raises:
        PlanError: the request cannot be understood, or nothing can be removed.
    """
    _check_request(op, unit)
    asked = parse_amount(amount)
    if asked.kind == "latency_share":
        raise PlanError(
            '"{amount}" counts latency, which a profile does not hold. Measure the latency of this model on this device and choose '
            "by a search, or give the amount in layers, parameters, FLOPs or memory.",
            amount=asked.text,
        )
    ranking = rank_units(profile, unit, criterion)
    protected = _checked_protection(profile, protect)
    blocks, notes = _choose(_Request(profile, ranking, asked, protected, context_tokens))
    stack = profile.model.stack(profile.stack)
    kind = Prune if op == "prune" else Skip
    operations = (kind(unit=unit, blocks=blocks, stack=stack.name),)
    return Plan(
        name=name,
        model=model_ref(profile),
        workload=workload_ref(profile.workload),
        operations=operations,
        projection=project(profile.model, operations, context_tokens, stack.name),
        provenance=Provenance(
            profile_id=profile.id,
            criterion=criterion,
            amount=asked.text,
            protected=protected,
            reasons=reasons_for(profile, ranking, blocks),
            notes=(*notes, *_standing_notes(profile, ranking, blocks)),
            versions=profile.versions,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
    )


def model_ref(measured: Profile | Search | Ranking) -> ModelRef:
    """The measured model and stack, as a plan names them."""
    model, stack = measured.model, measured.model.stack(measured.stack)
    return ModelRef(
        name=model.name,
        source=model.source,
        commit=model.commit,
        architecture=model.architecture,
        n_blocks=stack.n_blocks,
        stack=measured.stack,
        stack_path=stack.path,
    )


def workload_ref(workload: WorkloadInfo) -> WorkloadRef:
    """The workload, as a plan names it."""
    return WorkloadRef(
        name=workload.name,
        content_hash=workload.content_hash,
        paths=tuple(file.path for file in workload.files),
        mapping=workload.mapping,
        slicing=workload.slicing,
        is_sample=workload.is_sample,
        masked=workload.masked,
    )


def _check_request(op: str, unit: str) -> None:
    if op not in ("prune", "skip"):
        raise PlanError('The operation "{op}" is not one of: prune, skip.', op=op)
    if unit not in ("block", "attention", "mlp"):
        raise PlanError('The unit "{unit}" is not one of: block, attention, mlp.', unit=unit)


def _checked_protection(profile: Profile, protect: Iterable[int]) -> Chosen:
    protected = tuple(sorted(set(protect)))
    for block in protected:
        if not 0 <= block < profile.n_blocks:
            raise PlanError(
                "Layer {block} cannot be protected: this model has {n_blocks} layers (0 to {last}).",
                block=block,
                n_blocks=profile.n_blocks,
                last=profile.n_blocks - 1,
            )
    return protected


@dataclass(frozen=True)
class _Request:
    """What was asked for, in the terms that the choice is made in."""

    profile: Profile
    ranking: Order
    asked: Amount
    protected: Chosen
    context_tokens: int

    @property
    def stack(self) -> StackInfo:
        return self.profile.model.stack(self.profile.stack)

    @property
    def n_units(self) -> int:
        return len(units_in(self.stack, self.ranking.unit))

    @property
    def counts_units(self) -> bool:
        return self.asked.kind in ("unit_share", "units")

    @property
    def limit(self) -> float:
        """The most that may be used, in what `used` counts."""
        if self.counts_units:
            return self.asked.units_of(self.n_units)
        model = self.profile.model
        whole = {"parameter_share": model.n_parameters, "byte_share": model.weight_bytes, "bytes": 1}.get(self.asked.kind)
        return float(self.asked.value) * (
            running_costs(model, self.stack, self.context_tokens).prefill_flops_per_token if whole is None else whole
        )

    def used(self, blocks: Chosen) -> float:
        """How much taking out these blocks uses of the limit."""
        gone = frozenset((self.ranking.unit, block) for block in blocks)
        if self.counts_units:
            return len(blocks)
        if self.asked.kind == "parameter_share":
            return removed_parameters(self.stack, gone)
        if self.asked.kind != "flop_share":
            return removed_bytes(self.stack, gone)
        before, after = (running_costs(self.profile.model, self.stack, self.context_tokens, taken) for taken in (frozenset(), gone))
        return before.prefill_flops_per_token - after.prefill_flops_per_token

    def removals(self) -> list[Chosen]:
        """What would go for 1, 2, ... units, as far as it can be taken."""
        free = tuple(block for block in self.ranking.order if block not in self.protected)
        most = min(len(free), self.n_units - 1)
        if not self.ranking.criterion.contiguous:
            return [tuple(sorted(free[:n])) for n in range(1, most + 1)]
        found = (best_span(self.profile, self.ranking.criterion.name, n, self.protected) for n in range(1, most + 1))
        return [span.blocks for span in found if span is not None]


def _choose(request: _Request) -> tuple[Chosen, tuple[Message, ...]]:
    possible = request.removals()
    if not possible:
        raise _nothing_free(request.ranking, request.protected)
    fitting = [blocks for blocks in possible if request.used(blocks) <= request.limit]
    if not fitting:
        raise _too_little(request)
    chosen = max(fitting, key=len)
    # Everything that can go is taken and the amount would still have allowed one more of average size.
    capped = chosen == possible[-1] and request.limit * len(chosen) >= request.used(chosen) * (len(chosen) + 1)
    return chosen, (_capped(request.asked, chosen),) if capped else ()


def _nothing_free(ranking: Order, protected: Chosen) -> PlanError:
    if protected and set(ranking.order) <= set(protected):
        return PlanError("Nothing can be removed: every layer that could go is protected. Protect fewer layers.")
    return PlanError("Nothing can be removed: this model has no second unit of this kind with a score. Choose another unit or criterion.")


def _too_little(request: _Request) -> PlanError:
    text, n = request.asked.text, request.n_units
    if request.asked.kind == "unit_share":
        return PlanError(
            '"{amount}" of {n} is less than one, rounded down. Ask for at least {least}%.', amount=text, n=n, least=-(-100 // n)
        )
    return PlanError(
        '"{amount}" is less than the first removal takes. Ask for more, or for a number of layers such as 1 layer.', amount=text
    )


def _capped(asked: Amount, blocks: Chosen) -> Message:
    return Message(
        id='"{amount}" was asked for, but only {n} could be taken: the others are protected, have no score, or must stay.',
        values={"amount": asked.text, "n": len(blocks)},
    )


def _standing_notes(profile: Profile, ranking: Order, blocks: Chosen) -> tuple[Message, ...]:
    notes = list(span_notes(profile, ranking, blocks))
    unscored = tuple(block for block, _ in ranking.excluded)
    if unscored and ranking.criterion.name != "last_layers":
        notes.append(Message(id="Layers without a score by this measure were left in: {blocks}.", values={"blocks": unscored}))
    if "sink" not in profile.slices:
        notes.append(Message(id="Sink tokens (the first of a prompt) were not measured, so no layer can be called harmless."))
    if profile.workload.is_sample or profile.model.source.kind == "sample":
        notes.append(
            Message(id="This plan was made from the sample's figures: profile your own model on your own prompts before deciding.")
        )
    return tuple(notes)
