"""Which layers to freeze, by which rule, and what a training step should cost. Blocks 0..eof_layer are frozen, counted from 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from analysis.contracts.base import Contract
from analysis.contracts.message import Message
from analysis.contracts.profile import Series

EofLayer = Annotated[
    int,
    Field(
        ge=-1,
        description="the last frozen block, counted from 0: blocks 0..eof_layer are frozen, the rest train; -1 freezes none, at most L - 2",
    ),
]
EofStrategy = Literal["smallest_deviation", "gain", "scaled_gain", "exponent", "lens", "gradient", "plasticity", "train_last", "sweep"]
EOF_STRATEGIES: tuple[EofStrategy, ...] = (
    "smallest_deviation",
    "gain",
    "scaled_gain",
    "exponent",
    "lens",
    "gradient",
    "plasticity",
    "train_last",
    "sweep",
)
"""R0 `smallest_deviation`, R1 `gain`, R2 `scaled_gain`, R3 `exponent` (methods.md 2.3); `lens` R1 on the logit lens; `gradient` and
`plasticity` freeze the prefix below the median (AutoFreeze's rule); `train_last` looks at nothing but the budget, half of the layers if
there is none; `sweep` takes what a sweep over several boundaries recommends."""
Aggregate = Literal["mean", "vote"]
TrainMethod = Literal["full", "lora"]


class EofChoice(Contract):
    """One rule's answer."""

    strategy: EofStrategy
    aggregate: Aggregate = Field(default="mean", description="the mean curve's choice, or what most prompts choose for themselves")
    eof_layer: EofLayer | None = Field(description="after the budget; None: the rule has no answer, see `reason`")
    unlimited: EofLayer | None = Field(default=None, description="before the budget")
    scores: Series = Field(default=(), description="[L] the rule's score of freezing up to each block; larger is chosen; null: not allowed")
    agreement: float | None = Field(default=None, description="share of 1,000 resamples of the prompts that choose the same block")
    low: EofLayer | None = Field(default=None, description="5th percentile over resamples")
    high: EofLayer | None = Field(default=None, description="95th percentile")
    votes: Mapping[int, int] = Field(default_factory=dict, description="eof_layer -> prompts that choose it for themselves")
    by_slice: Mapping[str, int] = Field(default_factory=dict, description="slice -> its own choice")
    interpretation: bool = Field(default=False, description="our reading: the paper does not give this formula")
    reason: Message = Field(description="why this layer, or why there is no answer, in one sentence")


class TrainingShape(Contract):
    """What a training step is."""

    method: TrainMethod = "full"
    batch_size: PositiveInt = 8
    sequence_tokens: PositiveInt = Field(default=512, description="padded length")
    response_tokens: PositiveInt | None = Field(default=None, description="tokens of a sequence whose loss is taken; None: all")
    lora_rank: PositiveInt = 16
    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="bfloat16", description="of the computation")
    weight_bits: Literal[4, 8, 16, 32] = Field(default=32, description="of the frozen weights; 4 and 8: a quantised base (LoRA only)")
    trained_bits: Literal[16, 32] = Field(default=32, description="of the weights that train, their gradients and both Adam moments")


class Change(Contract):
    """A training figure with everything trained (`full`), with the plan, and with the plan once the prefix's output is cached."""

    full: NonNegativeFloat
    plan: NonNegativeFloat
    cached: NonNegativeFloat | None = Field(default=None, description="from the second epoch on; None: the same as `plan`")

    @property
    def saved_share(self) -> float:
        """Share saved before the cache helps."""
        return 0.0 if self.full == 0 else 1.0 - self.plan / self.full

    @property
    def saved_share_cached(self) -> float:
        """Share saved once the prefix is cached."""
        return self.saved_share if self.cached is None or self.full == 0 else 1.0 - self.cached / self.full


class TrainingProjection(Contract):
    """What a freeze plan should save in training: worked out, not run. Times are null until steps were measured on this device."""

    origin: Literal["projected"] = "projected"
    shape: TrainingShape
    epochs: NonNegativeFloat
    n_sequences: NonNegativeInt = Field(description="examples seen in an epoch")
    n_trainable: Change
    step_flops: Change
    weight_bytes: Change
    gradient_bytes: Change
    optimizer_bytes: Change
    activation_bytes: Change
    peak_memory_bytes: Change
    cache_bytes: NonNegativeInt = Field(default=0, description="what the prefix's output of the whole workload takes, in memory or on disk")
    step_ms: Change | None = None
    tokens_per_second: Change | None = None
    hours: Change | None = Field(default=None, description="all epochs; `cached`: with the cache from the second epoch on")
    energy_wh: Change | None = Field(default=None, description="hours x the mean power measured on this device")
    cost: Change | None = Field(default=None, description="hours x the price of an hour that a person gave")
    price_per_hour: NonNegativeFloat | None = None
    currency: str = ""
    device_name: str = ""


class StepPoint(Contract):
    """Training steps measured at one boundary."""

    eof_layer: EofLayer
    cached: bool = False
    p50_ms: NonNegativeFloat
    p95_ms: NonNegativeFloat
    repeats: PositiveInt
    peak_memory_bytes: NonNegativeInt | None = Field(default=None, description="on the device; None: not told there")
    activation_bytes: NonNegativeInt | None = Field(
        default=None, description="tensors saved for the backward pass, counted, copies of weights in the computation's format among them"
    )
    in_fit: bool = Field(default=True, description="false: measured in the same turns, but kept out of the fit, to judge it by")


class StepModel(Contract):
    """How long a training step takes on one device, fitted to a few boundaries: never compared with another machine's.

    step_ms(eof) = fixed_ms + frozen_block_ms * (eof + 1) + trained_block_ms * (L - eof - 1); cached: without the second term.
    """

    schema_version: Literal[1] = 1
    kind: Literal["steps"] = "steps"
    model_commit: str
    stack: str
    device: str
    device_name: str
    shape: TrainingShape
    n_blocks: PositiveInt
    fixed_ms: float
    frozen_block_ms: NonNegativeFloat
    trained_block_ms: NonNegativeFloat
    fixed_bytes: float | None = Field(default=None, description="peak memory outside what grows with the boundary; None: not told")
    trained_block_bytes: NonNegativeFloat | None = Field(default=None, description="peak memory that one more trained block takes")
    cached_ms: float = Field(default=0.0, description="added to a cached step: reading the cache")
    power_watts: NonNegativeFloat | None = Field(
        default=None, description="mean draw over the measured steps; None: the device cannot tell"
    )
    points: tuple[StepPoint, ...]
    error_share: NonNegativeFloat | None = Field(default=None, description="largest |fit - measured| / measured over points not in the fit")
    measured_at: str

    def measured(self, eof_layer: int, cached: bool = False) -> StepPoint | None:
        """The steps that were really run at a boundary, in turns with those at all others; None: none were."""
        return next((point for point in self.points if (point.eof_layer, point.cached) == (eof_layer, cached)), None)
