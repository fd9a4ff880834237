"""What freezing kept and cost, arm beside arm: the front of a sweep, the share of full fine-tuning's gain, the same at equal cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from analysis.contracts import EofChoice, EofStrategy, Estimate, SweepPoint, TrialArm

Floats = npt.NDArray[np.float64]
REPLICATES = 2000
WORTH_KEEPING = 0.9
"""Share of full fine-tuning's gain from which on a boundary is recommended."""


def front(arms: Sequence[TrialArm], choices: Sequence[EofChoice]) -> tuple[SweepPoint, ...]:
    """Frozen arms and full fine-tuning on the plane of measured seconds and verification loss, cheapest first.

    Seconds are those of the whole training, later epochs with their cache included; evaluations are not. A point is on the front
    when no other is at most as dear and at most as bad, and better in one. A rule's choice marks the tried boundary nearest to it
    (full fine-tuning is -1); of two as near, the one after it, which trains no more than the rule asks for.

    Args:
        arms: a trial's; LoRA arms, arms that were not judged and arms without a point are left out.
        choices: what the rules chose; rules without an answer mark nothing.
    """
    judged = [arm for arm in arms if arm.kind in ("freeze", "full") and arm.loss_after.value is not None and arm.points]
    at = {arm.name: (arm.points[-1].seconds, float(arm.loss_after.value or 0.0)) for arm in judged}
    marks = _marks(judged, choices)
    points = [
        SweepPoint(arm=name, seconds=seconds, loss=loss, on_front=not _beaten(at, name), chosen_by=tuple(marks.get(name, ())))
        for name, (seconds, loss) in at.items()
    ]
    return tuple(sorted(points, key=lambda point: (point.seconds, point.loss)))


def recommended(arms: Sequence[TrialArm], share: float = WORTH_KEEPING) -> int | None:
    """The last tried boundary that keeps `share` of full fine-tuning's gain on the tuning part; -1: none does; None: cannot be told.

    The verification half has no say in it, so that what an arm did there stays a fair judgement of the choice.
    """
    full = next((arm.tuning_reduction.value for arm in arms if arm.kind == "full" and arm.tuning_reduction), None)
    tried = {arm.eof_layer: arm.tuning_reduction.value for arm in arms if arm.kind == "freeze" and arm.tuning_reduction}
    if full is None or full <= 0.0 or not tried:
        return None
    return max((eof for eof, gained in tried.items() if gained is not None and gained >= share * full), default=-1)


def kept(
    arm: TrialArm,
    full: TrialArm,
    *,
    before: Mapping[str, float] | None = None,
    tokens: Mapping[str, int] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Estimate:
    """Which share of full fine-tuning's loss reduction an arm reaches, with its 95 % interval over prompts.

    Both arms are resampled together: prompts that are hard for one are hard for the other. With the losses before training the
    whole ratio is resampled. Without them only the difference between the arms is, and full fine-tuning's own reduction is taken
    as it was measured: the interval is then a little narrow.

    Args:
        arm: any arm, with its `example_losses`.
        full: full fine-tuning on the same prompts.
        before: prompt -> loss before training.
        tokens: prompt -> response tokens, its weight in the mean; None: all alike.

    Returns:
        Undefined (null) where full fine-tuning gained nothing, or a loss is missing.
    """
    gained, reached = full.reduction.value, arm.reduction.value
    if gained is None or reached is None or gained <= 0.0:
        return Estimate(value=None)
    value = reached / gained
    shared = sorted(arm.example_losses.keys() & full.example_losses.keys() & (before.keys() if before else full.example_losses.keys()))
    if len(shared) < 2:
        return Estimate(value=value)
    of_arm, of_full = (_losses(losses, shared) for losses in (arm.example_losses, full.example_losses))
    weights = np.ones(len(shared)) if tokens is None else np.array([float(tokens.get(name, 0)) for name in shared])
    times = np.random.default_rng(seed).multinomial(len(shared), np.full(len(shared), 1.0 / len(shared)), size=replicates) * weights
    with np.errstate(invalid="ignore", divide="ignore"):
        if before is None:
            apart = (times @ (of_full - of_arm)) / times.sum(axis=1)
            ratios = value + (apart - np.average(of_full - of_arm, weights=weights)) / gained
        else:
            start = _losses(before, shared)
            ratios = (times @ (start - of_arm)) / (times @ (start - of_full))
    return _interval(value, ratios)


def at_cost(arm: TrialArm, full: TrialArm) -> float | None:
    """The arm's loss reduction as a share of what full fine-tuning had reached after as many seconds; above 1: better at equal cost.

    Full fine-tuning's loss is taken between its points as falling evenly. An arm that took longer is held against full
    fine-tuning's end: it could have stopped there. None where full fine-tuning had gained nothing by then.
    """
    course = [(point.seconds, point.verification_loss) for point in full.points if point.verification_loss is not None]
    if len(course) < 2 or not arm.points or arm.reduction.value is None:
        return None
    seconds, losses = np.array([place for place, _ in course]), np.array([loss for _, loss in course], dtype=np.float64)
    gained = float(losses[0] - np.interp(arm.points[-1].seconds, seconds, losses))
    return arm.reduction.value / gained if gained > 0.0 else None


def _beaten(at: Mapping[str, tuple[float, float]], name: str) -> bool:
    seconds, loss = at[name]
    return any(other != name and at[other][0] <= seconds and at[other][1] <= loss and at[other] != at[name] for other in at)


def _marks(arms: Sequence[TrialArm], choices: Sequence[EofChoice]) -> Mapping[str, list[EofStrategy]]:
    tried = {-1 if arm.kind == "full" else arm.eof_layer: arm.name for arm in arms}
    marks: dict[str, list[EofStrategy]] = {}
    for choice in choices:
        wanted = choice.eof_layer
        if wanted is None or not tried:
            continue
        name = tried[min(tried, key=lambda eof: (abs(eof - wanted), -eof))]
        if choice.strategy not in marks.setdefault(name, []):
            marks[name].append(choice.strategy)
    return marks


def _losses(losses: Mapping[str, float], names: Sequence[str]) -> Floats:
    return np.array([losses[name] for name in names], dtype=np.float64)


def _interval(value: float, ratios: Floats) -> Estimate:
    known = ratios[np.isfinite(ratios)]
    if len(known) < 0.9 * len(ratios):
        return Estimate(value=value)
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(value=value, low=float(low), high=float(high))
