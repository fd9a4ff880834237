"""What contradicts itself in a document whose every field is well-formed."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.contracts import (
    Assumptions,
    BusinessCase,
    Freeze,
    Healing,
    Plan,
    Profile,
    Ranking,
    Robustness,
    Rollout,
    Scores,
    Search,
    Semantics,
    Trial,
    Verification,
)
from analysis.runs.odds_business import assumptions_odds, case_odds, rollout_odds
from analysis.runs.odds_consensus import consensus_odds, healing_odds, ranking_odds, robustness_odds
from analysis.runs.odds_measured import search_odds, verification_odds
from analysis.runs.odds_trained import choice_odds, semantics_odds, trial_odds
from analysis.runs.plan_evidence import evidence_in

Checked = Plan | Search | Verification | Semantics | Trial | BusinessCase | Rollout | Assumptions | Ranking | Healing | Robustness


def odds(document: Profile | Checked) -> str | None:
    """The place of the first contradiction; None: the document agrees with itself."""
    if isinstance(document, Profile):
        return _profile_odds(document)
    return next(_places(document), None)


def _places(document: Checked) -> Iterator[str]:
    match document:
        case Plan():
            return _plan_odds(document)
        case BusinessCase():
            return case_odds(document)
        case Rollout():
            return rollout_odds(document)
        case Assumptions():
            return assumptions_odds(document)
        case Search():
            return search_odds(document)
        case Semantics():
            return semantics_odds(document)
        case Ranking():
            return ranking_odds(document)
        case Healing():
            return healing_odds(document)
        case Robustness():
            return robustness_odds(document)
        case Trial():
            return trial_odds(document)
        case Verification():
            return verification_odds(document)


def _profile_odds(profile: Profile) -> str | None:
    stack = next((stack for stack in profile.model.stacks if stack.name == profile.stack), None)
    if stack is None or not stack.blocks:
        return "stack"
    named = {"overall": profile.overall, **{f"slices.{name}": scores for name, scores in profile.slices.items()}}
    wrong = (f"{name}.{field}" for name, scores in named.items() for field in _misshapen(scores, stack.n_blocks))
    examples = (f"examples.{index}" for index, example in enumerate(profile.examples) if len(example.block_influence) != stack.n_blocks)
    return next(wrong, None) or next(examples, None)


def _misshapen(scores: Scores, n_blocks: int) -> Iterator[str]:
    for name in ("block_influence", "attention_influence", "mlp_influence", "relative_contribution", "norms"):
        if len(getattr(scores, name)) != n_blocks + (name == "norms"):
            yield name
    for name in ("cosine_similarity", "angular_distance", "angular_distance_last_token", "linear_cka"):
        matrix = getattr(scores, name)
        if matrix is not None and {len(matrix), *map(len, matrix)} != {n_blocks + 1}:
            yield name
    if scores.intervals is not None:
        yield from (
            f"intervals.{unit}_{kind}"
            for unit in ("block", "attention", "mlp")
            for kind in ("influence", "rank")
            if len(getattr(scores.intervals, f"{unit}_{kind}")) != n_blocks
        )
        for name in ("cosine_similarity", "angular_distance", "linear_cka"):
            pairs = getattr(scores.intervals, name)
            if pairs is not None and {len(pairs), *map(len, pairs)} != {n_blocks + 1}:
                yield f"intervals.{name}"


def _plan_odds(plan: Plan) -> Iterator[str]:
    for index, operation in enumerate(plan.operations):
        last = operation.eof_layer if isinstance(operation, Freeze) else operation.blocks[-1]
        if last >= plan.model.n_blocks - isinstance(operation, Freeze):
            yield f"operations.{index}"
    if plan.provenance.eof_choice is not None:
        yield from (f"provenance.eof_choice.{place}" for place in choice_odds(plan.provenance.eof_choice, plan.model.n_blocks))
    if plan.provenance.consensus is not None:
        yield from (f"provenance.consensus.{place}" for place in consensus_odds(plan.provenance.consensus, plan))
    mine = (plan.id, plan.model.commit)
    for field, found in evidence_in(plan).items():
        if (found.plan_id, found.model_commit) != mine:
            yield f"{field}.plan_id"
        yield from (f"{field}.{place}" for place in _places(found))
    if plan.business_case is not None:
        if (plan.business_case.evidence.plan_id, plan.business_case.evidence.model_commit) != mine:
            yield "business_case.plan_id"
        yield from (f"business_case.{place}" for place in case_odds(plan.business_case))
