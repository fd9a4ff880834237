"""What a training step of one arm takes beside one of full fine-tuning: measured in turns where that was done."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.contracts import Message, Trial, TrialArm


@dataclass(frozen=True)
class StepTimes:
    """Medians in milliseconds, all taken the same way.

    Attributes:
        full: with every layer training.
        own: at the arm's boundary, the frozen layers computed.
        cached: the same with their output read from the cache; None: the arm had none.
    """

    full: float
    own: float
    cached: float | None

    @property
    def saved(self) -> float:
        """Share of full fine-tuning's time; below 0: it takes longer."""
        return 1 - self.own / self.full if self.full else 0.0


def step_times(trial: Trial, arm: TrialArm, full: TrialArm) -> StepTimes:
    """Steps at the arm's boundary and with nothing frozen.

    Arms run minutes apart, in which a machine gets faster or slower by more than freezing a few layers saves. Steps that took turns do
    not suffer from that; where the trial has them for both, they speak, else the arms' own steps.
    """
    used = arm.cost.cache != "off"
    steps = trial.steps if arm.kind in ("freeze", "full") else None
    whole, part = (None, None) if steps is None else (steps.measured(-1), steps.measured(arm.eof_layer))
    if steps is not None and whole is not None and part is not None:
        cached = steps.measured(arm.eof_layer, cached=True) if used else None
        return StepTimes(whole.p50_ms, part.p50_ms, None if cached is None else cached.p50_ms)
    later = arm.cost.later_epochs_ms if used else None
    return StepTimes(full.cost.first_epoch_ms.p50, arm.cost.first_epoch_ms.p50, None if later is None else later.p50)


def how_timed(trial: Trial) -> Message | None:
    """Why an arm's step times need not give the share that a headline tells; None: they do."""
    own, steps = trial.own, trial.steps
    if own is None or steps is None or steps.measured(-1) is None or steps.measured(own.eof_layer) is None:
        return None
    return Message(
        id="Times of a step are those of each arm as it trained, one arm after the other; the share of time saved comes from steps that "
        "took turns."
    )
