"""One arm of a trial from its learning rate to its verification: tuned on the tuning part, trained, judged, put into words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import torch

from analysis.contracts import ArmKind, Estimate, Message, TrainingShape, TrialArm, TrialPoint, TrialSettings, Value
from analysis.models.stack import LoadedModel, Stack
from analysis.planning.training_flops import step_flops
from analysis.profiling.stream import Watch
from analysis.training import shapes
from analysis.training.arm import ArmRun, ArmSpec, train_arm
from analysis.training.course import Course
from analysis.training.data import Parts
from analysis.training.evaluate import Chance, Judged, judge, loss, reduction, slice_reductions
from analysis.training.kept import Kept, judged_as_json, judged_from_json
from analysis.training.prepare import LEARNING_RATES, LORA_LEARNING_RATES, Prepared
from analysis.training.tuning import AllDiverged, Tuned, best_learning_rate
from analysis.verification.batches import default_batch_tokens
from analysis.workload import EncodedExample

FURTHER_RATES = 3
"""Learning rates tried past the end of the default ones, where nobody named others."""
FEWEST_SECONDS = 1.0
"""Less time than this is no time for an arm."""


@dataclass(frozen=True)
class Asked:
    """An arm to be trained."""

    kind: ArmKind
    eof_layer: int

    @property
    def name(self) -> str:
        """As in the trial."""
        return ArmSpec(self.kind, self.eof_layer, 1.0).name

    @property
    def is_lora(self) -> bool:
        """Whether adapters train."""
        return self.kind in ("lora", "lora_freeze")


@dataclass(frozen=True)
class Trained:
    """An arm and what it made of the prompts it is judged by."""

    arm: TrialArm
    verification: Judged
    tuning: Judged | None


@dataclass
class ArmRunner:
    """Trains arms of one trial, one after the other, each from the original weights."""

    loaded: LoadedModel
    stack: Stack
    ready: Prepared
    parts: Parts
    course: Course
    kept: Kept
    spent: float = 0.0
    notes: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings: TrialSettings = self.ready.settings
        self.n_blocks = self.stack.info.n_blocks
        self.chance = Chance(self.settings.replicates, self.settings.seed)
        self.batch_tokens = max(1, default_batch_tokens(self.loaded, self.stack) // 4)  # the optimiser's memory is taken meanwhile
        self.n_steps = self.settings.epochs * -(-len(self.parts.train) // self.settings.batch_size)
        self.tuning_original: Judged | None = None
        self.quiet = Watch(should_stop=self.course.watch.should_stop)
        self._left: dict[Asked, float] = {}
        self._n_arms = 0

    # -- what is to come -----------------------------------------------------------------------------------------------

    def expect(self, wanted: Sequence[Asked]) -> None:
        """Tells the bar, and the budget, which arms are to come."""
        self._left = {asked: self._weight(asked) for asked in wanted}
        self._n_arms = len(self._left)
        self.course.total += sum(self._left.values()) + self._judging(1)

    def rates(self, asked: Asked) -> tuple[float, ...]:
        """The learning rates to be tried; the first alone where nothing was kept back to choose by."""
        rates = tuple(sorted(set(self.settings.lora_learning_rates if asked.is_lora else self.settings.learning_rates)))
        return rates if self.parts.tuning or len(rates) == 1 else (rates[len(rates) // 2],)

    def _runs(self, asked: Asked) -> int:
        """Times it is trained: once with every rate, and once with the best."""
        n = len(self.rates(asked))
        return n + 1 if n > 1 else 1

    def _further(self, asked: Asked) -> int:
        """Rates that may be tried past the end of the list: only past the default one."""
        return FURTHER_RATES if self.rates(asked) in (LEARNING_RATES, LORA_LEARNING_RATES) else 0

    def _weight(self, asked: Asked) -> float:
        return self._runs(asked) * self.n_steps * shapes.step_weight(asked.eof_layer, self.n_blocks, lora=asked.is_lora) + self._judging(
            self.settings.points - 1
        )

    def _judging(self, times: int) -> float:
        """Of the verification half, in full training steps: a forward pass is a third of one."""
        return times * (len(self.ready.judged) + len(self.parts.tuning)) / self.settings.batch_size / 3

    # -- judging -------------------------------------------------------------------------------------------------------

    def judge_original(self) -> None:
        """The untouched model on both parts that judge."""
        with self.course.part(Message(id="Judging the original model"), self._judging(1)) as watch, self._number_format():
            self.original = judge(self.loaded, self.stack, self.ready.judged, self.batch_tokens, watch)
            if self.parts.tuning:
                self.tuning_original = judge(self.loaded, self.stack, self.parts.tuning, self.batch_tokens, watch)

    def _number_format(self) -> AbstractContextManager[object]:
        """The one in which arms are judged as well."""
        if self.loaded.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.loaded.device.type, dtype=self.loaded.dtype)

    # -- one arm -------------------------------------------------------------------------------------------------------

    def train(self, asked: Asked) -> Trained | None:
        """An arm with its best learning rate, judged; None: it was left out, and a note says why."""
        weight = self._left.pop(asked, self._weight(asked))
        number = self._n_arms - len(self._left)
        until = self.course.done + weight
        budget = self._budget(weight)
        try:
            if (found := self._read(asked)) is not None:
                return found
            if budget is not None and budget < FEWEST_SECONDS:
                self._note_unaffordable(asked)
                return None
            before = self.spent
            tuned = self._tuned(asked, number, budget)
            seconds = None if budget is None else max(FEWEST_SECONDS, budget - (self.spent - before))
            return self._final(asked, tuned, number, seconds)
        except AllDiverged as exc:
            self.notes.append(Message(id="The arm {arm} was left out: {reason}", values={"arm": asked.name, "reason": exc.message}))
            return None
        finally:
            self.course.done = until

    def _budget(self, weight: float) -> float | None:
        """Seconds of training for an arm of this weight: its share of what is left."""
        if self.settings.max_minutes is None:
            return None
        left = self.settings.max_minutes * 60 - self.spent
        return left * weight / (weight + sum(self._left.values()))

    def _tuned(self, asked: Asked, number: int, budget: float | None) -> Tuned:
        rates = self.rates(asked)
        seconds = None if budget is None else budget / (self._runs(asked) + self._further(asked))  # so that the last run has its share

        def loss_after(rate: float) -> float | None:
            name = f"{_folder(asked)}-try-{rate:g}"
            known = self.kept.read(name)
            if known is None:
                known = self._try(asked, rate, number, seconds)
                self.kept.write(name, known)
            else:
                self.spent += known["seconds"]
            loss: float | None = known["loss"]
            return loss

        tuned = best_learning_rate(rates, loss_after, further=self._further(asked))
        return tuned if self.parts.tuning else replace(tuned, notes=self._untuned(asked, tuned.rate))

    def _untuned(self, asked: Asked, rate: float) -> tuple[Message, ...]:
        given = sorted(set(self.settings.lora_learning_rates if asked.is_lora else self.settings.learning_rates))
        if len(given) == 1:
            return ()
        return (
            Message(
                id="No learning rate was tried, as no examples were kept back to choose by: of {given} the middle one ({rate}) was taken.",
                values={"given": tuple(f"{one:g}" for one in given), "rate": f"{rate:g}"},
            ),
        )

    def _try(self, asked: Asked, rate: float, number: int, seconds: float | None) -> dict[str, float | None]:
        """Trains with a rate and asks the tuning part."""
        found: list[Judged] = []

        def evaluate(point: TrialPoint) -> TrialPoint:
            if point.step > 0:
                found.append(judge(self.loaded, self.stack, self.parts.tuning, self.batch_tokens, self.quiet))
            return point

        settings = self.settings.model_copy(update={"points": 2})  # before the first step and after the last
        run = self._run(asked, rate, self._stage(asked, number, rate), evaluate, settings, seconds, f"try-{rate:g}")
        loss = None if run.diverged or not found or not math.isfinite(found[-1].loss) else found[-1].loss
        return {"loss": loss, "seconds": run.seconds}

    def _final(self, asked: Asked, tuned: Tuned, number: int, seconds: float | None) -> Trained:
        judging = _Judging(self, asked)
        run = self._run(asked, tuned.rate, self._stage(asked, number), judging, self.settings, seconds, "final")
        if run.diverged or judging.verification is None or not math.isfinite(judging.verification.loss):
            raise AllDiverged("Training diverged with the learning rate {rate}. Give a smaller one.", rate=f"{tuned.rate:g}")
        arm = self._contract(asked, tuned, run, judging.verification, judging.tuning)
        self.course.plot(arm.name, arm.points)  # all of them, also where it was taken up on the way
        trained = Trained(arm, judging.verification, judging.tuning)
        self._write(asked, trained, run.seconds)
        return trained

    def _read(self, asked: Asked) -> Trained | None:
        """The arm as an earlier run of this trial left it."""
        content = self.kept.read(_folder(asked))
        if content is None:
            return None
        self.spent += content["seconds"]
        verification = judged_from_json(content["verification"], self.original)
        assert verification is not None
        arm = TrialArm.model_validate(content["arm"])
        self.course.plot(arm.name, arm.points)
        return Trained(arm, verification, judged_from_json(content["tuning"], self.tuning_original))

    def _write(self, asked: Asked, found: Trained, seconds: float) -> None:
        sums = {"verification": judged_as_json(found.verification), "tuning": judged_as_json(found.tuning)}
        self.kept.write(_folder(asked), {"arm": found.arm.model_dump(mode="json"), "seconds": seconds, **sums})

    def _run(
        self,
        asked: Asked,
        rate: float,
        stage: Message,
        evaluate: Callable[[TrialPoint], TrialPoint],
        settings: TrialSettings,
        seconds: float | None,
        folder: str,
    ) -> ArmRun:
        weight = self.n_steps * shapes.step_weight(asked.eof_layer, self.n_blocks, lora=asked.is_lora)
        spec = ArmSpec(
            asked.kind,
            asked.eof_layer,
            rate,
            epochs=settings.epochs,
            seed=settings.seed,
            cache=settings.cache,
            cache_bytes=settings.cache_bytes,
            micro_batch=settings.micro_batch,
            max_seconds=seconds,
        )
        with self.course.part(stage, weight) as watch:
            run = train_arm(
                self.loaded,
                self.parts,
                spec,
                settings,
                evaluate=evaluate,
                flops=self._flops,
                watch=watch,
                folder=self.kept.place(_folder(asked), folder),
            )
        self.spent += run.seconds
        return run

    def _flops(self, eof_layer: int, shape: TrainingShape, cached: bool) -> float:
        return step_flops(self.loaded.info, eof_layer, shape, cached=cached, stack=self.stack.info.name)

    def _stage(self, asked: Asked, number: int, rate: float | None = None) -> Message:
        """What is going on, with the arm's name in it."""
        values: dict[str, Value] = {
            "first": asked.eof_layer + 1,
            "last": self.n_blocks - 1,
            "number": number,
            "total": self._n_arms,
            "rate": "" if rate is None else f"{rate:g}",
        }
        if asked.is_lora and rate is not None:
            return Message(
                id="Trying the learning rate {rate} on adapters in layers {first} to {last} (arm {number} of {total})", values=values
            )
        if asked.is_lora:
            return Message(id="Training adapters in layers {first} to {last} (arm {number} of {total})", values=values)
        if rate is not None:
            return Message(id="Trying the learning rate {rate} on layers {first} to {last} (arm {number} of {total})", values=values)
        return Message(id="Training layers {first} to {last} (arm {number} of {total})", values=values)

    def _note_unaffordable(self, asked: Asked) -> None:
        self.notes.append(
            Message(
                id="The arm {arm} was not trained: the budget of {minutes} minutes was spent before.",
                values={"arm": asked.name, "minutes": f"{self.settings.max_minutes or 0:g}"},
            )
        )

    # -- from a run to the contract ------------------------------------------------------------------------------------

    def _contract(self, asked: Asked, tuned: Tuned, run: ArmRun, verification: Judged, tuning: Judged | None) -> TrialArm:
        return TrialArm(
            name=asked.name,
            kind=asked.kind,
            eof_layer=asked.eof_layer,
            learning_rate=tuned.rate,
            tried=tuned.tried,
            n_trainable=run.n_trainable,
            n_frozen=run.n_frozen,
            points=run.points,
            cost=run.cost,
            loss_before=loss(self.original, self.chance),
            loss_after=loss(verification, self.chance),
            reduction=reduction(self.original, verification, self.chance),
            slices=slice_reductions(self.original, verification, self.chance),
            tuning_reduction=self._on_tuning(tuning),
            frozen_identical=run.frozen_identical,
            gradient_free=run.gradient_free,
            example_losses=verification.by_example(),
            block_gradients=run.block_gradients,
            stop=run.stop,
            notes=(*tuned.notes, *run.notes, *_short(run, self.n_steps)),
        )

    def _on_tuning(self, after: Judged | None) -> Estimate | None:
        return None if after is None or self.tuning_original is None else reduction(self.tuning_original, after, self.chance)


def _folder(asked: Asked) -> str:
    return asked.name.replace(" ", "-")


def _short(run: ArmRun, n_steps: int) -> tuple[Message, ...]:
    if run.stop != "budget":
        return ()
    return (
        Message(
            id="The budget ended this arm after {done} of {total} steps, so it is not compared at the same number of tokens.",
            values={"done": run.n_steps, "total": n_steps},
        ),
    )


@dataclass
class _Judging:
    """Takes the losses at every moment that the training stops for; the last is what the arm came to."""

    runner: ArmRunner
    asked: Asked
    verification: Judged | None = None
    tuning: Judged | None = None
    points: list[TrialPoint] = field(default_factory=list)

    def __call__(self, point: TrialPoint) -> TrialPoint:
        """The draft of a point with its losses."""
        runner = self.runner
        if point.step == 0:
            self.verification, self.tuning = runner.original, runner.tuning_original
        else:
            self.verification = self._judged(runner.ready.judged)
            self.tuning = self._judged(runner.parts.tuning) if runner.parts.tuning else None
        losses = {"tuning_loss": _finite(self.tuning), "verification_loss": _finite(self.verification)}
        self.points.append(point.model_copy(update=losses))
        runner.course.plot(self.asked.name, self.points)
        return self.points[-1]

    def _judged(self, examples: Sequence[EncodedExample]) -> Judged:
        runner = self.runner
        return judge(runner.loaded, runner.stack, examples, runner.batch_tokens, runner.quiet)


def _finite(judged: Judged | None) -> float | None:
    return None if judged is None or not math.isfinite(judged.loss) else judged.loss
