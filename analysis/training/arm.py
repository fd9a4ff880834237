"""One arm: a fine-tune from the original weights to its last step, and the model as it was before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analysis.contracts import Message
from analysis.contracts.freezing import TrainingShape
from analysis.contracts.profile import Series
from analysis.contracts.trial import ArmKind, CacheKind, StepCost, StopReason, TrialPoint

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
        cast_bytes: copies of the weights in the computation's number format that were saved for the backward pass, not in
            `cost.activation_bytes`.
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
    cast_bytes: int = 0
    frozen_identical: bool | None = None
    gradient_free: bool | None = None
    block_gradients: tuple[Series, ...] = ()
    stop: StopReason = "done"
    diverged: bool = False
    resumed: bool = False
    notes: tuple[Message, ...] = ()
