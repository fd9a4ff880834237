"""A real fine-tune on the user's examples: what freezing cost and gained, beside full fine-tuning and LoRA. Measured.

Arms are trained on the calibration half; learning rates and stops are chosen on a part of it that the arm does not train on (the
*tuning part*); nothing is ever chosen by, or learnt from, the verification half, on which every arm is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from analysis.contracts.base import Contract
from analysis.contracts.freezing import EofChoice, EofLayer, EofStrategy, StepModel, TrainingProjection, TrainingShape
from analysis.contracts.message import Message
from analysis.contracts.model import DType, ModelSource
from analysis.contracts.profile import Series
from analysis.contracts.verification import Distribution, Estimate, Machine, ProjectionError
from analysis.contracts.workload import TokenCounts, WorkloadInfo

ArmKind = Literal["freeze", "full", "lora", "lora_freeze"]
CacheKind = Literal["auto", "off", "memory", "disk"]
StopReason = Literal["done", "budget", "no_gain", "cancelled"]


class TrialSettings(Contract):
    """What was asked for."""

    stack: str | None = None
    device: str = "auto"
    dtype: DType = Field(default="auto", description="of the computation; weights that train are kept in float32")
    max_tokens: PositiveInt = Field(default=512, description="longest example in tokens; longer ones are cut at the end, counted and shown")
    chat_template: bool = True
    slices: tuple[str, ...] = ()
    epochs: PositiveInt = 3
    batch_size: PositiveInt = Field(default=8, description="examples in an optimiser step")
    micro_batch: PositiveInt | None = Field(default=None, description="examples in one pass; None: the whole batch")
    learning_rates: tuple[PositiveFloat, ...] = Field(
        default=(), description="tried for full and frozen arms; empty: 3e-5, 1e-4, 3e-4, and on from there while the best is at the end"
    )
    lora_learning_rates: tuple[PositiveFloat, ...] = Field(
        default=(), description="tried for LoRA arms; empty: 1e-4, 3e-4, 1e-3, and on from there"
    )
    tuning_share: float = Field(
        default=0.2, ge=0.0, le=0.5, description="of the training examples, kept back to choose learning rates and stops"
    )
    warmup_share: float = Field(default=0.05, ge=0.0, le=1.0)
    weight_decay: NonNegativeFloat = 0.0
    lora_rank: PositiveInt = 16
    lora_alpha: PositiveInt = 32
    train_norm: bool = Field(default=True, description="the final norm trains with the free layers; embeddings and a tied head never do")
    compare: tuple[ArmKind, ...] = Field(default=("full", "lora"), description="trained beside the plan, at the same number of tokens")
    boundaries: tuple[EofLayer, ...] = Field(default=(), description="a sweep: a frozen arm at each of these too")
    release: bool = Field(
        default=False, description="free one step more at a time, from the output side, until the gain lies inside its interval"
    )
    release_step: PositiveInt | None = Field(default=None, description="layers freed at a time; None: a tenth of the stack, at least one")
    max_trainable: PositiveInt | None = Field(default=None, description="releasing frees at most this many layers; None: all of them")
    max_minutes: PositiveFloat | None = Field(default=None, description="budget of training time over all arms; None: none")
    cache: CacheKind = "auto"
    cache_bytes: PositiveInt | None = Field(default=None, description="most that the prefix's output may take; None: half of what is free")
    points: PositiveInt = Field(default=6, description="times the verification loss is taken along an arm, start and end among them")
    replicates: PositiveInt = 2000
    seed: NonNegativeInt = 0


class TrialPoint(Contract):
    """An arm at one moment of its training."""

    step: NonNegativeInt
    tokens: NonNegativeInt = Field(description="trained on so far, prompts included, padding not")
    seconds: NonNegativeFloat = Field(description="of training so far; evaluations not")
    flops: NonNegativeFloat = Field(description="of training so far, worked out from shapes")
    train_loss: float | None = Field(default=None, description="mean over the steps since the last point, nats per response token")
    tuning_loss: float | None = None
    verification_loss: float | None = None


class StepCost(Contract):
    """What an arm's steps cost on this machine."""

    first_epoch_ms: Distribution
    later_epochs_ms: Distribution | None = Field(default=None, description="with the cached prefix, if it was cached")
    n_steps: PositiveInt
    tokens_per_second: NonNegativeFloat
    peak_memory_bytes: NonNegativeInt | None = Field(default=None, description="on the device; None: not told there")
    weight_bytes: NonNegativeInt = 0
    gradient_bytes: NonNegativeInt = 0
    optimizer_bytes: NonNegativeInt = 0
    activation_bytes: NonNegativeInt | None = Field(
        default=None,
        description="saved for the backward pass of the largest batch, counted; copies of weights in the computation's format are in it",
    )
    cache: Literal["off", "memory", "disk"] = "off"
    cache_bytes: NonNegativeInt = 0
    energy_wh: NonNegativeFloat | None = None


class TrialArm(Contract):
    """One way of training, from the original weights to its verification."""

    name: str = Field(description="full, lora, freeze 19, lora_freeze 19")
    kind: ArmKind
    eof_layer: EofLayer = Field(description="-1: nothing is frozen below")
    learning_rate: PositiveFloat
    tried: Mapping[str, float | None] = Field(default_factory=dict, description="learning rate -> loss on the tuning part; null: diverged")
    n_trainable: NonNegativeInt
    n_frozen: NonNegativeInt
    points: tuple[TrialPoint, ...]
    cost: StepCost
    loss_before: Estimate = Field(description="on the verification half, nats per response token")
    loss_after: Estimate
    reduction: Estimate = Field(description="before - after, paired over prompts")
    slices: Mapping[str, Estimate] = Field(default_factory=dict, description="slice -> its reduction")
    tuning_reduction: Estimate | None = Field(default=None, description="the same on the tuning part: what choices are made by")
    kept_at_tokens: Estimate | None = Field(default=None, description="reduction / full fine-tuning's at the same number of tokens")
    kept_at_cost: float | None = Field(
        default=None, description="reduction / full fine-tuning's at the same measured seconds; above 1: better at equal cost"
    )
    frozen_identical: bool | None = Field(
        default=None, description="every frozen tensor is bit for bit what it was; None: nothing was frozen"
    )
    gradient_free: bool | None = Field(default=None, description="no tensor below the boundary ever had a gradient")
    example_losses: Mapping[str, float] = Field(default_factory=dict, description="verification example -> loss after; no text")
    block_gradients: tuple[Series, ...] = Field(default=(), description="[intervals][L] l1 gradient norms along the training (full arms)")
    stop: StopReason = "done"
    notes: tuple[Message, ...] = ()


class SweepPoint(Contract):
    """One arm on the plane of measured cost and verification loss."""

    arm: str
    seconds: NonNegativeFloat
    loss: float
    on_front: bool
    chosen_by: tuple[EofStrategy, ...] = ()


class Trial(Contract):
    """A plan that trains, tried; or a sweep over several boundaries."""

    schema_version: Literal[1] = 1
    kind: Literal["trial"] = "trial"
    id: str
    plan_id: str
    plan_name: str = ""
    model_name: str
    model_source: ModelSource
    model_commit: str
    architecture: str
    stack: str
    n_blocks: PositiveInt
    eof_layer: EofLayer = Field(description="the plan's")
    workload: WorkloadInfo
    counts: TokenCounts = Field(description="of the training examples")
    verification_counts: TokenCounts
    settings: TrialSettings
    shape: TrainingShape
    arms: tuple[TrialArm, ...]
    front: tuple[SweepPoint, ...] = Field(default=(), description="a sweep: every frozen arm and full fine-tuning on the plane")
    choices: tuple[EofChoice, ...] = Field(default=(), description="what every strategy would have chosen")
    released: tuple[str, ...] = Field(default=(), description="arms in the order in which layers were freed")
    recommended: EofLayer | None = Field(
        default=None,
        description="a sweep: the last tried boundary that keeps 90 % of full fine-tuning's gain; releasing: where it stopped. Both by the "
        "tuning part alone",
    )
    projection: TrainingProjection | None = None
    steps: StepModel | None = None
    projection_errors: tuple[ProjectionError, ...] = ()
    n_training: NonNegativeInt
    n_tuning: NonNegativeInt
    machine: Machine
    versions: Mapping[str, str]
    notes: tuple[Message, ...] = ()

    @property
    def is_sweep(self) -> bool:
        """Whether more than the plan's own boundary was tried."""
        return bool(self.front)

    def arm(self, name: str) -> TrialArm | None:
        """The arm of that name."""
        return next((arm for arm in self.arms if arm.name == name), None)

    @property
    def own(self) -> TrialArm | None:
        """The plan's own arm."""
        return next((arm for arm in self.arms if arm.kind == "freeze" and arm.eof_layer == self.eof_layer), None)


class TrialSummary(Contract):
    """A stored trial in a list."""

    id: str
    plan_id: str
    plan_name: str
    model_name: str
    workload_name: str
    eof_layer: int
    is_sweep: bool
    n_arms: NonNegativeInt
    kept: float | None = Field(default=None, description="share of full fine-tuning's reduction that the plan's own arm kept")
    device_name: str = ""
    created_at: str = ""
    is_sample: bool = False
