"""Which rule would have chosen well: every rule's boundary held against what a sweep measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from analysis.contracts import EofChoice, EofStrategy, Message, Trial, TrialArm
from analysis.reporting.headlines_training import ENOUGH
from analysis.reporting.training_words import RULES

Fit = Literal["well", "deep", "shallow", "unknown"]
"""well: as the sweep's own; deep: more frozen than keeps enough; shallow: less than could be; unknown: between two that were tried."""


def deepest_good(trial: Trial) -> int | None:
    """The last boundary of the sweep that kept enough of full fine-tuning's gain; None: none did, or nothing to hold it against."""
    return max((arm.eof_layer for arm in _frozen(trial) if _share(arm) >= ENOUGH), default=None)


def fit(trial: Trial, eof_layer: int) -> Fit:
    """How a boundary did in the sweep, or would have done by its neighbours: freezing more never keeps more than a shallower failure."""
    good = deepest_good(trial)
    if any(
        arm.eof_layer <= eof_layer and _share(arm) < ENOUGH and arm.eof_layer > (-1 if good is None else good) for arm in _frozen(trial)
    ):
        return "deep"
    if good is None:
        return "unknown"
    return "well" if eof_layer == good else "shallow" if eof_layer < good else "unknown"


def neighbours(trial: Trial, eof_layer: int) -> tuple[TrialArm | None, TrialArm | None]:
    """The nearest boundaries that were tried on either side of one that was not."""
    arms = sorted(_frozen(trial), key=lambda arm: arm.eof_layer)
    before = [arm for arm in arms if arm.eof_layer < eof_layer]
    return (before[-1] if before else None, next((arm for arm in arms if arm.eof_layer > eof_layer), None))


def rules_message(trial: Trial, choices: Sequence[EofChoice] = ()) -> Message | None:
    """In plain words whether any rule but the sweep's own would have chosen well; None: there is nothing to judge by.

    Args:
        trial: a sweep, with full fine-tuning beside it.
        choices: of the rules; empty: those stored with the sweep.
    """
    asked = [(one.strategy, one.eof_layer) for one in choices or trial.choices if one.strategy != "sweep" and one.eof_layer is not None]
    if not asked or not _frozen(trial):
        return None
    found: dict[Fit, tuple[Message, ...]] = {
        kind: tuple(_name(name) for name, eof_layer in asked if fit(trial, eof_layer) == kind) for kind in ("well", "deep", "shallow")
    }
    if found["well"]:
        return Message(id="Chose as this sweep does: {rules}.", values={"rules": found["well"]})
    parts = [Message(id="No rule chose well here; only trying several boundaries did.")]
    if deepest_good(trial) is None:
        parts = [Message(id="No boundary of this sweep kept {enough}% of the gain, so no rule chose well.", values=_enough())]
    if found["deep"]:
        parts.append(Message(id="Too much frozen to keep {enough}% of the gain: {rules}.", values={**_enough(), "rules": found["deep"]}))
    if found["shallow"]:
        parts.append(Message(id="Less frozen than could be: {rules}.", values={"rules": found["shallow"]}))
    says = parts[0]
    for part in parts[1:]:
        says = Message(id="{first} {second}", values={"first": says, "second": part})
    return says


def _enough() -> dict[str, object]:
    return {"enough": round(100 * ENOUGH)}


def _name(strategy: EofStrategy) -> Message:
    return Message(id=RULES[strategy].title)


def _frozen(trial: Trial) -> list[TrialArm]:
    """Boundaries of which it is known what they kept."""
    return [arm for arm in trial.arms if arm.kind == "freeze" and arm.kept_at_tokens is not None and arm.kept_at_tokens.value is not None]


def _share(arm: TrialArm) -> float:
    kept = arm.kept_at_tokens.value if arm.kept_at_tokens else None
    return 0.0 if kept is None else kept
