"""What a plan does to quality, in the figures that a decision needs."""

from __future__ import annotations

import math
from collections.abc import Mapping

from analysis.contracts import Estimate, Plan, QualityEvidence, Trial, TrialArm, Verification
from analysis.planning.binomial import paired_change


def quality_of(plan: Plan, verification: Verification | None, trial: Trial | None) -> QualityEvidence:
    """Measured against the original (a verification) or against full fine-tuning (a trial); else as projected; else unknown."""
    if verification is not None and not (plan.only_freezes and trial is not None):
        return _verified(verification)
    if trial is not None:
        return _tried(trial)
    projected = None if plan.projection is None else plan.projection.quality
    if projected is None:
        return QualityEvidence()
    low, high = projected.perplexity_ratio_interval
    change = Estimate(value=projected.perplexity_ratio - 1, low=None if low is None else low - 1, high=None if high is None else high - 1)
    return QualityEvidence(quality_change=change, projected=True)


def _verified(verification: Verification) -> QualityEvidence:
    accuracy, n_answers = _accuracy(verification)
    critical = verification.critical
    return QualityEvidence(
        quality_change=_less_one(verification.quality.perplexity_ratio),
        accuracy_change=accuracy,
        n_answers=n_answers,
        critical=None if critical is None else critical.flips,
        by_slice={name: _less_one(scores.perplexity_ratio) for name, scores in verification.slices.items()},
    )


def _accuracy(verification: Verification) -> tuple[Estimate | None, int]:
    """Right answers, plan - original, over every prompt whose answer could be judged; the interval is exact for small numbers too."""
    pairs = [
        (example.right_original, example.right_plan)
        for example in verification.examples
        if example.right_original is not None and example.right_plan is not None
    ]
    if not pairs:
        return None, 0
    lost, won = (sum(before is not after and bool(after) is gained for before, after in pairs) for gained in (False, True))
    return paired_change(lost, won, len(pairs)), len(pairs)


def _tried(trial: Trial) -> QualityEvidence:
    """The frozen arm beside full fine-tuning: the same data, the same number of tokens."""
    own, full = trial.own, next((arm for arm in trial.arms if arm.kind == "full"), None)
    if own is None or full is None:
        return QualityEvidence()
    return QualityEvidence(quality_change=_beside_full(own, full), by_slice=_slices_beside_full(own.slices, full.slices))


def _beside_full(own: TrialArm, full: TrialArm) -> Estimate | None:
    """Perplexity after freezing / after full fine-tuning - 1; the interval is that of the share kept, which is paired over prompts."""
    if own.loss_after.value is None or full.loss_after.value is None:
        return None
    value, gained, kept = math.expm1(own.loss_after.value - full.loss_after.value), full.reduction.value, own.kept_at_tokens
    if gained is None or kept is None or kept.low is None or kept.high is None:
        return Estimate(value=value)
    return Estimate(value=value, low=math.expm1(gained * (1 - kept.high)), high=math.expm1(gained * (1 - kept.low)))


def _slices_beside_full(own: Mapping[str, Estimate], full: Mapping[str, Estimate]) -> dict[str, Estimate]:
    found = {}
    for name in own.keys() & full.keys():
        of_own, of_full = own[name].value, full[name].value
        if of_own is not None and of_full is not None:
            found[name] = Estimate(value=math.expm1(of_full - of_own))
    return dict(sorted(found.items()))


def _less_one(ratio: Estimate) -> Estimate:
    return Estimate(**{name: None if value is None else value - 1 for name, value in ratio.model_dump().items()})
