"""A plan run beside the untouched model on examples it was not made from: quality, cost, and the limits set beforehand.

`original` is the untouched model, `plan` the model with the plan carried out. Intervals are 95 %, two-sided, by a paired
bootstrap over prompts unless a field says otherwise. Undefined values are null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from analysis.contracts.base import Contract
from analysis.contracts.message import Message
from analysis.contracts.model import DType, ModelSource
from analysis.contracts.search import Objective
from analysis.contracts.workload import TokenCounts, WorkloadInfo

Verdict = Literal["within", "outside", "undecided"]
GuardrailUnit = Literal["x", "%", "abs"]


class Estimate(Contract):
    """A figure with its 95 % interval; null where it cannot be had."""

    value: float | None
    low: float | None = None
    high: float | None = None


class FlipCount(Contract):
    """How many answers changed: another choice where there are choices, else another text after normalising."""

    n: NonNegativeInt
    changed: NonNegativeInt
    rate: Estimate = Field(description="share changed; its interval is exact (Clopper-Pearson)")
    upper: float | None = Field(description="one-sided 95 % upper bound of the rate; 1 - 0.05^(1/n) when none changed")


class TaskScore(Contract):
    """Share of right answers, where the workload has answers."""

    kind: Literal["choices", "exact", "normalised"]
    n: NonNegativeInt
    original: Estimate
    plan: Estimate
    change: Estimate = Field(description="plan - original, in shares (0.01 = one point)")
    p_value: float | None = Field(default=None, description="exact McNemar test")


class QualityScores(Contract):
    """Quality over one set of examples."""

    n_examples: NonNegativeInt
    n_tokens: NonNegativeInt = Field(description="tokens whose loss counts: of the response given its prompt, else of the prompt")
    perplexity_original: Estimate
    perplexity_plan: Estimate
    perplexity_ratio: Estimate = Field(description="plan / original")
    loss_change: Estimate = Field(description="nats per token")
    p_value: float | None = Field(default=None, description="paired sign-flip test over prompts of no change in loss")
    kl: Estimate = Field(description="KL(original || plan), nats per token")
    top1_agreement: Estimate = Field(description="share of tokens for which both would say the same")
    similarity: Estimate | None = Field(default=None, description="models without a word head: mean cosine of their final states")
    flips: FlipCount | None = None
    tasks: tuple[TaskScore, ...] = ()


class ExampleOutcome(Contract):
    """One prompt under both models. No text."""

    example_id: str
    slice: str
    critical: bool = False
    n_tokens: NonNegativeInt
    loss_original: float | None = Field(description="mean nats per token")
    loss_plan: float | None
    kl: float | None = None
    top1_agreement: float | None = None
    similarity: float | None = Field(default=None, description="models that do not write word after word: mean cosine of the final states")
    flipped: bool | None = Field(default=None, description="None: no answer was generated or chosen")
    right_original: bool | None = None
    right_plan: bool | None = None


class Generation(Contract):
    """What both models answered, side by side. Texts stay in the store unless someone ticks otherwise."""

    example_id: str
    slice: str
    critical: bool = False
    prompt: str
    reference: str = ""
    original: str
    plan: str
    changed: bool


class Distribution(Contract):
    """Repeated measurements."""

    p50: NonNegativeFloat
    p95: NonNegativeFloat
    n: PositiveInt


class Measured(Contract):
    """A cost of both models, measured in turns in one run."""

    original: Distribution
    plan: Distribution
    ratio: Estimate = Field(description="plan / original of the medians, interval by bootstrap over the repeats")


class CostPoint(Contract):
    """What a batch of one size and length costs."""

    batch_size: PositiveInt
    prompt_tokens: PositiveInt
    new_tokens: NonNegativeInt
    prefill_ms: Measured
    first_token_ms: Measured
    decode_tokens_per_second: Measured | None = Field(default=None, description="all sequences of the batch together")
    tokens_per_second_gain_at_double_batch: float | None = Field(
        default=None, description="below 1.3: the device is busy; near 2: it waits for work, and a lighter model will not show"
    )
    peak_memory_bytes: tuple[int, int] | None = Field(
        default=None, description="(original, plan) on the device; None: not told on this device"
    )
    weight_bytes: tuple[int, int] = Field(description="(original, plan) of the parameters that must be in memory")
    kv_cache_bytes: tuple[int, int] | None = Field(default=None, description="(original, plan), counted from the cache's tensors")
    prefill_flops: tuple[int, int] | None = Field(default=None, description="(original, plan) by a FLOP counter")
    layer_calls: tuple[int, int] = Field(description="(original, plan) halves of layers that really ran in one prefill")
    energy_mwh: tuple[float, float] | None = Field(
        default=None, description="(original, plan) of one prefill; None: the device cannot tell"
    )


class Guardrail(Contract):
    """A limit set before the run: ``metric[@slice] op value unit``."""

    text: str
    metric: str
    slice: str | None = None
    op: Literal["<=", ">="]
    value: float = Field(description="in the unit: 1.05 for x, 5 for %, the plain figure for abs")
    unit: GuardrailUnit


class GuardrailResult(Contract):
    """One limit and what was measured against it, in the limit's own unit."""

    guardrail: Guardrail
    verdict: Verdict
    measured: Estimate
    n: NonNegativeInt = Field(description="prompts (or repeats) behind it")
    reason: Message = Field(description="the verdict in one sentence")
    decided_by: tuple[str, ...] = Field(default=(), description="ids of the prompts that moved it most, worst first")
    worst_slice: str | None = None


class ProjectionError(Contract):
    """One projected figure beside its measurement."""

    quantity: str = Field(
        description="parameters, prefill_flops, kv_cache_bytes, weight_bytes, peak_memory_bytes, prefill_ms, decode_ms, "
        "perplexity_ratio, and prefill_ratio, decode_ratio: the time with the plan against the original's"
    )
    projected: float
    low: float | None = None
    high: float | None = None
    measured: float
    error_share: float = Field(description="(projected - measured) / measured")
    inside: bool | None = Field(default=None, description="whether the measurement fell into the projected interval")


class TaskResult(Contract):
    """One task of lm-eval, when the extra is installed and it was asked for."""

    task: str
    metric: str
    original: float
    plan: float
    stderr_original: float | None = None
    stderr_plan: float | None = None
    n: NonNegativeInt


class VerificationSettings(Contract):
    """What was asked for."""

    stack: str | None = None
    device: str = "auto"
    dtype: DType = "auto"
    max_tokens: PositiveInt = 1024
    batch_tokens: PositiveInt | None = None
    chat_template: bool = True
    slices: tuple[str, ...] = ()
    generate: NonNegativeInt = Field(
        default=24, description="prompts that are answered by both models; critical ones first, then evenly over slices"
    )
    new_tokens: PositiveInt = Field(default=32, description="longest generated answer")
    batch_sizes: tuple[PositiveInt, ...] = (1,)
    prompt_tokens: tuple[PositiveInt, ...] = (256,)
    repeats: PositiveInt = Field(default=10, ge=3, description="timed repeats of each point after the warm-up")
    replicates: PositiveInt = 2000
    seed: NonNegativeInt = 0
    cost: bool = Field(default=True, description="off: quality only")
    tasks: tuple[str, ...] = Field(default=(), description="lm-eval tasks, with the optional extra installed")


class Machine(Contract):
    """Where it ran. Times and memory are never compared between machines."""

    device: str
    device_name: str
    dtype: str
    started_at: str
    seconds: NonNegativeFloat


class Verification(Contract):
    """One plan's test."""

    schema_version: Literal[1] = 1
    kind: Literal["verification"] = "verification"
    id: str
    plan_id: str
    plan_name: str = ""
    model_name: str
    model_source: ModelSource
    model_commit: str
    architecture: str
    stack: str
    workload: WorkloadInfo
    counts: TokenCounts = Field(description="of the verification half")
    settings: VerificationSettings
    objective: Objective = "loss"
    quality: QualityScores
    slices: Mapping[str, QualityScores]
    critical: QualityScores | None = None
    examples: tuple[ExampleOutcome, ...]
    generations: tuple[Generation, ...] = ()
    cost: tuple[CostPoint, ...] = ()
    tasks: tuple[TaskResult, ...] = ()
    guardrails: tuple[GuardrailResult, ...] = ()
    verdict: Verdict | None = Field(default=None, description="the worst of the guardrails'; None: no limit was set")
    projection_errors: tuple[ProjectionError, ...] = ()
    machine: Machine
    versions: Mapping[str, str]
    notes: tuple[Message, ...] = Field(default=(), description="remarks, and what was not tested")

    def without_texts(self) -> Verification:
        """The same without a word of any prompt or answer."""
        return self.model_copy(update={"generations": ()})


class VerificationSummary(Contract):
    """A stored verification in a list."""

    id: str
    plan_id: str
    plan_name: str
    model_name: str
    workload_name: str
    verdict: Verdict | None
    n_examples: NonNegativeInt
    device_name: str
    created_at: str
    is_sample: bool = False
