"""What one fine-tune costs, from a trial's steps or from a projected training."""

from __future__ import annotations

from analysis.contracts import Change, Pair, Plan, TrainingEvidence, TrainingProjection, Trial, TrialArm
from analysis.planning.step_times import StepTimes, step_times, steps_in_turns, time_share

_MS_PER_HOUR = 3_600_000


def training_of(plan: Plan, trial: Trial) -> TrainingEvidence | None:
    """What the trial measured of one fine-tune; None: nothing says what full fine-tuning takes on that device.

    Hours are those of steps alone: evaluations and the choice of a learning rate are not part of a fine-tune as it will be run.
    """
    own, full = trial.own, next((arm for arm in trial.arms if arm.kind == "full"), None)
    if own is None:
        return None
    times = steps_in_turns(trial, own) or (None if full is None else step_times(trial, own, full))
    if times is None:
        return None
    return TrainingEvidence(
        hours=_hours(times, own),
        energy_wh=_energy(own, full),
        peak_memory_bytes=_memory(own, full),
        n_examples=trial.n_training,
        epochs=trial.settings.epochs,
        tokens_per_run=float(trial.counts.n_tokens * trial.settings.epochs),
        kept_gain=own.kept_at_tokens,
        n_trained=plan.model.n_blocks - (plan.eof_layer if plan.eof_layer is not None else -1) - 1,
        recommended=trial.recommended is not None and trial.recommended == plan.eof_layer,
    )


def projected_training(plan: Plan) -> TrainingEvidence | None:
    """A projected fine-tune, where steps of this device were at hand; None: there are none, and no time can be priced."""
    training = None if plan.projection is None else plan.projection.training
    if training is None or training.hours is None:
        return None
    return TrainingEvidence(
        hours=_changed(training.hours),
        energy_wh=None if training.energy_wh is None else _changed(training.energy_wh),
        peak_memory_bytes=_changed(training.peak_memory_bytes),
        n_examples=training.n_sequences,
        epochs=training.epochs,
        tokens_per_run=float(training.n_sequences * training.epochs * training.shape.sequence_tokens),
        n_trained=plan.model.n_blocks - (plan.eof_layer if plan.eof_layer is not None else -1) - 1,
    )


def projected_share(training: TrainingProjection) -> float:
    """Share of a whole fine-tune's time that is projected to be saved: by hours, else by steps, the first epoch without the cache."""
    if training.hours is not None:
        return training.hours.saved_share_cached
    change = training.step_ms or training.step_flops
    first = 1 / training.epochs if training.epochs >= 1 else 1.0
    return first * change.saved_share + (1 - first) * change.saved_share_cached


def _hours(times: StepTimes, own: TrialArm) -> Pair:
    first = own.cost.first_epoch_ms.n / own.cost.n_steps
    share = time_share(times, min(1.0, first))
    today = own.cost.n_steps * times.full / _MS_PER_HOUR
    repeated = any(times.errors)
    return Pair(
        today=today,
        plan=today * share.value,
        ratio_low=share.low if repeated else None,
        ratio_high=share.high if repeated else None,
    )


def _energy(own: TrialArm, full: TrialArm | None) -> Pair | None:
    if full is None or own.cost.energy_wh is None or full.cost.energy_wh is None:
        return None
    return Pair(today=full.cost.energy_wh, plan=own.cost.energy_wh)


def _memory(own: TrialArm, full: TrialArm | None) -> Pair | None:
    if full is None or own.cost.peak_memory_bytes is None or full.cost.peak_memory_bytes is None:
        return None
    return Pair(today=full.cost.peak_memory_bytes, plan=own.cost.peak_memory_bytes)


def _changed(change: Change) -> Pair:
    return Pair(today=change.full, plan=change.plan if change.cached is None else change.cached)
