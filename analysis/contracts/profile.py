"""What every layer did to a workload, measured in one pass.

Shapes: L blocks, P = L + 1 residual positions ("in", "after 0" ... "after L-1"). Undefined values are null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from analysis.contracts.base import Contract
from analysis.contracts.message import Message
from analysis.contracts.model import DType, ModelInfo, ModelSource, Unit
from analysis.contracts.workload import TokenCounts, WorkloadInfo

Series = tuple[float | None, ...]
Matrix = tuple[Series, ...]
Interval = tuple[float, float]
Intervals1D = tuple[Interval | None, ...]
AUTOMATIC_SLICES = ("prompt", "response", "template", "sink")
"""Slices by kind of token, made for every workload. `template` and `sink` are not part of the default scores."""


class ProfileSettings(Contract):
    """What was asked for. Everything here that changes a number is part of the run's content key."""

    stack: str | None = Field(default=None, description="name of the stack; None: the model's first")
    device: str = "auto"
    dtype: DType = "auto"
    max_tokens: PositiveInt = Field(
        default=1024, description="longest example in tokens; longer ones are cut at the end, counted and shown"
    )
    batch_tokens: PositiveInt | None = Field(
        default=None, description="padded tokens in a forward batch; None: by device. Changes speed, never results"
    )
    unit_tokens: PositiveInt | None = Field(default=None, description="tokens in the pair buffer; None: by device")
    cka_minibatch: PositiveInt = Field(default=128, ge=8)
    chat_template: bool = True
    slices: tuple[str, ...] = Field(default=(), description="only these slices; empty: all")
    replicates: PositiveInt = 200
    excerpts: bool = Field(default=True, description="keep the first 80 characters of each prompt beside its score; off: none")


class WorkloadChoice(Contract):
    """Which model, and which workload read in which way: what every job that runs prompts is told."""

    model: ModelSource
    workload_paths: tuple[str, ...] = Field(description="empty: the sample workload")
    mapping: Mapping[str, str] = Field(default_factory=dict)
    slicing: Literal["given", "language", "length", "none"] = "given"
    mask_personal_data: bool = False
    joined_characters: PositiveInt | None = Field(
        default=None, description="plain text: lines that follow each other are one text until it is so long; None: each line is a prompt"
    )


class ProfileRequest(WorkloadChoice):
    """A profile job: everything a worker needs to run it."""

    settings: ProfileSettings = ProfileSettings()
    name: str | None = None


class ScoreIntervals(Contract):
    """95 % intervals by a Poisson bootstrap over prompts. Ranks: 1 = least change."""

    level: float = 0.95
    replicates: PositiveInt
    block_influence: Intervals1D
    attention_influence: Intervals1D
    mlp_influence: Intervals1D
    block_rank: Intervals1D
    attention_rank: Intervals1D
    mlp_rank: Intervals1D
    relative_contribution: Intervals1D | None = Field(default=None, description="[L]; overall only")
    norms: Intervals1D | None = Field(default=None, description="[P]; overall only")
    cosine_similarity: tuple[Intervals1D, ...] | None = Field(default=None, description="[P][P]; overall only")
    angular_distance: tuple[Intervals1D, ...] | None = Field(default=None, description="[P][P]; overall only")
    linear_cka: tuple[Intervals1D, ...] | None = Field(default=None, description="[P][P]; overall only; bootstrap over minibatches")


class Scores(Contract):
    """The measures over one set of tokens."""

    n_tokens: NonNegativeInt
    n_examples: NonNegativeInt
    block_influence: Series = Field(description="[L] 1 - mean cosine between what enters and what leaves a block (ShortGPT)")
    attention_influence: Series
    mlp_influence: Series
    relative_contribution: Series = Field(description="[L] mean |f(x)| / |x + f(x)| of a block")
    norms: Series = Field(description="[P] mean Euclidean norm of the residual stream")
    cosine_similarity: Matrix = Field(description="[P][P] mean cosine of the states of one token at two positions")
    angular_distance: Matrix = Field(
        description="[P][P] mean angle / pi between the states of one token at two positions; a span (start, n) is [start][start + n]"
    )
    angular_distance_last_token: Matrix | None = Field(
        default=None, description="[P][P] the same over each prompt's last token only (Gromov et al.)"
    )
    linear_cka: Matrix | None = Field(default=None, description="[P][P] unbiased minibatch linear CKA over tokens")
    cka_minibatches: NonNegativeInt = 0
    intervals: ScoreIntervals | None = None


class ExampleScore(Contract):
    """One prompt's own Block Influence, for finding the prompts a layer changes most and least."""

    example_id: str
    slice: str
    n_tokens: NonNegativeInt
    critical: bool = False
    block_influence: Series
    excerpt: str = Field(default="", description="first 80 characters of the prompt; empty when excerpts were switched off")


class RankStability(Contract):
    """How well the order of the blocks from n prompts agrees with the order from all of them."""

    n_examples: PositiveInt
    spearman_median: float
    spearman_low: float = Field(description="5th percentile over random subsets of n prompts")
    top_overlap: float = Field(description="mean share of the least influential fifth of the blocks that is found again")


class Timing(Contract):
    """What the run cost on the machine named. Never comparable between machines."""

    device: str
    device_name: str
    dtype: str
    started_at: str = Field(description="UTC, ISO 8601")
    load_seconds: NonNegativeFloat
    profile_seconds: NonNegativeFloat
    tokens_per_second: NonNegativeFloat
    peak_memory_bytes: NonNegativeInt | None = None
    batch_tokens: PositiveInt
    unit_tokens: PositiveInt
    batch_halvings: NonNegativeInt = 0
    resumed: bool = False


class Profile(Contract):
    """One workload's pass through one model."""

    schema_version: Literal[1] = 1
    kind: Literal["profile"] = "profile"
    id: str = Field(description="content key: model commit, workload, settings, dtype and method versions")
    name: str
    model: ModelInfo
    stack: str
    workload: WorkloadInfo
    counts: TokenCounts
    settings: ProfileSettings
    methods: Mapping[str, str] = Field(description="measure -> version of its method")
    overall: Scores
    slices: Mapping[str, Scores] = Field(description="the workload's slices and the automatic ones")
    examples: tuple[ExampleScore, ...]
    rank_stability: tuple[RankStability, ...]
    timing: Timing
    versions: Mapping[str, str] = Field(description="library -> version")
    notes: tuple[Message, ...] = ()

    @property
    def n_blocks(self) -> int:
        """Blocks of the profiled stack."""
        return len(self.overall.block_influence)


def influence(scores: Scores, unit: Unit) -> Series:
    """The influence series of a unit: [L], 0 (no change) to 2."""
    return {"block": scores.block_influence, "attention": scores.attention_influence, "mlp": scores.mlp_influence}[unit]
