"""What contradicts itself in a document whose every field is well-formed."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.contracts import (
    Assumptions,
    BusinessCase,
    Freeze,
    Plan,
    Profile,
    Rollout,
    Scores,
    Search,
    Semantics,
    Trial,
    Verification,
)
from analysis.runs.odds_business import assumptions_odds, case_odds, rollout_odds
from analysis.runs.odds_measured import search_odds, verification_odds
from analysis.runs.odds_trained import choice_odds, semantics_odds, trial_odds

Checked = Plan | Search | Verification | Semantics | Trial | BusinessCase | Rollout | Assumptions


def odds(document: Profile | Checked) -> str | None:
    """The place of the first contradiction; None: the document agrees with itself."""
    if isinstance(document, Profile):
        return _profile_odds(document)
    return next(_places(document), None)


def _places(document: Checked) -> Iterator[str]:
    if isinstance(document, Plan):
        return _plan_odds(document)
    if isinstance(document, BusinessCase):
        return case_odds(document)
    if isinstance(document, Rollout):
        return rollout_odds(document)
    if isinstance(document, Assumptions):
        return assumptions_odds(document)
    if isinstance(document, Search):
        return search_odds(document)
    if isinstance(document, Semantics):
        return semantics_odds(document)
    return trial_odds(document) if isinstance(document, Trial) else verification_odds(document)


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
    mine = (plan.id, plan.model.commit)
    if plan.verification is not None:
        if (plan.verification.plan_id, plan.verification.model_commit) != mine:
            yield "verification.plan_id"
        yield from (f"verification.{place}" for place in verification_odds(plan.verification))
    if plan.trial is not None:
        if (plan.trial.plan_id, plan.trial.model_commit) != mine:
            yield "trial.plan_id"
        yield from (f"trial.{place}" for place in trial_odds(plan.trial))
    if plan.business_case is not None:
        if (plan.business_case.evidence.plan_id, plan.business_case.evidence.model_commit) != mine:
            yield "business_case.plan_id"
        yield from (f"business_case.{place}" for place in case_odds(plan.business_case))
