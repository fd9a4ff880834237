"""What a training step of one arm takes beside one of full fine-tuning: measured in turns where that was done."""

from __future__ import annotations

import math
from dataclasses import dataclass

from analysis.contracts import Distribution, Message, StepPoint, Trial, TrialArm

Z = 1.959964
"""Standard errors from the middle of a 95 % interval to either end."""
_P95 = 1.644854
_MEDIAN = 1.2533141
"""The standard error of a median beside that of a mean, for normal times: sqrt(pi / 2)."""


@dataclass(frozen=True)
class StepTimes:
    """Medians in milliseconds, all taken the same way.

    Attributes:
        full: with every layer training.
        own: at the arm's boundary, the frozen layers computed.
        cached: the same with their output read from the cache; None: the arm had none.
        in_turns: measured in turns in one go, so that a machine that got faster meanwhile does not blur them.
        errors: standard errors of the three medians; 0 where nothing was repeated.
    """

    full: float
    own: float
    cached: float | None
    in_turns: bool = False
    errors: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def saved(self) -> float:
        """Share of full fine-tuning's time; below 0: it takes longer."""
        return 1 - self.own / self.full if self.full else 0.0


@dataclass(frozen=True)
class TimeShare:
    """Time of a whole training with the plan / with every layer training, and its 95 % interval."""

    value: float
    low: float
    high: float


def step_times(trial: Trial, arm: TrialArm, full: TrialArm) -> StepTimes:
    """Steps at the arm's boundary and with nothing frozen.

    Arms run minutes apart, in which a machine gets faster or slower by more than freezing a few layers saves. Steps that took turns do
    not suffer from that; where the trial has them for both, they speak, else the arms' own steps.
    """
    return steps_in_turns(trial, arm) or _one_after_the_other(arm, full)


def steps_in_turns(trial: Trial, arm: TrialArm) -> StepTimes | None:
    """Steps at the arm's boundary and with nothing frozen that took turns; None: there were none for both."""
    steps = trial.steps if arm.kind in ("freeze", "full") else None
    whole, part = (None, None) if steps is None else (steps.measured(-1), steps.measured(arm.eof_layer))
    if steps is None or whole is None or part is None:
        return None
    cached = steps.measured(arm.eof_layer, cached=True) if arm.cost.cache != "off" else None
    errors = (_error(whole), _error(part), _error(cached))
    return StepTimes(whole.p50_ms, part.p50_ms, None if cached is None else cached.p50_ms, True, errors)


def time_share(times: StepTimes, first_epoch: float) -> TimeShare:
    """Time of a whole training with the plan / of full fine-tuning's, where the cache helps after the first epoch.

    The interval is that of three medians that were measured independently, by the delta method on the logarithm of the ratio.

    Args:
        times: of steps.
        first_epoch: share of the steps that belong to the first epoch, 0 to 1. Without a cache all of them compute the frozen layers.

    Source: the large-sample standard error of a median of normal times, sqrt(pi / 2) x sd / sqrt(n); sd from the 95th percentile.
    """
    if not times.full:
        return TimeShare(1.0, 1.0, 1.0)
    first = first_epoch if times.cached is not None else 1.0
    own = first * times.own + (1 - first) * (times.cached or 0.0)
    of_full, of_own, of_cached = times.errors
    value = own / times.full
    spread = math.hypot(first * of_own, (1 - first) * of_cached) / own if own else 0.0
    apart = math.exp(Z * math.hypot(spread, of_full / times.full))
    return TimeShare(value, value / apart, value * apart)


def _one_after_the_other(arm: TrialArm, full: TrialArm) -> StepTimes:
    later = arm.cost.later_epochs_ms if arm.cost.cache != "off" else None
    errors = (_error(full.cost.first_epoch_ms), _error(arm.cost.first_epoch_ms), _error(later))
    return StepTimes(full.cost.first_epoch_ms.p50, arm.cost.first_epoch_ms.p50, None if later is None else later.p50, errors=errors)


def _error(measured: Distribution | StepPoint | None) -> float:
    """Standard error of a median, from the distance of the 95th percentile as if the times were normal."""
    if measured is None:
        return 0.0
    if isinstance(measured, StepPoint):
        p50, p95, n = measured.p50_ms, measured.p95_ms, measured.repeats
    else:
        p50, p95, n = measured.p50, measured.p95, measured.n
    return _MEDIAN * max(0.0, p95 - p50) / _P95 / math.sqrt(n)


def how_timed(trial: Trial) -> Message | None:
    """Why an arm's step times need not give the share that a headline tells; None: they do."""
    own, steps = trial.own, trial.steps
    if own is None or steps is None or steps.measured(-1) is None or steps.measured(own.eof_layer) is None:
        return None
    return Message(
        id="Times of a step are those of each arm as it trained, one arm after the other; the share of time saved comes from steps that "
        "took turns."
    )
