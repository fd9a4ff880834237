"""From a ranking to a plan: what the consensus takes out for an amount, step by step or lowest first. No forward pass."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from analysis.contracts import Operation, Plan, Profile, Projection, Provenance, Prune, Ranking, Rule, Skip, Voter
from analysis.planning.project_more import enriched
from analysis.planning.projection import DEFAULT_CONTEXT_TOKENS, project
from analysis.planning.propose import RemovalOp, model_ref, workload_ref
from analysis.planning.ranking_choice import Request, choose
from analysis.planning.ranking_losses import UnitSet, measured_quality
from analysis.planning.ranking_notes import notes_of, reason_of

CONSENSUS = "consensus"
"""The criterion of a plan that a ranking's measures voted for."""


def plan_from_ranking(
    ranking: Ranking,
    *,
    amount: str | None = None,
    rule: Rule | None = None,
    weights: Mapping[Voter, float] | None = None,
    voters: Collection[Voter] | None = None,
    step_by_step: bool = True,
    op: RemovalOp = "prune",
    protect: Collection[int] = (),
    context_tokens: int = DEFAULT_CONTEXT_TOKENS,
    name: str = "",
    profile: Profile | None = None,
) -> Plan:
    """The plan that leaves out what the measures vote out, as much of it as the amount allows.

    Step by step, the units go that the ranking took out one after the other, all measured again in between. That holds for
    another rule, weights or measures only as far as they would have taken the same units. Where the ranking holds fewer than the
    amount allows, the lowest of its first step go, and a note says so.

    Args:
        ranking: what was voted.
        amount: how much to take out, such as 20%, 20%params, 6 layers; None: all that was taken step by step, else what the
            ranking was asked for, else 20%.
        rule, weights, voters: of the consensus; None: those of the ranking's settings.
        step_by_step: False: lowest first of the first step, whatever was taken.
        op: prune (gone from the saved model) or skip (left out while running).
        protect: layers that must stay, besides those that the ranking protected.
        context_tokens: sequence length behind the projected figures.
        name: the plan's name.
        profile: the same model's, to be named in the plan.

    Raises:
        PlanError: the request cannot be understood, the profile is another model's, or nothing can be removed.
    """
    choice = choose(Request(ranking, amount, rule, weights, voters, step_by_step, frozenset(protect), op, context_tokens), profile)
    request, chosen = choice.request, choice.chosen
    kind = Prune if op == "prune" else Skip
    operations: tuple[Operation, ...] = (kind(unit=ranking.settings.unit, blocks=tuple(block for _, block in chosen), stack=ranking.stack),)
    return Plan(
        name=name,
        model=model_ref(ranking),
        workload=workload_ref(ranking.workload),
        operations=operations,
        projection=_projected(ranking, operations, chosen, context_tokens),
        provenance=Provenance(
            profile_id=profile.id if profile else None,
            criterion=CONSENSUS,
            amount=choice.amount,
            protected=tuple(sorted(request.protected)),
            reasons=tuple(reason_of(choice, ref) for ref in chosen),
            consensus=choice.contract,
            notes=tuple(notes_of(choice)),
            versions=ranking.versions,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
    )


def _projected(ranking: Ranking, operations: tuple[Operation, ...], chosen: UnitSet, context_tokens: int) -> Projection:
    plain = project(ranking.model, operations, context_tokens, ranking.stack)
    more = enriched(plain, ranking.model, operations, stack=ranking.stack)
    return more.model_copy(update={"quality": measured_quality(ranking, chosen)})
