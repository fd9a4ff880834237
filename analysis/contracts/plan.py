"""Plans: operations on a model, on what evidence, and what they should save. Blocks are counted from 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, computed_field, model_validator

from analysis.contracts.base import Contract, content_hash
from analysis.contracts.case import BusinessCase
from analysis.contracts.freezing import EofChoice, TrainingProjection, TrainingShape
from analysis.contracts.healing import Healing, HealSettings
from analysis.contracts.message import Message
from analysis.contracts.model import ModelSource, Unit
from analysis.contracts.operations import Freeze, Operation, Prune, Skip
from analysis.contracts.profile import Interval, WorkloadChoice
from analysis.contracts.ranking import ConsensusChoice
from analysis.contracts.robustness import Robustness, RobustnessSettings
from analysis.contracts.trial import Trial, TrialSettings
from analysis.contracts.verification import Verification, VerificationSettings


class ModelRef(Contract):
    """The model a plan is for."""

    name: str
    source: ModelSource
    commit: str
    architecture: str
    n_blocks: NonNegativeInt
    stack: str
    stack_path: str = Field(
        default="", description="where the layers are among the model's parameter names, e.g. model.layers; empty: not told"
    )


class WorkloadRef(Contract):
    """The workload a plan was made from; file paths let later commands reopen it."""

    name: str
    content_hash: str
    paths: tuple[str, ...] = ()
    mapping: Mapping[str, str] = Field(default_factory=dict)
    slicing: str = "given"
    is_sample: bool = False
    masked: bool = Field(
        default=False, description="mail addresses and telephone numbers were masked; the two halves differ from those of the plain texts"
    )


class Quantity(Contract):
    """A figure before and after the plan, in the unit its field names."""

    before: NonNegativeFloat
    after: NonNegativeFloat

    @property
    def saved_share(self) -> float:
        """Share saved, 0 to 1 (negative when the plan adds)."""
        return 0.0 if self.before == 0 else 1.0 - self.after / self.before


class ProjectedLatency(Contract):
    """Latency worked out from points measured on this very device."""

    phase: Literal["prefill", "decode"]
    batch_size: NonNegativeInt
    context_tokens: NonNegativeInt
    ms: Quantity
    device_name: str


class ProjectedQuality(Contract):
    """Quality worked out from the ablation scan and measured interactions, on the calibration half."""

    loss_change: float = Field(description="nats per token")
    interval: Interval = Field(description="90 % interval of `loss_change`")
    perplexity_ratio: float = Field(description="exp(loss_change)")
    perplexity_ratio_interval: Interval
    measured: bool = Field(default=False, description="True: this very set was run on the calibration half; the interval is then 95 %")
    search_id: str | None = None


class Projection(Contract):
    """What the plan should save: worked out from shapes and measured points, not run yet. Null: nothing to work it out from."""

    origin: Literal["projected"] = "projected"
    context_tokens: NonNegativeInt = Field(description="sequence length behind the per-token figures; an assumption that can be edited")
    n_blocks: Quantity
    n_parameters: Quantity
    weight_bytes: Quantity
    prefill_flops_per_token: Quantity = Field(description="mean over a prompt of context_tokens, causal; head once per prompt")
    decode_flops_per_token: Quantity = Field(description="one new token that looks at context_tokens")
    kv_bytes_per_token: Quantity
    kv_bytes_at_context: Quantity = Field(description="KV cache of one sequence of context_tokens, windows respected")
    flops_per_image: Quantity | None = Field(default=None, description="vision models in stages; their figures per token are 0")
    peak_memory_bytes: Quantity | None = Field(
        default=None, description="weights, KV cache and the widest moment of a prefill of one sequence"
    )
    latency: tuple[ProjectedLatency, ...] = ()
    quality: ProjectedQuality | None = None
    training: TrainingProjection | None = Field(default=None, description="plans that freeze: what a training step should cost")


class UnitReason(Contract):
    """Why one unit is in the plan."""

    block: NonNegativeInt
    unit: Unit
    score: float | None
    interval: tuple[float, float] | None = None
    rank: NonNegativeInt | None = Field(default=None, description="1 = least change among its unit")
    sink_score: float | None = Field(default=None, description="the same measure on sink tokens; large means not harmless")
    worst_slice: str | None = None
    worst_slice_score: float | None = None
    warning: Message | None = None


class Provenance(Contract):
    """How the plan came to be."""

    profile_id: str | None = None
    criterion: str
    amount: str = Field(description="as asked for: 20%, 20%params, 20%flops, 1GiB, 6 layers")
    protected: tuple[NonNegativeInt, ...] = ()
    reasons: tuple[UnitReason, ...] = ()
    eof_choice: EofChoice | None = Field(default=None, description="plans that freeze: the rule's answer and how sure it is")
    semantics_id: str | None = None
    consensus: ConsensusChoice | None = Field(default=None, description="plans that several criteria voted for")
    notes: tuple[Message, ...] = ()
    versions: Mapping[str, str] = Field(default_factory=dict)
    created_at: str = ""


class Plan(Contract):
    """One plan: what is done to which model, on what evidence, and what it should save."""

    schema_version: Literal[1] = 1
    kind: Literal["plan"] = "plan"
    name: str = ""
    model: ModelRef
    workload: WorkloadRef | None = None
    operations: tuple[Operation, ...] = Field(min_length=1)
    projection: Projection | None = None
    provenance: Provenance
    verification: Verification | None = None
    trial: Trial | None = None
    healing: Healing | None = None
    robustness: Robustness | None = None
    business_case: BusinessCase | None = Field(default=None, description="what it is worth, when a person wanted it to travel along")

    @model_validator(mode="before")
    @classmethod
    def _id_is_worked_out(cls, data: Any) -> Any:
        """A plan's file carries its id for its readers; reading it back works the id out again."""
        return {name: value for name, value in data.items() if name != "id"} if isinstance(data, dict) else data

    @computed_field  # type: ignore[prop-decorator]
    @property
    def id(self) -> str:
        """The plan's identity: hash of the model's commit and the operations (12 hex characters)."""
        return content_hash(self.model.commit, self.model.stack, [operation.model_dump(mode="json") for operation in self.operations])[:12]

    @property
    def eof_layer(self) -> int | None:
        """The last frozen block; None: the plan freezes nothing."""
        return next((operation.eof_layer for operation in self.operations if isinstance(operation, Freeze)), None)

    @property
    def only_freezes(self) -> bool:
        """Nothing is taken out: the model answers as before, so there is nothing to verify before it is trained."""
        return all(isinstance(operation, Freeze) for operation in self.operations)

    @property
    def removed(self) -> Mapping[Unit, tuple[int, ...]]:
        """Unit -> blocks that a prune or skip takes out."""
        found: dict[Unit, set[int]] = {"block": set(), "attention": set(), "mlp": set()}
        for operation in self.operations:
            if isinstance(operation, Prune | Skip):
                found[operation.unit].update(operation.blocks)
        return {unit: tuple(sorted(blocks)) for unit, blocks in found.items()}


class VerifyRequest(WorkloadChoice):
    """A verification job. `model` is where to find the plan's model now; its commit must be the plan's."""

    plan: Plan
    settings: VerificationSettings = VerificationSettings()
    guardrails: tuple[str, ...] = ()


class TrialRequest(WorkloadChoice):
    """A trial or sweep job. `model` is where to find the plan's model now; its commit must be the plan's."""

    plan: Plan
    settings: TrialSettings = TrialSettings()


class HealRequest(WorkloadChoice):
    """A healing job. `model` is where to find the plan's model now; its commit must be the plan's."""

    plan: Plan
    settings: HealSettings = HealSettings()
    save_folder: str | None = Field(default=None, description="where the healed model goes as a plain Hugging Face folder; None: nowhere")


class RobustnessRequest(WorkloadChoice):
    """A robustness job. `model` is where to find the plan's model now; its commit must be the plan's."""

    plan: Plan
    settings: RobustnessSettings = RobustnessSettings()


class StepsRequest(Contract):
    """A job that measures training steps of a model on a device, so that freeze plans can be projected in time."""

    model: ModelSource
    stack: str | None = None
    device: str = "auto"
    shape: TrainingShape = TrainingShape()


ExportFormat = Literal[
    "hf", "mergekit", "llama.cpp", "python", "words", "transformers", "trl", "peft", "axolotl", "llama_factory", "lmflow", "layers"
]


class ExportRequest(Contract):
    """An export job."""

    plan: Plan
    model: ModelSource
    format: Literal["hf"] = "hf"
    folder: str
    device: str = "cpu"
    zeroed: bool = Field(default=False, description="attention and MLP removals: keep every layer and set their output projections to zero")
    overwrite: bool = Field(default=False, description="replace the folder if it is an earlier export")


class ExportReport(Contract):
    """What an export wrote, and the proof that it is the same model. Also written into the folder as strata_export.json."""

    schema_version: Literal[1] = 1
    kind: Literal["export"] = "export"
    plan_id: str
    model_name: str
    model_commit: str
    folder: str
    files: Mapping[str, int] = Field(description="file -> bytes")
    n_blocks: Quantity
    n_parameters: Quantity
    method: Literal["reloaded", "block_by_block"] = Field(
        description="whole model reloaded and run, or too large for memory: tensor by tensor and block by block"
    )
    max_logit_difference: NonNegativeFloat = Field(
        description="largest |difference| in float32 between the reloaded folder and the plan run in place"
    )
    n_random_tokens: NonNegativeInt
    n_real_tokens: NonNegativeInt
    notes: tuple[Message, ...] = ()
    created_at: str = ""
