"""The first sentences of Freeze and Trials: what freezing saves, what the trial kept of the gain, and when the answer is no."""

from __future__ import annotations

from analysis.contracts import EofChoice, Message, Plan, Semantics, Trial, TrialArm
from analysis.contracts.freezing import TrainingProjection
from analysis.reporting.figures import percent_figure
from analysis.reporting.step_times import StepTimes, step_times

ENOUGH = 0.9
"""Share of full fine-tuning's gain from which a plan is said to have kept it."""
_POOR_FIDELITY = 0.1
_UNSETTLED = 0.5


def freeze(plan: Plan, trial: Trial | None = None, semantics: Semantics | None = None) -> Message:
    """What the plan freezes and what that is worth, for someone who decides: measured where a trial ran, else projected.

    Args:
        plan: freezes layers 0 to its eof_layer.
        trial: of this plan; None: none has run.
        semantics: the traces behind the choice, which say how much the choice itself is worth before a trial.
    """
    assert plan.eof_layer is not None
    tried = trial if trial is not None and trial.own is not None and trial.eof_layer == plan.eof_layer else None
    if tried is not None:
        return _tried(tried, plan.eof_layer, plan.projection.training if plan.projection else None)
    says = _projected(plan.eof_layer, plan.projection.training if plan.projection else None)
    doubt = _doubt(plan.provenance.eof_choice, semantics)
    return says if doubt is None else _both(says, doubt)


def freeze_no_trial(plan: Plan) -> Message:
    """The plan's headline before any trial."""
    return freeze(plan)


def trials(trial: Trial) -> Message:
    """What a trial or a sweep found, and what it did not reach."""
    says = _sweep(trial) if trial.is_sweep else _single(trial)
    own = trial.own
    if own is not None and own.stop in ("budget", "cancelled"):
        early = Message(id="The time given was spent before the end, so more may be possible.")
        stopped = Message(id="It was stopped before the end, so more may be possible.")
        return _both(says, early if own.stop == "budget" else stopped)
    return says


def _single(trial: Trial) -> Message:
    if trial.own is None:
        return Message(id="This trial has no arm that freezes the plan's layers: what the plan keeps is not known.")
    return _tried(trial, trial.eof_layer, trial.projection)


def _tried(trial: Trial, eof_layer: int, projection: TrainingProjection | None) -> Message:
    """A boundary with its trial: good, good but uncertain, not enough, or nothing learnt."""
    own, full = trial.own, _full(trial)
    assert own is not None
    values: dict[str, object] = {
        "eof": eof_layer,
        "first": eof_layer + 1,
        "last": trial.n_blocks - 1,
        "device": trial.machine.device_name,
    }
    if full is not None and not _lowered(full) and not _lowered(own):
        return Message(
            id="The trial did not lower the loss at all, not even with every layer trained: look at the examples and the learning rates "
            "before freezing anything."
        )
    if not _lowered(own):
        return Message(
            id="Do not freeze layers 0 to {eof}: in the trial the loss did not fall with them frozen. Freeze fewer layers.", values=values
        )
    kept = own.kept_at_tokens.value if own.kept_at_tokens else None
    if full is None or kept is None:
        return _both(_projected_saving(eof_layer, projection), _not_compared(own))
    return _judged(own, step_times(trial, own, full), kept, values)


def _judged(own: TrialArm, times: StepTimes, kept: float, values: dict[str, object]) -> Message:
    saved = times.saved
    values = {**values, "t": percent_figure(abs(saved)), "g": percent_figure(min(kept, 1.0))}
    if own.eof_layer < 0:
        return Message(
            id="Nothing is frozen: a training step costs what full fine-tuning costs, and the trial kept {g}% of the gain.", values=values
        )
    if kept < ENOUGH:
        values["g"] = _short_of(kept)
        return Message(
            id="Freezing layers 0 to {eof} is not enough of a bargain: the trial kept only {g}% of the gain. A training step takes {t}% "
            "less time; freeze fewer layers."
            if saved >= 0
            else "Freezing layers 0 to {eof} does not pay: the trial kept only {g}% of the gain, and a training step takes {t}% more time.",
            values=values,
        )
    says = Message(
        id="Freeze layers 0 to {eof} and train {first} to {last}: a training step takes {t}% less time, and the trial kept {g}% of the "
        "gain."
        if saved >= 0
        else "Freezing layers 0 to {eof} kept {g}% of the gain in the trial, but a training step took {t}% more time on {device}.",
        values=values,
    )
    return _with_certainty(_with_cache(says, times), own)


def _with_cache(says: Message, times: StepTimes) -> Message:
    """From the second epoch on the frozen layers are read from the cache: said where it was measured and helps."""
    if times.cached is None or times.cached >= min(times.own, times.full):
        return says
    values = {"c": percent_figure(1 - times.cached / times.full)}
    return _both(says, Message(id="From the second epoch on it takes {c}% less.", values=values))


def _with_certainty(says: Message, own: TrialArm) -> Message:
    """Said where the interval reaches below what counts as kept."""
    found = own.kept_at_tokens
    if found is None or found.low is None or found.high is None or found.low >= ENOUGH:
        return says
    values = {"low": percent_figure(found.low), "high": percent_figure(found.high)}
    return _both(says, Message(id="With so few examples the true figure may lie between {low}% and {high}%.", values=values))


def _sweep(trial: Trial) -> Message:
    """The deepest boundary that kept enough, among all that were tried."""
    frozen = [arm for arm in trial.arms if arm.kind == "freeze"]
    full = _full(trial)
    if full is not None and not _lowered(full) and not any(map(_lowered, frozen)):
        return Message(
            id="The trial did not lower the loss at all, not even with every layer trained: look at the examples and the learning rates "
            "before freezing anything."
        )
    known = [(arm, arm.kept_at_tokens.value) for arm in frozen if arm.kept_at_tokens and arm.kept_at_tokens.value is not None]
    if not known or full is None:
        return Message(
            id="{n} boundaries were tried; without full fine-tuning beside them it is not known what they kept of the gain.",
            values={"n": len(frozen)},
        )
    good = [(arm, kept) for arm, kept in known if kept >= ENOUGH and _lowered(arm)]
    if not good:
        best, kept = max(known, key=lambda pair: pair[1])
        return Message(
            id="None of {n} boundaries kept {enough}% of the gain; the best, freezing layers 0 to {eof}, kept {g}%. Freeze fewer layers.",
            values={"n": len(frozen), "enough": round(100 * ENOUGH), "eof": best.eof_layer, "g": _short_of(kept)},
        )
    deepest, kept = max(good, key=lambda pair: pair[0].eof_layer)
    times = step_times(trial, deepest, full)
    saved = times.saved
    values = {
        "n": len(frozen),
        "eof": deepest.eof_layer,
        "t": percent_figure(abs(saved)),
        "g": percent_figure(min(kept, 1.0)),
        "enough": round(100 * ENOUGH),
        "device": trial.machine.device_name,
    }
    says = Message(
        id="Of {n} boundaries tried, freezing layers 0 to {eof} is the deepest that kept {enough}% of the gain or more: it kept {g}%, and "
        "a training step takes {t}% less time."
        if saved >= 0
        else "Of {n} boundaries tried, freezing layers 0 to {eof} is the deepest that kept {enough}% of the gain or more: it kept {g}%, "
        "but a training step took {t}% more time on {device}.",
        values=values,
    )
    return _with_certainty(_with_cache(says, times), deepest)


def _projected(eof_layer: int, projection: TrainingProjection | None) -> Message:
    """A boundary before any trial; the first form stands as the product's words give it."""
    values: dict[str, object] = {"eof": eof_layer}
    if eof_layer < 0:
        return Message(id="Nothing is frozen: every layer trains, and a step saves nothing.")
    if projection is None:
        return Message(
            id="Freeze layers 0 to {eof}: what a step saves has not been worked out. Quality is not known until a trial has run.",
            values=values,
        )
    timed = projection.step_ms is not None
    saved = (projection.step_ms or projection.step_flops).saved_share
    values["t"] = percent_figure(abs(saved))
    if timed and saved < 0:
        return Message(
            id="Freezing layers 0 to {eof} is projected to make a step take {t}% more time. Quality is not known until a trial has run.",
            values=values,
        )
    if timed:
        return Message(
            id="Freeze layers 0 to {eof}: a step is projected to take {t}% less time. Quality is not known until a trial has run.",
            values=values,
        )
    return Message(
        id="Freeze layers 0 to {eof}: a step needs {t}% fewer FLOPs; how much time that saves was not measured on this machine. Quality is "
        "not known until a trial has run.",
        values=values,
    )


def _projected_saving(eof_layer: int, projection: TrainingProjection | None) -> Message:
    """What is frozen and saved, where a trial ran but not beside full fine-tuning."""
    if projection is None:
        return Message(id="Layers 0 to {eof} were frozen in the trial.", values={"eof": eof_layer})
    if projection.step_ms is not None:
        saved = percent_figure(max(projection.step_ms.saved_share, 0.0))
        return Message(id="Freeze layers 0 to {eof}: a step is projected to take {t}% less time.", values={"eof": eof_layer, "t": saved})
    saved = percent_figure(projection.step_flops.saved_share)
    return Message(id="Freeze layers 0 to {eof}: a step needs {t}% fewer FLOPs.", values={"eof": eof_layer, "t": saved})


def _not_compared(own: TrialArm) -> Message:
    return Message(
        id="The trial lowered the loss by {r} nats; without full fine-tuning beside it, it is not known how much of the gain that is.",
        values={"r": f"{own.reduction.value or 0.0:.2f}"},
    )


def _doubt(choice: EofChoice | None, semantics: Semantics | None) -> Message | None:
    """What weakens the choice itself before a trial has shown it: the measure, or the resamples."""
    found = None if semantics is None else next((one for one in semantics.fidelity if one.curve == semantics.default_curve), None)
    if found is not None and found.right < _POOR_FIDELITY:
        return Message(
            id="The measure behind the choice names the right word in only {x}% of cases, so the trial matters all the more.",
            values={"x": percent_figure(found.right)},
        )
    if choice is not None and choice.agreement is not None and choice.agreement < _UNSETTLED:
        return Message(
            id="Only {a}% of resamples of the prompts choose this layer, so a neighbour may do as well.",
            values={"a": percent_figure(choice.agreement)},
        )
    return None


def _short_of(kept: float) -> str:
    """A share that is not enough, never rounded up to what would have been."""
    figure = percent_figure(max(kept, 0.0))
    return f"{100 * kept:.1f}" if figure == percent_figure(ENOUGH) and round(100 * kept, 1) < 100 * ENOUGH else figure


def _full(trial: Trial) -> TrialArm | None:
    return next((arm for arm in trial.arms if arm.kind == "full"), None)


def _lowered(arm: TrialArm) -> bool:
    return arm.reduction.value is not None and arm.reduction.value > 0


def _both(first: Message, second: Message) -> Message:
    return Message(id="{first} {second}", values={"first": first, "second": second})
