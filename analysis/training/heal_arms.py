"""One arm of a healing: learning rates tried, the best one's best weights judged on the verification half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from analysis.contracts import Message, TrialPoint, Value
from analysis.contracts.healing import HealArm, HealArmName, HealObjective, HealPoint, HealSettings
from analysis.contracts.search import UnitSet
from analysis.errors import InputError, ResourceError
from analysis.profiling.stream import Watch
from analysis.training.checks import diverged_note, smaller_note
from analysis.training.course import Course
from analysis.training.evaluate import Chance, Judged, loss
from analysis.training.heal_arm import Ground, HealRun, HealSpec, heal_once
from analysis.training.kept import Kept, judged_as_json, judged_from_json
from analysis.training.tuning import AllDiverged, Tuned, best_learning_rate
from analysis.verification.energy import MILLIJOULES_PER_MWH

LEARNING_RATES = (1e-4, 3e-4)
LORA_LEARNING_RATES = (3e-4, 1e-3)
FURTHER_RATES = 1
"""Learning rates tried past the end of the default ones, where nobody named others: three trainings of an arm are affordable."""
FEWEST_SECONDS = 1.0


@dataclass(frozen=True)
class Arm:
    """An arm to be trained."""

    name: HealArmName
    objective: HealObjective
    removed: UnitSet
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Healed:
    """An arm, what it made of the verification half, and the weights that did."""

    arm: HealArm
    judged: Judged
    run: HealRun


@dataclass
class HealRunner:
    """Trains the arms of one healing, one after the other, each from the original weights."""

    ground: Ground
    course: Course
    kept: Kept
    arms: tuple[Arm, ...]
    spent: float = 0.0
    notes: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings: HealSettings = self.ground.settings
        self.chance = Chance(self.settings.replicates, self.settings.seed)
        self.quiet = Watch(should_stop=self.course.watch.should_stop)
        self._left = len(self.arms)

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates to be tried first."""
        default = LORA_LEARNING_RATES if self.settings.method == "lora" else LEARNING_RATES
        return tuple(sorted(set(self.settings.learning_rates))) or default

    @property
    def runs(self) -> int:
        """Most times that an arm is trained."""
        return len(self.rates) + (0 if self.settings.learning_rates else FURTHER_RATES)

    def train(self, arm: Arm, before: Judged) -> Healed | None:
        """An arm with its best learning rate, judged; None: it was left out, and a note says why.

        Args:
            arm: which.
            before: what the model made of the verification half before this training.

        Raises:
            AllDiverged: the healed arm itself diverged with every rate.
        """
        until = self.course.done + self.runs * self.settings.steps
        budget = self._budget()
        self._left -= 1
        try:
            if budget is not None and budget < FEWEST_SECONDS:
                self._note_unaffordable(arm)
                return None
            return self._judged(arm, before, *self._best(arm, budget))
        except AllDiverged as exc:
            if arm.name == "healed":
                raise
            self.notes.append(Message(id="The arm {arm} was left out: {reason}", values={"arm": arm.name, "reason": exc.message}))
            return None
        finally:
            self.course.done = until

    def _budget(self) -> float | None:
        """Seconds of training for the next arm: an even share of what is left."""
        if self.settings.max_minutes is None:
            return None
        return (self.settings.max_minutes * 60 - self.spent) / self._left

    # -- learning rates ------------------------------------------------------------------------------------------------

    def _best(self, arm: Arm, budget: float | None) -> tuple[Tuned, HealRun, float]:
        """The rate, its training, and the seconds of all trainings."""
        found: dict[float, HealRun] = {}
        before = self.spent

        def loss_after(rate: float) -> float | None:
            seconds = None if budget is None else (budget - (self.spent - before)) / max(self.runs - len(found), 1)
            if found and seconds is not None and seconds < FEWEST_SECONDS:
                return None
            run = self._once(arm, rate, seconds)
            found[rate] = run
            best = min(found, key=lambda one: (found[one].best_loss, one))
            for other in found.keys() - {best}:
                found[other] = replace(found[other], weights={})  # one set of weights is enough to hold
            return None if run.diverged and run.best_step == 0 else run.best_loss

        tuned = best_learning_rate(self.rates, loss_after, further=0 if self.settings.learning_rates else FURTHER_RATES)
        if not found:  # a single rate is taken as it is
            value = loss_after(tuned.rate)
            tuned = replace(tuned, tried={str(tuned.rate): value})
            if value is None:
                raise AllDiverged(
                    "Training diverged with every learning rate that was tried ({rates}). Give smaller ones.", rates=(f"{tuned.rate:g}",)
                )
        return self._without_untried(arm, tuned, found), found[tuned.rate], self.spent - before

    def _without_untried(self, arm: Arm, tuned: Tuned, found: Mapping[float, HealRun]) -> Tuned:
        """A rate for which no time was left says nothing, and did not diverge."""
        untried = [rate for rate in tuned.tried if float(rate) not in found]
        if not untried:
            return tuned
        values: dict[str, Value] = {"arm": arm.name, "rates": tuple(f"{float(rate):g}" for rate in untried)}
        note = Message(id="{arm}: learning rates for which no time was left: {rates}.", values=values)
        return replace(tuned, tried={rate: loss for rate, loss in tuned.tried.items() if rate not in untried}, notes=(*tuned.notes, note))

    def _once(self, arm: Arm, rate: float, seconds: float | None) -> HealRun:
        name = f"{arm.name}-{rate:g}"
        run = self._read(name)
        if run is None:
            stage = Message(id="Healing: {arm}, learning rate {rate}", values={"arm": arm.name, "rate": f"{rate:g}"})
            spec = HealSpec(arm.name, arm.objective, arm.removed, rate, seconds)

            def hear(points: list[TrialPoint]) -> None:
                self.course.plot(arm.name, points)

            with self.course.part(stage, self.settings.steps) as watch:
                run = heal_once(self.ground, spec, watch, self.kept.place(name), hear)
            self._write(name, run)
        self.course.plot(arm.name, run.points)
        self.spent += run.seconds
        return run

    def _write(self, name: str, run: HealRun) -> None:
        """Keeps a finished training: its weights first, so that whoever finds its figures finds them too."""
        if self.kept.folder is None:
            return
        self.kept.folder.mkdir(parents=True, exist_ok=True)
        try:
            save_file(dict(run.weights) or {"none": torch.zeros(1)}, self._weights(name))
        except OSError as exc:
            raise ResourceError(
                "The weights of a finished training could not be kept in {folder} ({reason}). Free some space on that disk.",
                folder=str(self.kept.folder),
                reason=exc.strerror or str(exc),
            ) from exc
        plain = {key: value for key, value in vars(run).items() if key not in ("points", "weights")}
        self.kept.write(name, {**plain, "points": [point.model_dump(mode="json") for point in run.points]})

    def _read(self, name: str) -> HealRun | None:
        known: dict[str, Any] | None = self.kept.read(name)
        if known is None or not self._weights(name).is_file():
            return None
        points = tuple(TrialPoint.model_validate(point) for point in known.pop("points"))
        return HealRun(points=points, weights=load_file(self._weights(name)) if known["best_step"] else {}, **known)

    def _weights(self, name: str) -> Path:
        assert self.kept.folder is not None
        return self.kept.folder / f"{name}.safetensors"

    # -- judging -------------------------------------------------------------------------------------------------------

    def _judged(self, arm: Arm, before: Judged, tuned: Tuned, run: HealRun, all_seconds: float) -> Healed:
        judged = before if run.best_step == 0 else self._verification(arm, run, before)
        teacher = self.ground.teacher if self.ground.trainee(arm.removed, arm.objective).blend.needs_teacher else None
        taught = None if teacher is None else teacher.seconds
        made = HealArm(
            name=arm.name,
            objective=arm.objective,
            method=self.settings.method,
            removed=arm.removed,
            learning_rate=tuned.rate,
            tried=tuned.tried,
            n_trainable=run.n_trainable,
            points=tuple(_point(point) for point in run.points),
            best_step=run.best_step,
            loss_before=loss(before, self.chance),
            loss_after=loss(judged, self.chance),
            seconds=run.seconds + (taught or 0.0),
            all_seconds=all_seconds + (taught or 0.0),
            teacher_seconds=taught,
            peak_memory_bytes=run.peak_bytes,
            energy_wh=None if not run.millijoules else run.millijoules / MILLIJOULES_PER_MWH / 1e3,
            stop=run.stop,
            notes=(*arm.notes, *tuned.notes, *_remarks(arm, run, self.settings)),
        )
        return Healed(made, judged, run)

    def _verification(self, arm: Arm, run: HealRun, before: Judged) -> Judged:
        name = f"{arm.name}-judged"
        known = self.kept.read(name)
        if known is not None and known["rate_step"] == [run.best_step, run.best_loss]:
            found = judged_from_json(known["sums"], before)
            assert found is not None
            return found
        ground = self.ground
        with self.course.part(Message(id="Judging the healed model"), 0.0) as watch, ground.trainable(arm.removed):
            trainee = ground.trainee(arm.removed, arm.objective)
            trainee.load_state_dict(run.weights)
            with trainee.judging():
                judged = ground.judged(before.examples, arm.removed, watch)
        self.kept.write(name, {"rate_step": [run.best_step, run.best_loss], "sums": judged_as_json(judged)})
        return judged

    def untrained(self, removed: UnitSet, watch: Watch) -> Judged:
        """The untouched weights on the verification half, with units left out, in the number format in which arms are judged."""
        ground = self.ground
        wide = ground.loaded.dtype == torch.float32
        with nullcontext() if wide else torch.autocast(ground.loaded.device.type, dtype=ground.loaded.dtype):
            return ground.judged(ground.parts.report, removed, watch)

    def _note_unaffordable(self, arm: Arm) -> None:
        minutes = f"{self.settings.max_minutes or 0:g}"
        self.notes.append(
            Message(
                id="The arm {arm} was not trained: the budget of {minutes} minutes was spent before.",
                values={"arm": arm.name, "minutes": minutes},
            )
        )


def check_rates(rates: Sequence[float]) -> None:
    """Refuses learning rates that cannot be meant."""
    wrong = [rate for rate in rates if rate > 1]
    if wrong:
        raise InputError(
            "Learning rates that cannot be meant: {wrong}. Give numbers above 0 and at most 1, such as 3e-5.",
            wrong=tuple(f"{rate:g}" for rate in wrong),
        )


def _point(point: TrialPoint) -> HealPoint:
    return HealPoint(
        step=point.step, tokens=point.tokens, seconds=point.seconds, train_loss=point.train_loss, selection_loss=point.tuning_loss
    )


def _remarks(arm: Arm, run: HealRun, settings: HealSettings) -> list[Message]:
    notes = []
    if run.halvings:
        notes.append(smaller_note(arm.name, run.micro_batch))
    if run.diverged:
        notes.append(diverged_note(arm.name, run.n_steps))
    if run.best_step == 0:
        notes.append(Message(id="{arm}: no training step was better than none on the selection part.", values={"arm": arm.name}))
    if run.stop == "budget":
        notes.append(
            Message(
                id="{arm}: the budget ended the training after {done} of {total} steps.",
                values={"arm": arm.name, "done": run.n_steps, "total": settings.steps},
            )
        )
    return notes
