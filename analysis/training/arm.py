"""One arm: a fine-tune from the original weights to its last step, and the model as it was before."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from analysis.contracts import Message, TrialSettings
from analysis.contracts.freezing import TrainingShape
from analysis.contracts.profile import Series
from analysis.contracts.trial import ArmKind, CacheKind, StepCost, StopReason, TrialPoint
from analysis.errors import Cancelled, ResourceError, WorkloadError
from analysis.models.stack import LoadedModel, Stack
from analysis.profiling.stream import Watch, out_of_memory
from analysis.training import callbacks, resuming
from analysis.training.accounts import step_cost
from analysis.training.activations import Saved, saved_bytes
from analysis.training.callbacks import StepTrainer
from analysis.training.checks import Frozen, check_trainable, diverged_note, restored, smaller_note, unchanged
from analysis.training.data import Parts, TrainingSet, schedule, steps_in_epoch
from analysis.training.diary import Diary, Task
from analysis.training.lora import adapters, has_experts
from analysis.training.prefix import Prefix, norms_behind
from analysis.training.prefix_cache import PrefixCache, open_cache
from analysis.training.trainee import Trainee
from analysis.verification.energy import energy_meter

Evaluate = Callable[[TrialPoint], TrialPoint]
"""Given a draft (step, tokens, seconds, flops, train_loss) while the arm's weights are in the model, returns it with the losses that were
taken. It is called in evaluation mode, without gradients, under the arm's number format; its time is not training time."""

Flops = Callable[[int, TrainingShape, bool], float]
"""(eof_layer, shape of one pass, whether the prefix came from the cache) -> floating-point operations of that training pass."""


@dataclass(frozen=True)
class ArmSpec:
    """One way of training.

    `full` trains every block and the final norm; embeddings and output head stay frozen there too, so that arms compare like with like
    and a tied head stays tied. `freeze` trains blocks eof_layer+1.. the same way. `lora` and `lora_freeze` train adapters only.

    Attributes:
        kind: which of the four.
        eof_layer: the last frozen block, counted from 0; -1 for `full` and `lora`.
        learning_rate: its peak; it rises over `settings.warmup_share` of the steps and then falls evenly to 0.
        epochs: times that every training example is seen, unless `n_steps` says otherwise.
        n_steps: optimiser steps, over as many epochs as that takes; None: `epochs`.
        seed: of the order of examples, dropout and new adapters.
        cache: where the frozen prefix's output is kept from the first epoch on; arms without a frozen prefix have none.
        cache_bytes: most that it may take; None: half of what is free.
        micro_batch: examples in one pass; None: `settings.micro_batch`, else the whole batch. Halved by the arm when memory runs out.
        max_seconds: training time after which the arm stops, evaluations not counted; None: none.
    """

    kind: ArmKind
    eof_layer: int
    learning_rate: float
    epochs: int = 3
    n_steps: int | None = None
    seed: int = 0
    cache: CacheKind = "auto"
    cache_bytes: int | None = None
    micro_batch: int | None = None
    max_seconds: float | None = None

    @property
    def name(self) -> str:
        """Its name in a trial.

        >>> ArmSpec("freeze", 19, 3e-5).name
        'freeze 19'
        """
        return self.kind if self.eof_layer < 0 else f"{self.kind} {self.eof_layer}"

    @property
    def is_lora(self) -> bool:
        """Whether adapters train instead of the weights."""
        return self.kind in ("lora", "lora_freeze")


@dataclass(frozen=True)
class ArmRun:
    """What an arm did and cost. The model itself is back to what it was.

    Attributes:
        spec: what was asked for.
        points: the evaluations, at `settings.points` moments evenly spaced over the steps, before the first and after the last among them.
        cost: step times, memory and energy of the training steps alone.
        n_trainable: numbers that trained.
        n_frozen: numbers of the model that did not.
        n_steps: optimiser steps done.
        tokens: trained on, prompts included, padding not.
        seconds: of training; evaluations not.
        micro_batch: examples in one pass at the end; less than asked for where memory ran out.
        frozen_identical: every tensor that does not train is bit for bit what it was; None: `full`, where only embeddings and head stay.
        gradient_free: no such tensor ever had a gradient, and what entered the first trained block had no graph; None: as above.
        block_gradients: [intervals][L] the gradients' l1 norms, summed over the steps of each sixth of the run; `full` only.
        stop: `done`, or `budget` when `max_seconds` was over.
        diverged: the loss was no number any more; the arm stopped there and has no last point.
        resumed: it went on from a checkpoint.
        notes: what a reader must know, such as why there was no cache.
    """

    spec: ArmSpec
    points: tuple[TrialPoint, ...]
    cost: StepCost
    n_trainable: int
    n_frozen: int
    n_steps: int
    tokens: int
    seconds: float
    micro_batch: int
    frozen_identical: bool | None = None
    gradient_free: bool | None = None
    block_gradients: tuple[Series, ...] = ()
    stop: StopReason = "done"
    diverged: bool = False
    resumed: bool = False
    notes: tuple[Message, ...] = ()


def train_arm(
    loaded: LoadedModel,
    parts: Parts,
    spec: ArmSpec,
    settings: TrialSettings,
    *,
    evaluate: Evaluate | None = None,
    flops: Flops | None = None,
    watch: Watch | None = None,
    folder: Path | None = None,
) -> ArmRun:
    """Trains one arm from the model's own weights, and leaves the model bit for bit as it was, whatever happens.

    Args:
        loaded: the model.
        parts: what it learns from.
        spec: which way of training.
        settings: stack, batch size, warm-up, weight decay, adapters' rank, whether the final norm trains, how often it is judged.
        evaluate: judges the arm at its moments; None: points have no losses but that of training.
        flops: of a pass, worked out from shapes; None: points say 0.
        watch: told how far it is, and asked whether to stop.
        folder: where a stopped arm waits to be taken up by the same call; None: it is not kept.

    Raises:
        PlanError: nothing would train.
        ModelError: this model cannot be trained.
        WorkloadError: there is nothing to learn from.
        ResourceError: memory or disk is too small.
        Cancelled: `watch` said so; with a folder, the same call goes on from there.
    """
    stack = loaded.stack(settings.stack)
    check_trainable(loaded, stack, spec.eof_layer)
    if not parts.train:
        raise WorkloadError("There are no examples to train on. Give a workload with responses.")
    stood = callbacks.generators(loaded.device)
    try:
        with ExitStack() as cleanup:
            place = Path(cleanup.enter_context(TemporaryDirectory())) if folder is None else folder
            arm = _Arm(loaded, stack, parts, spec, settings, watch or Watch(), place, keep=folder is not None)
            return arm.run(evaluate, flops)
    except (MemoryError, RuntimeError) as exc:
        if not out_of_memory(exc):
            raise
        raise ResourceError(
            "Memory ran out while training {arm}. Freeze more layers, train adapters, or use a device with more memory.",
            arm=spec.name,
        ) from exc
    finally:
        callbacks.set_generators(stood, loaded.device)


@dataclass
class _Arm:
    """An arm on its way."""

    loaded: LoadedModel
    stack: Stack
    parts: Parts
    spec: ArmSpec
    settings: TrialSettings
    watch: Watch
    folder: Path
    keep: bool
    notes: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.data = TrainingSet(self.parts.train)
        self.epoch = steps_in_epoch(len(self.data), self.settings.batch_size)
        self.steps = schedule(len(self.data), self.settings.batch_size, self.spec.seed, epochs=self.spec.epochs, n_steps=self.spec.n_steps)
        largest = max(len(step) for step in self.steps)
        self.micro_batch = min(self.spec.micro_batch or self.settings.micro_batch or largest, largest)

    def run(self, evaluate: Evaluate | None, flops: Flops | None) -> ArmRun:
        diary, checkpoint = self._taken_up()
        with ExitStack() as cleanup:
            cleanup.enter_context(unchanged(self.loaded))
            prefix = Prefix(self.stack, self.spec.eof_layer)
            originals = list(self.loaded.model.parameters())
            trained = cleanup.enter_context(self._trained())
            taken = {id(parameter) for parameter in trained}
            frozen = Frozen.of([parameter for parameter in originals if id(parameter) not in taken], self._buffers())
            trainee = Trainee(self.loaded, self.stack, prefix)
            cleanup.enter_context(prefix.watched())
            trainee.cache = cleanup.enter_context(self._cache(trainee, prefix))
            saved = self._saved(trainee)
            task = self._task(evaluate, flops, frozen)
            self._train(trainee, task, diary, checkpoint)
            run = self._told(trainee, diary, saved, frozen, trained, resumed=checkpoint is not None)
        if self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        return run

    # -- before --------------------------------------------------------------------------------------------------------

    @contextmanager
    def _trained(self) -> Iterator[tuple[nn.Parameter, ...]]:
        """What trains, alone with a gradient flag, in float32."""
        for parameter in self.loaded.model.parameters():
            parameter.requires_grad_(False)
        if self.spec.is_lora:
            if has_experts(self.stack):
                self.notes.append(Message(id="The layers of this model have experts: adapters were put on their attention only."))
            options = {"rank": self.settings.lora_rank, "alpha": self.settings.lora_alpha, "seed": self.spec.seed}
            with adapters(self.loaded, self.stack, self.spec.eof_layer, **options) as new:
                yield new
            return
        norms = norms_behind(self.stack) if self.settings.train_norm else ()
        modules = (*self.stack.blocks[self.spec.eof_layer + 1 :], *norms)
        trained = tuple({id(p): p for module in modules for p in module.parameters()}.values())
        with restored(trained):
            for parameter in trained:
                parameter.requires_grad_(True)
            yield trained

    def _buffers(self) -> list[torch.Tensor]:
        """Those that belong to the checkpoint; others may follow the length of a text."""
        stored = self.loaded.model.state_dict().keys()
        return [buffer for name, buffer in self.loaded.model.named_buffers() if name in stored]

    @contextmanager
    def _cache(self, trainee: Trainee, prefix: Prefix) -> Iterator[PrefixCache | None]:
        """Opened where it can help: a prefix that can be left out, and a second epoch."""
        if prefix.refusal is not None and self.spec.cache != "off":
            self.notes.append(
                Message(
                    id="The output of the frozen layers was not kept, because this model cannot be run without its first layers: {reason}",
                    values={"reason": prefix.refusal},
                )
            )
        if not prefix.can_be_recalled or len(self.steps) <= self.epoch or self.spec.cache == "off":
            yield None
            return
        with trainee.judging():
            trainee.final_states(torch.from_numpy(self.data.batch([0]).ids[:, :4]).to(self.loaded.device), None)
        state = prefix.entered
        assert state is not None
        opened = open_cache(
            self.spec.cache,
            self.spec.cache_bytes,
            self.folder,
            lengths=self.data.lengths,
            width=state.shape[-1],
            dtype=state.dtype,
            device=state.device,
        )
        if opened.note is not None:
            self.notes.append(opened.note)
        try:
            yield opened.cache
        finally:
            if opened.cache is not None:
                opened.cache.close()

    def _saved(self, trainee: Trainee) -> Saved | None:
        batch, weights = self.data.micro_batches(self.data.largest(self.steps[: self.epoch], self.micro_batch), self.micro_batch)[0]
        return saved_bytes(trainee, callbacks.inputs_of(batch, weights, self.loaded.device), self.loaded.device)

    def _task(self, evaluate: Evaluate | None, flops: Flops | None, frozen: Frozen) -> Task:
        moments = np.unique(np.linspace(0, len(self.steps), max(self.settings.points, 2)).round().astype(int))
        return Task(
            name=self.spec.name,
            data=self.data,
            steps=self.steps,
            moments=tuple(map(int, moments)),
            evaluate=evaluate,
            flops=self._flops(flops),
            frozen=frozen,
            norms_of=tuple(tuple(block.parameters()) for block in self.stack.blocks) if self.spec.kind == "full" else (),
            max_seconds=self.spec.max_seconds,
            meter=energy_meter(self.loaded.device),
            watch=self.watch,
        )

    def _flops(self, flops: Flops | None) -> Callable[[int, int, int, bool], float]:
        """Of a pass by its shape; each shape is worked out once."""

        @cache
        def of(examples: int, tokens: int, judged: int, recalled: bool) -> float:
            if flops is None:
                return 0.0
            shape = TrainingShape(
                method="lora" if self.spec.is_lora else "full",
                batch_size=examples,
                sequence_tokens=tokens,
                response_tokens=max(1, round(judged / examples)),
                lora_rank=self.settings.lora_rank,
            )
            return flops(self.spec.eof_layer, shape, recalled)

        return of

    # -- training ------------------------------------------------------------------------------------------------------

    def _train(self, trainee: Trainee, task: Task, diary: Diary, checkpoint: Path | None) -> None:
        arguments = callbacks.arguments(
            self.folder,
            steps=len(self.steps),
            learning_rate=self.spec.learning_rate,
            warmup_share=self.settings.warmup_share,
            weight_decay=self.settings.weight_decay,
            seed=self.spec.seed,
            device=self.loaded.device,
            half=self.loaded.dtype == torch.float16,
        )
        trainer = StepTrainer(trainee, task, diary, arguments, self.loaded.device)
        try:
            with callbacks.interruptible(self.stack, trainer.check):
                trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        except Cancelled as exc:
            raise self._stopped(trainer, exc) from exc
        finally:
            trainer.recorder.finish()
            trainer.forget()

    def _stopped(self, trainer: StepTrainer, exc: Cancelled) -> Cancelled:
        """Keeps what was trained so far, at the last whole step."""
        if self.keep and resuming.save(trainer, self.folder, self.key()):
            return Cancelled("Stopped at your request. What was trained so far is kept: the same training goes on from there.")
        return exc

    def _taken_up(self) -> tuple[Diary, Path | None]:
        """Where this same arm was stopped; else a new diary. Only what this program wrote for this very arm is read."""
        found = resuming.find(self.folder, self.key())
        if found is not None:
            return found
        if self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
        return Diary(micro_batch=self.micro_batch), None

    def key(self) -> str:
        """The same for the same arm on the same model and examples."""
        names = ("batch_size", "warmup_share", "weight_decay", "lora_rank", "lora_alpha", "train_norm", "points")
        asked = {name: value for name, value in asdict(self.spec).items() if name not in ("max_seconds", "cache_bytes")}
        given = {name: getattr(self.settings, name) for name in names}
        return resuming.key(self.loaded, self.stack, self.parts, {"spec": asked, "settings": given})

    # -- afterwards ----------------------------------------------------------------------------------------------------

    def _told(
        self, trainee: Trainee, diary: Diary, saved: Saved | None, frozen: Frozen, trained: tuple[nn.Parameter, ...], *, resumed: bool
    ) -> ArmRun:
        full = self.spec.kind == "full"
        if diary.halvings:
            self.notes.append(smaller_note(self.spec.name, diary.micro_batch))
        if diary.diverged:
            self.notes.append(diverged_note(self.spec.name, len(diary.step_ms)))
        return ArmRun(
            spec=self.spec,
            points=tuple(diary.points),
            cost=step_cost(trainee, diary, saved, self.epoch),
            n_trainable=sum(parameter.numel() for parameter in trained),
            n_frozen=sum(parameter.numel() for parameter in frozen.parameters),
            n_steps=len(diary.step_ms),
            tokens=diary.tokens,
            seconds=diary.seconds,
            micro_batch=diary.micro_batch,
            frozen_identical=None if full else frozen.identical(),
            gradient_free=None if full else diary.gradient_free and not trainee.prefix.had_graph,
            block_gradients=tuple(tuple(interval) for interval in diary.block_gradients),
            stop=diary.stop,
            diverged=diary.diverged,
            resumed=resumed,
            notes=tuple(self.notes),
        )
