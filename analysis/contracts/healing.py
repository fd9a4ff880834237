"""A short training after a cut that wins back quality, and how much of it the cut had really cost.

Three disjoint parts: what trains and what selects (learning rate, when to stop) are cut from the calibration half; the verification
half reports and is never learnt from. Losses are nats per token, intervals 95 %, paired over prompts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from analysis.contracts.base import Contract
from analysis.contracts.message import Message
from analysis.contracts.model import DType, ModelSource
from analysis.contracts.search import UnitSet
from analysis.contracts.verification import Estimate, Machine
from analysis.contracts.workload import TokenCounts, WorkloadInfo

HealMethod = Literal["lora", "full"]
HealObjective = Literal["next_token", "distillation", "both"]
HealStop = Literal["done", "no_gain", "budget", "cancelled"]
HealArmName = Literal["healed", "control", "distillation", "next_token", "both"]


class HealSettings(Contract):
    """What was asked for."""

    stack: str | None = None
    device: str = "auto"
    dtype: DType = Field(default="auto", description="of the computation; weights that train are kept in float32")
    max_tokens: PositiveInt = Field(
        default=512, description="of a window; longer texts train window by window, and select and report by their first window"
    )
    chat_template: bool = True
    slices: tuple[str, ...] = ()
    method: HealMethod = "lora"
    objective: HealObjective = Field(default="both", description="next-token loss, forward KL from the uncut model's logits, or both")
    distillation_weight: float = Field(
        default=0.5, ge=0.0, le=1.0, description="of the KL term when both are asked for; the rest is next-token"
    )
    temperature: PositiveFloat = 1.0
    hidden_weight: NonNegativeFloat = Field(
        default=0.0, description="of a term on the final states: 1 - cosine to the uncut model's; 0: without"
    )
    steps: PositiveInt = Field(default=300, description="optimiser steps at most")
    batch_size: PositiveInt = Field(
        default=8,
        description="windows in an optimiser step at least; more of them while they are short and hold fewer tokens than full ones",
    )
    micro_batch: PositiveInt | None = None
    learning_rates: tuple[PositiveFloat, ...] = Field(
        default=(),
        description="tried; empty: 3e-4 and 1e-3 for lora, 1e-4 and 3e-4 for full, and one past the better; the selection part chooses",
    )
    lora_rank: PositiveInt = 16
    lora_alpha: PositiveInt = 32
    selection_share: float = Field(default=0.2, gt=0.0, le=0.5, description="of the calibration examples, kept back to select by")
    evaluate_every: PositiveInt = Field(default=25, description="steps between looks at the selection part")
    patience: PositiveInt = Field(default=4, description="looks without a gain after which it stops")
    warmup_share: float = Field(default=0.05, ge=0.0, le=1.0)
    weight_decay: NonNegativeFloat = 0.0
    control: bool = Field(
        default=True,
        description="train the uncut model in the same way, to tell healing from mere training; where it had only itself, on the text",
    )
    compare: tuple[HealObjective, ...] = Field(default=(), description="further objectives, each an arm of its own")
    max_minutes: PositiveFloat | None = Field(default=None, description="of training over all arms; None: none")
    replicates: PositiveInt = 2000
    seed: NonNegativeInt = 0


class HealPoint(Contract):
    """An arm at one moment."""

    step: NonNegativeInt
    tokens: NonNegativeInt = Field(description="trained on so far, padding not")
    seconds: NonNegativeFloat = Field(description="of training so far; evaluations not")
    train_loss: float | None = Field(default=None, description="of the arm's own objective, mean since the last point")
    selection_loss: float | None = Field(default=None, description="next-token loss on the selection part")


class HealArm(Contract):
    """One training, from its start to the weights of its best look."""

    name: HealArmName
    objective: HealObjective
    method: HealMethod
    removed: UnitSet = Field(description="what is out while it trains; empty: the control")
    learning_rate: PositiveFloat
    tried: Mapping[str, float | None] = Field(
        default_factory=dict, description="learning rate -> best selection loss; null: diverged; not there: no time was left"
    )
    n_trainable: NonNegativeInt
    points: tuple[HealPoint, ...]
    best_step: NonNegativeInt = Field(description="whose weights were judged; 0: no step was better than none")
    loss_before: Estimate = Field(description="on the verification half")
    loss_after: Estimate
    seconds: NonNegativeFloat = Field(description="of the training that was judged; other learning rates not")
    all_seconds: NonNegativeFloat = Field(default=0, description="of all learning rates together")
    teacher_seconds: NonNegativeFloat | None = Field(default=None, description="of `seconds`: passes of the uncut model; None: not needed")
    peak_memory_bytes: NonNegativeInt | None = Field(default=None, description="of the device; None: it cannot tell")
    energy_wh: NonNegativeFloat | None = Field(
        default=None, description="of the training that was judged, evaluations not; None: no counter, or one that stands still"
    )
    stop: HealStop = "done"
    notes: tuple[Message, ...] = ()


class HealSlice(Contract):
    """One slice, judged on its verification examples."""

    n_examples: NonNegativeInt
    n_tokens: NonNegativeInt
    base: Estimate
    cut: Estimate
    healed: Estimate
    control: Estimate | None = None


class Healing(Contract):
    """A plan that cuts, healed."""

    schema_version: Literal[1] = 1
    kind: Literal["healing"] = "healing"
    id: str
    plan_id: str
    plan_name: str = ""
    model_name: str
    model_source: ModelSource
    model_commit: str
    architecture: str
    stack: str
    removed: UnitSet
    workload: WorkloadInfo
    counts: TokenCounts = Field(description="of the training examples")
    verification_counts: TokenCounts
    settings: HealSettings
    n_train: NonNegativeInt
    n_selection: NonNegativeInt
    n_report: NonNegativeInt
    base_loss: Estimate = Field(description="the uncut, untrained model on the verification half")
    cut_loss: Estimate = Field(description="cut, untrained")
    healed: HealArm
    control: HealArm | None = None
    others: tuple[HealArm, ...] = Field(default=(), description="further objectives")
    recovered: Estimate = Field(
        description="(cut - healed) / (cut - base): 1 = all of the lost log-perplexity, above 1: better than before"
    )
    recovered_against_control: Estimate | None = Field(
        default=None, description="1 - (healed - control) / (cut - base): what mere training would have gained too is taken off"
    )
    slices: Mapping[str, HealSlice] = Field(default_factory=dict)
    example_losses: Mapping[str, tuple[float, float, float]] = Field(
        default_factory=dict, description="verification example -> loss of (base, cut, healed); no text"
    )
    folder: str | None = Field(default=None, description="where the healed model was written")
    reload_difference: NonNegativeFloat | None = Field(
        default=None,
        description="largest difference of logits in float32 between the reloaded folder and the same weights, as written, in memory",
    )
    machine: Machine
    versions: Mapping[str, str]
    notes: tuple[Message, ...] = ()


class HealingSummary(Contract):
    """A stored healing in a list."""

    id: str
    plan_id: str
    plan_name: str
    model_name: str
    workload_name: str
    n_removed: NonNegativeInt
    recovered: float | None = None
    recovered_against_control: float | None = None
    device_name: str = ""
    created_at: str = ""
    is_sample: bool = False
