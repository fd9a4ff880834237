"""One training of a healing: from the original weights, with units left out, to the weights of its best look at the selection part."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from analysis.contracts import TrialPoint
from analysis.contracts.healing import HealArmName, HealObjective, HealSettings, HealStop
from analysis.contracts.search import UnitSet
from analysis.errors import Cancelled, ResourceError
from analysis.models.stack import LoadedModel, Stack
from analysis.profiling.stream import Watch, out_of_memory
from analysis.surgery.skip import left_out, ways_of
from analysis.training import callbacks, resuming
from analysis.training.callbacks import StepTrainer
from analysis.training.checks import Frozen, restored, unchanged
from analysis.training.data import Parts
from analysis.training.diary import Diary, Task
from analysis.training.evaluate import Judged, judge
from analysis.training.heal_data import HealParts, HealSet
from analysis.training.heal_loss import Blend, HealTrainee
from analysis.training.lora import adapters
from analysis.training.prefix import norms_behind
from analysis.training.teacher import Teacher
from analysis.verification.energy import energy_meter
from analysis.workload import EncodedExample, scored

_BEST = "best.safetensors"
_LEAST_GAIN = 1e-4
"""Nats per token by which a look has to be better than the best before it."""


@dataclass(frozen=True)
class HealSpec:
    """One training.

    Attributes:
        name: of its arm.
        objective: what is learnt.
        removed: what is left out; empty: a control.
        learning_rate: its peak; it rises over the warm-up and then falls evenly to 0.
        max_seconds: training time after which it ends; None: none.
    """

    name: HealArmName
    objective: HealObjective
    removed: UnitSet
    learning_rate: float
    max_seconds: float | None = None


@dataclass(frozen=True)
class HealRun:
    """What a training came to. The model itself is back to what it was.

    Attributes:
        points: its looks at the selection part, before the first step among them.
        best_step: of the best look; 0: the untouched weights.
        weights: name -> value of what trained, at that look; empty where no step was better than none.
        n_trainable: numbers that trained.
        n_steps: optimiser steps done.
        micro_batch: examples in one pass at the end.
        halvings: times that memory ran out.
        diverged: the loss was no number any more.
    """

    points: tuple[TrialPoint, ...]
    best_step: int
    weights: Mapping[str, Tensor]
    n_trainable: int
    n_steps: int
    seconds: float
    peak_bytes: int | None
    millijoules: float | None
    micro_batch: int
    halvings: int
    diverged: bool
    stop: HealStop

    @property
    def best_loss(self) -> float:
        """Nats per token of the selection part, at the best look; infinite where no look gave a number."""
        found = (float(point.tuning_loss) for point in self.points if point.step == self.best_step and point.tuning_loss is not None)
        return next(found, math.inf)


@dataclass(frozen=True)
class Ground:
    """What all trainings of a healing share.

    Attributes:
        loaded: the model.
        stack: that trains.
        settings: resolved.
        parts: what is learnt from and selected by.
        teacher: the uncut model's states; None: nobody asks for it.
        batch_tokens: padded tokens in a batch that is judged.
    """

    loaded: LoadedModel
    stack: Stack
    settings: HealSettings
    parts: HealParts
    teacher: Teacher | None
    batch_tokens: int

    def judged(self, examples: Sequence[EncodedExample], removed: UnitSet, watch: Watch) -> Judged:
        """The model as it is now, with units left out, on some examples."""
        with left_out(self.stack, removed):
            return judge(self.loaded, self.stack, examples, self.batch_tokens, watch, learned=scored)

    def trainee(self, removed: UnitSet, objective: HealObjective) -> HealTrainee:
        """The model as it trains."""
        return HealTrainee(self.loaded, self.stack, removed, Blend.of(objective, self.settings), self.teacher)

    @contextmanager
    def trainable(self, removed: UnitSet) -> Iterator[tuple[nn.Parameter, ...]]:
        """Inside, what trains has a gradient flag and float32, and nothing else has; afterwards the model is bit for bit what it was.

        `full` trains every layer that is left and the final norm; embeddings and output head stay frozen, so that a tied head stays tied
        and the uncut model's states keep their meaning. `lora` trains adapters on every matrix of the layers that are left.
        """
        with unchanged(self.loaded), ExitStack() as cleanup:
            for parameter in self.loaded.model.parameters():
                parameter.requires_grad_(False)
            if self.settings.method == "lora":
                options = {"rank": self.settings.lora_rank, "alpha": self.settings.lora_alpha, "seed": self.settings.seed}
                wanted: Sequence[nn.Parameter] = cleanup.enter_context(adapters(self.loaded, self.stack, -1, **options))
            else:
                modules = (*self.stack.blocks, *norms_behind(self.stack))
                wanted = tuple({id(p): p for module in modules for p in module.parameters()}.values())
            idle = {id(p) for way in ways_of(self.stack, removed) for module, _ in way for p in module.parameters()}
            trained = tuple(parameter for parameter in wanted if id(parameter) not in idle)
            if self.settings.method == "full":
                cleanup.enter_context(restored(trained))
            for parameter in wanted:
                parameter.requires_grad_(id(parameter) not in idle)
            yield trained


def heal_once(ground: Ground, spec: HealSpec, watch: Watch, folder: Path | None, hear: Callable[[list[TrialPoint]], None]) -> HealRun:
    """Trains once from the model's own weights, and leaves the model bit for bit as it was, whatever happens.

    Args:
        ground: the model, what it learns from, and how.
        spec: which training.
        watch: told how far it is, and asked whether to stop.
        folder: where a stopped training waits to be taken up by the same call; None: it is not kept.
        hear: told the looks so far after every look.

    Raises:
        ResourceError: memory or disk is too small.
        Cancelled: `watch` said so; with a folder, the same call goes on from there.
    """
    device = ground.loaded.device
    stood = callbacks.generators(device)
    try:
        with ExitStack() as cleanup:
            place = Path(cleanup.enter_context(TemporaryDirectory())) if folder is None else folder
            return _Healing(ground, spec, watch, place, folder is not None, hear).run()
    except (MemoryError, RuntimeError) as exc:
        if not out_of_memory(exc):
            raise
        raise ResourceError(
            "Memory ran out while healing. Train adapters (--method lora), in smaller passes (--micro-batch 1), allow fewer tokens per "
            "prompt (--max-tokens), or use a device with more memory."
        ) from exc
    finally:
        callbacks.set_generators(stood, device)


@dataclass
class _Healing:
    """A training on its way."""

    ground: Ground
    spec: HealSpec
    watch: Watch
    folder: Path
    keep: bool
    hear: Callable[[list[TrialPoint]], None]
    best: dict[str, Tensor] = field(default_factory=dict)
    looks: list[TrialPoint] = field(default_factory=list)

    def run(self) -> HealRun:
        """From the first look to the best weights."""
        settings, ground = self.ground.settings, self.ground
        self.data = HealSet(ground.parts.train, self.spec.objective, ground.loaded.device.type)
        self.steps = self.data.steps(settings.batch_size, settings.max_tokens, settings.steps, settings.seed)
        diary, checkpoint = self._taken_up()
        with ground.trainable(self.spec.removed) as trained:
            self.trainee = ground.trainee(self.spec.removed, self.spec.objective)
            n_trainable = sum(parameter.numel() for parameter in trained)
            self._train(self._task(), diary, checkpoint)
        if self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        return HealRun(
            points=tuple(diary.points),
            best_step=best_of(diary.points),
            weights=self.best,
            n_trainable=n_trainable,
            n_steps=len(diary.step_ms),
            seconds=diary.seconds,
            peak_bytes=diary.peak_bytes,
            millijoules=diary.millijoules,
            micro_batch=diary.micro_batch,
            halvings=diary.halvings,
            diverged=diary.diverged,
            stop=diary.stop,
        )

    def _task(self) -> Task:
        n = len(self.steps)
        return Task(
            name=self.spec.name,
            data=self.data,
            steps=self.steps,
            moments=tuple(sorted({*range(0, n, self.ground.settings.evaluate_every), n})),
            evaluate=self._look,
            flops=lambda *_: 0.0,
            frozen=Frozen((), (), ()),
            norms_of=(),
            max_seconds=self.spec.max_seconds,
            meter=energy_meter(self.ground.loaded.device),
            watch=self.watch,
            enough=self._enough,
        )

    def _look(self, point: TrialPoint) -> TrialPoint:
        """The selection part's loss; the weights are kept where it is the best so far."""
        quiet = Watch(should_stop=self.watch.should_stop)
        loss = self.ground.judged(self.ground.parts.selection, self.spec.removed, quiet).loss
        found = point.model_copy(update={"tuning_loss": loss if math.isfinite(loss) else None})
        self.looks.append(found)
        if found.step > 0 and best_of(self.looks) == found.step:
            self.best = {name: value.to("cpu", copy=True) for name, value in self.trainee.state_dict().items()}
        self.hear(self.looks)
        return found

    def _enough(self, points: Sequence[TrialPoint]) -> bool:
        """Whether so many looks brought no gain."""
        best = best_of(points)
        return sum(point.step > best for point in points) >= self.ground.settings.patience

    def _train(self, task: Task, diary: Diary, checkpoint: Path | None) -> None:
        settings, loaded = self.ground.settings, self.ground.loaded
        arguments = callbacks.arguments(
            self.folder,
            steps=len(self.steps),
            learning_rate=self.spec.learning_rate,
            warmup_share=settings.warmup_share,
            weight_decay=settings.weight_decay,
            seed=settings.seed,
            device=loaded.device,
            half=loaded.dtype == torch.float16,
        )
        trainer = StepTrainer(self.trainee, task, diary, arguments, loaded.device)
        try:
            with callbacks.interruptible(self.ground.stack, trainer.check):
                trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        except Cancelled as exc:
            raise self._stopped(trainer, exc) from exc
        finally:
            trainer.recorder.finish()
            trainer.forget()

    def _stopped(self, trainer: StepTrainer, exc: Cancelled) -> Cancelled:
        """Keeps what was trained so far, at the last whole step, and the best weights beside it."""
        if not self.keep:
            return exc
        try:
            save_file(self.best or {"none": torch.zeros(1)}, self.folder / _BEST)
        except OSError:  # no room: what was trained cannot be kept, which is what is said
            return exc
        if not resuming.save(trainer, self.folder, self._key()):
            return exc
        return Cancelled("Stopped at your request. What was trained so far is kept: the same training goes on from there.")

    def _taken_up(self) -> tuple[Diary, Path | None]:
        """Where this same training was stopped; else a new diary."""
        found = resuming.find(self.folder, self._key())
        if found is not None and (best_of(found[0].points) == 0 or (self.folder / _BEST).is_file()):
            self.looks = list(found[0].points)
            self.best = load_file(self.folder / _BEST) if best_of(self.looks) else {}
            self.hear(self.looks)
            return found
        if self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
        largest = max(len(step) for step in self.steps)
        return Diary(micro_batch=min(self.ground.settings.micro_batch or largest, largest)), None

    def _key(self) -> str:
        """The same for the same training on the same model and examples."""
        given = self.ground.settings.model_dump(mode="json", exclude={"learning_rates", "max_minutes", "control", "compare", "replicates"})
        asked = {"objective": self.spec.objective, "removed": self.spec.removed, "learning_rate": self.spec.learning_rate}
        parts = Parts(self.ground.parts.train, self.ground.parts.selection)
        return resuming.key(self.ground.loaded, self.ground.stack, parts, {"spec": asked, "settings": given})


def best_of(points: Sequence[TrialPoint]) -> int:
    """The step of the best look; an earlier one unless a later is better by more than rounding.

    >>> best_of([])
    0
    """
    best, least = 0, math.inf
    for point in points:
        if point.tuning_loss is not None and point.tuning_loss < least - _LEAST_GAIN:
            best, least = point.step, point.tuning_loss
    return best
